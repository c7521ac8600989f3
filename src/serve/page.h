/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - volt-pager's page: its options and its help (base/args.h)
 */
#pragma once

#include "base/args.h"

/**
 * struct serve_options - the command line as it was given
 * @hot_limit_mib:	0: no limit
 * @record_s, @record_mib:	0: to the end
 */
struct serve_options {
	bool background;
	bool json;
	bool no_hot;
	const char *record;
	uint64_t record_s;
	uint64_t record_mib;
	uint64_t hot_limit_mib;
	bool version;
};

/* Offsets are in struct serve_options. */
extern const struct args_page serve_page;
