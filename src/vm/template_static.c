// SPDX-License-Identifier: Apache-2.0
/*
 * template_static.c - the CPU templates that have names (template_static.h)
 */
#include "vm/template_static.h"

#include <errno.h>
#include <stdlib.h>

#define VENDOR_INTEL          0x756e6547u /* "Genu" */
#define VENDOR_AMD            0x68747541u /* "Auth" */

#define MSR_ARCH_CAPABILITIES 0x10au

#define CASCADE_LAKE_STEPPING 7u

enum { C3, T2, T2S, T2CL, T2A, NR_NAMES };

#define ON(name_) (1u << (name_))
#define ALL_T2    (ON(T2) | ON(T2S) | ON(T2CL) | ON(T2A))
#define INTEL_T2  (ON(T2) | ON(T2S))
#define EVERYONE  (ON(C3) | ALL_T2)

/**
 * struct static_row - one register of one leaf
 * @flags:	1: the leaf has subleaves
 * @names:	the templates that it belongs to
 */
struct static_row {
	uint32_t leaf;
	uint32_t subleaf;
	uint32_t flags;
	uint32_t names;
	enum cpu_register which;
	uint32_t filter;
	uint32_t value;
};

/* clang-format off */
static const struct static_row template_rows[] = {
	/* stepping, model, family: an Ivy Bridge, a Haswell */
	{0x1, 0, 0, ON(C3), CPU_EAX, 0x0fff3fff, 0x000306e4},
	{0x1, 0, 0, ALL_T2, CPU_EAX, 0x0fff3fff, 0x000306f2},
	/* DTES64, MONITOR, DS-CPL, VMX, TM2, CNXT-ID, SDBG, xTPR, PDCM; C3: FMA
	 * and MOVBE; T2: SMX, EIST and DCA */
	{0x1, 0, 0, ON(C3), CPU_ECX, 0x0040dd3c, 0},
	{0x1, 0, 0, ALL_T2, CPU_ECX, 0x0004cdfc, 0},
	/* MCE and MTRR are there; PSN, DS, ACPI, SS, TM, PBE not; T2: IA-64 */
	{0x1, 0, 0, ON(C3), CPU_EDX, 0xa8641080, 0x00001080},
	{0x1, 0, 0, ALL_T2, CPU_EDX, 0xe8641080, 0x00001080},
	/* SGX, HLE, RTM, RDT, MPX, AVX-512, RDSEED, ADX, CLFLUSHOPT, CLWB, PT,
	 * SHA; C3: BMI, AVX2, INVPCID; T2: ERMS is there */
	{0x7, 0, 1, ON(C3), CPU_EBX, 0xffafdd3c, 0},
	{0x7, 0, 1, ALL_T2, CPU_EBX, 0xffefda14, 0x00000200},
	/* UMIP, PKU, OSPKE, LA57, RDPID, SGX_LC and AVX-512; T2: GFNI, VAES,
	 * VPCLMULQDQ and more of AVX-512 */
	{0x7, 0, 1, ON(C3), CPU_ECX, 0x4041481e, 0},
	{0x7, 0, 1, ALL_T2, CPU_ECX, 0x40415f5e, 0},
	/* AVX-512; T2: FSRM */
	{0x7, 0, 1, ON(C3), CPU_EDX, 0x0000000c, 0},
	{0x7, 0, 1, ALL_T2, CPU_EDX, 0x0000011c, 0},
	/* state of MPX, AVX-512, PKRU; XSAVEC, XGETBV with ECX 1, XSAVES */
	{0xd, 0, 1, EVERYONE, CPU_EAX, 0x000002f8, 0},
	{0xd, 1, 1, EVERYONE, CPU_EAX, 0x0000000e, 0},
	/* PREFETCHW; C3: LZCNT; T2: MONITORX; for AMD's instructions: SSE4A and
	 * misaligned SSE; of AMD's own: SVM */
	{0x80000001, 0, 0, ON(C3), CPU_ECX, 0x00000120, 0},
	{0x80000001, 0, 0, INTEL_T2, CPU_ECX, 0x20000100, 0},
	{0x80000001, 0, 0, ON(T2CL), CPU_ECX, 0x200001c0, 0},
	{0x80000001, 0, 0, ON(T2A), CPU_ECX, 0x200001c4, 0},
	/* 1 GiB pages; what is reserved with the other vendor */
	{0x80000001, 0, 0, ON(C3) | INTEL_T2, CPU_EDX, 0x04000000, 0},
	{0x80000001, 0, 0, ON(T2CL), CPU_EDX, 0x07c00000, 0},
	{0x80000001, 0, 0, ON(T2A), CPU_EDX, 0x06400000, 0},
	/* WBNOINVD; AMD: CLZERO is not there, IBRS is as it is liked best */
	{0x80000008, 0, 0, INTEL_T2 | ON(T2CL), CPU_EBX, 0x00000200, 0},
	{0x80000008, 0, 0, ON(T2A), CPU_EBX, 0x001c0205, 0x001c0004},
};
/* clang-format on */

/* IA32_ARCH_CAPABILITIES: which flaws the CPU says that it does not have. */
static const struct cpu_bits capabilities[NR_NAMES] = {
	/* Skylake's: RSBA, SKIP_L1DFL_VMENTRY, IF_PSCHANGE_MC_NO, and what
	 * microcode told later: MISC_PACKAGE_CTLS, ENERGY_FILTERING_CTL,
	 * FB_CLEAR, RRSBA, GDS_NO */
	[T2S] = {.filter = UINT64_MAX, .value = 0x040a0c4c},
	/* What mitigates stays; what controls, or is reserved, does not. */
	[T2CL] = {.filter = 0xffffffffe2f51e00},
};

static unsigned int template_index(enum config_cpu_template name)
{
	static const uint8_t of[] = {
		[CPU_TEMPLATE_C3] = C3,   [CPU_TEMPLATE_T2] = T2,
		[CPU_TEMPLATE_T2S] = T2S, [CPU_TEMPLATE_T2CL] = T2CL,
		[CPU_TEMPLATE_T2A] = T2A,
	};

	return of[name];
}

struct cpu_identity cpu_identity_of(struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *zero = cpuid_find(table, 0, 0);
	const struct kvm_cpuid_entry2 *one = cpuid_find(table, 1, 0);

	return (struct cpu_identity){.vendor = zero ? zero->ebx : 0,
				     .signature = one ? one->eax : 0};
}

/* Family 6, model 0x55 by its stepping, and what came after it. Extended
 * numbers count first, as in Firecracker. */
static bool is_at_least_cascade_lake(uint32_t signature)
{
	uint32_t family = signature >> 8 & 0xf, model = signature >> 4 & 0xf;
	uint32_t more_family = signature >> 20 & 0xff;
	uint32_t more_model = signature >> 16 & 0xf;

	if (more_family != 0 || more_model != 5)
		return more_family != 0 || more_model > 5;
	if (family != 6 || model != 5)
		return family > 6 || (family == 6 && model > 5);
	return (signature & 0xf) >= CASCADE_LAKE_STEPPING;
}

static int check_host(unsigned int name, struct cpu_identity host,
		      struct err *err)
{
	if (host.vendor != (name == T2A ? VENDOR_AMD : VENDOR_INTEL))
		return err_set(err, -ENOTSUP,
			       "CPU vendor mismatched between actual CPU and "
			       "CPU template.");
	if (name == T2CL && !is_at_least_cascade_lake(host.signature))
		return err_set(err, -ENOTSUP,
			       "The current CPU model is not permitted to "
			       "apply the CPU template.");
	return 0;
}

/* Room for a leaf for each row, though some share one. Return: 0, -ENOMEM. */
static int make_leaves(unsigned int name, struct schema_list *list)
{
	struct cpu_leaf_change *leaf =
		calloc(ARRAY_SIZE(template_rows), sizeof(*leaf));

	if (!leaf)
		return -ENOMEM;
	list->items = leaf;
	for (size_t i = 0; i < ARRAY_SIZE(template_rows); i++) {
		const struct static_row *row = &template_rows[i];
		struct cpu_register_change *r;

		if (!(row->names & ON(name)))
			continue;
		r = calloc(1, sizeof(*r));
		if (!r)
			return -ENOMEM;
		*r = (struct cpu_register_change){
			.which = row->which,
			.bitmap = {.filter = row->filter, .value = row->value},
		};
		leaf[list->nr++] = (struct cpu_leaf_change){
			.leaf = row->leaf,
			.subleaf = row->subleaf,
			.flags = row->flags,
			.modifiers = {.nr = 1, .items = r},
		};
	}
	return 0;
}

static int make_msr(unsigned int name, struct schema_list *list)
{
	struct cpu_msr_change *msr;

	if (capabilities[name].filter == 0)
		return 0;
	msr = calloc(1, sizeof(*msr));
	if (!msr)
		return -ENOMEM;
	*msr = (struct cpu_msr_change){.addr = MSR_ARCH_CAPABILITIES,
				       .bitmap = capabilities[name]};
	*list = (struct schema_list){.nr = 1, .items = msr};
	return 0;
}

int template_static_make(enum config_cpu_template name,
			 struct cpu_identity host, struct cpu_config *cpu,
			 struct err *err)
{
	unsigned int at = template_index(name);
	int r = check_host(at, host, err);

	*cpu = (struct cpu_config){.present = true};
	if (r < 0)
		return r;
	r = make_leaves(at, &cpu->cpuid_modifiers);
	if (r == 0)
		r = make_msr(at, &cpu->msr_modifiers);
	return r < 0 ? err_set(err, r, "Out of memory") : 0;
}
