// SPDX-License-Identifier: Apache-2.0
/*
 * ioapic.c - I/O APIC of the split irqchip (theory of operation: ioapic.h)
 */
#include "dev/ioapic.h"

#include <errno.h>

#define OFF_SELECT  0x00
#define OFF_WINDOW  0x10
#define OFF_EOI     0x40

#define REG_ID      0x00
#define REG_VERSION 0x01
#define REG_ARB     0x02
#define REG_ENTRY   0x10

#define VERSION     0x20u
#define LAST_SHIFT  16 /* in the version register: the last pin */
#define ID_SHIFT    24
#define ID_MASK     0x0fu

/* Redirection entry (82093AA data sheet 3.2.4). */
#define ENTRY_VECTOR        0xffull
#define ENTRY_DELIVERY(e)   ((uint32_t)((e) >> 8 & 7))
#define ENTRY_LOGICAL       (1ull << 11)
#define ENTRY_STATUS        (1ull << 12)
#define ENTRY_REMOTE_IRR    (1ull << 14)
#define ENTRY_LEVEL         (1ull << 15)
#define ENTRY_MASKED        (1ull << 16)
#define ENTRY_READ_ONLY     (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_WRITABLE_LOW  0x0001ffffull
#define ENTRY_WRITABLE_HIGH 0xff00000000000000ull
#define ENTRY_DEST(e)       ((uint32_t)((e) >> 56))

#define MSI_BASE            0xfee00000u
#define MSI_DEST_SHIFT      12
#define MSI_LOGICAL         (1u << 2)
#define MSI_DELIVERY_SHIFT  8
#define MSI_ASSERT          (1u << 14)

static struct msi entry_msi(uint64_t e)
{
	struct msi msi = {
		.addr = MSI_BASE | ENTRY_DEST(e) << MSI_DEST_SHIFT,
		.data = (uint32_t)(e & ENTRY_VECTOR) |
			ENTRY_DELIVERY(e) << MSI_DELIVERY_SHIFT | MSI_ASSERT,
	};

	if (e & ENTRY_LOGICAL)
		msi.addr |= MSI_LOGICAL;
	if (e & ENTRY_LEVEL)
		msi.data |= IOAPIC_MSI_LEVEL;
	return msi;
}

static void send(struct ioapic *io, unsigned int pin)
{
	struct msi msi = entry_msi(io->regs.entry[pin]);

	if (io->regs.entry[pin] & ENTRY_LEVEL)
		io->regs.entry[pin] |= ENTRY_REMOTE_IRR;
	io->sink.send(io->sink.ctx, &msi);
}

/* Send what a level pin has to say. */
static void send_if_due(struct ioapic *io, unsigned int pin)
{
	uint64_t e = io->regs.entry[pin];

	if ((e & ENTRY_LEVEL) && !(e & (ENTRY_MASKED | ENTRY_REMOTE_IRR)) &&
	    (io->regs.level & 1u << pin))
		send(io, pin);
}

void ioapic_set_level(struct ioapic *io, unsigned int pin, bool level)
{
	uint32_t bit = pin < IOAPIC_PINS ? 1u << pin : 0;
	bool rising;

	if (bit == 0)
		return;
	(void)pthread_mutex_lock(&io->lock);
	rising = level && !(io->regs.level & bit);
	io->regs.level &= ~bit;
	if (level)
		io->regs.level |= bit;
	if (rising && !(io->regs.entry[pin] & (ENTRY_LEVEL | ENTRY_MASKED)))
		send(io, pin);
	else
		send_if_due(io, pin);
	(void)pthread_mutex_unlock(&io->lock);
}

/* The kernel reports an EOI only for a vector in its table: a level interrupt
 * in service keeps its entry there when the guest masks the pin (drivers with
 * threaded handlers do), or remote IRR would never be cleared. */
static bool is_routed(uint64_t e)
{
	return !(e & ENTRY_MASKED) || (e & ENTRY_REMOTE_IRR);
}

/* Tell the kernel's routing table, when the message or the mask changed. */
static void route(struct ioapic *io, unsigned int pin, uint64_t was)
{
	uint64_t now = io->regs.entry[pin];
	struct msi msi = entry_msi(now);

	if (!is_routed(now)) {
		if (is_routed(was))
			io->sink.route(io->sink.ctx, pin, NULL);
	} else if ((was ^ now) & ~ENTRY_READ_ONLY) {
		io->sink.route(io->sink.ctx, pin, &msi);
	}
}

static void eoi_locked(struct ioapic *io, uint8_t vector)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = io->regs.entry[pin];

		if (!(e & ENTRY_REMOTE_IRR) || (e & ENTRY_VECTOR) != vector)
			continue;
		io->regs.entry[pin] &= ~ENTRY_REMOTE_IRR;
		route(io, pin, e);
		send_if_due(io, pin);
	}
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	(void)pthread_mutex_lock(&io->lock);
	eoi_locked(io, vector);
	(void)pthread_mutex_unlock(&io->lock);
}

static void write_entry(struct ioapic *io, unsigned int reg, uint32_t v)
{
	unsigned int pin = (reg - REG_ENTRY) / 2;
	uint64_t was = io->regs.entry[pin], now = was;

	if ((reg - REG_ENTRY) % 2 == 0) {
		now &= ~ENTRY_WRITABLE_LOW | ENTRY_READ_ONLY;
		now |= v & ENTRY_WRITABLE_LOW & ~ENTRY_READ_ONLY;
	} else {
		now &= ~ENTRY_WRITABLE_HIGH;
		now |= (uint64_t)v << 32 & ENTRY_WRITABLE_HIGH;
	}
	if (!(now & ENTRY_LEVEL)) /* IRR means nothing on an edge pin */
		now &= ~ENTRY_REMOTE_IRR;
	io->regs.entry[pin] = now;
	route(io, pin, was);
	send_if_due(io, pin);
}

static uint32_t read_window(const struct ioapic *io)
{
	unsigned int reg = io->regs.select;
	unsigned int pin = (reg - REG_ENTRY) / 2;

	switch (reg) {
	case REG_ID:
	case REG_ARB:
		return (uint32_t)io->regs.id << ID_SHIFT;
	case REG_VERSION:
		return VERSION | (io->nr_shown - 1) << LAST_SHIFT;
	default:
		break;
	}
	if (reg < REG_ENTRY || pin >= IOAPIC_PINS)
		return 0;
	return (uint32_t)(io->regs.entry[pin] >>
			  ((reg - REG_ENTRY) % 2 ? 32 : 0));
}

static void write_window(struct ioapic *io, uint32_t v)
{
	unsigned int reg = io->regs.select;

	if (reg == REG_ID)
		io->regs.id = v >> ID_SHIFT & ID_MASK;
	else if (reg >= REG_ENTRY && reg < REG_ENTRY + 2 * IOAPIC_PINS)
		write_entry(io, reg, v);
}

/* Registers are 32 bits wide; a narrower access reaches the low bytes, as the
 * chip's own index register is a byte. */
static int ioapic_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct ioapic *io = dev;
	uint64_t v = 0;

	if (off != OFF_SELECT && off != OFF_WINDOW)
		return -EINVAL;
	(void)pthread_mutex_lock(&io->lock);
	v = off == OFF_SELECT ? io->regs.select : read_window(io);
	(void)pthread_mutex_unlock(&io->lock);
	memcpy(data, &v, len);
	return 0;
}

static int ioapic_write(void *dev, uint64_t off, const void *data,
			unsigned int len)
{
	struct ioapic *io = dev;
	uint32_t v = 0;

	if (len > sizeof(v))
		return -EINVAL;
	memcpy(&v, data, len);
	(void)pthread_mutex_lock(&io->lock);
	if (off == OFF_SELECT)
		io->regs.select = (uint8_t)v;
	else if (off == OFF_WINDOW)
		write_window(io, v);
	else if (off == OFF_EOI)
		eoi_locked(io, (uint8_t)v);
	(void)pthread_mutex_unlock(&io->lock);
	return 0;
}

static const struct schema_field entry_field = {
	.type = SCHEMA_BITS,
	.size = sizeof(uint64_t),
};
static const struct schema_item entry_item = {&entry_field, sizeof(uint64_t)};

static const struct schema_field ioapic_state_fields[] = {
	SCHEMA_STATE_BITS(struct ioapic_state, select),
	SCHEMA_STATE_BITS(struct ioapic_state, id),
	SCHEMA_STATE_BITS(struct ioapic_state, level),
	SCHEMA_STATE_ARRAY(struct ioapic_state, entry, &entry_item),
};

const struct schema_object ioapic_state_schema =
	SCHEMA_STATE_OF(struct ioapic_state, ioapic_state_fields);

void ioapic_save(struct ioapic *io, struct ioapic_state *state)
{
	(void)pthread_mutex_lock(&io->lock);
	*state = io->regs;
	(void)pthread_mutex_unlock(&io->lock);
}

/* Bits that an entry can have. */
static bool entry_possible(uint64_t e)
{
	if (e & ~(ENTRY_WRITABLE_LOW | ENTRY_WRITABLE_HIGH) || e & ENTRY_STATUS)
		return false;
	return (e & ENTRY_LEVEL) || !(e & ENTRY_REMOTE_IRR);
}

int ioapic_load(struct ioapic *io, const struct ioapic_state *state,
		struct err *err)
{
	if (state->id > ID_MASK || state->level >> IOAPIC_PINS != 0)
		return err_set(err, -EINVAL, "id %#x or level %#x is too large",
			       state->id, state->level);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		if (!entry_possible(state->entry[pin]))
			return err_set(err, -EINVAL,
				       "entry %u cannot be 0x%llx", pin,
				       (unsigned long long)state->entry[pin]);
	(void)pthread_mutex_lock(&io->lock);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t was = io->regs.entry[pin];

		io->regs.entry[pin] = state->entry[pin];
		route(io, pin, was);
	}
	io->regs = *state;
	(void)pthread_mutex_unlock(&io->lock);
	return 0;
}

const struct bus_ops ioapic_bus_ops = {ioapic_read, ioapic_write};

void ioapic_init(struct ioapic *io, const struct msi_sink *sink)
{
	io->sink = *sink;
	io->nr_shown = IOAPIC_PINS;
	(void)pthread_mutex_init(&io->lock, NULL);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		io->regs.entry[pin] = ENTRY_MASKED;
}

void ioapic_show_pins(struct ioapic *io, unsigned int nr)
{
	assert(nr >= 1 && nr <= IOAPIC_PINS);
	io->nr_shown = nr;
}

void ioapic_fini(struct ioapic *io)
{
	(void)pthread_mutex_destroy(&io->lock);
}
