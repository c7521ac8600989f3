// SPDX-License-Identifier: Apache-2.0
/*
 * live.c - changes of a running VM's devices (live.h)
 */
#include "vm/live.h"

#include "base/fd.h"
#include "dev/balloon.h"
#include "dev/blk.h"
#include "dev/mem.h"
#include "dev/net.h"
#include "dev/pmem.h"
#include "dev/vsock.h"
#include "vm/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* NULL when the VM was not started, or has no such device. */
static struct virtio_dev *
live_find(struct vm *vm, const struct virtio_kind *kind, size_t index)
{
	return vm->machine ? slots_find(&vm->machine->slots, kind, index)
			   : NULL;
}

/* ---- drives ---- */

/* Never NULL: a started VM has a device for each drive. */
static struct blk *find_blk(struct vm *vm, const struct drive_config *drive)
{
	size_t i = (size_t)(drive - vm->config.drives);
	struct blk *blk = blk_of(live_find(vm, &virtio_kind_block, i));

	assert(blk);
	return blk;
}

int live_drive_set_file(struct vm *vm, struct drive_config *drive,
			const char *path, int *fd,
			const struct drive_claim *claim)
{
	cleanup_free char *copy = strdup(path);
	struct block_file file;
	int old_fd, r;

	if (!copy)
		return -ENOMEM;
	r = block_file_init(&file, *fd);
	if (r == 0)
		r = blk_set_file(find_blk(vm, drive), &file);
	if (r < 0)
		return r;
	old_fd = drive->fd;
	drive->fd = fd_steal(fd);
	drive_claim_take(drive, claim, &old_fd);
	free(drive->path_on_host);
	drive->path_on_host = ptr_steal(copy);
	drive->is_overlay = false;
	drive->pending = false;
	return 0;
}

void live_drive_set_limits(struct vm *vm, struct drive_config *drive,
			   const struct rate_limiter_config *limiter)
{
	struct blk *blk = find_blk(vm, drive);

	virtio_dev_enter(blk_dev(blk));
	slots_set_limits(blk_limiter(blk), limiter);
	virtio_dev_leave(blk_dev(blk));
	rate_limiter_config_update(&drive->rate_limiter, limiter);
}

void live_drive_count_update(struct vm *vm, const struct drive_config *drive,
			     bool failed)
{
	struct blk_counters *counters = blk_counters(find_blk(vm, drive));

	metric_inc(failed ? &counters->update_fails : &counters->update_count);
}

/* ---- network interfaces ---- */

int live_net_set_limits(struct vm *vm, const char *id,
			const struct rate_limiter_config *rx,
			const struct rate_limiter_config *tx, struct err *err)
{
	struct net_config *config = vm->config.nets;
	struct virtio_dev *dev;
	struct net_dev *net;
	size_t i = 0;

	while (i < vm->config.nr_nets && strcmp(config[i].iface_id, id) != 0)
		i++;
	dev = live_find(vm, &virtio_kind_net, i);
	if (!dev)
		return err_set(err, -ENODEV,
			       "Unable to update the net device: Failed "
			       "perform action on device: Device not found");
	if (config[i].vhost && (rx->present || tx->present))
		return err_set(err, -EINVAL,
			       "vhost and rate limiters do not go together");
	net = container_of(dev, struct net_dev, dev);
	virtio_dev_enter(dev);
	slots_set_limits(&net->rx.limiter, rx);
	slots_set_limits(&net->tx.limiter, tx);
	virtio_dev_leave(dev);
	rate_limiter_config_update(&config[i].rx_rate_limiter, rx);
	rate_limiter_config_update(&config[i].tx_rate_limiter, tx);
	return 0;
}

/* Never NULL: a started VM has a device for each interface. */
static struct net_dev *find_net(struct vm *vm, const struct net_config *net)
{
	size_t i = (size_t)(net - vm->config.nets);
	struct virtio_dev *dev = live_find(vm, &virtio_kind_net, i);

	assert(dev);
	return container_of(dev, struct net_dev, dev);
}

int live_net_fits(struct vm *vm, const struct net_config *net, int fd)
{
	return net_tap_fits(find_net(vm, net), fd);
}

void live_net_set_tap(struct vm *vm, const struct net_config *net, int fd)
{
	net_set_tap(find_net(vm, net), fd);
}

void live_net_set_mac(struct vm *vm, const struct net_config *net)
{
	net_set_mac(find_net(vm, net), net->guest_mac);
}

/* ---- the balloon ---- */

struct balloon *live_balloon(struct vm *vm)
{
	struct virtio_dev *dev = live_find(vm, &virtio_kind_balloon, 0);

	return dev ? container_of(dev, struct balloon, dev) : NULL;
}

int live_balloon_set_target(struct vm *vm, uint32_t mib)
{
	int r = balloon_set_target(live_balloon(vm), mib * BALLOON_PAGES_MIB);

	if (r == 0)
		vm->config.balloon.amount_mib = mib;
	return r;
}

void live_balloon_set_interval(struct vm *vm, uint16_t seconds)
{
	vm->config.balloon.stats_polling_interval_s = seconds;
	balloon_set_stats_interval(live_balloon(vm), seconds);
}

/* ---- memory that may be plugged ---- */

struct mem_dev *live_memory(struct vm *vm)
{
	struct virtio_dev *dev = live_find(vm, &virtio_kind_memory, 0);

	return dev ? container_of(dev, struct mem_dev, dev) : NULL;
}

/* ---- files that are memory ---- */

void live_pmem_set_limits(struct vm *vm, struct pmem_config *pmem,
			  const struct rate_limiter_config *limiter)
{
	size_t i = (size_t)(pmem - vm->config.pmems);
	struct virtio_dev *dev = live_find(vm, &virtio_kind_pmem, i);
	struct pmem *p;

	/* A started VM has a device for each file. */
	assert(dev);
	p = container_of(dev, struct pmem, dev);
	virtio_dev_enter(dev);
	slots_set_limits(&p->limiter, limiter);
	virtio_dev_leave(dev);
	rate_limiter_config_update(&pmem->limits, limiter);
}

/* ---- the socket device ---- */

int live_vsock_set_path(struct vm *vm, const char *uds_path, int listen_fd)
{
	return vsock_set_path(live_find(vm, &virtio_kind_vsock, 0), uds_path,
			      listen_fd);
}

void live_vsock_set_cid(struct vm *vm, uint32_t guest_cid)
{
	vsock_set_cid(live_find(vm, &virtio_kind_vsock, 0), guest_cid);
}

void live_vsock_dialed(struct vm *vm, uint32_t port, int rc, int fd)
{
	struct virtio_dev *dev = live_find(vm, &virtio_kind_vsock, 0);

	if (dev)
		vsock_dialed(dev, port, rc, fd);
	else
		fd_close(&fd);
}
