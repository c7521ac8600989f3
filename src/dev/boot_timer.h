/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot_timer.h - the guest tells when its init runs (--boot-timer)
 *
 * A write of 123 to the first byte of its MMIO page logs the time since the
 * start was requested, in Firecracker's words, so that tools which read that
 * line go on working.
 */
#pragma once

#include "bus/bus.h"

#define BOOT_TIMER_VALUE 123u

/**
 * struct boot_timer - start times, and who else wants to know
 * @start_ns, @start_cpu_ns:	CLOCK_MONOTONIC and process CPU time
 */
struct boot_timer {
	uint64_t start_ns;
	uint64_t start_cpu_ns;
	void (*fired)(void *ctx);
	void *ctx;
};

extern const struct bus_ops boot_timer_bus_ops;

void boot_timer_init(struct boot_timer *t, void (*fired)(void *ctx), void *ctx);
