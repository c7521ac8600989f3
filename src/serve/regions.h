/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regions.h - what a VMM says of the memory that it wants served
 *
 * Firecracker's message (pager/uffd.h): one object for each region of memory.
 * It comes from another process, and is checked: nothing is written outside
 * what it names, and nothing is read outside the image. Whether an address is
 * the VMM's own the kernel knows, for each page.
 */
#pragma once

#include "base/err.h"

#define REGIONS_MAX         64u
#define REGIONS_MESSAGE_MAX 16384u

/**
 * struct region - [@hva, @hva + @size) of the VMM is @size bytes of the image
 * from @offset on
 */
struct region {
	uint64_t hva;
	uint64_t size;
	uint64_t offset;
};

/**
 * struct regions - ascending and side by side in the image: all of it
 */
struct regions {
	unsigned int nr;
	struct region region[REGIONS_MAX];
};

/**
 * regions_parse() - the message
 * @image_bytes:	of the image
 *
 * Return: 0; -EINVAL with a sentence.
 */
int regions_parse(struct regions *regions, const char *text, size_t len,
		  uint64_t image_bytes, struct err *err) __must_check;

/* The region that [@hva, @hva + 1) is in, or NULL. */
const struct region *regions_of_hva(const struct regions *regions,
				    uint64_t hva);

/* The region that holds byte @at of the image. */
const struct region *regions_of_image(const struct regions *regions,
				      uint64_t at);
