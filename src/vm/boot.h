/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.h - a machine with the kernel of the configuration
 *
 * The kernel is mapped into guest memory before KVM learns of the memory; then
 * come the VM with its memory slots and interrupt chip, the devices, the vCPUs,
 * and last of all the irqfds: what is delivered finds its receiver there.
 */
#pragma once

#include "vm/machine.h"

/**
 * boot_machine() - build what the configuration describes
 * @m:		from machine_new()
 *
 * Return: 0, or -errno with a sentence; the machine can only be freed then.
 */
int boot_machine(struct machine *m, struct err *err) __must_check;
