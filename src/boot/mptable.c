// SPDX-License-Identifier: Apache-2.0
/*
 * mptable.c - the MP table, for kernels without ACPI (or with acpi=off)
 *
 * It lies in the EBDA, whose segment the BIOS data area gives; the floating
 * pointer is found by its signature there, and leads to the configuration
 * table behind it. One ISA bus; every interrupt goes to the IOAPIC pin of its
 * own number, those of virtio-mmio windows above 15 as well: Linux takes the
 * number of virtio_mmio.device= for that of an ISA interrupt. IRQ 0 and the
 * ExtINT of the PIC exist with the full irqchip only.
 *
 * Reference: Intel MultiProcessor Specification 1.4, chapter 4.
 */
#include "boot/tables.h"

#include <errno.h>

#define SPEC_REV       4u
#define LAPIC_VERSION  0x14u
#define IOAPIC_VERSION 0x20u /* with an EOI register, as Volt's is */
#define IOAPIC_OF_KVM  0x11u
#define CPU_ENABLED    1u
#define CPU_BOOT       2u
#define CPU_SIGNATURE  0x600u
#define CPU_FEATURES   0x201u /* FPU, APIC */
#define IOAPIC_ENABLED 1u
#define LAPIC_ALL      0xffu
#define BUS_ISA        0u
#define CASCADE_IRQ    2u

enum {
	ENTRY_CPU,
	ENTRY_BUS,
	ENTRY_IOAPIC,
	ENTRY_INT,
	ENTRY_LOCAL_INT,
};

enum {
	INT_VECTORED = 0,
	INT_NMI = 1,
	INT_EXTINT = 3,
};

struct mp_floating {
	char signature[4];
	uint32_t config;
	uint8_t length; /* in 16 bytes */
	uint8_t spec_rev;
	uint8_t checksum;
	uint8_t feature[5];
};

struct mp_config {
	char signature[4];
	uint16_t length;
	uint8_t spec_rev;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_length;
	uint16_t nr_entries;
	uint32_t lapic;
	uint16_t ext_length;
	uint8_t ext_checksum;
	uint8_t reserved;
};

struct mp_cpu {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t addr;
};

/* Polarity and trigger 0: as the bus has it (ISA: edge, active high). */
struct mp_int {
	uint8_t type;
	uint8_t int_type;
	uint16_t flags;
	uint8_t bus;
	uint8_t irq;
	uint8_t apic;
	uint8_t pin;
};

static_assert(sizeof(struct mp_floating) == 16, "floating pointer");
static_assert(sizeof(struct mp_config) == 44, "configuration table");
static_assert(sizeof(struct mp_cpu) == 20, "processor entry");

static unsigned int add_cpus(struct table *table,
			     const struct boot_platform *plat)
{
	for (unsigned int i = 0; i < plat->nr_cpus; i++) {
		struct mp_cpu cpu = {
			.type = ENTRY_CPU,
			.apic_id = (uint8_t)i,
			.apic_version = LAPIC_VERSION,
			.flags = i == 0 ? CPU_ENABLED | CPU_BOOT : CPU_ENABLED,
			.signature = CPU_SIGNATURE,
			.features = CPU_FEATURES,
		};

		table_bytes(table, &cpu, sizeof(cpu));
	}
	return plat->nr_cpus;
}

static unsigned int add_chips(struct table *table,
			      const struct boot_platform *plat)
{
	struct mp_bus bus = {
		.type = ENTRY_BUS,
		.id = BUS_ISA,
		.name = {'I', 'S', 'A', ' ', ' ', ' '},
	};
	struct mp_ioapic ioapic = {
		.type = ENTRY_IOAPIC,
		.id = (uint8_t)plat->nr_cpus,
		.version = plat->split_irqchip ? IOAPIC_VERSION : IOAPIC_OF_KVM,
		.flags = IOAPIC_ENABLED,
		.addr = LAYOUT_IOAPIC,
	};

	table_bytes(table, &bus, sizeof(bus));
	table_bytes(table, &ioapic, sizeof(ioapic));
	return 2;
}

static void add_int(struct table *table, uint8_t type, uint8_t int_type,
		    uint8_t irq, uint8_t apic, uint8_t pin)
{
	struct mp_int e = {
		.type = type,
		.int_type = int_type,
		.bus = BUS_ISA,
		.irq = irq,
		.apic = apic,
		.pin = pin,
	};

	table_bytes(table, &e, sizeof(e));
}

static unsigned int add_ints(struct table *table,
			     const struct boot_platform *plat)
{
	unsigned int pins = plat->split_irqchip
				    ? layout_ioapic_pins(plat->nr_virtio)
				    : LAYOUT_IOAPIC_PINS;
	unsigned int nr = 0;

	for (unsigned int i = plat->split_irqchip; i < pins; i++) {
		if (i == CASCADE_IRQ)
			continue;
		add_int(table, ENTRY_INT, INT_VECTORED, (uint8_t)i,
			(uint8_t)plat->nr_cpus, (uint8_t)i);
		nr++;
	}
	if (!plat->split_irqchip) {
		add_int(table, ENTRY_LOCAL_INT, INT_EXTINT, 0, 0, 0);
		nr++;
	}
	add_int(table, ENTRY_LOCAL_INT, INT_NMI, 0, LAPIC_ALL, 1);
	return nr + 1;
}

static void write_bios_words(struct gmem *mem)
{
	uint8_t *ebda = gmem_find(mem, LAYOUT_BDA_EBDA, 2);
	uint8_t *base = gmem_find(mem, LAYOUT_BDA_BASE_KIB, 2);
	uint8_t *size = gmem_find(mem, LAYOUT_EBDA, 1);

	assert(ebda && base && size);
	store_le16(ebda, LAYOUT_EBDA >> 4);
	store_le16(base, LAYOUT_EBDA >> 10);
	*size = LAYOUT_EBDA_BYTES >> 10;
}

int mptable_write(struct gmem *mem, const struct boot_platform *plat)
{
	struct table table = {
		.buf = gmem_find(mem, LAYOUT_MPTABLE,
				 LAYOUT_EBDA + LAYOUT_EBDA_BYTES -
					 LAYOUT_MPTABLE),
		.size = LAYOUT_EBDA + LAYOUT_EBDA_BYTES - LAYOUT_MPTABLE,
	};
	struct mp_floating mpf = {
		.signature = {'_', 'M', 'P', '_'},
		.config = LAYOUT_MPTABLE + sizeof(mpf),
		.length = sizeof(mpf) / 16,
		.spec_rev = SPEC_REV,
	};
	struct mp_config mpc = {
		.signature = {'P', 'C', 'M', 'P'},
		.spec_rev = SPEC_REV,
		.oem = {'V', 'O', 'L', 'T', ' ', ' ', ' ', ' '},
		.product = {'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ',
			    ' ', ' '},
		.lapic = LAYOUT_LAPIC,
	};
	unsigned int nr;
	uint8_t *config;

	assert(table.buf);
	mpf.checksum = table_checksum(&mpf, sizeof(mpf));
	table_bytes(&table, &mpf, sizeof(mpf));
	table_bytes(&table, &mpc, sizeof(mpc));
	nr = add_cpus(&table, plat);
	nr += add_chips(&table, plat);
	nr += add_ints(&table, plat);
	if (table.full)
		return -ENOSPC;
	config = table.buf + sizeof(mpf);
	mpc.length = (uint16_t)(table.len - sizeof(mpf));
	mpc.nr_entries = (uint16_t)nr;
	memcpy(config, &mpc, sizeof(mpc));
	config[offsetof(struct mp_config, checksum)] =
		table_checksum(config, mpc.length);
	write_bios_words(mem);
	return 0;
}
