/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live.h - changes of a running VM's devices
 *
 * The one route from a request to a device that runs: it finds the device,
 * changes it, and the configuration that GET /vm/config and snapshots show.
 *
 * Context: the VMM thread.
 */
#pragma once

#include "config/drive_lock.h"
#include "vm/vm.h"

struct balloon;
struct mem_dev;

/**
 * live_drive_set_file() - a started VM's drive goes on with another file
 * @path:	for GET /vm/config
 * @fd:		taken over on success, and -1 then
 * @claim:	of it
 *
 * Return: 0 or -errno; the drive is then as before.
 */
int live_drive_set_file(struct vm *vm, struct drive_config *drive,
			const char *path, int *fd,
			const struct drive_claim *claim) __must_check;

/* Change the buckets that are present in @limiter. */
void live_drive_set_limits(struct vm *vm, struct drive_config *drive,
			   const struct rate_limiter_config *limiter);

/* Likewise of a file that is memory. */
void live_pmem_set_limits(struct vm *vm, struct pmem_config *pmem,
			  const struct rate_limiter_config *limiter);

/* The counters update_count and update_fails of a started VM's drive. */
void live_drive_count_update(struct vm *vm, const struct drive_config *drive,
			     bool failed);

/**
 * live_net_set_limits() - new rate limits for interface @id of a running VM
 *
 * What is absent stays as it is.
 *
 * Return: 0; with a sentence -ENODEV when there is no such interface, -EINVAL
 * when its frames do not come through here (vhost).
 */
int live_net_set_limits(struct vm *vm, const char *id,
			const struct rate_limiter_config *rx,
			const struct rate_limiter_config *tx,
			struct err *err) __must_check;

/* net_tap_fits(), net_set_tap() and net_set_mac() of a started VM's interface.
 * Return: as net_tap_fits(). */
int live_net_fits(struct vm *vm, const struct net_config *net,
		  int fd) __must_check;
void live_net_set_tap(struct vm *vm, const struct net_config *net, int fd);
void live_net_set_mac(struct vm *vm, const struct net_config *net);

/* vsock_set_path() and vsock_set_cid() of a started VM's socket device. Return:
 * as vsock_set_path(). */
int live_vsock_set_path(struct vm *vm, const char *uds_path,
			int listen_fd) __must_check;
void live_vsock_set_cid(struct vm *vm, uint32_t guest_cid);

/* vsock_dialed() of the VM's socket device, if it has one (dev/vsock.h). */
void live_vsock_dialed(struct vm *vm, uint32_t port, int rc, int fd);

/* The device of a running VM, or NULL. */
struct mem_dev *live_memory(struct vm *vm);

/* NULL when the VM was not started, or has none. */
struct balloon *live_balloon(struct vm *vm);

/**
 * live_balloon_set_target() - how much memory the guest shall give
 * @mib:	at most UINT32_MAX / BALLOON_PAGES_MIB
 *
 * There is a balloon. Return: as balloon_set_target().
 */
int live_balloon_set_target(struct vm *vm, uint32_t mib) __must_check;

/* How often the guest tells its statistics. There is a balloon. */
void live_balloon_set_interval(struct vm *vm, uint16_t seconds);
