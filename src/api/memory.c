// SPDX-License-Identifier: Apache-2.0
/*
 * memory.c - GET /volt/memory: whose memory this VM takes; GET /volt/dirty: how
 * much a diff would hold
 *
 * Volt's own: what Firecracker's paths answer has nothing new in it. Nobody
 * else can tell: /proc of a process that is locked is closed to others.
 */
#include "api/resource.h"
#include "vm/vm.h"

#include <inttypes.h>

static void add_usage(struct buf *out, const struct usage *usage)
{
	buf_addf(out,
		 "\"private_bytes\":%" PRIu64 ",\"shared_bytes\":%" PRIu64
		 ",\"swapped_bytes\":%" PRIu64,
		 usage->private, usage->shared, usage->swapped);
}

/* An object, or null: @r says that there is nothing to tell. */
static void add_usage_of(struct buf *out, const char *whose, int r,
			 const struct usage *usage)
{
	buf_addf(out, ",\"%s\":", whose);
	if (r < 0) {
		buf_add_str(out, "null");
		return;
	}
	buf_add_str(out, "{");
	add_usage(out, usage);
	buf_add_str(out, "}");
}

/* What the pager did for it: null of another's handler. */
static void add_served(struct buf *out, struct vm *vm)
{
	struct served s;

	buf_add_str(out, ",\"served\":");
	if (vm_pager_served(vm, &s) < 0)
		buf_add_str(out, "null");
	else
		buf_addf(out,
			 "{\"faults\":%" PRIu64 ",\"faulted_pages\":%" PRIu64
			 ",\"hot_pages\":%" PRIu64 ",\"hot_ms\":%" PRIu64
			 ",\"zero_pages\":%" PRIu64
			 ",\"removed_pages\":%" PRIu64 "}",
			 s.faults, s.faulted, s.hot, s.hot_ms, s.zero,
			 s.removed);
}

static int get_memory(struct api_call *call)
{
	struct vm *vm = call->api->vm;
	struct buf *out = &call->reply->body;
	struct usage usage;
	uint64_t size;
	int r;

	buf_add_str(out, "{\"guest\":");
	if (vm_guest_usage(vm, &size, &usage) == 0) {
		buf_addf(out, "{\"size_bytes\":%" PRIu64 ",", size);
		add_usage(out, &usage);
		buf_add_str(out, "}");
	} else {
		buf_add_str(out, "null");
	}
	r = vm_process_usage(vm, &usage);
	add_usage_of(out, "process", r, &usage);
	r = vm_pager_usage(vm, &usage);
	add_usage_of(out, "pager", r, &usage);
	add_served(out, vm);
	buf_add_str(out, "}");
	return 0;
}

/* Whoever takes snapshots from time to time skips one that is not worth it. */
static int get_dirty(struct api_call *call)
{
	struct buf *out = &call->reply->body;
	struct vm_changed changed = {0};

	if (vm_changed(call->api->vm, &changed) < 0)
		changed.since = 0;
	buf_addf(out, "{\"tracked\":%s,", changed.tracked ? "true" : "false");
	if (changed.since != 0)
		buf_addf(out,
			 "\"since\":\"%016" PRIx64 "\",\"dirty_bytes\":%" PRIu64
			 "}",
			 changed.since, changed.bytes);
	else
		buf_add_str(out, "\"since\":null,\"dirty_bytes\":null}");
	return 0;
}

static const struct api_route memory_routes[] = {
	{
		.method = API_GET,
		.path = "volt/memory",
		.flags = API_BOTH,
		.apply = get_memory,
	},
	{
		.method = API_GET,
		.path = "volt/dirty",
		.flags = API_BOTH,
		.apply = get_dirty,
	},
};

const struct api_resource api_memory = {
	.routes = memory_routes,
	.nr_routes = ARRAY_SIZE(memory_routes),
};
