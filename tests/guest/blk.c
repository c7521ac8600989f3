/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk.c - guest: a block device, driven well and badly
 *
 * Command line: `ro` and `flush` say what the device should offer, `id=` what
 * GET_ID should tell, `sectors=` its size; `full` as in rng.c. The disk may
 * hold anything; it is written over.
 *
 * `resize=<sectors>`: says "ready", then waits until the disk has that size and
 * reads its last sector.
 */
#include "blk.h"

enum {
	VECTOR = 0x51,
	SIZE = 256,
	BIG = 64 * 1024,
};

static struct virtio *blk;
static struct virtq *queue;
static volatile struct blk_request *request;
static uint64_t data;
static uint64_t sectors;
static bool read_only;

/* Wait for the one request that is out. Return: its status. */
static uint8_t finish(uint16_t head, uint32_t *len)
{
	struct virtq_used used;

	virtq_kick(queue);
	if (!virtq_wait(queue, &used) || used.head != head)
		return 0xdd;
	if (len)
		*len = used.len;
	return request->status;
}

static uint8_t ask(uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_buf bufs[3];
	unsigned int nr;

	blk_fill(request, type, sector);
	nr = blk_chain(bufs, request, data, len,
		       type == BLK_IN || type == BLK_GET_ID);
	return finish(virtq_add(queue, bufs, nr), NULL);
}

static uint8_t ask_range(uint32_t type, uint64_t sector, uint32_t nr,
			 uint32_t flags)
{
	write64(data, sector);
	write32(data + 8, nr);
	write32(data + 12, flags);
	return ask(type, 0, 16);
}

/* Cheap on an emulated CPU: one word a sector tells which one it is. */
static void pattern(uint64_t addr, uint64_t sector, uint32_t len, uint64_t salt)
{
	uint32_t i;

	for (i = 0; i < len; i += SECTOR, sector++) {
		write64(addr + i, sector * 0x9e3779b97f4a7c15ULL + salt);
		write64(addr + i + SECTOR - 8, ~sector ^ salt);
	}
}

static bool is_pattern(uint64_t addr, uint64_t sector, uint32_t len,
		       uint64_t salt)
{
	uint32_t i;

	for (i = 0; i < len; i += SECTOR, sector++)
		if (read64(addr + i) != sector * 0x9e3779b97f4a7c15ULL + salt ||
		    read64(addr + i + SECTOR - 8) != (~sector ^ salt))
			return false;
	return true;
}

static bool is_zero(uint64_t addr, uint32_t len)
{
	for (; len >= 8; len -= 8, addr += 8)
		if (read64(addr))
			return false;
	return true;
}

static bool write_and_read(uint64_t sector, uint32_t len, uint64_t salt)
{
	pattern(data, sector, len, salt);
	if (ask(BLK_OUT, sector, len) != BLK_OK)
		return false;
	pattern(data, sector, len, ~salt);
	return ask(BLK_IN, sector, len) == BLK_OK &&
	       is_pattern(data, sector, len, salt);
}

static void check_offer(void)
{
	uint64_t offered = virtio_offered(blk);

	check_eq("capacity", blk_capacity(blk),
		 cmdline_num("sectors", sectors));
	check_eq("offers-ro", !!(offered & BLK_F_RO), read_only);
	check_eq("offers-flush", !!(offered & BLK_F_FLUSH),
		 cmdline_has("flush"));
	check_eq("offers-discard", !!(offered & BLK_F_DISCARD), !read_only);
}

static void check_data(void)
{
	check(write_and_read(0, SECTOR, 1), "first-sector");
	check(write_and_read(sectors - 1, SECTOR, 2), "last-sector");
	check(write_and_read(7, 4096, 3), "4k");
	check(write_and_read(sectors - BIG / SECTOR, BIG, 4), "64k");
	check_eq("flush", ask(BLK_FLUSH, 0, 0),
		 cmdline_has("flush") ? BLK_OK : BLK_UNSUPP);
}

/* The header in eight pieces, data in pieces of 1,000 bytes, and the status
 * byte at the end of the last of them. */
static void check_framing(bool indirect)
{
	static struct virtio_buf bufs[32];
	uint64_t table = virtio_alloc(4096);
	unsigned int nr = 0;
	uint32_t at, len = 0;
	uint16_t head;

	pattern(data, 16, 8192, 5);
	check_eq("framing-write", ask(BLK_OUT, 16, 8192), BLK_OK);
	memset((void *)data, 0, 64);
	blk_fill(request, BLK_IN, 16);
	write8(data + 8192, BLK_NOTHING);
	for (at = 0; at < 16; at += 2)
		bufs[nr++] =
			(struct virtio_buf){(uint64_t)request + at, 2, false};
	for (at = 0; at < 8193; at += 1000)
		bufs[nr++] = (struct virtio_buf){
			data + at, 8193 - at < 1000 ? 8193 - at : 1000, true};
	head = indirect ? virtq_add_indirect(queue, table, bufs, nr)
			: virtq_add(queue, bufs, nr);
	(void)finish(head, &len);
	check_eq("framing-length", len, 8193);
	check_eq("framing-status", read8(data + 8192), BLK_OK);
	check(is_pattern(data, 16, 8192, 5), "framing-data");
}

static void check_many(void)
{
	enum { NR = 64 };
	static struct blk_request requests[NR];
	struct virtio_buf bufs[3];
	struct virtq_used used;
	unsigned int i, nr;
	bool ok = true;

	pattern(data, 0, NR * SECTOR, 6);
	if (!read_only)
		check_eq("many-write", ask(BLK_OUT, 0, NR * SECTOR), BLK_OK);
	memset((void *)data, 0, NR * SECTOR);
	for (i = 0; i < NR; i++) {
		blk_fill(&requests[i], BLK_IN, i);
		nr = blk_chain(bufs, &requests[i], data + i * SECTOR, SECTOR,
			       true);
		(void)virtq_add(queue, bufs, nr);
	}
	virtq_kick(queue);
	for (i = 0; i < NR && ok; i++)
		ok = virtq_wait(queue, &used) && used.len == SECTOR + 1;
	for (i = 0; i < NR && ok; i++)
		ok = ((volatile struct blk_request *)&requests[i])->status ==
		     BLK_OK;
	check(ok, "many-read");
	check(read_only || is_pattern(data, 0, NR * SECTOR, 6), "many-data");
}

static void check_id(void)
{
	const char *want = cmdline_get("id");
	size_t len = 0;

	memset((void *)data, 0x55, 64);
	check_eq("get-id", ask(BLK_GET_ID, 0, 20), BLK_OK);
	while (want && want[len] && want[len] != ' ' && len < 20)
		len++;
	check(want && !memcmp((void *)data, want, len) &&
		      (len == 20 || !read8(data + len)),
	      "get-id-text");
	check_eq("get-id-not-beyond", read8(data + 20), 0x55);
	check_eq("get-id-short", ask(BLK_GET_ID, 0, 19), BLK_IOERR);
}

static void check_ranges(void)
{
	pattern(data, 0, BIG, 7);
	check_eq("ranges-fill", ask(BLK_OUT, 0, BIG), BLK_OK);
	check_eq("discard", ask_range(BLK_DISCARD, 8, 16, 0), BLK_OK);
	check_eq("zero", ask_range(BLK_WRITE_ZEROES, 33, 10, 0), BLK_OK);
	check_eq("unmap", ask_range(BLK_WRITE_ZEROES, 64, 16, 1), BLK_OK);
	check_eq("ranges-read", ask(BLK_IN, 0, BIG), BLK_OK);
	check(is_zero(data + 33 * SECTOR, 10 * SECTOR), "zero-is-zero");
	check(is_zero(data + 64 * SECTOR, 16 * SECTOR), "unmap-is-zero");
	check(is_pattern(data, 0, 8 * SECTOR, 7) &&
		      is_pattern(data + 24 * SECTOR, 24, 9 * SECTOR, 7) &&
		      is_pattern(data + 43 * SECTOR, 43, 21 * SECTOR, 7) &&
		      is_pattern(data + 80 * SECTOR, 80, BIG - 80 * SECTOR, 7),
	      "the-rest-stays");
}

static void check_read_only(void)
{
	check_eq("ro-read", ask(BLK_IN, 0, 4096), BLK_OK);
	check_eq("ro-write", ask(BLK_OUT, 0, 4096), BLK_IOERR);
	check_eq("ro-discard", ask_range(BLK_DISCARD, 0, 8, 0), BLK_UNSUPP);
	check_eq("ro-zero", ask_range(BLK_WRITE_ZEROES, 0, 8, 0), BLK_UNSUPP);
}

/* security.md D6: what lies outside of the disk, or is no request at all */
static void check_bad_requests(void)
{
	static const uint64_t offsets[] = {
		1ULL << 55, (1ULL << 55) - 1, ~0ULL, ~0ULL - 1, ~0ULL / SECTOR,
	};
	static const uint32_t lengths[] = {1, 511, 513, 4095};
	uint8_t denied = read_only ? BLK_UNSUPP : BLK_IOERR;
	unsigned int i;
	bool ok;

	ok = ask(BLK_IN, sectors, SECTOR) == BLK_IOERR &&
	     ask(BLK_IN, sectors - 1, 2 * SECTOR) == BLK_IOERR &&
	     ask(BLK_OUT, sectors, SECTOR) == BLK_IOERR &&
	     ask(BLK_IN, 0, 0) == BLK_IOERR;
	check(ok, "d6-capacity");
	for (ok = true, i = 0; i < ARRAY_SIZE(offsets); i++)
		ok = ok && ask(BLK_IN, offsets[i], SECTOR) == BLK_IOERR &&
		     ask(BLK_OUT, offsets[i], 2 * SECTOR) == BLK_IOERR &&
		     ask_range(BLK_DISCARD, offsets[i], 8, 0) == denied &&
		     ask_range(BLK_WRITE_ZEROES, offsets[i], 8, 1) == denied;
	check(ok, "d6-offsets");
	for (ok = true, i = 0; i < ARRAY_SIZE(lengths); i++)
		ok = ok && ask(BLK_IN, 0, lengths[i]) == BLK_IOERR &&
		     ask(BLK_OUT, 0, lengths[i]) == BLK_IOERR;
	check(ok, "d6-lengths");
	check_eq("d6-scsi", ask(BLK_SCSI, 0, SECTOR), BLK_UNSUPP);
	check_eq("d6-unknown", ask(0xffffffff, 0, SECTOR), BLK_UNSUPP);
	check_eq("d6-range-length", ask(BLK_DISCARD, 0, 15), denied);
}

static void check_bad_chains(void)
{
	struct virtio_buf bufs[3] = {
		{(uint64_t)request, 16, false},
		{data, SECTOR, false},
		{(uint64_t)&request->status, 1, true},
	};
	uint32_t len = 99;

	blk_fill(request, BLK_OUT, 0);
	check_eq("head-only", finish(virtq_add(queue, bufs, 1), &len),
		 BLK_NOTHING);
	check_eq("head-only-length", len, 0);
	check_eq("no-status", finish(virtq_add(queue, bufs, 2), &len),
		 BLK_NOTHING);
	check_eq("status-only", finish(virtq_add(queue, &bufs[2], 1), &len),
		 BLK_IOERR);
	blk_fill(request, BLK_IN, 0);
	check_eq("read-into-readable", finish(virtq_add(queue, bufs, 3), &len),
		 BLK_IOERR);
	blk_fill(request, BLK_OUT, 0);
	bufs[1].write = true;
	check_eq("write-from-writable", finish(virtq_add(queue, bufs, 3), &len),
		 BLK_IOERR);
	/* Own registers are no memory (V14); the chain comes back unread. */
	blk_fill(request, BLK_IN, 0);
	bufs[1].addr = blk->base + VIRTIO_R_CONFIG;
	check_eq("v14-own-window", finish(virtq_add(queue, bufs, 3), &len),
		 BLK_NOTHING);
	bufs[0].addr = blk->base;
	check_eq("v14-header-in-window",
		 finish(virtq_add(queue, bufs, 3), &len), BLK_NOTHING);
}

/* V13: one head four times before a kick: four answers. */
static void check_head_twice(void)
{
	struct virtio_buf bufs[3];
	struct virtq_used used;
	unsigned int nr, i;
	uint16_t head;
	bool ok = true;

	blk_fill(request, BLK_IN, 0);
	nr = blk_chain(bufs, request, data, BIG, true);
	head = virtq_add(queue, bufs, nr);
	for (i = 0; i < 3; i++)
		virtq_offer(queue, head);
	virtq_kick(queue);
	for (i = 0; i < 4; i++)
		ok = ok && virtq_wait(queue, &used) && used.head == head;
	check(ok && !virtq_used(queue, &used), "v13-head-four-times");
}

/* V15: a reset with requests on their way; after it the memory is ours. */
static void check_reset(uint64_t features)
{
	enum { NR = 8 };
	static struct blk_request requests[NR];
	struct virtio_buf bufs[3];
	unsigned int round, i, nr;
	bool quiet = true, again = true;

	for (round = 0; round < 10; round++) {
		for (i = 0; i < NR; i++) {
			blk_fill(&requests[i], BLK_IN, 0);
			nr = blk_chain(bufs, &requests[i], data + i * 4096,
				       4096, true);
			(void)virtq_add(queue, bufs, nr);
		}
		virtq_kick(queue);
		virtio_write(blk, VIRTIO_R_STATUS, 0);
		for (i = 0; i < NR; i++)
			write64(data + i * 4096, 0x5555);
		for (i = 0; i < 1000; i++)
			cpu_pause();
		for (i = 0; i < NR; i++)
			quiet = quiet && read64(data + i * 4096) == 0x5555;
		again = again && virtio_start(blk, features, SIZE) &&
			ask(BLK_IN, 0, SECTOR) == BLK_OK;
	}
	check(quiet, "v15-quiet-after-reset");
	check(again, "v15-works-after-reset");
}

static void run(uint64_t features)
{
	if (!virtio_start(blk, features, SIZE)) {
		check(false, "start");
		return;
	}
	check_id();
	if (read_only) {
		check_read_only();
	} else {
		check_data();
		check_framing(false);
		if (features & VIRTIO_F_INDIRECT)
			check_framing(true);
		check_ranges();
	}
	check_many();
	check_bad_requests();
	check_bad_chains();
	check_head_twice();
	check_reset(features);
}

static void wait_for_size(uint64_t want)
{
	uint32_t generation;

	lapic_init();
	virtio_use_irq(blk, VECTOR);
	check(virtio_start(blk, BLK_F_FLUSH, 16), "start");
	generation = virtio_read(blk, VIRTIO_R_CONFIG_GENERATION);
	check_eq("before", ask(BLK_IN, want - 1, SECTOR), BLK_IOERR);
	blk->isr = 0;
	print("ready\n");
	while (!(blk->isr & 2))
		irq_window();
	check_eq("new-capacity", blk_capacity(blk), want);
	check(virtio_read(blk, VIRTIO_R_CONFIG_GENERATION) != generation,
	      "generation-changed");
	check_eq("after", ask(BLK_IN, want - 1, SECTOR), BLK_OK);
	check_eq("data", read8(data), 0x42);
}

void guest_main(void)
{
	const uint64_t all =
		BLK_F_RO | BLK_F_FLUSH | BLK_F_DISCARD | BLK_F_WRITE_ZEROES;

	blk = virtio_find(VIRTIO_BLOCK, cmdline_num("nth", 0));
	check(blk != NULL, "found");
	if (!blk)
		return;
	queue = &blk->queue[0];
	data = virtio_alloc(2 * BIG);
	request = (volatile struct blk_request *)virtio_alloc(4096);
	sectors = blk_capacity(blk);
	read_only = cmdline_has("ro");
	if (cmdline_num("resize", 0)) {
		wait_for_size(cmdline_num("resize", 0));
		return;
	}
	check_offer();
	run(all);
	run(all | VIRTIO_F_INDIRECT);
	lapic_init();
	virtio_use_irq(blk, VECTOR);
	run(all | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX);
}
