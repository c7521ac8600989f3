/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - guest: writes and checks pages of its memory as it is told to
 *
 * The area begins at 2 MiB x `at=` (default 8) and has no end but RAM's. Lines
 * from the console, each answered by a line:
 *
 *   w FIRST COUNT SEED   write pages FIRST to FIRST + COUNT - 1: `wrote`
 *   c FIRST COUNT SEED   check that they hold that: `right` or `wrong N`
 *   z FIRST COUNT 0      check that they are zero: the same
 *   r FIRST COUNT SEED STEP TIMES   the first word alone of each page, of TIMES
 *                        such runs, each STEP pages behind the one before: one
 *                        answer, as `c`. A host that emulates the guest takes
 *                        far longer for eight words than for their page
 *   m 0 0 0              write to the boot timer: `marked`
 *   q 0 0 0              end
 *
 * All but the words named here stays as it is, so a test knows which pages
 * change.
 */
#include "guest.h"

enum { PAGE = 4096, WORDS = 8, STEP = PAGE / WORDS };

static uint64_t area;

static char get_char(void)
{
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	return (char)in8(COM1);
}

/* Up to the blank or line end behind it. */
static uint64_t get_number(void)
{
	uint64_t n = 0;
	char c = get_char();

	for (; c >= '0' && c <= '9'; c = get_char())
		n = n * 10 + (uint64_t)(c - '0');
	return n;
}

static uint64_t word_of(uint64_t addr, uint64_t seed)
{
	return (addr + seed) * 0x9e3779b97f4a7c15ULL + seed;
}

static void write_pages(uint64_t first, uint64_t count, uint64_t seed)
{
	uint64_t addr = area + first * PAGE, end = addr + count * PAGE;

	for (; addr < end; addr += STEP)
		write64(addr, word_of(addr, seed));
	print("wrote\n");
}

static uint64_t count_wrong(uint64_t first, uint64_t count, uint64_t seed,
			    bool zero)
{
	uint64_t addr = area + first * PAGE, end = addr + count * PAGE;
	uint64_t wrong = 0;

	for (; addr < end; addr += STEP)
		wrong += read64(addr) != (zero ? 0 : word_of(addr, seed));
	return wrong;
}

static uint64_t count_wrong_runs(uint64_t first, uint64_t count, uint64_t seed)
{
	uint64_t step = get_number() * PAGE, times = get_number(), wrong = 0;
	uint64_t addr = area + first * PAGE;

	for (; times > 0; times--, addr += step)
		for (uint64_t at = addr; at < addr + count * PAGE; at += PAGE)
			wrong += read64(at) != word_of(at, seed);
	return wrong;
}

static void print_wrong(uint64_t wrong)
{
	if (wrong)
		print("wrong %lu\n", wrong);
	else
		print("right\n");
}

static void make_mark(void)
{
	write8(HOLE_START, 123);
	print("marked\n");
}

void guest_main(void)
{
	area = cmdline_num("at", 8) << 21;
	print("ready\n");
	for (;;) {
		uint64_t first, count, seed;
		char what = get_char();

		(void)get_char(); /* the blank */
		first = get_number();
		count = get_number();
		seed = get_number();
		if (what == 'q')
			break;
		if (what == 'r')
			print_wrong(count_wrong_runs(first, count, seed));
		else if (what == 'w')
			write_pages(first, count, seed);
		else if (what == 'm')
			make_mark();
		else
			print_wrong(
				count_wrong(first, count, seed, what == 'z'));
	}
	check(true, "end");
}
