/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail.h - read lines of a file that is replaced when it is full
 *
 * Who reads takes the old file first, then the new one, and goes on to the next
 * when its own has lost its name and has no more. One who is a whole file
 * behind misses what is gone.
 */
#pragma once

#include "base/buf.h"

/**
 * struct tail - someone who reads
 * @folder:	where the file is; borrowed
 * @max:	bytes of a line: a longer one is none
 * @old:	the old file is read
 * @in:		what was read, from @at on not given out
 */
struct tail {
	int folder;
	int fd;
	const char *name;
	size_t max;
	bool old;
	struct buf in;
	size_t at;
};

/* From the first line of the old file on, if there is one. */
void tail_begin(struct tail *tail, int folder, const char *name,
		const char *old, size_t max);

/**
 * tail_next() - the next line
 * @text:	until the next call, without its line feed
 *
 * Return: 1; 0 when there is no more for now; -errno.
 */
int tail_next(struct tail *tail, const char **text, size_t *len) __must_check;

void tail_end(struct tail *tail);
