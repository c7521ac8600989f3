/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dev_fuzz.h - what the fuzz targets of devices share: a script of steps
 *
 * An input is a script: each step takes a few bytes of it, and there is no
 * input that is not one.
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus/bus.h"
#include "bus/irq.h"

/* The condition is named, because the optimiser leaves one abort() for all. */
#define fuzz_check(cond)                                      \
	do {                                                  \
		if (!(cond))                                  \
			fuzz_fail(__FILE__, __LINE__, #cond); \
	} while (0)

static inline void fuzz_fail(const char *file, int line, const char *cond)
{
	(void)fprintf(stderr, "%s:%d: not so: %s\n", file, line, cond);
	abort();
}

struct fuzz_script {
	const uint8_t *data;
	size_t left;
};

/* Zeros when the script is over. */
static inline uint64_t fuzz_take(struct fuzz_script *s, unsigned int bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < bytes && s->left > 0; i++) {
		v |= (uint64_t)*s->data++ << 8 * i;
		s->left--;
	}
	return v;
}

static inline uint8_t fuzz_byte(struct fuzz_script *s)
{
	return (uint8_t)fuzz_take(s, 1);
}

/* A line that counts edges: an edge-triggered pin sees nothing else. */
struct fuzz_line {
	bool high;
	uint64_t rises;
};

static inline void fuzz_line_set(void *ctx, unsigned int gsi, bool level)
{
	struct fuzz_line *line = ctx;

	(void)gsi;
	if (level && !line->high)
		line->rises++;
	line->high = level;
}

static inline struct irq_line fuzz_irq(struct fuzz_line *line)
{
	return (struct irq_line){fuzz_line_set, line, 0};
}

/*
 * An access of a width that the register does not have: refused, and the
 * buffer, which is exactly as long as the access, stays as it is.
 */
static inline void fuzz_wrong_width(const struct bus_ops *ops, void *dev,
				    uint64_t off, uint8_t v)
{
	unsigned int len = 2u << (v >> 1) % 3;
	uint8_t *buf = malloc(len);

	fuzz_check(buf);
	memset(buf, v, len);
	if (v & 1)
		fuzz_check(ops->read(dev, off, buf, len) == -EINVAL);
	else
		fuzz_check(ops->write(dev, off, buf, len) == -EINVAL);
	for (unsigned int i = 0; i < len; i++)
		fuzz_check(buf[i] == v);
	free(buf);
}
