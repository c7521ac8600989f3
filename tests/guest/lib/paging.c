/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paging.c - views of memory that the identity map does not have
 *
 * start.S leaves the gigabyte of virtual addresses from 4 GiB on unmapped:
 * its first two entries are the window on high memory, the third is a table
 * of 4 KiB pages in which any two frames can be made neighbours.
 */
#include "guest.h"

#define WINDOW 0x100000000ULL
#define PAIR   (WINDOW + 0x400000)

extern uint64_t page_window[512];
static uint64_t pair_table[512] __attribute__((aligned(4096)));

static void invalidate(uint64_t addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

/**
 * page_map_window() - A virtual address for @gpa; at least 2 MiB follow.
 *
 * The mapping lasts until the next call.
 */
uint64_t page_map_window(uint64_t gpa)
{
	uint64_t frame = gpa & ~0x1fffffULL;

	page_window[0] = frame | 0x83;
	page_window[1] = (frame + 0x200000) | 0x83;
	invalidate(WINDOW);
	invalidate(WINDOW + 0x200000);
	return WINDOW + (gpa & 0x1fffff);
}

/**
 * page_map_pair() - Two frames as neighbouring pages.
 *
 * Return: virtual address of the first.
 */
uint64_t page_map_pair(uint64_t first, uint64_t second)
{
	page_window[2] = (uint64_t)pair_table | 3;
	pair_table[0] = (first & ~0xfffULL) | 3;
	pair_table[1] = (second & ~0xfffULL) | 3;
	invalidate(PAIR);
	invalidate(PAIR + 0x1000);
	return PAIR;
}
