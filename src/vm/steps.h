/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - how long each part of a save or a restore took
 */
#pragma once

#include "base/bits.h"

#define STEPS_MAX 16u

/**
 * struct steps - zero-initialised, nothing is measured yet
 * @last_ns:	end of the last step, CLOCK_MONOTONIC
 */
struct steps {
	const char *title;
	uint64_t start_ns;
	uint64_t last_ns;
	unsigned int nr;
	struct {
		const char *name;
		uint64_t ns;
	} step[STEPS_MAX];
};

void steps_begin(struct steps *p, const char *title);

/* What was done since the last call is called @name. */
void steps_end(struct steps *p, const char *name);

/* All of them, ns. */
uint64_t steps_total(const struct steps *p);

/* The table that --timing prints; length of the text in @buf. */
size_t steps_format(const struct steps *p, char *buf, size_t size);

/* A line for each in the log. */
void steps_log(const struct steps *p);
