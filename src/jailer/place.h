/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - making things where others may have put theirs
 *
 * Theory of operation
 *
 * The folder of a jail may have been used before, or filled by a launcher, and
 * who ran in it could write there. So every step is one name below a directory
 * that is held open, and no name is ever followed:
 *
 * - A directory is made, or taken when it is one already that root or the
 *   jail's user owns and nobody else can write to. Taking makes it root's, with
 *   mode 0700, so that nobody can change names in it while the jail is made.
 * - A file is made where no name is (O_EXCL). A file that is there is replaced
 *   when it is a plain one of root with one name; else it is refused.
 * - A device is made where no name is.
 *
 * What is refused stays as it is. What was made or taken is noted, so that a
 * jail that fails leaves the folder as it was found (place_undo()).
 *
 * The folders above, to the base, are the operator's.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* Of one jail: three folders, root, dev, net, run, four devices, the program,
 * the pid file. */
#define PLACE_NOTES_MAX 16

enum place_kind {
	PLACE_FILE,
	PLACE_DIR,
	PLACE_TAKEN, /* a directory that was there: owner and mode change */
};

/**
 * struct place - who may own what is there, and what was made
 * @us:		effective user of this process
 * @uid, @gid:	the jail's
 * @note:	the first @nr: what was made or changed, to be undone on failure
 */
struct place {
	uid_t us;
	uid_t uid;
	gid_t gid;
	unsigned int nr;
	struct place_note {
		enum place_kind kind;
		int at;
		const char *name;
		uid_t uid;
		gid_t gid;
		mode_t mode;
	} note[PLACE_NOTES_MAX];
};

/**
 * place_open() - the directory @name below @at, made with mode 0755 if needed
 * @path:	of it, for messages
 * @keep:	do not remove it in place_undo(): others may use it
 *
 * Return: a descriptor, or -errno with a sentence.
 */
int place_open(struct place *p, int at, const char *name, const char *path,
	       bool keep, struct err *err) __must_check;

/* The same, and it is ours alone until place_give(): mode 0700. Return: as
 * place_open(). */
int place_take(struct place *p, int at, const char *name, const char *path,
	       struct err *err) __must_check;

/* Give a directory that was taken to the jail's user, mode 0700. Return: 0 or
 * -errno with a sentence. */
int place_give(const struct place *p, int fd, const char *path,
	       struct err *err) __must_check;

/**
 * place_file() - a new file in a directory that was taken
 * @mode:	of it, whatever the umask
 * @why:	set on failure: the end of a sentence
 *
 * Return: a descriptor for writing, or -errno.
 */
int place_file(struct place *p, int at, const char *name, mode_t mode,
	       const char **why) __must_check;

/* A character device, mode 0600, of the jail's user, in a directory that was
 * taken. Return: 0 or -errno with a sentence. */
int place_device(struct place *p, int at, const char *name, dev_t dev,
		 const char *path, struct err *err) __must_check;

/* Remove what was made, give back what was taken. */
void place_undo(struct place *p);
