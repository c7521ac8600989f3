// SPDX-License-Identifier: Apache-2.0
/*
 * merge.c - a diff and what it differs from become a whole snapshot (merge.h)
 */
#include "snapshot/merge.h"

#include "base/fd.h"
#include "snapshot/memory.h"
#include "snapshot/state.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/**
 * struct part - one of the two
 */
struct part {
	struct snapshot_reader reader;
	struct snapshot *s;
};

static int check_memory(const struct part *p, const struct snapshot_paths *path,
			struct err *err)
{
	struct stat st;

	if (fstat(p->reader.memory_fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path->memory,
			       err_name(errno));
	if ((uint64_t)st.st_size != p->s->memory_bytes)
		return err_set(err, -EINVAL,
			       "%s has %lld bytes, not %llu: it is damaged",
			       path->memory, (long long)st.st_size,
			       (unsigned long long)p->s->memory_bytes);
	return 0;
}

/* What does not hold what it should is not given a new CRC. */
static int check_contents(const struct part *p,
			  const struct snapshot_paths *path, struct err *err)
{
	char text[SNAPSHOT_ID_TEXT];
	uint64_t crc;
	int r;

	if (p->s->memory_crc[0] == '\0')
		return 0;
	r = memory_crc(p->reader.memory_fd, p->s->memory_bytes,
		       p->s->storage == SNAPSHOT_DIFF, &crc, err);
	if (r < 0)
		return r;
	snapshot_id_text(crc, text);
	if (strcmp(text, p->s->memory_crc) == 0)
		return 0;
	return err_set(err, -EBADMSG, "%s is damaged: its CRC-64 is %s, not %s",
		       path->memory, text, p->s->memory_crc);
}

static int read_part(struct part *p, const struct snapshot_paths *path,
		     struct err *err)
{
	int r;

	p->s = calloc(1, sizeof(*p->s));
	if (!p->s)
		return err_set(err, -ENOMEM, "Out of memory");
	r = snapshot_read_state(&p->reader, path->state, err);
	if (r == 0)
		r = snapshot_decode(p->reader.text, p->reader.len, p->s, err);
	if (r == 0)
		r = snapshot_open_memory(&p->reader, path, p->s->head.id, 0,
					 err);
	if (r == 0)
		r = check_memory(p, path, err);
	if (r == 0)
		r = check_contents(p, path, err);
	if (r < 0)
		err_prefix(err, "%s: ", path->state);
	return r;
}

static int belong_together(const struct snapshot *base,
			   const struct snapshot *diff, struct err *err)
{
	char id[SNAPSHOT_ID_TEXT];

	if (diff->storage != SNAPSHOT_DIFF)
		return err_set(err, -EINVAL,
			       "The second snapshot is whole already");
	snapshot_id_text(base->head.id, id);
	if (strcmp(diff->base, id) != 0)
		return err_set(
			err, -EINVAL,
			"The diff needs snapshot %s, the first one is %s",
			diff->base, id);
	if (base->storage != SNAPSHOT_RAW)
		return err_set(err, -EINVAL,
			       "The first snapshot is a diff itself: merge it "
			       "with snapshot %s first",
			       base->base);
	if (base->memory_bytes != diff->memory_bytes)
		return err_set(err, -EINVAL,
			       "The snapshots differ in the size of memory");
	return 0;
}

/* Base and diff, one on top of the other. */
static int write_memory(const struct part *base, struct part *diff, int to,
			struct err *err)
{
	uint64_t size = base->s->memory_bytes;
	uint64_t crc;
	int r = 0;

	if (ftruncate(to, (off_t)size) < 0)
		r = err_set(err, -errno, "Cannot write the memory file: %s",
			    err_name(errno));
	if (r == 0)
		r = memory_copy(base->reader.memory_fd, to, size, err);
	if (r == 0)
		r = memory_copy(diff->reader.memory_fd, to, size, err);
	if (r < 0 || diff->s->memory_crc[0] == '\0')
		return r;
	r = memory_crc(to, size, false, &crc, err);
	if (r == 0)
		snapshot_id_text(crc, diff->s->memory_crc);
	return r;
}

static int write_state(struct snapshot *s, int to, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	s->storage = SNAPSHOT_RAW;
	s->base[0] = '\0';
	snapshot_encode(s, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_write_full(to, text.data, text.len);
	return r < 0 ? err_set(err, r, "Cannot write the state: %s",
			       err_name(r))
		     : 0;
}

static int write_whole(const struct part *base, struct part *diff,
		       const struct snapshot_paths *to, struct err *err)
{
	struct snapshot_files files;
	int r = snapshot_files_begin(&files, to, diff->s->head.id, err);

	if (r == 0)
		r = write_memory(base, diff, files.memory.fd, err);
	if (r == 0)
		r = write_state(diff->s, files.state.fd, err);
	if (r == 0)
		r = snapshot_files_commit(&files, err);
	snapshot_files_end(&files);
	return r;
}

static void free_part(struct part *p)
{
	snapshot_reader_end(&p->reader);
	free(p->s);
}

int snapshot_merge(const struct snapshot_paths *base,
		   const struct snapshot_paths *diff, struct err *err)
{
	struct part a = {.reader = {.state_fd = -1, .memory_fd = -1}};
	struct part b = {.reader = {.state_fd = -1, .memory_fd = -1}};
	int r = read_part(&a, base, err);

	if (r == 0)
		r = read_part(&b, diff, err);
	if (r == 0)
		r = belong_together(a.s, b.s, err);
	if (r == 0)
		r = write_whole(&a, &b, diff, err);
	free_part(&a);
	free_part(&b);
	return r;
}
