/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discard.h - pages go back to the host, whether they are plugged or not; of
 * src/mem alone
 */
#pragma once

#include "mem/gmem.h"

/**
 * gmem_give_back() - gmem_discard() behind its checks
 * @gpa, @len:	aligned to gmem_page_bytes(), within @region
 *
 * Return: 0 or -errno.
 */
int gmem_give_back(struct gmem *mem, struct gmem_region *region, gpa_t gpa,
		   uint64_t len) __must_check;
