// SPDX-License-Identifier: Apache-2.0
/*
 * bus.c - which device answers at an address (theory of operation: bus.h)
 */
#include "bus/bus.h"

#include <errno.h>
#include <string.h>

int bus_add(struct bus *bus, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *dev)
{
	unsigned int at = 0;

	if (len == 0 || len - 1 > UINT64_MAX - base)
		return -EINVAL;
	if (bus->nr_ranges == BUS_MAX_RANGES)
		return -ENOSPC;
	while (at < bus->nr_ranges && bus->range[at].base < base)
		at++;
	if (at > 0 && base - bus->range[at - 1].base < bus->range[at - 1].len)
		return -EEXIST;
	if (at < bus->nr_ranges && bus->range[at].base - base < len)
		return -EEXIST;
	memmove(&bus->range[at + 1], &bus->range[at],
		(bus->nr_ranges - at) * sizeof(bus->range[0]));
	bus->range[at] = (struct bus_range){base, len, ops, dev};
	bus->nr_ranges++;
	for (unsigned int i = 1; i < bus->nr_ranges; i++)
		assert(bus->range[i].base - bus->range[i - 1].base >=
		       bus->range[i - 1].len);
	return 0;
}

static const struct bus_range *bus_find(const struct bus *bus, uint64_t addr,
					unsigned int len)
{
	unsigned int lo = 0, hi = bus->nr_ranges;

	if (len != 1 && len != 2 && len != 4 && len != 8)
		return NULL;
	while (lo < hi) {
		unsigned int mid = (lo + hi) / 2;

		if (bus->range[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || !range_fits(addr - bus->range[lo - 1].base, len,
				   bus->range[lo - 1].len))
		return NULL;
	return &bus->range[lo - 1];
}

bool bus_read(const struct bus *bus, uint64_t addr, void *data,
	      unsigned int len)
{
	const struct bus_range *r = bus_find(bus, addr, len);

	if (r && r->ops->read(r->dev, addr - r->base, data, len) == 0)
		return true;
	memset(data, 0xff, len);
	return false;
}

bool bus_write(const struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len)
{
	const struct bus_range *r = bus_find(bus, addr, len);

	return r && r->ops->write(r->dev, addr - r->base, data, len) == 0;
}
