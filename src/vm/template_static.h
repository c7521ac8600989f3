/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_static.h - the CPU templates that have names: C3, T2, T2S, T2CL, T2A
 *
 * Each shows the guest a CPU of one kind of AWS instance, on hosts that are
 * newer: T2 and C3 the two instance types; T2S is T2 with the flaws of Skylake
 * also on what has none of them, for snapshots that go between both; T2CL and
 * T2A show the same instructions on Intel (Cascade Lake and newer) and on AMD.
 * Which bits those are is Firecracker's definition; their names are in Intel's
 * SDM (2A, CPUID; 4, IA32_ARCH_CAPABILITIES) and AMD's APM (3, appendix E).
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/config.h"
#include "kvm/cpuid.h"

/**
 * struct cpu_identity - whose CPU this is, by leaves 0 and 1
 * @vendor:	EBX of leaf 0
 * @signature:	EAX of leaf 1: stepping, model and family
 */
struct cpu_identity {
	uint32_t vendor;
	uint32_t signature;
};

/* That of @table, or of the host if it is the one that KVM supports. */
struct cpu_identity cpu_identity_of(struct cpuid_table *table);

/**
 * template_static_make() - a named template in the form of a custom one
 * @name:	not UNSET, not NONE
 * @cpu:	is set; cpu_config_free() it
 *
 * Return: 0; -ENOTSUP with a sentence when @host is not a CPU that it is for;
 * -ENOMEM.
 */
int template_static_make(enum config_cpu_template name,
			 struct cpu_identity host, struct cpu_config *cpu,
			 struct err *err) __must_check;
