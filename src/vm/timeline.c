// SPDX-License-Identifier: Apache-2.0
/*
 * timeline.c - when a start reached which point
 */
#include "vm/timeline.h"

#include <stdio.h>
#include <time.h>

static const char *const timeline_names[] = {
	[TIMELINE_PROCESS] = "process start",
	[TIMELINE_START] = "start requested",
	[TIMELINE_KVM_READY] = "KVM ready",
	[TIMELINE_KERNEL_READY] = "kernel loaded",
	[TIMELINE_VCPUS_READY] = "vCPUs ready",
	[TIMELINE_FIRST_RUN] = "first instruction",
	[TIMELINE_FIRST_OUTPUT] = "guest's first line",
	[TIMELINE_BOOT_TIMER] = "init (boot timer)",
	[TIMELINE_END] = "end",
};
static_assert(ARRAY_SIZE(timeline_names) == TIMELINE_NR, "name every point");

void timeline_mark(struct timeline *timeline, enum timeline_point point)
{
	struct timespec ts;
	uint64_t none = 0, now;

	if (atomic_load_explicit(&timeline->ns[point], memory_order_relaxed))
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	(void)atomic_compare_exchange_strong(&timeline->ns[point], &none, now);
}

/* The point reached next after @p, or -1: output and end come in any order. */
static int next_point(const struct timeline *t, int p)
{
	int next = -1;

	for (int q = 0; q < TIMELINE_NR; q++) {
		if (t->ns[q] == 0 || t->ns[q] < t->ns[p] ||
		    (q <= p && t->ns[q] == t->ns[p]))
			continue;
		if (next < 0 || t->ns[q] < t->ns[next])
			next = q;
	}
	return next;
}

size_t timeline_format(const struct timeline *timeline, uint64_t kvm_ns,
		       uint64_t kvm_calls, char *buf, size_t size)
{
	uint64_t start = timeline->ns[TIMELINE_PROCESS], last = start;
	size_t n = 0;
	int p;

	n += (size_t)snprintf(buf, size, "%-20s %12s %12s\n", "point", "at ms",
			      "step ms");
	for (p = TIMELINE_PROCESS; p >= 0 && n < size;
	     p = next_point(timeline, p)) {
		uint64_t at = timeline->ns[p];

		n += (size_t)snprintf(
			buf + n, size - n, "%-20s %12.3f %12.3f\n",
			timeline_names[p], (double)(at - start) / 1e6,
			(double)(at - last) / 1e6);
		last = at;
	}
	if (n < size)
		n += (size_t)snprintf(buf + n, size - n,
				      "KVM calls            %12.3f  (%llu "
				      "calls, without KVM_RUN)\n",
				      (double)kvm_ns / 1e6,
				      (unsigned long long)kvm_calls);
	return n < size ? n : size - 1;
}
