/* SPDX-License-Identifier: Apache-2.0 */
/*
 * room.h - what files take on the disk
 */
#pragma once

#include "base/bits.h"

/**
 * struct room - of several files; bytes
 * @apparent:	as long as they are, holes too
 * @stored:	their blocks
 * @shared:	of those, what other files have as well (reflinks): removing the
 *		file does not free it
 * @unknown:	not all file systems tell @shared
 */
struct room {
	uint64_t apparent;
	uint64_t stored;
	uint64_t shared;
	bool unknown;
};

/* @fd: open to read; anything else counts nothing. */
void room_add(struct room *room, int fd);
