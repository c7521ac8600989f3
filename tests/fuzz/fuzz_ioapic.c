// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_ioapic.c - any accesses of a guest to the IOAPIC, lines that move and
 * EOIs that come at any time
 *
 * A step is a byte for what, one for where and four for a value. Judged after
 * each step, and at each message:
 *
 * - a message goes out only for an unmasked pin, and is that pin's;
 * - no level interrupt is lost: a pin whose line is high is in service or
 *   masked; none is in service twice;
 * - one step sends a message per pin at most, so nothing spins;
 * - the kernel's routing table, which is told of changes only, is what the
 *   entries say: every unmasked pin, and every one still in service.
 */
#include "dev_fuzz.h"

#include "dev/ioapic.h"

#define STEP_BYTES  6u
#define ENTRY_IRR   (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASK  (1ull << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct ioapic io;
	struct msi route[IOAPIC_PINS];
	bool routed[IOAPIC_PINS];
	unsigned int sent; /* in this step */
};

/* What a redirection entry means as a message (Intel SDM 3A 11.11). */
static struct msi meaning(uint64_t e)
{
	return (struct msi){
		.addr = 0xfee00000 | e >> 56 << 12 | (e >> 11 & 1) << 2,
		.data = (uint32_t)((e & 0x7ff) | 1 << 14 | (e & ENTRY_LEVEL)),
	};
}

static bool same(const struct msi *a, const struct msi *b)
{
	return a->addr == b->addr && a->data == b->data;
}

static void on_send(void *ctx, const struct msi *msi)
{
	struct world *w = ctx;
	bool found = false;

	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		struct msi own = meaning(w->io.regs.entry[pin]);

		found |= same(msi, &own) &&
			 !(w->io.regs.entry[pin] & ENTRY_MASK);
	}
	fuzz_check(found);
	fuzz_check(++w->sent <= IOAPIC_PINS);
}

static void on_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	struct world *w = ctx;

	fuzz_check(gsi < IOAPIC_PINS);
	w->routed[gsi] = msi;
	if (msi)
		w->route[gsi] = *msi;
}

static void access_any(struct world *w, bool read, uint64_t off, uint64_t v)
{
	unsigned int len = 1u << (v >> 32 & 3);
	uint8_t *buf = malloc(len);

	fuzz_check(buf);
	memcpy(buf, &v, len);
	if (read)
		(void)!ioapic_bus_ops.read(&w->io, off, buf, len);
	else
		(void)!ioapic_bus_ops.write(&w->io, off, buf, len);
	free(buf);
}

static void write_reg(struct world *w, uint8_t reg, uint32_t v)
{
	uint32_t back = 0, select = reg;

	fuzz_check(ioapic_bus_ops.write(&w->io, 0, &select, 4) == 0);
	fuzz_check(ioapic_bus_ops.write(&w->io, 0x10, &v, 4) == 0);
	fuzz_check(ioapic_bus_ops.read(&w->io, 0x10, &back, 4) == 0);
	if (reg >= 0x10 && reg < 0x10 + 2 * IOAPIC_PINS && reg % 2 == 0)
		fuzz_check(((back ^ v) & 0x1afff) == 0);
}

static void step(struct world *w, uint8_t what, uint8_t where, uint32_t v)
{
	w->sent = 0;
	switch (what % 8) {
	case 0: /* a redirection entry */
	case 1:
		write_reg(w, (uint8_t)(0x10 + where % (2 * IOAPIC_PINS)), v);
		break;
	case 2:
		write_reg(w, where, v);
		break;
	case 3: /* what the kernel does, or a CPU that makes it up */
		ioapic_eoi(&w->io, (uint8_t)v);
		break;
	case 4:
		access_any(w, what & 8, where, (uint64_t)what << 28 | v);
		break;
	default:
		ioapic_set_level(&w->io, where % (IOAPIC_PINS + 2), v & 1);
		break;
	}
}

static void judge(const struct world *w)
{
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = w->io.regs.entry[pin];
		bool high = w->io.regs.level & 1u << pin;
		struct msi own = meaning(e);

		if (e & ENTRY_IRR)
			fuzz_check(e & ENTRY_LEVEL);
		else if (high && (e & ENTRY_LEVEL))
			fuzz_check(e & ENTRY_MASK);
		fuzz_check(w->routed[pin] ==
			   (!(e & ENTRY_MASK) || (e & ENTRY_IRR)));
		if (w->routed[pin])
			fuzz_check(same(&w->route[pin], &own));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script script = {data, size};
	struct world w = {0};
	const struct msi_sink sink = {on_send, on_route, &w};

	ioapic_init(&w.io, &sink);
	while (script.left >= STEP_BYTES) {
		uint8_t what = fuzz_byte(&script), where = fuzz_byte(&script);

		step(&w, what, where, (uint32_t)fuzz_take(&script, 4));
		judge(&w);
	}
	ioapic_fini(&w.io);
	return 0;
}
