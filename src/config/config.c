// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - what a microVM is made of, before it is made
 */
#include "config/config.h"

#include <string.h>

void vm_config_init(struct vm_config *config)
{
	memset(config, 0, sizeof(*config));
	config->opener = &path_direct;
	config->machine.vcpu_count = 1;
	config->machine.mem_size_mib = 128;
	config->boot_source.kernel_fd = -1;
	config->boot_source.initrd_fd = -1;
	config->vsock.fd = -1;
}

void drive_config_free(struct drive_config *drive)
{
	fd_close(&drive->fd);
	fd_close(&drive->lock_fd);
	free(drive->drive_id);
	free(drive->partuuid);
	free(drive->path_on_host);
	free(drive->socket);
	*drive = (struct drive_config){.fd = -1, .lock_fd = -1};
}

void net_config_free(struct net_config *net)
{
	fd_close(&net->fd);
	fd_close(&net->vhost_fd);
	free(net->iface_id);
	free(net->host_dev_name);
	*net = (struct net_config){.fd = -1, .vhost_fd = -1};
}

static void update_bucket(struct token_bucket_config *to,
			  const struct token_bucket_config *from)
{
	if (!from->present)
		return;
	*to = *from;
	to->present = from->size != 0 && from->refill_time != 0;
	to->has_one_time_burst = from->one_time_burst != 0;
}

void rate_limiter_config_update(struct rate_limiter_config *to,
				const struct rate_limiter_config *from)
{
	update_bucket(&to->bandwidth, &from->bandwidth);
	update_bucket(&to->ops, &from->ops);
	to->present = to->bandwidth.present || to->ops.present;
}

void vm_config_free(struct vm_config *config)
{
	fd_close(&config->boot_source.kernel_fd);
	fd_close(&config->boot_source.initrd_fd);
	free(config->folder);
	free(config->boot_source.kernel_image_path);
	free(config->boot_source.initrd_path);
	free(config->boot_source.boot_args);
	free(config->serial.serial_out_path);
	for (size_t i = 0; i < config->nr_drives; i++)
		drive_config_free(&config->drives[i]);
	free(config->drives);
	for (size_t i = 0; i < config->nr_nets; i++)
		net_config_free(&config->nets[i]);
	free(config->nets);
	vsock_config_free(&config->vsock);
	free(config->id);
	vm_config_init(config);
}
