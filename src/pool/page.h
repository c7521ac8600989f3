/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - volt-pool's page: its options and its help (base/args.h)
 */
#pragma once

#include "base/args.h"

/**
 * struct pool_options - the command line as it was given
 *
 * NULL: the default, which depends on the user.
 */
struct pool_options {
	const char *socket;
	const char *dir;
	const char *vmm;
	bool version;
};

/* Offsets are in struct pool_options. */
extern const struct args_page pool_page;
