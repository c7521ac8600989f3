// SPDX-License-Identifier: Apache-2.0
/*
 * copy.c - the contents of a memory file, from file to file (copy.h)
 */
#include "image/copy.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/extent.h"

#include <errno.h>
#include <unistd.h>

/* One write: long enough that calls cost nothing, short enough to be ended. */
#define WRITE_MAX  MIB(64)
#define COPY_CHUNK MIB(1)
#define ZERO_STEP  64u

/* Most pages that hold something show it at once. */
bool image_page_is_zero(const uint8_t *page)
{
	for (size_t i = 0; i < PAGE_SIZE; i += ZERO_STEP) {
		uint64_t any = 0;

		for (size_t k = 0; k < ZERO_STEP; k += 8)
			any |= load_le64(page + i + k);
		if (any != 0)
			return false;
	}
	return true;
}

int image_write_at(int fd, const uint8_t *data, uint64_t len, uint64_t off)
{
	while (len > 0) {
		ssize_t n =
			fd_pwrite(fd, data, len < WRITE_MAX ? len : WRITE_MAX,
				  (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		data += n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

int64_t image_copy_range(int from, uint64_t from_off, int to, uint64_t to_off,
			 uint64_t len)
{
	off_t in = (off_t)from_off, out = (off_t)to_off;
	uint64_t done = 0;

	while (done < len) {
		ssize_t n = copy_file_range(from, &in, to, &out, len - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EFBIG ||
			      errno == EIO || errno == EDQUOT))
			return -errno;
		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return (int64_t)done;
}

/* What the kernel does not copy by itself. */
static int copy_by_hand(int from, int to, uint64_t off, uint64_t end)
{
	cleanup_free uint8_t *chunk = malloc(COPY_CHUNK);
	int r = chunk ? 0 : -ENOMEM;

	while (r == 0 && off < end) {
		uint64_t n = end - off < COPY_CHUNK ? end - off : COPY_CHUNK;

		r = fd_read_full(from, chunk, n, (off_t)off);
		if (r == 0)
			r = image_write_at(to, chunk, n, off);
		off += n;
	}
	return r;
}

uint64_t memory_stored(int fd, uint64_t size)
{
	struct memory_extent e = {0};
	uint64_t bytes = 0;

	while (memory_next_extent(fd, size, &e))
		bytes += e.end - e.at;
	return bytes;
}

int memory_sum_begin(struct memory_sum *sum, uint64_t size, bool zeros,
		     struct err *err)
{
	uint8_t start[8];

	*sum = (struct memory_sum){
		.zeros = zeros,
		.chunk = malloc(COPY_CHUNK),
	};
	/* Not 0, which zeros would leave as it is. */
	store_le64(start, size);
	sum->crc = crc64(0, start, sizeof(start));
	return sum->chunk ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

int memory_sum_extent(struct memory_sum *sum, const struct image_layer *layer,
		      uint64_t at, uint64_t end, struct err *err)
{
	while (at < end) {
		uint64_t n = end - at < COPY_CHUNK ? end - at : COPY_CHUNK;
		int r = image_layer_read(layer, at, sum->chunk, n, err);

		if (r < 0)
			return r;
		for (uint64_t i = 0; i < n; i += PAGE_SIZE) {
			uint8_t number[8];

			if (!sum->zeros && image_page_is_zero(sum->chunk + i))
				continue;
			store_le64(number, (at + i) / PAGE_SIZE);
			sum->crc = crc64(sum->crc, number, sizeof(number));
			sum->crc = crc64(sum->crc, sum->chunk + i, PAGE_SIZE);
		}
		at += n;
		if (sum->watch)
			sum->watch->read(sum->watch, n);
	}
	return 0;
}

uint64_t memory_sum_end(struct memory_sum *sum)
{
	free(sum->chunk);
	sum->chunk = NULL;
	return sum->crc;
}

int memory_crc(const struct image_layer *layer, uint64_t size, bool zeros,
	       uint64_t *crc, struct err *err)
{
	return memory_crc_watched(layer, size, zeros, NULL, crc, err);
}

int memory_crc_watched(const struct image_layer *layer, uint64_t size,
		       bool zeros, struct memory_watch *watch, uint64_t *crc,
		       struct err *err)
{
	struct memory_extent e = {0};
	struct memory_sum sum;
	uint64_t all;
	int r = memory_sum_begin(&sum, size, zeros, err);

	sum.watch = watch;
	while (r == 0 && image_layer_next(layer, size, &e))
		r = memory_sum_extent(&sum, layer, e.at, e.end, err);
	if (r == 0)
		r = image_layer_walked(layer, &e, err);
	all = memory_sum_end(&sum);
	if (r == 0)
		*crc = all;
	return r;
}

int image_copy_extent(int from, int to, uint64_t at, uint64_t end)
{
	int64_t n = image_copy_range(from, at, to, at, end - at);

	return n < 0 ? (int)n : copy_by_hand(from, to, at + (uint64_t)n, end);
}

static int copy_zeros(int to, uint64_t at, uint64_t end)
{
	static const uint8_t zeros[KIB(64)];
	int r = 0;

	for (uint64_t n; at < end && r == 0; at += n) {
		n = end - at < sizeof(zeros) ? end - at : sizeof(zeros);
		r = image_write_at(to, zeros, n, at);
	}
	return r;
}

int image_copy_mapped(int from, int to, uint64_t at, uint64_t end)
{
	struct memory_extent e = {.end = at};
	int r = 0;

	while (r == 0 && memory_next_extent(from, end, &e)) {
		r = copy_zeros(to, at, e.at);
		at = e.end;
		if (r == 0)
			r = image_copy_extent(from, to, e.at, e.end);
	}
	if (r == 0)
		r = e.error;
	return r == 0 ? copy_zeros(to, at, end) : r;
}

int memory_copy(int from, int to, uint64_t size, struct err *err)
{
	struct memory_extent e = {0};
	int r = 0;

	while (r == 0 && memory_next_extent(from, size, &e))
		r = image_copy_extent(from, to, e.at, e.end);
	if (r == 0)
		r = e.error;
	return r < 0 ? err_set(err, r, "Cannot copy the memory file: %s",
			       err_name(r))
		     : 0;
}
