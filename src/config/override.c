// SPDX-License-Identifier: Apache-2.0
/*
 * override.c - other names for what a snapshot names (override.h)
 */
#include "config/override.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define TEXT(name_, flags_, member) \
	{ .name = (name_), .type = SCHEMA_STRING, .flags = (flags_), \
	  SCHEMA_AT(struct config_override, member) }

#define ITEM(name_, schema_name_, ...) \
	static const struct schema_field name_##_fields[] = { __VA_ARGS__ }; \
	static const struct schema_object name_##_schema = { \
		.name = (schema_name_), .fields = name_##_fields, \
		.nr = ARRAY_SIZE(name_##_fields), \
		.size = sizeof(struct config_override), .open = true, \
	}; \
	const struct schema_item config_override_##name_ = \
		SCHEMA_STATE_ITEM(struct config_override, &name_##_schema)

ITEM(net, "NetworkOverride",
     TEXT("iface_id", SCHEMA_REQUIRED, id),
     TEXT("host_dev_name", SCHEMA_REQUIRED, to));
/* One of the two, which api/snapshot.c sees to. */
ITEM(drive, "DriveOverride",
     TEXT("drive_id", SCHEMA_REQUIRED, id),
     TEXT("path_on_host", SCHEMA_NULL, to),
     TEXT("overlay", SCHEMA_NULL, overlay));
/* clang-format on */

int config_override_parse(const char *flag, const char *what, const char *text,
			  const struct config_override *others, size_t nr,
			  struct config_override *to, struct err *err)
{
	size_t len = strcspn(text, "=");

	if (len == 0 || !text[len] || !text[len + 1])
		return err_set(err, -EINVAL,
			       "--%s: with --restore it takes ID=%s, the id "
			       "that the snapshot knows it by, not '%s'",
			       flag, what, text);
	for (size_t i = 0; i < nr; i++)
		if (strncmp(others[i].id, text, len) == 0 && !others[i].id[len])
			return err_set(err, -EINVAL, "--%s: %s is given twice",
				       flag, others[i].id);
	to->id = strndup(text, len);
	to->to = strdup(text + len + 1);
	if (!to->id || !to->to)
		return err_set(err, -ENOMEM, "Out of memory");
	return 0;
}

static int replace_text(char **to, const char *text, struct err *err)
{
	char *copy = strdup(text);

	if (!copy)
		return err_set(err, -ENOMEM, "Out of memory");
	free(*to);
	*to = copy;
	return 0;
}

static char **text_at(const struct config_part *part, void *items, size_t i,
		      uint32_t offset)
{
	return (char **)(void *)((char *)items + i * part->whole->size +
				 offset);
}

static int unknown_drive(const struct config_part *part, void *items, size_t nr,
			 const char *id, struct err *err)
{
	cleanup_buf struct buf names = {0};

	for (size_t i = 0; i < nr; i++)
		buf_addf(&names, " %s", *text_at(part, items, i, part->id));
	buf_add(&names, "", 1);
	return err_set(err, -ENODEV,
		       "Unknown Drive %s; those of the snapshot:%s", id,
		       nr > 0 && !names.failed ? names.data : " none");
}

/* Return: how many there are in @list for @part. */
static size_t list_of(const struct config_part *part,
		      const struct config_overrides *overrides,
		      const struct config_override **list)
{
	if (part == &config_part_drives) {
		*list = overrides->drives;
		return overrides->nr_drives;
	}
	if (part == &config_part_nets) {
		*list = overrides->nets;
		return overrides->nr_nets;
	}
	return 0;
}

int config_override_list(const struct config_part *part, void *items, size_t nr,
			 const struct config_overrides *overrides,
			 struct err *err)
{
	const struct config_override *o;
	size_t nr_others = list_of(part, overrides, &o);
	int r = 0;

	for (size_t i = 0; i < nr_others && r == 0; i++) {
		size_t k = 0;

		while (k < nr &&
		       strcmp(*text_at(part, items, k, part->id), o[i].id) != 0)
			k++;
		if (k == nr && part == &config_part_drives)
			return unknown_drive(part, items, nr, o[i].id, err);
		if (k == nr)
			return err_set(err, -ENODEV, "Unknown Network Device.");
		if (o[i].to)
			r = replace_text(text_at(part, items, k, part->host),
					 o[i].to, err);
	}
	return r;
}

int config_override_vsock(struct vsock_config *vsock,
			  const struct config_overrides *overrides,
			  struct err *err)
{
	if (!overrides->vsock_uds_path)
		return 0;
	if (!vsock->present)
		return err_set(err, -ENODEV, "Unknown Vsock Device");
	return replace_text(&vsock->uds_path, overrides->vsock_uds_path, err);
}

const struct config_override *
config_override_of(const struct config_part *part, const void *item,
		   const struct config_overrides *overrides)
{
	const struct config_override *o;
	size_t nr = list_of(part, overrides, &o);
	const char *id;

	if (nr == 0)
		return NULL;
	memcpy(&id, (const char *)item + part->id, sizeof(id));
	while (nr-- > 0)
		if (strcmp(o[nr].id, id) == 0)
			return &o[nr];
	return NULL;
}

int config_missing(const struct vm_config *config, config_brings_fn *brings,
		   const void *ctx, struct err *err)
{
	for (size_t i = 0; i < config->nr_drives; i++) {
		const struct drive_config *d = &config->drives[i];

		if (d->pending &&
		    !(brings && brings(ctx, &config_part_drives, d->drive_id)))
			return err_set(err, -ENOENT,
				       "Drive %s has no file of its own yet: "
				       "PUT /volt/lease with its path_on_host, "
				       "or overlay",
				       d->drive_id);
	}
	for (size_t i = 0; i < config->nr_nets; i++) {
		const struct net_config *n = &config->nets[i];

		if (n->pending &&
		    !(brings && brings(ctx, &config_part_nets, n->iface_id)))
			return err_set(err, -ENOENT,
				       "Interface %s has no tap yet: PUT "
				       "/volt/lease with its host_dev_name",
				       n->iface_id);
	}
	if (config->vsock.present && config->vsock.fd < 0 &&
	    !(brings && brings(ctx, &config_part_vsock, "")))
		return err_set(err, -ENOENT,
			       "The socket device has no path yet: PUT "
			       "/volt/lease with `vsock` and its uds_path");
	return 0;
}
