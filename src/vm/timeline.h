/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeline.h - when a start reached which point, for --timing and the metrics
 *
 * Marks are CLOCK_MONOTONIC nanoseconds; the first mark of a point counts. The
 * time between two points is a step; those of a save or a restore, which one
 * thread does in order, are in steps.h.
 */
#pragma once

#include "base/bits.h"

#include <stdatomic.h>

enum timeline_point {
	TIMELINE_PROCESS,      /* main() entered */
	TIMELINE_START,        /* InstanceStart, or all arguments read */
	TIMELINE_KERNEL_READY, /* kernel, initrd and tables are in memory */
	TIMELINE_KVM_READY,    /* VM, memory slots and irqchip exist */
	TIMELINE_VCPUS_READY,  /* vCPUs have their state */
	TIMELINE_FIRST_RUN,    /* the boot CPU enters the guest */
	TIMELINE_FIRST_OUTPUT, /* first byte of the guest's console */
	TIMELINE_BOOT_TIMER,   /* the guest wrote the boot timer: init runs */
	TIMELINE_END,          /* the VM ended */
	TIMELINE_NR,
};

struct timeline {
	_Atomic uint64_t ns[TIMELINE_NR];
};

/* @point is reached now. Any thread. */
void timeline_mark(struct timeline *timeline, enum timeline_point point);

/**
 * timeline_format() - the table that --timing prints
 * @kvm_ns, @kvm_calls:	spent in KVM calls other than KVM_RUN
 *
 * Points never reached are left out. Return: length of the text in @buf.
 */
size_t timeline_format(const struct timeline *timeline, uint64_t kvm_ns,
		       uint64_t kvm_calls, char *buf, size_t size);
