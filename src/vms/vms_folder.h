/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vms_folder.h - the folder of all VMs: where it is, whose, and how one goes
 */
#pragma once

#include "base/err.h"

/* Where this user's is; NULL when there is no place for it, or no memory.
 * Owned by the caller. */
char *vms_folder_path(void);

/**
 * vms_folder_open() - open it, if it is this user's alone to write
 * @make:	it is made (0700) if it is not there, and each folder above it
 * @fd:		-1 when it is not there
 *
 * Return: 0, also when it is not there; -EPERM; -errno; with a sentence.
 */
int vms_folder_open(const char *path, bool make, int *fd,
		    struct err *err) __must_check;

/**
 * vms_folder_remove() - remove a folder of files
 * @parent:	the folder that it is in
 * @folder:	it, open
 *
 * Return: 0, also when it was gone; -errno.
 */
int vms_folder_remove(int parent, int folder, const char *name) __must_check;
