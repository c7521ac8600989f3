// SPDX-License-Identifier: Apache-2.0
/*
 * queue.c - split virtqueues (theory of operation: queue.h)
 */
#include "virtio/queue.h"

#include <errno.h>

/* Descriptor flags (virtio 1.2, 2.7.5). */
#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u

/* Ring flags (2.7.6, 2.7.8). */
#define AVAIL_F_NO_INTERRUPT 1u
#define USED_F_NO_NOTIFY     1u

/* Offsets in the rings: flags, idx, entries, and the event index behind. */
#define RING_FLAGS      0u
#define RING_IDX        2u
#define RING_ENTRIES    4u
#define AVAIL_ENTRY     2u
#define USED_ENTRY      8u
#define RING_EVENT_SIZE 2u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

static_assert(sizeof(struct desc) == VIRTQ_DESC_BYTES, "virtio 1.2, 2.7.5");

/* ---- the shared 16-bit words ---- */

static uint16_t load16(const uint8_t *p, memory_order order)
{
	const _Atomic uint16_t *word = (const void *)p;

	return atomic_load_explicit(word, order);
}

/* Into the used ring, @off bytes from its start. */
static void store16(struct virtq *q, size_t off, uint16_t v, memory_order order)
{
	_Atomic uint16_t *word = (void *)(q->hva_used + off);

	atomic_store_explicit(word, v, order);
	gmem_mark(q->mem, q->used + off, sizeof(v));
}

/*
 * The one fetch of a descriptor: an indirect table need not be aligned, so it
 * is a copy; the barrier keeps the compiler from looking a second time.
 */
static struct desc fetch_desc(const uint8_t *p)
{
	struct desc d;

	memcpy(&d, p, sizeof(d));
	__asm__ volatile("" : "+m"(d) : : "memory");
	return d;
}

/* ---- life ---- */

void virtq_init(struct virtq *q, const struct gmem *mem, uint16_t max)
{
	assert(max > 0 && max <= VIRTQ_MAX_SIZE && (max & (max - 1)) == 0);
	*q = (struct virtq){.mem = mem, .max = max};
}

void virtq_reset(struct virtq *q)
{
	uint64_t malformed = q->malformed;

	virtq_init(q, q->mem, q->max);
	q->malformed = malformed;
}

int virtq_set_ready(struct virtq *q)
{
	uint64_t size = q->size;

	q->ready = false;
	if (size == 0 || size > q->max || (size & (size - 1)) != 0 ||
	    !is_aligned(q->desc, 16) || !is_aligned(q->avail, 2) ||
	    !is_aligned(q->used, 4))
		return -EINVAL;
	q->hva_desc = gmem_find(q->mem, q->desc, size * VIRTQ_DESC_BYTES);
	q->hva_avail =
		gmem_find(q->mem, q->avail,
			  RING_ENTRIES + size * AVAIL_ENTRY + RING_EVENT_SIZE);
	q->hva_used =
		gmem_find(q->mem, q->used,
			  RING_ENTRIES + size * USED_ENTRY + RING_EVENT_SIZE);
	if (!q->hva_desc || !q->hva_avail || !q->hva_used)
		return -EFAULT;
	q->ready = true;
	return 0;
}

/* ---- from the driver ---- */

/*
 * Return: chains waiting; negative when the index makes no sense: as far as the
 * driver knows we hold all from published on, and it has only so many heads.
 */
static int pending(const struct virtq *q)
{
	uint16_t idx = load16(q->hva_avail + RING_IDX, memory_order_acquire);
	uint16_t ahead = (uint16_t)(idx - q->next_avail);
	uint16_t held = (uint16_t)(q->next_avail - q->published);

	return ahead > q->size - held ? -EPROTO : ahead;
}

uint16_t virtq_avail_index(const struct virtq *q)
{
	return q->ready ? load16(q->hva_avail + RING_IDX, memory_order_acquire)
			: 0;
}

bool virtq_has_work(const struct virtq *q)
{
	return q->ready && !q->broken && pending(q) != 0;
}

/**
 * struct walk - a chain being collected
 * @left:	descriptors that may still follow
 */
struct walk {
	struct virtq *q;
	struct virtq_chain *chain;
	struct iovec *iov;
	unsigned int max_iov;
	unsigned int left;
	bool writable;
};

/* Return: false when the chain is malformed. */
static bool add_buffer(struct walk *w, const struct desc *d)
{
	struct virtq_chain *c = w->chain;
	bool write = d->flags & DESC_F_WRITE;
	uint32_t *bytes = write ? &c->in_bytes : &c->out_bytes;
	unsigned int at = (unsigned int)c->nr_out + c->nr_in;
	void *hva;

	if (w->writable && !write)
		return false; /* 2.7.4.2: writable buffers come last */
	w->writable = write;
	if (d->len == 0)
		return true;
	hva = gmem_find(w->q->mem, d->addr, d->len);
	if (!hva || at >= w->max_iov ||
	    __builtin_add_overflow(*bytes, d->len, bytes) ||
	    c->in_bytes > UINT32_MAX - c->out_bytes)
		return false;
	w->iov[at] = (struct iovec){hva, d->len};
	if (write)
		c->nr_in++;
	else
		c->nr_out++;
	return true;
}

/* Walk @table of @nr descriptors from @at. Return: false when malformed. */
static bool walk_table(struct walk *w, const uint8_t *table, uint32_t nr,
		       uint32_t at, struct desc *indirect)
{
	for (;;) {
		struct desc d;

		if (at >= nr || w->left == 0)
			return false;
		w->left--;
		d = fetch_desc(table + (size_t)at * VIRTQ_DESC_BYTES);
		if (d.flags & DESC_F_INDIRECT) {
			/* 2.7.5.3.1: offered, not nested, the chain's last. */
			if (!indirect || !w->q->indirect ||
			    d.flags & DESC_F_NEXT)
				return false;
			*indirect = d;
			return true;
		}
		if (!add_buffer(w, &d))
			return false;
		if (!(d.flags & DESC_F_NEXT))
			return true;
		at = d.next;
	}
}

/*
 * 2.7.5.3.1 bounds a chain by the queue's size. Linux makes them as long as the
 * size that we offered, also where it found no memory for such a queue, so that
 * is the bound here.
 */
static bool walk_indirect(struct walk *w, const struct desc *d)
{
	uint32_t nr = d->len / VIRTQ_DESC_BYTES;
	const uint8_t *table;

	if (nr == 0 || d->len % VIRTQ_DESC_BYTES != 0 || nr > w->q->max)
		return false;
	table = gmem_find(w->q->mem, d->addr, d->len);
	w->left = nr;
	return table && walk_table(w, table, nr, 0, NULL);
}

/* The device will write there. Not before the whole chain is known to be good:
 * one that is not dirties nothing. */
static void mark_buffers(const struct virtq *q, const struct virtq_chain *c)
{
	for (unsigned int i = 0; q->mem->tracked && i < c->nr_in; i++) {
		gpa_t gpa;

		if (gmem_owns(q->mem, c->in[i].iov_base, &gpa))
			gmem_mark(q->mem, gpa, c->in[i].iov_len);
	}
}

static bool queue_collect(struct virtq *q, struct walk *w)
{
	struct desc indirect = {.flags = 0};

	if (!walk_table(w, q->hva_desc, q->size, w->chain->head, &indirect))
		return false;
	if (indirect.flags & DESC_F_INDIRECT && !walk_indirect(w, &indirect))
		return false;
	w->chain->out = w->iov;
	w->chain->in = w->iov + w->chain->nr_out;
	mark_buffers(q, w->chain);
	return true;
}

int virtq_pop(struct virtq *q, struct iovec *iov, unsigned int max_iov,
	      struct virtq_chain *chain)
{
	/* Each is up to two tables of work that no device's budget sees. */
	unsigned int left = VIRTQ_MALFORMED_MAX;

	while (q->ready && !q->broken) {
		int waiting = pending(q);
		uint16_t slot = q->next_avail & (q->size - 1);
		struct walk w = {
			.q = q,
			.chain = chain,
			.iov = iov,
			.max_iov = max_iov,
			.left = q->size,
		};
		uint16_t head;

		if (waiting == 0 || left == 0)
			return 0;
		left--;
		head = load16(q->hva_avail + RING_ENTRIES +
				      (size_t)slot * AVAIL_ENTRY,
			      memory_order_relaxed);
		if (waiting < 0 || head >= q->size) {
			q->broken = true;
			break;
		}
		q->next_avail++;
		q->held++;
		*chain = (struct virtq_chain){.head = head};
		if (queue_collect(q, &w))
			return 1;
		q->malformed++;
		virtq_push(q, head, 0);
	}
	return q->broken ? -EPROTO : 0;
}

/* ---- to the driver ---- */

void virtq_push(struct virtq *q, uint16_t head, uint32_t len)
{
	uint16_t slot = q->next_used & (q->size - 1);
	uint8_t *entry;

	assert(q->held > 0); /* each chain goes back once */
	q->held--;
	if (!q->ready)
		return;
	entry = q->hva_used + RING_ENTRIES + (size_t)slot * USED_ENTRY;
	store_le32(entry, head);
	store_le32(entry + 4, len);
	gmem_mark(q->mem, q->used + RING_ENTRIES + (gpa_t)slot * USED_ENTRY,
		  USED_ENTRY);
	q->next_used++;
}

bool virtq_publish(struct virtq *q)
{
	uint16_t old = q->published;
	uint16_t new = q->next_used;
	uint16_t event;

	if (!q->ready || new == old)
		return false;
	store16(q, RING_IDX, new, memory_order_release);
	q->published = new;
	/* The index must be seen before the driver's wish is read. */
	atomic_thread_fence(memory_order_seq_cst);
	if (!q->event_idx)
		return !(load16(q->hva_avail + RING_FLAGS,
				memory_order_relaxed) &
			 AVAIL_F_NO_INTERRUPT);
	event = load16(q->hva_avail + RING_ENTRIES +
			       (size_t)q->size * AVAIL_ENTRY,
		       memory_order_relaxed);
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

void virtq_disable_kicks(struct virtq *q)
{
	/* With EVENT_IDX an avail_event that lies behind says the same. */
	if (q->ready && !q->event_idx)
		store16(q, RING_FLAGS, USED_F_NO_NOTIFY, memory_order_relaxed);
}

/* Have the driver kick when its index passes @at. */
static void wish_kick(struct virtq *q, uint16_t at)
{
	if (q->event_idx)
		store16(q, RING_ENTRIES + (size_t)q->size * USED_ENTRY, at,
			memory_order_relaxed);
	else
		store16(q, RING_FLAGS, 0, memory_order_relaxed);
	/* Our wish must be seen before the index is looked at again. */
	atomic_thread_fence(memory_order_seq_cst);
}

bool virtq_enable_kicks(struct virtq *q)
{
	if (!q->ready || q->broken)
		return false;
	wish_kick(q, q->next_avail);
	return pending(q) != 0;
}

void virtq_watch(struct virtq *q)
{
	if (q->ready && !q->broken)
		wish_kick(q, virtq_avail_index(q));
}
