/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blkload.c - guest: a steady load on a block device, for measurements and for
 * the test that kills the VMM under it
 *
 * Command line:
 *   op=read|write, bytes=<n> (default 4096), depth=<n> in flight (default 1)
 *   halt: sleep until the interrupt instead of polling
 *   requests=<n>: so many at random places, then
 *	"load <requests> <failed> <TSC ticks>"
 *   journal=<n>: writes block 0, 1, 2, ... n - 1 of 4 KiB, each full of its
 *	number, a FLUSH after every 16, and says "flushed <blocks>" when that is
 *	acknowledged; from the start again, with the next round's number, at the
 *	end
 */
#include "blk.h"

enum {
	VECTOR = 0x52,
	DEPTH_MAX = 64,
	SIZE = 256,
	JOURNAL_BLOCK = 4096,
	JOURNAL_BATCH = 16,
};

static struct virtio *blk;
static struct virtq *queue;
static struct blk_request requests[DEPTH_MAX];
/* Which of them a chain's head belongs to */
static uint8_t owner[SIZE];
static uint64_t data;
static uint32_t bytes;
static bool halts;
static uint64_t seed = 88172645463325252ULL;

static uint64_t random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void send(unsigned int i, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_buf bufs[3];
	unsigned int nr;
	uint16_t head;

	blk_fill(&requests[i], type, sector);
	nr = blk_chain(bufs, &requests[i], data + (uint64_t)i * bytes, len,
		       type == BLK_IN);
	head = virtq_add(queue, bufs, nr);
	owner[head] = (uint8_t)i;
}

static bool ok(unsigned int i)
{
	return ((volatile struct blk_request *)&requests[i])->status == BLK_OK;
}

/* The next one that is done. Return: which one; -1: none comes. */
static int wait_one(void)
{
	struct virtq_used used;

	if (halts)
		while (!virtq_used(queue, &used))
			irq_wait();
	else if (!virtq_wait(queue, &used))
		return -1;
	return owner[used.head & (SIZE - 1)];
}

static void load(uint64_t nr, unsigned int depth, uint32_t type)
{
	uint64_t places = blk_capacity(blk) / (bytes / SECTOR);
	uint64_t sent = 0, done = 0, failed = 0, start = tsc_read();
	struct virtq_used used;
	int i;

	while (sent < depth && sent < nr) {
		send((unsigned int)sent, type,
		     random() % places * (bytes / SECTOR), bytes);
		sent++;
	}
	virtq_kick(queue);
	while (done < nr) {
		bool more = false;

		i = wait_one();
		if (i < 0)
			break;
		/* All that are done, then one kick for what replaces them. */
		for (;;) {
			done++;
			failed += !ok((unsigned int)i);
			if (sent < nr) {
				send((unsigned int)i, type,
				     random() % places * (bytes / SECTOR),
				     bytes);
				sent++;
				more = true;
			}
			if (!virtq_used(queue, &used))
				break;
			i = owner[used.head & (SIZE - 1)];
		}
		if (more)
			virtq_kick(queue);
	}
	print("load %lu %lu %lu\n", done, failed, tsc_read() - start);
	check_eq("load-done", done, nr);
	check_eq("load-failed", failed, 0);
}

static bool run_one(uint32_t type, uint64_t sector, uint32_t len)
{
	send(0, type, sector, len);
	virtq_kick(queue);
	return wait_one() == 0 && ok(0);
}

static void journal(uint64_t blocks)
{
	uint64_t n, i;

	for (n = 0;; n++) {
		for (i = 0; i < JOURNAL_BLOCK; i += SECTOR)
			write64(data + i, n);
		if (!run_one(BLK_OUT, n % blocks * (JOURNAL_BLOCK / SECTOR),
			     JOURNAL_BLOCK))
			break;
		if (n % JOURNAL_BATCH != JOURNAL_BATCH - 1)
			continue;
		if (!run_one(BLK_FLUSH, 0, 0))
			break;
		print("flushed %lu\n", n + 1);
	}
	check(false, "journal-request");
}

void guest_main(void)
{
	unsigned int depth = (unsigned int)cmdline_num("depth", 1);

	blk = virtio_find(VIRTIO_BLOCK, 0);
	bytes = (uint32_t)cmdline_num("bytes", 4096);
	if (depth > DEPTH_MAX)
		depth = DEPTH_MAX;
	check(blk && virtio_start(blk, BLK_F_FLUSH | VIRTIO_F_EVENT_IDX, SIZE),
	      "start");
	if (!blk)
		return;
	queue = &blk->queue[0];
	halts = cmdline_has("halt");
	if (halts) {
		lapic_init();
		virtio_use_irq(blk, VECTOR);
	}
	data = virtio_alloc((uint64_t)DEPTH_MAX * bytes);
	if (cmdline_num("journal", 0))
		journal(cmdline_num("journal", 0));
	else
		load(cmdline_num("requests", 1000), depth,
		     cmdline_is("op", "write") ? BLK_OUT : BLK_IN);
}
