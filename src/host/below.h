/* SPDX-License-Identifier: Apache-2.0 */
/*
 * below.h - names below a directory that is open already
 *
 * The directory came by its role (path.h): PATH_PLACE, where a snapshot is
 * written, or PATH_PROC_DIR. What is below it has a role of its own, which
 * decides the flags; O_CLOEXEC and O_NOCTTY go without saying. What we make has
 * mode 0600 and is never found through a symbolic link: the directory may be
 * one like /tmp, where others make names, too.
 */
#pragma once

#include "base/bits.h"

enum below_role {
	BELOW_STATE, /* the state that is there, to read; perhaps a link */
	BELOW_STATE_ITSELF, /* the same, and no link */
	BELOW_NAMELESS, /* a new file without a name (O_TMPFILE); give "." */
	BELOW_NEW,      /* a new file of that name, or -EEXIST */
	BELOW_LOCK,     /* the lock file that is there, to read and write */
	BELOW_PROC,     /* a file of procfs, to read */
	BELOW_NR,
};

/**
 * below_open() - open or make @name in the open directory @dir
 *
 * Does not block on a FIFO; the type of what was there is the caller's to
 * check.
 *
 * Return: a descriptor or -errno; -ELOOP for a symbolic link, but for
 * BELOW_STATE.
 */
int below_open(int dir, const char *name, enum below_role role) __must_check;
