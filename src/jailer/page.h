/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - volt-jailer's page: its options and its help (base/args.h)
 */
#pragma once

#include "base/args.h"

#define JAILER_BASE_DEFAULT "/srv/jailer"

/**
 * struct jailer_options - the command line as it was given
 *
 * Strings point into argv and are NULL when the option is absent and has no
 * default. plan.h says what they must look like.
 */
struct jailer_options {
	const char *id;
	const char *exec_file;
	const char *uid;
	const char *gid;
	const char *base;
	const char *netns;
	const char *parent_cgroup;
	const char *cgroup_version;
	struct arg_list cgroups;
	struct arg_list limits;
	bool daemonize;
	bool new_pid_ns;
	bool version;
};

/* Offsets are in struct jailer_options. */
extern const struct args_page jailer_page;
