/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup_mount.h - where the hierarchies of cgroups are
 *
 * Version 1 has a hierarchy for each controller, or for some together, found by
 * its name among the mount options; version 2 has one for all.
 *
 * Source: Documentation/admin-guide/cgroup-v1/cgroups.rst, cgroup-v2.rst.
 */
#pragma once

#include "base/bits.h"

#define CGROUP_MOUNTS "/proc/mounts"

/**
 * cgroup_find_mount() - where a hierarchy is mounted
 * @mounts:	text of /proc/mounts
 * @controller:	@len bytes: version 1 looks for them among the options
 * @out:	the mount point, its escapes undone; the caller's to free
 * @any:	set when there is a hierarchy of that version at all
 *
 * Return: 0, -ENOENT when there is none, or -ENOMEM.
 */
int cgroup_find_mount(const char *mounts, unsigned int version,
		      const char *controller, size_t len, char **out,
		      bool *any) __must_check;

/* Is the word @name of @len bytes among the words of @list? */
bool cgroup_lists(const char *list, const char *name, size_t len);
