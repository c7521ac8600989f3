/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - volt-vmm's page: its options and its help (base/args.h)
 */
#pragma once

#include "base/args.h"

/* Offsets are in struct options (vmm/options.h). */
extern const struct args_page vmm_page;
