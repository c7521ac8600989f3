// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtq.c - the ring walker against drivers that mean harm
 *
 * The names are those of known bugs of other hypervisors, by number: V1 to V17.
 */
#include "unit.h"

#include "virtio_fixture.h"

#include "../guest/lib/malformed.h"

#include <dirent.h>
#include <errno.h>

#define SIZE 16u

/* One chain of raw descriptors 0, 1, ... of queue 0; then its fate. */
struct fate {
	bool used;
	uint32_t len;
	unsigned int chains;
};

static struct fate offer(struct fixture *f, uint16_t head)
{
	struct fate fate = {0};
	struct kit_used used = {0};
	unsigned int before = f->echo->nr_chains;

	kit_avail(&f->kit, 0, head);
	fate.used = serve(&f->kit, 0, &used) && used.head == head;
	fate.len = used.len;
	fate.chains = f->echo->nr_chains - before;
	return fate;
}

/* Returned unread with length 0, and the queue goes on. */
static void assert_refused(struct fixture *f, uint16_t head)
{
	struct fate fate = offer(f, head);

	assert_true(fate.used);
	assert_int_equal(fate.len, 0);
	assert_int_equal(fate.chains, 0);
	assert_int_equal(kit_read(&f->kit, KIT_STATUS), 0xf);
}

static void assert_taken(struct fixture *f, uint16_t head, uint32_t len)
{
	struct fate fate = offer(f, head);

	assert_true(fate.used);
	assert_int_equal(fate.len, len);
	assert_int_equal(fate.chains, 1);
}

static void start(struct fixture *f)
{
	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC, SIZE);
}

static void test_v1_zero_length(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t buf = kit_alloc(k, 64);

	start(f);
	for (unsigned int mask = 0; mask < 32; mask++) {
		uint32_t out = 0, in = 0;

		for (unsigned int i = 0; i < 5; i++) {
			uint32_t len = mask & 1u << i ? 0 : 4;
			unsigned int flags = (i >= 2 ? KIT_WRITE : 0u) |
					     (i < 4 ? KIT_NEXT : 0u);

			/* An empty buffer lies nowhere. */
			kit_desc(k, 0, i, len ? buf + i * 8 : UINT64_MAX, len,
				 (uint16_t)flags, (uint16_t)(i + 1));
			*(i >= 2 ? &in : &out) += len;
		}
		assert_taken(f, 0, out < in ? out : in);
	}
}

static void test_v2_loops(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t buf = kit_alloc(k, 64);

	start(f);
	kit_desc(k, 0, 0, buf, 8, KIT_NEXT, 1);
	kit_desc(k, 0, 1, buf, 8, KIT_NEXT, 0);
	assert_refused(f, 0);
	kit_desc(k, 0, 3, buf, 8, KIT_NEXT, 3);
	assert_refused(f, 3);
	for (unsigned int i = 0; i < SIZE; i++)
		kit_desc(k, 0, i, buf, 0, KIT_NEXT | KIT_WRITE,
			 (uint16_t)((i + 1) % SIZE));
	assert_refused(f, 0);
	/* Exactly as many as there are. */
	kit_desc(k, 0, SIZE - 1, buf, 8, KIT_WRITE, 0);
	assert_taken(f, 0, 0);
	assert_true(round_trip(k, 0, true));
}

static void test_v3_index_jumps(void **state)
{
	static const uint16_t jump[] = {SIZE + 1, 0x100,  0x7fff,
					0x8000,   0x8001, 0xffff};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_used used;

	for (size_t i = 0; i < ARRAY_SIZE(jump); i++) {
		start(f);
		assert_true(round_trip(k, 0, false));
		kit_put16(k, k->queue[0].avail + 2,
			  (uint16_t)(k->queue[0].avail_idx + jump[i]));
		assert_false(serve(k, 0, &used));
		assert_true(broken_until_reset(k, 0));
	}
}

/* Every index goes round; each head is served once. */
static void test_v3_index_wraps(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct kit_used used;

	start(f);
	for (unsigned int i = 0; i < 70000; i++) {
		uint16_t head = kit_add(k, 0, &buf, 1);

		if (i % 7 == 0)
			continue;
		kit_kick(k, 0);
		kit_pump(k);
		while (kit_used(k, 0, &used))
			head = (uint16_t)used.head;
		assert_int_equal(head, (k->queue[0].next_desc - 1u) % SIZE);
	}
	assert_int_equal(k->queue[0].used_idx, k->queue[0].avail_idx);
	assert_int_equal(f->echo->nr_chains, 70000);
}

static void test_v4_head_out_of_range(void **state)
{
	static const uint16_t bad[] = {SIZE, SIZE + 1, 0x8000, 0xffff};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t buf = kit_alloc(k, 64);
	struct kit_used used;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		start(f);
		kit_desc(k, 0, 0, buf, 8, KIT_NEXT, bad[i]);
		assert_refused(f, 0);
		kit_avail(k, 0, bad[i]);
		assert_false(serve(k, 0, &used));
		assert_true(broken_until_reset(k, 0));
	}
}

/* The queue's registers as the device has them. */
static void read_queue(const struct virtq *q, uint64_t v[static 5])
{
	v[0] = q->size;
	v[1] = q->ready;
	v[2] = q->desc;
	v[3] = q->avail;
	v[4] = q->used;
}

static void write_queue_registers(struct kit *k, uint32_t v)
{
	static const uint64_t regs[] = {
		KIT_QUEUE_NUM,      KIT_QUEUE_DESC,      KIT_QUEUE_DESC + 4,
		KIT_QUEUE_AVAIL,    KIT_QUEUE_AVAIL + 4, KIT_QUEUE_USED,
		KIT_QUEUE_USED + 4, KIT_QUEUE_READY,
	};

	kit_write(k, KIT_QUEUE_SEL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		kit_write(k, regs[i], v);
}

static void test_v5_registers_when_not_allowed(void **state)
{
	static const uint32_t values[] = {0, 1, 2, 0x8000, 0x10000, UINT32_MAX};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint64_t before[5], after[5];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		kit_write(k, KIT_STATUS, 0);
		kit_add_status(k, VIRTIO_STATUS_ACKNOWLEDGE);
		kit_add_status(k, VIRTIO_STATUS_DRIVER);
		read_queue(&k->dev->queue[0], before);
		write_queue_registers(k, values[i]);
		read_queue(&k->dev->queue[0], after);
		assert_memory_equal(before, after, sizeof(before));
		start(f);
		read_queue(&k->dev->queue[0], before);
		write_queue_registers(k, values[i]);
		read_queue(&k->dev->queue[0], after);
		assert_memory_equal(before, after, sizeof(before));
		assert_true(round_trip(k, 0, false));
	}
}

/* A queue that is ready, and a driver that is not yet: only taking it back. */
static void test_v5_ready_queue(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint64_t before[5], after[5];

	assert_true(kit_negotiate(k, VIRTIO_F_VERSION_1));
	assert_true(kit_add_queue(k, 0, SIZE));
	read_queue(&k->dev->queue[0], before);
	kit_write(k, KIT_QUEUE_NUM, 4);
	kit_write64(k, KIT_QUEUE_DESC, 0);
	read_queue(&k->dev->queue[0], after);
	assert_memory_equal(before, after, sizeof(before));
	kit_write(k, KIT_QUEUE_READY, 0);
	assert_int_equal(kit_read(k, KIT_QUEUE_READY), 0);
	kit_write(k, KIT_QUEUE_NUM, 4);
	kit_write(k, KIT_QUEUE_READY, 1);
	assert_int_equal(k->dev->queue[0].size, 4);
}

static void test_v6_address_bounds(void **state)
{
	static const gpa_t addrs[] = {
		0,
		1,
		PAGE_SIZE,
		KIT_RAM_BYTES - 4096,
		KIT_RAM_BYTES - 1,
		KIT_RAM_BYTES,
		KIT_RAM_BYTES + 1,
		GMEM_HOLE_START - 1,
		GMEM_HOLE_START,
		GMEM_HOLE_END - 1,
		GMEM_HOLE_END,
		1ull << 63,
		UINT64_MAX - 4095,
		UINT64_MAX,
	};
	static const uint32_t lens[] = {
		0, 1, 2, 4096, 4097, KIT_RAM_BYTES, 1u << 31, UINT32_MAX,
	};
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	start(f);
	for (size_t a = 0; a < ARRAY_SIZE(addrs); a++)
		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			unsigned __int128 end = addrs[a];

			end += lens[l];
			kit_desc(k, 0, 5, addrs[a], lens[l], 0, 0);
			if (lens[l] == 0 || end <= KIT_RAM_BYTES)
				assert_taken(f, 5, 0);
			else
				assert_refused(f, 5);
		}
}

/* 256 times 16 MiB is one byte more than 32 bits hold. */
static void test_v7_sum_overflows(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	kit_start(k, 0, 256);
	for (unsigned int i = 0; i < 256; i++)
		kit_desc(k, 0, i, 0, KIT_RAM_BYTES, i < 255 ? KIT_NEXT : 0,
			 (uint16_t)(i + 1));
	assert_refused(f, 0);
	kit_desc(k, 0, 255, 0, KIT_RAM_BYTES, KIT_WRITE, 0);
	assert_refused(f, 0); /* in both directions together, too */
	kit_desc(k, 0, 255, 0, KIT_RAM_BYTES - 1, 0, 0);
	assert_taken(f, 0, 0);
}

static void test_v8_direction(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t buf = kit_alloc(k, 64);

	start(f);
	for (unsigned int mask = 0; mask < 64; mask++) {
		/* Fine when no readable buffer follows a writable one. */
		bool fine = ((mask + (mask & -mask)) & 63) == 0;

		for (unsigned int i = 0; i < 6; i++) {
			unsigned int flags = (mask & 1u << i ? KIT_WRITE : 0u) |
					     (i < 5 ? KIT_NEXT : 0u);

			kit_desc(k, 0, i, buf + i * 8, 1, (uint16_t)flags,
				 (uint16_t)(i + 1));
		}
		if (fine) {
			uint32_t in = (uint32_t)__builtin_popcount(mask);

			assert_taken(f, 0, in < 6 - in ? in : 6 - in);
		} else {
			assert_refused(f, 0);
		}
	}
}

static void test_v9_indirect(void **state)
{
	static const uint32_t lens[] = {
		0, 1, 15, 17, 31, 1u << 31, 0xfffffff0,
	};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t table = kit_alloc(k, (SIZE + 1) * 16), buf = kit_alloc(k, 16);
	void *t = kit_hva(k, table, (SIZE + 1) * 16);

	start(f);
	for (unsigned int i = 0; i <= SIZE; i++)
		kit_put_desc(t, i, buf, 1, i < SIZE - 1 ? KIT_NEXT : 0,
			     (uint16_t)(i + 1));
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		kit_desc(k, 0, 0, table, lens[i], KIT_INDIRECT, 0);
		assert_refused(f, 0);
	}
	kit_desc(k, 0, 0, table, SIZE * 16, KIT_INDIRECT, 0);
	assert_taken(f, 0, 0);
	kit_desc(k, 0, 0, table, SIZE * 16, KIT_INDIRECT | KIT_WRITE, 0);
	assert_taken(f, 0, 0); /* 2.7.5.3.2: the flag says nothing there */
	kit_desc(k, 0, 0, table, SIZE * 16, KIT_INDIRECT | KIT_NEXT, 1);
	assert_refused(f, 0);
	/* Buffers in the queue's own table, then an indirect one. */
	kit_desc(k, 0, 1, buf, 1, KIT_NEXT, 0);
	kit_desc(k, 0, 0, table, SIZE * 16, KIT_INDIRECT, 0);
	assert_taken(f, 1, 0);
	kit_put_desc(t, 2, table, SIZE * 16, KIT_INDIRECT, 0);
	assert_refused(f, 0);
	kit_start(k, 0, SIZE); /* not negotiated */
	kit_desc(k, 0, 0, table, 16, KIT_INDIRECT, 0);
	kit_put_desc(t, 0, buf, 1, 0, 0);
	assert_refused(f, 0);
}

/*
 * Linux that had to halve its ring goes on sending the chains that the device's
 * limits allow: what the largest queue could hold works in a smaller one.
 */
static void test_indirect_table_longer_than_the_queue(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	unsigned int max = k->dev->queue[0].max;
	gpa_t table = kit_alloc(k, (max + 1) * 16), buf = kit_alloc(k, 16);
	void *t = kit_hva(k, table, (max + 1) * 16);

	start(f);
	assert_true(max > SIZE);
	for (unsigned int i = 0; i <= max; i++)
		kit_put_desc(t, i, buf, 1, i < max - 1 ? KIT_NEXT : 0,
			     (uint16_t)(i + 1));
	kit_desc(k, 0, 0, table, max * 16, KIT_INDIRECT, 0);
	assert_taken(f, 0, 0);
	kit_desc(k, 0, 0, table, (max + 1) * 16, KIT_INDIRECT, 0);
	assert_refused(f, 0);
	/* A ring of them ends, too. */
	kit_put_desc(t, max - 1, buf, 1, KIT_NEXT, 0);
	kit_desc(k, 0, 0, table, max * 16, KIT_INDIRECT, 0);
	assert_refused(f, 0);
}

/* One call of virtq_pop() does not return as many as the driver adds. */
static void test_few_malformed_chains_in_a_call(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct virtq *q = &k->dev->queue[0];
	struct virtq_chain chain;
	struct iovec iov[4];

	start(f);
	kit_pump(k);
	kit_desc(k, 0, 7, UINT64_MAX, 16, 0, 0);
	for (unsigned int i = 0; i < SIZE; i++)
		kit_avail(k, 0, 7);
	for (unsigned int n = VIRTQ_MALFORMED_MAX; n <= SIZE;
	     n += VIRTQ_MALFORMED_MAX) {
		assert_int_equal(virtq_pop(q, iov, 4, &chain), 0);
		assert_int_equal(q->malformed, n);
		assert_true(virtq_enable_kicks(q) == (n < SIZE));
	}
}

/* 4 GiB in buffers to be written, and then one that makes it malformed. */
static void test_a_malformed_chain_marks_no_page(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t buf = KIT_RAM_BYTES / 2;
	struct kit_used used;

	assert_int_equal(gmem_track(&k->mem), 0);
	start(f);
	for (unsigned int i = 0; i < SIZE - 1; i++)
		kit_desc(k, 0, i, buf, KIT_RAM_BYTES / 2, KIT_NEXT | KIT_WRITE,
			 (uint16_t)(i + 1));
	kit_desc(k, 0, SIZE - 1, buf, 16, 0, 0);
	kit_avail(k, 0, 0);
	assert_true(serve(k, 0, &used));
	assert_int_equal(k->dev->queue[0].malformed, 1);
	for (gpa_t at = buf; at < KIT_RAM_BYTES; at += PAGE_SIZE)
		assert_false(gmem_is_dirty(&k->mem, at));
}

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	(void)closedir(dir);
	return nr;
}

static void test_v12_bad_chains_come_back(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	unsigned int fds = count_fds();
	struct kit_used used;

	start(f);
	kit_desc(k, 0, 7, UINT64_MAX, 16, 0, 0);
	for (unsigned int round = 0; round < 1000; round++) {
		for (unsigned int i = 0; i < SIZE; i++)
			kit_avail(k, 0, 7);
		kit_kick(k, 0);
		kit_pump(k);
		for (unsigned int i = 0; i < SIZE; i++) {
			assert_true(kit_used(k, 0, &used));
			assert_int_equal(used.head, 7);
			assert_int_equal(used.len, 0);
		}
	}
	assert_int_equal(f->echo->nr_chains, 0);
	assert_int_equal(k->dev->queue[0].malformed, 1000 * SIZE);
	assert_true(round_trip(k, 0, true));
	assert_int_equal(count_fds(), fds);
}

static void test_v13_same_head_twice_in_flight(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_used used;

	start(f);
	f->echo->hold = true;
	kit_desc(k, 0, 3, kit_alloc(k, 8), 8, KIT_WRITE, 0);
	for (unsigned int i = 0; i < SIZE; i++)
		kit_avail(k, 0, 3);
	kit_kick(k, 0);
	kit_pump(k);
	assert_int_equal(f->echo->nr_held, SIZE);
	echo_finish(f->echo);
	for (unsigned int i = 0; i < SIZE; i++) {
		assert_true(kit_used(k, 0, &used));
		assert_int_equal(used.head, 3);
	}
	assert_false(kit_used(k, 0, &used));
}

static void test_v14_buffers_in_registers(void **state)
{
	static const gpa_t addrs[] = {
		0xd0000050, 0xd0000070, 0xd0001070, 0xfec00010, 0xfee00300,
	};
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		kit_desc(k, 0, 0, addrs[i], 4, KIT_WRITE, 0);
		assert_refused(f, 0);
		kit_desc(k, 0, 0, addrs[i], 4, 0, 0);
		assert_refused(f, 0);
	}
}

static void test_v15_reset_in_flight(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct kit_used used;

	for (unsigned int order = 0; order < 2; order++) {
		gpa_t used_ring;

		start(f);
		f->echo->hold = true;
		(void)kit_add(k, 0, &buf, 1);
		kit_kick(k, 0);
		kit_pump(k);
		assert_int_equal(f->echo->nr_held, 1);
		used_ring = k->queue[0].used;
		if (order == 0)
			echo_finish(f->echo); /* before the reset */
		kit_write(k, KIT_STATUS, 0);
		echo_finish(f->echo); /* and after it */
		assert_int_equal(kit_get16(k, used_ring + 2), order == 0);
		f->echo->hold = false;
		start(f);
		assert_true(round_trip(k, 0, false));
		assert_false(kit_used(k, 0, &used));
	}
}

/* Heads without end, nothing reaped: we take what the queue holds, no more. */
static void test_v16_more_than_there_are(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	unsigned int taken;

	start(f);
	f->echo->hold = true;
	kit_desc(k, 0, 3, kit_alloc(k, 8), 8, KIT_WRITE, 0);
	for (unsigned int i = 0; i < 1000000; i++) {
		kit_avail(k, 0, 3);
		if (i % 8 == 0) {
			kit_kick(k, 0);
			kit_pump(k);
		}
	}
	taken = f->echo->nr_chains;
	assert_true(taken <= SIZE);
	echo_finish(f->echo);
	f->echo->hold = false;
	assert_true(broken_until_reset(k, 0));
}

/* The same without a slow back end: the driver adds while the device serves. */
static void feed(struct echo *echo, struct virtq *q,
		 const struct virtq_chain *chain)
{
	(void)q;
	kit_avail(echo->ctx, 0, chain->head);
}

static void test_v16_fed_while_serving(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	start(f);
	f->echo->saw = feed;
	f->echo->ctx = k;
	kit_desc(k, 0, 3, kit_alloc(k, 8), 8, KIT_WRITE, 0);
	kit_avail(k, 0, 3);
	kit_kick(k, 0);
	kit_pump(k);
	assert_true(f->echo->nr_chains <= SIZE + 1);
	f->echo->saw = NULL;
	assert_true(broken_until_reset(k, 0));
}

/* Return: whether the device took the rings at these places. */
static bool place(struct kit *k, gpa_t desc, gpa_t avail, gpa_t used)
{
	struct kit_queue *q = &k->queue[0];

	kit_must(kit_negotiate(k, VIRTIO_F_VERSION_1));
	*q = (struct kit_queue){SIZE, desc, avail, used, 0, 0, 0};
	return kit_place_queue(k, 0);
}

static void test_v17_ring_placement(void **state)
{
	static const uint64_t bytes[3] = {SIZE * 16, 6 + SIZE * 2,
					  6 + SIZE * 8};
	static const uint64_t aligns[3] = {16, 2, 4};
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	for (unsigned int ring = 0; ring < 3; ring++) {
		gpa_t at[3] = {0x10000, 0x20000, 0x30000};
		gpa_t last =
			align_down(KIT_RAM_BYTES - bytes[ring], aligns[ring]);
		const gpa_t bad[] = {
			last + aligns[ring],
			KIT_RAM_BYTES,
			GMEM_HOLE_START - aligns[ring],
			GMEM_HOLE_START,
			GMEM_HOLE_END - aligns[ring],
			GMEM_HOLE_END,
			0xd0000000,
			align_down(UINT64_MAX, aligns[ring]),
			0x10000 + aligns[ring] / 2, /* not aligned */
		};

		at[ring] = last;
		assert_true(place(k, at[0], at[1], at[2]));
		at[ring] = 0;
		assert_true(place(k, at[0], at[1], at[2]));
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			at[ring] = bad[i];
			assert_false(place(k, at[0], at[1], at[2]));
			assert_true(kit_read(k, KIT_STATUS) &
				    VIRTIO_STATUS_NEEDS_RESET);
			/* Nothing but a reset gets out of that. */
			kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
			assert_false(k->dev->active);
		}
	}
}

/* Rings on top of each other and of a buffer: nonsense comes out, no harm. */
static void test_v17_overlapping_rings(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	for (unsigned int n = 0; n < 4; n++) {
		gpa_t at = 0x10000;

		assert_true(place(k, at, n & 1 ? at : at + 0x1000,
				  n & 2 ? at : at + 0x2000));
		kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
		for (unsigned int i = 0; i < 100; i++) {
			kit_desc(k, 0, i % SIZE, k->queue[0].used, 128,
				 KIT_WRITE, 0);
			kit_avail(k, 0, (uint16_t)(i % SIZE));
			kit_kick(k, 0);
			kit_pump(k);
		}
		start(f);
		assert_true(round_trip(k, 0, true));
	}
}

static void test_bad_sizes(void **state)
{
	static const uint32_t sizes[] = {
		0, 3, 255, 257, 512, 0x8000, 0x10000, 0x10010, UINT32_MAX,
	};
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		kit_must(kit_negotiate(k, VIRTIO_F_VERSION_1));
		kit_write(k, KIT_QUEUE_SEL, 0);
		kit_write64(k, KIT_QUEUE_DESC, 0x10000);
		kit_write64(k, KIT_QUEUE_AVAIL, 0x20000);
		kit_write64(k, KIT_QUEUE_USED, 0x30000);
		kit_write(k, KIT_QUEUE_NUM, sizes[i]);
		kit_write(k, KIT_QUEUE_READY, 1);
		assert_int_equal(kit_read(k, KIT_QUEUE_READY), 0);
	}
}

/* Some 480 chains that no driver should make, each at a place of its own. */
static void test_malformed_chains(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	gpa_t table = kit_alloc(k, 257 * 16);
	struct mal_world w = {
		.table = kit_hva(k, table, 257 * 16),
		.table_addr = table,
		.buffer = kit_alloc(k, PAGE_SIZE),
		.ram_end = KIT_RAM_BYTES,
		.window = 0xd0000000,
		.size = 256,
	};
	struct mal_chain chain;
	unsigned int n;

	kit_start(k, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 256);
	w.desc = kit_hva(k, k->queue[0].desc, 256 * 16);
	for (n = 0; mal_make(&w, (uint16_t)(n * 7 % 256), n, &chain); n++) {
		struct fate fate = offer(f, chain.head);

		if (!fate.used || fate.len != 0 || fate.chains != 0)
			fail_msg("chain %u (%s) was not refused", n,
				 chain.fault);
		if (n % 16 == 0)
			assert_true(round_trip(k, 0, true));
	}
	assert_true(n >= 400);
	assert_int_equal(k->dev->queue[0].malformed, n);
}

static void test_malformed_rings(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct mal_world w = {.size = SIZE};
	struct kit_used used;

	for (unsigned int n = 0; n < MAL_RINGS; n++) {
		struct kit_queue *q = &k->queue[0];
		uint16_t idx, head;

		start(f);
		idx = q->avail_idx;
		mal_ring(&w, n, &idx, &head);
		kit_put16(k, q->avail + 4 + (q->avail_idx % SIZE) * 2u, head);
		kit_put16(k, q->avail + 2, idx);
		assert_false(serve(k, 0, &used));
		assert_true(broken_until_reset(k, 0));
	}
}

/* What the device changes is noted, page by page; what it reads is not. */
static void assert_changes_noted(struct fixture *f, uint64_t features)
{
	struct kit *k = &f->kit;
	struct kit_buf bufs[3];
	struct kit_used used;
	uint8_t *before = malloc(KIT_RAM_BYTES);
	uint8_t *ram = kit_hva(k, 0, KIT_RAM_BYTES);

	assert_non_null(before);
	kit_start(k, features, SIZE);
	k->next_gpa = (k->next_gpa + 4 * PAGE_SIZE) & ~(PAGE_SIZE - 1ull);
	for (unsigned int i = 0; i < 3; i++)
		bufs[i] = (struct kit_buf){kit_alloc(k, PAGE_SIZE), PAGE_SIZE,
					   i > 0};
	memset(kit_hva(k, bufs[0].gpa, PAGE_SIZE), 0x5a, PAGE_SIZE);
	(void)kit_add(k, 0, bufs, 3);
	memcpy(before, ram, KIT_RAM_BYTES);
	gmem_clean(&k->mem);
	assert_true(serve(k, 0, &used));
	for (gpa_t at = 0; at < KIT_RAM_BYTES; at += PAGE_SIZE)
		if (memcmp(before + at, ram + at, PAGE_SIZE) != 0)
			assert_true(gmem_is_dirty(&k->mem, at));
	assert_true(gmem_is_dirty(&k->mem, k->queue[0].used));
	assert_true(gmem_is_dirty(&k->mem, bufs[1].gpa));
	assert_false(gmem_is_dirty(&k->mem, bufs[0].gpa));
	free(before);
}

static void test_writes_are_noted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(gmem_track(&f->kit.mem), 0);
	assert_changes_noted(f, 0);
	assert_changes_noted(f, VIRTIO_F_EVENT_IDX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		echo_test(test_v1_zero_length),
		echo_test(test_v2_loops),
		echo_test(test_v3_index_jumps),
		echo_test(test_v3_index_wraps),
		echo_test(test_v4_head_out_of_range),
		echo_test(test_v5_registers_when_not_allowed),
		echo_test(test_v5_ready_queue),
		echo_test(test_v6_address_bounds),
		echo_test(test_v7_sum_overflows),
		echo_test(test_v8_direction),
		echo_test(test_v9_indirect),
		echo_test(test_indirect_table_longer_than_the_queue),
		echo_test(test_few_malformed_chains_in_a_call),
		echo_test(test_a_malformed_chain_marks_no_page),
		echo_test(test_v12_bad_chains_come_back),
		echo_test(test_v13_same_head_twice_in_flight),
		echo_test(test_v14_buffers_in_registers),
		echo_test(test_v15_reset_in_flight),
		echo_test(test_v16_more_than_there_are),
		echo_test(test_v16_fed_while_serving),
		echo_test(test_v17_ring_placement),
		echo_test(test_v17_overlapping_rings),
		echo_test(test_bad_sizes),
		echo_test(test_malformed_chains),
		echo_test(test_malformed_rings),
		echo_test(test_writes_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
