/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - what a block device does to its file
 *
 * Theory of operation
 *
 * struct block_io is one operation on a file or block device: checked numbers
 * and buffers, no virtio. It is done by a row of system calls, mostly one:
 * block_io_call() says which is next, block_io_step() takes its result and
 * knows whether another one follows (short transfers, EINTR, zeroes that are
 * written where no hole can be punched, and their way to stable storage).
 *
 * A call moves a bounded number of bytes, the engine's piece: whoever does it,
 * the VMM thread or a worker of the kernel's, is free again soon. An operation
 * of more than a piece is large (block_io_is_large()).
 *
 * An engine (engine.h) does such calls, whatever they are for.
 *
 * The image is raw, always: nothing here looks at its contents.
 */
#pragma once

#include "base/err.h"

#include <sys/uio.h>

#define BLOCK_SECTOR_BYTES 512u

/**
 * struct block_file - where the sectors are
 * @is_device:	a block device, else a regular file
 * @sectors:	whole ones; what is behind them is out of reach
 */
struct block_file {
	int fd;
	bool is_device;
	uint64_t sectors;
};

/**
 * block_file_init() - look at an open file
 * @fd:		borrowed
 *
 * Return: 0; -EISDIR, -ENOTBLK for what is neither file nor block device;
 * -errno.
 */
int block_file_init(struct block_file *file, int fd) __must_check;

enum block_io_kind {
	BLOCK_IO_READ,
	BLOCK_IO_WRITE,
	BLOCK_IO_FLUSH,
	BLOCK_IO_DISCARD, /* the contents are of no more use: a hint */
	BLOCK_IO_UNMAP,   /* zeroes from now on, space may be given back */
	BLOCK_IO_ZERO,    /* zeroes from now on, space stays allocated */
	BLOCK_IO_NR_KINDS,
};

/**
 * struct block_io - one operation
 * @stable:	on stable storage before it is over (write-through)
 * @by_hand:	UNMAP, ZERO: zeroes are written, as no hole can be punched
 * @iov:	READ, WRITE: the buffers; consumed on the way
 * @off:	bytes from the start of the file
 * @left:	bytes still to do; 0 for FLUSH
 * @asked:	bytes that the last call was asked to do
 * @cut:	of its last buffer, hidden because the piece ends there
 * @nr_asked:	READ, WRITE: buffers of the last call
 * @rest:	zeroes, less than a page
 */
struct block_io {
	enum block_io_kind kind;
	bool stable;
	bool by_hand;
	unsigned int nr_iov;
	struct iovec *iov;
	uint64_t off;
	uint64_t left;
	uint64_t asked;
	uint64_t cut;
	unsigned int nr_asked;
	struct iovec rest;
};

enum block_call_kind {
	BLOCK_CALL_READ,
	BLOCK_CALL_WRITE,
	BLOCK_CALL_SYNC,      /* fdatasync() */
	BLOCK_CALL_FALLOCATE, /* @flags is its mode */
	BLOCK_CALL_DISCARD,   /* of a block device */
};

/**
 * struct block_call - one system call of an operation
 * @large:	one of many: not to be done on the thread that submits it
 * @flags:	WRITE: RWF_DSYNC or 0
 * @iov:	READ, WRITE: stay as they are until the call is done
 */
struct block_call {
	enum block_call_kind kind;
	bool large;
	int fd;
	int flags;
	unsigned int nr_iov;
	const struct iovec *iov;
	uint64_t off;
	uint64_t len;
};

/* A punched hole costs the host what a transfer of so much less does. */
#define BLOCK_RANGE_BYTES 16u

/**
 * block_io_call() - the next call of @io, which is not over
 * @piece:	bytes that a transfer moves at most, a multiple of 4 KiB; other
 *		calls BLOCK_RANGE_BYTES as many
 *
 * The same one if asked again.
 */
void block_io_call(struct block_io *io, const struct block_file *file,
		   uint64_t piece, struct block_call *call);

/* Bytes that somebody has to move for it. */
uint64_t block_call_cost(const struct block_call *call);

/* True when @io may take more than one piece. */
bool block_io_is_large(const struct block_io *io, uint64_t piece);

/**
 * block_io_step() - account for the result of the call
 * @result:	bytes, 0 or -errno, as the kernel gave it
 *
 * Return: 1 when another call follows, 0 when all is done, -errno; a file that
 * ends too early is -ENODATA.
 */
int block_io_step(struct block_io *io, int64_t result) __must_check;

/* Do it now. Return: as the kernel gave it, -errno for an error. */
int64_t block_call_run(const struct block_call *call) __must_check;
