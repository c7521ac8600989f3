// SPDX-License-Identifier: Apache-2.0
/*
 * boot_timer.c - the guest tells when its init runs
 */
#include "dev/boot_timer.h"

#include "base/log.h"

#include <errno.h>
#include <time.h>

static uint64_t boot_timer_read_clock(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int boot_timer_read(void *dev, uint64_t off, void *data,
			   unsigned int len)
{
	(void)dev;
	(void)off;
	(void)data;
	(void)len;
	return -EINVAL; /* write-only */
}

static int boot_timer_write(void *dev, uint64_t off, const void *data,
			    unsigned int len)
{
	struct boot_timer *t = dev;
	uint64_t us, cpu_us;

	if (off != 0 || len != 1 || *(const uint8_t *)data != BOOT_TIMER_VALUE)
		return -EINVAL;
	us = (boot_timer_read_clock(CLOCK_MONOTONIC) - t->start_ns) / 1000;
	cpu_us = (boot_timer_read_clock(CLOCK_PROCESS_CPUTIME_ID) -
		  t->start_cpu_ns) /
		 1000;
	log_guest(LOG_INFO,
		  "Guest-boot-time = %6llu us %llu ms, %6llu CPU us %llu CPU "
		  "ms",
		  (unsigned long long)us, (unsigned long long)us / 1000,
		  (unsigned long long)cpu_us,
		  (unsigned long long)cpu_us / 1000);
	if (t->fired)
		t->fired(t->ctx);
	return 0;
}

const struct bus_ops boot_timer_bus_ops = {boot_timer_read, boot_timer_write};

void boot_timer_init(struct boot_timer *t, void (*fired)(void *ctx), void *ctx)
{
	t->start_ns = boot_timer_read_clock(CLOCK_MONOTONIC);
	t->start_cpu_ns = boot_timer_read_clock(CLOCK_PROCESS_CPUTIME_ID);
	t->fired = fired;
	t->ctx = ctx;
}
