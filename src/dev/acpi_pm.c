// SPDX-License-Identifier: Apache-2.0
/*
 * acpi_pm.c - reset and sleep registers of hardware-reduced ACPI
 */
#include "dev/acpi_pm.h"

#include <errno.h>

#define SLEEP_BITS 0x3c /* SLP_EN and SLP_TYPx */

static int acpi_pm_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	(void)dev;
	(void)off;
	if (len != 1)
		return -EINVAL;
	*(uint8_t *)data = 0;
	return 0;
}

static int acpi_pm_write(void *dev, uint64_t off, const void *data,
			 unsigned int len)
{
	const struct acpi_pm *pm = dev;
	uint8_t v = *(const uint8_t *)data;

	if (len != 1)
		return -EINVAL;
	if (off == pm->reset_off && v == pm->reset_value)
		pm->reset(pm->ctx);
	else if (off == pm->sleep_control_off && (v & SLEEP_BITS) == pm->s5)
		pm->poweroff(pm->ctx);
	return 0;
}

const struct bus_ops acpi_pm_bus_ops = {acpi_pm_read, acpi_pm_write};
