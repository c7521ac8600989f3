// SPDX-License-Identifier: Apache-2.0
/*
 * net_vhost.c - vhost-net (theory of operation: net_vhost.h)
 */
#include "dev/net_vhost.h"

#include "base/fd.h"
#include "dev/net_parts.h"

#include <errno.h>
#include <linux/vhost.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* <linux/vhost.h> brings VIRTIO_F_VERSION_1 as the number of a bit. */
#define F_VERSION_1 (1ull << 32)

/* Of these the kernel has to know; all others concern only tap and guest. */
#define KERNEL_FEATURES                                              \
	(F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | \
	 NET_F_MRG_RXBUF)

/* struct vhost_memory with its regions behind it. */
struct memory_table {
	struct vhost_memory head;
	struct vhost_memory_region region[GMEM_MAX_REGIONS];
};

static int net_vhost_call(const struct net_vhost *v, unsigned long request,
			  void *arg)
{
	return ioctl(v->fd, request, arg) < 0 ? -errno : 0;
}

static bool take_error(const struct net_vhost *v)
{
	eventfd_t count;

	return eventfd_read(v->errors.fd, &count) == 0;
}

/* The kernel has stopped; it says so once. */
static void on_error(struct loop_source *src, uint32_t events)
{
	struct net_dev *n = container_of(src, struct net_dev, vhost.errors);

	(void)events;
	virtio_dev_enter(&n->dev);
	if (take_error(&n->vhost) && n->dev.active) {
		metric_inc(&n->metrics.event_fails);
		n->source->stop(n);
		if (net_tap_deleted(n))
			net_lost_tap(n, NET_TAP_DELETED);
		else
			virtio_dev_broken(&n->dev, "a queue that vhost-net "
						   "refuses");
	}
	virtio_dev_leave(&n->dev);
}

void net_vhost_init(struct net_vhost *v, int fd, bool late,
		    const struct gmem *mem)
{
	*v = (struct net_vhost){
		.fd = fd,
		.late = late,
		.mem = mem,
		.errors =
			{
				.fd = -1,
				.events = EPOLLIN,
				.cb = on_error,
			},
	};
}

static int watch_errors(struct net_vhost *v, struct loop *loop)
{
	v->errors.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->errors.fd < 0 ? -errno : loop_add(loop, &v->errors);
}

/* Make this process the user of the descriptor, for good. */
static int net_vhost_own(struct net_vhost *v)
{
	int r = v->owned ? 0 : net_vhost_call(v, VHOST_SET_OWNER, NULL);

	/* Ours already: an earlier start failed behind this. */
	if (r == -EBUSY)
		r = 0;
	v->owned = r == 0;
	return r;
}

/* What fails for a client's reason fails here, but for @late. */
static int net_vhost_claim(struct net_dev *n, struct err *err)
{
	struct net_vhost *v = &n->vhost;
	uint64_t known = 0;
	int r = v->late ? 0 : net_vhost_own(v);

	if (r == 0)
		r = net_vhost_call(v, VHOST_GET_FEATURES, &known);
	if (r == 0)
		r = watch_errors(v, n->dev.loop);
	if (r < 0)
		return err_set(err, r, "Cannot use /dev/vhost-net: %s",
			       err_name(r));
	n->dev.offered &= known | ~KERNEL_FEATURES;
	return 0;
}

static void free_errors(struct net_dev *n)
{
	loop_del(n->dev.loop, &n->vhost.errors);
	fd_close(&n->vhost.errors.fd);
}

static int net_vhost_set_memory(const struct net_vhost *v)
{
	struct memory_table table = {.head.nregions = v->mem->nr_regions};

	for (unsigned int i = 0; i < v->mem->nr_regions; i++) {
		const struct gmem_region *region = &v->mem->region[i];

		table.region[i] = (struct vhost_memory_region){
			.guest_phys_addr = region->gpa,
			.memory_size = region->size,
			.userspace_addr = (uintptr_t)region->hva,
		};
	}
	return net_vhost_call(v, VHOST_SET_MEM_TABLE, &table);
}

static int set_queue(const struct net_vhost *v, struct virtio_dev *dev,
		     unsigned int i)
{
	const struct virtq *q = &dev->queue[i];
	struct vhost_vring_state num = {i, q->size};
	struct vhost_vring_state base = {i, q->next_avail};
	struct vhost_vring_addr addr = {
		.index = i,
		.desc_user_addr = (uintptr_t)q->hva_desc,
		.used_user_addr = (uintptr_t)q->hva_used,
		.avail_user_addr = (uintptr_t)q->hva_avail,
	};
	struct vhost_vring_file kick = {i, dev->kick_fd};
	struct vhost_vring_file irq = {i, dev->irq_fd};
	struct vhost_vring_file errors = {i, v->errors.fd};
	int r = net_vhost_call(v, VHOST_SET_VRING_NUM, &num);

	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_VRING_BASE, &base);
	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_VRING_ADDR, &addr);
	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_VRING_KICK, &kick);
	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_VRING_CALL, &irq);
	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_VRING_ERR, &errors);
	return r;
}

static int set_tap(const struct net_vhost *v, int tap)
{
	int r = 0;

	for (unsigned int i = 0; i < NET_NR_QUEUES; i++) {
		struct vhost_vring_file file = {i, tap};
		int one = net_vhost_call(v, VHOST_NET_SET_BACKEND, &file);

		r = r ? r : one;
	}
	return r;
}

/* The queues' positions are as the kernel left them. */
static void net_vhost_stop(struct net_dev *n)
{
	struct net_vhost *v = &n->vhost;
	struct virtio_dev *dev = &n->dev;

	if (!v->running)
		return;
	v->running = false;
	(void)set_tap(v, -1);
	for (unsigned int i = 0; i < NET_NR_QUEUES; i++) {
		struct virtq *q = &dev->queue[i];
		struct vhost_vring_state base = {.index = i};

		if (net_vhost_call(v, VHOST_GET_VRING_BASE, &base) < 0)
			continue;
		q->next_avail = (uint16_t)base.num;
		q->next_used = q->next_avail;
		q->published = q->next_avail;
	}
	atomic_store_explicit(&dev->isr_always, 0, memory_order_release);
	/* The last interrupt may have come too late to be answered so. */
	virtio_dev_interrupt(dev);
}

/* Frames move from here on; a kick has to follow. */
static int net_vhost_run(struct net_dev *n)
{
	struct net_vhost *v = &n->vhost;
	struct virtio_dev *dev = &n->dev;
	uint64_t features = dev->acked & KERNEL_FEATURES;
	int r;

	for (unsigned int i = 0; i < NET_NR_QUEUES; i++)
		if (!dev->queue[i].ready)
			return -EINVAL;
	r = net_vhost_own(v);
	if (r == 0)
		r = net_vhost_call(v, VHOST_SET_FEATURES, &features);
	if (r == 0)
		r = net_vhost_set_memory(v);
	for (unsigned int i = 0; i < NET_NR_QUEUES && r == 0; i++)
		r = set_queue(v, dev, i);
	if (r < 0)
		return r;
	/* Before the first interrupt, which another vCPU may take at once. */
	atomic_store_explicit(&dev->isr_always, VIRTIO_INT_QUEUE,
			      memory_order_release);
	v->running = true;
	r = set_tap(v, n->fd);
	if (r < 0)
		net_vhost_stop(n); /* one queue may have run */
	return r;
}

/* Without its tap the device runs all the same, on a link that is down. */
static int net_vhost_start(struct net_dev *n)
{
	int r = net_vhost_run(n);

	if (r < 0 && net_tap_deleted(n)) {
		net_lost_tap(n, NET_TAP_DELETED);
		r = 0;
	}
	return r;
}

/* The next driver's errors are its own. */
static void forget_errors(struct net_dev *n)
{
	(void)take_error(&n->vhost);
}

/* The kernel waits for kicks itself: no need to wake up. */
static void net_vhost_kick(struct net_dev *n)
{
	loop_del(n->dev.loop, &n->dev.kick_source);
}

const struct net_source_ops net_source_vhost = {
	.claim = net_vhost_claim,
	.start = net_vhost_start,
	.stop = net_vhost_stop,
	.reset = forget_errors,
	.kick = net_vhost_kick,
	.free = free_errors,
};
