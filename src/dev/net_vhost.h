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
 * has taken it has used by then. Both queues share the device's two eventfds;
 * a start is followed by a kick and, after a pause, by an interrupt, so that
 * nothing that came before it waits unseen.
 *
 * The interrupt status register is ours, not the kernel's: while it runs the
 * register always says that queues may have work (virtio_dev.isr_always).
 *
 * A queue that makes no sense to the kernel is left alone by it until the next
 * kick, which finds the same again. It says so by @errors, and the owner stops
 * it for good. A tap that was deleted looks the same to the kernel.
 *
 * The kernel's thread is there from VHOST_SET_OWNER on, since Linux 6.4 as a
 * thread of this process, and a process with two takes no user namespace
 * (sandbox/isolate.h). For a VM that is to have one it is made late: when a
 * driver starts the device, behind the lock.
 *
 * Source: <linux/vhost.h>, drivers/vhost/net.c.
 */
#pragma once

#include "virtio/device.h"

/**
 * struct net_vhost - the host kernel's part of a network device
 * @fd:		/dev/vhost-net, borrowed; -1: not used
 * @late:	the kernel's thread is made when the device starts first
 * @owned:	it is there
 * @errors:	an eventfd, or -1: the kernel met a queue that it cannot use
 */
struct net_vhost {
	int fd;
	bool late;
	bool owned;
	bool running;
	const struct gmem *mem;
	struct loop_source errors;
};

/* @fd, @late: see above; -1: another source is used. */
void net_vhost_init(struct net_vhost *v, int fd, bool late,
		    const struct gmem *mem);
