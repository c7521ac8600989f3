/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - milliseconds, for waits that people or other programs notice
 *
 * What the VM does by deadlines has host/clock.h: a test may replace that one.
 */
#pragma once

#include "base/bits.h"

/* CLOCK_MONOTONIC in milliseconds; any thread. Signed, as what is left until a
 * moment may be less than nothing. */
int64_t clock_now_ms(void);
