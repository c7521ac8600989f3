/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alone.h - VMs that somebody started as volt-vmm, without `volt`
 *
 * There is no register of them: they are this user's processes whose program is
 * named volt-vmm, and the command line of each says where its API is. What a
 * process does not tell (another's namespace, no API) stays unknown.
 */
#pragma once

#include "cli/vmapi.h"

/**
 * struct alone - one of them
 * @id:		as --id says
 * @socket:	of its API, absolute; "": none that can be told
 */
struct alone {
	pid_t pid;
	char id[VMAPI_NAME_MAX + 1];
	char socket[VMAPI_PATH_MAX];
};

/**
 * alone_each() - this user's volt-vmm processes, in the order of their numbers
 *
 * Those that `volt` started are among them.
 *
 * Return: 0; or -errno with a sentence.
 */
int alone_each(void (*each)(void *ctx, const struct alone *vm), void *ctx,
	       struct err *err) __must_check;

/* What the words of a command line say (@len bytes of /proc/PID/cmdline), for a
 * process that works in @folder; "": that is not known. */
void alone_read(struct alone *vm, const char *words, size_t len,
		const char *folder);
