/* SPDX-License-Identifier: Apache-2.0 */
/*
 * acpi_pm.h - reset and sleep registers of hardware-reduced ACPI
 *
 * Three byte registers (ACPI 6.4, 4.8.3.6 and 4.8.3.7), stateless: the reset
 * register ends the VM when its value is written, the sleep control register
 * when SLP_EN comes with the type of S5. The status register reads 0.
 */
#pragma once

#include "bus/bus.h"

/**
 * struct acpi_pm - offsets in the block and the values that mean something
 */
struct acpi_pm {
	uint8_t sleep_control_off;
	uint8_t reset_off;
	uint8_t reset_value;
	uint8_t s5; /* SLP_EN and the type of S5, as written */
	void (*reset)(void *ctx);
	void (*poweroff)(void *ctx);
	void *ctx;
};

extern const struct bus_ops acpi_pm_bus_ops;
