/* SPDX-License-Identifier: Apache-2.0 */
/*
 * greedy.c - guest: work without end for the VMM, for measuring its API
 *
 * Says "greedy" and never stops. Needs 64 MiB, of which all from 32 MiB on is
 * for buffers. Command line, do= (anything else: nothing)
 *   serial      a character as fast as it is taken
 *   log         a broken ring, which the log tells of, a reset, and again
 *   entropy     256 requests of 64 KiB at a time
 *   reports     free memory to the balloon: 32 MiB in each of 64 buffers
 *   reads       of a disk: 8 of nearly 4 GiB each, into the same memory
 *   zeroes      on a disk: 128 of 16 MiB each
 *   malformed   chains that name 4 GiB before their fault
 */
#include "blk.h"

enum {
	SIZE = 256,
	REPORT_BUFS = 64,
	REPORTING = 2, /* queue of a balloon that has no other extra */
	READS = 8,
	ZEROES = 128,
};

#define AREA        0x2000000ULL
#define AREA_BYTES  0x2000000U
#define F_REPORTING (1ULL << 5)

static struct virtio_buf bufs[SIZE];
static struct blk_request requests[ZEROES];

static struct virtio *start(uint32_t id, uint64_t features)
{
	struct virtio *v = virtio_find(id, 0);

	if (!v || !virtio_start(v, features | VIRTIO_F_INDIRECT, SIZE)) {
		print("FAIL no device\n");
		for (;;)
			cpu_pause();
	}
	return v;
}

/* What is used is offered again, for ever. */
static _Noreturn void again(struct virtq *q)
{
	struct virtq_used used;

	virtq_kick(q);
	for (;;) {
		bool any = false;

		while (virtq_used(q, &used)) {
			virtq_offer(q, (uint16_t)used.head);
			any = true;
		}
		if (any)
			virtq_kick(q);
		cpu_pause();
	}
}

static void do_serial(void)
{
	for (;;)
		out8(COM1, '.');
}

static void do_log(void)
{
	for (;;) {
		struct virtio *v = start(VIRTIO_ENTROPY, 0);

		write16(v->queue[0].avail + 2, SIZE + 1);
		virtq_kick(&v->queue[0]);
		while (!(virtio_read(v, VIRTIO_R_STATUS) &
			 VIRTIO_S_NEEDS_RESET))
			cpu_pause();
	}
}

static void do_entropy(void)
{
	struct virtq *q = &start(VIRTIO_ENTROPY, 0)->queue[0];
	struct virtio_buf buf = {AREA, 65536, true};
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		virtq_add(q, &buf, 1);
	again(q);
}

static void do_reports(void)
{
	struct virtq *q = &start(VIRTIO_BALLOON, F_REPORTING)->queue[REPORTING];
	uint64_t table = virtio_alloc(REPORT_BUFS * 16);
	unsigned int i;

	for (i = 0; i < REPORT_BUFS; i++)
		bufs[i] = (struct virtio_buf){AREA, AREA_BYTES, true};
	for (i = 0; i < SIZE; i++)
		virtq_add_indirect(q, table, bufs, REPORT_BUFS);
	again(q);
}

static void do_reads(void)
{
	struct virtq *q = &start(VIRTIO_BLOCK, 0)->queue[0];
	unsigned int i, k;

	for (i = 0; i < READS; i++) {
		unsigned int nr = 0;

		blk_fill(&requests[i], BLK_IN, 0);
		bufs[nr++] =
			(struct virtio_buf){(uint64_t)&requests[i], 16, false};
		for (k = 0; k < 127; k++)
			bufs[nr++] =
				(struct virtio_buf){AREA, AREA_BYTES, true};
		bufs[nr++] = (struct virtio_buf){(uint64_t)&requests[i].status,
						 1, true};
		virtq_add_indirect(q, virtio_alloc(SIZE * 16), bufs, nr);
	}
	again(q);
}

static void do_zeroes(void)
{
	struct virtq *q = &start(VIRTIO_BLOCK, BLK_F_WRITE_ZEROES)->queue[0];
	uint64_t range = virtio_alloc(16);
	unsigned int i;

	write64(range, 0);
	write32(range + 8, (16 << 20) / SECTOR);
	write32(range + 12, 0);
	for (i = 0; i < ZEROES; i++) {
		unsigned int nr;

		blk_fill(&requests[i], BLK_WRITE_ZEROES, 0);
		nr = blk_chain(bufs, &requests[i], range, 16, false);
		virtq_add_indirect(q, virtio_alloc(64), bufs, nr);
	}
	again(q);
}

static void do_malformed(void)
{
	struct virtq *q = &start(VIRTIO_BLOCK, 0)->queue[0];
	uint64_t table = virtio_alloc(SIZE * 16);
	unsigned int i;

	for (i = 0; i < SIZE; i++)
		bufs[i] = (struct virtio_buf){AREA, 16 << 20, true};
	bufs[SIZE - 1] = (struct virtio_buf){AREA, 16, false}; /* too late */
	for (i = 0; i < SIZE; i++)
		virtq_add_indirect(q, table, bufs, SIZE);
	again(q);
}

static const struct {
	const char *name;
	void (*run)(void);
} deeds[] = {
	{"serial", do_serial},       {"log", do_log},
	{"entropy", do_entropy},     {"reports", do_reports},
	{"reads", do_reads},         {"zeroes", do_zeroes},
	{"malformed", do_malformed},
};

void guest_main(void)
{
	unsigned int i;

	print("greedy\n");
	for (i = 0; i < ARRAY_SIZE(deeds); i++)
		if (cmdline_is("do", deeds[i].name))
			deeds[i].run();
	for (;;)
		cpu_pause();
}
