// SPDX-License-Identifier: Apache-2.0
/*
 * test_mptable.c - the MP table, found and read as a kernel does
 */
#include "boot_kit.h"

#include "boot/tables.h"

/**
 * struct seen - what a walk through the table found
 * @pin:	IRQ by IOAPIC pin, -1: no entry
 */
struct seen {
	unsigned int cpus;
	unsigned int ioapic_id;
	unsigned int ioapics;
	unsigned int buses;
	int pin[LAYOUT_IOAPIC_PINS];
	bool extint;
	bool nmi;
};

static void see_int(struct seen *seen, const uint8_t *p)
{
	assert_int_equal(load_le16(p + 2), 0);
	assert_int_equal(p[4], 0);
	if (p[0] == 3) {
		assert_int_equal(p[1], 0);
		assert_int_equal(p[6], seen->ioapic_id);
		assert_in_range(p[7], 0, LAYOUT_IOAPIC_PINS - 1);
		assert_int_equal(seen->pin[p[7]], -1);
		seen->pin[p[7]] = p[5];
	} else if (p[1] == 3) {
		assert_int_equal(p[7], 0);
		seen->extint = true;
	} else {
		assert_int_equal(p[1], 1);
		assert_int_equal(p[6], 0xff);
		assert_int_equal(p[7], 1);
		seen->nmi = true;
	}
}

static const uint8_t *find_floating(const struct gmem *mem)
{
	const uint8_t *bda = gmem_find(mem, LAYOUT_BDA_EBDA, 2);
	gpa_t ebda = (gpa_t)load_le16(bda) << 4;
	const uint8_t *p = gmem_find(mem, ebda, 1024);

	assert_int_equal(ebda, 0x9fc00);
	assert_int_equal(load_le16(gmem_find(mem, 0x413, 2)), 639);
	assert_int_equal(p[0], 1); /* KiB */
	for (unsigned int i = 0; i < 1024; i += 16)
		if (memcmp(p + i, "_MP_", 4) == 0)
			return p + i;
	fail_msg("no floating pointer");
	return NULL;
}

static void walk(const struct gmem *mem, struct seen *seen)
{
	const uint8_t *mpf = find_floating(mem);
	const uint8_t *mpc, *p;

	memset(seen, 0, sizeof(*seen));
	memset(seen->pin, 0xff, sizeof(seen->pin));
	kit_sum_is_zero(mpf, 16);
	assert_int_equal(mpf[8], 1);
	assert_int_equal(mpf[9], 4);
	mpc = gmem_find(mem, load_le32(mpf + 4), 44);
	assert_non_null(mpc);
	assert_memory_equal(mpc, "PCMP", 4);
	assert_true(load_le32(mpf + 4) + load_le16(mpc + 4) <=
		    LAYOUT_BIOS_HOLE);
	kit_sum_is_zero(mpc, load_le16(mpc + 4));
	assert_int_equal(load_le32(mpc + 36), LAYOUT_LAPIC);
	p = mpc + 44;
	for (unsigned int n = load_le16(mpc + 34); n > 0; n--) {
		if (p[0] == 0) {
			assert_int_equal(p[1], seen->cpus);
			assert_int_equal(p[3], seen->cpus == 0 ? 3 : 1);
			seen->cpus++;
			p += 20;
			continue;
		}
		if (p[0] == 1) {
			assert_memory_equal(p + 2, "ISA   ", 6);
			seen->buses++;
		} else if (p[0] == 2) {
			assert_int_equal(load_le32(p + 4), LAYOUT_IOAPIC);
			seen->ioapic_id = p[1];
			seen->ioapics++;
		} else {
			see_int(seen, p);
		}
		p += 8;
	}
	assert_ptr_equal(p, mpc + load_le16(mpc + 4));
}

static void table_describes_the_machine(void **state)
{
	static const unsigned int counts[] = {1, 2, 4, 32};

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		struct boot_platform plat = kit_platform();
		struct gmem mem;
		struct seen seen;

		unsigned int pins = LAYOUT_IOAPIC_PINS;

		plat.nr_cpus = counts[i / 2];
		plat.split_irqchip = i % 2;
		kit_add_virtio(&plat, (unsigned int)i);
		/* The clock's 8, or the last device's. */
		if (plat.split_irqchip)
			pins = i < 4 ? 9 : 5 + (unsigned int)i;
		kit_memory(&mem, MIB(16));
		assert_int_equal(mptable_write(&mem, &plat), 0);
		walk(&mem, &seen);
		assert_int_equal(seen.cpus, plat.nr_cpus);
		assert_int_equal(seen.ioapic_id, plat.nr_cpus);
		assert_int_equal(seen.ioapics, 1);
		assert_int_equal(seen.buses, 1);
		assert_true(seen.nmi);
		assert_int_equal(seen.extint, !plat.split_irqchip);
		for (unsigned int pin = 1; pin < LAYOUT_IOAPIC_PINS; pin++)
			assert_int_equal(seen.pin[pin], pin == 2 || pin >= pins
								? -1
								: (int)pin);
		assert_int_equal(seen.pin[0], plat.split_irqchip ? -1 : 0);
		gmem_fini(&mem);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_describes_the_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
