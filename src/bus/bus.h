/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus.h - which device answers at an address (ports, or MMIO)
 *
 * Theory of operation
 *
 * A bus is a sorted array of ranges, filled before the guest runs and read-only
 * afterwards, so look-ups take no lock. The bus checks that an access lies
 * within one range and is 1, 2, 4 or 8 bytes wide; devices see (offset, width)
 * that fit. Nobody home: reads give all ones, writes are dropped, as on a PC.
 * Devices are called on the vCPU thread that made the access, several at once:
 * each guards its own state.
 */
#pragma once

#include "base/err.h"

#define BUS_MAX_RANGES 64

/**
 * struct bus_ops - a device's registers
 * @read:	fill @data with @len bytes of register @off
 * @write:	take @len bytes at register @off
 *
 * 0 <= @off, @off + @len <= the range's length, @len in {1, 2, 4, 8}. Return:
 * 0, or -errno which the bus treats as "nobody home".
 */
struct bus_ops {
	int (*read)(void *dev, uint64_t off, void *data, unsigned int len);
	int (*write)(void *dev, uint64_t off, const void *data,
		     unsigned int len);
};

struct bus_range {
	uint64_t base;
	uint64_t len;
	const struct bus_ops *ops;
	void *dev;
};

struct bus {
	struct bus_range range[BUS_MAX_RANGES];
	unsigned int nr_ranges;
};

/**
 * bus_add() - put a device on the bus
 *
 * Return: 0; -EINVAL for an empty or wrapping range, -EEXIST when it overlaps
 * another, -ENOSPC when the bus is full.
 */
int bus_add(struct bus *bus, uint64_t base, uint64_t len,
	    const struct bus_ops *ops, void *dev) __must_check;

/**
 * bus_read(), bus_write() - an access of the guest
 * @len:	any; an access that no range holds whole is nobody's
 *
 * Return: true when a device took it.
 */
bool bus_read(const struct bus *bus, uint64_t addr, void *data,
	      unsigned int len);
bool bus_write(const struct bus *bus, uint64_t addr, const void *data,
	       unsigned int len);
