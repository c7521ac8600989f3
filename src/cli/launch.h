/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - a command of `volt` that becomes volt-vmm
 *
 * No process stays in between, so the console, signals and the exit code are
 * volt-vmm's own. The VM has a name, which is free: `volt ps` and `volt stop`
 * find it by that.
 */
#pragma once

#include "cli/vmapi.h"

#include <limits.h>

#define LAUNCH_ARGS_MAX 128

/**
 * struct launch - volt-vmm's command line under construction; zeroed at first
 * @args:	borrowed; NULL-terminated by being zeroed
 */
struct launch {
	char default_name[24];
	char socket[VMAPI_PATH_MAX];
	char own[PATH_MAX];
	char vmm[PATH_MAX];
	char *args[LAUNCH_ARGS_MAX + 1];
	unsigned int nr;
};

/**
 * launch_begin() - claim a name: remove a dead VM's socket, refuse a living
 * one's
 * @name:	NULL for vm-PID; outlives @launch
 */
int launch_begin(struct launch *launch, const char *name,
		 struct err *err) __must_check;

/* A flag and its value; nothing when that is NULL. */
void launch_add(struct launch *launch, const char *flag, const char *value);

/* A flag that has no value. */
void launch_add_switch(struct launch *launch, const char *flag);

/* What came behind --. Return: 0 or -E2BIG. */
int launch_add_rest(struct launch *launch, char **words,
		    struct err *err) __must_check;

/* Returns only when volt-vmm does not start, with the exit code. */
int launch_exec(struct launch *launch, const char *command);
