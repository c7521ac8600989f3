/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmem.h - files of the host that are memory of the guest: their list
 *
 * The list's order is the guest's: the n-th is /dev/pmem<n>. As Firecracker
 * does, a path that cannot be opened is taken: whether there is a file that can
 * be mapped the start says. One that can be is opened at once, so that what the
 * path names later does not matter.
 *
 * The file is locked as a drive's is (drive_lock.h), when it is mapped.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/config.h"

/* What the guest maps at once: the region is a multiple of it. */
#define PMEM_ALIGN MIB(2)

/* Of the region: behind the end of the file are zeros. */
static inline uint64_t pmem_region_bytes(const struct pmem_config *pmem)
{
	return (pmem->size + PMEM_ALIGN - 1) & ~(PMEM_ALIGN - 1);
}

/* NULL when there is none of that id. */
struct pmem_config *pmems_find(const struct vm_config *config, const char *id);

/**
 * pmems_set() - add a file, or replace the one of that id
 * @pmem:	taken over on success, and emptied; its file is opened, if it
 *		can be. After a failure it is closed
 *
 * Return: 0; -EEXIST when another device is the root, -ENOMEM, with
 * Firecracker's sentence.
 */
int pmems_set(struct vm_config *config, struct pmem_config *pmem,
	      struct err *err) __must_check;

/**
 * pmems_ready() - all files are open, of a size that can be mapped, and locked
 *
 * Return: 0 or -errno with a sentence. Again: nothing is done twice.
 */
int pmems_ready(struct vm_config *config, struct err *err) __must_check;

/* Is one of them the root device? */
bool pmems_have_root(const struct vm_config *config);

/**
 * pmems_root_words() - what the kernel's command line says about the root
 * @words:	"root=/dev/pmem0 rw"; empty when none of them is the root
 */
void pmems_root_words(const struct vm_config *config, char *words, size_t size);
