/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_io.h - what a block device does to its file, and the two ways to do it
 *
 * Theory of operation
 *
 * struct blk_io is one operation on a file or block device: checked numbers
 * and buffers, no virtio. Sync (blk_sync.c) does it at once, with one system
 * call when the kernel takes it whole. Async (blk_uring.c) gives many of them
 * to the kernel in one system call and learns of their ends from a ring in
 * shared memory; its descriptor becomes readable then, so it sits on the event
 * loop as it is. What one call left undone (short transfers, EINTR) both go on
 * with by blk_io_step(). What Async cannot do (ioctls, falling back from a
 * punched hole to written zeroes) is done by Sync.
 *
 * The image is raw, always: nothing here looks at its contents.
 */
#pragma once

#include "base/err.h"

#include <sys/uio.h>

#define BLK_SECTOR_BYTES 512u

/**
 * struct blk_file - where the sectors are
 * @is_device:	a block device, else a regular file
 * @sectors:	whole ones; what is behind them is out of reach
 */
struct blk_file {
	int fd;
	bool is_device;
	uint64_t sectors;
};

/**
 * blk_file_init() - look at an open file
 * @fd:		borrowed
 *
 * Return: 0; -EISDIR, -ENOTBLK for what is neither file nor block device, or
 * -errno.
 */
int blk_file_init(struct blk_file *file, int fd) __must_check;

enum blk_io_kind {
	BLK_IO_READ,
	BLK_IO_WRITE,
	BLK_IO_FLUSH,
	BLK_IO_DISCARD, /* the contents are of no more use: a hint */
	BLK_IO_UNMAP,   /* zeroes from now on, space may be given back */
	BLK_IO_ZERO,    /* zeroes from now on, space stays allocated */
	BLK_IO_NR_KINDS,
};

/**
 * struct blk_io - one operation
 * @stable:	on stable storage before it is over (write-through)
 * @iov:	READ, WRITE: the buffers; consumed on the way
 * @off:	bytes from the start of the file
 * @left:	bytes still to do; 0 for FLUSH
 */
struct blk_io {
	enum blk_io_kind kind;
	bool stable;
	unsigned int nr_iov;
	struct iovec *iov;
	uint64_t off;
	uint64_t left;
};

/**
 * blk_io_step() - account for the result of one system call or completion
 * @result:	bytes, 0 or -errno, as the kernel gave it
 *
 * Return: 1 when something is left to do, 0 when all is done, -errno; a file
 * that ends too early is -ENODATA.
 */
int blk_io_step(struct blk_io *io, int64_t result) __must_check;

/* The mode of fallocate() for UNMAP, ZERO, and DISCARD of a file. */
int blk_io_fallocate_mode(enum blk_io_kind kind);

/* Do all of @io now. Return: 0 or -errno. */
int blk_sync_run(const struct blk_file *file, struct blk_io *io) __must_check;

struct blk_uring;

/**
 * blk_uring_new() - a ring for @slots operations in flight
 *
 * Return: 0, or -errno with the reason when the host denies io_uring or its
 * kernel is too old.
 */
int blk_uring_new(struct blk_uring **out, unsigned int slots,
		  struct err *err) __must_check;

/* What is in flight is forgotten. Accepts NULL. */
void blk_uring_free(struct blk_uring *u);

/* Readable while completions wait. */
int blk_uring_fd(const struct blk_uring *u);

/* False: leave it to blk_sync_run(). */
bool blk_uring_can(const struct blk_file *file, const struct blk_io *io);

/**
 * blk_uring_add() - put @io into the ring; blk_uring_submit() starts it
 * @tag:	comes back with the completion; not NULL
 *
 * At most @slots operations at a time; @io stays as it is until its completion.
 */
void blk_uring_add(struct blk_uring *u, const struct blk_file *file,
		   const struct blk_io *io, void *tag);

/* Return: 0, or -errno: some were not taken, see blk_uring_take_back(). */
int blk_uring_submit(struct blk_uring *u) __must_check;

/* The last one that waits to be submitted. Return: false when none does. */
bool blk_uring_take_back(struct blk_uring *u, void **tag);

/* The next completion. Return: false when there is none. */
bool blk_uring_next(struct blk_uring *u, void **tag, int *result);

/**
 * blk_uring_wait() - sleep until a completion waits
 *
 * Return: false at @deadline_ns (CLOCK_MONOTONIC). Context: any thread, no
 * lock: others may take the completion first.
 */
bool blk_uring_wait(struct blk_uring *u, uint64_t deadline_ns) __must_check;
