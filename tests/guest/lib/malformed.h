/* SPDX-License-Identifier: Apache-2.0 */
/*
 * malformed.h - descriptor chains that make no sense, some 400 of them
 *
 * For a bare-metal guest that offers them to a device on a real KVM, and for
 * the unit test that does the same under sanitizers: freestanding, and written
 * right into the tables of the queue. A device has to return each with length 0
 * and to go on. Chains are made of 1 to 8 good buffers and one fault; every
 * kind of fault is tried in the queue's own table and in an indirect one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct mal_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

enum {
	MAL_NEXT = 1,
	MAL_WRITE = 2,
	MAL_INDIRECT = 4,
};

/**
 * struct mal_world - where to write, and what the machine looks like
 * @desc:	the queue's table
 * @table:	room for an indirect table of @size + 1, RAM at @table_addr
 * @buffer:	a page of RAM for good buffers
 * @ram_end:	RAM is [0, @ram_end), below 3 GiB
 * @window:	registers of a device
 * @size:	of the queue, 256 (the sums that overflow need them all)
 */
struct mal_world {
	struct mal_desc *desc;
	struct mal_desc *table;
	uint64_t table_addr;
	uint64_t buffer;
	uint64_t ram_end;
	uint64_t window;
	uint16_t size;
};

/* Where a chain is being written: entry i is at t[(base + i) & mask]. */
struct mal_view {
	struct mal_desc *t;
	unsigned int base;
	unsigned int mask;
};

/* One chain: its head, and the kind of its fault. */
struct mal_chain {
	uint16_t head;
	const char *fault;
};

#define MAL_BAD_ADDRS 14u

/* The @i-th address at which 2 bytes are not RAM. */
static inline uint64_t mal_bad_addr(const struct mal_world *w, unsigned int i)
{
	const uint64_t addr[MAL_BAD_ADDRS] = {
		w->ram_end - 1,    w->ram_end,       w->ram_end + 4096,
		0xbfffffffu, /* over the edge of the hole */
		0xc0000000u,       w->window + 0x50, /* QueueNotify */
		w->window + 0x70,                    /* Status */
		0xfec00000u,                         /* IOAPIC */
		0xfee00000u,                         /* local APIC */
		0xffffffffu,       1ull << 52,       1ull << 63,
		UINT64_MAX - 4095, UINT64_MAX,
	};

	return addr[i];
}

static inline void mal_put(const struct mal_view *v, unsigned int i,
			   uint64_t addr, uint32_t len, unsigned int flags,
			   unsigned int next)
{
	struct mal_desc *d = &v->t[(v->base + i) & v->mask];

	d->addr = addr;
	d->len = len;
	d->flags = (uint16_t)flags;
	d->next = (uint16_t)next;
}

static inline uint16_t mal_next(const struct mal_view *v, unsigned int i)
{
	return (uint16_t)((v->base + i + 1) & v->mask);
}

/* Chain @nr good buffers of 8 bytes for the device to write. */
static inline void mal_good(const struct mal_world *w, const struct mal_view *v,
			    unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		mal_put(v, i, w->buffer + i * 16, 8,
			MAL_WRITE | (i + 1 < nr ? MAL_NEXT : 0),
			mal_next(v, i));
}

static inline void mal_set_indirect(const struct mal_world *w, uint16_t head,
				    uint64_t addr, uint32_t len,
				    unsigned int flags)
{
	const struct mal_view v = {w->desc, head, w->size - 1u};

	mal_put(&v, 0, addr, len, MAL_INDIRECT | flags, mal_next(&v, 0));
}

/* The view for a chain of @nr: the queue's table, or the indirect one. */
static inline struct mal_view mal_view(const struct mal_world *w, uint16_t head,
				       bool indirect, unsigned int nr)
{
	if (!indirect)
		return (struct mal_view){w->desc, head, w->size - 1u};
	mal_set_indirect(w, head, w->table_addr, nr * 16, 0);
	return (struct mal_view){w->table, 0, UINT16_MAX};
}

/* ---- the kinds of faults; @i of how many the table below says ---- */

static inline void mal_address(const struct mal_world *w, uint16_t head,
			       unsigned int i)
{
	static const uint32_t lens[] = {2, 4096, 1u << 31, UINT32_MAX};
	unsigned int at = i / 2 % 3;
	struct mal_view v = mal_view(w, head, i & 1, 3);

	mal_good(w, &v, 3);
	mal_put(&v, at, mal_bad_addr(w, i / 24), lens[i / 6 % 4],
		(at == 0 && i & 2 ? 0 : MAL_WRITE) | (at < 2 ? MAL_NEXT : 0),
		mal_next(&v, at));
}

/* A loop of 1 to 8, of empty or of whole buffers. */
static inline void mal_loop(const struct mal_world *w, uint16_t head,
			    unsigned int i)
{
	unsigned int nr = i / 4 + 1;
	struct mal_view v = mal_view(w, head, i & 1, nr);

	for (unsigned int n = 0; n < nr; n++)
		mal_put(&v, n, w->buffer, i & 2 ? 8 : 0, MAL_WRITE | MAL_NEXT,
			n + 1 < nr ? mal_next(&v, n) : v.base & v.mask);
}

static inline void mal_next_range(const struct mal_world *w, uint16_t head,
				  unsigned int i)
{
	const uint16_t next[] = {w->size, (uint16_t)(w->size + 1), 0x7fff,
				 0x8000, 0xffff};
	unsigned int at = i / 2 % 3;
	struct mal_view v = mal_view(w, head, i & 1, 3);

	mal_good(w, &v, 3);
	mal_put(&v, at, w->buffer, 8, MAL_WRITE | MAL_NEXT, next[i / 6]);
}

/* A buffer to read behind one to write: the i-th of pairs (length, place). */
static inline void mal_direction(const struct mal_world *w, uint16_t head,
				 unsigned int i)
{
	unsigned int nr = 2, at = i / 2;
	struct mal_view v;

	while (at >= nr - 1)
		at -= nr++ - 1;
	at++;
	v = mal_view(w, head, i & 1, nr);
	mal_good(w, &v, nr);
	mal_put(&v, at, w->buffer, 8, at + 1 < nr ? MAL_NEXT : 0,
		mal_next(&v, at));
}

/* All of RAM, until the sum does not fit 32 bits. */
static inline void mal_sum(const struct mal_world *w, uint16_t head,
			   unsigned int i)
{
	unsigned int nr = (unsigned int)((1ull << 32) / w->ram_end);
	struct mal_view v = mal_view(w, head, i & 1, nr);

	for (unsigned int n = 0; n < nr; n++)
		mal_put(&v, n, 0, (uint32_t)w->ram_end,
			(i & 2 ? MAL_WRITE : 0) | (n + 1 < nr ? MAL_NEXT : 0),
			mal_next(&v, n));
}

static inline void mal_table_len(const struct mal_world *w, uint16_t head,
				 unsigned int i)
{
	const uint32_t len[] = {
		0,  1,  8,          15,          17,
		31, 33, 0xfffffff0, 0xffffffffu, (w->size + 1u) * 16,
	};
	const struct mal_view v = {w->table, 0, UINT16_MAX};

	mal_good(w, &v, 1);
	mal_set_indirect(w, head, w->table_addr, len[i], 0);
}

static inline void mal_table_addr(const struct mal_world *w, uint16_t head,
				  unsigned int i)
{
	mal_set_indirect(w, head, mal_bad_addr(w, i / 2), i & 1 ? 4096 : 16, 0);
}

static inline void mal_indirect_next(const struct mal_world *w, uint16_t head,
				     unsigned int i)
{
	const struct mal_view v = {w->table, 0, UINT16_MAX};

	mal_good(w, &v, 2);
	mal_set_indirect(w, head, w->table_addr, 32,
			 MAL_NEXT | (i & 1 ? MAL_WRITE : 0));
}

/* A table in a table, at the i-th of four places. */
static inline void mal_nested(const struct mal_world *w, uint16_t head,
			      unsigned int i)
{
	struct mal_view v = mal_view(w, head, true, 4);

	mal_good(w, &v, 4);
	mal_put(&v, i, w->table_addr, 64, MAL_INDIRECT, 0);
}

struct mal_kind {
	const char *name;
	unsigned int nr;
	void (*make)(const struct mal_world *w, uint16_t head, unsigned int i);
};

#define MAL_KINDS 9u

static inline const struct mal_kind *mal_kinds(void)
{
	static const struct mal_kind kinds[MAL_KINDS] = {
		{"address", MAL_BAD_ADDRS * 24, mal_address},
		{"loop", 32, mal_loop},
		{"next-out-of-range", 30, mal_next_range},
		{"read-behind-write", 30, mal_direction},
		{"sum-of-lengths", 4, mal_sum},
		{"table-length", 10, mal_table_len},
		{"table-address", MAL_BAD_ADDRS * 2, mal_table_addr},
		{"indirect-and-next", 2, mal_indirect_next},
		{"nested", 4, mal_nested},
	};

	return kinds;
}

/**
 * mal_make() - write the @n-th chain, with its head at @head
 *
 * Return: false when there are no more.
 */
static inline bool mal_make(const struct mal_world *w, uint16_t head,
			    unsigned int n, struct mal_chain *chain)
{
	const struct mal_kind *kinds = mal_kinds();

	for (unsigned int k = 0; k < MAL_KINDS; k++) {
		if (n < kinds[k].nr) {
			kinds[k].make(w, head, n);
			*chain = (struct mal_chain){head, kinds[k].name};
			return true;
		}
		n -= kinds[k].nr;
	}
	return false;
}

#define MAL_RINGS 12u

/**
 * mal_ring() - the @n-th way to break the ring itself (MAL_RINGS of them)
 * @idx:	in: the present available index; out: what to write there
 * @head:	what to write into the entry at the present index
 */
static inline void mal_ring(const struct mal_world *w, unsigned int n,
			    uint16_t *idx, uint16_t *head)
{
	const uint16_t jump[] = {(uint16_t)(w->size + 1),
				 0x1000,
				 0x7fff,
				 0x8000,
				 0x8001,
				 0xffff};
	const uint16_t heads[] = {w->size, (uint16_t)(w->size + 1),
				  0x7fff,  0x8000,
				  0xfffe,  0xffff};

	if (n < 6) {
		*idx = (uint16_t)(*idx + jump[n]);
		*head = 0;
	} else {
		*idx = (uint16_t)(*idx + 1);
		*head = heads[n - 6];
	}
}
