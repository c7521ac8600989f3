/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage.h - whose memory a VM takes
 *
 * Theory of operation
 *
 * A page of guest memory is one of four kinds. Nobody touched it: it takes
 * nothing. It shows the kernel's page of zeros: nothing either. It shows a file
 * (the memory file of a snapshot): it is in the page cache once, for all VMs
 * that map the file; that is shared. It was written: it is this VM's alone,
 * private, in memory or in swap.
 *
 * /proc/self/pagemap tells which is which: by ranges with the ioctl
 * PAGEMAP_SCAN (Linux 6.7), else page by page, where the page of zeros looks
 * like a written one. The process as a whole (heap, stacks, page tables not) is
 * in /proc/self/smaps_rollup. Others may read neither of a process that is not
 * dumpable, so that a VM tells of itself; both are opened before the lock.
 *
 * The VM may run meanwhile: the sums are then those of no one moment. They cost
 * a walk over the page tables, some 10 ns a page that is there.
 */
#pragma once

#include "mem/gmem.h"

/**
 * struct usage - memory by what giving it up would free; bytes
 * @private:	this process' alone, in memory
 * @shared:	of files and what else others may map as well, in memory
 * @swapped:	this process' alone, in swap
 */
struct usage {
	uint64_t private;
	uint64_t shared;
	uint64_t swapped;
};

/**
 * usage_of_guest() - of guest memory
 * @pagemap:	/proc/self/pagemap
 *
 * Return: 0 and *@usage, -EBADF without @pagemap, or -errno.
 */
int usage_of_guest(const struct gmem *mem, int pagemap,
		   struct usage *usage) __must_check;

/**
 * usage_of_process() - of this process, guest memory in it
 * @smaps:	/proc/self/smaps_rollup
 *
 * Return: 0 and *@usage, -EBADF without @smaps, -EINVAL when it is not that
 * file, or -errno.
 */
int usage_of_process(int smaps, struct usage *usage) __must_check;
