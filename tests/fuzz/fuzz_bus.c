// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_bus.c - any ranges on a bus, and any accesses to it
 *
 * A step is a byte for what, one for the width and eight for an address (and
 * eight for a length, where a range is added). Judged against a list that is
 * searched from its start: the same ranges are taken, the same device answers
 * the same offset, and an access that nobody answers reads all ones.
 */
#include "dev_fuzz.h"

#define STEP_BYTES 10u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A device that remembers the last access; its own range, end excluded unless
 * it is the last address of all. */
struct range {
	uint64_t base, last;
	uint64_t off;
	unsigned int len;
	unsigned int accesses;
	bool deaf; /* takes nothing */
};

struct world {
	struct bus bus;
	struct range range[BUS_MAX_RANGES];
	unsigned int nr;
};

static int note(struct range *r, uint64_t off, unsigned int len)
{
	fuzz_check(len == 1 || len == 2 || len == 4 || len == 8);
	fuzz_check(off <= r->last - r->base);
	fuzz_check(len - 1 <= r->last - r->base - off);
	r->off = off;
	r->len = len;
	r->accesses++;
	return r->deaf ? -EINVAL : 0;
}

static int range_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0x5a, len);
	return note(dev, off, len);
}

static int range_write(void *dev, uint64_t off, const void *data,
		       unsigned int len)
{
	(void)data;
	return note(dev, off, len);
}

static const struct bus_ops range_ops = {range_read, range_write};

static bool fits(const struct world *w, uint64_t base, uint64_t last)
{
	for (unsigned int i = 0; i < w->nr; i++)
		if (base <= w->range[i].last && w->range[i].base <= last)
			return false;
	return true;
}

static void add(struct world *w, uint64_t base, uint64_t len, bool deaf)
{
	struct range *r = &w->range[w->nr % BUS_MAX_RANGES];
	uint64_t last = base + (len - 1);
	int want = 0, got;

	if (len == 0 || last < base)
		want = -EINVAL;
	else if (w->nr == BUS_MAX_RANGES)
		want = -ENOSPC;
	else if (!fits(w, base, last))
		want = -EEXIST;
	else
		*r = (struct range){.base = base, .last = last, .deaf = deaf};
	got = bus_add(&w->bus, base, len, &range_ops, r);
	fuzz_check(got == want);
	if (got == 0)
		w->nr++;
	fuzz_check(w->bus.nr_ranges == w->nr);
}

static struct range *owner(struct world *w, uint64_t addr, unsigned int len)
{
	if (len != 1 && len != 2 && len != 4 && len != 8)
		return NULL;
	for (unsigned int i = 0; i < w->nr; i++)
		if (addr >= w->range[i].base && addr <= w->range[i].last)
			return len - 1 <= w->range[i].last - addr ? &w->range[i]
								  : NULL;
	return NULL;
}

static void access_any(struct world *w, bool read, uint64_t addr,
		       unsigned int len)
{
	struct range *r = owner(w, addr, len);
	unsigned int before = r ? r->accesses : 0;
	bool taken, want = r && !r->deaf;
	uint8_t *buf = malloc(len ? len : 1);

	fuzz_check(buf);
	memset(buf, 0, len);
	taken = read ? bus_read(&w->bus, addr, buf, len)
		     : bus_write(&w->bus, addr, buf, len);
	fuzz_check(taken == want);
	for (unsigned int i = 0; read && i < len; i++)
		fuzz_check(buf[i] == (want ? 0x5a : 0xff));
	if (r)
		fuzz_check(r->accesses == before + 1 &&
			   r->off == addr - r->base && r->len == len);
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script script = {data, size};
	struct world w = {0};

	while (script.left >= STEP_BYTES) {
		uint8_t what = fuzz_byte(&script), width = fuzz_byte(&script);
		uint64_t addr = fuzz_take(&script, 8);

		if (what & 8 && w.nr > 0) /* near a range's edge */
			addr = (what & 16 ? w.range[addr % w.nr].last
					  : w.range[addr % w.nr].base) +
			       (addr >> 8 & 15) - 8;
		if ((what & 3) == 0)
			add(&w, addr,
			    what & 4 ? fuzz_take(&script, 8) : width * 4u,
			    what & 32);
		else
			access_any(&w, what & 1, addr,
				   what & 4 ? width : 1u << width % 4);
	}
	return 0;
}
