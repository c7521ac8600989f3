// SPDX-License-Identifier: Apache-2.0
/*
 * pool_wire.c - the tables of the pool's protocol (pool_wire.h)
 */
#include "client/pool_wire.h"

#define OPTIONAL (SCHEMA_NULL | SCHEMA_OMIT)

/* One line a field; the JSON name is the member's. */
#define WIRE(type_, member_, kind_, flags_, ...) \
	{.name = #member_,                       \
	 .type = (kind_),                        \
	 .flags = (flags_),                      \
	 SCHEMA_AT(type_, member_),              \
	 __VA_ARGS__}
#define WIRE_NEED(type_, member_) \
	WIRE(type_, member_, SCHEMA_STRING, SCHEMA_REQUIRED, )
#define WIRE_TEXT(type_, member_) \
	WIRE(type_, member_, SCHEMA_STRING, OPTIONAL, )
#define WIRE_BOOL(type_, member_) \
	WIRE(type_, member_, SCHEMA_BOOL, SCHEMA_OMIT, )
#define WIRE_U32(type_, member_, flags_) \
	WIRE(type_, member_, SCHEMA_UINT, flags_, .range = &schema_u32)
#define WIRE_U64(type_, member_, flags_) \
	WIRE(type_, member_, SCHEMA_UINT, flags_, .range = &schema_u64)
#define WIRE_ENUM(type_, member_, names_, flags_) \
	WIRE(type_, member_, SCHEMA_ENUM, flags_, .names = &(names_))
#define WIRE_LIST(type_, member_, item_) \
	WIRE(type_, member_, SCHEMA_LIST, 0, .item = &(item_))
#define WIRE_OF(type_, fields_)     \
	{.name = #type_,            \
	 .fields = (fields_),       \
	 .nr = ARRAY_SIZE(fields_), \
	 .size = sizeof(struct type_)}

static const struct schema_name wire_kind_names[] = {
	{"clone", POOL_CLONE},
	{"shell", POOL_SHELL},
};
static const struct schema_enum wire_kinds = SCHEMA_NAMES(wire_kind_names);

static const struct schema_name wire_state_names[] = {
	{"starting", POOL_STARTING}, {"ready", POOL_READY},
	{"leasing", POOL_LEASING},   {"leased", POOL_LEASED},
	{"ending", POOL_ENDING},
};
static const struct schema_enum wire_states = SCHEMA_NAMES(wire_state_names);

static const struct schema_name wire_code_names[] = {
	{"bad", POOL_BAD},
	{"version", POOL_VERSION},
	{"denied", POOL_DENIED},
	{"none", POOL_NONE},
	{"exists", POOL_EXISTS},
	{"full", POOL_FULL},
	{"timeout", POOL_TIMEOUT},
	{"draining", POOL_DRAINING},
	{"no_snapshot", POOL_NO_SNAPSHOT},
	{"failed", POOL_FAILED},
};
static const struct schema_enum wire_codes = SCHEMA_NAMES(wire_code_names);

static const struct schema_name wire_format_names[] = {
	{"json", POOL_JSON},
	{"openmetrics", POOL_OPENMETRICS},
};
static const struct schema_enum wire_formats = SCHEMA_NAMES(wire_format_names);

/* ---- requests ---- */

static const struct schema_field wire_text_field = {
	.type = SCHEMA_STRING,
	.size = sizeof(char *),
};
static const struct schema_item wire_texts = {&wire_text_field, sizeof(char *)};

static const struct schema_field wire_create[] = {
	WIRE_NEED(struct pool_create, pool),
	WIRE_ENUM(struct pool_create, kind, wire_kinds, SCHEMA_REQUIRED),
	WIRE_TEXT(struct pool_create, snapshot),
	WIRE_TEXT(struct pool_create, memory),
	WIRE_U32(struct pool_create, size, 0),
	WIRE_U32(struct pool_create, parallel, 0),
	WIRE_U32(struct pool_create, rate, 0),
	WIRE_U32(struct pool_create, cpu, 0),
	WIRE_U64(struct pool_create, memory_mib, 0),
	WIRE_U32(struct pool_create, queue, 0),
	WIRE_U32(struct pool_create, wait_ms, 0),
	WIRE_BOOL(struct pool_create, clock),
	WIRE_LIST(struct pool_create, vmm, wire_texts),
};
const struct schema_object pool_create_schema =
	WIRE_OF(pool_create, wire_create);

#define WIRE_OBJECT(type_, member_, has_, object_)                 \
	WIRE(type_, member_, SCHEMA_OBJECT, OPTIONAL | SCHEMA_HAS, \
	     .has = offsetof(type_, has_), .object = &(object_))

static const struct schema_field wire_bucket[] = {
	WIRE_U64(struct pool_bucket, size, SCHEMA_REQUIRED),
	WIRE(struct pool_bucket, one_time_burst, SCHEMA_UINT,
	     OPTIONAL | SCHEMA_HAS,
	     .has = offsetof(struct pool_bucket, has_burst),
	     .range = &schema_u64),
	WIRE_U64(struct pool_bucket, refill_time, SCHEMA_REQUIRED),
};
static const struct schema_object wire_bucket_schema =
	WIRE_OF(pool_bucket, wire_bucket);

static const struct schema_field wire_limiter[] = {
	WIRE_OBJECT(struct pool_limiter, bandwidth, has_bandwidth,
		    wire_bucket_schema),
	WIRE_OBJECT(struct pool_limiter, ops, has_ops, wire_bucket_schema),
};
const struct schema_object pool_limiter_schema =
	WIRE_OF(pool_limiter, wire_limiter);

static const struct schema_field wire_drive[] = {
	WIRE_NEED(struct pool_drive, id),
	WIRE_TEXT(struct pool_drive, path),
	WIRE_TEXT(struct pool_drive, overlay),
	WIRE_OBJECT(struct pool_drive, rate_limiter, has_limiter,
		    pool_limiter_schema),
};
static const struct schema_object wire_drive_schema =
	WIRE_OF(pool_drive, wire_drive);
static const struct schema_item wire_drives =
	SCHEMA_STATE_ITEM(struct pool_drive, &wire_drive_schema);

static const struct schema_field wire_net[] = {
	WIRE_NEED(struct pool_net, id),
	WIRE_TEXT(struct pool_net, tap),
	WIRE_TEXT(struct pool_net, mac),
	WIRE_OBJECT(struct pool_net, rx_rate_limiter, has_rx,
		    pool_limiter_schema),
	WIRE_OBJECT(struct pool_net, tx_rate_limiter, has_tx,
		    pool_limiter_schema),
};
static const struct schema_object wire_net_schema = WIRE_OF(pool_net, wire_net);
static const struct schema_item wire_nets =
	SCHEMA_STATE_ITEM(struct pool_net, &wire_net_schema);

static const struct schema_field wire_limits[] = {
	WIRE_U64(struct pool_limits, memory_mib, 0),
	WIRE_U32(struct pool_limits, cpu, 0),
	WIRE_U32(struct pool_limits, pids, 0),
};
static const struct schema_object wire_limits_schema =
	WIRE_OF(pool_limits, wire_limits);

static const struct schema_field wire_lease_ask[] = {
	WIRE_NEED(struct pool_lease_ask, pool),
	WIRE_TEXT(struct pool_lease_ask, name),
	WIRE_TEXT(struct pool_lease_ask, snapshot),
	WIRE_TEXT(struct pool_lease_ask, memory),
	WIRE_LIST(struct pool_lease_ask, drives, wire_drives),
	WIRE_LIST(struct pool_lease_ask, networks, wire_nets),
	WIRE_TEXT(struct pool_lease_ask, vsock),
	WIRE(struct pool_lease_ask, cid, SCHEMA_UINT, OPTIONAL | SCHEMA_HAS,
	     .has = offsetof(struct pool_lease_ask, has_cid),
	     .range = &schema_u32),
	WIRE_TEXT(struct pool_lease_ask, cgroup),
	WIRE_BOOL(struct pool_lease_ask, keep_cgroup),
	WIRE(struct pool_lease_ask, limits, SCHEMA_OBJECT,
	     OPTIONAL | SCHEMA_HAS,
	     .has = offsetof(struct pool_lease_ask, has_limits),
	     .object = &wire_limits_schema),
	WIRE(struct pool_lease_ask, wait_ms, SCHEMA_UINT, OPTIONAL | SCHEMA_HAS,
	     .has = offsetof(struct pool_lease_ask, has_wait),
	     .range = &schema_u32),
	WIRE_BOOL(struct pool_lease_ask, api),
	WIRE_BOOL(struct pool_lease_ask, paused),
	WIRE_BOOL(struct pool_lease_ask, tied),
};
static const struct schema_object wire_lease_ask_schema =
	WIRE_OF(pool_lease_ask, wire_lease_ask);

static const struct schema_field wire_resize[] = {
	WIRE_NEED(struct pool_resize, pool),
	WIRE_U32(struct pool_resize, size, SCHEMA_REQUIRED),
};
static const struct schema_object wire_resize_schema =
	WIRE_OF(pool_resize, wire_resize);

static const struct schema_field wire_name[] = {
	WIRE_NEED(struct pool_name, pool),
};
static const struct schema_object wire_name_schema =
	WIRE_OF(pool_name, wire_name);

static const struct schema_field wire_lease_name[] = {
	WIRE_NEED(struct pool_lease_name, name),
};
static const struct schema_object wire_lease_name_schema =
	WIRE_OF(pool_lease_name, wire_lease_name);

static const struct schema_field wire_ls_ask[] = {
	WIRE_TEXT(struct pool_ls_ask, pool),
	WIRE_BOOL(struct pool_ls_ask, members),
	WIRE_TEXT(struct pool_ls_ask, after),
};
static const struct schema_object wire_ls_ask_schema =
	WIRE_OF(pool_ls_ask, wire_ls_ask);

static const struct schema_field wire_metrics_ask[] = {
	WIRE_ENUM(struct pool_metrics_ask, format, wire_formats,
		  SCHEMA_REQUIRED),
};
static const struct schema_object wire_metrics_ask_schema =
	WIRE_OF(pool_metrics_ask, wire_metrics_ask);

#define WIRE_DO(member_, do_, object_)                       \
	WIRE(struct pool_request, member_, SCHEMA_OBJECT,    \
	     OPTIONAL | SCHEMA_HAS,                          \
	     .has = offsetof(struct pool_request, has[do_]), \
	     .object = &(object_))
static const struct schema_field wire_request[] = {
	WIRE_U32(struct pool_request, v, SCHEMA_REQUIRED),
	WIRE_U64(struct pool_request, tag, 0),
	WIRE_DO(create, POOL_DO_CREATE, pool_create_schema),
	WIRE_DO(ls, POOL_DO_LS, wire_ls_ask_schema),
	WIRE_DO(lease, POOL_DO_LEASE, wire_lease_ask_schema),
	WIRE_DO(release, POOL_DO_RELEASE, wire_lease_name_schema),
	WIRE_DO(resize, POOL_DO_RESIZE, wire_resize_schema),
	WIRE_DO(drain, POOL_DO_DRAIN, wire_name_schema),
	WIRE_DO(rm, POOL_DO_RM, wire_name_schema),
	WIRE_DO(metrics, POOL_DO_METRICS, wire_metrics_ask_schema),
	WIRE_DO(wait, POOL_DO_WAIT, wire_lease_name_schema),
};
const struct schema_object pool_request_schema =
	WIRE_OF(pool_request, wire_request);

/* ---- answers ---- */

static const struct schema_field wire_error[] = {
	WIRE_ENUM(struct pool_error, code, wire_codes, SCHEMA_REQUIRED),
	WIRE_NEED(struct pool_error, text),
};
static const struct schema_object wire_error_schema =
	WIRE_OF(pool_error, wire_error);

static const struct schema_field wire_lease[] = {
	WIRE_NEED(struct pool_lease, id),
	WIRE_NEED(struct pool_lease, name),
	WIRE_U32(struct pool_lease, pid, SCHEMA_REQUIRED),
	WIRE_NEED(struct pool_lease, api),
	WIRE_U64(struct pool_lease, us, SCHEMA_REQUIRED),
};
static const struct schema_object wire_lease_schema =
	WIRE_OF(pool_lease, wire_lease);

static const struct schema_field wire_exit[] = {
	WIRE(struct pool_exit, known, SCHEMA_BOOL, SCHEMA_REQUIRED, ),
	WIRE_U32(struct pool_exit, status, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_exit, signal, SCHEMA_REQUIRED),
};
static const struct schema_object wire_exit_schema =
	WIRE_OF(pool_exit, wire_exit);

static const struct schema_field wire_row[] = {
	WIRE_NEED(struct pool_row, pool),
	WIRE_ENUM(struct pool_row, kind, wire_kinds, SCHEMA_REQUIRED),
	WIRE_TEXT(struct pool_row, snapshot),
	WIRE_U32(struct pool_row, owner, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, size, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, starting, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, ready, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, leased, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, ending, SCHEMA_REQUIRED),
	WIRE_U32(struct pool_row, waiting, SCHEMA_REQUIRED),
	WIRE_U64(struct pool_row, private_kib, SCHEMA_REQUIRED),
	WIRE(struct pool_row, draining, SCHEMA_BOOL, SCHEMA_REQUIRED, ),
	WIRE_TEXT(struct pool_row, trouble),
};
static const struct schema_object wire_row_schema = WIRE_OF(pool_row, wire_row);
static const struct schema_item wire_rows =
	SCHEMA_STATE_ITEM(struct pool_row, &wire_row_schema);

static const struct schema_field wire_member[] = {
	WIRE_NEED(struct pool_member_row, id),
	WIRE_NEED(struct pool_member_row, pool),
	WIRE_ENUM(struct pool_member_row, state, wire_states, SCHEMA_REQUIRED),
	WIRE_TEXT(struct pool_member_row, name),
	WIRE_U32(struct pool_member_row, pid, SCHEMA_REQUIRED),
	WIRE_NEED(struct pool_member_row, api),
};
static const struct schema_object wire_member_schema =
	WIRE_OF(pool_member_row, wire_member);
static const struct schema_item wire_members =
	SCHEMA_STATE_ITEM(struct pool_member_row, &wire_member_schema);

static const struct schema_field wire_listing[] = {
	WIRE_LIST(struct pool_listing, pools, wire_rows),
	WIRE_LIST(struct pool_listing, members, wire_members),
	WIRE_BOOL(struct pool_listing, more),
};
static const struct schema_object wire_listing_schema =
	WIRE_OF(pool_listing, wire_listing);

#define WIRE_IS(member_, object_)                                \
	WIRE(struct pool_answer, member_, SCHEMA_OBJECT,         \
	     OPTIONAL | SCHEMA_HAS,                              \
	     .has = offsetof(struct pool_answer, has_##member_), \
	     .object = &(object_))
static const struct schema_field wire_answer[] = {
	WIRE_U32(struct pool_answer, v, SCHEMA_REQUIRED),
	WIRE_U64(struct pool_answer, tag, SCHEMA_REQUIRED),
	WIRE_IS(error, wire_error_schema),
	WIRE_IS(lease, wire_lease_schema),
	WIRE_IS(exit, wire_exit_schema),
	WIRE_IS(ls, wire_listing_schema),
};
const struct schema_object pool_answer_schema =
	WIRE_OF(pool_answer, wire_answer);

const char *pool_state_name(enum pool_state state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wire_state_names); i++)
		if (wire_state_names[i].value == (unsigned int)state)
			return wire_state_names[i].name;
	return "?";
}
