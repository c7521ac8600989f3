/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_vhost.h - the host kernel moves a network device's frames (vhost-net)
 *
 * Theory of operation
 *
 * The kernel walks the queues itself, on a thread of its own: it is woken by
 * the device's kick eventfd, as the loop otherwise is, and signals the device's
 * interrupt eventfd, as we otherwise do. No frame passes through this process
 * then, and none of it is counted, limited or checked here; the kernel checks.
 *
 * It runs while the device runs. Stopping (pause, reset) waits for its thread
 * to be done and takes the queues' positions back: everything that the kernel
 * has taken it has used by then.
 *
 * The interrupt status register is ours, not the kernel's: while it runs the
 * register always says that queues may have work (virtio_dev.isr_always).
 *
 * Source: <linux/vhost.h>, drivers/vhost/net.c.
 */
#pragma once

#include "virtio/device.h"

/**
 * struct net_vhost - @fd: /dev/vhost-net, borrowed; -1: not used
 */
struct net_vhost {
	int fd;
	bool running;
	const struct gmem *mem;
};

/* Return: a descriptor, or -errno with a sentence. */
int net_vhost_open(struct err *err) __must_check;

/**
 * net_vhost_claim() - make this process the user of @v->fd
 * @features:	of the device; what the kernel cannot do is taken out
 */
int net_vhost_claim(const struct net_vhost *v, uint64_t *features,
		    struct err *err) __must_check;

/* Frames move from here on. Return: 0 or -errno, and nothing runs. */
int net_vhost_start(struct net_vhost *v, struct virtio_dev *dev,
		    int tap) __must_check;

/* They do not any more; the queues' positions are as the kernel left them. */
void net_vhost_stop(struct net_vhost *v, struct virtio_dev *dev);
