/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.h - a VM's memory is filled by userfaultfd, from an image
 *
 * Theory of operation
 *
 * The kernel tells of each page that somebody waits for, and of pages that the
 * balloon gave back. One thread does all:
 *
 *   a page that    was never there     comes from the image, with those around
 *                                      it that are cheap to read with it
 *                  was given back      is zero from then on
 *                  is there already    wakes who waits
 *
 * Two sets of pages say which is which. A page of the image is put in place
 * once at most: whatever the guest wrote since, or gave back, stays.
 *
 * While pages are being given back the kernel refuses to take any (EAGAIN)
 * until the event has been read. So the sets are looked at again after each
 * refusal, and between the last look and a page's coming nothing can be given
 * back unseen.
 *
 * A page that cannot be read right is not put in place, nor is any other: the
 * caller ends, the VMM notices, and the VM ends.
 *
 * Sources: Documentation/admin-guide/mm/userfaultfd.rst, ioctl_userfaultfd(2).
 * The field `copy` on EAGAIN holds bytes on some kernels, -EAGAIN on others.
 */
#pragma once

#include "image/image.h"
#include "image/workset.h"
#include "pager/served.h"
#include "serve/regions.h"

/**
 * struct fill - of one VM
 * @uffd:	non-blocking; borrowed
 * @record:	where pages that were waited for are noted, or NULL. They come
 *		alone then. NULL again when it has @record_max of them
 * @stats:	what was done; all but @hot_ms is kept here
 * @room:	for pages on their way
 * @placed, @gone:	a bit for each page of the image
 * @wait:	addresses that are waited for, @nr_wait of them
 */
struct fill {
	int uffd;
	const struct image *image;
	const struct regions *regions;
	struct workset *record;
	uint64_t record_max;
	struct served stats;
	uint8_t *room;
	uint64_t *placed;
	uint64_t *gone;
	uint64_t *wait;
	size_t nr_wait;
	size_t wait_room;
};

/* Return: 0 or -ENOMEM; fill_fini() in any case. */
int fill_init(struct fill *f, int uffd, const struct image *image,
	      const struct regions *regions) __must_check;

/**
 * fill_hot() - put pages in place before anybody waits for them
 * @set:	their numbers; those that are none are passed over
 * @max:	pages at most
 *
 * Return: 0; -ESRCH: the VM is gone; -errno with a sentence.
 */
int fill_hot(struct fill *f, const struct workset *set, uint64_t max,
	     struct err *err) __must_check;

/**
 * fill_serve() - all that the kernel tells now
 *
 * Return: as above.
 */
int fill_serve(struct fill *f, struct err *err) __must_check;

void fill_fini(struct fill *f);
