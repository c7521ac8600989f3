// SPDX-License-Identifier: Apache-2.0
/*
 * boot_source.c - /boot-source: kernel, initrd and command line
 *
 * The files are opened here, while the process may still open files: what the
 * path names later does not matter.
 */
#include "api/resource.h"

#include "base/fd.h"

#include <errno.h>

static int boot_source_put(struct api_call *call)
{
	struct vm_config *config = &call->api->vm->config;
	struct boot_source_config *old = &config->boot_source;
	struct boot_source_config *body = call->body;
	cleanup_fd int kernel = -1, initrd = -1;

	kernel = path_open(config->opener, PATH_KERNEL, body->kernel_image_path,
			   call->err);
	if (kernel >= 0 && body->initrd_path)
		initrd = path_open(config->opener, PATH_INITRD,
				   body->initrd_path, call->err);
	if (kernel < 0 || (body->initrd_path && initrd < 0))
		return err_prefix_api(call->err, "Boot source error: ");
	if (body->boot_args && strlen(body->boot_args) >= CONFIG_CMDLINE_MAX)
		return err_set(call->err, -EINVAL,
			       "Boot source error: The kernel command line is "
			       "invalid: Invalid cmdline capacity provided.");
	config_part_boot_source.close(old);
	*old = *body;
	*body = (struct boot_source_config){0};
	old->present = true;
	old->kernel_fd = fd_steal(&kernel);
	old->initrd_fd = fd_steal(&initrd);
	return 0;
}

static void boot_source_show(struct api *api, struct buf *out)
{
	char none[] = "";
	struct boot_source_config unset = {.kernel_image_path = none};
	const struct boot_source_config *boot = &api->vm->config.boot_source;

	schema_encode(&config_boot_source, boot->present ? boot : &unset, out);
}

static const struct api_route boot_source_routes[] = {
	{
		.method = API_PUT,
		.path = "boot-source",
		.flags = API_PRE,
		.schema = &config_boot_source,
		.apply = boot_source_put,
		.count = API_COUNT(put.boot_source_count),
	},
};

const struct api_resource api_boot_source = {
	.routes = boot_source_routes,
	.nr_routes = ARRAY_SIZE(boot_source_routes),
	.part = &config_part_boot_source,
	.show = boot_source_show,
	.load = &boot_source_routes[0],
};
