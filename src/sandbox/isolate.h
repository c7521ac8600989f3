/* SPDX-License-Identifier: Apache-2.0 */
/*
 * isolate.h - namespaces with nothing in them, without root
 *
 * Theory of operation
 *
 * What Landlock and seccomp deny is there all the same; a fault in either would
 * show it. Here it is gone: the process makes a user namespace, in which it may
 * do what only root may elsewhere, and in that
 *
 *   a mount namespace   whose only mount is an empty root, read-only
 *   a network namespace which has no interface but its own lo, and that is down
 *   an IPC namespace    with no shared memory, semaphores or queues
 *
 * and gives up every capability. No user or group is mapped into the user
 * namespace: that needs no /proc, and a process without a mapping can make no
 * further user namespace. To the rest of the host it is whose it was.
 *
 * What is open stays open and works: taps are of the namespace that they were
 * opened in. So this is a part of the lock, when nothing will be opened any
 * more (stage.h). It comes before Landlock, which forbids mounts.
 *
 * There is no PID namespace: a process that has made one can start processes in
 * it, but no threads any more. Whoever starts this one makes it: volt does
 * (cli/own_pids.h), and volt-jailer.
 *
 * A user namespace takes only a process with one thread. Threads of the kernel
 * count: that of vhost-net, since Linux 6.4, is made when a driver starts the
 * device, which is later (dev/net_vhost.h). Each namespace that the host does
 * not give is told; root gets the other three without a user namespace.
 *
 * Sources: user_namespaces(7), mount_namespaces(7), pivot_root(2),
 * capabilities(7).
 */
#pragma once

#include "base/err.h"

enum isolate_part {
	ISOLATE_USER,
	ISOLATE_MOUNT, /* the empty root is of it */
	ISOLATE_NET,
	ISOLATE_IPC,
	ISOLATE_NR_PARTS,
};

/**
 * struct isolation - what became of it
 * @rc:		of each part: 0, or the -errno for which it is missing
 */
struct isolation {
	int rc[ISOLATE_NR_PARTS];
};

/**
 * isolate_process() - leave everything behind that has a name
 *
 * Call it when the process has one thread, and all that it needs is open. Also
 * where parts are missing it has no capabilities afterwards.
 *
 * Return: 0; -errno when the process is half on its way and can only end.
 */
int isolate_process(struct isolation *done) __must_check;

/* "user namespace" and so on. */
const char *isolate_part_name(enum isolate_part part);
