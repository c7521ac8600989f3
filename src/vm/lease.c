// SPDX-License-Identifier: Apache-2.0
/*
 * lease.c - a VM is given to its user (theory of operation: lease.h)
 */
#include "vm/lease.h"

#include "base/fd.h"
#include "config/drives.h"
#include "config/override.h"
#include "vm/live.h"
#include "vm/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CID_MIN 3u

/* ---- is it right? ---- */

static int lease_no_device(const char *what, const char *id, struct err *err)
{
	return err_set(err, -ENODEV, "The microVM has no %s %s", what, id);
}

static int lease_twice(const char *what, const char *id, struct err *err)
{
	return err_set(err, -EINVAL, "The %s %s is given twice", what, id);
}

static int lease_check_drives(struct vm_config *config,
			      const struct vm_lease *lease, struct err *err)
{
	for (size_t i = 0; i < lease->nr_drives; i++) {
		const struct lease_drive *d = &lease->drives[i];
		const struct drive_config *drive = drives_find(config, d->id);

		if (!drive)
			return lease_no_device("drive", d->id, err);
		for (size_t k = 0; k < i; k++)
			if (strcmp(lease->drives[k].id, d->id) == 0)
				return lease_twice("drive", d->id, err);
		if (d->overlay && drive->is_read_only)
			return err_set(err, -EINVAL,
				       "Drive %s is read only: leave `overlay` "
				       "out",
				       d->id);
	}
	return 0;
}

static int lease_check_net(const struct lease_net *n,
			   const struct net_config *net, struct err *err)
{
	bool limits = n->rx_limiter.present || n->tx_limiter.present;

	if (net->vhost && limits)
		return err_set(err, -EINVAL,
			       "Interface %s: vhost and rate limiters do not "
			       "go together",
			       n->id);
	if (n->tap && net_config_is_socket(n->tap) !=
			      net_config_is_socket(net->host_dev_name))
		return err_set(err, -EINVAL,
			       "Interface %s is at a %s: a lease gives it "
			       "another, and nothing else",
			       n->id,
			       net_config_is_socket(net->host_dev_name)
				       ? "socket"
				       : "tap");
	if (n->has_mac && !net->has_mac)
		return err_set(err, -EINVAL,
			       "Interface %s was started without `guest_mac`: "
			       "the guest's driver has made an address of its "
			       "own and would not look at another",
			       n->id);
	return 0;
}

static int lease_check_nets(const struct vm_config *config,
			    const struct vm_lease *lease, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < lease->nr_nets && r == 0; i++) {
		const struct lease_net *n = &lease->nets[i];
		const struct net_config *net =
			vm_config_find_net(config, n->id);

		if (!net)
			return lease_no_device("interface", n->id, err);
		for (size_t k = 0; k < i; k++)
			if (strcmp(lease->nets[k].id, n->id) == 0)
				return lease_twice("interface", n->id, err);
		r = lease_check_net(n, net, err);
	}
	return r;
}

/* The address of each interface, as it will be. */
static const uint8_t *lease_mac_of(const struct net_config *net,
				   const struct vm_lease *lease)
{
	for (size_t i = 0; i < lease->nr_nets; i++)
		if (lease->nets[i].has_mac &&
		    strcmp(lease->nets[i].id, net->iface_id) == 0)
			return lease->nets[i].mac;
	return net->has_mac ? net->guest_mac : NULL;
}

static int lease_check_macs(const struct vm_config *config,
			    const struct vm_lease *lease, struct err *err)
{
	for (size_t i = 0; i < config->nr_nets; i++) {
		const uint8_t *a = lease_mac_of(&config->nets[i], lease);

		for (size_t k = 0; k < i && a; k++) {
			const uint8_t *b =
				lease_mac_of(&config->nets[k], lease);

			if (b && memcmp(a, b, sizeof(lease->nets->mac)) == 0)
				return err_set(err, -EADDRINUSE,
					       "Interfaces %s and %s would "
					       "have the same MAC address",
					       config->nets[k].iface_id,
					       config->nets[i].iface_id);
		}
	}
	return 0;
}

static int lease_check_vsock(const struct vm_config *config,
			     const struct vm_lease *lease, struct err *err)
{
	if (!lease->uds_path && lease->guest_cid == 0)
		return 0;
	if (!config->vsock.present)
		return err_set(err, -ENODEV,
			       "The microVM has no socket device");
	if (lease->guest_cid != 0 &&
	    (lease->guest_cid < CID_MIN || lease->guest_cid == UINT32_MAX))
		return err_set(err, -EINVAL,
			       "A guest's CID is 3 or more, not %u",
			       lease->guest_cid);
	return 0;
}

static bool lease_has_drive(const struct vm_lease *lease, const char *id)
{
	for (size_t i = 0; i < lease->nr_drives; i++)
		if ((lease->drives[i].path || lease->drives[i].overlay) &&
		    strcmp(lease->drives[i].id, id) == 0)
			return true;
	return false;
}

static bool lease_has_net(const struct vm_lease *lease, const char *id)
{
	for (size_t i = 0; i < lease->nr_nets; i++)
		if (lease->nets[i].tap && strcmp(lease->nets[i].id, id) == 0)
			return true;
	return false;
}

/* Is there a file for the drive, a tap for the interface, a path? */
static bool lease_brings(const void *ctx, const struct config_part *part,
			 const char *id)
{
	const struct vm_lease *lease = ctx;

	if (part == &config_part_drives)
		return lease_has_drive(lease, id);
	return part == &config_part_nets ? lease_has_net(lease, id)
					 : lease->uds_path != NULL;
}

static int lease_check(struct vm *vm, const struct vm_lease *lease,
		       struct err *err)
{
	struct vm_config *config = &vm->config;
	int r;

	if (vm->leased)
		return err_set(err, -EBUSY, "The microVM was leased already");
	if (!vm->waits)
		return err_set(err, -EBUSY,
			       "Only a microVM that was loaded with "
			       "`resume_vm` false, and has not run since, can "
			       "be leased");
	r = lease_check_drives(config, lease, err);
	if (r == 0)
		r = lease_check_nets(config, lease, err);
	if (r == 0)
		r = lease_check_macs(config, lease, err);
	if (r == 0)
		r = lease_check_vsock(config, lease, err);
	return r < 0 ? r : config_missing(config, lease_brings, lease, err);
}

/* ---- everything is opened ---- */

/**
 * struct lease_file - a drive's new file
 * @drive:	whose
 * @fd:		-1: it keeps the one it has
 * @is_overlay:	it is a private copy
 */
struct lease_file {
	struct drive_config *drive;
	int fd;
	bool is_overlay;
	struct drive_claim claim;
};

/**
 * struct lease_found - what was opened, and is not applied yet
 * @files, @taps:	as many as the lease has drives and interfaces
 * @id:		a copy
 */
struct lease_found {
	struct lease_file *files;
	int *taps;
	int vsock_fd;
	char *id;
	char *uds_path;
};

/* What is not applied is closed; a drive that waits has its lock again. */
static void lease_drop(struct lease_found *found, const struct vm_lease *lease)
{
	for (size_t i = 0; found->files && i < lease->nr_drives; i++) {
		struct lease_file *file = &found->files[i];
		struct drive_config was = {.fd = file->fd, .lock_fd = -1};
		bool again = file->drive && file->drive->pending;

		drive_unlock(&was, again ? file->drive : NULL);
	}
	for (size_t i = 0; found->taps && i < lease->nr_nets; i++)
		fd_close(&found->taps[i]);
	fd_close(&found->vsock_fd);
	free(found->files);
	free(found->taps);
	free(found->id);
	free(found->uds_path);
}

static int lease_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

static int lease_make_room(struct lease_found *found,
			   const struct vm_lease *lease, struct err *err)
{
	*found = (struct lease_found){.vsock_fd = -1};
	found->files = calloc(lease->nr_drives + 1, sizeof(*found->files));
	found->taps = malloc((lease->nr_nets + 1) * sizeof(*found->taps));
	for (size_t i = 0; found->files && i < lease->nr_drives; i++)
		found->files[i].fd = -1;
	for (size_t i = 0; found->taps && i < lease->nr_nets; i++)
		found->taps[i] = -1;
	if (lease->id)
		found->id = strdup(lease->id);
	if (lease->uds_path)
		found->uds_path = strdup(lease->uds_path);
	if (!found->files || !found->taps || (lease->id && !found->id) ||
	    (lease->uds_path && !found->uds_path))
		return lease_no_memory(err);
	return 0;
}

/* Of which device an error is. */
static int lease_say(const char *what, const char *id, int rc, struct err *err)
{
	char why[ERR_TEXT_MAX];

	(void)snprintf(why, sizeof(why), "%s", err->text);
	return err_set(err, rc, "The %s %s: %s", what, id, why);
}

/* A file that the drive is to have, or is to be copied. */
static int lease_open_file(struct vm *vm, const struct lease_drive *d,
			   unsigned int index, bool read_only,
			   struct lease_file *file, struct err *err)
{
	struct drive_config as = *file->drive;
	int r;

	as.is_read_only = read_only;
	file->fd = drive_open(&vm->config, d->path, read_only, index, err);
	if (file->fd < 0)
		return lease_say("drive", d->id, file->fd, err);
	r = drive_check_copy(d->id, d->path, file->fd, err);
	return r < 0 ? r
		     : drive_claim(&vm->config, &as, d->path, file->fd,
				   &file->claim, err);
}

/* A copy of the file that is named, else of the one that the drive has. */
static int lease_open_copy(struct vm *vm, const struct lease_drive *d,
			   unsigned int index, struct lease_file *file,
			   struct err *err)
{
	struct lease_file base = {.drive = file->drive, .fd = -1};
	struct drive_config was = {.lock_fd = -1};
	int r = 0;

	if (d->path)
		r = lease_open_file(vm, d, index, true, &base, err);
	if (r == 0) {
		file->fd = path_open_nth(vm->config.opener, PATH_OVERLAY,
					 d->overlay, index, err);
		r = file->fd < 0 ? lease_say("drive", d->id, file->fd, err) : 0;
	}
	if (r == 0)
		r = overlay_copy(file->drive,
				 d->path ? base.fd : file->drive->fd, file->fd,
				 err);
	file->is_overlay = true;
	was.fd = base.fd;
	drive_unlock(&was, base.claim.keeps ? NULL : file->drive);
	return r;
}

static int lease_open_drives(struct vm *vm, const struct vm_lease *lease,
			     struct lease_found *found, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < lease->nr_drives && r == 0; i++) {
		const struct lease_drive *d = &lease->drives[i];
		struct lease_file *file = &found->files[i];

		file->drive = drives_find(&vm->config, d->id);
		if (d->overlay)
			r = lease_open_copy(vm, d, (unsigned int)i, file, err);
		else if (d->path)
			r = lease_open_file(vm, d, (unsigned int)i,
					    file->drive->is_read_only, file,
					    err);
	}
	return r;
}

/* A tap has one user, ourselves included: the same name keeps it. */
static int lease_open_taps(struct vm *vm, const struct vm_lease *lease,
			   struct lease_found *found, struct err *err)
{
	for (size_t i = 0; i < lease->nr_nets; i++) {
		const struct lease_net *n = &lease->nets[i];
		const struct net_config *net =
			vm_config_find_net(&vm->config, n->id);
		int r;

		if (!n->tap ||
		    (net->fd >= 0 && strcmp(net->host_dev_name, n->tap) == 0))
			continue;
		found->taps[i] = net_config_attach(&vm->config, n->tap,
						   (unsigned int)i, err);
		if (found->taps[i] < 0)
			return lease_say("interface", n->id, found->taps[i],
					 err);
		r = live_net_fits(vm, net, found->taps[i]);
		if (r < 0)
			return err_set(err, r,
				       "Interface %s cannot go on with the "
				       "tap %s: it does not take what the "
				       "guest's driver was promised: %s",
				       n->id, n->tap, err_name(r));
	}
	return 0;
}

/* The last one, as the gate removes the socket that was there. */
static int lease_open_vsock(struct vm *vm, const struct vm_lease *lease,
			    struct lease_found *found, struct err *err)
{
	const struct vsock_config *vsock = &vm->config.vsock;

	if (!lease->uds_path ||
	    (vsock->fd >= 0 && strcmp(vsock->uds_path, lease->uds_path) == 0))
		return 0;
	found->vsock_fd =
		path_open(vm->config.opener, PATH_VSOCK, lease->uds_path, err);
	return found->vsock_fd < 0 ? found->vsock_fd : 0;
}

/* ---- and applied ---- */

/* A file that was opened is one that a device takes: nothing is in flight. */
static int lease_apply_drives(struct vm *vm, const struct vm_lease *lease,
			      struct lease_found *found, struct err *err)
{
	for (size_t i = 0; i < lease->nr_drives; i++) {
		const struct lease_drive *d = &lease->drives[i];
		struct lease_file *file = &found->files[i];
		struct drive_config *drive = file->drive;
		int r = 0;

		if (file->fd >= 0)
			r = live_drive_set_file(vm, drive,
						d->path ? d->path
							: drive->path_on_host,
						&file->fd, &file->claim);
		if (r < 0)
			return err_set(err, r, "Drive %s: %s", d->id,
				       err_name(r));
		if (file->is_overlay)
			drive->is_overlay = true;
		if (d->limiter.present)
			live_drive_set_limits(vm, drive, &d->limiter);
	}
	return 0;
}

static int lease_apply_net(struct vm *vm, const struct lease_net *n, int *fd,
			   struct err *err)
{
	struct net_config *net = vm_config_find_net(&vm->config, n->id);

	if (*fd >= 0) {
		char *name = strdup(n->tap);

		if (!name)
			return lease_no_memory(err);
		live_net_set_tap(vm, net, *fd);
		fd_close(&net->fd);
		net->fd = fd_steal(fd);
		free(net->host_dev_name);
		net->host_dev_name = name;
		net->pending = false;
	}
	if (n->has_mac) {
		memcpy(net->guest_mac, n->mac, sizeof(n->mac));
		live_net_set_mac(vm, net);
	}
	if (!n->rx_limiter.present && !n->tx_limiter.present)
		return 0;
	return live_net_set_limits(vm, n->id, &n->rx_limiter, &n->tx_limiter,
				   err);
}

static int lease_apply_vsock(struct vm *vm, const struct vm_lease *lease,
			     struct lease_found *found, struct err *err)
{
	struct vsock_config *vsock = &vm->config.vsock;

	if (found->vsock_fd >= 0) {
		if (live_vsock_set_path(vm, found->uds_path, found->vsock_fd) <
		    0)
			return lease_no_memory(err);
		fd_close(&vsock->fd);
		vsock->fd = fd_steal(&found->vsock_fd);
		free(vsock->uds_path);
		vsock->uds_path = ptr_steal(found->uds_path);
	}
	if (lease->guest_cid != 0) {
		vsock->guest_cid = lease->guest_cid;
		live_vsock_set_cid(vm, lease->guest_cid);
	}
	return 0;
}

/* What fails here is memory. */
static int lease_apply(struct vm *vm, const struct vm_lease *lease,
		       struct lease_found *found, struct err *err)
{
	int r = lease_apply_drives(vm, lease, found, err);

	for (size_t i = 0; i < lease->nr_nets && r == 0; i++)
		r = lease_apply_net(vm, &lease->nets[i], &found->taps[i], err);
	if (r == 0)
		r = lease_apply_vsock(vm, lease, found, err);
	if (r < 0)
		return r;
	if (found->id) {
		free(vm->config.id);
		vm->config.id = ptr_steal(found->id);
	}
	vm->leased = true;
	return 0;
}

int vm_lease(struct vm *vm, const struct vm_lease *lease, struct err *err)
{
	struct lease_found found;
	int r = lease_check(vm, lease, err);

	if (r < 0)
		return r;
	/* An image that somebody writes to is never a warning here. */
	vm->config.lock_drives = true;
	r = lease_make_room(&found, lease, err);
	if (r == 0)
		r = lease_open_drives(vm, lease, &found, err);
	if (r == 0)
		r = lease_open_taps(vm, lease, &found, err);
	if (r == 0)
		r = lease_open_vsock(vm, lease, &found, err);
	if (r == 0)
		r = lease_apply(vm, lease, &found, err);
	lease_drop(&found, lease);
	return r;
}
