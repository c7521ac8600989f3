/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - the machine: memory, buses, devices, vCPUs, put together
 *
 * Theory of operation
 *
 * A machine is a board (memory, buses, KVM) with parts plugged into it. A part
 * knows what it is plugged into and the parts that it uses, never the machine:
 *
 *   vcpus -> exits -> interrupts -> slots -> board -> env
 *            chipset ---^-----------^
 *
 * machine_new() makes an empty one. boot.c and restore.c build what is in it,
 * in the order that is cheap for KVM and in which each part finds what it
 * needs; vm_run() starts the threads. machine_free() takes any half-built
 * machine down in reverse.
 */
#pragma once

#include "vm/chipset.h"
#include "vm/vcpus.h"

/**
 * struct machine - a running (or half-built) machine
 * @pagemap:	the VM's, for snapshots; -errno where it is not to be had, as
 *		without /proc
 * @boot_id:	the kernel's id of this boot; empty then
 * @kernel:	its release
 * @chipset:	last, for the large buffers at its end
 */
struct machine {
	struct board board;
	struct interrupts interrupts;
	struct virtio_slots slots;
	struct exits exits;
	struct vcpus vcpus;
	int pagemap;
	char boot_id[SNAPSHOT_TEXT_MAX];
	char kernel[SNAPSHOT_TEXT_MAX];
	struct chipset chipset;
};

/**
 * machine_new() - an empty machine, whose parts know each other
 * @env:	copied
 *
 * Return: 0 and *@out, or -errno with a sentence.
 */
int machine_new(struct machine **out, const struct vm_env *env,
		struct err *err) __must_check;

/* Stops, flushes the console, frees. May be called with NULL. */
void machine_free(struct machine *m);

/* Return: 0, or -errno with a sentence when the keyboard's queue is full. */
int machine_send_ctrl_alt_del(struct machine *m, struct err *err) __must_check;
