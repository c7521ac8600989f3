/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostile.c - guest: a virtio driver that means harm, against the entropy
 * device
 *
 * All malformed chains and rings of malformed.h, registers written at the wrong
 * time, resets in the middle of requests, kicks without end. The device has to
 * return what makes no sense, to ask for a reset where it must, and to work
 * after it; that the machine lives on is what the last line proves.
 */
#include "malformed.h"
#include "virtio.h"

enum {
	SIZE = 256,
};

static struct virtio *rng;
static struct virtq *queue;
static uint64_t buffer, table;

static bool works(void)
{
	struct virtio_buf buf = {buffer, 16, true};
	struct virtq_used used;
	uint16_t head = virtq_add(queue, &buf, 1);

	virtq_kick(queue);
	return virtq_wait(queue, &used) && used.head == head && used.len == 16;
}

static bool restart(void)
{
	return virtio_start(rng, VIRTIO_F_INDIRECT, SIZE) && works();
}

static uint64_t ram_end(void)
{
	uint64_t end = 0;
	unsigned int i;

	for (i = 0; i < machine.nr_e820; i++)
		if (machine.e820[i].type == E820_RAM &&
		    machine.e820[i].addr < HOLE_START &&
		    machine.e820[i].addr + machine.e820[i].size > end)
			end = machine.e820[i].addr + machine.e820[i].size;
	return end;
}

static struct mal_world world(void)
{
	return (struct mal_world){
		.desc = (struct mal_desc *)queue->desc,
		.table = (struct mal_desc *)table,
		.table_addr = table,
		.buffer = buffer,
		.ram_end = ram_end(),
		.window = rng->base,
		.size = SIZE,
	};
}

static void check_chains(void)
{
	struct mal_world w = world();
	struct mal_chain chain;
	struct virtq_used used;
	unsigned int n, refused = 0;

	for (n = 0; mal_make(&w, (uint16_t)(n * 7 % SIZE), n, &chain); n++) {
		virtq_offer(queue, chain.head);
		virtq_kick(queue);
		if (virtq_wait(queue, &used) && used.head == chain.head &&
		    used.len == 0)
			refused++;
		else
			print("# chain %u (%s) was not refused\n", n,
			      chain.fault);
	}
	print("# %u chains\n", n);
	check_eq("chains-refused", refused, n);
	check(n >= 400, "chains-enough");
	check_eq("chains-status", virtio_read(rng, VIRTIO_R_STATUS), 0xf);
	check(works(), "chains-works-after");
}

/* The status is polled: the device stands still on another thread. */
static bool needs_reset(void)
{
	uint64_t start = tsc_read();

	while (!(virtio_read(rng, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET))
		if (tsc_read() - start > VIRTIO_TIMEOUT)
			return false;
	return virtio_read(rng, VIRTIO_R_INTERRUPT_STATUS) & 2;
}

static void check_rings(void)
{
	struct mal_world w = world();
	unsigned int n, asked = 0, worked = 0;

	for (n = 0; n < MAL_RINGS; n++) {
		uint16_t idx = queue->avail_idx, head;

		mal_ring(&w, n, &idx, &head);
		write16(queue->avail + 4 + (queue->avail_idx & (SIZE - 1)) * 2,
			head);
		write16(queue->avail + 2, idx);
		virtq_kick(queue);
		asked += needs_reset();
		worked += restart();
	}
	check_eq("rings-need-reset", asked, MAL_RINGS);
	check_eq("rings-work-after", worked, MAL_RINGS);
}

/* Rings where there is no RAM: never ready. */
static void check_placement(void)
{
	const struct mal_world w = world();
	unsigned int i, ring, ready = 0;

	for (i = 0; i < MAL_BAD_ADDRS; i++) {
		for (ring = 0; ring < 3; ring++) {
			struct virtq bad = *queue;
			uint64_t addr = mal_bad_addr(&w, i) & ~15ULL;

			if (ring == 0)
				bad.desc = addr;
			else if (ring == 1)
				bad.avail = addr;
			else
				bad.used = addr;
			virtio_negotiate(rng, VIRTIO_F_INDIRECT);
			ready += virtq_place(&bad);
		}
	}
	check_eq("rings-outside-ram", ready, 0);
	check(restart(), "rings-outside-ram-works-after");
}

static void check_registers(void)
{
	static const uint32_t values[] = {
		0, 1, 0x7fff, 0x8000, 0xffff, 0x10000, 0x80000000, 0xffffffff};
	unsigned int i, reg, failed = 0;

	for (i = 0; i < ARRAY_SIZE(values); i++) {
		for (reg = 0; reg < 0x110; reg += 4) {
			/* Only what would be a reset is left out. */
			if (reg == VIRTIO_R_STATUS && !values[i])
				continue;
			virtio_write(rng, reg, values[i]);
			(void)virtio_read(rng, reg);
		}
		failed += !works();
	}
	check_eq("registers-while-running", failed, 0);
}

/* Every width at every place of the first registers and behind the page. */
static void check_widths(void)
{
	unsigned int off;

	for (off = 0; off < 0x140; off++) {
		write8(rng->base + off, 0xff);
		(void)read8(rng->base + off);
		(void)read16(rng->base + off);
		(void)read64(rng->base + off);
		if (off & 3 || off > 0x100) {
			write32(rng->base + off, 0xffffffff);
			(void)read32(rng->base + off);
		}
		write64(rng->base + off, ~0ULL);
	}
	check(restart(), "odd-accesses");
}

/* A reset between a request and its answer: nothing is written after it. */
static void check_resets(void)
{
	uint64_t big = virtio_alloc(65536);
	struct virtio_buf buf = {big, 65536, true};
	unsigned int i, late = 0, failed = 0;

	for (i = 0; i < 50; i++) {
		uint64_t before;

		virtq_add(queue, &buf, 1);
		virtq_kick(queue);
		virtio_write(rng, VIRTIO_R_STATUS, 0);
		before = read64(big + 65528);
		write64(big + 65528, before + 1);
		failed += !restart();
		late += read64(big + 65528) != before + 1;
	}
	check_eq("reset-nothing-late", late, 0);
	check_eq("reset-works-after", failed, 0);
}

static void check_kicks(void)
{
	unsigned int i;

	for (i = 0; i < 5000; i++)
		virtq_kick(queue);
	check(works(), "kicks");
}

/* The same head again and again, never reaped. */
static void check_endless(void)
{
	unsigned int i;

	virtq_put(queue->desc, 0, buffer, 16, VIRTQ_WRITE, 0);
	for (i = 0; i < 2 * SIZE; i++)
		virtq_offer(queue, 0);
	virtq_kick(queue);
	check(needs_reset(), "endless-needs-reset");
	check(restart(), "endless-works-after");
}

void guest_main(void)
{
	rng = virtio_find(VIRTIO_ENTROPY, 0);
	check(rng, "found");
	if (!rng)
		return;
	queue = &rng->queue[0];
	buffer = virtio_alloc(4096);
	table = virtio_alloc(2 * 4096);
	check(restart(), "start");
	check_eq("ram-power-of-two", ram_end() & (ram_end() - 1), 0);
	check_chains();
	check_rings();
	check_placement();
	check_registers();
	check_widths();
	check_resets();
	check_kicks();
	check_endless();
}
