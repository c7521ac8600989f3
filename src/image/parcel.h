/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parcel.h - a snapshot as one file that any tool may copy
 *
 * Theory of operation
 *
 * A memory file says things by its holes and by an attribute, which copies
 * lose. A parcel has neither: it is a row of records, written and read once
 * from its beginning to its end, also through a pipe. Numbers are little
 * endian.
 *
 *   8 bytes   "voltprc1"
 *   records   32 bytes of head, then @len bytes of it that are data:
 *             u32 type, u32 zero, u64 at, u64 len,
 *             u64 CRC-64/ECMA-182 of the head before it and of the data
 *
 *   type       at              len                      data
 *   1 state    bytes of RAM    bytes of state.json      it
 *   2 data     where in RAM    up to 1 MiB, pages       they
 *   3 zeros    where in RAM    pages                    none: they are zero
 *   4 end      records before  0                        none
 *
 * The state comes first, the end last, and nothing behind it. Pages ascend and
 * are there once. A page that is not there is zero in a whole snapshot, and "as
 * in the base" in a diff.
 *
 * The reader is given a hostile file: it checks each record before anybody sees
 * it, and what it has to keep is bounded (PARCEL_STATE_MAX, PARCEL_DATA_MAX).
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PARCEL_STATE_MAX MIB(16)
#define PARCEL_DATA_MAX  MIB(1)
#define PARCEL_RAM_MAX   (GIB(1) * 4096)

enum parcel_type {
	PARCEL_STATE = 1,
	PARCEL_DATA = 2,
	PARCEL_ZEROS = 3,
	PARCEL_END = 4,
};

/**
 * struct parcel_record - one that is right
 * @data:	@len bytes of a state or of data; NULL otherwise. Until the next
 */
struct parcel_record {
	enum parcel_type type;
	uint64_t at;
	uint64_t len;
	const uint8_t *data;
};

/**
 * struct parcel_writer - to a file or pipe
 * @fd:		borrowed
 */
struct parcel_writer {
	int fd;
	uint64_t nr;
};

/* The magic and the state. Return: 0 or -errno. */
int parcel_begin(struct parcel_writer *w, int fd, uint64_t ram_bytes,
		 const void *state, size_t len) __must_check;

/* A record of data or zeros, as above. Return: 0 or -errno. */
int parcel_put(struct parcel_writer *w,
	       const struct parcel_record *record) __must_check;
int parcel_end(struct parcel_writer *w) __must_check;

/**
 * struct parcel_reader - from a file or pipe
 * @read:	as read(2); -errno
 * @ram_bytes:	known behind the state
 * @next:	where in RAM a record may begin
 */
struct parcel_reader {
	int64_t (*read)(void *ctx, void *to, size_t len);
	void *ctx;
	uint64_t nr;
	uint64_t ram_bytes;
	uint64_t next;
	uint8_t *buf;
	size_t room;
	bool ended;
};

void parcel_reader_init(struct parcel_reader *r,
			int64_t (*read)(void *ctx, void *to, size_t len),
			void *ctx);

/**
 * parcel_next() - the next record; the first one is a state
 *
 * Return: 1 and @record; 0 behind the end; -EBADMSG when the file is damaged or
 * cut short, -ENOTSUP when it is none, -ENOMEM, -errno; with a sentence.
 */
int parcel_next(struct parcel_reader *r, struct parcel_record *record,
		struct err *err) __must_check;

void parcel_reader_fini(struct parcel_reader *r);
