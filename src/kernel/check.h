/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.h - will a kernel get to its root, with these devices?
 *
 * The verdict is of its configuration, row by row of the table of what it
 * drives (drives.h), and only of what was asked for: a kernel without a disk
 * driver boots an initrd. A module counts where something loads it: for a root
 * on a disk the initramfs that Volt makes (initramfs.h) does, of the modules
 * that the store has; with an initrd of the user's own, that one has to.
 */
#pragma once

#include "kernel/rootfs.h"

/**
 * struct check_wish - what it is to boot with
 * @disk:	its root is on a disk
 * @pmem:	or in a file that is memory of the guest
 * @rootfs:	of that
 * @initrd:	there is one of the user's
 */
struct check_wish {
	bool disk;
	bool pmem;
	enum rootfs_kind rootfs;
	bool initrd;
	bool net;
	bool vsock;
};

enum check_level {
	CHECK_NEEDED, /* it will not do what was asked for */
	CHECK_INITRD, /* it will, if the initrd brings the module */
	CHECK_LESS,   /* it will, but for this */
};

/**
 * struct check_finding - a row of the table that is not driven as it should
 */
struct check_finding {
	enum drives_id id;
	enum drives_state state;
	enum check_level level;
};

/**
 * struct check - all of them, those that are needed first
 */
struct check {
	unsigned int nr;
	unsigned int nr_needed;
	struct check_finding finding[DRIVES_COUNT];
};

/* @config: there is one; without, nothing is known. */
void check_kernel(const struct buf *config, const struct modules *modules,
		  const struct check_wish *wish, struct check *check);
