/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memtest.c - guest: is the memory of the map there, and distinct?
 *
 * Writes a word that depends on the address to the first and the last page
 * of each RAM range and to its gigabyte borders, then reads all of them back:
 * two ranges that share memory show. The page of the kernel itself is left.
 */
#include "guest.h"

static uint64_t probes[256];
static unsigned int nr_probes;

static uint64_t word_for(uint64_t gpa)
{
	return gpa * 0x9e3779b97f4a7c15ULL + 0x1234567;
}

/* Low memory holds this guest (from 1 MiB) and is not to be written. */
static bool is_own(uint64_t gpa)
{
	return gpa >= 0x100000 && gpa < 0x200000;
}

static void probe(uint64_t gpa)
{
	if (is_own(gpa) || nr_probes == ARRAY_SIZE(probes))
		return;
	write64(page_map_window(gpa), word_for(gpa));
	probes[nr_probes++] = gpa;
}

static void probe_range(const struct e820_range *r)
{
	uint64_t gpa, end = r->addr + r->size;

	probe(r->addr);
	for (gpa = (r->addr | 0x3fffffff) + 1; gpa < end; gpa += 0x40000000) {
		probe(gpa - 8);
		probe(gpa);
	}
	probe(end - 8);
}

void guest_main(void)
{
	uint64_t total = 0, low = 0, high = 0, bad = 0;
	struct e820_range *r;
	unsigned int i;

	for (i = 0; i < machine.nr_e820; i++) {
		r = &machine.e820[i];
		if (r->type != E820_RAM)
			continue;
		print("# range 0x%lx 0x%lx\n", r->addr, r->size);
		total += r->size;
		if (r->addr >= HOLE_END)
			high += r->size;
		else
			low += r->size;
		probe_range(r);
	}
	for (i = 0; i < nr_probes; i++)
		if (read64(page_map_window(probes[i])) != word_for(probes[i])) {
			print("# wrong 0x%lx\n", probes[i]);
			bad++;
		}
	print("memory %lu low %lu high %lu KiB\n", total / 1024, low / 1024,
	      high / 1024);
	check_eq("memory-distinct", bad, 0);
	check(low <= HOLE_START, "low-memory-below-hole");
}
