// SPDX-License-Identifier: Apache-2.0
/*
 * test_ioapic.c - pins, messages, routes, and registers under random writes
 */
#include "unit.h"

#include "dev/ioapic.h"

#include <string.h>

struct chip {
	struct ioapic io;
	unsigned int sent;
	struct msi last;
	unsigned int routes;
	bool routed[IOAPIC_PINS];
	struct msi route[IOAPIC_PINS];
};

static void on_send(void *ctx, const struct msi *msi)
{
	struct chip *c = ctx;

	c->sent++;
	c->last = *msi;
}

static void on_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	struct chip *c = ctx;

	assert_true(gsi < IOAPIC_PINS);
	c->routes++;
	c->routed[gsi] = msi != NULL;
	if (msi)
		c->route[gsi] = *msi;
}

static int set_up(void **state)
{
	static struct chip c;
	struct msi_sink sink = {on_send, on_route, &c};

	memset(&c, 0, sizeof(c));
	ioapic_init(&c.io, &sink);
	*state = &c;
	return 0;
}

static int tear_down(void **state)
{
	struct chip *c = *state;

	ioapic_fini(&c->io);
	return 0;
}

static void put(struct chip *c, uint32_t reg, uint32_t v)
{
	assert_int_equal(ioapic_bus_ops.write(&c->io, 0, &reg, 4), 0);
	assert_int_equal(ioapic_bus_ops.write(&c->io, 0x10, &v, 4), 0);
}

static uint32_t get(struct chip *c, uint32_t reg)
{
	uint32_t v = 0;

	assert_int_equal(ioapic_bus_ops.write(&c->io, 0, &reg, 4), 0);
	assert_int_equal(ioapic_bus_ops.read(&c->io, 0x10, &v, 4), 0);
	return v;
}

static void entry(struct chip *c, unsigned int pin, uint32_t low, uint32_t high)
{
	put(c, 0x11 + 2 * pin, high);
	put(c, 0x10 + 2 * pin, low);
}

static void fixed_registers(void **state)
{
	struct chip *c = *state;

	assert_int_equal(get(c, 1), 0x170020);
	put(c, 1, 0xffffffff);
	assert_int_equal(get(c, 1), 0x170020);
	put(c, 0, 0xffffffff);
	assert_int_equal(get(c, 0), 0x0f000000);
	assert_int_equal(get(c, 0x10), 0x10000); /* masked at reset */
	assert_int_equal(get(c, 0x40), 0);
	put(c, 0x40, 0xffffffff); /* beyond the last pin */
	assert_int_equal(c->routes, 0);
}

/* Fewer in the version register; a guest that knows of more may use them. */
static void pins_that_are_not_shown_work(void **state)
{
	struct chip *c = *state;

	ioapic_show_pins(&c->io, 9);
	assert_int_equal(get(c, 1), 0x080020);
	put(c, 1, 0xffffffff);
	assert_int_equal(get(c, 1), 0x080020);
	entry(c, 23, 0x31, 0);
	assert_int_equal(get(c, 0x10 + 2 * 23), 0x31);
	ioapic_set_level(&c->io, 23, true);
	assert_int_equal(c->sent, 1);
	ioapic_show_pins(&c->io, IOAPIC_PINS);
	assert_int_equal(get(c, 1), 0x170020);
}

static void edge_pin(void **state)
{
	struct chip *c = *state;

	entry(c, 4, 0x10931, 0x03000000); /* masked, logical, lowest, 0x31 */
	ioapic_set_level(&c->io, 4, true);
	assert_int_equal(c->sent, 0);
	entry(c, 4, 0x931, 0x03000000);
	assert_int_equal(c->sent, 0); /* lost while masked */
	ioapic_set_level(&c->io, 4, true);
	assert_int_equal(c->sent, 0); /* no edge */
	ioapic_set_level(&c->io, 4, false);
	ioapic_set_level(&c->io, 4, true);
	assert_int_equal(c->sent, 1);
	assert_int_equal(c->last.addr, 0xfee03004);
	assert_int_equal(c->last.data, 0x4131);
	assert_int_equal(c->route[4].data, 0x4131);
	assert_int_equal(get(c, 0x18) & 0x4000, 0); /* no remote IRR */
}

static void level_pin(void **state)
{
	struct chip *c = *state;

	entry(c, 9, 0x8042, 0);
	ioapic_set_level(&c->io, 9, true);
	assert_int_equal(c->sent, 1);
	assert_int_equal(c->last.data, 0xc042);
	assert_int_equal(get(c, 0x22) & 0x4000, 0x4000);
	ioapic_set_level(&c->io, 9, false);
	ioapic_set_level(&c->io, 9, true);
	assert_int_equal(c->sent, 1); /* in service */
	ioapic_eoi(&c->io, 0x41);     /* another vector */
	assert_int_equal(c->sent, 1);
	ioapic_eoi(&c->io, 0x42);
	assert_int_equal(c->sent, 2); /* still high */
	ioapic_set_level(&c->io, 9, false);
	ioapic_eoi(&c->io, 0x42);
	assert_int_equal(c->sent, 2);
	assert_int_equal(get(c, 0x22) & 0x4000, 0);
}

/* Masked in service: the kernel must go on reporting its EOI. */
static void level_pin_masked_in_service(void **state)
{
	struct chip *c = *state;

	entry(c, 9, 0x8042, 0);
	ioapic_set_level(&c->io, 9, true);
	put(c, 0x22, 0x18042);
	assert_true(c->routed[9]);
	ioapic_eoi(&c->io, 0x42);
	assert_false(c->routed[9]);
	assert_int_equal(c->sent, 1);
	put(c, 0x22, 0x8042);
	assert_int_equal(c->sent, 2); /* unmasked, still high */
}

static void eoi_register(void **state)
{
	struct chip *c = *state;
	uint32_t vector = 0x42;

	entry(c, 9, 0x8042, 0);
	ioapic_set_level(&c->io, 9, true);
	assert_int_equal(ioapic_bus_ops.write(&c->io, 0x40, &vector, 4), 0);
	assert_int_equal(c->sent, 2);
}

static void routes_only_on_change(void **state)
{
	struct chip *c = *state;

	entry(c, 5, 0x31, 0);
	assert_int_equal(c->routes, 1);
	entry(c, 5, 0x31, 0);
	put(c, 0x1a, 0x31 | 0x5000); /* read-only bits */
	assert_int_equal(c->routes, 1);
	put(c, 0x1a, 0x10031);
	assert_int_equal(c->routes, 2);
	put(c, 0x1a, 0x10032); /* masked: nobody needs to know */
	assert_int_equal(c->routes, 2);
}

static void pins_that_do_not_exist(void **state)
{
	struct chip *c = *state;

	ioapic_set_level(&c->io, 24, true);
	ioapic_set_level(&c->io, 63, true);
	ioapic_set_level(&c->io, ~0u, true);
	assert_int_equal(c->sent, 0);
}

/* Whatever is written, the chip's invariants hold. */
static void random_registers(void **state)
{
	struct chip *c = *state;
	uint64_t x = 88172645463325252ull;

	for (int i = 0; i < 200000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (x % 5 == 0)
			ioapic_set_level(&c->io, (unsigned int)(x >> 8) % 32,
					 x >> 40 & 1);
		else if (x % 5 == 1)
			ioapic_eoi(&c->io, (uint8_t)(x >> 16));
		else
			put(c, (uint8_t)(x >> 8), (uint32_t)(x >> 24));
		for (unsigned int p = 0; p < IOAPIC_PINS; p++) {
			uint64_t e = c->io.regs.entry[p];

			assert_int_equal(e >> 17 & 0x7fffffffff, 0);
			assert_int_equal(e >> 12 & 1, 0);
			if (!(e >> 15 & 1))
				assert_int_equal(e >> 14 & 1, 0);
			if (!(e >> 16 & 1))
				assert_true(c->routed[p]);
		}
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(fixed_registers),
		CASE(pins_that_are_not_shown_work),
		CASE(edge_pin),
		CASE(level_pin),
		CASE(level_pin_masked_in_service),
		CASE(eoi_register),
		CASE(routes_only_on_change),
		CASE(pins_that_do_not_exist),
		CASE(random_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
