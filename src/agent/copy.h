/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy.h - a tree of files on its way between a host and a guest
 *
 * Theory of operation
 *
 * A tree is a stream of bytes: entries (struct agent_entry), each with its name
 * and what is in it. copy_send() makes one of a path, copy_take() a path of
 * one; both sides have both. The stream goes as a command's input or output
 * does, so who does not take it stops who sends it.
 *
 * copy_take() believes nothing. Where the tree goes is said by its caller: the
 * first entry has no name, and each other one is a name in the folder that is
 * open then, by descriptor: no "/", no "..", no way up but UP, as often as
 * down. No link is followed, not one that was there before either: a file is
 * made beside, and takes the place of what has its name when it is whole; a
 * folder that is there already is entered and keeps its mode and owner. A
 * folder is never replaced by a file, and nothing takes the place of a device,
 * a socket or a pipe. What comes counts, each entry COPY_ENTRY_BYTES beside its
 * bytes, and more than @limit ends it. Blocks of zeros become holes.
 *
 * What is neither file, folder nor link is left out, and counted. Extended
 * attributes and names that are one file (hard links) are not kept.
 *
 * Context: a process of its own; its ends close with it.
 */
#pragma once

#include "agent/wire.h"
#include "base/err.h"

#include <sys/types.h>

#define COPY_DEPTH_MAX   64
#define COPY_ENTRY_BYTES 4096u

/* With the number of them. */
#define COPY_LEFT_OUT "%u left out: neither file, folder nor link"

/**
 * struct copy_source - what is sent
 * @follow:	if @path is a link, what it leads to
 * @owners:	are sent; else all is root's
 * @progress:	gets the bytes of files so far; may be NULL
 */
struct copy_source {
	const char *path;
	bool follow;
	bool owners;
	void (*progress)(uint64_t bytes);
};

/**
 * copy_send() - a path as a stream
 *
 * Return: 0, with the number of what was *@left_out; -errno with a sentence.
 */
int copy_send(const struct copy_source *source, int out, unsigned int *left_out,
	      struct err *err) __must_check;

/**
 * struct copy_target - where it goes
 * @path:	a folder that is there: into it, as @name
 * @name:	"": what is in the tree's first folder goes into @path itself
 * @limit:	bytes; 0: none
 * @modes:	bits that are kept
 * @owners:	are kept
 * @progress:	gets the bytes of files so far; may be NULL
 */
struct copy_target {
	const char *path;
	const char *name;
	uint64_t limit;
	mode_t modes;
	bool owners;
	void (*progress)(uint64_t bytes);
};

/**
 * copy_take() - a stream as a path
 *
 * What is whole stays when the rest fails.
 *
 * Return: 0; -ENODATA when the stream ended too early; -EPROTO; -errno; with a
 * sentence.
 */
int copy_take(const struct copy_target *target, int in,
	      struct err *err) __must_check;
