// SPDX-License-Identifier: Apache-2.0
/*
 * find.c - the snapshot that is in a place (find.h)
 */
#include "snapshot/find.h"

#include "base/fd.h"
#include "base/pages.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* Whoever replaces it each time is not waited for without end. */
#define READ_TRIES 100

static int find_read_state(struct snapshot_reader *r,
			   const struct path_opener *opener, const char *path,
			   struct err *err)
{
	struct stat st;
	int rc;

	*r = (struct snapshot_reader){.state_fd = -1, .memory_fd = -1};
	r->state_fd = path_open(opener, PATH_STATE, path, err);
	if (r->state_fd < 0)
		return r->state_fd;
	if (fd_stat(r->state_fd, &st) < 0)
		return path_say(PATH_STATE, path, -errno, "", err);
	if (st.st_size > (off_t)SNAPSHOT_STATE_MAX)
		return err_set(err, -EINVAL,
			       "%s is not the state of a snapshot: it is too "
			       "large",
			       path);
	r->len = (size_t)st.st_size;
	r->text = pages_new(r->len + 1, r->len + 1);
	if (!r->text)
		return err_set(err, -ENOMEM, "Out of memory");
	rc = fd_read_full(r->state_fd, r->text, r->len, 0);
	if (rc < 0)
		return path_say(PATH_STATE, path, rc, "", err);
	r->stage = SNAPSHOT_STATE_READ;
	return 0;
}

int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err)
{
	return find_read_state(r, &path_direct, path, err);
}

int snapshot_check_state(const struct snapshot_reader *r,
			 struct snapshot_head *head, struct err *err)
{
	size_t covered;
	int rc = snapshot_read_head(r->text, r->len, head, &covered, err);

	return rc < 0 ? rc
		      : snapshot_check_crc(head, r->text + covered,
					   r->len - covered, err);
}

/* <memory>.<id> while the snapshot is being put in place, else <memory>. */
static int open_memory(struct snapshot_reader *r,
		       const struct snapshot_paths *paths, uint64_t id,
		       struct err *err)
{
	const struct path_opener *opener = snapshot_opener(paths);

	if (asprintf(&r->memory_path, "%s.%016llx", paths->memory,
		     (unsigned long long)id) < 0) {
		r->memory_path = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	/* As a rule it is not there: no sentence is made for that. */
	r->memory_fd =
		path_open_nth(opener, PATH_MEMORY, r->memory_path, 1, NULL);
	if (r->memory_fd >= 0)
		return r->memory_fd;
	if (r->memory_fd == -ENOENT || r->memory_fd == -ENAMETOOLONG)
		r->memory_path[strlen(paths->memory)] = '\0';
	r->memory_fd = path_open(opener, PATH_MEMORY, r->memory_path, err);
	return r->memory_fd;
}

static bool state_replaced(const struct snapshot_reader *r,
			   const struct snapshot_paths *paths)
{
	return path_compare(snapshot_opener(paths), PATH_STATE, paths->state,
			    r->state_fd) == PATH_OTHER;
}

#define MEMORY_FAILED "Failed to load guest memory: "

static int find_memory(struct snapshot_reader *r,
		       const struct snapshot_paths *paths,
		       const struct snapshot *s, struct err *err)
{
	struct snapshot_identity who;
	int rc = open_memory(r, paths, s->head.id, err);

	if (state_replaced(r, paths))
		return err_set(err, -ESTALE,
			       "The snapshot was replaced while it was read, "
			       "time and again");
	if (rc < 0)
		return rc;
	r->stage = SNAPSHOT_MEMORY_OPEN;
	r->unpack = paths->unpack;
	snapshot_identity_of(s, &who);
	rc = snapshot_identify(r->memory_fd, &who, r->memory_path, err);
	if (rc < 0) {
		err_prefix_api(err, MEMORY_FAILED);
		return rc;
	}
	r->held = (enum memory_match)rc;
	r->stage = SNAPSHOT_MEMORY_KNOWN;
	return 0;
}

/* @err is about what is in the state. */
static int decode_failed(const char *path, int rc, struct err *err)
{
	char why[ERR_PLAIN_MAX];

	if (!err)
		return rc;
	(void)snprintf(why, sizeof(why), "%s", err_for_person(err));
	(void)err_prefix_api(err, "Failed to load snapshot state from file: ");
	(void)err_plain(err, "%s: %s", path, why);
	return rc;
}

/* As find_once() and who maps the memory behind it (hot.h) open them. */
static const struct path_want find_opens[] = {
	{.role = PATH_STATE},
	{.role = PATH_MEMORY, .index = 1},
	{.role = PATH_MEMORY},
	{.role = PATH_STATE},
	{.role = PATH_MEMORY, .index = 2},
};

/* One look at both files. */
static int find_once(struct snapshot_reader *r,
		     const struct snapshot_paths *paths, bool memory,
		     struct snapshot *s, struct err *err)
{
	int rc;

	if (memory)
		path_expect(snapshot_opener(paths), find_opens,
			    ARRAY_SIZE(find_opens));
	rc = find_read_state(r, snapshot_opener(paths), paths->state, err);

	if (rc < 0)
		return rc;
	rc = snapshot_decode(r->text, r->len, s, err);
	if (rc < 0)
		return decode_failed(paths->state, rc, err);
	r->stage = SNAPSHOT_STATE_RIGHT;
	return memory ? find_memory(r, paths, s, err) : 0;
}

int snapshot_find(struct snapshot_reader *r, const struct snapshot_paths *paths,
		  bool memory, struct snapshot *s, struct err *err)
{
	int rc = find_once(r, paths, memory, s, err);

	for (int i = 1; i < READ_TRIES && rc == -ESTALE; i++) {
		snapshot_reader_end(r);
		memset(s, 0, sizeof(*s));
		rc = find_once(r, paths, memory, s, err);
	}
	return rc;
}

int snapshot_check_contents(const struct snapshot_reader *r,
			    const struct snapshot *s,
			    struct memory_watch *watch, struct err *err)
{
	char text[SNAPSHOT_ID_TEXT];
	struct image_layer layer;
	uint64_t crc = 0;
	int rc;

	if (s->memory_crc[0] == '\0')
		return SNAPSHOT_CONTENTS_NO_CRC;
	rc = image_layer_borrow(&layer, r->memory_fd, r->memory_path,
				s->memory_bytes, r->unpack, err);
	if (rc == 0 && s->storage == SNAPSHOT_DIFF)
		rc = image_layer_map(&layer, s->memory_bytes, err);
	if (rc == 0)
		rc = memory_crc_watched(&layer, s->memory_bytes,
					s->storage == SNAPSHOT_DIFF, watch,
					&crc, err);
	image_layer_close(&layer);
	if (rc < 0)
		return rc;
	snapshot_id_text(crc, text);
	if (strcmp(text, s->memory_crc) == 0)
		return SNAPSHOT_CONTENTS_RIGHT;
	(void)err_set(err, -EBADMSG, "%s is damaged: its CRC-64 is %s, not %s",
		      r->memory_path, text, s->memory_crc);
	return SNAPSHOT_CONTENTS_WRONG;
}

void snapshot_reader_end(struct snapshot_reader *r)
{
	pages_free(r->text, r->len + 1);
	r->text = NULL;
	fd_close(&r->state_fd);
	fd_close(&r->memory_fd);
	free(r->memory_path);
	r->memory_path = NULL;
}
