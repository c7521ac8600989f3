// SPDX-License-Identifier: Apache-2.0
/*
 * policy.c - what the host says of huge pages
 *
 * Source: Documentation/admin-guide/mm/transhuge.rst, prctl(2).
 */
#include "base/fd.h"
#include "mem/gmem.h"

#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define POLICY_FILE "/sys/kernel/mm/transparent_hugepage/enabled"

bool gmem_policy_is_huge(const char *text, enum gmem_pages pages)
{
	if (pages == GMEM_PAGES_2M || strstr(text, "[always]"))
		return true;
	return pages == GMEM_PAGES_TRANSPARENT && strstr(text, "[madvise]");
}

void gmem_ask_policy(struct gmem *mem)
{
	cleanup_fd int fd = open(POLICY_FILE, O_RDONLY | O_CLOEXEC);
	char text[64] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	int off;

	text[n > 0 ? n : 0] = '\0';
	mem->huge = gmem_policy_is_huge(text, mem->pages);
	if (!mem->huge || mem->pages == GMEM_PAGES_2M)
		return;
	/* 1: off for this process; with more bits, but for who asks for it. */
	off = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	if (off == 1 || (off > 1 && mem->pages == GMEM_PAGES_DEFAULT))
		mem->huge = false;
}
