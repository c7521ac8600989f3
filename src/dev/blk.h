/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk.h - virtio block device
 *
 * Theory of operation
 *
 * virtio 1.2, 5.2, on a raw image file or block device. A request is a header
 * (type, sector), data, and one status byte, in a chain of buffers that may be
 * cut anywhere: the header is the first 16 readable bytes, the status the last
 * writable byte, data is what lies between. Guest memory is handed to the
 * kernel as it is: one readv() or writev() moves a request.
 *
 * A request goes from the queue into a slot, where it stays until it is done;
 * slots are made with the device, so nothing is allocated later and what is in
 * flight is bounded. Engine Sync has one slot: the VMM thread does a request
 * and takes the next. Async (io_uring) has many: all that wait are submitted in
 * one system call, and what the page cache had is complete when that returns.
 * As long as there is something to do the driver is neither asked to kick nor
 * interrupted: the used ring is shown to it when the queue is empty, and on a
 * slow disk when three of four requests are done, or one of them for long
 * (is_due() in blk_round.c).
 *
 * A guest can ask for gigabytes in one request, and for hundreds of them. So a
 * request is done in pieces (block/io.h), and a callback of the loop begins
 * about a piece's worth of bytes and takes a bounded number of chains (a
 * round); then it asks for another one, and the others on the VMM thread have
 * their turn. What takes more than one piece is large. It is the last one that
 * is taken until it is done, and Async leaves its copying to the kernel's
 * workers. To settle for a snapshot or a new file is to wait for single pieces:
 * the large request goes back into the queue, as the last one that was popped,
 * and begins anew afterwards.
 *
 * A slot that becomes free, and nothing else, calls for the round that found
 * none: however it came about, nobody else would look at the queue again, as
 * the driver was asked not to kick.
 *
 * Slots know the head of their chain only to return it: a driver that makes one
 * head available twice has two requests on the same memory, and gets two
 * answers.
 *
 * What the guest may rely on:
 *
 *  - A request outside the disk, of a length that is no multiple of 512, of
 *    the wrong direction or to a read-only disk is answered with IOERR, one of
 *    a kind that was not negotiated with UNSUPP; a chain without a status byte
 *    comes back with length 0.
 *  - Every error of the host (EIO, ENOSPC, EFBIG, a file that shrank) is IOERR,
 *    is counted and logged, and ends nothing.
 *  - Cache Writeback: FLUSH is offered and means fdatasync(); a driver that
 *    does not take the offer gets write-through (5.2.6.2). Cache Unsafe: FLUSH
 *    is not offered; the host's page cache still outlives the VMM.
 *  - DISCARD and WRITE_ZEROES punch holes, or write zeroes where none can be
 *    punched; a discard that the host cannot do is done with nothing.
 *
 * A host that does not answer (a server that is gone, a suspended device):
 * Async waits with it, and nothing else does. A reset is not done before the
 * last request is, which the driver sees by the status; a new file and a
 * snapshot are refused after some seconds. Sync is in the system call: the VMM
 * thread stands still until it returns.
 *
 * blk_request.c makes operations of the driver's requests, blk_round.c has the
 * slots and the rounds, blk.c the life of the device, block/io.h what happens
 * to the file.
 *
 * Locking: as device.h says. reset() leaves the lock while it waits.
 */
#pragma once

#include "base/metrics.h"
#include "block/engine.h"
#include "host/rate_limiter.h"
#include "virtio/device.h"

/* Firecracker's names. */
struct blk_counters {
	metric_t activate_fails;
	metric_t cfg_fails;
	metric_t no_avail_buffer;
	metric_t event_fails;
	metric_t execute_fails;
	metric_t invalid_reqs_count;
	metric_t flush_count;
	metric_t queue_event_count;
	metric_t rate_limiter_event_count;
	metric_t update_count;
	metric_t update_fails;
	metric_t read_bytes;
	metric_t write_bytes;
	metric_t read_count;
	metric_t write_count;
	struct metric_agg read_agg;
	struct metric_agg write_agg;
	metric_t rate_limiter_throttled_events;
	metric_t io_engine_throttled_events;
	metric_t remaining_reqs_count;
};

extern const struct metric_group blk_metric_group;

struct blk;

/**
 * struct blk_params - a block device to be made
 * @id:		what GET_ID tells, and the log
 * @file:	its descriptor is borrowed until blk_set_file() or the end
 * @flush:	cache_type Writeback
 * @kind:	of the engine; where the host forbids it, Sync and a line in the
 *		log
 * @no_discard:	offer neither DISCARD nor WRITE_ZEROES: no holes in the file
 * @engine:	another one, taken over even if blk_new() fails; NULL: of
 *		@kind
 */
struct blk_params {
	const char *id;
	const struct gmem *mem;
	struct loop *loop;
	struct block_file file;
	bool read_only;
	bool flush;
	enum block_engine_kind kind;
	bool no_discard;
	struct block_engine *engine;
};

/**
 * blk_new() - make a block device
 *
 * Return: 0 and *@out, or -errno with a sentence. Freed by ops->destroy().
 * Context: VMM thread, as all of these.
 */
int blk_new(struct blk **out, const struct blk_params *params,
	    struct err *err) __must_check;

struct virtio_dev *blk_dev(struct blk *blk);

/* NULL when @dev is no block device's. */
struct blk *blk_of(struct virtio_dev *dev);

/**
 * blk_set_file() - go on with another file; the guest learns of the new size
 *
 * Waits for what is in flight. On success the old descriptor is no longer used.
 *
 * Return: 0, -ETIME when the old file does not answer.
 */
int blk_set_file(struct blk *blk, const struct block_file *file) __must_check;

/* For slots_set_limits(); with the device's lock held. */
struct rate_limiter *blk_limiter(struct blk *blk);

struct blk_counters *blk_counters(struct blk *blk);

/* True when requests are done while the VMM thread does something else. */
bool blk_is_async(const struct blk *blk);
