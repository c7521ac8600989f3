/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path_rules.h - what each role of a path asks for (path.h); for host/path*.c
 */
#pragma once

#include "host/path.h"

enum path_how {
	PATH_FILE,        /* open() */
	PATH_TAP_BY_NAME, /* /dev/net/tun, attached */
	PATH_LISTEN,      /* bind() and listen() */
	PATH_CONNECT,     /* connect() */
	PATH_CONNECTED,   /* a descriptor that was left to us */
};

/* What a descriptor may be of. */
enum path_type {
	PATH_REG = 1u << 0,
	PATH_DIR = 1u << 1,
	PATH_BLK = 1u << 2,
};

/**
 * struct path_sentence - how a failure is told
 * @rc:		-errno; 0, in the last one: whatever has no sentence of its own
 * @text:	for the API; {path}, {why} ("No such file or directory"),
 *		{os} ("No such file or directory (os error 2)"), {hint}
 * @plain:	for a person; NULL: the same
 */
struct path_sentence {
	int rc;
	const char *text;
	const char *plain;
};

/**
 * struct path_rule - one role
 * @fixed:	its path; NULL: the caller's
 * @flags:	of open(), beside O_CLOEXEC, O_NOCTTY and O_NONBLOCK
 * @mode:	of a file that is made, before the umask
 * @types:	bits of enum path_type; 0: whatever open() takes
 * @wrong, @wrong_dir:	-errno for other types; for a directory, if it is
 *		another one
 * @may_wait:	without O_NONBLOCK
 * @unset_nonblock:	O_NONBLOCK is for open() only
 * @lone_fifo:	a FIFO that nobody reads is opened for both directions
 * @no_kernels:	no file of /proc, /sys and their like
 * @claimed:	a block device that the host uses is refused: -EBUSY
 * @backlog:	PATH_LISTEN
 * @limit_ms:	PATH_CONNECT: a limit or UNIX_NOWAIT
 * @makes:	a directory in which names are made
 * @say:	the one with rc 0 is the last
 */
struct path_rule {
	const char *fixed;
	enum path_how how;
	int flags;
	mode_t mode;
	unsigned int types;
	int wrong;
	int wrong_dir;
	bool may_wait;
	bool unset_nonblock;
	bool lone_fifo;
	bool no_kernels;
	bool claimed;
	int backlog;
	int limit_ms;
	bool makes;
	const struct path_sentence *say;
};

extern const struct path_rule path_rules[PATH_NR];

/* Is it the name of a file that is opened? Else of a tap or socket. */
bool path_is_file(enum path_role role);

/* Does who has a descriptor of @role write, or make names? */
bool path_writes(enum path_role role);

/**
 * path_open_beneath() - as path_open() of a role that is a file
 * @dir:	nothing out of it, and no symbolic link, is followed
 *
 * Return: a descriptor; -EXDEV or -ELOOP for what leads out or through a link;
 * -ENOSYS before Linux 5.6; -errno.
 */
int path_open_beneath(int dir, enum path_role role,
		      const char *path) __must_check;
