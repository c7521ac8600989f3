/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load.h - what a snapshot that is loaded names, for the gate to open
 *
 * Theory of operation
 *
 * A process that was locked first (--sandbox-first) loads a snapshot through
 * the gate. PUT /snapshot/load names the state, and the memory or the directory
 * of both. The state names drives, taps, the socket device's path and the
 * console's file, unless the request names others.
 *
 * The guest process asks by role and number, as ever. When it asks for the
 * state the gate opens it and keeps a descriptor of its own; from that it reads
 * the other names, by itself. So it opens what the client named, or what a file
 * names that the client named, in this request. <memory>.<id>, by which memory
 * is known while a snapshot takes the place of another (snapshot/files.h), is
 * the gate's to make: the id is the state's. So is the working set's, which is
 * a fixed one beside the memory.
 *
 * A state that somebody changes meanwhile may show the two halves two texts.
 * The guest process checks its CRC, the gate does not: it decides on nothing
 * but names.
 */
#pragma once

#include "gate/need.h"

/**
 * struct load - of the request in progress; @state_fd is -1 before
 * @text:	@len bytes of the state, once a name was looked for in it
 */
struct load {
	int state_fd;
	char *text;
	size_t len;
};

#define LOAD_NONE ((struct load){.state_fd = -1})

/**
 * load_path() - what the snapshot names for @role
 * @index:	the n-th drive or interface of the state; of PATH_MEMORY 0 is
 *		<memory>, 1 is <memory>.<id>, 2 the working set
 * @path:	as need_text()
 *
 * Return: 0; -EACCES: nothing; -ENOMEM; -errno when the state cannot be read.
 */
int load_path(struct load *load, const struct need_request *request,
	      enum path_role role, unsigned int index,
	      struct buf *path) __must_check;

/* The state was opened: @fd stays the caller's. Return: 0 or -errno. */
int load_take_state(struct load *load, int fd) __must_check;

/* The request is over. */
void load_end(struct load *load);
