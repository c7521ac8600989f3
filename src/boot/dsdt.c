// SPDX-License-Identifier: Apache-2.0
/*
 * dsdt.c - the devices of the machine, in AML
 *
 * Only what a guest cannot find by itself, and the power-off state. There is
 * no power button. The one event of the machine is a new VM generation ID: its
 * interrupt is that of a generic event device (ACPI 6.4, 5.6.9), whose method
 * notifies the driver.
 */
#include "boot/aml.h"

#include <stdio.h>

#define NOTIFY_CHANGED 0x80u

static void write_s5(struct tab *tab)
{
	struct aml_block package;

	aml_name(tab, "_S5_");
	package = aml_open_package(tab, 4);
	aml_int(tab, LAYOUT_ACPI_S5_TYPE);
	aml_int(tab, 0); /* no second register */
	aml_int(tab, 0);
	aml_int(tab, 0);
	aml_close(tab, package);
}

static void write_serial(struct tab *tab)
{
	struct aml_block dev = aml_open_device(tab, "COM1");
	struct aml_block res;

	aml_name(tab, "_HID");
	aml_eisa_id(tab, "PNP0501");
	aml_name(tab, "_UID");
	aml_int(tab, 0);
	aml_name(tab, "_CRS");
	res = aml_open_resources(tab);
	aml_res_io(tab, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_BYTES);
	aml_res_irq(tab, LAYOUT_GSI_SERIAL);
	aml_close_resources(tab, res);
	aml_close(tab, dev);
}

static void write_i8042(struct tab *tab)
{
	struct aml_block dev = aml_open_device(tab, "KBD_");
	struct aml_block res;

	aml_name(tab, "_HID");
	aml_eisa_id(tab, "PNP0303");
	aml_name(tab, "_CRS");
	res = aml_open_resources(tab);
	aml_res_io(tab, LAYOUT_I8042_DATA, 1);
	aml_res_io(tab, LAYOUT_I8042_CMD, 1);
	aml_res_irq(tab, LAYOUT_GSI_I8042);
	aml_close_resources(tab, res);
	aml_close(tab, dev);
}

static void write_rtc(struct tab *tab)
{
	struct aml_block dev = aml_open_device(tab, "RTC_");
	struct aml_block res;

	aml_name(tab, "_HID");
	aml_eisa_id(tab, "PNP0B00");
	aml_name(tab, "_CRS");
	res = aml_open_resources(tab);
	aml_res_io(tab, LAYOUT_RTC_PORT, LAYOUT_RTC_BYTES);
	aml_close_resources(tab, res);
	aml_close(tab, dev);
}

/* Where the ID lies (low and high half), and the names drivers know it by. */
static void write_genid(struct tab *tab)
{
	struct aml_block dev = aml_open_device(tab, "VGEN");
	struct aml_block package;

	aml_name(tab, "_HID");
	aml_string(tab, "VOLT0001");
	aml_name(tab, "_CID");
	package = aml_open_package(tab, 2);
	aml_string(tab, "VM_Gen_Counter");
	aml_string(tab, "VM_GEN_COUNTER");
	aml_close(tab, package);
	aml_name(tab, "_DDN");
	aml_string(tab, "VM_Gen_Counter");
	aml_name(tab, "ADDR");
	package = aml_open_package(tab, 2);
	aml_int(tab, LAYOUT_GENID);
	aml_int(tab, 0);
	aml_close(tab, package);
	aml_close(tab, dev);
}

static void write_events(struct tab *tab)
{
	struct aml_block dev = aml_open_device(tab, "GED_");
	struct aml_block res, method;

	aml_name(tab, "_HID");
	aml_string(tab, "ACPI0013");
	aml_name(tab, "_UID");
	aml_int(tab, 0);
	aml_name(tab, "_CRS");
	res = aml_open_resources(tab);
	aml_res_irq(tab, LAYOUT_GSI_GENID);
	aml_close_resources(tab, res);
	method = aml_open_method(tab, "_EVT", 1);
	aml_notify(tab, "VGEN", NOTIFY_CHANGED);
	aml_close(tab, method);
	aml_close(tab, dev);
}

static void write_virtio(struct tab *tab, unsigned int i,
			 const struct boot_virtio *v)
{
	struct aml_block dev, res;
	char name[5];

	assert(v->acpi_base <= UINT32_MAX);
	(void)snprintf(name, sizeof(name), "VM%02X", i & 0xff);
	dev = aml_open_device(tab, name);
	aml_name(tab, "_HID");
	aml_string(tab, "LNRO0005");
	aml_name(tab, "_UID");
	aml_int(tab, i);
	aml_name(tab, "_CCA");
	aml_int(tab, 1);
	aml_name(tab, "_CRS");
	res = aml_open_resources(tab);
	aml_res_memory(tab, (uint32_t)v->acpi_base, v->len);
	aml_res_irq(tab, v->gsi);
	aml_close_resources(tab, res);
	aml_close(tab, dev);
}

void dsdt_write(struct tab *tab, const struct boot_platform *plat)
{
	struct aml_block scope;

	write_s5(tab);
	scope = aml_open_scope(tab, "_SB_");
	if (plat->has_serial)
		write_serial(tab);
	if (plat->has_i8042)
		write_i8042(tab);
	if (plat->has_rtc)
		write_rtc(tab);
	if (plat->has_genid) {
		write_genid(tab);
		write_events(tab);
	}
	for (unsigned int i = 0; i < plat->nr_virtio; i++)
		write_virtio(tab, i, &plat->virtio[i]);
	aml_close(tab, scope);
}
