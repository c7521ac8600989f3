/* SPDX-License-Identifier: Apache-2.0 */
/*
 * override.h - other names for what a snapshot names
 *
 * A snapshot keeps drives, taps and the socket by their names on the host that
 * saved it. Who restores may put others in their place: a client by the body of
 * PUT /snapshot/load, a person by --disk, --net and --vsock. Both end here.
 */
#pragma once

#include "config/config.h"
#include "config/parts.h"

/**
 * struct config_override - one thing of the snapshot; owned by who made it
 * @id:		drive_id, iface_id
 * @to:		its new path or tap; NULL, of a drive: that of the snapshot
 * @overlay:	of a drive: the directory in which it is copied; or NULL
 */
struct config_override {
	char *id;
	char *to;
	char *overlay;
};

/**
 * struct config_overrides - what a restore replaces; borrowed
 * @vsock_uds_path:	NULL: as in the snapshot
 * @overlay:	as of each drive that has none of its own; or NULL
 * @lease:	what is not named here comes with a lease: a drive that is
 *		written to is read only till then, taps are not attached and the
 *		socket is not bound (vm/lease.h)
 */
struct config_overrides {
	const struct config_override *nets;
	size_t nr_nets;
	const struct config_override *drives;
	size_t nr_drives;
	const char *vsock_uds_path;
	const char *overlay;
	bool lease;
};

/* Items of lists in the body of PUT /snapshot/load: struct config_override. */
extern const struct schema_item config_override_net;
extern const struct schema_item config_override_drive;

/**
 * config_override_parse() - ID=NAME, from the command line
 * @flag, @what:	for sentences: "disk", "PATH"
 * @others:	@nr of them, that were given before it
 * @to:		its strings are the caller's, also after a failure
 *
 * Return: 0; -EINVAL or -ENOMEM with a sentence.
 */
int config_override_parse(const char *flag, const char *what, const char *text,
			  const struct config_override *others, size_t nr,
			  struct config_override *to,
			  struct err *err) __must_check;

/**
 * config_override_list() - new names for the items of a list that was read
 * @part:	drives or interfaces
 * @items:	@nr structs of it
 *
 * Return: 0; -ENODEV when there is no such item, -ENOMEM, with a sentence.
 */
int config_override_list(const struct config_part *part, void *items, size_t nr,
			 const struct config_overrides *overrides,
			 struct err *err) __must_check;

/* config_override_list() for the socket. Return: 0 or -errno with a sentence.
 */
int config_override_vsock(struct vsock_config *vsock,
			  const struct config_overrides *overrides,
			  struct err *err) __must_check;

/* Is there something for the device @id of @part, of which there may be one? */
typedef bool config_brings_fn(const void *ctx, const struct config_part *part,
			      const char *id);

/**
 * config_missing() - what waits for a lease
 * @brings:	but for what it says; or NULL
 *
 * Return: 0: nothing; -ENOENT with a sentence.
 */
int config_missing(const struct vm_config *config, config_brings_fn *brings,
		   const void *ctx, struct err *err) __must_check;

/* The last one for @item of @part; NULL: it is as in the snapshot. */
const struct config_override *
config_override_of(const struct config_part *part, const void *item,
		   const struct config_overrides *overrides);
