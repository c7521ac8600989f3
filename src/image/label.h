/* SPDX-License-Identifier: Apache-2.0 */
/*
 * label.h - the four ids that tell whose a memory file is (identity.h)
 */
#pragma once

#include <stdint.h>

struct snapshot_label {
	uint64_t id;
	uint64_t moment;
	uint64_t base;
	uint64_t run;
};
