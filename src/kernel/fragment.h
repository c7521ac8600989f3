/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fragment.h - what `volt kernel build` puts into a kernel
 *
 * Theory of operation
 *
 * A fragment is a piece of a kernel's configuration: lines as in a .config,
 * and a line "# Summary: ..." for who chooses. Those of Volt are files in one
 * folder, base.config (which is in every kernel) and one for each option; a
 * user may give one more of his own. They are laid on one another in that
 * order: of lines for the same option the last one counts. What nobody names
 * is as `make allnoconfig` leaves it.
 *
 * Kconfig drops in silence what it cannot set. So what was asked for is
 * compared with the .config that came of it: an option that this Linux has and
 * that did not become what it should is a failure, with its name. One that this
 * Linux does not have is left out, and the user is told. Not so of lines behind
 * a comment "# Where Linux has ...", up to an empty line: what came, went or
 * was renamed with a version is named there by all of its names.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define FRAGMENT_BASE     "base"
#define FRAGMENT_NAME_MAX 32

/**
 * struct fragment_line - one option
 * @name:	without CONFIG_
 * @value:	"y", "64", "\"text\""; "n": it is not set
 * @maybe:	nobody misses it in a Linux that does not have it
 */
struct fragment_line {
	char *name;
	char *value;
	bool maybe;
};

/**
 * struct fragments - those that were laid on one another; zeroed at first
 */
struct fragments {
	struct fragment_line *lines;
	size_t nr;
};

void fragments_free(struct fragments *all);
#define cleanup_fragments __attribute__((cleanup(fragments_free)))

/**
 * fragments_lay() - lay a fragment's text on what is there
 * @from:	its name, for the sentence
 *
 * Return: 0; -EINVAL (a line is no option), -ENOMEM; with a sentence.
 */
int fragments_lay(struct fragments *all, const char *from, const char *text,
		  size_t len, struct err *err) __must_check;

/* The same of a file. Return: as fragments_lay(), or -errno of reading it, with
 * a sentence. */
int fragments_lay_file(struct fragments *all, const char *path,
		       struct err *err) __must_check;

/* Lines as in a .config, one for each option. */
void fragments_print(const struct fragments *all, struct buf *out);

/**
 * fragments_find_lost() - the next option that is not in a .config as it should
 * @from:	where to go on: 0, or 1 more than the last one was
 *
 * Return: its index; -1: there is none.
 */
int fragments_find_lost(const struct fragments *all, size_t from,
			const char *config, size_t len);

/**
 * fragment_folder() - where Volt's are: beside the program that runs
 * @folder:	to be freed
 *
 * Return: 0; -ENOENT, -errno, with a sentence.
 */
int fragment_folder(char **folder, struct err *err) __must_check;

/**
 * fragment_each() - call @fn for each of them, sorted, base first
 * @fn:		gets name and summary
 *
 * Return: 0, or -errno with a sentence.
 */
int fragment_each(const char *folder,
		  void (*fn)(const char *name, const char *summary),
		  struct err *err) __must_check;

/**
 * fragment_names() - "net,vsock" as a sorted list without base and doubles
 * @names:	gets each name with a NUL
 * @nr:		how many
 *
 * Return: 0; -EINVAL (one that is none, and those that there are), -errno;
 * with a sentence.
 */
int fragment_names(const char *folder, const char *list, struct buf *names,
		   unsigned int *nr, struct err *err) __must_check;
