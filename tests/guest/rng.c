/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng.c - guest: the entropy device, and with it the whole way of a request
 */
#include "virtio.h"

enum {
	VECTOR = 0x50,
	REQUEST_MAX = 65536,
};

static struct virtio *rng;
static struct virtq *queue;
static uint64_t page;
static struct virtio_window a[VIRTIO_WINDOWS], b[VIRTIO_WINDOWS];

/* Two windows for each device, with one interrupt. */
static void check_windows(void)
{
	unsigned int n = virtio_cmdline_windows(a, VIRTIO_WINDOWS);
	unsigned int m = virtio_acpi_windows(b, VIRTIO_WINDOWS);
	bool same = n == m;
	unsigned int i;

	for (i = 0; i < n && same; i++)
		same = a[i].base != b[i].base && a[i].size == b[i].size &&
		       a[i].pin == b[i].pin;
	check_info("windows-cmdline-and-acpi", same && n > 0, n, m);
}

static bool is_zero(uint64_t addr, unsigned int len)
{
	for (; len >= 8; len -= 8, addr += 8)
		if (read64(addr))
			return false;
	return true;
}

/* One request of one buffer. Return: bytes got, or -1. */
static int64_t request(uint64_t addr, uint32_t len)
{
	struct virtio_buf buf = {addr, len, true};
	struct virtq_used used;
	uint16_t head = virtq_add(queue, &buf, 1);

	virtq_kick(queue);
	if (!virtq_wait(queue, &used) || used.head != head)
		return -1;
	return used.len;
}

static void check_polling(void)
{
	memset((void *)page, 0, 64);
	check_eq("request", (uint64_t)request(page, 64), 64);
	check(!is_zero(page, 64), "request-filled");
	check(is_zero(page + 64, 64), "request-not-beyond");
	check_eq("second", (uint64_t)request(page + 64, 64), 64);
	check(memcmp((const void *)page, (const void *)(page + 64), 64),
	      "second-differs");
	check_eq("odd-length", (uint64_t)request(page + 1, 13), 13);
	check_eq("one-byte", (uint64_t)request(page, 1), 1);
}

static void check_chains(void)
{
	uint64_t table = virtio_alloc(4096);
	uint64_t big = virtio_alloc(2 * REQUEST_MAX);
	struct virtio_buf bufs[3] = {
		{page + 0x100, 8, true},
		{page + 0x200, 0, true},
		{page + 0x300, 8, true},
	};
	struct virtq_used used;
	uint16_t head;

	memset((void *)page, 0, 0x400);
	head = virtq_add(queue, bufs, 3);
	virtq_kick(queue);
	check(virtq_wait(queue, &used) && used.head == head && used.len == 16 &&
		      !is_zero(page + 0x100, 8) && is_zero(page + 0x108, 8) &&
		      !is_zero(page + 0x300, 8),
	      "scattered");
	head = virtq_add_indirect(queue, table, bufs, 3);
	virtq_kick(queue);
	check(virtq_wait(queue, &used) && used.head == head && used.len == 16,
	      "indirect");
	check_eq("at-most-64k", (uint64_t)request(big, 2 * REQUEST_MAX),
		 REQUEST_MAX);
	check(is_zero(big + REQUEST_MAX, 256), "not-beyond-64k");
	bufs[0].write = bufs[1].write = bufs[2].write = false;
	head = virtq_add(queue, bufs, 3);
	virtq_kick(queue);
	check(virtq_wait(queue, &used) && used.head == head && used.len == 0,
	      "nothing-to-write");
}

/* The handler's acknowledgement shows. It may come twice: an interrupt of an
 * earlier request, late on a busy host, and then this one's. */
static bool acknowledged(void)
{
	uint64_t start = tsc_read();

	while (virtio_read(rng, VIRTIO_R_INTERRUPT_STATUS)) {
		if (tsc_read() - start > VIRTIO_TIMEOUT)
			return false;
		irq_window();
	}
	return true;
}

static void check_interrupts(void)
{
	uint32_t before;

	lapic_init();
	/* Polling left the status set: one interrupt of it may come, too. */
	virtio_use_irq(rng, VECTOR);
	before = rng->irqs;
	rng->isr = 0;
	check_eq("irq-request", (uint64_t)request(page, 32), 32);
	check(isr_wait(&rng->irqs, before + 1), "irq-came");
	isr_wait(&rng->isr, 1);
	check_eq("irq-cause", rng->isr, 1);
	check(acknowledged(), "irq-acknowledged");
}

/* The interrupt comes when its pin is unmasked. */
static void check_masked(void)
{
	uint64_t entry = ioapic_read_redir(rng->pin);
	uint32_t before, held;

	ioapic_write_redir(rng->pin, entry | REDIR_MASKED);
	irq_window(); /* one of before the mask is with the CPU */
	before = rng->irqs;
	check_eq("masked-request", (uint64_t)request(page, 32), 32);
	held = rng->irqs;
	ioapic_write_redir(rng->pin, entry);
	check_eq("masked-held", held, before);
	check(isr_wait(&rng->irqs, before + 1), "unmasked-comes");
}

/* A request that is used is behind the interrupts of those before it, but for
 * the kernel's own way of injecting them. */
static void settle(void)
{
	unsigned int i;

	request(page, 32);
	for (i = 0; i < 1000; i++)
		irq_window();
}

/* On a busy host an interrupt of before may come yet; of each request none. */
static void check_suppressed(void)
{
	unsigned int tries = 0;
	bool all = true;
	uint32_t before;

	if (rng->features & VIRTIO_F_EVENT_IDX)
		rng->used_event_off = 1000;
	else
		write16(queue->avail, 1);
	do {
		settle();
		before = rng->irqs;
		all = request(page, 32) == 32 && all;
		settle();
	} while (rng->irqs != before && ++tries < 50);
	check(all, "quiet-request");
	check_eq("quiet", rng->irqs, before);
	rng->used_event_off = 0;
	write16(queue->avail, 0);
}

/* More than the queue holds, so that every index goes round. */
static void check_many(void)
{
	unsigned int i, good = 0;

	for (i = 0; i < 200; i++)
		good += request(page, 16) == 16;
	check_eq("many", good, 200);
}

static void run(uint64_t features, uint16_t size)
{
	print("# features 0x%lx size %u\n", features, size);
	check(virtio_start(rng, features, size), "start");
	check_eq("negotiated", rng->features, features | VIRTIO_F_VERSION_1);
	check_polling();
	check_chains();
	check_many();
}

/* The device's window, of those that ACPI tells of. */
static uint64_t acpi_window(void)
{
	unsigned int i;

	for (i = 0; i < VIRTIO_WINDOWS; i++)
		if (a[i].base == rng->base)
			return b[i].base;
	return 0;
}

/* A started device is not there by its other window; a reset frees it. */
static void move_to_acpi(void)
{
	uint64_t here = rng->base, there = acpi_window();

	check_eq("id-here", read32(here + VIRTIO_R_DEVICE_ID), VIRTIO_ENTROPY);
	check_eq("id-there", read32(there + VIRTIO_R_DEVICE_ID), 0);
	virtio_write(rng, VIRTIO_R_STATUS, 0);
	check_eq("id-there-now", read32(there + VIRTIO_R_DEVICE_ID),
		 VIRTIO_ENTROPY);
	rng->base = there;
	run(VIRTIO_F_INDIRECT, 64);
	check_eq("id-here-now", read32(here + VIRTIO_R_DEVICE_ID), 0);
}

void guest_main(void)
{
	check_windows();
	rng = virtio_find(VIRTIO_ENTROPY, 0);
	check(rng, "found");
	if (!rng)
		return;
	queue = &rng->queue[0];
	page = virtio_alloc(4096);
	run(VIRTIO_F_INDIRECT, 64);
	check_interrupts();
	check_suppressed();
	check_masked();
	run(VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX, 64);
	check_suppressed();
	run(VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX, 1024);
	check_eq("largest-queue", queue->size, 256);
	run(VIRTIO_F_INDIRECT, 4);
	move_to_acpi();
}
