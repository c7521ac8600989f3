/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chipset.h - the devices of a machine that no configuration adds, and the list
 *
 * Theory of operation
 *
 * The table in chipset.c is the one list of devices: its order fixes addresses
 * and interrupts, which is guest ABI (docs/guest-abi.md), and the order of
 * states in a snapshot. All virtio devices are one row: which there are is the
 * configuration's business (slots.h).
 */
#pragma once

#include "dev/acpi_pm.h"
#include "dev/boot_timer.h"
#include "dev/console.h"
#include "dev/i8042.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "dev/vmclock.h"
#include "dev/vmgenid.h"
#include "snapshot/state.h"
#include "vm/board.h"
#include "vm/interrupts.h"

/**
 * struct chipset - all devices
 * @nr_devices:	rows of the table of devices that were added
 * @mark:	wakes the VMM thread when the guest wrote the boot timer and
 *		another process serves its memory; else not open
 * @console, @serial:	last, for their buffers are large and seldom touched
 */
struct chipset {
	struct board *board;
	struct interrupts *interrupts;
	struct virtio_slots *slots;
	struct i8042 i8042;
	struct rtc rtc;
	struct acpi_pm acpi_pm;
	struct boot_timer boot_timer;
	struct loop_source mark;
	struct vmclock vmclock;
	struct vmgenid vmgenid;
	size_t nr_devices;
	struct console console;
	struct serial serial;
};

/* Make the devices. Return: 0, or -errno with a sentence: free them then. */
int chipset_add(struct chipset *c, struct err *err) __must_check;

/* What was made. */
void chipset_fini(struct chipset *c);

/**
 * chipset_save() - the devices' states
 * @s:		its devices are filled in
 * @text:	what they refer to
 */
void chipset_save(struct chipset *c, struct snapshot *s, struct buf *text);

/* On devices that were just made. Return: 0 or -errno with a sentence. */
int chipset_load(struct chipset *c, const struct snapshot *s,
		 struct err *err) __must_check;
