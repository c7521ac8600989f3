/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - doubly linked lists of structs that embed their links
 *
 * A list is a ring of links with its head among them. A link that is on no list
 * points to itself, so taking it off twice is harmless. A link whose neighbours
 * do not know it was freed, or is changed by two threads: that ends the process
 * before it spreads.
 */
#pragma once

#include "base/bits.h"

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *link)
{
	link->next = link;
	link->prev = link;
}

/* Of a head: nothing is on the list. Of a link: it is on none. */
static inline bool list_empty(const struct list *link)
{
	return link->next == link;
}

static inline void list_add_tail(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

static inline void list_del(struct list *link)
{
	assert(link->prev->next == link && link->next->prev == link);
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}
