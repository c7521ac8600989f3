/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtc.h - CMOS clock (MC146818), read-only time, no interrupt
 *
 * The time registers show the host's UTC at the moment they are read, in the
 * form that register B asks for; what the guest writes to them is ignored: a
 * guest that sets its clock keeps it in its own kernel. Update-in-progress is
 * never set, so no reader waits. The other bytes are memory.
 */
#pragma once

#include "base/schema.h"
#include "bus/bus.h"

#include <pthread.h>
#include <time.h>

#define RTC_BYTES 128u

/* Index and bytes, as saved in a snapshot. */
struct rtc_state {
	uint8_t index;
	uint8_t ram[RTC_BYTES];
};

/**
 * struct rtc - @lock guards regs
 * @clock:	seconds of UTC; time() but in tests
 */
struct rtc {
	time_t (*clock)(time_t *out);
	pthread_mutex_t lock;
	struct rtc_state regs;
};

/* Ports 0x70 (index) and 0x71 (data). */
extern const struct bus_ops rtc_bus_ops;

void rtc_init(struct rtc *rtc);
void rtc_fini(struct rtc *rtc);

extern const struct schema_object rtc_state_schema;

void rtc_save(struct rtc *rtc, struct rtc_state *state);

/* Return: 0, or -EINVAL with a sentence and nothing is changed. */
int rtc_load(struct rtc *rtc, const struct rtc_state *state,
	     struct err *err) __must_check;
