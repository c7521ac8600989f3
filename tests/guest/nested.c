/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nested.c - guest: may it run guests of its own?
 *
 * By CPUID, and by trying: CR4.VMXE and EFER.SVME are reserved bits to a guest
 * that was not told of them.
 */
#include "guest.h"

#define GP        13
#define CR4_VMXE  (1ULL << 13)
#define EFER      0xc0000080
#define EFER_SVME (1ULL << 12)

static volatile uint32_t faults;

/* Both instructions have three bytes or two: go on at the label behind. */
static volatile uint64_t behind;

static void on_fault(struct isr_frame *frame)
{
	faults++;
	frame->rip = behind;
}

static bool try_cr4(void)
{
	uint64_t old, mark;

	faults = 0;
	asm volatile("mov %%cr4, %0\n\t"
		     "lea 1f(%%rip), %1\n\t"
		     "mov %1, %2\n\t"
		     "mov %0, %1\n\t"
		     "or %3, %1\n\t"
		     "mov %1, %%cr4\n"
		     "1:"
		     : "=&r"(old), "=&r"(mark), "=m"(behind)
		     : "r"(CR4_VMXE)
		     : "memory");
	return faults == 0;
}

static bool try_efer(void)
{
	uint64_t mark;

	faults = 0;
	asm volatile("lea 1f(%%rip), %0\n\t"
		     "mov %0, %1\n\t"
		     "rdmsr\n\t"
		     "or %3, %%eax\n\t"
		     "wrmsr\n"
		     "1:"
		     : "=&r"(mark), "=m"(behind)
		     : "c"(EFER), "i"(EFER_SVME)
		     : "rax", "rdx", "memory");
	return faults == 0;
}

void guest_main(void)
{
	bool vmx = cpuid_read(1, 0).ecx & 1U << 5;
	bool svm = cpuid_read(0x80000001, 0).ecx & 1U << 2;

	isr_set(GP, on_fault);
	print("# vmx %u svm %u\n", vmx, svm);
	check(try_cr4() == vmx, "cr4-vmxe-as-cpuid-says");
	check(try_efer() == svm, "efer-svme-as-cpuid-says");
	check(svm || cpuid_read(0x8000000a, 0).eax == 0, "no-svm-leaf");
	guest_done();
}
