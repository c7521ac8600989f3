// SPDX-License-Identifier: Apache-2.0
/*
 * merge.c - a diff and what it differs from become one (theory: merge.h)
 */
#include "snapshot/merge.h"

#include "base/fd.h"
#include "image/copy.h"
#include "snapshot/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

/**
 * struct part - one of the two
 */
struct part {
	struct snapshot_reader reader;
	struct snapshot *s;
	struct snapshot_identity who;
};

/* What does not hold what it should is not given a new CRC. */
static int check_contents(const struct part *p, struct err *err)
{
	int r = snapshot_check_contents(&p->reader, p->s, NULL, err);

	return r == SNAPSHOT_CONTENTS_WRONG ? -EBADMSG : (r < 0 ? r : 0);
}

static int read_part(struct part *p, const struct snapshot_paths *path,
		     struct err *err)
{
	int r;

	p->s = calloc(1, sizeof(*p->s));
	if (!p->s)
		return err_set(err, -ENOMEM, "Out of memory");
	r = snapshot_find(&p->reader, path, true, p->s, err);
	if (r == 0)
		snapshot_identity_of(p->s, &p->who);
	if (r == 0)
		r = check_contents(p, err);
	return r;
}

/* Which of the two it is that is wrong. */
static int read_one_of_two(struct part *p, const struct snapshot_paths *path,
			   struct err *err)
{
	int r = read_part(p, path, err);

	if (r < 0)
		err_prefix(err, "%s: ", path->state);
	return r;
}

static int belong_together(const struct part *base, const struct part *diff,
			   struct err *err)
{
	const struct snapshot_label *a = &base->who.label;
	const struct snapshot_label *b = &diff->who.label;

	if (b->base == 0)
		return err_set(err, -EINVAL,
			       "The second snapshot is whole already");
	if (diff->reader.held != MEMORY_PART)
		return err_set(err, -EINVAL,
			       "The memory of the second snapshot is whole "
			       "already: another program has merged it");
	if (b->base != a->moment)
		return err_set(err, -EINVAL,
			       "The diff needs snapshot %016llx, the first "
			       "one is %016llx",
			       (unsigned long long)b->base,
			       (unsigned long long)a->moment);
	if (base->who.size != diff->who.size)
		return err_set(err, -EINVAL,
			       "The snapshots differ in the size of memory");
	return 0;
}

/* Is it what the diff's VM had? Where format 2.0 cannot tell, it has to be. */
static int check_result(const struct part *diff, int fd, struct err *err)
{
	const struct snapshot_identity *who = &diff->who;
	int right = who->label.base ? MEMORY_PART : MEMORY_WHOLE;
	int r = who->proof.bytes == 0
			? right
			: memory_match(&who->proof, who->label.base != 0, fd,
				       who->size);

	if (r < 0)
		return err_set(err, r, "Cannot read what was merged: %s",
			       err_name(r));
	return r == right ? 0
			  : err_set(err, -EBADMSG,
				    "What comes out is not the memory that the "
				    "diff's VM had: the first snapshot's "
				    "memory was changed since the diff was "
				    "taken");
}

static int merge_write_memory(const struct image *image, struct part *diff,
			      int to, struct err *err)
{
	struct snapshot_identity *who = &diff->who;
	bool part = who->label.base != 0;
	uint64_t crc;
	int r = 0;

	if (ftruncate(to, (off_t)image->size) < 0)
		r = err_set(err, -errno, "Cannot write the memory file: %s",
			    err_name(errno));
	if (r == 0)
		r = image_copy(image, to, err);
	if (r < 0)
		return r;
	memory_prove_again(&who->proof, part, to, image->size);
	r = check_result(diff, to, err);
	if (r < 0 || diff->s->memory_crc[0] == '\0')
		return r;
	r = memory_crc(&(struct image_layer){.fd = to}, image->size, part, &crc,
		       err);
	if (r == 0)
		snapshot_id_text(crc, diff->s->memory_crc);
	return r;
}

static int merge_write_state(struct snapshot *s, int to, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	snapshot_encode(s, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_write_full(to, text.data, text.len);
	return r < 0 ? err_set(err, r, "Cannot write the state: %s",
			       err_name(r))
		     : 0;
}

/* It was read before the place was locked. */
static int still_there(const struct part *diff, const struct snapshot_paths *to,
		       struct err *err)
{
	if (path_compare(snapshot_opener(to), PATH_STATE, to->state,
			 diff->reader.state_fd) == PATH_SAME)
		return 0;
	return err_set(err, -ESTALE,
		       "The second snapshot was replaced by another one while "
		       "it was read");
}

/* @image takes the place of the diff; @needs: what it differs from, or 0. */
static int replace_diff(const struct image *image, struct part *diff,
			uint64_t needs, const struct snapshot_paths *to,
			struct err *err)
{
	struct snapshot_identity *who = &diff->who;
	struct snapshot_files files;
	uint64_t id;
	int r;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return err_set(err, -EIO, "No random numbers");
	r = snapshot_files_begin(&files, to, id, err);
	who->label.id = id;
	who->label.base = needs;
	files.label = who->label;
	if (r == 0)
		r = still_there(diff, to, err);
	if (r == 0)
		r = merge_write_memory(image, diff, files.memory.fd, err);
	snapshot_set_identity(diff->s, who);
	if (r == 0)
		r = merge_write_state(diff->s, files.state.fd, err);
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

/* The two, one on top of the other. */
static int merge_image(struct part *base, struct part *diff,
		       const struct image_unpacker *unpack, struct image *image,
		       struct err *err)
{
	int r;

	image_init(image, diff->who.size, unpack);
	r = image_add(image, &diff->reader.memory_fd, diff->reader.memory_path,
		      err);
	if (r == 0)
		r = image_add(image, &base->reader.memory_fd,
			      base->reader.memory_path, err);
	return r == 0 ? image_finish(image, base->reader.held == MEMORY_WHOLE,
				     err)
		      : r;
}

int snapshot_merge(const struct snapshot_paths *base,
		   const struct snapshot_paths *diff, struct err *err)
{
	struct part a = {.reader = {.state_fd = -1, .memory_fd = -1}};
	struct part b = {.reader = {.state_fd = -1, .memory_fd = -1}};
	struct image image = {0};
	int r = read_one_of_two(&a, base, err);

	if (r == 0)
		r = read_one_of_two(&b, diff, err);
	if (r == 0)
		r = belong_together(&a, &b, err);
	if (r == 0)
		r = merge_image(&a, &b, diff->unpack, &image, err);
	if (r == 0)
		r = replace_diff(
			&image, &b,
			a.reader.held == MEMORY_WHOLE ? 0 : a.who.label.base,
			diff, err);
	image_fini(&image);
	free_part(&a);
	free_part(&b);
	return r;
}

int snapshot_squash(const struct snapshot_paths *paths, struct err *err)
{
	struct part p = {.reader = {.state_fd = -1, .memory_fd = -1}};
	struct image image = {0};
	int r = read_part(&p, paths, err);

	if (r == 0 && p.reader.held != MEMORY_PART)
		r = err_set(err, -EINVAL, "The snapshot is whole already");
	if (r == 0)
		r = snapshot_chain_image(paths, &p.reader, p.s, &image, err);
	if (r == 0)
		r = replace_diff(&image, &p, 0, paths, err);
	image_fini(&image);
	free_part(&p);
	return r;
}
