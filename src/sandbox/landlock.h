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
 * The gate is denied what no name of a client's needs, landlock_lock_gate(),
 * and with --allow is left a few directories, landlock_lock_but().
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

/*
 * What a directory may be granted. Nothing there is executed, and no node,
 * socket or symbolic link made. To truncate a file and to control a device are
 * rights that go with a descriptor to where it is handed.
 */
enum landlock_right {
	LANDLOCK_EXECUTE = 1 << 0,
	LANDLOCK_WRITE_FILE = 1 << 1,
	LANDLOCK_READ_FILE = 1 << 2,
	LANDLOCK_READ_DIR = 1 << 3,
	LANDLOCK_REMOVE_DIR = 1 << 4,
	LANDLOCK_REMOVE_FILE = 1 << 5,
	LANDLOCK_MAKE_CHAR = 1 << 6,
	LANDLOCK_MAKE_DIR = 1 << 7,
	LANDLOCK_MAKE_REG = 1 << 8,
	LANDLOCK_MAKE_SOCK = 1 << 9,
	LANDLOCK_MAKE_FIFO = 1 << 10,
	LANDLOCK_MAKE_BLOCK = 1 << 11,
	LANDLOCK_MAKE_SYM = 1 << 12,
	LANDLOCK_REFER = 1 << 13,
	LANDLOCK_TRUNCATE = 1 << 14,
	LANDLOCK_IOCTL_DEV = 1 << 15,
	LANDLOCK_RESOLVE_UNIX = 1 << 16,
};

#define LANDLOCK_READ \
	(LANDLOCK_READ_FILE | LANDLOCK_READ_DIR | LANDLOCK_IOCTL_DEV)
#define LANDLOCK_WRITE                                                      \
	(LANDLOCK_WRITE_FILE | LANDLOCK_REMOVE_DIR | LANDLOCK_REMOVE_FILE | \
	 LANDLOCK_MAKE_DIR | LANDLOCK_MAKE_REG | LANDLOCK_REFER |           \
	 LANDLOCK_TRUNCATE)

/**
 * struct landlock_rule - what may be done below a directory
 * @fd:		of the directory (O_PATH will do); -1: there is none
 * @rights:	of enum landlock_right; what the kernel cannot deny is left out
 */
struct landlock_rule {
	int fd;
	uint64_t rights;
};

/**
 * landlock_lock_but() - landlock_lock() with signals, but for some directories
 * @rules:	@nr of them; rights add up along a path
 *
 * Return: as landlock_lock().
 */
int landlock_lock_but(unsigned int abi, const struct landlock_rule *rules,
		      size_t nr) __must_check;

/**
 * landlock_lock_gate() - deny what the gate needs for nothing that is named
 * @binds:	it may make sockets yet; locked again without, it no more may
 *
 * Executing, making nodes, sockets and links, a name in another directory for a
 * file (REFER, which every ruleset denies), and all of the network, of abstract
 * sockets and of signals. Whatever a client names is opened as without it.
 *
 * Return: as landlock_lock().
 */
int landlock_lock_gate(unsigned int abi, bool binds) __must_check;

/**
 * landlock_gap() - the @i-th thing that Landlock of @abi leaves to seccomp
 *
 * Return: a phrase, or NULL behind the last one.
 */
const char *landlock_gap(unsigned int abi, unsigned int i);
