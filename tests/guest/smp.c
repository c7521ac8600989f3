/* SPDX-License-Identifier: Apache-2.0 */
/*
 * smp.c - guest: starts every CPU of the tables and sends them interrupts
 */
#include "guest.h"

enum {
	IPI_VECTOR = 0x50,
	BACK_VECTOR = 0x51,
	ICR_ASSERT = 0x4000,
	ICR_ALL_BUT_SELF = 0xc0000,
	ICR_SELF = 0x40000,
	ICR_NMI = 0x400,
	NMI_VECTOR = 2,
};

static volatile uint32_t ipis, answers, nmis, seen[SMP_MAX];
static uint32_t boot_id;

static void take_ipi(struct isr_frame *frame)
{
	(void)frame;
	seen[lapic_id() % SMP_MAX]++;
	atomic_inc(&ipis);
	lapic_eoi();
	if (lapic_id() != boot_id)
		lapic_ipi(boot_id, ICR_ASSERT | BACK_VECTOR);
}

static void take_answer(struct isr_frame *frame)
{
	(void)frame;
	atomic_inc(&answers);
	lapic_eoi();
}

static void take_nmi(struct isr_frame *frame)
{
	(void)frame;
	atomic_inc(&nmis);
}

static unsigned int count_duplicates(uint32_t nr)
{
	unsigned int i, j, bad = 0;

	for (i = 0; i < nr; i++)
		for (j = i + 1; j < nr; j++)
			bad += smp_ids[i] == smp_ids[j];
	return bad;
}

/* Answers may merge while one is pending: only the first is waited for. */
static void check_ipis(uint32_t others)
{
	unsigned int i, missing = 0;

	lapic_write(LAPIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | IPI_VECTOR);
	isr_wait(&ipis, others);
	check_eq("ipi-all-but-self", ipis, others);
	for (i = 0; i < others; i++)
		missing += seen[smp_ids[i] % SMP_MAX] != 1;
	check_eq("ipi-once-each", missing, 0);
	check(isr_wait(&answers, 1), "ipi-answers");
	for (i = 0; i < others; i++) {
		lapic_ipi(smp_ids[i], ICR_ASSERT | IPI_VECTOR);
		if (!isr_wait(&seen[smp_ids[i] % SMP_MAX], 2))
			missing++;
	}
	check_eq("ipi-one-by-one", missing, 0);
	lapic_write(LAPIC_ICR, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_NMI);
	isr_wait(&nmis, others);
	check_eq("nmi-all-but-self", nmis, others);
}

/* Each CPU's CPUID must tell its own LAPIC id; this is the boot CPU's. */
static void check_cpuid_topology(uint32_t nr)
{
	struct cpuid c = cpuid_read(1, 0);

	check_eq("cpuid-apic-id", c.ebx >> 24, lapic_id());
	if (nr > 1) {
		check(c.edx & 1U << 28, "cpuid-htt");
		check_info("cpuid-logical-count", (c.ebx >> 16 & 0xff) >= nr,
			   c.ebx >> 16 & 0xff, nr);
	}
	if (cpuid_read(0, 0).eax >= 0xb) {
		c = cpuid_read(0xb, 0);
		check_eq("cpuid-x2apic-id", c.edx, lapic_id());
		c = cpuid_read(0xb, 1);
		check_info("cpuid-topology-count", (c.ebx & 0xffff) == nr,
			   c.ebx, nr);
	}
}

void guest_main(void)
{
	static struct acpi_ids madt, mp;
	bool all;

	lapic_init();
	boot_id = lapic_id();
	isr_set(IPI_VECTOR, take_ipi);
	isr_set(BACK_VECTOR, take_answer);
	isr_set(NMI_VECTOR, take_nmi);
	acpi_list_cpus(&madt);
	if (mptable_list_cpus(&mp))
		check_eq("same-count-in-both-tables", mp.nr, madt.nr);
	check_eq("cpus-as-told", madt.nr, cmdline_num("cpus", madt.nr));
	all = smp_start(&madt);
	print("online %u\n", smp_online + 1);
	check(all, "all-cpus-online");
	check_eq("arrivals", smp_arrivals, madt.nr - 1);
	check_eq("distinct-ids", count_duplicates(smp_online), 0);
	check_cpuid_topology(madt.nr);
	if (madt.nr > 1)
		check_ipis(smp_online);
	ipis = 0;
	lapic_write(LAPIC_ICR, ICR_SELF | ICR_ASSERT | IPI_VECTOR);
	check(isr_wait(&ipis, 1), "ipi-self");
}
