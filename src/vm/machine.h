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
 *
 * The table of devices in machine.c is the only list there is: its order fixes
 * addresses and interrupts, which is guest ABI (docs/guest-abi.md).
 */
#pragma once

#include "boot/loader.h"
#include "bus/bus.h"
#include "dev/acpi_pm.h"
#include "dev/boot_timer.h"
#include "dev/console.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "dev/vmgenid.h"
#include "kvm/kvm.h"
#include "mem/gmem.h"
#include "snapshot/state.h"
#include "snapshot/uffd.h"
#include "vm/interrupts.h"
#include "vm/phases.h"
#include "vm/vcpus.h"
#include "vm/virtio.h"

struct vm;

#define MACHINE_FILES 2

/**
 * struct machine_file - a file that guest memory is mapped from
 * @fd:		borrowed from the configuration; -1 when there is none
 * @size:	when it was mapped, bytes
 */
struct machine_file {
	int fd;
	off_t size;
	const char *path;
};

/**
 * struct machine - a running (or half-built) machine
 * @mem:	guest RAM
 * @ioapic:	split irqchip only
 * @pagemap:	the VM's, for snapshots; -errno where it is not to be had, as
 *		without /proc
 * @boot_id:	the kernel's id of this boot; empty then
 * @kernel:	its release
 * @nr_devices:	rows of the table of devices that were added
 * @memory_fd, @memory_path:	the file that all memory is mapped from, after a
 *		restore; -1 and NULL otherwise
 * @uffd:	serves memory after a restore with such a back end
 * @console, @serial:	last, for their buffers are large and seldom touched
 */
struct machine {
	struct vm *vm;
	struct gmem mem;
	struct kvm kvm;
	struct kvm_vm kvm_vm;
	struct bus pio;
	struct bus mmio;
	struct ioapic ioapic;
	struct interrupts_metrics interrupts;
	struct i8042 i8042;
	struct rtc rtc;
	struct acpi_pm acpi_pm;
	struct boot_timer boot_timer;
	struct vmgenid vmgenid;
	struct virtio_slots virtio;
	size_t nr_devices;
	struct vcpus vcpus;
	struct boot_entry entry;
	struct machine_file file[MACHINE_FILES];
	int memory_fd;
	char *memory_path;
	int pagemap;
	char boot_id[SNAPSHOT_TEXT_MAX];
	char kernel[SNAPSHOT_TEXT_MAX];
	struct uffd uffd;
	struct console console;
	struct serial serial;
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
 * machine_new() - build the machine that @vm->config describes
 * @source:	NULL: a fresh one that boots the configured kernel. Else one
 *		that goes on where the snapshot was made; its devices are paused
 *
 * Return: 0 and *@out, or -errno with a sentence; nothing is left behind.
 */
int machine_new(struct machine **out, struct vm *vm,
		struct machine_source *source, struct err *err) __must_check;

/**
 * machine_run() - lock the process, then start the vCPUs' threads
 * @wanted:	to run or to wait
 *
 * All that can fail for the sake of what a client asked for is done before.
 *
 * Return: 0 or -errno with a sentence; a process that is locked by then can
 * only end.
 */
int machine_run(struct machine *m, enum vcpus_wanted wanted,
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

/**
 * machine_truncated_file() - which mapped file is now shorter than it was
 *
 * Return: its path, NULL when all are whole. Async-signal-safe, any thread.
 */
const char *machine_truncated_file(const struct machine *m);
