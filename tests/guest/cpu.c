/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cpu.c - guest: what CPUID and an MSR tell, at the start and for each byte
 *
 * `leaf=<n>` `subleaf=<n>` and `msr=<n>` say which. A line is
 * "cpu <eax> <ebx> <ecx> <edx> <msr>", all in hexadecimal.
 */
#include "guest.h"

void guest_main(void)
{
	uint32_t leaf = (uint32_t)cmdline_num("leaf", 0);
	uint32_t subleaf = (uint32_t)cmdline_num("subleaf", 0);
	uint32_t msr = (uint32_t)cmdline_num("msr", 0x277);

	for (;;) {
		struct cpuid c = cpuid_read(leaf, subleaf);

		print("cpu %x %x %x %x %lx\n", c.eax, c.ebx, c.ecx, c.edx,
		      msr_read(msr));
		while (!(in8(COM1 + 5) & 1))
			cpu_pause();
		(void)in8(COM1);
	}
}
