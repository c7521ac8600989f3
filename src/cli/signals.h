/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - signals by name
 */
#pragma once

#include "base/bits.h"

/* "TERM", "SIGTERM", "term", "15". Return: its number; 0: there is none. */
int signal_by_name(const char *name);
