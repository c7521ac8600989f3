// SPDX-License-Identifier: Apache-2.0
/*
 * find.c - the snapshot that is in a place (find.h)
 */
#include "snapshot/find.h"

#include "base/denied.h"
#include "base/fd.h"
#include "base/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* Whoever replaces it each time is not waited for without end. */
#define READ_TRIES 100

static int read_failed(const char *path, int rc, struct err *err)
{
	char hint[DENIED_HINT_MAX];

	(void)err_set(err, rc, "Failed to open snapshot file: %s (os error %d)",
		      err_name(rc), -rc);
	(void)err_plain(err, "Cannot read %s: %s%s", path, err_name(rc),
			denied_hint(path, rc, hint));
	return rc;
}

int snapshot_read_state(struct snapshot_reader *r, const char *path,
			struct err *err)
{
	struct stat st;
	int rc;

	*r = (struct snapshot_reader){.state_fd = -1, .memory_fd = -1};
	r->state_fd = open(path, OPEN_FLAGS);
	if (r->state_fd < 0 || fstat(r->state_fd, &st) < 0)
		return read_failed(path, -errno, err);
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)SNAPSHOT_STATE_MAX)
		return err_set(err, -EINVAL,
			       "%s is not the state of a snapshot: %s", path,
			       S_ISREG(st.st_mode) ? "it is too large"
						   : "it is no file");
	r->len = (size_t)st.st_size;
	r->text = pages_new(r->len + 1, r->len + 1);
	if (!r->text)
		return err_set(err, -ENOMEM, "Out of memory");
	rc = fd_read_full(r->state_fd, r->text, r->len, 0);
	if (rc < 0)
		return read_failed(path, rc, err);
	r->stage = SNAPSHOT_STATE_READ;
	return 0;
}

/* <memory>.<id> while the snapshot is being put in place, else <memory>. */
static int open_memory(struct snapshot_reader *r, const char *path, uint64_t id)
{
	if (asprintf(&r->memory_path, "%s.%016llx", path,
		     (unsigned long long)id) < 0) {
		r->memory_path = NULL;
		return -ENOMEM;
	}
	r->memory_fd = open(r->memory_path, OPEN_FLAGS);
	if (r->memory_fd >= 0 || (errno != ENOENT && errno != ENAMETOOLONG))
		return r->memory_fd < 0 ? -errno : 0;
	r->memory_path[strlen(path)] = '\0';
	r->memory_fd = open(path, OPEN_FLAGS);
	return r->memory_fd < 0 ? -errno : 0;
}

static bool state_replaced(const struct snapshot_reader *r, const char *path)
{
	struct stat here, now;

	return fstat(r->state_fd, &here) == 0 && stat(path, &now) == 0 &&
	       (here.st_ino != now.st_ino || here.st_dev != now.st_dev);
}

#define MEMORY_FAILED "Failed to load guest memory: "

static int find_memory(struct snapshot_reader *r,
		       const struct snapshot_paths *paths,
		       const struct snapshot *s, struct err *err)
{
	struct snapshot_identity who;
	char hint[DENIED_HINT_MAX];
	int rc = open_memory(r, paths->memory, s->head.id);

	if (state_replaced(r, paths->state))
		return err_set(err, -ESTALE,
			       "The snapshot was replaced while it was read, "
			       "time and again");
	if (rc < 0) {
		(void)err_set(err, rc, MEMORY_FAILED "%s (os error %d)",
			      err_name(rc), -rc);
		(void)err_plain(err, "Cannot read %s: %s%s", paths->memory,
				err_name(rc),
				denied_hint(paths->memory, rc, hint));
		return rc;
	}
	r->stage = SNAPSHOT_MEMORY_OPEN;
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

/* One look at both files. */
static int find_once(struct snapshot_reader *r,
		     const struct snapshot_paths *paths, bool memory,
		     struct snapshot *s, struct err *err)
{
	int rc = snapshot_read_state(r, paths->state, err);

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

void snapshot_reader_end(struct snapshot_reader *r)
{
	pages_free(r->text, r->len + 1);
	r->text = NULL;
	fd_close(&r->state_fd);
	fd_close(&r->memory_fd);
	free(r->memory_path);
	r->memory_path = NULL;
}
