/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h - a VM that was made ready is given to its user
 *
 * Theory of operation
 *
 * A pool restores VMs before anybody asks for one. Such a VM is whole and
 * stands still, and has nothing yet that is its user's: its name, the files of
 * its drives, its taps, the path of its socket device. A lease brings them, all
 * in one request, and may let the guest run at once.
 *
 *   restored, waits --lease--> leased, waits --resume--> runs
 *         '-------------------resume------------------->'
 *
 * A lease is given once, and only while the VM waits: it was restored without
 * resume and its guest has not run since. What the snapshot names is replaced,
 * or, where the load said so (config_overrides.lease), was never opened: then
 * the lease must name it, and nothing runs before it did. So any number of
 * clones of one snapshot wait at the same time without one of them having the
 * image, the tap or the socket that another one needs.
 *
 * Everything is opened and checked first, by the gate (gate/lease.h), and
 * applied when all of it is there: a lease that is refused changes nothing, and
 * may be given again. The devices are paused and have nothing in flight.
 *
 * What the guest learns of it:
 *
 *   drive    another capacity, by the configuration interrupt, if it differs
 *   tap      nothing; the link is up
 *   MAC      the device's configuration and its generation change, with an
 *            interrupt. A driver reads the address when it begins; Linux does
 *            not again, so a program in the guest has to set it
 *   CID      Linux reads it anew with the event TRANSPORT_RESET, which a
 *            restored guest gets in any case
 *
 * Context: the VMM thread.
 */
#pragma once

#include "vm/vm.h"

/**
 * struct lease_drive - a drive
 * @path:	its file; NULL: that which it has
 * @overlay:	a directory: it gets a copy of that file which has no name
 */
struct lease_drive {
	char *id;
	char *path;
	char *overlay;
	struct rate_limiter_config limiter;
};

/**
 * struct lease_net - an interface
 * @tap:	NULL: as it is
 */
struct lease_net {
	char *id;
	char *tap;
	bool has_mac;
	uint8_t mac[6];
	struct rate_limiter_config rx_limiter;
	struct rate_limiter_config tx_limiter;
};

/**
 * struct vm_lease - what a VM is given; borrowed
 * @id:		its new name, or NULL
 * @uds_path:	of the socket device, or NULL
 * @guest_cid:	of it; 0: as it is
 */
struct vm_lease {
	const char *id;
	const struct lease_drive *drives;
	size_t nr_drives;
	const struct lease_net *nets;
	size_t nr_nets;
	const char *uds_path;
	uint32_t guest_cid;
};

/**
 * vm_lease() - give it
 *
 * Return: 0; with a sentence -EBUSY: @vm does not wait, or was leased; -ENODEV:
 * it has no such device; -ENOENT: something that it needs is not named;
 * -EINVAL, -errno. @vm is as it was, then, but for -ENOMEM at the very end.
 */
int vm_lease(struct vm *vm, const struct vm_lease *lease,
	     struct err *err) __must_check;
