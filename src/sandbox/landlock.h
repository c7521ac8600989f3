/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock.h - a process that may name no file, port or stranger
 *
 * Theory of operation
 *
 * A ruleset that handles every right and grants none: from then on the thread,
 * and what it starts, opens nothing by a path. What it holds open it may use.
 * How much that is depends on the kernel's ABI version; rights of a later one
 * are left out (the call would fail), and seccomp alone stands there. At most
 * LANDLOCK_ABI_KNOWN is asked for.
 *
 * Below ABI 8 a ruleset is of the calling thread and those that it starts
 * later: each thread that runs already restricts itself.
 *
 * Source: Documentation/userspace-api/landlock.rst. The numbers stand here as
 * the headers of Debian 12 end with ABI 2.
 */
#pragma once

#include "base/bits.h"

#define LANDLOCK_ABI_KNOWN 10

struct landlock_rights {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

/* The ABI of this kernel; 0: it has no Landlock, or was started without. */
unsigned int landlock_abi(void);

/* Everything that a kernel of @abi can deny; zeros for 0. */
struct landlock_rights landlock_rights(unsigned int abi);

/* Of .scoped: signals to processes that are not of the same ruleset. */
#define LANDLOCK_SIGNALS 2u

/**
 * landlock_lock() - deny the calling thread what @abi can deny, for good
 * @abi:	1 or more; that of the kernel or, for tests, less
 * @signals:	deny these, too. The kernel's own signal at the death of a
 *		parent (PR_SET_PDEATHSIG) counts as the parent's: a child that
 *		is to die with it would live on
 *
 * Needs no_new_privs. Return: 0 or -errno.
 */
int landlock_lock(unsigned int abi, bool signals) __must_check;

/**
 * landlock_gap() - the @i-th thing that Landlock of @abi leaves to seccomp
 *
 * Return: a phrase, or NULL behind the last one.
 */
const char *landlock_gap(unsigned int abi, unsigned int i);
