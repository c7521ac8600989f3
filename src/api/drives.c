// SPDX-License-Identifier: Apache-2.0
/*
 * drives.c - /drives/{id}: block devices
 *
 * Files are opened when they are named: what the path names later does not
 * matter. Firecracker's socket form (vhost-user) is understood and refused.
 */
#include "config/drives.h"
#include "api/resource.h"
#include "config/pmem.h"
#include "vm/live.h"

#include <errno.h>
#include <unistd.h>

#define CANNOT_CREATE \
	"Drive config error: Unable to create the virtio block device: "
#define CANNOT_PATCH "Drive config error: Unable to patch the block device: "

static void api_drives_init(struct api_call *call)
{
	config_part_drives.init(call->body);
}

/* In the config file there is no path that could differ. */
static int drives_check(struct api_call *call)
{
	const struct drive_config *body = call->body;

	if (call->id && strcmp(call->id, body->drive_id) != 0)
		return err_set(call->err, -EINVAL,
			       "The id from the path does not match the id "
			       "from the body!");
	return 0;
}

/* Hot-plug needs PCI. */
static int drives_hot_plug(struct api_call *call)
{
	return err_set(call->err, -EOPNOTSUPP, "PCI is not enabled");
}

/* Why the socket form is refused: as Firecracker when nobody listens. */
static int refuse_socket(struct api_call *call, const struct drive_config *body)
{
	char os[96];

	if (access(body->socket, F_OK) < 0)
		return err_set(call->err, -errno,
			       CANNOT_CREATE
			       "Vhost user backend error: Vhost-user error: "
			       "Failed to connect to UDS Unix stream: %s",
			       api_os_error(errno, os));
	return err_set(call->err, -EOPNOTSUPP,
		       CANNOT_CREATE
		       "Volt does not offer vhost-user block devices; give a "
		       "file or block device as path_on_host.");
}

static int check_form(struct api_call *call, const struct drive_config *body)
{
	bool virtio_only = body->has_is_read_only || body->has_io_engine ||
			   body->rate_limiter.present || body->has_discard;

	if (!body->path_on_host == !body->socket ||
	    (body->socket && virtio_only))
		return err_set(call->err, -EINVAL,
			       CANNOT_CREATE "Invalid block config.");
	if (body->has_discard && body->discard && body->is_read_only)
		return err_set(call->err, -EINVAL,
			       CANNOT_CREATE "Invalid block config: discard "
					     "needs a drive that is not read "
					     "only.");
	return body->socket ? refuse_socket(call, body) : 0;
}

static int drives_put(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct drive_config *body = call->body;
	struct drive_config *old;
	int r;

	if (api_started(call->api))
		return drives_hot_plug(call);
	if (body->is_root_device && pmems_have_root(config))
		return err_set(call->err, -EEXIST,
			       "Drive config error: Attempt to add block as a "
			       "root device while the root device defined as a "
			       "pmem device");
	r = check_form(call, body);
	if (r < 0)
		return r;
	body->fd = drive_open(config, body->path_on_host, body->is_read_only, 0,
			      call->err);
	if (body->fd < 0)
		return err_prefix_api(call->err, CANNOT_CREATE);
	old = drives_find(config, body->drive_id);
	r = drive_lock(config, body, old, call->err);
	if (r < 0) {
		drive_unlock(body, old);
		return err_prefix_api(call->err, CANNOT_CREATE);
	}
	/* Buckets without a limit are none. */
	rate_limiter_config_update(&body->rate_limiter, &body->rate_limiter);
	/* From here on they have a value, and GET tells it. */
	body->has_is_read_only = true;
	body->has_io_engine = true;
	r = drives_set(config, body);
	if (r == 0)
		return 0;
	drive_unlock(body, old);
	return err_set(call->err, r, "Drive config error: %s",
		       r == -EEXIST ? "A root block device already exists!"
				    : "Out of memory.");
}

static int patch_path(struct api_call *call, struct drive_config *drive,
		      const char *path)
{
	struct vm *vm = call->api->vm;
	struct err why = {0};
	cleanup_fd int fd =
		drive_open(&vm->config, path, drive->is_read_only, 0, &why);
	int r = fd < 0 ? fd : 0;
	struct drive_claim claim;

	if (r == 0 &&
	    drive_claim(&vm->config, drive, path, fd, &claim, call->err) < 0) {
		live_drive_count_update(vm, drive, true);
		return err_prefix_api(call->err, CANNOT_PATCH "Block: ");
	}
	if (r == 0) {
		r = live_drive_set_file(vm, drive, path, &fd, &claim);
		if (r < 0)
			(void)path_say(PATH_DISK, path, r, "", &why);
	}
	live_drive_count_update(vm, drive, r < 0);
	if (r == 0)
		return 0;
	return err_set(call->err, r,
		       CANNOT_PATCH "Block: %s Please verify the request "
				    "arguments.",
		       why.text);
}

static int drives_patch(struct api_call *call)
{
	const struct drive_config *body = call->body;
	struct drive_config *drive =
		drives_find(&call->api->vm->config, body->drive_id);
	int r = 0;

	if (!drive)
		return err_set(call->err, -ENODEV,
			       CANNOT_PATCH
			       "Failed perform action on device: Device not "
			       "found Please verify the request arguments.");
	if (!body->path_on_host && !body->rate_limiter.present)
		return err_set(call->err, -EINVAL,
			       CANNOT_PATCH
			       "Block: Running method expected different "
			       "backend. Please verify the request "
			       "arguments.");
	if (body->path_on_host)
		r = patch_path(call, drive, body->path_on_host);
	if (r == 0 && body->rate_limiter.present)
		live_drive_set_limits(call->api->vm, drive,
				      &body->rate_limiter);
	return r;
}

static const struct api_route drives_routes[] = {
	{
		.method = API_PUT,
		.path = "drives/{id}",
		.flags = API_BOTH | API_LIST,
		.schema = &config_drive,
		.init = api_drives_init,
		.check = drives_check,
		.apply = drives_put,
		.count = API_COUNT(put.drive_count),
	},
	{
		.method = API_PATCH,
		.path = "drives/{id}",
		.flags = API_POST,
		.schema = &config_drive_patch,
		.init = api_drives_init,
		.check = drives_check,
		.apply = drives_patch,
		.count = API_COUNT(patch.drive_count),
	},
	{
		.method = API_DELETE,
		.path = "drives/{id}",
		.flags = API_POST,
		.apply = drives_hot_plug,
	},
};

const struct api_resource api_drives = {
	.routes = drives_routes,
	.nr_routes = ARRAY_SIZE(drives_routes),
	.part = &config_part_drives,
	.load = &drives_routes[0],
};
