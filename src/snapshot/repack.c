// SPDX-License-Identifier: Apache-2.0
/*
 * repack.c - memory that is stored in another way (theory: repack.h)
 */
#include "snapshot/repack.h"

#include "base/buf.h"
#include "base/fd.h"
#include "image/image.h"
#include "image/packed.h"
#include "snapshot/find.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/**
 * struct repack - a snapshot on its way
 * @who:	what it is, then what the new files are
 * @files:	the new ones
 */
struct repack {
	const struct snapshot_paths *paths;
	struct snapshot_reader reader;
	struct snapshot *s;
	struct snapshot_identity who;
	struct snapshot_files files;
};

static int repack_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* @packed: what it has to be. */
static int repack_check_kind(const struct repack *p, bool packed,
			     struct err *err)
{
	struct stat st;

	if (fd_stat(p->reader.memory_fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s",
			       p->reader.memory_path, err_name(errno));
	/* It is the memory of its state: one or the other. */
	if (packed_is(st.st_size) == packed)
		return 0;
	return err_set(err, -EALREADY,
		       packed ? "%s is raw already"
			      : "%s is compressed already",
		       p->reader.memory_path);
}

static int repack_find(struct repack *p, bool packed, struct err *err)
{
	int r;

	p->s = calloc(1, sizeof(*p->s));
	if (!p->s)
		return repack_no_memory(err);
	r = snapshot_find(&p->reader, p->paths, true, p->s, err);
	if (r == 0)
		r = repack_check_kind(p, packed, err);
	if (r == 0)
		r = snapshot_check_contents(&p->reader, p->s, NULL, err);
	if (r < 0)
		return r;
	if (r == SNAPSHOT_CONTENTS_WRONG)
		return -EBADMSG;
	snapshot_identity_of(p->s, &p->who);
	/* Another program made the diff whole: its CRC was of the diff. */
	if (p->reader.held == MEMORY_WHOLE && p->who.label.base != 0) {
		p->who.label.base = 0;
		p->s->memory_crc[0] = '\0';
		memory_prove_again(&p->who.proof, false, -1, p->who.size);
	}
	return 0;
}

static int repack_begin(struct repack *p, struct err *err)
{
	int r;

	if (getrandom(&p->who.label.id, sizeof(p->who.label.id), 0) !=
	    sizeof(p->who.label.id))
		return err_set(err, -EIO, "No random numbers");
	r = snapshot_files_begin(&p->files, p->paths, p->who.label.id, err);
	p->files.label = p->who.label;
	if (r < 0)
		return r;
	/* It was read before the place was locked. */
	return path_compare(snapshot_opener(p->paths), PATH_STATE,
			    p->paths->state, p->reader.state_fd) == PATH_SAME
		       ? 0
		       : err_set(err, -ESTALE,
				 "The snapshot was replaced by another one "
				 "while it was read");
}

static int repack_commit(struct repack *p, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	snapshot_set_identity(p->s, &p->who);
	snapshot_encode(p->s, &text);
	if (text.failed)
		return repack_no_memory(err);
	r = fd_write_full(p->files.state.fd, text.data, text.len);
	if (r < 0)
		return err_set(err, r, "Cannot write the state: %s",
			       err_name(r));
	return snapshot_files_commit(&p->files, err);
}

static void repack_end(struct repack *p)
{
	snapshot_files_end(&p->files);
	snapshot_reader_end(&p->reader);
	free(p->s);
}

int snapshot_compress(const struct snapshot_paths *paths,
		      const struct snapshot_packer *packer, struct err *err)
{
	struct repack p = {
		.paths = paths,
		.reader = {.state_fd = -1, .memory_fd = -1},
		.files = SNAPSHOT_FILES_NONE,
	};
	struct image_layer from = {.fd = -1};
	int r = repack_find(&p, false, err);

	if (r == 0)
		r = repack_begin(&p, err);
	if (r == 0)
		r = image_layer_borrow(&from, p.reader.memory_fd,
				       p.reader.memory_path, p.who.size, NULL,
				       err);
	if (r == 0 && p.who.label.base != 0)
		r = image_layer_map(&from, p.who.size, err);
	if (r == 0)
		r = packer->write(packer->ctx, &from, p.who.size, &p.who.label,
				  p.files.memory.fd, err);
	image_layer_close(&from);
	if (r == 0)
		r = repack_commit(&p, err);
	repack_end(&p);
	return r;
}

/* The holes of a diff are where they were, as far as pages go. */
static int repack_check_raw(struct repack *p, struct err *err)
{
	bool diff = p->who.label.base != 0;
	int fd = p->files.memory.fd;
	int right = diff ? MEMORY_PART : MEMORY_WHOLE;
	int r = right;

	if (p->who.proof.bytes > 0) {
		memory_prove_again(&p->who.proof, diff, fd, p->who.size);
		r = memory_match(&p->who.proof, diff, fd, p->who.size);
	}
	if (r < 0)
		return err_set(err, r, "Cannot read what was unpacked: %s",
			       err_name(r));
	return r == right ? 0
			  : err_set(err, -EBADMSG,
				    "%s is not the memory of its state",
				    p->reader.memory_path);
}

static int repack_unpack(struct repack *p, struct err *err)
{
	struct image image;
	int to = p->files.memory.fd;
	int r;

	r = image_of_file(&image, p->who.size, p->paths->unpack,
			  &p->reader.memory_fd, p->reader.memory_path,
			  p->who.label.base == 0, err);
	if (r == 0 && ftruncate(to, (off_t)image.size) < 0)
		r = err_set(err, -errno, "Cannot write the memory file: %s",
			    err_name(errno));
	if (r == 0)
		r = image_copy(&image, to, err);
	image_fini(&image);
	return r < 0 ? r : repack_check_raw(p, err);
}

int snapshot_decompress(const struct snapshot_paths *paths, struct err *err)
{
	struct repack p = {
		.paths = paths,
		.reader = {.state_fd = -1, .memory_fd = -1},
		.files = SNAPSHOT_FILES_NONE,
	};
	int r = repack_find(&p, true, err);

	if (r == 0)
		r = repack_begin(&p, err);
	if (r == 0)
		r = repack_unpack(&p, err);
	if (r == 0)
		r = repack_commit(&p, err);
	repack_end(&p);
	return r;
}
