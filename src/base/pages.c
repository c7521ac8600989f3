// SPDX-License-Identifier: Apache-2.0
/*
 * pages.c - zeroed memory straight from the kernel (pages.h)
 */
#include "base/pages.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

void *pages_new(size_t size, size_t now)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return NULL;
	/* Linux before 5.14 cannot: then the pages come one by one. */
	if (now > 0)
		(void)madvise(pages, now, MADV_POPULATE_WRITE);
	return pages;
}

void pages_free(void *pages, size_t size)
{
	int saved = errno;

	if (pages)
		(void)munmap(pages, size);
	errno = saved;
}
