// SPDX-License-Identifier: Apache-2.0
/*
 * lease.c - PUT /volt/lease: a VM that waits is given to its user
 *
 * Volt's own. What a lease is: vm/lease.h; who opens what it names:
 * gate/lease.h, by the keys of this body.
 */
#include "vm/lease.h"

#include "api/resource.h"

#include "base/log.h"

#include <errno.h>

/**
 * struct lease_body - the body of the request
 * @drives, @nets:	lists of struct lease_drive and struct lease_net
 */
struct lease_body {
	char *id;
	struct schema_list drives;
	struct schema_list nets;
	bool has_vsock;
	struct {
		char *uds_path;
		bool has_cid;
		uint32_t guest_cid;
	} vsock;
	bool resume_vm;
};

/* clang-format off */
#define MAY_BE SCHEMA_NULL

static const struct schema_field lease_drive_fields[] = {
	{ .name = "drive_id", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct lease_drive, id) },
	{ .name = "path_on_host", .type = SCHEMA_STRING, .flags = MAY_BE,
	  SCHEMA_AT(struct lease_drive, path) },
	{ .name = "overlay", .type = SCHEMA_STRING, .flags = MAY_BE,
	  SCHEMA_AT(struct lease_drive, overlay) },
	{ .name = "rate_limiter", .type = SCHEMA_OBJECT,
	  .flags = MAY_BE | SCHEMA_HAS, SCHEMA_AT(struct lease_drive, limiter),
	  .has = offsetof(struct lease_drive, limiter.present),
	  .object = &config_rate_limiter },
};
static const struct schema_object lease_drive_schema = {
	.name = "LeaseDrive", .fields = lease_drive_fields,
	.nr = ARRAY_SIZE(lease_drive_fields),
	.size = sizeof(struct lease_drive),
};
static const struct schema_item lease_drive_item =
	SCHEMA_STATE_ITEM(struct lease_drive, &lease_drive_schema);

#define LIMITER(name_, member) \
	{ .name = (name_), .type = SCHEMA_OBJECT, .flags = MAY_BE | SCHEMA_HAS, \
	  SCHEMA_AT(struct lease_net, member), \
	  .has = offsetof(struct lease_net, member.present), \
	  .object = &config_rate_limiter }

static const struct schema_field lease_net_fields[] = {
	{ .name = "iface_id", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct lease_net, id) },
	{ .name = "host_dev_name", .type = SCHEMA_STRING, .flags = MAY_BE,
	  SCHEMA_AT(struct lease_net, tap) },
	{ .name = "guest_mac", .type = SCHEMA_PARSED,
	  .flags = MAY_BE | SCHEMA_HAS, SCHEMA_AT(struct lease_net, mac),
	  .has = offsetof(struct lease_net, has_mac), .parser = &config_mac },
	LIMITER("rx_rate_limiter", rx_limiter),
	LIMITER("tx_rate_limiter", tx_limiter),
};
static const struct schema_object lease_net_schema = {
	.name = "LeaseInterface", .fields = lease_net_fields,
	.nr = ARRAY_SIZE(lease_net_fields), .size = sizeof(struct lease_net),
};
static const struct schema_item lease_net_item =
	SCHEMA_STATE_ITEM(struct lease_net, &lease_net_schema);

/* Its fields are those of the whole body. */
static const struct schema_field lease_vsock_fields[] = {
	{ .name = "uds_path", .type = SCHEMA_STRING, .flags = MAY_BE,
	  SCHEMA_AT(struct lease_body, vsock.uds_path) },
	{ .name = "guest_cid", .type = SCHEMA_UINT,
	  .flags = MAY_BE | SCHEMA_HAS,
	  SCHEMA_AT(struct lease_body, vsock.guest_cid),
	  .has = offsetof(struct lease_body, vsock.has_cid),
	  .range = &schema_u32 },
};
static const struct schema_object lease_vsock_schema = {
	.name = "LeaseVsock", .fields = lease_vsock_fields,
	.nr = ARRAY_SIZE(lease_vsock_fields),
	.size = sizeof(struct lease_body),
};

static const struct schema_field lease_fields[] = {
	{ .name = "id", .type = SCHEMA_STRING, .flags = MAY_BE,
	  SCHEMA_AT(struct lease_body, id) },
	{ .name = "drives", .type = SCHEMA_LIST,
	  SCHEMA_AT(struct lease_body, drives), .item = &lease_drive_item },
	{ .name = "network_interfaces", .type = SCHEMA_LIST,
	  SCHEMA_AT(struct lease_body, nets), .item = &lease_net_item },
	{ .name = "vsock", .type = SCHEMA_OBJECT, .flags = MAY_BE | SCHEMA_HAS,
	  .offset = 0, .size = sizeof(struct lease_body),
	  .has = offsetof(struct lease_body, has_vsock),
	  .object = &lease_vsock_schema },
	{ .name = "resume_vm", .type = SCHEMA_BOOL,
	  SCHEMA_AT(struct lease_body, resume_vm) },
};
/* clang-format on */

static const struct schema_object lease_schema = {
	.name = "Lease",
	.fields = lease_fields,
	.nr = ARRAY_SIZE(lease_fields),
	.size = sizeof(struct lease_body),
};

static int lease_check_body(struct api_call *call)
{
	const struct lease_body *body = call->body;

	/* 0 would mean: as it is. */
	if (body->vsock.has_cid && body->vsock.guest_cid == 0)
		return err_set(call->err, -EINVAL,
			       "Lease error: A guest's CID is 3 or more, not "
			       "0");
	if (!body->id || vm_config_check_id(body->id, call->err) == 0)
		return 0;
	return err_prefix_api(call->err, "Lease error: ");
}

/* From here on GET / and the log tell the new name. */
static int lease_rename(struct api *api, const char *id, struct err *err)
{
	char *copy = strdup(id);

	if (!copy)
		return err_set(err, -ENOMEM, "Out of memory");
	free(api->leased_id);
	api->leased_id = copy;
	api->settings.id = copy;
	log_set_id(copy);
	return 0;
}

static int lease_put(struct api_call *call)
{
	const struct lease_body *body = call->body;
	struct vm *vm = call->api->vm;
	const struct vm_lease lease = {
		.id = body->id,
		.drives = body->drives.items,
		.nr_drives = body->drives.nr,
		.nets = body->nets.items,
		.nr_nets = body->nets.nr,
		.uds_path = body->vsock.uds_path,
		.guest_cid = body->vsock.guest_cid,
	};
	int r = vm_lease(vm, &lease, call->err);

	if (r == 0 && body->id)
		r = lease_rename(call->api, body->id, call->err);
	if (r == 0 && body->resume_vm)
		r = vm_resume(vm, call->err);
	return r < 0 ? err_prefix_api(call->err, "Lease error: ") : 0;
}

static const struct api_route lease_routes[] = {
	{
		.method = API_PUT,
		.path = "volt/lease",
		.flags = API_POST,
		.schema = &lease_schema,
		.check = lease_check_body,
		.apply = lease_put,
	},
};

const struct api_resource api_lease = {
	.routes = lease_routes,
	.nr_routes = ARRAY_SIZE(lease_routes),
};
