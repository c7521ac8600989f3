/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal.h - the lock file of a snapshot's place, and what it notes
 *
 * One record for each name that a writer is about to make (files.h). The file
 * is removed by who leaves the place tidy. Another process of the same user may
 * hold it or write to it; others cannot.
 */
#pragma once

#include "base/bits.h"

#include <sys/types.h>

/**
 * journal_open() - make and lock @name in @dir; never waits
 *
 * Return: a descriptor; -EBUSY: somebody holds it; -EEXIST: the file that has
 * the name is none of ours; -errno. A file system without locks is as good as
 * one with.
 */
int journal_open(int dir, const char *name) __must_check;

/**
 * journal_note() - @name will be made in @dir
 * @ino:	its inode; 0: a name that nobody else can have chosen
 *
 * Return: 0 or -errno.
 */
int journal_note(int journal, int dir, const char *name,
		 ino_t ino) __must_check;

/**
 * journal_replay() - tidy up after who has left this journal, and empty it
 * @dirs:	names in other directories stay
 * @suffix:	what has it at its end loses it, and is kept; "": nothing has
 *
 * Return: 0 or -errno.
 */
int journal_replay(int journal, const int *dirs, size_t nr,
		   const char *suffix) __must_check;

/**
 * journal_open_left() - lock the journal that a writer has left
 * @may_be_empty:	nobody else has files of that name, so that an empty one
 *		is of a writer who was killed at once
 *
 * A file that is none of ours is not even locked: it may be another program's.
 *
 * Return: a descriptor; -ENOENT; -EBUSY: a writer is at work; -EEXIST: it is
 * none of ours; -errno.
 */
int journal_open_left(int dir, const char *name,
		      bool may_be_empty) __must_check;

/**
 * struct journal_watch - who is told what a sweep does; embed it
 * @dry:	nothing is changed
 * @done:	@name was removed, which took @bytes; or became @to
 */
struct journal_watch {
	bool dry;
	void (*done)(struct journal_watch *watch, const char *name,
		     const char *to, uint64_t bytes);
};

/**
 * journal_sweep() - as journal_replay(), for who makes no new snapshot
 * @dir:	the only one that names may be in
 * @suffix:	of the state that is there; "": there is none
 *
 * Nothing is done unless all of it can be decided. The journal stays as it is,
 * so that it may be done again.
 *
 * Return: 0; -EXDEV: there are names in another directory; -ESTALE: there are
 * names of a state that is gone; -EBADMSG: it cannot be understood; -errno.
 */
int journal_sweep(int journal, int dir, const char *suffix,
		  struct journal_watch *watch) __must_check;

/* Unlocks; removes the file when the place is @clean. */
void journal_close(int *journal, int dir, const char *name, bool clean);
