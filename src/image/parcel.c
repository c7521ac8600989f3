// SPDX-License-Identifier: Apache-2.0
/*
 * parcel.c - a snapshot as one file (theory of operation: parcel.h)
 */
#include "image/parcel.h"

#include "base/crc64.h"
#include "base/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PARCEL_MAGIC "voltprc1"
#define MAGIC_BYTES  8u
#define HEAD_BYTES   32u
#define HEAD_CRC     24u /* what stands before it */

/* ---- writer ---- */

static int parcel_write(struct parcel_writer *w,
			const struct parcel_record *record)
{
	size_t len = record->data ? (size_t)record->len : 0;
	uint8_t head[HEAD_BYTES] = {0};
	int r;

	store_le32(head, record->type);
	store_le64(head + 8, record->at);
	store_le64(head + 16, record->len);
	store_le64(head + HEAD_CRC,
		   crc64(crc64(0, head, HEAD_CRC), record->data, len));
	r = fd_write_full(w->fd, head, sizeof(head));
	if (r == 0 && len > 0)
		r = fd_write_full(w->fd, record->data, len);
	w->nr++;
	return r;
}

int parcel_begin(struct parcel_writer *w, int fd, uint64_t ram_bytes,
		 const void *state, size_t len)
{
	const struct parcel_record record = {
		.type = PARCEL_STATE,
		.at = ram_bytes,
		.len = len,
		.data = state,
	};
	int r = fd_write_full(fd, PARCEL_MAGIC, MAGIC_BYTES);

	*w = (struct parcel_writer){.fd = fd};
	return r == 0 ? parcel_write(w, &record) : r;
}

int parcel_put(struct parcel_writer *w, const struct parcel_record *record)
{
	assert(record->type == PARCEL_DATA
		       ? record->data != NULL
		       : record->type == PARCEL_ZEROS && !record->data);
	return parcel_write(w, record);
}

int parcel_end(struct parcel_writer *w)
{
	const struct parcel_record record = {
		.type = PARCEL_END,
		.at = w->nr,
	};

	return parcel_write(w, &record);
}

/* ---- reader ---- */

void parcel_reader_init(struct parcel_reader *r,
			int64_t (*read)(void *ctx, void *to, size_t len),
			void *ctx)
{
	*r = (struct parcel_reader){.read = read, .ctx = ctx};
}

void parcel_reader_fini(struct parcel_reader *r)
{
	free(r->buf);
	r->buf = NULL;
}

/* Return: bytes, less than @len at the end of the file only; -errno. */
static int64_t parcel_fill(const struct parcel_reader *r, void *to, size_t len)
{
	uint8_t *at = to;
	size_t done = 0;

	while (done < len) {
		int64_t n = r->read(r->ctx, at + done, len - done);

		if (n == -EINTR)
			continue;
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

static int parcel_damaged(const struct parcel_reader *r, const char *what,
			  struct err *err)
{
	return err_set(err, -EBADMSG,
		       "record %llu of the parcel is damaged: %s",
		       (unsigned long long)r->nr, what);
}

static int parcel_fill_all(const struct parcel_reader *r, void *to, size_t len,
			   struct err *err)
{
	int64_t n = parcel_fill(r, to, len);

	if (n < 0)
		return err_set(err, (int)n, "cannot read the parcel: %s",
			       err_name((int)n));
	return (size_t)n == len ? 0
				: parcel_damaged(r, "the file ends in it", err);
}

static int parcel_read_magic(const struct parcel_reader *r, struct err *err)
{
	uint8_t magic[MAGIC_BYTES];
	int64_t n = parcel_fill(r, magic, sizeof(magic));

	if (n < 0)
		return err_set(err, (int)n, "cannot read the parcel: %s",
			       err_name((int)n));
	if (n == sizeof(magic) &&
	    memcmp(magic, PARCEL_MAGIC, sizeof(magic)) == 0)
		return 0;
	return err_set(err, -ENOTSUP,
		       "this is no exported snapshot, or one of a later Volt");
}

/* Return: what is wrong, or NULL. */
static const char *parcel_check_pages(const struct parcel_reader *r,
				      const struct parcel_record *record)
{
	if (!is_aligned(record->at, PAGE_SIZE) ||
	    !is_aligned(record->len, PAGE_SIZE) || record->len == 0)
		return "it is not of whole pages";
	if (record->at < r->next)
		return "its pages came before";
	if (!range_fits(record->at, record->len, r->ram_bytes))
		return "it is outside the guest's memory";
	if (record->type == PARCEL_DATA && record->len > PARCEL_DATA_MAX)
		return "it is too large";
	return NULL;
}

static const char *parcel_check(const struct parcel_reader *r,
				const struct parcel_record *record)
{
	if ((r->nr == 0) != (record->type == PARCEL_STATE))
		return "a state comes first, and once";
	switch (record->type) {
	case PARCEL_STATE:
		return record->len == 0 || record->len > PARCEL_STATE_MAX ||
				       record->at == 0 ||
				       record->at > PARCEL_RAM_MAX ||
				       !is_aligned(record->at, PAGE_SIZE)
			       ? "it has no possible size"
			       : NULL;
	case PARCEL_DATA:
	case PARCEL_ZEROS:
		return parcel_check_pages(r, record);
	case PARCEL_END:
		return record->at != r->nr || record->len != 0
			       ? "records are missing"
			       : NULL;
	default:
		return "its type is not known";
	}
}

static int parcel_make_room(struct parcel_reader *r, size_t len,
			    struct err *err)
{
	uint8_t *more;

	if (len <= r->room)
		return 0;
	more = realloc(r->buf, len);
	if (!more)
		return err_set(err, -ENOMEM, "out of memory");
	r->buf = more;
	r->room = len;
	return 0;
}

static int parcel_read_record(struct parcel_reader *r,
			      struct parcel_record *record, struct err *err)
{
	uint8_t head[HEAD_BYTES];
	const char *wrong;
	size_t len;
	int rc = parcel_fill_all(r, head, sizeof(head), err);

	if (rc < 0)
		return rc;
	*record = (struct parcel_record){
		.type = load_le32(head),
		.at = load_le64(head + 8),
		.len = load_le64(head + 16),
	};
	wrong = load_le32(head + 4) != 0 ? "its head is none"
					 : parcel_check(r, record);
	if (wrong)
		return parcel_damaged(r, wrong, err);
	len = record->type == PARCEL_STATE || record->type == PARCEL_DATA
		      ? (size_t)record->len
		      : 0;
	rc = parcel_make_room(r, len, err);
	if (rc == 0)
		rc = parcel_fill_all(r, r->buf, len, err);
	if (rc < 0)
		return rc;
	if (crc64(crc64(0, head, HEAD_CRC), r->buf, len) !=
	    load_le64(head + HEAD_CRC))
		return parcel_damaged(r, "its CRC-64 is another", err);
	record->data = len > 0 ? r->buf : NULL;
	return 1;
}

int parcel_next(struct parcel_reader *r, struct parcel_record *record,
		struct err *err)
{
	uint8_t more;
	int rc;

	if (r->ended)
		return 0;
	if (r->nr == 0) {
		rc = parcel_read_magic(r, err);
		if (rc < 0)
			return rc;
	}
	rc = parcel_read_record(r, record, err);
	if (rc < 0)
		return rc;
	r->nr++;
	if (record->type == PARCEL_STATE)
		r->ram_bytes = record->at;
	else if (record->type != PARCEL_END)
		r->next = record->at + record->len;
	else if (parcel_fill(r, &more, 1) != 0)
		return parcel_damaged(r, "something follows the end", err);
	r->ended = record->type == PARCEL_END;
	return r->ended ? 0 : 1;
}
