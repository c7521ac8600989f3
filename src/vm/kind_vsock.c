// SPDX-License-Identifier: Apache-2.0
/*
 * kind_vsock.c - the socket device of the configuration
 */
#include "base/fd.h"
#include "dev/vsock.h"
#include "vm/slots.h"

#include <sys/resource.h>

/* One for each connection, and as many for all else. */
#define DESCRIPTORS (2ul * VSOCK_CONNS_MAX)

static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur =
		limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	/* With fewer, connections wait or are refused. */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

static size_t kind_vsock_count(const struct vm_config *config)
{
	return config->vsock.present;
}

static int kind_vsock_make(struct virtio_slots *slots, size_t i,
			   struct virtio_dev **out, struct err *err)
{
	const struct vsock_config *config = &slots->board->env.config->vsock;
	const struct vsock_params params = {
		.mem = &slots->board->mem,
		.loop = slots->board->env.loop,
		.guest_cid = config->guest_cid,
		.opener = slots->board->env.config->opener,
		.uds_path = config->uds_path,
		.listen_fd = config->fd,
	};
	struct virtio_dev *dev;
	int r;

	(void)i;
	allow_descriptors();
	r = vsock_new(&dev, &params, err);
	if (r < 0)
		return r;
	r = slots_add_counters(slots, &vsock_metric_group, NULL,
			       vsock_counters(dev), err);
	if (r < 0) {
		dev->ops->destroy(dev);
		return r;
	}
	*out = dev;
	return 0;
}

const struct virtio_kind virtio_kind_vsock = {
	.name = "vsock",
	.count = kind_vsock_count,
	.make = kind_vsock_make,
};
