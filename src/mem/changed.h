/* SPDX-License-Identifier: Apache-2.0 */
/*
 * changed.h - how much of guest memory a diff would hold
 *
 * The question that a save answers by writing (image/write.h), asked while the
 * VM runs. Nothing is forgotten by that: a diff that follows holds the same.
 * What is written meanwhile is in the answer or is not.
 */
#pragma once

#include "mem/gmem.h"

/**
 * gmem_changed() - what does not show any more what it showed when it was
 * mapped: written, or given back (gmem_discard())
 * @pagemap:	/proc/self/pagemap
 *
 * A walk over the page tables, some 10 ns a page that is there.
 *
 * Return: 0 and *@bytes, -EBADF without @pagemap, or -errno. VMM thread.
 */
int gmem_changed(const struct gmem *mem, int pagemap,
		 uint64_t *bytes) __must_check;

/* What was marked since gmem_clean(). Tracked memory only. Return: bytes. */
uint64_t gmem_dirty_bytes(const struct gmem *mem);
