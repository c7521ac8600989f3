/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drives.h - what of Volt a kernel drives: built in, as a module, not at all
 *
 * One table: each row is something that Volt shows a guest, or that a guest
 * needs to get to its root, with the options of Linux that drive it. `volt
 * kernel info` shows all rows; `check` judges those that a boot depends on.
 * Without a configuration nothing is known, and nothing is guessed.
 */
#pragma once

#include "kernel/module.h"

enum drives_id {
	DRIVES_CONSOLE,
	DRIVES_FIND,
	DRIVES_INTERRUPTS,
	DRIVES_BUS,
	DRIVES_DISK,
	DRIVES_PMEM,
	DRIVES_NET,
	DRIVES_VSOCK,
	DRIVES_ENTROPY,
	DRIVES_BALLOON,
	DRIVES_HOTPLUG,
	DRIVES_VMGENID,
	DRIVES_VMCLOCK,
	DRIVES_CLOCK,
	DRIVES_RTC,
	DRIVES_KEYS,
	DRIVES_POWEROFF,
	DRIVES_INITRD,
	DRIVES_DEVTMPFS,
	DRIVES_EXT4,
	DRIVES_XFS,
	DRIVES_BTRFS,
	DRIVES_SQUASHFS,
	DRIVES_EROFS,
	DRIVES_OVERLAY,
	DRIVES_COUNT,
};

enum drives_state {
	DRIVES_UNKNOWN, /* no configuration */
	DRIVES_NOT,
	DRIVES_MODULE_LOST, /* a module, and the store does not have it */
	DRIVES_MODULE,      /* a module that the store has */
	DRIVES_BUILT_IN,
};

/**
 * struct drives_row - a row of the table
 * @what:	"console"
 * @options:	of Linux, without CONFIG_, NULL-terminated: any one will do
 * @module:	the name of the driver when it is a module; NULL: it is none
 * @without:	what it means when it is missing: a sentence without its end
 */
struct drives_row {
	const char *what;
	const char *options[3];
	const char *module;
	const char *without;
};

extern const struct drives_row drives_table[DRIVES_COUNT];

/**
 * drives_judge() - how a kernel drives one of them
 * @config:	its configuration; NULL: none
 * @modules:	those that the store has of it
 */
enum drives_state drives_judge(enum drives_id id, const struct buf *config,
			       const struct modules *modules);

/* "built in", "module", "module, not in the store", "no", "unknown" */
const char *drives_name(enum drives_state state);

/* What that means for the guest, for a person; "": what one expects. */
const char *drives_meaning(enum drives_id id, enum drives_state state);

/* "CONFIG_ACPI or CONFIG_X86_MPPARSE". @out: 96 bytes. */
const char *drives_options(enum drives_id id, char out[static 96]);
