// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - what a snapshot that is loaded names (theory of operation: load.h)
 */
#include "gate/load.h"

#include "base/fd.h"
#include "base/pages.h"
#include "gate/member.h"
#include "image/workset.h"
#include "snapshot/files.h"
#include "snapshot/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the state ---- */

/* The guest process opens the state again behind the memory: as a rule the
 * same one, whose text is here. */
static bool load_has_state(const struct load *load, int fd)
{
	struct stat st;

	return load->text && fd_same_file(load->state_fd, fd) &&
	       fd_stat(fd, &st) == 0 && (size_t)st.st_size == load->len;
}

int load_take_state(struct load *load, int fd)
{
	if (load_has_state(load, fd))
		return 0;
	load_end(load);
	load->state_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return load->state_fd < 0 ? -errno : 0;
}

void load_end(struct load *load)
{
	pages_free(load->text, load->len);
	fd_close(&load->state_fd);
	*load = LOAD_NONE;
}

static int load_read_state(struct load *load)
{
	struct stat st;
	int r;

	if (load->text)
		return 0;
	if (load->state_fd < 0)
		return -EACCES;
	r = fd_stat(load->state_fd, &st);
	if (r < 0)
		return r;
	if (st.st_size < 1 || st.st_size > (off_t)SNAPSHOT_STATE_MAX)
		return -EINVAL;
	load->len = (size_t)st.st_size;
	load->text = pages_new(load->len, load->len);
	if (!load->text)
		return -ENOMEM;
	r = fd_read_full(load->state_fd, load->text, load->len, 0);
	if (r < 0) {
		pages_free(load->text, load->len);
		load->text = NULL;
	}
	return r;
}

/* To the value of @key in the state's configuration. Return: as
 * member_find(). */
static int find_in_config(struct load *load, const char *key, struct json *json,
			  struct err *err)
{
	int r = load_read_state(load);

	if (r < 0)
		return r;
	json_init(json, load->text, load->len, err);
	r = member_find(json, "config");
	return r == 1 ? member_find(json, key) : r;
}

/* ---- names ---- */

/* As member_text() ends a text. */
static void end_text(struct buf *text)
{
	buf_add(text, "", 1);
	if (!text->failed)
		text->len--;
}

/* A device of which there are several. @in_request: NULL: it gets no other
 * path. @asked: only a request has @path. */
struct list {
	const char *in_state;
	const char *in_request;
	const char *id;
	const char *path;
	bool asked;
};

static const struct list drives = {
	"drives", "drive_overrides", "drive_id", "path_on_host", false,
};

static const struct list pmems = {
	"pmems", NULL, "id", "path_on_host", false,
};

static const struct list overlays = {
	"drives", "drive_overrides", "drive_id", "overlay", true,
};

static const struct list nets = {
	"nets", "network_overrides", "iface_id", "host_dev_name", false,
};

/* The last override of device @id, if there is one: @path is replaced. */
static int load_override(const struct need_request *request,
			 const struct list *list, const char *id,
			 struct buf *path)
{
	cleanup_buf struct buf text = {0};
	struct err err = {0};
	struct json json;
	bool first = true;
	int r;

	if (!list->in_request)
		return 0;
	need_body(request, &json, &err);
	r = member_find(&json, list->in_request);
	if (r <= 0 || json_peek(&json) != JSON_AT_ARRAY)
		return r < 0 ? r : 0;
	r = json_enter(&json);
	while (r == 0 && (r = json_next_item(&json, &first)) == 1) {
		r = member_text_of(&json, list->id, &text);
		if (r == 0 && strcmp(text.data, id) == 0)
			r = member_text_of(&json, list->path, path);
		if (r == 0 || r == -ENOENT)
			r = json_skip(&json);
	}
	return r;
}

static int name_of_device(struct load *load, const struct need_request *request,
			  const struct list *list, unsigned int index,
			  struct buf *path)
{
	cleanup_buf struct buf id = {0};
	struct err err = {0};
	struct json json;
	int r = find_in_config(load, list->in_state, &json, &err);

	if (r == 1)
		r = member_item(&json, index);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = member_text_of(&json, list->id, &id);
	if (r == 0 && !list->asked)
		r = member_text_of(&json, list->path, path);
	if (r == 0)
		r = load_override(request, list, id.data, path);
	return r == 0 && !path->data ? -ENOENT : r;
}

static int name_in_part(struct load *load, const char *part, const char *key,
			struct buf *path)
{
	struct err err = {0};
	struct json json;
	int r = find_in_config(load, part, &json, &err);

	if (r == 1)
		return member_text_of(&json, key, path);
	return r < 0 ? r : -ENOENT;
}

static int name_of_vsock(struct load *load, const struct need_request *request,
			 struct buf *path)
{
	int r = need_text(request, "vsock_override", "uds_path", path);

	return r == -ENOENT ? name_in_part(load, "vsock", "uds_path", path) : r;
}

/* With neither of the two that name memory, the path is that of a directory. */
static int memory_named(const struct need_request *request, struct buf *path)
{
	int r = need_text(request, "mem_file_path", NULL, path);

	return r == -ENOENT
		       ? need_text(request, "mem_backend", "backend_path", path)
		       : r;
}

static int name_of_state(const struct need_request *request, struct buf *path)
{
	cleanup_buf struct buf memory = {0};
	int r = memory_named(request, &memory);
	bool in_dir = r == -ENOENT;

	if (r < 0 && !in_dir)
		return r;
	r = need_text(request, "snapshot_path", NULL, path);
	if (r == 0 && in_dir) {
		buf_add_str(path, "/" SNAPSHOT_STATE_NAME);
		end_text(path);
	}
	return r;
}

/* The working set lies beside the memory (snapshot/hot.h). */
static void load_beside(struct buf *path)
{
	const char *slash =
		path->len > 0 ? memrchr(path->data, '/', path->len) : NULL;

	path->len = slash ? (size_t)(slash + 1 - path->data) : 0;
	buf_add_str(path, WORKSET_NAME);
}

static int name_of_memory(struct load *load, const struct need_request *request,
			  unsigned int index, struct buf *path)
{
	struct snapshot_head head;
	size_t covered;
	int r = index > 2 ? -EACCES : memory_named(request, path);

	if (r == -ENOENT) {
		r = need_text(request, "snapshot_path", NULL, path);
		if (r == 0)
			buf_add_str(path, "/" SNAPSHOT_MEMORY_NAME);
	}
	if (r == 0 && index == 1)
		r = load_read_state(load);
	if (r == 0 && index == 1)
		r = snapshot_read_head(load->text, load->len, &head, &covered,
				       NULL);
	if (r == 0 && index == 1)
		buf_addf(path, ".%016llx", (unsigned long long)head.id);
	if (r == 0 && index == 2)
		load_beside(path);
	end_text(path);
	return r;
}

static int load_find(struct load *load, const struct need_request *request,
		     enum path_role role, unsigned int index, struct buf *path)
{
	switch (role) {
	case PATH_STATE:
		return name_of_state(request, path);
	case PATH_MEMORY:
		return name_of_memory(load, request, index, path);
	case PATH_DISK:
	case PATH_DISK_RO:
		return name_of_device(load, request, &drives, index, path);
	case PATH_PMEM:
	case PATH_PMEM_RO:
		return name_of_device(load, request, &pmems, index, path);
	case PATH_OVERLAY:
		return name_of_device(load, request, &overlays, index, path);
	case PATH_TAP:
	case PATH_FRAMES:
		return name_of_device(load, request, &nets, index, path);
	case PATH_VSOCK:
		return name_of_vsock(load, request, path);
	case PATH_SERIAL:
		return name_in_part(load, "serial", "serial_out_path", path);
	default:
		return -EACCES;
	}
}

int load_path(struct load *load, const struct need_request *request,
	      enum path_role role, unsigned int index, struct buf *path)
{
	int r = need_is(request, API_PUT, "snapshot", "load")
			? load_find(load, request, role, index, path)
			: -EACCES;

	if (path->failed)
		return -ENOMEM;
	return r == -ENOENT ? -EACCES : r;
}
