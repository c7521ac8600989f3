// SPDX-License-Identifier: Apache-2.0
/*
 * payload.c - the ELF kernel inside a bzImage, or inside a compressed file
 */
#include "kernel/payload.h"

#include "base/fd.h"

#include <errno.h>

#define SETUP_SECTS    0x1f1u
#define MAGIC          0x202u
#define SYSSIZE        0x1f4u
#define SYSSIZE_UNIT   UINT64_C(16)
#define VERSION        0x206u
#define PAYLOAD_OFFSET 0x248u
#define PAYLOAD_LENGTH 0x24cu
#define HEADER_END     0x250u
#define VERSION_MIN    0x0208u
#define SECTOR         512u
#define SECTS_IF_ZERO  4u

/**
 * struct to_file - what is unpacked goes into a file
 * @limit:	no more bytes than that
 */
struct to_file {
	struct unpack_sink sink;
	struct progress *progress;
	int fd;
	uint64_t limit;
	uint64_t done;
	int failed;
};

static int write_to_file(struct unpack_sink *sink, const void *data, size_t len)
{
	struct to_file *to = container_of(sink, struct to_file, sink);

	if (len > to->limit - to->done)
		return -EFBIG;
	to->failed = fd_write_full(to->fd, data, len);
	to->done += len;
	progress_tell(to->progress, "unpacking", to->done, to->limit);
	return to->failed;
}

bool payload_is_bzimage(const void *data, size_t len)
{
	return len >= HEADER_END &&
	       memcmp((const char *)data + MAGIC, "HdrS", 4) == 0;
}

/**
 * struct payload - a compressed kernel
 * @len:	without the size behind it
 * @size:	what it states to unpack to; 0: it does not tell
 */
struct payload {
	enum unpack_kind kind;
	const uint8_t *data;
	uint64_t len;
	uint64_t size;
};

static int find_payload(const uint8_t *image, size_t len, struct payload *out,
			struct err *err)
{
	uint64_t setup, start, n, end;

	if (load_le16(image + VERSION) < VERSION_MIN)
		return err_set(err, -EBADMSG,
			       "is too old: its boot protocol is %u.%02u, and "
			       "2.08 (Linux 2.6.26) is the oldest that says "
			       "where its kernel is",
			       load_le16(image + VERSION) >> 8,
			       load_le16(image + VERSION) & 0xff);
	setup = image[SETUP_SECTS] ? image[SETUP_SECTS] : SECTS_IF_ZERO;
	setup = (setup + 1) * SECTOR;
	start = setup + load_le32(image + PAYLOAD_OFFSET);
	n = load_le32(image + PAYLOAD_LENGTH);
	/* What unpacks it is behind it, and not needed: but a file that lacks
	 * some of that was not fetched whole. */
	end = setup + load_le32(image + SYSSIZE) * SYSSIZE_UNIT;
	end = end > start + n ? end : start + n;
	if (end > len)
		return err_set(err, -ENODATA,
			       "is cut off: its kernel ends at byte %llu, the "
			       "file at %zu; fetch or build it again",
			       (unsigned long long)end, len);
	out->data = image + start;
	out->len = n;
	out->kind = unpack_recognize(out->data, out->len);
	if (out->kind == UNPACK_NONE || n < 16)
		return err_set(err, -EBADMSG,
			       "has a kernel that is compressed in no way that "
			       "is known");
	out->size = load_le32(out->data + n - 4);
	if (out->kind != UNPACK_GZIP)
		out->len -= 4;
	if (out->size == 0 || out->size > PAYLOAD_ELF_MAX)
		return err_set(err, -EFBIG,
			       "states a kernel of %llu bytes: 1 to %llu are "
			       "unpacked",
			       (unsigned long long)out->size,
			       (unsigned long long)PAYLOAD_ELF_MAX);
	return 0;
}

static int say_failed(const struct payload *p, const struct to_file *to, int r,
		      struct err *err)
{
	if (to->failed < 0)
		return err_set(err, r, "cannot be unpacked: %s", err_name(r));
	if (r == -EFBIG)
		return err_set(err, r,
			       "unpacks to more than the %llu bytes that %s",
			       (unsigned long long)to->limit,
			       p->size ? "it states" : "a kernel may have");
	return r;
}

int payload_unpack(const void *data, size_t len, int to,
		   struct progress *progress, struct err *err)
{
	struct payload p = {.data = data, .len = len};
	struct to_file file = {
		.sink.write = write_to_file,
		.progress = progress,
		.fd = to,
	};
	int r = 0;

	if (payload_is_bzimage(data, len))
		r = find_payload(data, len, &p, err);
	else
		p.kind = unpack_recognize(data, len);
	if (r < 0)
		return r;
	file.limit = p.size ? p.size : PAYLOAD_ELF_MAX;
	r = unpack(p.kind, p.data, p.len, &file.sink, err);
	if (r < 0)
		return say_failed(&p, &file, r, err);
	if (p.size && file.done != p.size)
		return err_set(err, -EBADMSG,
			       "unpacks to %llu bytes, and states %llu",
			       (unsigned long long)file.done,
			       (unsigned long long)p.size);
	return 0;
}
