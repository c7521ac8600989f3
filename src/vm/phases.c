// SPDX-License-Identifier: Apache-2.0
/*
 * phases.c - how long each part of a save or a restore took (phases.h)
 */
#include "vm/phases.h"

#include "base/log.h"
#include "host/clock.h"

#include <stdio.h>

void phases_begin(struct phases *p, const char *title)
{
	memset(p, 0, sizeof(*p));
	p->title = title;
	p->start_ns = p->last_ns = now_ns();
}

void phases_end(struct phases *p, const char *name)
{
	uint64_t now = now_ns();

	if (p->nr == PHASES_MAX)
		return;
	p->phase[p->nr].name = name;
	p->phase[p->nr++].ns = now - p->last_ns;
	p->last_ns = now;
}

uint64_t phases_total(const struct phases *p)
{
	return p->last_ns - p->start_ns;
}

static size_t add_row(char *buf, size_t size, size_t n, const char *name,
		      uint64_t ns)
{
	if (n >= size)
		return n;
	return n + (size_t)snprintf(buf + n, size - n, "| %-36s | %9.3f ms |\n",
				    name, (double)ns / 1e6);
}

size_t phases_format(const struct phases *p, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "| %-36s | %12s |\n",
				    p->title ? p->title : "Operation", "Time");

	for (unsigned int i = 0; i < p->nr; i++)
		n = add_row(buf, size, n, p->phase[i].name, p->phase[i].ns);
	n = add_row(buf, size, n, "Total", phases_total(p));
	return n < size ? n : size - 1;
}

void phases_log(const struct phases *p)
{
	for (unsigned int i = 0; i < p->nr; i++)
		log_info("%s: %s: %llu us", p->title, p->phase[i].name,
			 (unsigned long long)(p->phase[i].ns / 1000));
	log_info("%s: total: %llu us", p->title,
		 (unsigned long long)(phases_total(p) / 1000));
}
