/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue.h - split virtqueues: the only code that walks a ring
 *
 * Theory of operation
 *
 * A split virtqueue (virtio 1.2, 2.7) is three tables in guest memory:
 * descriptors (address, length, flags, next), the available ring, where the
 * driver puts the heads of descriptor chains, and the used ring, where the
 * device puts them back with the number of bytes it wrote.
 *
 *	while ((r = virtq_pop(q, iov, MAX, &chain)) > 0) {
 *		... read chain.out, write chain.in ...
 *		virtq_push(q, chain.head, bytes_written);
 *	}
 *	if (virtq_publish(q))
 *		virtio_dev_interrupt(dev);
 *
 * All of it is hostile. The rules that keep us safe, each in one place:
 *
 *  - Ring addresses are checked once, when the driver says that the queue is
 *    ready (virtq_set_ready()), and turned into host addresses then; while it
 *    is ready they cannot change.
 *  - A descriptor is fetched once, into a local; the local is checked and used.
 *  - Our positions (next_avail, next_used) are our own: nothing that we wrote
 *    to the ring is ever read back.
 *  - A walk is bounded: a chain has at most as many descriptors as the queue
 *    has entries, an indirect table as many as the queue could have, and the
 *    bytes of a chain fit 32 bits. What is malformed is met a few times in a
 *    call (virtq_pop()) and marks no page as written.
 *  - A buffer is RAM within one region (gmem_find), or the chain is refused.
 *  - No more chains are taken than the driver can have: the queue's size, less
 *    those that it has not been told we are done with (virtq_publish()). So
 *    what is in flight is bounded, and so is a loop that pops and pushes.
 *
 * Two kinds of wrong. A chain that makes no sense (loops, addresses that are
 * not RAM, a readable buffer behind a writable one, nested indirect tables) is
 * returned to the driver with length 0 and counted; the queue goes on and the
 * device never sees it. A ring that makes no sense (an available index that
 * gives us more than a queue of chains, a head out of range) breaks the queue:
 * virtq_pop() returns -EPROTO from then on, and the device asks for a reset
 * (virtio_dev_broken()).
 *
 * EVENT_IDX (2.7.10): used_event and avail_event lie behind the rings; they
 * only ever decide about notifications. The full barriers between a publish and
 * the read of the other side's wish are here.
 *
 * Context: whoever holds the device's lock.
 */
#pragma once

#include "mem/gmem.h"

#define VIRTQ_MAX_SIZE   256u
#define VIRTQ_DESC_BYTES 16u
/* Malformed chains that one virtq_pop() returns on its way */
#define VIRTQ_MALFORMED_MAX 8u

/**
 * struct virtq - one queue
 * @max:	largest size the driver may choose, a power of two
 * @size:	what it chose
 * @desc, @avail, @used: guest addresses of the three tables
 * @next_avail:	free-running: the next entry of the available ring to look at
 * @next_used:	free-running: where the next used element goes
 * @published:	next_used as the driver knows it
 * @held:	chains that were popped, and neither pushed nor put back
 * @event_idx, @indirect: negotiated
 * @broken:	the ring made no sense; until reset nothing moves
 * @malformed:	chains that were returned unread, since the start
 * @hva_*:	the tables here; valid while ready
 */
struct virtq {
	const struct gmem *mem;
	uint16_t max;
	uint16_t size;
	bool ready;
	bool event_idx;
	bool indirect;
	bool broken;
	gpa_t desc;
	gpa_t avail;
	gpa_t used;
	uint16_t next_avail;
	uint16_t next_used;
	uint16_t published;
	uint16_t held;
	uint64_t malformed;
	const uint8_t *hva_desc;
	uint8_t *hva_avail;
	uint8_t *hva_used;
};

/**
 * struct virtq_chain - one request of the driver
 * @out:	buffers that the device reads, @nr_out of them
 * @in:		buffers that the device writes, @nr_in of them
 *
 * Buffers of length 0 are left out. Both point into the array that the caller
 * gave to virtq_pop().
 */
struct virtq_chain {
	uint16_t head;
	uint16_t nr_out;
	uint16_t nr_in;
	uint32_t out_bytes;
	uint32_t in_bytes;
	struct iovec *out;
	struct iovec *in;
};

/* @max: a power of two, at most VIRTQ_MAX_SIZE. */
void virtq_init(struct virtq *q, const struct gmem *mem, uint16_t max);

/* Not ready, positions and addresses 0, as after a device reset. */
void virtq_reset(struct virtq *q);

/**
 * virtq_set_ready() - check what the driver set and begin
 *
 * Keeps the positions (a restored queue goes on where it was).
 *
 * Return: 0; -EINVAL for a size that is no power of two or too large, or an
 * unaligned table; -EFAULT for a table that is not RAM. Not ready then.
 */
int virtq_set_ready(struct virtq *q) __must_check;

/**
 * virtq_pop() - the next chain of the driver
 * @iov:	room for @max_iov buffers, at least 1; a longer chain is
 * malformed
 *
 * Return: 1 and *@chain; 0 when there is none; -EPROTO when the queue is
 * broken. Malformed chains are pushed on the way: publish after a 0, too. After
 * VIRTQ_MALFORMED_MAX of them it is 0 as well, whatever waits;
 * virtq_enable_kicks() tells.
 */
int virtq_pop(struct virtq *q, struct iovec *iov, unsigned int max_iov,
	      struct virtq_chain *chain) __must_check;

/**
 * virtq_unpop() - put back the chain of the last virtq_pop()
 *
 * It was not pushed. Exact, whatever malformed chains came before it.
 */
static inline void virtq_unpop(struct virtq *q)
{
	assert(q->held > 0);
	q->held--;
	q->next_avail--;
}

/**
 * virtq_rewind() - put back every chain popped since @mark
 * @mark:	q->next_avail at that time; none of those chains was pushed
 * @nr:		how many they are
 *
 * Malformed chains among them are met, and pushed, again: a driver that made
 * one sees its head used twice, or the queue broken.
 */
static inline void virtq_rewind(struct virtq *q, uint16_t mark, unsigned int nr)
{
	assert(q->held >= nr);
	q->held -= (uint16_t)nr;
	q->next_avail = mark;
}

/* Return a chain; @len: bytes written to it. Seen after virtq_publish(). */
void virtq_push(struct virtq *q, uint16_t head, uint32_t len);

/**
 * virtq_publish() - show the driver what was pushed
 *
 * Return: true when it wants an interrupt for that.
 */
bool virtq_publish(struct virtq *q) __must_check;

/* True when the driver has made chains available that were not popped. */
bool virtq_has_work(const struct virtq *q);

/* The chains that the driver has ever made available, modulo 2^16; whatever it
 * says. 0 when the queue is not ready. */
uint16_t virtq_avail_index(const struct virtq *q);

/**
 * virtq_watch() - ask for a kick with the next chain, whatever waits by now
 *
 * Unlike virtq_enable_kicks(), for chains that are not to be popped. Look at
 * virtq_avail_index() afterwards: a chain may have come before the driver could
 * know.
 */
void virtq_watch(struct virtq *q);

/* Ask for no kicks while the queue is being worked on (a hint). */
void virtq_disable_kicks(struct virtq *q);

/**
 * virtq_enable_kicks() - ask for a kick with the next chain
 *
 * Return: true when chains came before the driver could know: go on popping.
 */
bool virtq_enable_kicks(struct virtq *q) __must_check;
