/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - a VM goes on from a snapshot
 *
 * Theory of operation
 *
 * Restoring fills the configuration from the snapshot, checks what this host
 * lacks and builds the machine of the same parts as a start (boot.c), with
 * state in the place of a kernel. When a restore fails the configuration is
 * half filled: the caller must end the process.
 */
#pragma once

#include "config/state.h"
#include "snapshot/find.h"
#include "vm/steps.h"
#include "vm/vm.h"

/* Where nobody says more or less, MiB. */
#define VM_RESTORE_HOT_MIB 64u

/**
 * struct vm_restore - how
 * @paths:	memory may be NULL with @uffd_path
 * @uffd_path:	where a handler listens that serves the memory, or NULL
 * @resume:	run at once; else stay paused
 * @advance_clock:	by the real time since the snapshot
 * @dirty_ring:	KVM's rings tell of the vCPUs' writes, not its log
 * @hot_pages:	of the working set beside mapped memory so many are read ahead
 * @has_huge_pages:	@huge_pages replaces what the snapshot says
 */
struct vm_restore {
	struct snapshot_paths paths;
	const char *uffd_path;
	struct config_overrides overrides;
	bool resume;
	bool track_dirty_pages;
	bool dirty_ring;
	bool advance_clock;
	size_t hot_pages;
	bool has_huge_pages;
	enum config_huge_pages huge_pages;
};

/* Return: 0 or -errno with a sentence; @vm was not started before. */
int vm_restore(struct vm *vm, const struct vm_restore *how, struct steps *steps,
	       struct err *err) __must_check;

/* The format version of the state file at @path, whose CRC is right: of any
 * version there will be. Return: 0 or -errno with a sentence. */
int vm_snapshot_version(const char *path, char version[static 96],
			struct err *err) __must_check;
