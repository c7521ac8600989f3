// SPDX-License-Identifier: Apache-2.0
/*
 * device.c - what all virtio devices have in common (theory: device.h)
 */
#include "virtio/device.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STATUS_KNOWN                                           \
	(VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |    \
	 VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK | \
	 VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_FAILED)

#define FEATURES_COMMON \
	(VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX)

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	/* Only a counter at its end refuses, and then it is signalled. */
	(void)!write(fd, &one, sizeof(one));
}

static void device_on_kick(struct loop_source *src, uint32_t events)
{
	struct virtio_dev *dev =
		container_of(src, struct virtio_dev, kick_source);
	uint64_t count;

	(void)events;
	(void)!read(src->fd, &count, sizeof(count));
	virtio_dev_enter(dev);
	if (virtio_dev_running(dev))
		dev->ops->kick(dev);
	else if (!dev->active && dev->ops->stopped)
		dev->ops->stopped(dev);
	virtio_dev_leave(dev);
}

int virtio_dev_init(struct virtio_dev *dev,
		    const struct virtio_dev_params *params, struct err *err)
{
	int r;

	assert(params->nr_queues <= VIRTIO_QUEUES_MAX);
	(void)pthread_mutex_init(&dev->lock, NULL);
	dev->ops = params->ops;
	dev->loop = params->loop;
	dev->offered = params->features | FEATURES_COMMON;
	dev->config = params->config;
	dev->config_bytes = params->config_bytes;
	dev->nr_queues = params->nr_queues;
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtq_init(&dev->queue[i], params->mem, params->queue_max);
	dev->name = strdup(params->name);
	dev->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	dev->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!dev->name)
		return err_set(err, -ENOMEM, "Out of memory");
	if (dev->kick_fd < 0 || dev->irq_fd < 0)
		return err_set(err, -errno, "Cannot create an eventfd: %s",
			       err_name(errno));
	dev->kick_source = (struct loop_source){
		.fd = dev->kick_fd,
		.events = EPOLLIN,
		.cb = device_on_kick,
	};
	r = loop_add(dev->loop, &dev->kick_source);
	return r < 0 ? err_set(err, r, "Cannot watch an eventfd: %s",
			       err_name(r))
		     : 0;
}

void virtio_dev_fini(struct virtio_dev *dev)
{
	if (dev->kick_source.added)
		loop_del(dev->loop, &dev->kick_source);
	fd_close(&dev->kick_fd);
	fd_close(&dev->irq_fd);
	free(dev->name);
	dev->name = NULL;
	(void)pthread_mutex_destroy(&dev->lock);
}

/* ---- for devices ---- */

static void signal_irq(struct virtio_dev *dev)
{
	if (dev->triggers)
		metric_inc(dev->triggers);
	signal_fd(dev->irq_fd);
}

static void raise_interrupt(struct virtio_dev *dev, uint32_t cause)
{
	atomic_fetch_or_explicit(&dev->isr, cause, memory_order_release);
	signal_irq(dev);
}

void virtio_dev_interrupt(struct virtio_dev *dev)
{
	raise_interrupt(dev, VIRTIO_INT_QUEUE);
}

void virtio_dev_publish(struct virtio_dev *dev, struct virtq *q)
{
	if (virtq_publish(q))
		virtio_dev_interrupt(dev);
}

void virtio_dev_config_changed(struct virtio_dev *dev)
{
	dev->generation++;
	if (dev->status & VIRTIO_STATUS_DRIVER_OK && !dev->resetting)
		raise_interrupt(dev, VIRTIO_INT_CONFIG);
}

void virtio_dev_broken(struct virtio_dev *dev, const char *why)
{
	dev->active = false;
	dev->status |= VIRTIO_STATUS_NEEDS_RESET;
	log_guest(LOG_WARN,
		  "%s: the guest's driver broke the rules (%s); the device "
		  "stands still until it is reset",
		  dev->name, why);
	virtio_dev_config_changed(dev);
	if (dev->ops->stopped)
		virtio_dev_schedule(dev);
}

void virtio_dev_schedule(struct virtio_dev *dev)
{
	signal_fd(dev->kick_fd);
}

/* ---- for transports ---- */

void virtio_dev_reset_done(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		virtq_reset(&dev->queue[i]);
	dev->resetting = false;
	dev->acked = 0;
	dev->status = 0;
	dev->generation++;
	atomic_store_explicit(&dev->isr, 0, memory_order_release);
	if (dev->ops->stopped)
		virtio_dev_schedule(dev);
}

static void device_reset(struct virtio_dev *dev)
{
	dev->resetting = true;
	dev->active = false;
	dev->status |= VIRTIO_STATUS_NEEDS_RESET;
	if (dev->ops->reset && dev->ops->reset(dev) == -EINPROGRESS)
		return;
	if (dev->resetting)
		virtio_dev_reset_done(dev);
}

static int device_activate(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->nr_queues; i++) {
		dev->queue[i].event_idx =
			virtio_dev_has(dev, VIRTIO_F_EVENT_IDX);
		dev->queue[i].indirect =
			virtio_dev_has(dev, VIRTIO_F_INDIRECT_DESC);
	}
	return dev->ops->activate ? dev->ops->activate(dev) : 0;
}

static void driver_ok(struct virtio_dev *dev)
{
	int r = device_activate(dev);

	if (r < 0) {
		virtio_dev_broken(dev, err_name(r));
		return;
	}
	dev->active = true;
	virtio_dev_schedule(dev);
}

/* 3.1.1: bits are only ever added, in this order, one step at a time. */
static bool may_follow(uint8_t old, uint8_t new)
{
	static const uint8_t steps[] = {
		VIRTIO_STATUS_ACKNOWLEDGE,
		VIRTIO_STATUS_DRIVER,
		VIRTIO_STATUS_FEATURES_OK,
		VIRTIO_STATUS_DRIVER_OK,
	};
	uint8_t below = 0;

	if ((old & ~new) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		if (new &steps[i] && (new &below) != below)
			return false;
		below |= steps[i];
	}
	return true;
}

static void add_status(struct virtio_dev *dev, uint8_t new)
{
	uint8_t added;

	new &= STATUS_KNOWN;
	/* NEEDS_RESET is ours to set, and only a reset ends it. */
	if ((dev->status | new) & VIRTIO_STATUS_NEEDS_RESET ||
	    !may_follow(dev->status, new))
		return;
	added = (uint8_t)(new & ~dev->status);
	/* 2.2.2: what was not offered, and a legacy driver, are refused. */
	if (added & VIRTIO_STATUS_FEATURES_OK &&
	    ((dev->acked & ~dev->offered) != 0 ||
	     !virtio_dev_has(dev, VIRTIO_F_VERSION_1))) {
		new &= (uint8_t)~(VIRTIO_STATUS_FEATURES_OK |
				  VIRTIO_STATUS_DRIVER_OK);
		added = 0;
	}
	dev->status = new;
	if (added & VIRTIO_STATUS_DRIVER_OK)
		driver_ok(dev);
}

uint8_t virtio_dev_status(struct virtio_dev *dev)
{
	uint8_t status;

	virtio_dev_enter(dev);
	status = dev->status;
	virtio_dev_leave(dev);
	return status;
}

void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status)
{
	virtio_dev_enter(dev);
	if (status == 0)
		device_reset(dev);
	else
		add_status(dev, status);
	virtio_dev_leave(dev);
}

void virtio_dev_set_features(struct virtio_dev *dev, unsigned int half,
			     uint32_t bits)
{
	unsigned int shift = half * 32;

	if (half > 1 || !(dev->status & VIRTIO_STATUS_DRIVER) ||
	    dev->status & VIRTIO_STATUS_FEATURES_OK)
		return;
	dev->acked &= ~((uint64_t)UINT32_MAX << shift);
	dev->acked |= (uint64_t)bits << shift;
}

void virtio_dev_read_config(struct virtio_dev *dev, uint64_t off, void *data,
			    unsigned int len)
{
	memset(data, 0, len);
	if (!range_fits(off, len, dev->config_bytes))
		return;
	virtio_dev_enter(dev);
	memcpy(data, (const uint8_t *)dev->config + off, len);
	virtio_dev_leave(dev);
}

void virtio_dev_write_config(struct virtio_dev *dev, uint64_t off,
			     const void *data, unsigned int len)
{
	if (!dev->ops->config_write || !range_fits(off, len, dev->config_bytes))
		return;
	virtio_dev_enter(dev);
	if (dev->status & VIRTIO_STATUS_DRIVER &&
	    !(dev->status & VIRTIO_STATUS_NEEDS_RESET))
		dev->ops->config_write(dev, (uint32_t)off, data, len);
	virtio_dev_leave(dev);
}

/* ---- for the machine ---- */

void virtio_dev_repeat_interrupt(struct virtio_dev *dev)
{
	if (virtio_dev_isr(dev) != 0)
		signal_irq(dev);
}

void virtio_dev_pause(struct virtio_dev *dev)
{
	virtio_dev_enter(dev);
	dev->paused = true;
	if (dev->active && dev->ops->pausing)
		dev->ops->pausing(dev);
	virtio_dev_leave(dev);
}

void virtio_dev_resume(struct virtio_dev *dev)
{
	virtio_dev_enter(dev);
	dev->paused = false;
	if (dev->active && dev->ops->resumed)
		dev->ops->resumed(dev);
	virtio_dev_leave(dev);
	/* A restored guest may have been on its way to this interrupt. */
	virtio_dev_repeat_interrupt(dev);
	virtio_dev_schedule(dev);
}

int virtio_dev_restore(struct virtio_dev *dev, uint8_t status, uint64_t acked,
		       uint32_t generation, struct err *err)
{
	int r;

	if ((status & ~STATUS_KNOWN) != 0 || !may_follow(0, status))
		return err_set(err, -EINVAL, "%s: impossible status %#x",
			       dev->name, status);
	dev->paused = true;
	dev->status = status;
	dev->acked = acked;
	dev->generation = generation;
	if (!(status & VIRTIO_STATUS_DRIVER_OK) ||
	    status & VIRTIO_STATUS_NEEDS_RESET)
		return 0;
	r = device_activate(dev);
	if (r < 0)
		return err_set(err, r, "%s cannot go on where it was: %s",
			       dev->name, err_name(r));
	dev->active = true;
	return 0;
}

int virtio_dev_drain(struct virtio_dev *dev, uint64_t deadline_ns)
{
	int r = 0;

	virtio_dev_enter(dev);
	if (dev->ops->drain)
		r = dev->ops->drain(dev, deadline_ns);
	virtio_dev_leave(dev);
	return r;
}
