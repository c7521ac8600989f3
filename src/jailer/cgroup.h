/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup.h - the cgroups of a jail
 *
 * Theory of operation
 *
 * A setting is "FILE=VALUE"; the words of FILE before the first dot name the
 * controller. With version 1 each controller has a hierarchy of its own, found
 * by its name among the mount options; with version 2 there is one for all, in
 * which a controller must be handed down from directory to directory
 * (cgroup.subtree_control). In each hierarchy that a setting names, the jail
 * gets PARENT/ID: all values are written first, then the process moves in, for
 * a cpuset without CPUs and memory takes nobody.
 *
 * Sources: Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst; Firecracker's
 * jailer for the names and the sentences that its clients know.
 */
#pragma once

#include "base/args.h"

#include <limits.h>

/**
 * struct cgroup_setting - one --cgroup; it points into argv
 * @file:	@file_len bytes, with a dot between other characters
 */
struct cgroup_setting {
	const char *file;
	const char *value;
	size_t file_len;
	size_t controller_len;
};

/**
 * struct cgroup_plan - what shall be done
 * @parent:	relative, without "." and ".."; may be of several parts
 * @join:	@parent was asked for, and there is no setting
 */
struct cgroup_plan {
	unsigned int version;
	unsigned int nr;
	bool join;
	const char *parent;
	const char *id;
	struct cgroup_setting setting[ARGS_LIST_MAX];
};

/* One --cgroup. Return: 0, or -EINVAL with a sentence. */
int cgroup_parse(const char *text, struct cgroup_setting *out,
		 struct err *err) __must_check;

/* --cgroup-version. Return: 0, or -EINVAL with a sentence. */
int cgroup_parse_version(const char *text, unsigned int *version,
			 struct err *err) __must_check;

/* --parent-cgroup. Return: 0, or -EINVAL with a sentence. */
int cgroup_check_parent(const char *path, struct err *err) __must_check;

/**
 * cgroup_enter() - make the cgroups, set their values, move this process in
 *
 * What was made stays when it fails. Return: 0 or -errno with a sentence.
 */
int cgroup_enter(const struct cgroup_plan *plan, struct err *err) __must_check;
