/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the machine: memory, buses, devices, vCPUs, put together
 *
 * Theory of operation
 *
 * machine_new() builds everything in the order that is cheap for KVM and in
 * which each part finds what it needs: guest memory, the kernel in it (mapped
 * before KVM learns of the memory), the VM with its memory slots and interrupt
 * chip, the devices in the order of one table, the vCPUs. machine_run() starts
 * the threads. machine_free() takes any half-built machine down in reverse.
 */
#pragma once

#include "snapshot/uffd.h"
#include "vm/chipset.h"
#include "vm/phases.h"
#include "vm/vcpus.h"

/**
 * struct machine - a running (or half-built) machine
 * @memory_fd, @memory_path:	the file that all memory is mapped from, after a
 *		restore; -1 and NULL otherwise
 * @pagemap:	the VM's, for snapshots; -errno where it is not to be had, as
 *		without /proc
 * @boot_id:	the kernel's id of this boot; empty then
 * @kernel:	its release
 * @uffd:	serves memory after a restore with such a back end
 * @chipset:	last, for the large buffers at its end
 */
struct machine {
	struct board board;
	struct interrupts interrupts;
	struct virtio_slots slots;
	struct exits exits;
	struct vcpus vcpus;
	int memory_fd;
	char *memory_path;
	int pagemap;
	char boot_id[SNAPSHOT_TEXT_MAX];
	char kernel[SNAPSHOT_TEXT_MAX];
	struct uffd uffd;
	struct chipset chipset;
};

/**
 * struct machine_source - what a machine is restored from
 * @memory_fd:	of the memory file, taken over by the machine (then -1)
 * @memory_path:	for messages
 * @uffd:	a handler serves the memory
 * @uffd_sock:	the connection to it (PATH_UFFD_HANDLER), taken over likewise
 * @advance_clock:	by the real time since the snapshot
 */
struct machine_source {
	const struct snapshot *snapshot;
	int memory_fd;
	const char *memory_path;
	bool uffd;
	int uffd_sock;
	bool advance_clock;
	struct phases *phases;
};

/**
 * machine_new() - an empty machine, whose parts know each other
 * @env:	copied
 *
 * Return: 0 and *@out, or -errno with a sentence.
 */
int machine_new(struct machine **out, const struct vm_env *env,
		struct err *err) __must_check;

/**
 * machine_boot() - build what the configuration describes, with its kernel
 *
 * Return: 0, or -errno with a sentence; the machine can only be freed then.
 */
int machine_boot(struct machine *m, struct err *err) __must_check;

/**
 * machine_restore() - build one that goes on where the snapshot was made
 *
 * Its devices are paused. Return: as machine_boot().
 */
int machine_restore(struct machine *m, struct machine_source *source,
		    struct err *err) __must_check;

/**
 * machine_save() - the state of all but memory and configuration
 * @s:		its vm, vcpus and devices are filled in
 * @text:	zeroed; what the devices' states in @s refer to
 *
 * vCPUs and devices are paused and drained. Return: 0 or -errno.
 */
int machine_save(struct machine *m, struct snapshot *s, struct buf *text,
		 struct err *err) __must_check;

/* Stops, flushes the console, frees. May be called with NULL. */
void machine_free(struct machine *m);

/* Return: 0, or -errno with a sentence when the keyboard's queue is full. */
int machine_send_ctrl_alt_del(struct machine *m, struct err *err) __must_check;
