// SPDX-License-Identifier: Apache-2.0
/*
 * transfer.c - a snapshot into one file, and out of it (theory: transfer.h)
 */
#include "snapshot/transfer.h"

#include "base/fd.h"
#include "image/copy.h"
#include "image/parcel.h"
#include "snapshot/chain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int transfer_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* ---- out ---- */

/**
 * struct export - a snapshot on its way out
 * @zeros:	a page of zeros is no hole: the image is a diff
 */
struct export
{
	struct parcel_writer writer;
	const struct image *image;
	bool zeros;
	uint8_t *buf;
};

static int export_failed(int r, struct err *err)
{
	return err_set(err, r, "cannot write the export: %s", err_name(r));
}

/* The run of pages at @off of @len bytes that are all zero, or all not. */
static uint64_t run_length(const uint8_t *buf, uint64_t off, uint64_t len,
			   bool *zero)
{
	uint64_t end = off + PAGE_SIZE;

	*zero = image_page_is_zero(buf + off);
	while (end < len && image_page_is_zero(buf + end) == *zero)
		end += PAGE_SIZE;
	return end - off;
}

static int export_buf(struct export *e, uint64_t at, uint64_t len,
		      struct err *err)
{
	int r = 0;

	for (uint64_t off = 0, n; off < len && r == 0; off += n) {
		struct parcel_record record = {.at = at + off};
		bool zero;

		n = run_length(e->buf, off, len, &zero);
		record.type = zero ? PARCEL_ZEROS : PARCEL_DATA;
		record.len = n;
		record.data = zero ? NULL : e->buf + off;
		if (!zero || e->zeros)
			r = parcel_put(&e->writer, &record);
	}
	return r < 0 ? export_failed(r, err) : 0;
}

static int export_extent(struct export *e, const struct image_layer *layer,
			 uint64_t at, uint64_t end, struct err *err)
{
	int r = 0;

	for (uint64_t n; at < end && r == 0; at += n) {
		n = end - at < PARCEL_DATA_MAX ? end - at : PARCEL_DATA_MAX;
		r = image_layer_read(layer, at, e->buf, n, err);
		if (r == 0)
			r = export_buf(e, at, n, err);
	}
	return r;
}

static int export_memory(struct export *e, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < e->image->nr_pieces && r == 0; i++) {
		const struct image_piece *p = &e->image->piece[i];
		const struct image_layer *layer = &e->image->layer[p->layer];
		struct memory_extent x = {.end = p->at};

		while (r == 0 && image_layer_next(layer, p->end, &x))
			r = export_extent(e, layer, x.at, x.end, err);
		if (r == 0)
			r = image_layer_walked(layer, &x, err);
	}
	return r;
}

/* The state of what the image holds. */
static int export_state(struct export *e, struct snapshot *s, int to,
			struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	snapshot_encode(s, &text);
	if (text.failed)
		return transfer_no_memory(err);
	r = parcel_begin(&e->writer, to, e->image->size, text.data, text.len);
	return r < 0 ? export_failed(r, err) : 0;
}

static int export_image(const struct image *image, struct snapshot *s, int to,
			struct err *err)
{
	struct export e = {
		.image = image,
		.zeros = s->storage == SNAPSHOT_DIFF,
		.buf = malloc(PARCEL_DATA_MAX),
	};
	int r = e.buf ? export_state(&e, s, to, err) : transfer_no_memory(err);

	if (r == 0)
		r = export_memory(&e, err);
	if (r == 0) {
		r = parcel_end(&e.writer);
		if (r < 0)
			r = export_failed(r, err);
	}
	free(e.buf);
	return r;
}

/* What has a CRC, and is not that, is not given another one. */
static int export_check(const struct snapshot_reader *reader,
			const struct snapshot *s, struct err *err)
{
	int r = snapshot_check_contents(reader, s, NULL, err);

	return r == SNAPSHOT_CONTENTS_WRONG ? -EBADMSG : (r < 0 ? r : 0);
}

/* @image is all of the diff in @s. @crc: it gets one. */
static int export_make_whole(struct snapshot *s, const struct image *image,
			     bool crc, struct err *err)
{
	struct snapshot_identity who;
	uint64_t sum = 0;
	int r = crc ? image_crc(image, &sum, err) : 0;

	if (r < 0)
		return r;
	snapshot_identity_of(s, &who);
	who.label.base = 0;
	memory_prove_again(&who.proof, false, -1, who.size);
	snapshot_set_identity(s, &who);
	s->memory_crc[0] = '\0';
	if (crc)
		snapshot_id_text(sum, s->memory_crc);
	return 0;
}

/* The file by itself, or with all that it needs. */
static int export_open(const struct snapshot_paths *paths, bool whole,
		       struct snapshot_reader *reader, struct snapshot *s,
		       struct image *image, struct err *err)
{
	bool part = reader->held == MEMORY_PART;
	bool crc = part && s->memory_crc[0] != '\0';
	int r;

	if (whole || !part) {
		r = crc ? export_check(reader, s, err) : 0;
		if (r == 0)
			r = snapshot_chain_image(paths, reader, s, image, err);
		return r < 0 || s->storage != SNAPSHOT_DIFF
			       ? r
			       : export_make_whole(s, image, crc, err);
	}
	return image_of_file(image, s->memory_bytes, paths->unpack,
			     &reader->memory_fd, reader->memory_path, false,
			     err);
}

int snapshot_export(const struct snapshot_paths *paths, bool whole, int to,
		    struct err *err)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot *s = calloc(1, sizeof(*s));
	struct image image = {0};
	int r;

	if (!s)
		return transfer_no_memory(err);
	r = snapshot_find(&reader, paths, true, s, err);
	if (r == 0)
		r = export_open(paths, whole, &reader, s, &image, err);
	if (r == 0)
		r = export_image(&image, s, to, err);
	image_fini(&image);
	snapshot_reader_end(&reader);
	free(s);
	return r;
}

/* ---- in ---- */

/**
 * struct import - a snapshot on its way in
 * @text:	of the state, which @s refers to; owned
 */
struct import {
	struct parcel_reader reader;
	struct snapshot *s;
	char *text;
	struct snapshot_identity who;
	struct snapshot_files files;
};

static int64_t import_read(void *ctx, void *to, size_t len)
{
	const int *fd = ctx;
	ssize_t n = read(*fd, to, len);

	return n < 0 ? -errno : n;
}

static int import_state(struct import *in, struct err *err)
{
	struct parcel_record record;
	int r = parcel_next(&in->reader, &record, err);

	if (r < 0)
		return r;
	assert(r == 1 && record.type == PARCEL_STATE);
	in->text = malloc(record.len + 1);
	in->s = calloc(1, sizeof(*in->s));
	if (!in->text || !in->s)
		return transfer_no_memory(err);
	memcpy(in->text, record.data, record.len);
	in->text[record.len] = '\0';
	r = snapshot_decode(in->text, record.len, in->s, err);
	if (r < 0)
		return err_prefix(err, "the state in the export: ");
	snapshot_identity_of(in->s, &in->who);
	return in->who.size == record.at
		       ? 0
		       : err_set(err, -EBADMSG,
				 "the parts of the export do not belong "
				 "together");
}

static int import_write_zeros(int fd, uint64_t at, uint64_t len)
{
	static const uint8_t zeros[PAGE_SIZE];
	int r = 0;

	for (uint64_t n; len > 0 && r == 0; at += n, len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		r = image_write_at(fd, zeros, n, at);
	}
	return r;
}

static int import_failed(int r, struct err *err)
{
	return err_set(err, r, "cannot write the memory file: %s", err_name(r));
}

static int import_memory(struct import *in, struct err *err)
{
	bool diff = in->who.label.base != 0;
	int fd = in->files.memory.fd;
	struct parcel_record record;
	int r;

	if (ftruncate(fd, (off_t)in->who.size) < 0)
		return import_failed(-errno, err);
	while ((r = parcel_next(&in->reader, &record, err)) > 0) {
		if (record.type == PARCEL_DATA)
			r = image_write_at(fd, record.data, record.len,
					   record.at);
		else if (diff)
			r = import_write_zeros(fd, record.at, record.len);
		else
			r = 0;
		if (r < 0)
			return import_failed(r, err);
	}
	return r;
}

static int import_check(const struct import *in, struct err *err)
{
	const struct snapshot_identity *who = &in->who;
	bool diff = who->label.base != 0;
	int right = diff ? MEMORY_PART : MEMORY_WHOLE;
	int r = who->proof.bytes == 0
			? right
			: memory_match(&who->proof, diff, in->files.memory.fd,
				       who->size);

	if (r < 0)
		return err_set(err, r, "cannot read the memory file: %s",
			       err_name(r));
	if (r == right)
		return 0;
	return err_set(
		err, -EBADMSG,
		r == MEMORY_HOLES
			? "this file system does not keep the holes of a "
			  "diff: choose another place, or export it "
			  "--whole"
			: "the memory in the export is not that of its "
			  "state");
}

static int import_finish(struct import *in, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r = import_check(in, err);

	if (r < 0)
		return r;
	snapshot_set_identity(in->s, &in->who);
	snapshot_encode(in->s, &text);
	if (text.failed)
		return transfer_no_memory(err);
	r = fd_write_full(in->files.state.fd, text.data, text.len);
	if (r < 0)
		return err_set(err, r, "cannot write the state: %s",
			       err_name(r));
	return snapshot_files_commit(&in->files, err);
}

static int import_all(struct import *in, const struct snapshot_paths *paths,
		      struct err *err)
{
	int r = import_state(in, err);

	if (r < 0)
		return r;
	if (getrandom(&in->who.label.id, sizeof(in->who.label.id), 0) !=
	    sizeof(in->who.label.id))
		return err_set(err, -EIO, "no random numbers");
	r = snapshot_files_begin(&in->files, paths, in->who.label.id, err);
	in->files.label = in->who.label;
	if (r == 0)
		r = import_memory(in, err);
	if (r == 0)
		r = import_finish(in, err);
	snapshot_files_end(&in->files);
	return r;
}

int snapshot_import(const struct snapshot_paths *paths, int from,
		    struct err *err)
{
	struct import in = {.files = SNAPSHOT_FILES_NONE};
	int r;

	parcel_reader_init(&in.reader, import_read, &from);
	r = import_all(&in, paths, err);
	parcel_reader_fini(&in.reader);
	free(in.text);
	free(in.s);
	return r;
}
