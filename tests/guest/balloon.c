/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balloon.c - guest: gives memory to the balloon, by each of its ways
 *
 * Command line: `touch=N` MiB are written first and then given back. Each step
 * waits for a line on the console, so that a test can look at the VMM between
 * them. Without `steps` it does not wait.
 */
#include "virtio.h"

enum {
	INFLATE,
	DEFLATE,
	STATS,
	HINTING,
	REPORTING,
	PAGE = 4096,
	CHUNK = 256, /* page numbers in a request, as Linux has it */
	BIG = 4 << 20,
};

#define F_STATS     (1ULL << 1)
#define F_HINTING   (1ULL << 3)
#define F_REPORTING (1ULL << 5)

static struct virtio *balloon;
static uint64_t area, bytes, numbers;

/* Every page, so that the host has to find one for it. */
static void touch(void)
{
	uint64_t addr;

	for (addr = area; addr < area + bytes; addr += PAGE)
		write64(addr, addr | 1);
}

static unsigned int count_zero(void)
{
	uint64_t addr;
	unsigned int nr = 0;

	for (addr = area; addr < area + bytes; addr += PAGE)
		nr += !read64(addr);
	return nr;
}

static void step(const char *name)
{
	print("step %s\n", name);
	if (!cmdline_has("steps"))
		return;
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	while (in8(COM1) != '\n')
		while (!(in8(COM1 + 5) & 1))
			cpu_pause();
}

static bool request(unsigned int queue, uint64_t addr, uint32_t len, bool write)
{
	struct virtq *q = &balloon->queue[queue];
	struct virtio_buf buf = {addr, len, write};
	struct virtq_used used;
	uint16_t head = virtq_add(q, &buf, 1);

	virtq_kick(q);
	return virtq_wait(q, &used) && used.head == head;
}

static unsigned int send_numbers(unsigned int queue)
{
	uint64_t addr = area;
	unsigned int i, failed = 0;

	while (addr < area + bytes) {
		for (i = 0; i < CHUNK && addr < area + bytes; i++) {
			write32(numbers + i * 4, (uint32_t)(addr / PAGE));
			addr += PAGE;
		}
		failed += !request(queue, numbers, i * 4, false);
	}
	return failed;
}

static unsigned int send_ranges(unsigned int queue)
{
	uint64_t addr;
	unsigned int failed = 0;

	for (addr = area; addr < area + bytes; addr += BIG)
		failed += !request(queue, addr, BIG, true);
	return failed;
}

static void check_inflate(void)
{
	touch();
	step("touched");
	check_eq("inflate", send_numbers(INFLATE), 0);
	virtio_write(balloon, VIRTIO_R_CONFIG + 4, (uint32_t)(bytes / PAGE));
	step("inflated");
	check_eq("deflate", send_numbers(DEFLATE), 0);
	virtio_write(balloon, VIRTIO_R_CONFIG + 4, 0);
	check_eq("inflated-pages-read-zero", count_zero(), bytes / PAGE);
	touch();
	check_eq("deflated-pages-are-ours", count_zero(), 0);
	step("deflated");
}

static void check_reporting(void)
{
	check_eq("report", send_ranges(REPORTING), 0);
	step("reported");
	check_eq("reported-pages-read-zero", count_zero(), bytes / PAGE);
}

/* Waits for the host to start a run when there are steps. */
static void check_hinting(void)
{
	uint32_t cmd;

	touch();
	step("to-hint");
	cmd = virtio_read(balloon, VIRTIO_R_CONFIG + 8);
	write32(numbers, cmd);
	check(request(HINTING, numbers, 4, false), "hint-command");
	check_eq("hint", send_ranges(HINTING), 0);
	write32(numbers, 0);
	check(request(HINTING, numbers, 4, false), "hint-stop");
	step("hinted");
	check_eq("hinted-pages-stay", count_zero(), 0);
}

static void put_stat(unsigned int i, uint16_t tag, uint64_t value)
{
	write16(numbers + i * 10, tag);
	write64(numbers + i * 10 + 2, value);
}

/* The host holds the buffer until it wants new numbers. */
static void check_stats(void)
{
	struct virtq *q = &balloon->queue[STATS];
	struct virtio_buf buf = {numbers, 20, false};
	struct virtq_used used;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		put_stat(0, 4, 1000 + i);
		put_stat(1, 5, 2000);
		virtq_add(q, &buf, 1);
		virtq_kick(q);
		step("stats");
		if (cmdline_has("steps"))
			check(virtq_wait(q, &used), "stats-asked-for");
		else
			break;
	}
}

void guest_main(void)
{
	const uint64_t features = F_STATS | F_HINTING | F_REPORTING;

	balloon = virtio_find(VIRTIO_BALLOON, 0);
	check(balloon, "found");
	if (!balloon)
		return;
	numbers = virtio_alloc(PAGE);
	bytes = cmdline_num("touch", 8) << 20;
	area = (virtio_alloc(bytes + BIG) + BIG - 1) & ~(uint64_t)(BIG - 1);
	check(virtio_start(balloon, features, 64), "start");
	check_eq("features", balloon->features & features, features);
	check_inflate();
	check_reporting();
	check_hinting();
	check_stats();
}
