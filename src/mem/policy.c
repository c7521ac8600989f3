// SPDX-License-Identifier: Apache-2.0
/*
 * policy.c - what the host says of huge pages
 *
 * Source: Documentation/admin-guide/mm/transhuge.rst, prctl(2).
 */
#include "mem/gmem.h"

#include <string.h>
#include <sys/prctl.h>

bool gmem_policy_is_huge(const char *text, enum gmem_pages pages)
{
	if (pages == GMEM_PAGES_2M || strstr(text, "[always]"))
		return true;
	return pages == GMEM_PAGES_TRANSPARENT && strstr(text, "[madvise]");
}

void gmem_set_policy(struct gmem *mem, const char *text)
{
	int off;

	mem->huge = gmem_policy_is_huge(text, mem->pages);
	if (!mem->huge || mem->pages == GMEM_PAGES_2M)
		return;
	/* 1: off for this process; with more bits, but for who asks for it. */
	off = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	if (off == 1 || (off > 1 && mem->pages == GMEM_PAGES_DEFAULT))
		mem->huge = false;
}
