/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.h - a kernel from its source and Volt's fragments
 *
 * Theory of operation
 *
 * Linux builds in a folder of its own (O=), build-KEY in the cache (source.h),
 * whose KEY is the digest of the source's id and of what was asked for. So the
 * same command finds the same folder, and make goes on where it was: that is
 * all there is to resuming. One thing make cannot know: a compiler that was
 * killed leaves half an object, which is newer than its source. Kbuild writes
 * .NAME.o.cmd behind each object; an object without one, or with an older one,
 * goes before make starts (build_drop_unfinished()). The libraries of objtool
 * have no such file, and all objects depend on that program: what is older than
 * it stays, or each build would compile everything again.
 *
 * A folder that is kept (keep) belongs to all kernels of one source: its KEY is
 * that of the source alone. Kbuild notes for each object which options it looks
 * at, so the next kernel there compiles what its options change, and no more.
 *
 * Who builds holds the folder locked, and so do make and all that it runs: a
 * build whose volt was killed is over when the last of them is.
 *
 * How much there is to do tells make -n, which knows what is done already; what
 * is done tells the log, a line for each file. The same source and fragments
 * give the same bytes: names and times in the kernel are Volt's.
 */
#pragma once

#include "kernel/fragment.h"
#include "kernel/source.h"

#define BUILD_LOG "build.log"

/**
 * struct build - one build; zeroed but for what the caller gives
 * @keep:	in the folder of all kernels of this source that are kept
 * @folder:	build-KEY; owned, build_close()
 */
struct build {
	const char *cache;
	const struct source *source;
	const struct fragments *fragments;
	unsigned int jobs;
	bool keep;
	struct progress *progress;
	char *folder;
	int hold;
};

/**
 * build_kernel() - @folder then has vmlinux and .config
 * @ignored:	gets the names of options that this Linux does not have
 *
 * Return: 0; -ENOENT (a tool is missing), -EINVAL (an option cannot be set),
 * -EIO (it failed; the log is named), -errno; with a sentence.
 */
int build_kernel(struct build *build, struct buf *ignored,
		 struct err *err) __must_check;

/* Programs and headers that a build needs. Return: 0, or -ENOENT with a
 * sentence that names what is missing and the packages that have it. */
int build_check_tools(struct err *err) __must_check;

/* @done: what is in the folder is needed no more. */
void build_close(struct build *build, bool done);

/* Objects below @folder that a killed compiler may have left go. Return: how
 * many. */
unsigned int build_drop_unfinished(const char *folder);

/* How many files a log, or make -n, says that it makes. @dry: make -n. */
unsigned int build_count_steps(const char *text, size_t len, bool dry);

/* The line of a log that says why: the first error. @line: 256 bytes. */
void build_find_error(const char *text, size_t len, char line[static 256]);

/* "3 min", "40 s"; @out: 32 bytes. */
const char *build_time_left(uint64_t ms, unsigned int done, unsigned int total,
			    char out[static 32]);
