/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_priv.h - what the parts of the block device share (theory: blk.h)
 */
#pragma once

#include "base/list.h"
#include "dev/blk.h"

/* Feature bits (virtio 1.2, 5.2.3). */
#define BLK_F_SEG_MAX      (1ull << 2)
#define BLK_F_RO           (1ull << 5)
#define BLK_F_BLK_SIZE     (1ull << 6)
#define BLK_F_FLUSH        (1ull << 9)
#define BLK_F_TOPOLOGY     (1ull << 10)
#define BLK_F_DISCARD      (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

/* What a request may ask for; in the config space. */
#define BLK_SEG_MAX     254u
#define BLK_DISCARD_MAX (1u << 21) /* 1 GiB */
#define BLK_ZERO_MAX    (1u << 15) /* 16 MiB: may have to be written */

/* Buffers that a slot holds itself; longer requests use its part of `many`. */
#define BLK_FEW      4u

#define BLK_ID_BYTES 20u /* of GET_ID */

/**
 * struct blk_config - the config space (5.2.4), little-endian
 */
struct blk_config {
	uint64_t capacity;
	uint32_t size_max;
	uint32_t seg_max;
	uint8_t geometry[4];
	uint32_t blk_size;
	uint8_t physical_block_exp;
	uint8_t alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors;
	uint32_t max_discard_seg;
	uint32_t discard_sector_alignment;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};

static_assert(sizeof(struct blk_config) == 64, "60 bytes, and padding");
#define BLK_CONFIG_BYTES 60u

/**
 * struct blk_slot - a request in flight
 * @io:		what it does to the file
 * @head:	of its chain
 * @status:	where its status byte goes; NULL: it has none, as refused
 * @bytes:	of data that the device writes
 * @total:	of data, either way
 * @start_ns:	when it was begun
 * @link:	among free ones, or among those with another call to begin
 * @sync:	its next call is made by this thread: the engine could not
 * @cost:	what the limiter has taken for it
 */
struct blk_slot {
	struct block_io io;
	struct list link;
	struct iovec *many;
	uint8_t *status;
	uint64_t start_ns;
	uint64_t cost;
	uint32_t bytes;
	uint32_t total;
	uint16_t head;
	bool sync;
	struct iovec few[BLK_FEW];
};

/**
 * struct blk - a block device
 * @file:	the disk
 * @write_through: FLUSH was offered and not taken
 * @resized:	restored with another size than it was saved with
 * @engine:	does the calls
 * @done:	its descriptor, on the loop
 * @slots, @many: as many as the engine has, and their buffers
 * @free:	the last one used first: few of them are ever touched
 * @later:	requests with another call to begin
 * @in_flight:	requests in slots
 * @large:	the one request in flight of many pieces: the last that was
 *		taken, and none is until it is done; NULL: there is none
 * @starved:	a round ended for want of a slot, or because of @large; the next
 *		free slot calls for another round
 * @settling:	blk_settle() is at work: @large goes back into the queue
 * @bytes_left, @chains_left: what may still be begun in this callback
 * @round_ns, @last_ns: when the round began, and a request was last done
 * @holds, @held_ns: requests are done that the guest was not shown; since when
 * @iov:	the chain that is being looked at
 */
struct blk {
	struct virtio_dev dev;
	struct blk_config config;
	struct block_file file;
	char id[BLK_ID_BYTES];
	bool read_only;
	bool flush;
	bool write_through;
	bool resized;
	struct rate_limiter limiter;
	struct blk_counters counters;
	struct block_engine *engine;
	struct loop_source done;
	unsigned int in_flight;
	bool starved;
	bool settling;
	bool holds;
	struct blk_slot *large;
	int64_t bytes_left;
	int64_t chains_left;
	struct blk_slot *slots;
	struct list free;
	struct list later;
	struct iovec *many;
	uint64_t round_ns;
	uint64_t last_ns;
	uint64_t held_ns;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/**
 * blk_parse() - a request out of its chain, checked against the disk
 * @slot:	free; head and status are set in any case
 *
 * Return: 1: the operation is in @slot; 0: done already; -errno: refused.
 */
int blk_parse(struct blk *blk, const struct virtq_chain *c,
	      struct blk_slot *slot) __must_check;

/* Bytes as the limiter counts them: zeroes that are written, too. Those of an
 * UNMAP, which seldom are, it is charged with when they are. */
uint64_t blk_cost(const struct blk_slot *slot);

static inline struct virtq *blk_queue(struct blk *blk)
{
	return &blk->dev.queue[0];
}

/* ---- blk_round.c; with the lock held ---- */

/*
 * blk_serve() - one callback's worth: end what is done, go on with what is
 * begun, take more, if the device runs. VMM thread.
 */
void blk_serve(struct blk *blk);

/**
 * blk_settle() - wait for all that is in flight
 *
 * A request of many pieces goes back into the queue instead: who comes after us
 * begins it anew. VMM thread.
 *
 * Return: 0 or -ETIME; the guest is shown what is done in any case.
 */
int blk_settle(struct blk *blk, uint64_t deadline_ns) __must_check;

/* While it resets: forget what is over. Return: nothing is in flight. */
bool blk_reap_reset(struct blk *blk);
