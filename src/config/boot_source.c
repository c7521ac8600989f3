// SPDX-License-Identifier: Apache-2.0
/*
 * boot_source.c - kernel, initrd and command line, as a part of the
 * configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#define CONFIG_OF struct boot_source_config

/* A VM that was restored may never have had one of ours. */
/* clang-format off */
static const struct schema_field boot_source_fields[] = {
	TEXT(kernel_image_path, MUST, NO, MAY_NULL),
	TEXT(initrd_path, MAY_NULL, NO, MAY_NULL),
	TEXT(boot_args, MAY_NULL, NO, MAY_NULL),
	OURS(kernel_fd, "open while the VM has not started"),
	OURS(initrd_fd, "open while the VM has not started"),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_boot_source =
	CONFIG_OBJECT("BootSourceConfig", boot_source_fields, SCHEMA_WHOLE);

static void boot_source_init(void *item)
{
	*(struct boot_source_config *)item = (struct boot_source_config){
		.kernel_fd = -1,
		.initrd_fd = -1,
	};
}

static void close_files(void *item)
{
	struct boot_source_config *boot = item;

	fd_close(&boot->kernel_fd);
	fd_close(&boot->initrd_fd);
	schema_free(&config_boot_source, boot);
	boot_source_init(boot);
}

const struct config_part config_part_boot_source = {
	.key = "boot-source",
	.saved = "boot_source",
	.whole = &config_boot_source,
	.offset = offsetof(struct vm_config, boot_source),
	.present = offsetof(struct vm_config, boot_source.present),
	.required = true,
	.init = boot_source_init,
	.close = close_files,
};
