// SPDX-License-Identifier: Apache-2.0
/*
 * dsdt.c - the devices of the machine, in AML
 *
 * Only what a guest cannot find by itself, and the power-off state. There is
 * no power button. The one event of the machine is that it is a copy: a new VM
 * generation ID, and a VM clock that says so. Its interrupt is that of a
 * generic event device (ACPI 6.4, 5.6.9), whose method notifies the drivers.
 */
#include "boot/aml.h"

#include <stdio.h>

#define NOTIFY_CHANGED 0x80u

static void write_s5(struct table *table)
{
	struct aml_block package;

	aml_name(table, "_S5_");
	package = aml_open_package(table, 4);
	aml_int(table, LAYOUT_ACPI_S5_TYPE);
	aml_int(table, 0); /* no second register */
	aml_int(table, 0);
	aml_int(table, 0);
	aml_close(table, package);
}

static void write_serial(struct table *table)
{
	struct aml_block dev = aml_open_device(table, "COM1");
	struct aml_block res;

	aml_name(table, "_HID");
	aml_eisa_id(table, "PNP0501");
	aml_name(table, "_UID");
	aml_int(table, 0);
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_io(table, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_BYTES);
	aml_res_irq(table, LAYOUT_GSI_SERIAL);
	aml_close_resources(table, res);
	aml_close(table, dev);
}

static void write_i8042(struct table *table)
{
	struct aml_block dev = aml_open_device(table, "KBD_");
	struct aml_block res;

	aml_name(table, "_HID");
	aml_eisa_id(table, "PNP0303");
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_io(table, LAYOUT_I8042_DATA, 1);
	aml_res_io(table, LAYOUT_I8042_CMD, 1);
	aml_res_irq(table, LAYOUT_GSI_I8042);
	aml_close_resources(table, res);
	aml_close(table, dev);
}

static void write_rtc(struct table *table)
{
	struct aml_block dev = aml_open_device(table, "RTC_");
	struct aml_block res;

	aml_name(table, "_HID");
	aml_eisa_id(table, "PNP0B00");
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_io(table, LAYOUT_RTC_PORT, LAYOUT_RTC_BYTES);
	aml_close_resources(table, res);
	aml_close(table, dev);
}

/* Where the ID lies (low and high half), and the names drivers know it by. */
static void write_genid(struct table *table)
{
	struct aml_block dev = aml_open_device(table, "VGEN");
	struct aml_block package;

	aml_name(table, "_HID");
	aml_string(table, "VOLT0001");
	aml_name(table, "_CID");
	package = aml_open_package(table, 2);
	aml_string(table, "VM_Gen_Counter");
	aml_string(table, "VM_GEN_COUNTER");
	aml_close(table, package);
	aml_name(table, "_DDN");
	aml_string(table, "VM_Gen_Counter");
	aml_name(table, "ADDR");
	package = aml_open_package(table, 2);
	aml_int(table, LAYOUT_GENID);
	aml_int(table, 0);
	aml_close(table, package);
	aml_close(table, dev);
}

static void write_vmclock(struct table *table)
{
	struct aml_block dev = aml_open_device(table, "VCLK");
	struct aml_block res;

	aml_name(table, "_HID");
	aml_string(table, "VOLT0002");
	aml_name(table, "_CID");
	aml_string(table, "VMCLOCK");
	aml_name(table, "_DDN");
	aml_string(table, "VMCLOCK");
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_memory(table, LAYOUT_VMCLOCK, PAGE_SIZE);
	aml_close_resources(table, res);
	aml_close(table, dev);
}

static void write_events(struct table *table, const struct boot_platform *plat)
{
	struct aml_block dev = aml_open_device(table, "GED_");
	struct aml_block res, method;

	aml_name(table, "_HID");
	aml_string(table, "ACPI0013");
	aml_name(table, "_UID");
	aml_int(table, 0);
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_irq(table, LAYOUT_GSI_GENID);
	aml_close_resources(table, res);
	method = aml_open_method(table, "_EVT", 1);
	aml_notify(table, "VGEN", NOTIFY_CHANGED);
	if (plat->has_vmclock)
		aml_notify(table, "VCLK", NOTIFY_CHANGED);
	aml_close(table, method);
	aml_close(table, dev);
}

static void write_virtio(struct table *table, unsigned int i,
			 const struct boot_virtio *v)
{
	struct aml_block dev, res;
	char name[5];

	assert(v->acpi_base <= UINT32_MAX);
	(void)snprintf(name, sizeof(name), "VM%02X", i & 0xff);
	dev = aml_open_device(table, name);
	aml_name(table, "_HID");
	aml_string(table, "LNRO0005");
	aml_name(table, "_UID");
	aml_int(table, i);
	aml_name(table, "_CCA");
	aml_int(table, 1);
	aml_name(table, "_CRS");
	res = aml_open_resources(table);
	aml_res_memory(table, (uint32_t)v->acpi_base, v->len);
	aml_res_irq(table, v->gsi);
	aml_close_resources(table, res);
	aml_close(table, dev);
}

void dsdt_write(struct table *table, const struct boot_platform *plat)
{
	struct aml_block scope;

	write_s5(table);
	scope = aml_open_scope(table, "_SB_");
	if (plat->has_serial)
		write_serial(table);
	if (plat->has_i8042)
		write_i8042(table);
	if (plat->has_rtc)
		write_rtc(table);
	if (plat->has_genid) {
		write_genid(table);
		if (plat->has_vmclock)
			write_vmclock(table);
		write_events(table, plat);
	}
	for (unsigned int i = 0; i < plat->nr_virtio; i++)
		write_virtio(table, i, &plat->virtio[i]);
	aml_close(table, scope);
}
