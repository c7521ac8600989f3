/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pack.h - a snapshot is compressed, for whoever waits at a terminal
 */
#pragma once

#include "base/args.h"
#include "base/err.h"

/**
 * struct pack_options - how, as the command line has it
 * @level:	of zstd; 0: the default
 * @threads:	0: as many as there are processors
 * @frame_kib:	0: the default
 */
struct pack_options {
	uint64_t level;
	uint64_t threads;
	uint64_t frame_kib;
};

/**
 * pack_snapshot() - compress the snapshot in @dir, and say so
 * @page:	whose name messages begin with
 *
 * Return: 0 or -errno with a sentence.
 */
int pack_snapshot(const struct args_page *page, const char *dir,
		  const struct pack_options *o, struct err *err) __must_check;
