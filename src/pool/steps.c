// SPDX-License-Identifier: Apache-2.0
/*
 * steps.c - what a lease asks of its VM (steps.h)
 */
#include "pool/steps.h"

#include "base/clean.h"

#include <string.h>

void steps_call_free(struct steps_call *call)
{
	buf_free(&call->target);
	buf_free(&call->body);
}

static void steps_begin(struct steps_call *call, const char *method,
			const char *target, const char *id)
{
	call->method = method;
	buf_clear(&call->target);
	buf_clear(&call->body);
	buf_add_str(&call->target, target);
	if (id)
		buf_add_str(&call->target, id);
}

/* ,"key":"text" or nothing when there is no text. */
static void steps_text(struct buf *body, const char *key, const char *text)
{
	if (!text)
		return;
	if (body->len > 0 && body->data[body->len - 1] != '{')
		buf_add_str(body, ",");
	buf_addf(body, "\"%s\":", key);
	buf_add_json(body, text, strlen(text));
}

static void steps_drive(struct buf *body, const struct pool_drive *d)
{
	buf_add_str(body, "{");
	steps_text(body, "drive_id", d->id);
	steps_text(body, "path_on_host", d->path);
	steps_text(body, "overlay", d->overlay);
	buf_add_str(body, "}");
}

static void steps_net(struct buf *body, const struct pool_net *n)
{
	buf_add_str(body, "{");
	steps_text(body, "iface_id", n->id);
	steps_text(body, "host_dev_name", n->tap);
	steps_text(body, "guest_mac", n->mac);
	buf_add_str(body, "}");
}

static void steps_vsock(struct buf *body, const char *path)
{
	buf_add_str(body, "{");
	steps_text(body, "uds_path", path);
	buf_add_str(body, "}");
}

static void steps_overrides(struct buf *body, const struct pool_lease_ask *ask)
{
	const struct pool_drive *drives = ask->drives.items;
	const struct pool_net *nets = ask->networks.items;

	if (ask->drives.nr > 0)
		buf_add_str(body, ",\"drive_overrides\":[");
	for (size_t i = 0; i < ask->drives.nr; i++) {
		steps_drive(body, &drives[i]);
		buf_add_str(body, i + 1 < ask->drives.nr ? "," : "]");
	}
	if (ask->networks.nr > 0)
		buf_add_str(body, ",\"network_overrides\":[");
	for (size_t i = 0; i < ask->networks.nr; i++) {
		steps_net(body, &nets[i]);
		buf_add_str(body, i + 1 < ask->networks.nr ? "," : "]");
	}
	if (ask->vsock) {
		buf_add_str(body, ",\"vsock_override\":");
		steps_vsock(body, ask->vsock);
	}
	if (ask->clock)
		buf_add_str(body, ",\"clock_realtime\":true");
}

void steps_load(struct steps_call *call, const char *snapshot,
		const char *memory, const struct pool_lease_ask *ask)
{
	struct buf *body = &call->body;

	steps_begin(call, "PUT", "/snapshot/load", NULL);
	buf_add_str(body, "{");
	steps_text(body, "snapshot_path", snapshot);
	if (memory) {
		buf_add_str(body, ",\"mem_backend\":{\"backend_type\":"
				  "\"File\"");
		steps_text(body, "backend_path", memory);
		buf_add_str(body, "}");
	}
	buf_addf(body, ",\"resume_vm\":%s",
		 ask && !ask->paused ? "true" : "false");
	if (ask)
		steps_overrides(body, ask);
	buf_add_str(body, "}");
}

static bool steps_of_clone(struct steps_call *call,
			   const struct pool_lease_ask *ask, size_t n)
{
	const struct pool_drive *drives = ask->drives.items;
	const struct pool_net *nets = ask->networks.items;

	if (n < ask->drives.nr) {
		steps_begin(call, "PATCH", "/drives/", drives[n].id);
		steps_drive(&call->body, &drives[n]);
		return true;
	}
	n -= ask->drives.nr;
	if (n < ask->networks.nr) {
		steps_begin(call, "PATCH", "/network-interfaces/", nets[n].id);
		steps_net(&call->body, &nets[n]);
		return true;
	}
	n -= ask->networks.nr;
	if (ask->vsock && n-- == 0) {
		steps_begin(call, "PATCH", "/vsock", NULL);
		steps_vsock(&call->body, ask->vsock);
		return true;
	}
	if (ask->paused || n > 0)
		return false;
	steps_begin(call, "PATCH", "/vm", NULL);
	buf_add_str(&call->body, ask->clock ? "{\"state\":\"Resumed\","
					      "\"clock_realtime\":true}"
					    : "{\"state\":\"Resumed\"}");
	return true;
}

size_t steps_count(const struct pool_create *pool,
		   const struct pool_lease_ask *ask)
{
	if (pool->kind == POOL_SHELL)
		return 1;
	return ask->drives.nr + ask->networks.nr + (ask->vsock != NULL) +
	       !ask->paused;
}

bool steps_nth(struct steps_call *call, const struct pool_create *pool,
	       const struct pool_lease_ask *ask, size_t n)
{
	if (pool->kind == POOL_CLONE)
		return steps_of_clone(call, ask, n);
	if (n > 0)
		return false;
	if (ask->snapshot)
		steps_load(call, ask->snapshot, ask->memory, ask);
	else
		steps_load(call, pool->snapshot, pool->memory, ask);
	return true;
}

struct steps_refusal {
	char *fault_message;
};

void steps_fault(char *to, size_t size, const char *body, size_t len)
{
	static const struct schema_field fields[] = {
		{.name = "fault_message",
		 .type = SCHEMA_STRING,
		 .flags = SCHEMA_REQUIRED,
		 SCHEMA_AT(struct steps_refusal, fault_message)},
	};
	static const struct schema_object schema = {
		.name = "Fault",
		.fields = fields,
		.nr = ARRAY_SIZE(fields),
		.size = sizeof(struct steps_refusal),
	};
	struct steps_refusal refusal = {0};
	struct schema_seen seen;

	if (schema_decode_text(&schema, body, len, &refusal, &seen, NULL) == 0)
		(void)clean_text(to, size, refusal.fault_message,
				 strlen(refusal.fault_message));
	else
		(void)clean_text(to, size, body, len);
	schema_free(&schema, &refusal);
}
