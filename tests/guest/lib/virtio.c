/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio.c - a virtio driver for bare-metal guests
 */
#include "virtio.h"

enum {
	MAGIC = 0x74726976,
	VERSION = 2,
	SDT_LENGTH = 4,
	SDT_SIZE = 36,
	FADT_DSDT = 40,
	FADT_X_DSDT = 140,
	RES_MEMORY32_FIXED = 0x86,
	RES_INTERRUPT = 0x89,
	RES_END = 0x79,
};

#define ARENA_START 0x800000ULL

static struct virtio devices[VIRTIO_WINDOWS];
static unsigned int nr_devices;
static uint64_t arena = ARENA_START;

/* ---- finding ---- */

static const char *parse_number(const char *p, uint64_t *val)
{
	unsigned int base = 10, digit;

	if (p[0] == '0' && p[1] == 'x') {
		base = 16;
		p += 2;
	}
	for (*val = 0;; p++) {
		if (*p >= '0' && *p <= '9')
			digit = (unsigned int)(*p - '0');
		else if (base == 16 && *p >= 'a' && *p <= 'f')
			digit = (unsigned int)(*p - 'a') + 10;
		else
			return p;
		*val = *val * base + digit;
	}
}

/* <size>K@<base>:<irq>, or in bytes without the K */
static bool parse_window(const char *p, struct virtio_window *w)
{
	uint64_t pin;

	p = parse_number(p, &w->size);
	if (*p == 'K') {
		w->size <<= 10;
		p++;
	}
	if (*p++ != '@')
		return false;
	p = parse_number(p, &w->base);
	if (*p != ':')
		return false;
	p = parse_number(p + 1, &pin);
	w->pin = (unsigned int)pin;
	return !*p || *p == ' ';
}

/**
 * virtio_cmdline_windows() - The virtio_mmio.device= words.
 */
unsigned int virtio_cmdline_windows(struct virtio_window *w, unsigned int max)
{
	static const char key[] = "virtio_mmio.device=";
	const char *p = machine.cmdline;
	unsigned int nr = 0;

	while (*p && nr < max) {
		while (*p == ' ')
			p++;
		if (!memcmp(p, key, sizeof(key) - 1) &&
		    parse_window(p + sizeof(key) - 1, &w[nr]))
			nr++;
		while (*p && *p != ' ')
			p++;
	}
	return nr;
}

/* The resources that follow a _HID of LNRO0005: memory first, then its pin. */
static bool read_resources(uint64_t p, uint64_t end, struct virtio_window *w)
{
	for (; p + 12 <= end; p++) {
		if (read8(p) != RES_MEMORY32_FIXED || read16(p + 1) != 9)
			continue;
		w->base = read32(p + 4);
		w->size = read32(p + 8);
		p += 12;
		if (p + 9 > end || read8(p) != RES_INTERRUPT ||
		    read16(p + 1) != 6 || read8(p + 4) != 1)
			return false;
		w->pin = read32(p + 5);
		return true;
	}
	return false;
}

/**
 * virtio_acpi_windows() - The DSDT's devices of _HID LNRO0005, in its order.
 */
unsigned int virtio_acpi_windows(struct virtio_window *w, unsigned int max)
{
	uint64_t fadt = acpi_find_table("FACP"), dsdt, p, end;
	unsigned int nr = 0;

	if (!fadt)
		return 0;
	dsdt = read64(fadt + FADT_X_DSDT);
	if (!dsdt)
		dsdt = read32(fadt + FADT_DSDT);
	end = dsdt ? dsdt + read32(dsdt + SDT_LENGTH) : 0;
	for (p = dsdt + SDT_SIZE; p + 8 < end && nr < max; p++)
		if (read8(p) == 'L' && !memcmp((const void *)p, "LNRO0005", 8))
			nr += read_resources(p + 8, end, &w[nr]);
	return nr;
}

static void scan(void)
{
	static struct virtio_window w[VIRTIO_WINDOWS];
	unsigned int i, nr = virtio_cmdline_windows(w, VIRTIO_WINDOWS);

	if (!nr)
		nr = virtio_acpi_windows(w, VIRTIO_WINDOWS);
	for (i = 0; i < nr; i++) {
		struct virtio *v = &devices[nr_devices];

		v->base = w[i].base;
		v->pin = w[i].pin;
		v->id = virtio_read(v, VIRTIO_R_DEVICE_ID);
		if (virtio_read(v, VIRTIO_R_MAGIC) == MAGIC &&
		    virtio_read(v, VIRTIO_R_VERSION) == VERSION)
			nr_devices++;
	}
}

/**
 * virtio_find() - A device by its type; the first call looks for all of them.
 */
struct virtio *virtio_find(uint32_t id, unsigned int nth)
{
	unsigned int i;

	if (!nr_devices)
		scan();
	for (i = 0; i < nr_devices; i++)
		if (devices[i].id == id && nth-- == 0)
			return &devices[i];
	return NULL;
}

/* Fresh RAM is zero: nothing is touched here. */
uint64_t virtio_alloc(uint64_t len)
{
	uint64_t addr = arena;

	arena += (len + 4095) & ~4095ULL;
	return addr;
}

/* ---- start ---- */

void virtio_write64(const struct virtio *v, unsigned int reg, uint64_t val)
{
	virtio_write(v, reg, (uint32_t)val);
	virtio_write(v, reg + 4, (uint32_t)(val >> 32));
}

uint64_t virtio_offered(const struct virtio *v)
{
	uint64_t low;

	virtio_write(v, VIRTIO_R_DEVICE_FEATURES_SEL, 0);
	low = virtio_read(v, VIRTIO_R_DEVICE_FEATURES);
	virtio_write(v, VIRTIO_R_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)virtio_read(v, VIRTIO_R_DEVICE_FEATURES) << 32;
}

void virtio_add_status(const struct virtio *v, uint32_t bits)
{
	virtio_write(v, VIRTIO_R_STATUS,
		     virtio_read(v, VIRTIO_R_STATUS) | bits);
}

/**
 * virtio_negotiate() - Reset the device and agree on features.
 *
 * Return: whether it accepted them.
 */
bool virtio_negotiate(struct virtio *v, uint64_t wanted)
{
	virtio_write(v, VIRTIO_R_STATUS, 0);
	virtio_add_status(v, VIRTIO_S_ACKNOWLEDGE);
	virtio_add_status(v, VIRTIO_S_DRIVER);
	v->features = virtio_offered(v) & (wanted | VIRTIO_F_VERSION_1);
	virtio_write(v, VIRTIO_R_DRIVER_FEATURES_SEL, 0);
	virtio_write(v, VIRTIO_R_DRIVER_FEATURES, (uint32_t)v->features);
	virtio_write(v, VIRTIO_R_DRIVER_FEATURES_SEL, 1);
	virtio_write(v, VIRTIO_R_DRIVER_FEATURES,
		     (uint32_t)(v->features >> 32));
	virtio_add_status(v, VIRTIO_S_FEATURES_OK);
	return virtio_read(v, VIRTIO_R_STATUS) & VIRTIO_S_FEATURES_OK;
}

bool virtq_place(struct virtq *q)
{
	const struct virtio *v = q->dev;

	virtio_write(v, VIRTIO_R_QUEUE_SEL, q->index);
	virtio_write(v, VIRTIO_R_QUEUE_NUM, q->size);
	virtio_write64(v, VIRTIO_R_QUEUE_DESC, q->desc);
	virtio_write64(v, VIRTIO_R_QUEUE_AVAIL, q->avail);
	virtio_write64(v, VIRTIO_R_QUEUE_USED, q->used);
	virtio_write(v, VIRTIO_R_QUEUE_READY, 1);
	return virtio_read(v, VIRTIO_R_QUEUE_READY) == 1;
}

/**
 * virtq_init() - Set up queue @index; rings that it had are cleared and reused.
 */
bool virtq_init(struct virtio *v, unsigned int index, uint16_t size)
{
	struct virtq *q = &v->queue[index];
	uint32_t max;

	virtio_write(v, VIRTIO_R_QUEUE_SEL, index);
	max = virtio_read(v, VIRTIO_R_QUEUE_NUM_MAX);
	if (size > max)
		size = (uint16_t)max;
	if (!q->desc || q->size < size) {
		q->desc = virtio_alloc(size * 16u);
		q->avail = virtio_alloc(6 + size * 2u);
		q->used = virtio_alloc(6 + size * 8u);
	}
	memset((void *)q->avail, 0, 6 + size * 2u);
	memset((void *)q->used, 0, 6 + size * 8u);
	q->dev = v;
	q->index = (uint16_t)index;
	q->size = size;
	q->next_desc = q->avail_idx = q->used_idx = 0;
	return virtq_place(q);
}

void virtio_driver_ok(struct virtio *v)
{
	virtio_add_status(v, VIRTIO_S_DRIVER_OK);
}

/**
 * virtio_start() - Everything from reset to DRIVER_OK.
 */
bool virtio_start(struct virtio *v, uint64_t wanted, uint16_t size)
{
	unsigned int i;

	if (!virtio_negotiate(v, wanted))
		return false;
	for (i = 0; i < VIRTIO_QUEUES; i++) {
		virtio_write(v, VIRTIO_R_QUEUE_SEL, i);
		if (virtio_read(v, VIRTIO_R_QUEUE_NUM_MAX) &&
		    !virtq_init(v, i, size))
			return false;
	}
	virtio_driver_ok(v);
	return !(virtio_read(v, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET);
}

/* ---- interrupts ---- */

static struct virtio *by_vector[256];

static void on_interrupt(struct isr_frame *frame)
{
	struct virtio *v = by_vector[frame->vector];
	uint32_t cause = virtio_read(v, VIRTIO_R_INTERRUPT_STATUS);

	virtio_write(v, VIRTIO_R_INTERRUPT_ACK, cause);
	v->isr |= cause;
	v->irqs++;
	lapic_eoi();
}

/**
 * virtio_use_irq() - Take the device's interrupts; lapic_init() comes first.
 */
void virtio_use_irq(struct virtio *v, uint8_t vector)
{
	by_vector[vector] = v;
	isr_set(vector, on_interrupt);
	ioapic_write_redir(v->pin, vector | (uint64_t)lapic_id() << 56);
	v->sleeps = true;
}

/* ---- requests ---- */

void virtq_put(uint64_t table, unsigned int at, uint64_t addr, uint32_t len,
	       uint16_t flags, uint16_t next)
{
	write64(table + at * 16, addr);
	write32(table + at * 16 + 8, len);
	write16(table + at * 16 + 12, flags);
	write16(table + at * 16 + 14, next);
}

void virtq_offer(struct virtq *q, uint16_t head)
{
	write16(q->avail + 4 + (q->avail_idx & (q->size - 1u)) * 2, head);
	q->avail_idx++;
	write16(q->avail + 2, q->avail_idx);
}

static uint16_t flags_of(const struct virtio_buf *bufs, unsigned int i,
			 unsigned int nr)
{
	return (uint16_t)((bufs[i].write ? VIRTQ_WRITE : 0) |
			  (i + 1 < nr ? VIRTQ_NEXT : 0));
}

/**
 * virtq_add() - Make a chain of @nr buffers available.
 *
 * Return: its head. The caller keeps at most as many descriptors in flight as
 * the queue has entries.
 */
uint16_t virtq_add(struct virtq *q, const struct virtio_buf *bufs,
		   unsigned int nr)
{
	uint16_t head = q->next_desc, mask = (uint16_t)(q->size - 1);
	unsigned int i;

	for (i = 0; i < nr; i++)
		virtq_put(q->desc, (head + i) & mask, bufs[i].addr, bufs[i].len,
			  flags_of(bufs, i, nr),
			  (uint16_t)((head + i + 1) & mask));
	q->next_desc = (uint16_t)((head + nr) & mask);
	virtq_offer(q, head);
	return head;
}

/**
 * virtq_add_indirect() - The same through a table of @nr entries at @table.
 */
uint16_t virtq_add_indirect(struct virtq *q, uint64_t table,
			    const struct virtio_buf *bufs, unsigned int nr)
{
	uint16_t head = q->next_desc;
	unsigned int i;

	for (i = 0; i < nr; i++)
		virtq_put(table, i, bufs[i].addr, bufs[i].len,
			  flags_of(bufs, i, nr), (uint16_t)(i + 1));
	virtq_put(q->desc, head, table, nr * 16, VIRTQ_INDIRECT, 0);
	q->next_desc = (uint16_t)((head + 1) & (q->size - 1));
	virtq_offer(q, head);
	return head;
}

void virtq_kick(struct virtq *q)
{
	virtio_write(q->dev, VIRTIO_R_QUEUE_NOTIFY, q->index);
}

bool virtq_used(struct virtq *q, struct virtq_used *used)
{
	uint64_t entry = q->used + 4 + (q->used_idx & (q->size - 1u)) * 8;

	if (read16(q->used + 2) == q->used_idx)
		return false;
	used->head = read32(entry);
	used->len = read32(entry + 4);
	q->used_idx++;
	if (q->dev->features & VIRTIO_F_EVENT_IDX)
		write16(q->avail + 4 + q->size * 2u,
			(uint16_t)(q->used_idx + q->dev->used_event_off));
	return true;
}

/**
 * virtq_wait() - The next used element, by polling or by interrupt.
 */
bool virtq_wait(struct virtq *q, struct virtq_used *used)
{
	uint64_t start = tsc_read();

	while (!virtq_used(q, used)) {
		if (tsc_read() - start > VIRTIO_TIMEOUT)
			return false;
		if (q->dev->sleeps)
			irq_window();
		else
			cpu_pause();
	}
	return true;
}
