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

static void steps_begin(struct steps_call *call, const char *target)
{
	call->method = "PUT";
	buf_clear(&call->target);
	buf_clear(&call->body);
	buf_add_str(&call->target, target);
	buf_add_str(&call->body, "{");
}

/* A comma, but behind the bracket that begins. */
static void steps_comma(struct buf *body)
{
	if (body->len > 0 && body->data[body->len - 1] != '{' &&
	    body->data[body->len - 1] != '[')
		buf_add_str(body, ",");
}

static void steps_text(struct buf *body, const char *key, const char *text)
{
	if (!text)
		return;
	steps_comma(body);
	buf_addf(body, "\"%s\":", key);
	buf_add_json(body, text, strlen(text));
}

static void steps_true(struct buf *body, const char *key)
{
	steps_comma(body);
	buf_addf(body, "\"%s\":true", key);
}

/* The VM's API has the same members. */
static void steps_limiter(struct buf *body, const char *key, bool has,
			  const struct pool_limiter *limiter)
{
	if (!has)
		return;
	steps_comma(body);
	buf_addf(body, "\"%s\":", key);
	schema_encode(&pool_limiter_schema, limiter, body);
}

static void steps_drive(struct buf *body, const void *item)
{
	const struct pool_drive *d = item;

	steps_text(body, "drive_id", d->id);
	steps_text(body, "path_on_host", d->path);
	steps_text(body, "overlay", d->overlay);
	steps_limiter(body, "rate_limiter", d->has_limiter, &d->rate_limiter);
}

static void steps_net(struct buf *body, const void *item)
{
	const struct pool_net *n = item;

	steps_text(body, "iface_id", n->id);
	steps_text(body, "host_dev_name", n->tap);
	steps_text(body, "guest_mac", n->mac);
	steps_limiter(body, "rx_rate_limiter", n->has_rx, &n->rx_rate_limiter);
	steps_limiter(body, "tx_rate_limiter", n->has_tx, &n->tx_rate_limiter);
}

/* An array of objects, each of @size bytes here; nothing for an empty one. */
static void steps_list(struct buf *body, const char *key,
		       const struct schema_list *list, size_t size,
		       void (*each)(struct buf *body, const void *item))
{
	const uint8_t *item = list->items;

	if (list->nr == 0)
		return;
	steps_comma(body);
	buf_addf(body, "\"%s\":[", key);
	for (size_t i = 0; i < list->nr; i++, item += size) {
		steps_comma(body);
		buf_add_str(body, "{");
		each(body, item);
		buf_add_str(body, "}");
	}
	buf_add_str(body, "]");
}

static void steps_vsock(struct buf *body, const struct pool_lease_ask *ask)
{
	if (!ask->vsock && !ask->has_cid)
		return;
	steps_comma(body);
	buf_add_str(body, "\"vsock\":{");
	steps_text(body, "uds_path", ask->vsock);
	if (ask->has_cid) {
		steps_comma(body);
		buf_addf(body, "\"guest_cid\":%u", ask->cid);
	}
	buf_add_str(body, "}");
}

void steps_load(struct steps_call *call, const struct pool_create *pool,
		const struct pool_lease_ask *ask)
{
	bool other = ask && ask->snapshot;
	const char *memory = other ? ask->memory : pool->memory;
	struct buf *body = &call->body;

	steps_begin(call, "/snapshot/load");
	steps_text(body, "snapshot_path",
		   other ? ask->snapshot : pool->snapshot);
	if (memory) {
		buf_add_str(body, ",\"mem_backend\":{\"backend_type\":"
				  "\"File\"");
		steps_text(body, "backend_path", memory);
		buf_add_str(body, "}");
	}
	if (pool->clock)
		steps_true(body, "clock_realtime");
	steps_true(body, "lease");
	buf_add_str(body, "}");
}

static void steps_lease(struct steps_call *call,
			const struct pool_lease_ask *ask)
{
	struct buf *body = &call->body;

	steps_begin(call, "/volt/lease");
	steps_text(body, "id", ask->name);
	steps_list(body, "drives", &ask->drives, sizeof(struct pool_drive),
		   steps_drive);
	steps_list(body, "network_interfaces", &ask->networks,
		   sizeof(struct pool_net), steps_net);
	steps_vsock(body, ask);
	if (!ask->paused)
		steps_true(body, "resume_vm");
	buf_add_str(body, "}");
}

static size_t steps_count(const struct pool_create *pool)
{
	return pool->kind == POOL_SHELL ? 2 : 1;
}

bool steps_nth(struct steps_call *call, const struct pool_create *pool,
	       const struct pool_lease_ask *ask, size_t n)
{
	size_t count = steps_count(pool);

	if (n + 1 == count)
		steps_lease(call, ask);
	else if (n < count)
		steps_load(call, pool, ask);
	return n < count;
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
