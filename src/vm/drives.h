/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drives.h - changes to the drives of a VM that runs
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/drives.h"

struct vm;

/**
 * vm_drive_set_file() - a started VM's drive goes on with another file
 * @path:	for GET /vm/config
 * @fd:		taken over on success, and -1 then
 * @claim:	of it
 *
 * Return: 0 or -errno; the drive is then as before.
 */
int vm_drive_set_file(struct vm *vm, struct drive_config *drive,
		      const char *path, int *fd,
		      const struct drive_claim *claim) __must_check;

/* Change the buckets that are present in @limiter. */
void vm_drive_set_limits(struct vm *vm, struct drive_config *drive,
			 const struct rate_limiter_config *limiter);

/* The counters update_count and update_fails of a started VM's drive. */
void vm_drive_count_update(struct vm *vm, const struct drive_config *drive,
			   bool failed);
