/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phases.h - how long each part of a save or a restore took
 */
#pragma once

#include "base/bits.h"

#define PHASES_MAX 16u

/**
 * struct phases - zero-initialised, nothing is measured yet
 * @last_ns:	end of the last phase, CLOCK_MONOTONIC
 */
struct phases {
	const char *title;
	uint64_t start_ns;
	uint64_t last_ns;
	unsigned int nr;
	struct {
		const char *name;
		uint64_t ns;
	} phase[PHASES_MAX];
};

void phases_begin(struct phases *p, const char *title);

/* What was done since the last call is called @name. */
void phases_end(struct phases *p, const char *name);

/* All of them, ns. */
uint64_t phases_total(const struct phases *p);

/* The table that --timing prints; length of the text in @buf. */
size_t phases_format(const struct phases *p, char *buf, size_t size);

/* A line for each in the log. */
void phases_log(const struct phases *p);
