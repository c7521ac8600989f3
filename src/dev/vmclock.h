/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmclock.h - VMClock: programs in the guest learn that it is a copy
 *
 * Theory of operation
 *
 * One page of guest memory, which the guest's kernel maps into programs that
 * ask (/dev/vmclock0; Linux 6.13 and later). It holds two counters that change
 * when the guest goes on from a snapshot: a program that keeps a secret, a
 * lease or a time compares them with what it saw last, without a system call,
 * where the VM generation ID (vmgenid.h) speaks to the kernel only.
 *
 *   disruption_marker       the clock has jumped: measure it anew
 *   vm_generation_counter   the VM was restored: what was unique is not
 *
 * Both count up by one at each restore: two clones of one snapshot have the
 * same value, another one than the snapshot's. The other fields of the page
 * could carry the time. They say that they do not: a guest has kvm-clock.
 *
 * The page is the guest's memory, so it is in the snapshot and nothing is in
 * the device's state. What a guest writes there comes back to itself. A page
 * without the magic number is that of a snapshot from before there was this
 * device: it is left as it was.
 *
 * The guest is told by the event of the VM generation ID, which comes at the
 * same moments: boot/dsdt.c notifies both devices.
 * Reference: Linux, include/uapi/linux/vmclock-abi.h; ACPI id "VMCLOCK".
 */
#pragma once

#include "mem/gmem.h"

/**
 * struct vmclock - where it is
 * @gpa:	of its page
 */
struct vmclock {
	const struct gmem *mem;
	gpa_t gpa;
};

/* The VM starts: nothing was restored yet. VMM thread, before the vCPUs run.
 * Return: 0, or -EFAULT with a sentence: the page is not RAM. */
int vmclock_start(const struct vmclock *v, struct err *err) __must_check;

/* The VM was restored. vmgenid_renew() follows, which tells the guest. VMM
 * thread, before the vCPUs run. Return: as vmclock_start(). */
int vmclock_renew(const struct vmclock *v, struct err *err) __must_check;
