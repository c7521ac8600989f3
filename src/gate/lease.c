// SPDX-License-Identifier: Apache-2.0
/*
 * lease.c - what a lease names (theory of operation: lease.h)
 */
#include "gate/lease.h"

#include "gate/member.h"

#include <errno.h>

#define LEASE_DRIVES "drives"
#define LEASE_NETS   "network_interfaces"

bool lease_is(const struct need_request *request)
{
	return need_is(request, API_PUT, "volt", "lease");
}

/* The text of @key in the n-th item of @list. Return: as member_text(). */
static int lease_item(const struct need_request *request, const char *list,
		      unsigned int index, const char *key, struct buf *text)
{
	struct err err = {0};
	struct json json;
	int r;

	buf_clear(text);
	need_body(request, &json, &err);
	r = member_find(&json, list);
	if (r == 1)
		r = member_item(&json, index);
	if (r == 1)
		return member_text_of(&json, key, text);
	return r == -ENOMEM ? r : -ENOENT;
}

static int lease_find(const struct need_request *request, enum path_role role,
		      unsigned int index, struct buf *path)
{
	switch (role) {
	case PATH_DISK:
	case PATH_DISK_RO:
		return lease_item(request, LEASE_DRIVES, index, "path_on_host",
				  path);
	case PATH_OVERLAY:
		return lease_item(request, LEASE_DRIVES, index, "overlay",
				  path);
	case PATH_TAP:
	case PATH_FRAMES:
		return lease_item(request, LEASE_NETS, index, "host_dev_name",
				  path);
	case PATH_VSOCK:
		return need_text(request, "vsock", "uds_path", path);
	default:
		return -EACCES;
	}
}

static int lease_result(int r, const struct buf *text)
{
	if (text->failed)
		return -ENOMEM;
	return r == -ENOENT ? -EACCES : r;
}

int lease_path(const struct need_request *request, enum path_role role,
	       unsigned int index, struct buf *path)
{
	return lease_result(lease_find(request, role, index, path), path);
}

int lease_drive(const struct need_request *request, unsigned int index,
		struct buf *id, bool *copied)
{
	cleanup_buf struct buf overlay = {0};
	int r = lease_item(request, LEASE_DRIVES, index, "overlay", &overlay);

	*copied = r == 0;
	if (r == 0 || r == -ENOENT)
		r = lease_item(request, LEASE_DRIVES, index, "drive_id", id);
	return lease_result(r, id);
}
