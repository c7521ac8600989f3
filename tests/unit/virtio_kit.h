/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_kit.h - a virtio driver for unit tests, and for fuzz targets
 *
 * The driver's side of virtio 1.2 over MMIO, written from the specification
 * and not from our headers: it reaches the device only by its registers
 * (virtio_mmio_bus_ops), guest memory, and the two eventfds. A test goes
 *
 *	kit_open(&kit);
 *	... make the device with &kit.mem and &kit.loop ...
 *	kit_attach(&kit, dev);
 *	kit_start(&kit, features, 16);
 *	head = kit_add(&kit, 0, bufs, nr);
 *	kit_kick(&kit, 0);
 *	kit_pump(&kit);
 *	assert_true(kit_used(&kit, 0, &used));
 *	kit_close(&kit);
 *
 * Well-behaved as far as kit_add() goes; kit_desc(), kit_avail() and friends
 * put anything into the rings.
 */
#pragma once

#include "virtio/mmio.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define KIT_RAM_BYTES MIB(16)
#define KIT_QUEUE_MAX 256u

/* Registers (virtio 1.2, table 4.1). */
enum kit_reg {
	KIT_MAGIC = 0x000,
	KIT_VERSION = 0x004,
	KIT_DEVICE_ID = 0x008,
	KIT_VENDOR_ID = 0x00c,
	KIT_DEVICE_FEATURES = 0x010,
	KIT_DEVICE_FEATURES_SEL = 0x014,
	KIT_DRIVER_FEATURES = 0x020,
	KIT_DRIVER_FEATURES_SEL = 0x024,
	KIT_QUEUE_SEL = 0x030,
	KIT_QUEUE_NUM_MAX = 0x034,
	KIT_QUEUE_NUM = 0x038,
	KIT_QUEUE_READY = 0x044,
	KIT_QUEUE_NOTIFY = 0x050,
	KIT_INTERRUPT_STATUS = 0x060,
	KIT_INTERRUPT_ACK = 0x064,
	KIT_STATUS = 0x070,
	KIT_QUEUE_DESC = 0x080,
	KIT_QUEUE_AVAIL = 0x090,
	KIT_QUEUE_USED = 0x0a0,
	KIT_CONFIG_GENERATION = 0x0fc,
	KIT_CONFIG = 0x100,
};

/* Descriptor flags (2.7.5). */
enum {
	KIT_NEXT = 1,
	KIT_WRITE = 2,
	KIT_INDIRECT = 4,
};

/* A buffer of the driver's; @write: for the device to write. */
struct kit_buf {
	gpa_t gpa;
	uint32_t len;
	bool write;
};

struct kit_used {
	uint32_t head;
	uint32_t len;
};

/**
 * struct kit_queue - the driver's side of a queue
 * @next_desc:	where the next chain's descriptors go, round and round
 * @avail_idx, @used_idx: free-running
 */
struct kit_queue {
	uint16_t size;
	gpa_t desc;
	gpa_t avail;
	gpa_t used;
	uint16_t next_desc;
	uint16_t avail_idx;
	uint16_t used_idx;
};

struct kit {
	struct gmem mem;
	struct loop loop;
	struct virtio_mmio mmio;
	struct virtio_dev *dev;
	gpa_t next_gpa;
	struct kit_queue queue[VIRTIO_QUEUES_MAX];
};

/* The tests are single-threaded here: what fails ends the process. */
static inline void kit_must(bool ok)
{
	if (!ok)
		abort();
}

static inline void kit_open(struct kit *k)
{
	struct err err = {0};

	memset(k, 0, sizeof(*k));
	kit_must(gmem_init(&k->mem, KIT_RAM_BYTES, GMEM_PAGES_DEFAULT, &err) ==
		 0);
	kit_must(loop_init(&k->loop) == 0);
	k->next_gpa = PAGE_SIZE;
}

static inline void kit_attach(struct kit *k, struct virtio_dev *dev)
{
	k->dev = dev;
	k->mmio = (struct virtio_mmio){.dev = dev};
}

/* Destroys the device, too. */
static inline void kit_close(struct kit *k)
{
	if (k->dev)
		k->dev->ops->destroy(k->dev);
	loop_fini(&k->loop);
	gmem_fini(&k->mem);
}

/* ---- memory ---- */

/* Fresh, zeroed guest memory, 16-byte aligned. */
static inline gpa_t kit_alloc(struct kit *k, uint64_t len)
{
	gpa_t gpa = k->next_gpa;

	kit_must(align_up_checked(gpa + len, 16, &k->next_gpa));
	kit_must(gmem_find(&k->mem, gpa, len) != NULL);
	return gpa;
}

static inline void *kit_hva(struct kit *k, gpa_t gpa, uint64_t len)
{
	void *p = gmem_find(&k->mem, gpa, len);

	kit_must(p != NULL);
	return p;
}

static inline uint16_t kit_get16(struct kit *k, gpa_t gpa)
{
	return load_le16(kit_hva(k, gpa, 2));
}

static inline void kit_put16(struct kit *k, gpa_t gpa, uint16_t v)
{
	store_le16(kit_hva(k, gpa, 2), v);
}

/* ---- registers ---- */

static inline uint32_t kit_read(struct kit *k, uint64_t reg)
{
	uint8_t data[4] = {0xff, 0xff, 0xff, 0xff};

	(void)virtio_mmio_bus_ops.read(&k->mmio, reg, data, sizeof(data));
	return load_le32(data);
}

static inline void kit_write(struct kit *k, uint64_t reg, uint32_t v)
{
	uint8_t data[4];

	store_le32(data, v);
	(void)virtio_mmio_bus_ops.write(&k->mmio, reg, data, sizeof(data));
}

/* 64-bit values are two registers, the lower half first. */
static inline void kit_write64(struct kit *k, uint64_t reg, uint64_t v)
{
	kit_write(k, reg, (uint32_t)v);
	kit_write(k, reg + 4, (uint32_t)(v >> 32));
}

static inline uint64_t kit_config(struct kit *k, uint64_t off, unsigned int len)
{
	uint8_t data[8] = {0};

	(void)virtio_mmio_bus_ops.read(&k->mmio, KIT_CONFIG + off, data, len);
	return load_le64(data);
}

static inline void kit_set_config(struct kit *k, uint64_t off, uint64_t v,
				  unsigned int len)
{
	uint8_t data[8];

	store_le64(data, v);
	(void)virtio_mmio_bus_ops.write(&k->mmio, KIT_CONFIG + off, data, len);
}

static inline uint64_t kit_offered(struct kit *k)
{
	uint64_t low;

	kit_write(k, KIT_DEVICE_FEATURES_SEL, 0);
	low = kit_read(k, KIT_DEVICE_FEATURES);
	kit_write(k, KIT_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)kit_read(k, KIT_DEVICE_FEATURES) << 32;
}

static inline void kit_add_status(struct kit *k, uint32_t bits)
{
	kit_write(k, KIT_STATUS, kit_read(k, KIT_STATUS) | bits);
}

static inline void kit_set_features(struct kit *k, uint64_t features)
{
	kit_write(k, KIT_DRIVER_FEATURES_SEL, 0);
	kit_write(k, KIT_DRIVER_FEATURES, (uint32_t)features);
	kit_write(k, KIT_DRIVER_FEATURES_SEL, 1);
	kit_write(k, KIT_DRIVER_FEATURES, (uint32_t)(features >> 32));
}

/* ---- start (3.1.1) ---- */

/* Reset, then up to FEATURES_OK. Return: whether the device agreed. */
static inline bool kit_negotiate(struct kit *k, uint64_t features)
{
	kit_write(k, KIT_STATUS, 0);
	kit_add_status(k, VIRTIO_STATUS_ACKNOWLEDGE);
	kit_add_status(k, VIRTIO_STATUS_DRIVER);
	kit_set_features(k, features);
	kit_add_status(k, VIRTIO_STATUS_FEATURES_OK);
	return kit_read(k, KIT_STATUS) & VIRTIO_STATUS_FEATURES_OK;
}

/* Write the addresses in k->queue[@i] to the device. Return: ready. */
static inline bool kit_place_queue(struct kit *k, unsigned int i)
{
	struct kit_queue *q = &k->queue[i];

	kit_write(k, KIT_QUEUE_SEL, i);
	kit_write(k, KIT_QUEUE_NUM, q->size);
	kit_write64(k, KIT_QUEUE_DESC, q->desc);
	kit_write64(k, KIT_QUEUE_AVAIL, q->avail);
	kit_write64(k, KIT_QUEUE_USED, q->used);
	kit_write(k, KIT_QUEUE_READY, 1);
	return kit_read(k, KIT_QUEUE_READY) == 1;
}

/* Fresh rings of @size entries; the device's largest when that is less. */
static inline bool kit_add_queue(struct kit *k, unsigned int i, uint16_t size)
{
	struct kit_queue *q = &k->queue[i];
	uint32_t max;

	kit_write(k, KIT_QUEUE_SEL, i);
	max = kit_read(k, KIT_QUEUE_NUM_MAX);
	if (size > max)
		size = (uint16_t)max;
	*q = (struct kit_queue){.size = size};
	q->desc = kit_alloc(k, size * 16u);
	q->avail = kit_alloc(k, 6u + size * 2u);
	q->used = kit_alloc(k, 6u + size * 8u);
	return kit_place_queue(k, i);
}

/* Everything up to DRIVER_OK, all queues with @size entries. */
static inline void kit_start(struct kit *k, uint64_t features, uint16_t size)
{
	kit_must(kit_negotiate(k, features | VIRTIO_F_VERSION_1));
	for (unsigned int i = 0; i < k->dev->nr_queues; i++)
		kit_must(kit_add_queue(k, i, size));
	kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
	kit_must(kit_read(k, KIT_STATUS) & VIRTIO_STATUS_DRIVER_OK);
}

/* ---- rings ---- */

static inline void kit_put_desc(void *table, unsigned int at, gpa_t gpa,
				uint32_t len, uint16_t flags, uint16_t next)
{
	uint8_t *d = (uint8_t *)table + (size_t)at * 16;

	store_le64(d, gpa);
	store_le32(d + 8, len);
	store_le16(d + 12, flags);
	store_le16(d + 14, next);
}

/* One descriptor of queue @i's table, whatever it says. */
static inline void kit_desc(struct kit *k, unsigned int i, unsigned int at,
			    gpa_t gpa, uint32_t len, uint16_t flags,
			    uint16_t next)
{
	struct kit_queue *q = &k->queue[i];

	kit_put_desc(kit_hva(k, q->desc, q->size * 16u), at, gpa, len, flags,
		     next);
}

/* Make @head available, whatever it is. */
static inline void kit_avail(struct kit *k, unsigned int i, uint16_t head)
{
	struct kit_queue *q = &k->queue[i];
	unsigned int slot = q->avail_idx++ & (q->size - 1u);

	kit_put16(k, q->avail + 4 + slot * 2u, head);
	atomic_thread_fence(memory_order_release);
	kit_put16(k, q->avail + 2, q->avail_idx);
}

/* A chain of @nr buffers made available. Return: its head. */
static inline uint16_t kit_add(struct kit *k, unsigned int i,
			       const struct kit_buf *bufs, unsigned int nr)
{
	struct kit_queue *q = &k->queue[i];
	uint16_t head = q->next_desc;

	kit_must(nr > 0 && nr <= q->size);
	for (unsigned int n = 0; n < nr; n++) {
		unsigned int at = (head + n) & (q->size - 1u);
		unsigned int flags = (bufs[n].write ? KIT_WRITE : 0u) |
				     (n + 1 < nr ? KIT_NEXT : 0u);

		kit_desc(k, i, at, bufs[n].gpa, bufs[n].len, (uint16_t)flags,
			 (uint16_t)((at + 1) & (q->size - 1u)));
	}
	q->next_desc = (uint16_t)((head + nr) & (q->size - 1u));
	kit_avail(k, i, head);
	return head;
}

/* The same by an indirect table (of any length up to 65,535 buffers). */
static inline uint16_t kit_add_indirect(struct kit *k, unsigned int i,
					const struct kit_buf *bufs,
					unsigned int nr)
{
	struct kit_queue *q = &k->queue[i];
	gpa_t table = kit_alloc(k, nr * 16u);
	uint16_t head = q->next_desc;

	for (unsigned int n = 0; n < nr; n++)
		kit_put_desc(kit_hva(k, table, nr * 16u), n, bufs[n].gpa,
			     bufs[n].len,
			     (uint16_t)((bufs[n].write ? KIT_WRITE : 0u) |
					(n + 1 < nr ? KIT_NEXT : 0u)),
			     (uint16_t)(n + 1));
	kit_desc(k, i, head, table, nr * 16u, KIT_INDIRECT, 0);
	q->next_desc = (uint16_t)((head + 1u) & (q->size - 1u));
	kit_avail(k, i, head);
	return head;
}

/* As a device without an ioeventfd sees it: by the register. */
static inline void kit_kick(struct kit *k, unsigned int i)
{
	kit_write(k, KIT_QUEUE_NOTIFY, i);
}

/* Run the loop until it has nothing to do at once. */
static inline void kit_pump(struct kit *k)
{
	struct pollfd p = {.fd = k->loop.epoll_fd, .events = POLLIN};

	while (poll(&p, 1, 0) > 0)
		kit_must(loop_step(&k->loop, 0) == 0);
}

/* The next used element. Return: false when there is none. */
static inline bool kit_used(struct kit *k, unsigned int i,
			    struct kit_used *used)
{
	struct kit_queue *q = &k->queue[i];
	uint16_t idx = kit_get16(k, q->used + 2);
	const uint8_t *entry;

	if (idx == q->used_idx)
		return false;
	atomic_thread_fence(memory_order_acquire);
	entry = kit_hva(
		k, q->used + 4 + (gpa_t)(q->used_idx & (q->size - 1u)) * 8, 8);
	used->head = load_le32(entry);
	used->len = load_le32(entry + 4);
	q->used_idx++;
	return true;
}

/* Run the loop until the queue has a used element; false after 20 s. */
static inline bool kit_wait_used(struct kit *k, unsigned int i,
				 struct kit_used *used)
{
	for (int tries = 0; tries < 200; tries++) {
		if (kit_used(k, i, used))
			return true;
		kit_must(loop_step(&k->loop, 100) == 0);
	}
	return kit_used(k, i, used);
}

/* Interrupts since the last call. */
static inline uint64_t kit_irqs(struct kit *k)
{
	uint64_t count = 0;

	if (read(k->dev->irq_fd, &count, sizeof(count)) != sizeof(count))
		return 0;
	return count;
}
