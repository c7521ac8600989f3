/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio.h - a virtio driver (1.2, MMIO version 2) for bare-metal guests
 *
 * Theory of operation
 *
 * Devices are found by the command line's virtio_mmio.device= words, or in the
 * DSDT (LNRO0005); both lists can be had, to be compared. A device is then
 * started step by step or by virtio_start(), and each request is a chain of
 * buffers:
 *
 *	struct virtio *v = virtio_find(VIRTIO_ENTROPY, 0);
 *	virtio_start(v, 0, 16);
 *	virtq_add(&v->queue[0], &buf, 1);
 *	virtq_kick(&v->queue[0]);
 *	virtq_wait(&v->queue[0], &used);
 *
 * virtio_use_irq() turns virtq_wait() from polling into sleeping until the
 * device's interrupt. virtq_put() and virtq_offer() write anything into the
 * rings: hostile guests start there.
 */
#pragma once

#include "guest.h"

#define VIRTIO_WINDOWS 24
#define VIRTIO_QUEUES  5
#define VIRTIO_TIMEOUT 20000000000ULL /* TSC ticks: some seconds */

enum {
	VIRTIO_NET = 1,
	VIRTIO_BLOCK = 2,
	VIRTIO_ENTROPY = 4,
	VIRTIO_BALLOON = 5,
	VIRTIO_VSOCK = 19,
	VIRTIO_MEMORY = 24,
	VIRTIO_PMEM = 27,
};

enum {
	VIRTIO_R_MAGIC = 0x000,
	VIRTIO_R_VERSION = 0x004,
	VIRTIO_R_DEVICE_ID = 0x008,
	VIRTIO_R_VENDOR_ID = 0x00c,
	VIRTIO_R_DEVICE_FEATURES = 0x010,
	VIRTIO_R_DEVICE_FEATURES_SEL = 0x014,
	VIRTIO_R_DRIVER_FEATURES = 0x020,
	VIRTIO_R_DRIVER_FEATURES_SEL = 0x024,
	VIRTIO_R_QUEUE_SEL = 0x030,
	VIRTIO_R_QUEUE_NUM_MAX = 0x034,
	VIRTIO_R_QUEUE_NUM = 0x038,
	VIRTIO_R_QUEUE_READY = 0x044,
	VIRTIO_R_QUEUE_NOTIFY = 0x050,
	VIRTIO_R_INTERRUPT_STATUS = 0x060,
	VIRTIO_R_INTERRUPT_ACK = 0x064,
	VIRTIO_R_STATUS = 0x070,
	VIRTIO_R_QUEUE_DESC = 0x080,
	VIRTIO_R_QUEUE_AVAIL = 0x090,
	VIRTIO_R_QUEUE_USED = 0x0a0,
	VIRTIO_R_CONFIG_GENERATION = 0x0fc,
	VIRTIO_R_CONFIG = 0x100,
};

enum {
	VIRTIO_S_ACKNOWLEDGE = 1,
	VIRTIO_S_DRIVER = 2,
	VIRTIO_S_DRIVER_OK = 4,
	VIRTIO_S_FEATURES_OK = 8,
	VIRTIO_S_NEEDS_RESET = 64,
};

enum {
	VIRTQ_NEXT = 1,
	VIRTQ_WRITE = 2,
	VIRTQ_INDIRECT = 4,
};

#define VIRTIO_F_INDIRECT  (1ULL << 28)
#define VIRTIO_F_EVENT_IDX (1ULL << 29)
#define VIRTIO_F_VERSION_1 (1ULL << 32)

struct virtio_window {
	uint64_t base, size;
	unsigned int pin;
};

struct virtio_buf {
	uint64_t addr;
	uint32_t len;
	bool write; /* by the device */
};

struct virtq_used {
	uint32_t head, len;
};

struct virtio;

/* @next_desc: where the next chain's descriptors go, round and round */
struct virtq {
	struct virtio *dev;
	uint16_t index, size;
	uint64_t desc, avail, used;
	uint16_t next_desc, avail_idx, used_idx;
};

/*
 * @irqs: interrupts so far; @isr: causes seen by them, or-ed
 * @used_event_off: with EVENT_IDX, how many used elements the next interrupt
 *	may wait for beyond the next one
 */
struct virtio {
	uint64_t base;
	unsigned int pin;
	uint32_t id;
	uint64_t features;
	bool sleeps;
	uint16_t used_event_off;
	volatile uint32_t irqs;
	volatile uint32_t isr;
	struct virtq queue[VIRTIO_QUEUES];
};

/* Finding. Return: the number of windows written to @w. */
unsigned int virtio_cmdline_windows(struct virtio_window *w, unsigned int max);
unsigned int virtio_acpi_windows(struct virtio_window *w, unsigned int max);
/* The @nth device of that type, or NULL. */
struct virtio *virtio_find(uint32_t id, unsigned int nth);

/* Memory that nothing else uses, zeroed, page aligned; never freed. */
uint64_t virtio_alloc(uint64_t len);

static inline uint32_t virtio_read(const struct virtio *v, unsigned int reg)
{
	return read32(v->base + reg);
}

static inline void virtio_write(const struct virtio *v, unsigned int reg,
				uint32_t val)
{
	write32(v->base + reg, val);
}

void virtio_write64(const struct virtio *v, unsigned int reg, uint64_t val);
uint64_t virtio_offered(const struct virtio *v);
void virtio_add_status(const struct virtio *v, uint32_t bits);

/* Reset, then up to FEATURES_OK with what of @wanted is offered. */
bool virtio_negotiate(struct virtio *v, uint64_t wanted);
/* New rings of @size entries (or the largest there is); ready. */
bool virtq_init(struct virtio *v, unsigned int index, uint16_t size);
/* The addresses and size of @q to the device; ready. */
bool virtq_place(struct virtq *q);
void virtio_driver_ok(struct virtio *v);
/* All of the above, for every queue of the device. */
bool virtio_start(struct virtio *v, uint64_t wanted, uint16_t size);
/* Its interrupt at @vector from now on (edge, this CPU). */
void virtio_use_irq(struct virtio *v, uint8_t vector);

/* Requests. virtq_add() and virtq_add_indirect() return the head. */
uint16_t virtq_add(struct virtq *q, const struct virtio_buf *bufs,
		   unsigned int nr);
uint16_t virtq_add_indirect(struct virtq *q, uint64_t table,
			    const struct virtio_buf *bufs, unsigned int nr);
void virtq_kick(struct virtq *q);
bool virtq_used(struct virtq *q, struct virtq_used *used);
/* Return: false when nothing comes for some seconds. */
bool virtq_wait(struct virtq *q, struct virtq_used *used);

/* Raw: one descriptor of the table at @table; @head into the ring. */
void virtq_put(uint64_t table, unsigned int at, uint64_t addr, uint32_t len,
	       uint16_t flags, uint16_t next);
void virtq_offer(struct virtq *q, uint16_t head);
