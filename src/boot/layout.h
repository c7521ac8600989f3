/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout.h - every fixed address and interrupt of the machine: guest ABI
 *
 * Guests, snapshots and command lines hold these numbers: a value that was
 * released never changes. Read by boot/ (which describes the machine to the
 * guest) and by vm/ (which builds it).
 *
 * Memory below 1 MiB
 *   0x00000  BIOS data area: two words that say where base memory ends; GDT
 *   0x07000  zero page (64-bit Linux protocol)
 *   0x09000  page tables: the first 4 GiB, identity, 2 MiB pages (6 pages)
 *   0x20000  kernel command line; behind it, on the same page (each page that
 *            is touched costs a fault), PVH start info, modules, memory map
 *   0x9fc00  EBDA, 1 KiB, reserved: MP table
 *   0xa0000  hole of a PC (video memory): not in the memory map
 *   0xe0000  reserved: VM generation ID, 16 bytes; behind it, on the same page,
 *            the ACPI tables, RSDP first
 *   0xff000  reserved: VM clock, a page that the guest may show its programs
 * Everything but the EBDA and the ACPI tables is the kernel's to reuse once it
 * has read it. Kernels load at 1 MiB or above.
 *
 * Interrupts: GSI n is IOAPIC pin n on both irqchips, without overrides (KVM's
 * own IOAPIC wires IRQ 0 to pin 0 as well). All are edge-triggered, active
 * high. GSI 1 is the keyboard, 3 says that the VM is a copy (VM generation ID
 * and VM clock), 4 the serial port, 5 to 23 the virtio windows.
 * There is no SCI: ACPI is of the hardware-reduced kind. The RTC raises none.
 */
#pragma once

#include "base/bits.h"

#define LAYOUT_MAX_CPUS 32u

/* BIOS data area: EBDA segment, KiB of base memory. */
#define LAYOUT_BDA_EBDA     0x40eu
#define LAYOUT_BDA_BASE_KIB 0x413u

#define LAYOUT_GDT          0x500u
#define LAYOUT_ZERO_PAGE    0x7000u
#define LAYOUT_PAGE_TABLES  0x9000u
#define LAYOUT_CMDLINE      0x20000u
#define LAYOUT_CMDLINE_MAX  2048u /* with the terminating NUL */
#define LAYOUT_PVH_INFO     0x20800u
#define LAYOUT_PVH_MODULE   0x20840u
#define LAYOUT_PVH_MEMMAP   0x20880u
#define LAYOUT_EBDA         0x9fc00u
#define LAYOUT_EBDA_BYTES   0x400u
#define LAYOUT_MPTABLE      (LAYOUT_EBDA + 0x10) /* its floating pointer */
#define LAYOUT_BIOS_HOLE    0xa0000u
#define LAYOUT_BIOS         0xe0000u /* reserved, to LAYOUT_KERNEL */
#define LAYOUT_GENID        LAYOUT_BIOS
#define LAYOUT_ACPI         0xe0020u /* RSDP */
#define LAYOUT_ACPI_BYTES   0x1efe0u
#define LAYOUT_VMCLOCK      0xff000u
#define LAYOUT_KERNEL       0x100000u /* nothing of a kernel below */

/* What lies in the hole below 4 GiB (GMEM_HOLE_START to GMEM_HOLE_END). */
#define LAYOUT_BOOT_TIMER    0xc0000000u /* one page; only with --boot-timer */
#define LAYOUT_VIRTIO        0xd0000000ull /* for command lines */
#define LAYOUT_VIRTIO_ACPI   0xd0100000ull
#define LAYOUT_VIRTIO_STRIDE 0x1000u
#define LAYOUT_VIRTIO_MAX    19u
#define LAYOUT_IOAPIC        0xfec00000u
#define LAYOUT_IOAPIC_BYTES  0x1000u
#define LAYOUT_LAPIC         0xfee00000u
/* From here to 4 GiB the memory map says reserved: chips and KVM's own pages */
#define LAYOUT_CHIPS       LAYOUT_IOAPIC

#define LAYOUT_IOAPIC_PINS 24u
#define LAYOUT_GSI_I8042   1u
#define LAYOUT_GSI_GENID   3u
#define LAYOUT_GSI_SERIAL  4u
#define LAYOUT_GSI_VIRTIO  5u /* to 23 */
#define LAYOUT_GSI_RTC     8u /* never raised; Linux wants a pin for it */

/* Ports */
#define LAYOUT_SERIAL_PORT  0x3f8u
#define LAYOUT_SERIAL_BYTES 8u
#define LAYOUT_I8042_DATA   0x60u
#define LAYOUT_I8042_CMD    0x64u
#define LAYOUT_RTC_PORT     0x70u
#define LAYOUT_RTC_BYTES    2u

/*
 * ACPI registers of one byte each (ACPI 6.4, 4.8.3.6 and 4.8.3.7). Power-off:
 * SLP_EN with LAYOUT_ACPI_S5_TYPE in the sleep control register; reset:
 * LAYOUT_ACPI_RESET_VALUE in the reset register.
 */
#define LAYOUT_ACPI_PORT           0x600u
#define LAYOUT_ACPI_PORT_BYTES     8u
#define LAYOUT_ACPI_SLEEP_CTL      0x600u
#define LAYOUT_ACPI_SLEEP_STATUS   0x601u
#define LAYOUT_ACPI_RESET          0x602u
#define LAYOUT_ACPI_RESET_VALUE    1u
#define LAYOUT_ACPI_S5_TYPE        5u
#define LAYOUT_ACPI_SLP_EN         0x20u
#define LAYOUT_ACPI_SLP_TYPE_SHIFT 2u

/*
 * Pins that the split irqchip's IOAPIC says it has: those of a machine with
 * @nr_virtio devices. The others are there as well, but Linux accesses the
 * registers of each pin that it is told of four times as it starts and six
 * times as it ends, two exits each.
 */
static inline unsigned int layout_ioapic_pins(unsigned int nr_virtio)
{
	unsigned int pins = LAYOUT_GSI_VIRTIO + nr_virtio;

	return pins > LAYOUT_GSI_RTC ? pins : LAYOUT_GSI_RTC + 1;
}

/* GSI and base address of virtio window @slot (below LAYOUT_VIRTIO_MAX). */
static inline unsigned int layout_virtio_gsi(unsigned int slot)
{
	return LAYOUT_GSI_VIRTIO + slot;
}

static inline uint64_t layout_virtio_base(unsigned int slot)
{
	return LAYOUT_VIRTIO + (uint64_t)slot * LAYOUT_VIRTIO_STRIDE;
}

/* The other window of the same device, which ACPI tells of. */
static inline uint64_t layout_virtio_acpi_base(unsigned int slot)
{
	return LAYOUT_VIRTIO_ACPI + (uint64_t)slot * LAYOUT_VIRTIO_STRIDE;
}
