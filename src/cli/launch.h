/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launch.h - a command of `volt` that becomes volt-vmm
 *
 * Theory of operation
 *
 * No process stays in between, so the console, signals and the exit code are
 * volt-vmm's own; with --isolate one does, and hands them on (own_pids.h). The
 * VM has a name, which is free: `volt ps` and `volt stop` find it by that.
 *
 * A name is a socket's path, and volt-vmm's bind() is what takes it: of two
 * that start at once one finds the path there and ends. What a killed volt-vmm
 * left there must go before, and nobody's living socket with it. So looking and
 * removing happen under a lock that all of this user share, and a socket that
 * refuses a connection is a dead one only if the kernel does not know it as
 * bound: between bind() and listen() a living one refuses, too.
 */
#pragma once

#include "cli/bounds.h"
#include "cli/vmapi.h"

#include "base/args.h"

#include <limits.h>

#define LAUNCH_ARGS_MAX 128

/* Of a page's options, those that are the command's own. */
#define LAUNCH_GROUP_OWN  2
#define LAUNCH_GROUP_BACK 3

#define LAUNCH_ARG_NAME(...)                                          \
	{"name", "NAME", "letters, digits and '-' (default: vm-PID)", \
	 .kind = ARG_TEXT, __VA_ARGS__}
#define LAUNCH_ARG_SHARE_DRIVES(...)                  \
	{"share-drives", NULL,                        \
	 "also with disks whose files another VM or " \
	 "program uses",                              \
	 .kind = ARG_FLAG, __VA_ARGS__}

/**
 * struct launch - volt-vmm's command line under construction; zeroed at first
 * @name:	the VM's
 * @args:	NULL-terminated by being zeroed
 * @owned:	those of @args that launch_free() frees
 * @isolate, @sandbox: these options were given; the mode, or NULL
 * @paged_from, @paged_memory: the snapshot that a pager serves, as it was
 *		given; NULL: none does
 * @pager_socket:	where it listens
 * @record:	where it records the working set, or NULL; owned
 * @record_s, @record_mib:	when that ends, as it was given; may be NULL
 * @failed:	an argument did not fit, or memory is short
 */
struct launch {
	const char *name;
	char default_name[24];
	char socket[VMAPI_PATH_MAX];
	char own[PATH_MAX];
	char vmm[PATH_MAX];
	char *args[LAUNCH_ARGS_MAX + 1];
	char *owned[LAUNCH_ARGS_MAX];
	unsigned int nr;
	unsigned int nr_owned;
	bool isolate;
	const char *sandbox;
	const char *paged_from;
	const char *paged_memory;
	char pager_socket[VMAPI_PATH_MAX + 8];
	char *record;
	const char *record_s;
	const char *record_mib;
	bool failed;
};

/**
 * launch_begin() - claim a name: remove a dead VM's socket, refuse a living
 * one's
 * @name:	NULL for vm-PID; outlives @launch
 *
 * Return: 0, or -errno with a sentence.
 */
int launch_begin(struct launch *launch, const char *name,
		 struct err *err) __must_check;

/* launch_begin() once more, of a name that @from claimed. */
void launch_begin_again(struct launch *launch, const struct launch *from);

/* A flag, and its value unless that is NULL; borrowed. */
void launch_add(struct launch *launch, const char *flag, const char *value);

enum launch_given {
	LAUNCH_ALL,
	LAUNCH_FOR_RESTORE, /* those that a VM may be restored with */
};

/* All options but those of LAUNCH_ARG_*, which are dealt with here, those of
 * bounds.h, and the command's own; or of these only some. */
void launch_add_given(struct launch *launch, const struct args *args,
		      enum launch_given which);

/* A pager serves the memory of a snapshot; borrowed. It is started as the last
 * thing, so that bounds and namespaces are its own, too. */
void launch_add_pager(struct launch *launch, const char *from,
		      const char *memory);

/**
 * launch_add_record() - the pager records the working set
 * @path:	taken over
 *
 * When that ends is among launch_add_given()'s.
 */
void launch_add_record(struct launch *launch, char *path);

/* What came behind --, as the last. Return: 0, or -errno with a sentence. */
int launch_add_rest(struct launch *launch, char **words,
		    struct err *err) __must_check;

/**
 * launch_exec() - become volt-vmm, within the bounds
 *
 * Return: an exit code: that fails, or with --isolate the VM has ended.
 */
int launch_exec(struct launch *launch, const struct bounds *bounds,
		const struct args_page *page);

void launch_free(struct launch *launch);
