/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.h - zeroed memory straight from the kernel
 *
 * For a large block of which little is touched: malloc() may share its pages
 * with others, and musl's calloc() reads a block of less than 128 KiB from end
 * to end to find it zero. And for one that is touched at once: on a host that
 * is a virtual machine itself each page fault costs microseconds, and a page
 * that comes with others, in one call, a tenth of that.
 */
#pragma once

#include <stddef.h>

/**
 * pages_new() - map @size bytes, page-aligned
 * @now:	so many from the start will be touched at once
 *
 * Return: NULL when memory is short.
 */
void *pages_new(size_t size, size_t now);

/* Accepts NULL. @size: as it was mapped. errno is kept. */
void pages_free(void *pages, size_t size);
