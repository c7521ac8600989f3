/* SPDX-License-Identifier: Apache-2.0 */
/*
 * path.h - a path of the host becomes a descriptor, by what it is for
 *
 * Theory of operation
 *
 * Whoever needs a file, device or socket of the host names a role and, where
 * the role has none of its own, a path. The role decides everything else: one
 * table (path_rules.c) has its flags, the types that it takes, and the sentence
 * for each way to fail. No other file of volt-vmm opens (tools/check-style),
 * but host/below.h names in a directory that is open already, and host/unix.h
 * sockets for us.
 *
 * Who opens is behind a `struct path_opener`, which the owner of the VM hands
 * down:
 *
 *   path_direct		this process, at once
 *   another process	asks for the role's field of the request in hand; path
 *			and sentences stay on the side that knows them. What
 *			crosses is (role, index) one way, a descriptor or an
 *			errno the other, so that path_say() makes the same
 *			sentence on both sides.
 *
 * A start and a restore take every descriptor from one opener. So whatever a
 * role needs to be usable is done here as well: a tap is attached, a socket
 * listens or is connected.
 *
 * What a path names may be anything, whatever was meant: a FIFO without a
 * writer, a device, a directory. So each role is opened O_NONBLOCK (but for the
 * configuration file and its like, which may be pipes on purpose) and what came
 * is looked at before anybody uses it. O_CLOEXEC and O_NOCTTY go without
 * saying. Symbolic links are followed: paths are the client's, and Firecracker
 * follows them.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* How long the handler of a userfaultfd has to accept. */
#define PATH_UFFD_MS 30000

/* What a path is for. */
enum path_role {
	/* The client's or the person's path. */
	PATH_KERNEL,
	PATH_INITRD,
	PATH_DISK,    /* to read and write */
	PATH_DISK_RO, /* to read only */
	PATH_PMEM,    /* to be mapped, to read and write */
	PATH_PMEM_RO, /* to be mapped, to read only */
	PATH_LOG,
	PATH_METRICS,
	PATH_SERIAL,
	PATH_CONFIG,
	PATH_METADATA,   /* the document of --metadata */
	PATH_FILTER,     /* of system calls */
	PATH_HOST_RULES, /* the host's settings for all VMs */
	PATH_STATE,      /* of a snapshot, to read */
	PATH_MEMORY,     /* of a snapshot, to read */
	PATH_PLACE,      /* the directory that a snapshot is written to */
	PATH_PARENT,     /* the directory in which that is made */
	PATH_FOLDER,     /* is it a directory? The descriptor can do nothing */
	PATH_OVERLAY,    /* a directory: a new file in it that has no name */

	/* The name of an interface. */
	PATH_TAP,       /* made if it is not there */
	PATH_TAP_READY, /* there and up, or an error */

	/* Sockets. */
	PATH_API,          /* listens */
	PATH_VSOCK,        /* listens */
	PATH_VSOCK_PEER,   /* connected at once, or -EAGAIN; non-blocking */
	PATH_UFFD_HANDLER, /* connected within PATH_UFFD_MS */
	PATH_FRAMES,       /* connected at once; non-blocking */
	PATH_FRAMES_LEFT,  /* /dev/fd/N: connected by who started us */

	/* Their path is fixed: give NULL. */
	PATH_KVM,
	PATH_VHOST_NET,
	PATH_USERFAULTFD, /* the device, which makes them */
	PATH_PAGEMAP,     /* our own */
	PATH_SMAPS,       /* our own, summed up */
	PATH_HUGE_POLICY,
	PATH_BOOT_ID,
	PATH_NULL,
	PATH_TTY, /* of this session */

	/* Under /proc: what this host's kernel tells. */
	PATH_OUR_STREAM, /* a pipe or terminal of ours, opened anew */
	PATH_PROC_DIR,
	PATH_NR,
};

/**
 * struct path_want - what is to be opened
 * @path:	NULL where the role has a fixed one
 * @index:	which one, where a request or a snapshot has several: the n-th
 *		drive or interface, from 0; of a PATH_MEMORY 1 is the name with
 *		the id (snapshot/files.h), 2 the working set; the port of a
 *		PATH_VSOCK_PEER
 */
struct path_want {
	enum path_role role;
	const char *path;
	unsigned int index;
};

struct path_opener;

/**
 * struct path_ops - an implementation
 * @open:	a descriptor, close-on-exec and the caller's, or -errno with the
 *		role's sentence (path_say()). Context: the VMM thread
 * @holder:	who has a lock on @fd, which was the last to be opened, as
 *		holder_of_lock() tells; NULL: open() finds it in /proc
 * @expect:	what will be opened next, in this order, if nothing goes wrong;
 *		NULL: it is not worth knowing
 * @no_links:	open() follows no symbolic link, nor does who makes names in a
 *		directory that it gave
 */
struct path_ops {
	int (*open)(const struct path_opener *opener,
		    const struct path_want *want, struct err *err);
	void (*holder)(const struct path_opener *opener, int fd, char *text,
		       size_t size);
	void (*expect)(const struct path_opener *opener,
		       const struct path_want *wants, unsigned int nr);
	bool no_links;
};

/**
 * struct path_opener - who opens
 * @ctx:	the implementation's own
 */
struct path_opener {
	const struct path_ops *ops;
	void *ctx;
};

/* This process opens, at once. */
extern const struct path_opener path_direct;

/**
 * path_open_nth() - open what @role needs
 * @path:	NULL where the role has a fixed one
 * @index:	see struct path_want
 *
 * Never blocks on what @path names, but for a PATH_CONFIG or PATH_METADATA, and
 * for a PATH_UFFD_HANDLER within its limit.
 *
 * Return: a descriptor, or -errno with the role's sentence: Firecracker's words
 * without what a request puts before them, and a person's (err_plain()).
 */
int path_open_nth(const struct path_opener *opener, enum path_role role,
		  const char *path, unsigned int index,
		  struct err *err) __must_check;

/* The same where there is one only. */
static inline __must_check int path_open(const struct path_opener *opener,
					 enum path_role role, const char *path,
					 struct err *err)
{
	return path_open_nth(opener, role, path, 0, err);
}

/* A hint: @nr files whose paths need not be known yet are opened next, in this
 * order. Whoever opens something else instead loses nothing but time. */
static inline void path_expect(const struct path_opener *opener,
			       const struct path_want *wants, unsigned int nr)
{
	if (opener->ops->expect)
		opener->ops->expect(opener, wants, nr);
}

/**
 * path_say() - the role's sentence for a failure
 * @path:	as the person or client gave it
 * @rc:		-errno; @hint is behind it for a person (base/denied.h), or ""
 *
 * Return: @rc.
 */
int path_say(enum path_role role, const char *path, int rc, const char *hint,
	     struct err *err);

enum path_compared {
	PATH_SAME,
	PATH_OTHER,   /* it names another file now */
	PATH_UNKNOWN, /* it cannot be opened */
};

/**
 * path_compare() - does @path still name the file that @fd is open of?
 *
 * Opens it once more: a name may have been given to another file meanwhile.
 */
enum path_compared path_compare(const struct path_opener *opener,
				enum path_role role, const char *path,
				int fd) __must_check;

/* Is @path a directory? Asks @opener, who may say no for other reasons. */
bool path_is_folder(const struct path_opener *opener,
		    const char *path) __must_check;

/**
 * path_read_text() - the first line of a small file of the kernel's
 * @text:	empty on failure; without its line feed
 *
 * Return: 0 or -errno.
 */
int path_read_text(const struct path_opener *opener, enum path_role role,
		   char *text, size_t size);

/* The role's name in messages and tests: "kernel". */
