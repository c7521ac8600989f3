/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_cgroup.h - a VM's own cgroups, wherever this user may make some
 *
 * Theory of operation
 *
 * The group is volt-NAME below the cgroup of this process, or below the one
 * that was named. Each controller that is needed is looked for: it has a
 * hierarchy of version 1, or is in that of version 2 (a host may have both).
 *
 * Who may make groups. Root; with version 1 whoever owns a directory there;
 * with version 2 whoever a directory was delegated to, which systemd does for
 * `systemd-run --user --scope -p Delegate=yes`. There this process is alone in
 * what was delegated, and a cgroup of version 2 with processes in it hands no
 * controller down: so this process goes into the VM's group before, and the
 * keeper into one beside it, volt-NAME-keeper.
 *
 * Order: vm_cgroup_make(); the keeper is forked; vm_cgroup_enter(); this
 * process becomes the VM; it ends; vm_cgroup_remove(), by the keeper.
 *
 * Sources: Documentation/admin-guide/cgroup-v2.rst ("No Internal Process
 * Constraint", "Delegation"), cgroup-v1/.
 */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <sys/types.h>

#define VM_CGROUP_MAX 3

/**
 * struct group_bounds - what a cgroup bounds; 0: not
 * @memory_mib:	MiB
 * @cpu:	percent of one CPU
 * @pids:	processes and threads
 * @parent:	the cgroup below which the VM's is made; NULL: where this
 *		process is
 */
struct group_bounds {
	uint64_t memory_mib;
	uint64_t cpu;
	uint64_t pids;
	const char *parent;
};

/**
 * struct vm_group - in one hierarchy
 * @parent:	directory in which the group is
 * @fd:		the group
 * @path:	of the parent, for messages
 * @set:	bit for each enum vm_bound that belongs here
 */
struct vm_group {
	int parent;
	int fd;
	unsigned int version;
	unsigned int set;
	char path[PATH_MAX];
};

/**
 * struct vm_cgroup - all of a VM's
 * @name:	of each
 * @keeper:	of the one beside it
 */
struct vm_cgroup {
	unsigned int nr;
	char name[80];
	char keeper[96];
	struct vm_group group[VM_CGROUP_MAX];
};

/**
 * vm_cgroup_make() - make the groups that the bounds need; perhaps none
 * @name:	of the VM
 *
 * What a killed keeper left is taken.
 *
 * Return: 0 or -errno with a sentence; vm_cgroup_remove() in any case.
 */
int vm_cgroup_make(struct vm_cgroup *cg, const struct group_bounds *bounds,
		   const char *name, struct err *err) __must_check;

/* Set the bounds and go in. Return: 0 or -errno with a sentence. */
int vm_cgroup_enter(const struct vm_cgroup *cg,
		    const struct group_bounds *bounds, pid_t keeper,
		    struct err *err) __must_check;

/* Remove what is empty, for a short while again and again, and close all. */
void vm_cgroup_remove(struct vm_cgroup *cg);

/* ---- what has no system call, for tests ---- */

/**
 * vm_cgroup_own() - where a process is
 * @text:	of /proc/PID/cgroup
 * @controller:	of version 1; NULL: version 2
 *
 * Return: the path's length, with @path into @text; 0 when it is not there.
 */
size_t vm_cgroup_own(const char *text, const char *controller,
		     const char **path);
