// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - what a microVM is made of, before it is made
 */
#include "vm/config.h"

#include <string.h>

void vm_config_init(struct vm_config *config)
{
	memset(config, 0, sizeof(*config));
	config->machine.vcpu_count = 1;
	config->machine.mem_size_mib = 128;
	config->boot_source.kernel_fd = -1;
	config->boot_source.initrd_fd = -1;
}

void vm_config_free(struct vm_config *config)
{
	fd_close(&config->boot_source.kernel_fd);
	fd_close(&config->boot_source.initrd_fd);
	free(config->boot_source.kernel_image_path);
	free(config->boot_source.initrd_path);
	free(config->boot_source.boot_args);
	free(config->serial.serial_out_path);
	free(config->id);
	vm_config_init(config);
}
