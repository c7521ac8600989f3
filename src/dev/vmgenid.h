/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vmgenid.h - VM generation ID: the guest learns that it is a copy
 *
 * Theory of operation
 *
 * 16 random bytes in reserved guest memory, and an ACPI event that says that
 * they changed. A guest that goes on from a snapshot finds a new ID, mixes it
 * into its random number generator and knows that secrets it held may exist
 * twice: two VMs restored from one snapshot never draw the same numbers once
 * the event is handled. The ID is written before a vCPU runs; the event comes
 * as an interrupt, so a guest that polls the memory is never too late.
 * Reference: Virtual Machine Generation ID, Microsoft, 2012.
 */
#pragma once

#include "bus/irq.h"
#include "mem/gmem.h"

#define VMGENID_BYTES 16u

struct vmgenid {
	const struct gmem *mem;
	gpa_t gpa;
	struct irq_line irq;
};

/**
 * vmgenid_init() - a new ID at @gpa
 *
 * Return: 0 or -errno with a sentence.
 */
int vmgenid_init(struct vmgenid *v, const struct gmem *mem, gpa_t gpa,
		 const struct irq_line *irq, struct err *err) __must_check;

/* A new ID, and the guest is told. VMM thread, before the vCPUs run. Return: 0
 * or -errno with a sentence. */
int vmgenid_renew(struct vmgenid *v, struct err *err) __must_check;
