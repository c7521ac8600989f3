/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mptable.c - find and read the MP table (Intel MP specification 1.4)
 *
 * Looked for where the specification says and an old kernel looks: the last
 * KiB of base memory, where the EBDA is, and the BIOS area.
 */
#include "guest.h"

enum {
	MPF_CONFIG = 4,
	MPC_LENGTH = 4,
	MPC_COUNT = 34,
	MPC_ENTRIES = 44,
	MP_PROCESSOR = 0,
};

static uint64_t scan(uint64_t from, uint64_t to)
{
	for (; from < to; from += 16)
		if (read32(from) == 0x5f504d5f && acpi_checksum(from, 16))
			return from;
	return 0;
}

/**
 * mptable_find() - Address of the floating pointer structure, or 0.
 */
uint64_t mptable_find(void)
{
	uint64_t mpf = scan(0x9fc00, 0xa0000);

	if (!mpf)
		mpf = scan(0xf0000, 0x100000);
	return mpf;
}

/**
 * mptable_list_cpus() - The LAPIC ids of the enabled processors.
 *
 * Return: whether there is a table with a right signature and checksum.
 */
bool mptable_list_cpus(struct acpi_ids *ids)
{
	uint64_t mpf = mptable_find(), mpc, p;
	unsigned int n;

	ids->nr = 0;
	if (!mpf)
		return false;
	mpc = read32(mpf + MPF_CONFIG);
	if (memcmp((const void *)mpc, "PCMP", 4) ||
	    !acpi_checksum(mpc, read16(mpc + MPC_LENGTH)))
		return false;
	p = mpc + MPC_ENTRIES;
	for (n = read16(mpc + MPC_COUNT); n; n--) {
		if (read8(p) != MP_PROCESSOR) {
			p += 8;
			continue;
		}
		if (read8(p + 3) & 1 && ids->nr < ARRAY_SIZE(ids->id))
			ids->id[ids->nr++] = read8(p + 1);
		p += 20;
	}
	return true;
}
