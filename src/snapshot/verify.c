// SPDX-License-Identifier: Apache-2.0
/*
 * verify.c - is all as it was written? (theory of operation: verify.h)
 */
#include "snapshot/verify.h"

#include "base/fd.h"
#include "image/packed.h"
#include "image/parcel.h"
#include "snapshot/chain.h"
#include "snapshot/list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what comes out ---- */

static int verify_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* Return: 0, so that what else there is gets looked at; -ENOMEM. */
static int verify_problem(struct verify *v, const char *path, int r,
			  const struct err *why, struct err *err)
{
	const char *text = err_for_person(why);
	cleanup_free char *dir = snapshot_parent(path);
	cleanup_free char *sentence = NULL;

	if (r == -ENOMEM || !dir)
		return verify_no_memory(err);
	v->nr_problems++;
	/* It names a file beside @path, or that itself. */
	if (strcmp(dir, ".") != 0 && strncmp(text, dir, strlen(dir)) == 0) {
		v->problem(v, text);
		return 0;
	}
	if (asprintf(&sentence, "%s: %s", path, text) < 0) {
		sentence = NULL;
		return verify_no_memory(err);
	}
	v->problem(v, sentence);
	return 0;
}

static void verify_count(struct verify *v, uint64_t bytes)
{
	v->nr_bytes += bytes;
	if (v->reading)
		v->reading(v);
}

static void verify_heard(struct memory_watch *watch, uint64_t bytes)
{
	verify_count(container_of(watch, struct verify, watch), bytes);
}

static void verify_begin(struct verify *v, const char *path)
{
	v->watch.read = verify_heard;
	v->path = path;
}

/* ---- memory ---- */

/* A diff holds no page that its map does not have. */
static int verify_map(int fd, uint64_t size, struct err *why)
{
	struct memory_map *map;
	int r = memory_map_get(fd, NULL, size, &map);

	if (r == 0)
		r = map ? memory_map_is_all(map, fd, size) : 1;
	memory_map_free(map);
	if (r < 0)
		return err_set(why, r, "cannot be read: %s", err_name(r));
	return r > 0 ? 0
		     : err_set(why, -EBADMSG,
			       "is damaged: its holes are not as they were");
}

/* The samples, which a label makes a restore pass over. */
static int verify_proof(const struct snapshot_reader *r,
			const struct snapshot *s, struct err *why)
{
	struct snapshot_identity who;
	struct stat st;
	int match;

	snapshot_identity_of(s, &who);
	if (fd_stat(r->memory_fd, &st) < 0)
		return err_set(why, -errno, "cannot be read: %s",
			       err_name(errno));
	/* A packed file has its label in itself, and proves each frame. */
	if (who.proof.bytes == 0 || packed_is(st.st_size))
		return 0;
	match = memory_match(&who.proof, who.label.base != 0, r->memory_fd,
			     who.size);
	if (match < 0)
		return err_set(why, match, "cannot be read: %s",
			       err_name(match));
	if (match == (int)r->held)
		return match == MEMORY_PART
			       ? verify_map(r->memory_fd, who.size, why)
			       : 0;
	return err_set(why, -EBADMSG,
		       match == MEMORY_HOLES
			       ? "is damaged: its holes are not as they were"
			       : "is damaged: a page is not what it was");
}

/* All of a file that nothing is known of. Return: 0 or -errno. */
static int verify_read(struct verify *v, const char *path, int fd,
		       uint64_t size, struct err *why)
{
	struct image_layer layer;
	uint64_t crc;
	int r = image_layer_borrow(&layer, fd, path, size, v->unpack, why);

	if (r == 0)
		r = image_layer_map(&layer, size, why);
	if (r == 0) {
		v->nr_unproved += layer.pack == NULL;
		r = memory_crc_watched(&layer, size, true, &v->watch, &crc,
				       why);
	}
	image_layer_close(&layer);
	return r;
}

/* Not inlined: its errors and those of who calls it are too much for a frame.
 */
static __attribute__((noinline)) int verify_unknown(struct verify *v,
						    const char *path, int fd,
						    uint64_t size,
						    struct err *err)
{
	struct err why = {0};
	int r = verify_read(v, path, fd, size, &why);

	return r < 0 ? verify_problem(v, path, r, &why, err) : 0;
}

/* Not inlined: its errors and those of who calls it are too much for a frame.
 */
static __attribute__((noinline)) int
verify_held(struct verify *v, const struct snapshot_reader *r,
	    const struct snapshot *s, struct err *err)
{
	struct err why = {0};
	int rc = verify_proof(r, s, &why);

	verify_begin(v, r->memory_path);
	if (rc == 0)
		rc = snapshot_check_contents(r, s, &v->watch, &why);
	if (rc == SNAPSHOT_CONTENTS_NO_CRC)
		rc = verify_read(v, r->memory_path, r->memory_fd,
				 s->memory_bytes, &why);
	else if (rc == SNAPSHOT_CONTENTS_WRONG)
		rc = -EBADMSG;
	return rc < 0 ? verify_problem(v, r->memory_path, rc, &why, err) : 0;
}

/* ---- chains ---- */

/* One that a chain took, by the state that lies beside it. */
static int verify_in_dir(struct verify *v, const struct snapshot_paths *paths,
			 int fd, uint64_t size, struct err *err)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot *s = calloc(1, sizeof(*s));
	struct err why = {0};
	int r;

	if (!s)
		return verify_no_memory(err);
	r = snapshot_find(&reader, paths, true, s, &why);
	if (r < 0)
		r = verify_problem(v, paths->state, r, &why, err);
	else if (fd_same_file(reader.memory_fd, fd))
		r = verify_held(v, &reader, s, err);
	else
		r = verify_unknown(v, paths->memory, fd, size, err);
	snapshot_reader_end(&reader);
	free(s);
	return r;
}

/* @in_dirs: a state lies beside it; else nobody knows its name. */
static int verify_layer(struct verify *v, const struct image_layer *layer,
			bool in_dirs, uint64_t size, struct err *err)
{
	cleanup_free char *dir = snapshot_parent(layer->path);
	struct snapshot_paths paths = {0};
	int r;

	if (!dir)
		return verify_no_memory(err);
	verify_begin(v, layer->path);
	if (!in_dirs)
		return verify_unknown(v, layer->path, layer->fd, size, err);
	if (snapshot_paths_in(&paths, dir) < 0)
		return verify_no_memory(err);
	paths.unpack = v->unpack;
	r = verify_in_dir(v, &paths, layer->fd, size, err);
	snapshot_paths_free(&paths);
	return r;
}

/* @bases: they are read, too, not only found. */
/* Likewise. */
static __attribute__((noinline)) int
verify_chain(struct verify *v, const struct snapshot_paths *paths,
	     struct snapshot_reader *reader, const struct snapshot *s,
	     bool bases, struct err *err)
{
	bool in_dirs = snapshot_paths_are_in_dir(paths);
	struct image image = {0};
	struct err why = {0};
	int r = snapshot_chain_image(paths, reader, s, &image, &why);

	if (r < 0)
		r = verify_problem(v, paths->state, r, &why, err);
	else
		for (unsigned int i = 1; bases && i < image.nr_layers && r == 0;
		     i++)
			r = verify_layer(v, &image.layer[i], in_dirs,
					 image.size, err);
	image_fini(&image);
	return r;
}

static int verify_its_own(struct verify *v, const struct snapshot_paths *paths,
			  bool bases, struct err *err)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot *s = calloc(1, sizeof(*s));
	struct err why = {0};
	int r;

	if (!s)
		return verify_no_memory(err);
	v->nr_snapshots++;
	verify_begin(v, paths->state);
	r = snapshot_find(&reader, paths, true, s, &why);
	if (r < 0) {
		r = verify_problem(v, paths->state, r, &why, err);
	} else {
		r = verify_held(v, &reader, s, err);
		if (r == 0)
			r = verify_chain(v, paths, &reader, s, bases, err);
	}
	v->path = NULL;
	snapshot_reader_end(&reader);
	free(s);
	return r;
}

int snapshot_verify(struct verify *v, const struct snapshot_paths *paths,
		    struct err *err)
{
	return verify_its_own(v, paths, true, err);
}

/* ---- exports ---- */

static int64_t verify_read_export(void *ctx, void *to, size_t len)
{
	const int *fd = ctx;
	ssize_t n = read(*fd, to, len);

	return n < 0 ? -errno : n;
}

static int verify_state(const struct parcel_record *record, struct err *why)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = snapshot_decode((const char *)record->data, record->len, s, why);
	if (r == 0 && s->memory_bytes != record->at)
		r = err_set(why, -EBADMSG,
			    "the parts of the export do not belong together");
	free(s);
	return r;
}

int snapshot_verify_export(struct verify *v, int fd, const char *path,
			   struct err *err)
{
	struct parcel_reader reader;
	struct parcel_record record;
	struct err why = {0};
	int r;

	v->nr_snapshots++;
	verify_begin(v, path);
	parcel_reader_init(&reader, verify_read_export, &fd);
	while ((r = parcel_next(&reader, &record, &why)) > 0) {
		if (record.type == PARCEL_STATE)
			r = verify_state(&record, &why);
		else if (record.type == PARCEL_DATA)
			verify_count(v, record.len);
		if (r < 0)
			break;
	}
	parcel_reader_fini(&reader);
	v->path = NULL;
	return r < 0 ? verify_problem(v, path, r, &why, err) : 0;
}

/* ---- folders ---- */

static int verify_export_at(struct verify *v, const char *path, struct err *err)
{
	cleanup_fd int fd = path_open(&path_direct, PATH_STATE, path, NULL);
	struct err why = {0};

	if (fd >= 0)
		return snapshot_verify_export(v, fd, path, err);
	err_set(&why, fd, "cannot be opened: %s", err_name(fd));
	return verify_problem(v, path, fd, &why, err);
}

static int verify_listed(struct verify *v, const struct snapshot_listed *x,
			 const char *path, struct err *err)
{
	struct snapshot_paths paths;
	struct err why = {0};
	int r;

	if (x->form == SNAPSHOT_EXPORT)
		return verify_export_at(v, path, err);
	if (x->form == SNAPSHOT_FILE) {
		v->nr_snapshots++;
		if (!x->why)
			return 0;
		err_set(&why, -EINVAL, "%s", x->why);
		return verify_problem(v, path, -EINVAL, &why, err);
	}
	if (snapshot_paths_in(&paths, path) < 0)
		return verify_no_memory(err);
	paths.unpack = v->unpack;
	r = verify_its_own(v, &paths, false, err);
	snapshot_paths_free(&paths);
	return r;
}

int snapshot_verify_folder(struct verify *v, const char *dir, struct err *err)
{
	struct snapshot_list list = {0};
	int r = snapshot_list_read(&list, dir, err);

	for (size_t i = 0; i < list.nr && r == 0; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", dir, list.item[i].name) < 0) {
			path = NULL;
			r = verify_no_memory(err);
		} else {
			r = verify_listed(v, &list.item[i], path, err);
		}
	}
	snapshot_list_free(&list);
	return r;
}
