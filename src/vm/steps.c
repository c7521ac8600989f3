// SPDX-License-Identifier: Apache-2.0
/*
 * steps.c - how long each part of a save or a restore took (steps.h)
 */
#include "vm/steps.h"

#include "base/log.h"
#include "host/clock.h"

#include <stdio.h>

void steps_begin(struct steps *p, const char *title)
{
	memset(p, 0, sizeof(*p));
	p->title = title;
	p->start_ns = p->last_ns = now_ns();
}

void steps_end(struct steps *p, const char *name)
{
	uint64_t now = now_ns();

	if (p->nr == STEPS_MAX)
		return;
	p->step[p->nr].name = name;
	p->step[p->nr++].ns = now - p->last_ns;
	p->last_ns = now;
}

uint64_t steps_total(const struct steps *p)
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

size_t steps_format(const struct steps *p, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "| %-36s | %12s |\n",
				    p->title ? p->title : "Operation", "Time");

	for (unsigned int i = 0; i < p->nr; i++)
		n = add_row(buf, size, n, p->step[i].name, p->step[i].ns);
	n = add_row(buf, size, n, "Total", steps_total(p));
	return n < size ? n : size - 1;
}

void steps_log(const struct steps *p)
{
	for (unsigned int i = 0; i < p->nr; i++)
		log_info("%s: %s: %llu us", p->title, p->step[i].name,
			 (unsigned long long)(p->step[i].ns / 1000));
	log_info("%s: total: %llu us", p->title,
		 (unsigned long long)(steps_total(p) / 1000));
}
