// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.c - PUT /snapshot/create and /snapshot/load
 *
 * Firecracker's bodies name two files; Volt's own form names a directory, which
 * exists or ends in '/': {"snapshot_path": DIR}. Firecracker's form saves a VM
 * that is paused. A directory is filled from a running VM too: it is paused
 * and, when it ran, runs again afterwards, whatever came of it.
 *
 * A load that fails ends the process, behind the answer.
 */
#include "vm/restore.h"

#include "api/resource.h"

#include "base/log.h"

#include <errno.h>

struct create_body {
	unsigned int snapshot_type; /* enum memory_kind */
	char *snapshot_path;
	char *mem_file_path;
	bool memory_checksum;
};

enum backend_type {
	BACKEND_FILE,
	BACKEND_UFFD,
};

struct load_body {
	char *snapshot_path;
	char *mem_file_path;
	bool has_backend;
	struct {
		unsigned int type; /* enum backend_type */
		char *path;
	} backend;
	bool enable_diff_snapshots;
	bool track_dirty_pages;
	bool dirty_ring;
	bool resume_vm;
	struct schema_list networks; /* of struct config_override */
	bool has_vsock;
	struct {
		char *uds_path;
	} vsock;
	bool clock_realtime;
	unsigned int huge_pages;
	struct schema_list drives; /* of struct config_override */
	bool lease;
};

/* clang-format off */
static const struct schema_name type_names[] = {
	{"Diff", MEMORY_DIFF}, {"Full", MEMORY_FULL},
};
static const struct schema_enum types = SCHEMA_NAMES(type_names);

static const struct schema_field create_fields[] = {
	{ .name = "snapshot_type", .type = SCHEMA_ENUM,
	  SCHEMA_AT(struct create_body, snapshot_type), .names = &types },
	{ .name = "snapshot_path", .type = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct create_body, snapshot_path) },
	{ .name = "mem_file_path", .type = SCHEMA_STRING,
	  SCHEMA_AT(struct create_body, mem_file_path) },
	{ .name = "memory_checksum", .type = SCHEMA_BOOL,
	  .flags = SCHEMA_EXTRA,
	  SCHEMA_AT(struct create_body, memory_checksum) },
};
static const struct schema_object create_schema = {
	.name = "CreateSnapshotParams",
	.fields = create_fields,
	.nr = ARRAY_SIZE(create_fields),
	.size = sizeof(struct create_body),
};

static const struct schema_name backend_names[] = {
	{"File", BACKEND_FILE}, {"Uffd", BACKEND_UFFD},
};
static const struct schema_enum backends = SCHEMA_NAMES(backend_names);
static const struct schema_field backend_fields[] = {
	{ .name = "backend_path", .type = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED, SCHEMA_AT(struct load_body, backend.path) },
	{ .name = "backend_type", .type = SCHEMA_ENUM,
	  .flags = SCHEMA_REQUIRED, SCHEMA_AT(struct load_body, backend.type),
	  .names = &backends },
};
/* Its fields are those of the whole body. */
static const struct schema_object backend_schema = {
	.name = "MemBackendConfig",
	.fields = backend_fields,
	.nr = ARRAY_SIZE(backend_fields),
	.size = sizeof(struct load_body),
};

static const struct schema_field vsock_fields[] = {
	{ .name = "uds_path", .type = SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct load_body, vsock.uds_path) },
};
static const struct schema_object vsock_schema = {
	.name = "VsockOverride", .fields = vsock_fields, .nr = 1,
	.size = sizeof(struct load_body), .open = true,
};

#define ONE_MORE(name, value) {name, 1 + (value)}
static const struct schema_name snapshot_huge_names[] = {
	{"Snapshot", 0}, CONFIG_HUGE_PAGES(ONE_MORE),
};
static const struct schema_enum huges = SCHEMA_NAMES(snapshot_huge_names);

#define FLAG(name_, flags_, member) \
	{ .name = (name_), .type = SCHEMA_BOOL, .flags = (flags_), \
	  SCHEMA_AT(struct load_body, member) }

static const struct schema_field load_fields[] = {
	{ .name = "snapshot_path", .type = SCHEMA_STRING,
	  .flags = SCHEMA_REQUIRED,
	  SCHEMA_AT(struct load_body, snapshot_path) },
	{ .name = "mem_file_path", .type = SCHEMA_STRING,
	  .flags = SCHEMA_NULL | SCHEMA_DEPRECATED,
	  SCHEMA_AT(struct load_body, mem_file_path) },
	{ .name = "mem_backend", .type = SCHEMA_OBJECT,
	  .flags = SCHEMA_NULL | SCHEMA_HAS, .offset = 0,
	  .size = sizeof(struct load_body),
	  .has = offsetof(struct load_body, has_backend),
	  .object = &backend_schema },
	FLAG("enable_diff_snapshots", SCHEMA_DEPRECATED,
	     enable_diff_snapshots),
	FLAG("track_dirty_pages", 0, track_dirty_pages),
	FLAG("dirty_ring", SCHEMA_EXTRA, dirty_ring),
	FLAG("resume_vm", 0, resume_vm),
	{ .name = "network_overrides", .type = SCHEMA_LIST,
	  SCHEMA_AT(struct load_body, networks), .item = &config_override_net },
	{ .name = "vsock_override", .type = SCHEMA_OBJECT,
	  .flags = SCHEMA_NULL | SCHEMA_HAS, .offset = 0,
	  .size = sizeof(struct load_body),
	  .has = offsetof(struct load_body, has_vsock),
	  .object = &vsock_schema },
	FLAG("clock_realtime", 0, clock_realtime),
	{ .name = "huge_pages", .type = SCHEMA_ENUM,
	  SCHEMA_AT(struct load_body, huge_pages), .names = &huges },
	{ .name = "drive_overrides", .type = SCHEMA_LIST,
	  .flags = SCHEMA_EXTRA, SCHEMA_AT(struct load_body, drives),
	  .item = &config_override_drive },
	FLAG("lease", SCHEMA_EXTRA, lease),
};
/* clang-format on */

static const struct schema_object load_schema = {
	.name = "LoadSnapshotConfig",
	.fields = load_fields,
	.nr = ARRAY_SIZE(load_fields),
	.size = sizeof(struct load_body),
};

static bool is_directory(const struct api_call *call, const char *path)
{
	size_t len = strlen(path);
	cleanup_fd int fd = -1;

	if (len > 0 && path[len - 1] == '/')
		return true;
	fd = path_open(call->api->vm->config.opener, PATH_FOLDER, path, NULL);
	/* What --allow refuses is told when the place is opened. */
	return fd >= 0 || fd == -EXDEV;
}

/* As the body's parser would say it. */
static int bad_body(struct api_call *call, const char *what)
{
	return err_set(call->err, -EINVAL,
		       "An error occurred when deserializing the json body of "
		       "a request: %s.",
		       what);
}

/* ---- create ---- */

static int create_check(struct api_call *call)
{
	const struct create_body *body = call->body;

	if (!body->mem_file_path && !is_directory(call, body->snapshot_path))
		return bad_body(call, "missing field `mem_file_path`");
	return 0;
}

/* In a directory: of a VM that runs, too. */
static int create_running(struct api_call *call, const struct vm_place *place,
			  const struct vm_save *how, struct steps *steps)
{
	struct vm *vm = call->api->vm;
	bool ran = vm->state == VM_RUNNING;
	int r = vm_pause(vm, call->err);

	if (r == 0)
		r = vm_snapshot(vm, place, how, steps, call->err);
	if (ran && vm_resume(vm, NULL) < 0)
		log_error("The microVM cannot be resumed");
	return r;
}

static int api_snapshot_create(struct api_call *call)
{
	const struct create_body *body = call->body;
	struct api *api = call->api;
	struct steps steps;
	uint64_t us;
	const struct vm_save how = {body->snapshot_type, body->memory_checksum};
	const struct vm_place place = api_place(api);
	int r = body->mem_file_path
			? vm_snapshot(api->vm, &place, &how, &steps, call->err)
			: create_running(call, &place, &how, &steps);

	if (r < 0) {
		err_prefix_api(call->err, "Create snapshot error: ");
		return r;
	}
	us = steps_total(&steps) / 1000;
	if (body->snapshot_type == MEMORY_DIFF) {
		metric_store(&api->counters.latencies.diff_create_snapshot, us);
		metric_store(&api->counters.latencies.vmm_diff_create_snapshot,
			     us);
	} else {
		metric_store(&api->counters.latencies.full_create_snapshot, us);
		metric_store(&api->counters.latencies.vmm_full_create_snapshot,
			     us);
	}
	return 0;
}

/* ---- load ---- */

static int load_check(struct api_call *call)
{
	const struct load_body *body = call->body;
	const struct config_override *drives = body->drives.items;

	if (body->mem_file_path && body->has_backend) {
		call->reply->deprecated = false;
		return bad_body(call, "too many fields: either `mem_backend` "
				      "or `mem_file_path` exclusively is "
				      "required");
	}
	if (!body->mem_file_path && !body->has_backend &&
	    !is_directory(call, body->snapshot_path))
		return bad_body(call, "missing field: either `mem_backend` or "
				      "`mem_file_path` is required");
	for (size_t i = 0; i < body->drives.nr; i++)
		if (!drives[i].to && !drives[i].overlay)
			return bad_body(call,
					"missing field: either `path_on_host` "
					"or `overlay` is required");
	if (body->lease && body->resume_vm)
		return bad_body(call, "`lease` and `resume_vm` do not go "
				      "together: what the snapshot does not "
				      "have comes by PUT /volt/lease");
	return 0;
}

/* Something was set that a snapshot brings by itself. */
static bool is_configured(const struct vm_config *c)
{
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];

		if (!part->host_own && config_part_is_set(part, c))
			return true;
	}
	return false;
}

static int restore_vm(struct api *api, const struct vm_restore *how,
		      struct err *err)
{
	struct steps *steps = &api->vm->restore_steps;
	int r = vm_restore(api->vm, how, steps, err);
	uint64_t us = steps_total(steps) / 1000;

	if (r < 0) {
		err_prefix_api(err, "Load snapshot error: ");
		return r;
	}
	metric_store(&api->counters.latencies.load_snapshot, us);
	metric_store(&api->counters.latencies.vmm_load_snapshot, us);
	api_metrics_start(api);
	return 0;
}

static int snapshot_load(struct api_call *call)
{
	const struct load_body *body = call->body;
	struct vm_restore how = {
		.overrides =
			{
				.nets = body->networks.items,
				.nr_nets = body->networks.nr,
				.drives = body->drives.items,
				.nr_drives = body->drives.nr,
				.vsock_uds_path = body->vsock.uds_path,
				.lease = body->lease,
			},
		.resume = body->resume_vm,
		.track_dirty_pages =
			body->track_dirty_pages || body->enable_diff_snapshots,
		.dirty_ring = body->dirty_ring,
		.advance_clock = body->clock_realtime,
		.hot_pages = MIB(VM_RESTORE_HOT_MIB) / PAGE_SIZE,
		.has_huge_pages = body->huge_pages != 0,
		.huge_pages = body->huge_pages ? body->huge_pages - 1 : 0,
	};
	struct snapshot_paths in_dir = {0};
	int r = 0;

	if (is_configured(&call->api->vm->config))
		return err_set(call->err, -EINVAL,
			       "Load snapshot error: Loading a microVM "
			       "snapshot not allowed after configuring "
			       "boot-specific resources.");
	how.paths.state = body->snapshot_path;
	how.paths.memory = body->mem_file_path;
	if (body->has_backend && body->backend.type == BACKEND_UFFD)
		how.uffd_path = body->backend.path;
	else if (body->has_backend)
		how.paths.memory = body->backend.path;
	else if (!body->mem_file_path)
		r = snapshot_paths_in(&in_dir, body->snapshot_path);
	if (in_dir.state)
		how.paths = in_dir;
	how.paths.opener = call->api->vm->config.opener;
	if (body->lease) /* that somebody writes to an image is no warning */
		call->api->vm->config.lock_drives = true;
	r = r < 0 ? err_set(call->err, r, "Out of memory")
		  : restore_vm(call->api, &how, call->err);
	snapshot_paths_free(&in_dir);
	if (r < 0) /* the loop ends when the answer has been written */
		vm_end(call->api->vm, EXIT_CODE_GENERIC);
	return r;
}

int api_restore(struct api *api, const char *from, const char *memory,
		struct vm_restore *how, struct err *err)
{
	int r = snapshot_paths_of(&how->paths, from, memory);

	if (r < 0)
		return err_set(err, r, "Out of memory");
	how->paths.opener = api->vm->config.opener;
	r = restore_vm(api, how, err);
	snapshot_paths_free(&how->paths);
	return r;
}

static int bad_path(struct api_call *call)
{
	if (!call->rest)
		return err_set(call->err, -EINVAL,
			       "Missing snapshot operation type.");
	return err_set(call->err, -ENOENT,
		       "Invalid request method and/or path: PUT /snapshot/%s.",
		       call->rest);
}

static const struct api_route snapshot_routes[] = {
	{
		.method = API_PUT,
		.path = "snapshot/create",
		.flags = API_POST,
		.schema = &create_schema,
		.check = create_check,
		.apply = api_snapshot_create,
	},
	{
		.method = API_PUT,
		.path = "snapshot/load",
		.flags = API_PRE,
		.schema = &load_schema,
		.check = load_check,
		.apply = snapshot_load,
		.deprecation = "PUT /snapshot/load: mem_file_path and "
			       "enable_diff_snapshots fields are deprecated.",
	},
	{
		.method = API_PUT,
		.path = "snapshot",
		.flags = API_BOTH,
		.apply = bad_path,
	},
};

const struct api_resource api_snapshot = {
	.routes = snapshot_routes,
	.nr_routes = ARRAY_SIZE(snapshot_routes),
};
