/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memplug.c - guest: memory that is plugged while it runs
 *
 * It does what the host asks for (requested_size), then waits for a line on the
 * console, so that a test can look at the VMM and ask for something else:
 * `step plugged`, `step unplugged`, `step again`, `step all`. Between them it
 * checks what it wrote, and that nothing else can be had. Where it has a
 * balloon, the second half of what was plugged first goes into that.
 */
#include "virtio.h"

enum {
	PLUG,
	UNPLUG,
	UNPLUG_ALL,
	STATE,
};

enum {
	ACK,
	NACK,
	BUSY,
	ERROR,
};

enum {
	PAGE = 4096,
	MANY = 32, /* blocks in a request */
	STRIDE = 16 * PAGE,
	CHUNK = 256, /* page numbers in a request to the balloon */
};

#define F_INACCESSIBLE (1ULL << 1)

static struct virtio *dev;
static uint64_t block, base, region, wire;
static uint64_t have; /* blocks from @base on */

static uint64_t config(unsigned int off)
{
	return virtio_read(dev, VIRTIO_R_CONFIG + off) |
	       (uint64_t)virtio_read(dev, VIRTIO_R_CONFIG + off + 4) << 32;
}

static uint64_t requested(void)
{
	return config(48) / block;
}

static void step(const char *name)
{
	print("step %s\n", name);
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	while (in8(COM1) != '\n')
		while (!(in8(COM1 + 5) & 1))
			cpu_pause();
}

static unsigned int ask(uint16_t type, uint64_t addr, uint16_t nr)
{
	struct virtio_buf bufs[2] = {
		{wire, 24, false},
		{wire + 64, 10, true},
	};
	struct virtq *q = &dev->queue[0];
	struct virtq_used used;

	write64(wire, type);
	write64(wire + 8, addr);
	write64(wire + 16, nr);
	write64(wire + 64, 0xffff);
	virtq_add(q, bufs, 2);
	virtq_kick(q);
	if (!virtq_wait(q, &used) || used.len != 10)
		return 0xffff;
	return (uint16_t)read64(wire + 64);
}

static uint64_t at(uint64_t nr)
{
	return base + nr * block;
}

/* One page in 16 of blocks [@from, @to): written, or counted if it is as it
 * was. */
static uint64_t each_page(uint64_t from, uint64_t to, bool write, bool zero)
{
	uint64_t gpa, nr = 0;

	for (gpa = at(from); gpa < at(to); gpa += STRIDE) {
		uint64_t p = page_map_window(gpa);

		if (write)
			write64(p, gpa | 1);
		nr += read64(p) == (zero ? 0 : (gpa | 1));
	}
	return nr;
}

static uint64_t pages(uint64_t blocks)
{
	return blocks * (block / STRIDE);
}

/* As many blocks as the host asks for, from the front. */
static void follow(void)
{
	uint64_t want = requested();
	unsigned int failed = 0;

	while (have < want) {
		uint64_t nr = want - have < MANY ? want - have : MANY;

		failed += ask(PLUG, at(have), (uint16_t)nr) != ACK;
		have += nr;
	}
	while (have > want) {
		uint64_t nr = have - want < MANY ? have - want : MANY;

		have -= nr;
		failed += ask(UNPLUG, at(have), (uint16_t)nr) != ACK;
	}
	check_eq("followed", failed, 0);
	check_eq("plugged-size", config(40), have * block);
}

static void check_hostile(void)
{
	check_eq("again", ask(PLUG, base, 1), ERROR);
	check_eq("too-much", ask(PLUG, at(have), 1),
		 at(have) < base + config(32) ? NACK : ERROR);
	check_eq("unaligned", ask(UNPLUG, base + PAGE, 1), ERROR);
	check_eq("below", ask(UNPLUG, base - block, 2), ERROR);
	check_eq("ram", ask(UNPLUG, 0, 1), ERROR);
	check_eq("none", ask(UNPLUG, base, 0), ERROR);
	check_eq("far", ask(UNPLUG, base, 65535), ERROR);
	check_eq("unknown", ask(77, base, 1), ERROR);
	check_eq("state", ask(STATE, base, 1), ACK);
	check_eq("state-is", read64(wire + 72) & 0xffff, 0);
}

/* A request of a device for what is not there comes back unread. */
static void check_unplugged_buffer(void)
{
	struct virtio_buf bufs[2] = {
		{wire, 24, false},
		{at(have), 10, true},
	};
	struct virtq *q = &dev->queue[0];
	struct virtq_used used = {0};

	virtq_add(q, bufs, 2);
	virtq_kick(q);
	check(virtq_wait(q, &used) && used.len == 0, "unplugged-buffer");
}

/* Each page of blocks [@from, @to) goes to the host, and reads as zero then. */
static void check_balloon(uint64_t from, uint64_t to)
{
	struct virtio *balloon = virtio_find(VIRTIO_BALLOON, 0);
	struct virtio_buf buf = {wire, CHUNK * 4, false};
	struct virtq_used used;
	uint64_t gpa = at(from);
	unsigned int failed = 0;

	if (!balloon)
		return;
	check(virtio_start(balloon, 0, 16), "balloon-start");
	while (gpa < at(to)) {
		for (unsigned int i = 0; i < CHUNK; i++, gpa += PAGE)
			write32(wire + i * 4, (uint32_t)(gpa / PAGE));
		virtq_add(&balloon->queue[0], &buf, 1);
		virtq_kick(&balloon->queue[0]);
		failed += !virtq_wait(&balloon->queue[0], &used);
	}
	check_eq("balloon-takes", failed, 0);
	step("inflated");
	check_eq("balloon-zero", each_page(from, to, false, true),
		 pages(to - from));
}

void guest_main(void)
{
	uint64_t before;

	dev = virtio_find(VIRTIO_MEMORY, 0);
	check(dev, "found");
	if (!dev)
		return;
	wire = virtio_alloc(PAGE);
	check(virtio_start(dev, F_INACCESSIBLE, 16), "start");
	block = config(0);
	base = config(16);
	region = config(24);
	check(region >= 4 * block, "region");
	step("ready");

	follow();
	check_eq("written", each_page(0, have, true, false), pages(have));
	check_hostile();
	check_unplugged_buffer();
	check_balloon(have / 2, have);
	before = have;
	step("plugged");

	follow();
	check(have < before, "fewer");
	check_eq("kept", each_page(0, have, false, false), pages(have));
	step("unplugged");

	before = have;
	follow();
	check(have > before, "more");
	check_eq("still-kept", each_page(0, before, false, false),
		 pages(before));
	check_eq("come-back-zero", each_page(before, have, false, true),
		 pages(have - before));
	check_eq("written-again", each_page(before, have, true, false),
		 pages(have - before));
	step("again");

	check_eq("all-kept", each_page(0, have, false, false), pages(have));
	check_eq("unplug-all", ask(UNPLUG_ALL, 0, 0), ACK);
	check_eq("nothing", config(40), 0);
	step("all");
}
