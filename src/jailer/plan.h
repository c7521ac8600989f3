/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - the command line of volt-jailer, checked
 *
 * Everything that can be wrong with it is found here, before anything is made,
 * in the order and in the words of Firecracker's jailer.
 */
#pragma once

#include "jailer/cgroup.h"
#include "jailer/page.h"

#include <sys/types.h>

#define PLAN_NO_FILE_DEFAULT 2048u

/**
 * struct plan_limits - of --resource-limit
 * @fsize:	bytes
 * @no_file:	one more than the highest descriptor
 */
struct plan_limits {
	bool has_fsize;
	uint64_t fsize;
	uint64_t no_file;
};

/**
 * struct plan - the jail that is asked for; strings point into argv but for
 * those that plan_free() frees
 * @exec_path:	canonical; owned
 * @exec_name:	its last part, within @exec_path
 * @exec_fd:	the program, open for reading
 * @base:	canonical; owned
 * @rest:	arguments for the program, NULL-terminated
 */
struct plan {
	const char *id;
	char *exec_path;
	const char *exec_name;
	int exec_fd;
	char *base;
	uid_t uid;
	gid_t gid;
	const char *netns;
	bool daemonize;
	bool new_pid_ns;
	struct cgroup_plan cgroups;
	struct plan_limits limits;
	char **rest;
};

/* Are the four options there that every jail needs? Return: 0, or -EINVAL with
 * a sentence. */
int plan_check_required(const struct jailer_options *opts,
			struct err *err) __must_check;

/* Return: 0, or -EINVAL with a sentence. */
int plan_check_id(const char *id, struct err *err) __must_check;

/* One --resource-limit. Return: 0, or -EINVAL with a sentence. */
int plan_parse_limit(const char *text, struct plan_limits *limits,
		     struct err *err) __must_check;

/* --uid or --gid, called @what in the message. Return: 0, or -EINVAL with a
 * sentence. */
int plan_parse_user(const char *what, const char *text, uint32_t *out,
		    struct err *err) __must_check;

/**
 * plan_fill() - check all of it, open the program
 * @opts:	plan_check_required() has passed
 *
 * Return: 0 or -errno with a sentence; plan_free() it in any case.
 */
int plan_fill(struct plan *plan, const struct jailer_options *opts,
	      const struct args *args, struct err *err) __must_check;
void plan_free(struct plan *plan);
