/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program.h - run a program of the distribution, and take what it says
 */
#pragma once

#include "store/progress.h"

#include "base/buf.h"
#include "base/err.h"

/* What is kept of each of its streams; the rest is read and dropped. */
#define PROGRAM_SAID_MAX MIB(4)

/**
 * struct program - what is to be run
 * @argv:	NULL-terminated; argv[0] is looked for in PATH. No shell sees it
 * @folder:	that it runs in; NULL: this one
 * @what:	for @progress, with the bytes of the files in @folder
 * @env:	NULL-terminated NAME=VALUE, or NAME: taken away; may be NULL
 * @input:	its standard input; 0: it has none
 * @log:	where both streams go, and nothing is taken; 0: nowhere
 * @arg:	for @tick and @write
 * @tick:	called twice a second instead of @progress; may be NULL
 * @write:	gets its standard output, piece by piece. Other than 0 ends it,
 *		and goes to @refused. NULL: what it writes is kept
 */
struct program {
	const char *const *argv;
	const char *folder;
	struct progress *progress;
	const char *what;
	const char *const *env;
	int input;
	int log;
	void *arg;
	void (*tick)(const struct program *program);
	int (*write)(const struct program *program, const void *data,
		     size_t len);
	int *refused;
};

/**
 * program_run() - run it to its end, in the C locale
 * @out:	gets what it wrote to its standard output, with a NUL; NULL
 *		where @write takes that
 * @said:	the same of standard error; may be NULL
 *
 * It gets SIGTERM when this process dies, and has the descriptors of this
 * process that are not close-on-exec.
 *
 * Return: its exit code; 128 and its signal; -ENOENT when there is no such
 * program; -errno.
 */
int program_run(const struct program *program, struct buf *out,
		struct buf *said) __must_check;

/* The last line of @said that is not empty, without "E: ". @line: 256 bytes. */
const char *program_last_line(const struct buf *said, char line[static 256]);

/* The first one: why, where a program goes on to say that it failed. @line: 256
 * bytes. */
const char *program_first_line(const struct buf *said, char line[static 256]);
