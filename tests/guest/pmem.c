/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmem.c - guest: a file that is memory
 *
 * Command line: `ro`: its stores must go nowhere; `size=` of the region, and
 * `file=` of the file, bytes. Stores 8 bytes at the start of each page of the
 * file, flushes, and reads them back; then waits for a line on the console if
 * it has `wait`, and does the same with other values. With `requests=`<n> it
 * copies so many pages from or to (`op=write`) random places of the file
 * instead, and says "load <requests> 0 <TSC ticks>", as blkload.c does.
 */
#include "virtio.h"

enum {
	PAGE = 4096,
	FLUSH = 0,
	OK = 0,
};

static struct virtio *dev;
static uint64_t base, size, file, wire;

static uint64_t config(unsigned int off)
{
	return virtio_read(dev, VIRTIO_R_CONFIG + off) |
	       (uint64_t)virtio_read(dev, VIRTIO_R_CONFIG + off + 4) << 32;
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

static unsigned int ask(uint32_t type)
{
	struct virtio_buf bufs[2] = {
		{wire, 4, false},
		{wire + 64, 4, true},
	};
	struct virtq *q = &dev->queue[0];
	struct virtq_used used;

	write32(wire, type);
	write32(wire + 64, 0xa5a5a5a5);
	virtq_add(q, bufs, 2);
	virtq_kick(q);
	if (!virtq_wait(q, &used) || used.len != 4)
		return 0xffff;
	return read32(wire + 64);
}

/* Of the file's whole pages. Return: how many have it then. */
static uint64_t store(uint64_t mark)
{
	uint64_t nr = 0;

	for (uint64_t off = 0; off + PAGE <= file; off += PAGE) {
		uint64_t p = page_map_window(base + off);

		write64(p, off | mark);
		nr += read64(p) == (off | mark);
	}
	return nr;
}

static uint64_t count(uint64_t mark)
{
	uint64_t nr = 0;

	for (uint64_t off = 0; off + PAGE <= file; off += PAGE)
		nr += read64(page_map_window(base + off)) == (off | mark);
	return nr;
}

static void check_writable(void)
{
	check_eq("stored", store(1), file / PAGE);
	check_eq("flush", ask(FLUSH), OK);
	if (cmdline_has("wait"))
		step("flushed");
	check_eq("kept", count(1), file / PAGE);
	check_eq("stored-again", store(2), file / PAGE);
	check_eq("flush-again", ask(FLUSH), OK);
	/* Behind the file is memory that is nobody's. */
	check_eq("behind", read64(page_map_window(base + size - PAGE)), 0);
}

static void check_read_only(void)
{
	uint64_t nr = file / PAGE;

	check_eq("read", count(1), nr);
	check_eq("stored-nowhere", store(2), 0);
	check_eq("as-it-was", count(1), nr);
	check_eq("flush", ask(FLUSH), OK);
	write64(page_map_window(base + size - PAGE), 3);
	check_eq("behind", read64(page_map_window(base + size - PAGE)), 0);
}

/* By words: a host that emulates does each step by itself. */
static void copy_page(void *to, const void *from)
{
	uint64_t words = PAGE / 8;

	asm volatile("rep movsq"
		     : "+D"(to), "+S"(from), "+c"(words)
		     :
		     : "memory");
}

static void load(uint64_t nr, bool write)
{
	uint64_t seed = 88172645463325252ULL, start = tsc_read();
	void *mine = (void *)virtio_alloc(PAGE);

	for (uint64_t i = 0; i < nr; i++) {
		void *page;

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		page = (void *)page_map_window(base +
					       seed % (file / PAGE) * PAGE);
		copy_page(write ? page : mine, write ? mine : page);
	}
	print("load %lu 0 %lu\n", nr, tsc_read() - start);
}

void guest_main(void)
{
	dev = virtio_find(VIRTIO_PMEM, 0);
	check(dev, "found");
	if (!dev)
		return;
	wire = virtio_alloc(PAGE);
	check(virtio_start(dev, 0, 16), "start");
	base = config(0);
	size = config(8);
	file = cmdline_num("file", 0);
	if (cmdline_num("requests", 0)) {
		load(cmdline_num("requests", 0), cmdline_is("op", "write"));
		return;
	}
	check_eq("size", size, cmdline_num("size", 0));
	check_eq("aligned", base & 0x1fffff, 0);
	check_eq("unknown", ask(77), 1);
	if (cmdline_has("ro"))
		check_read_only();
	else
		check_writable();
}
