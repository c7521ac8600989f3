/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.h - into whose cgroup a leased VM goes
 *
 * Theory of operation
 *
 * A lease moves both halves of the VM into the lessee's cgroup of version 2, so
 * that what the VM takes from then on is the lessee's. What it has taken before
 * stays where it was charged, as the kernel does it. Limits need a cgroup of
 * the VM's own, which is made below that one and removed with the VM.
 *
 * A move costs: the kernel waits for all threads of the process. So none is
 * made where the VM is there already.
 *
 * Whether the lessee may put a process there is the kernel's to say: the move
 * is made as this daemon's user, which is the lessee's own or root. Where it is
 * root who moves for another user, the cgroup has to be that user's: its
 * directory belongs to him.
 *
 * Documentation/admin-guide/cgroup-v2.rst.
 */
#pragma once

#include "client/pool_wire.h"

#include <sys/types.h>

#define GROUP_PATH_MAX 1024

/* The mount point of version 2, of GROUP_PATH_MAX bytes. Return: 0, or -ENOENT
 * when there is none. */
int group_mount(char *out) __must_check;

/* The group of @pid, as in /proc/PID/cgroup, of GROUP_PATH_MAX bytes. Return:
 * 0, or -ENOENT. */
int group_of(pid_t pid, char *out) __must_check;

/**
 * group_enter() - move both halves of a VM
 * @mount:	of version 2
 * @path:	of the group, absolute below the mount
 * @own:	name of a group to make below it, the caller's to remove;
 *		NULL: none
 * @limits:	of that
 * @uid:	the group has to be this user's, unless he is root
 *
 * Return: 0 or -errno with a sentence.
 */
int group_enter(const char *mount, const char *path, const char *own,
		const struct pool_limits *limits, uid_t uid, const pid_t pid[2],
		struct err *err) __must_check;

/* ---- what has no system call, for tests ---- */

/* The path of version 2 in the text of /proc/PID/cgroup. Return: its length, 0
 * when it is not there. */
size_t group_find(const char *text, const char **path);

/* Is it an absolute path without ".."? */
bool group_path_ok(const char *path);
