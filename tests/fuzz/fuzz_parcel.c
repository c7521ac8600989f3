// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_parcel.c - a hostile exported snapshot, its CRCs put right
 *
 * Records that the reader passes on keep what its header promises.
 */
#include "dev_fuzz.h"

#include "base/crc64.h"
#include "image/parcel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAGIC 8u
#define HEAD  32u

struct input {
	uint8_t *data;
	size_t len;
	size_t at;
};

static int64_t read_input(void *ctx, void *to, size_t len)
{
	struct input *in = ctx;
	size_t n = in->len - in->at < len ? in->len - in->at : len;

	memcpy(to, in->data + in->at, n);
	in->at += n;
	return (int64_t)n;
}

/* As far as records follow each other. */
static void fix_crcs(struct input *in)
{
	size_t at = MAGIC;

	while (in->len >= at + HEAD) {
		uint8_t *head = in->data + at;
		uint32_t type = load_le32(head);
		uint64_t len = load_le64(head + 16);
		uint64_t crc = crc64(0, head, 24);

		if (type != PARCEL_STATE && type != PARCEL_DATA)
			len = 0;
		if (len > in->len - at - HEAD)
			return;
		store_le64(head + 24, crc64(crc, head + HEAD, (size_t)len));
		at += HEAD + (size_t)len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.data = malloc(size + 1), .len = size};
	struct parcel_reader reader;
	struct parcel_record record;
	struct err err = {0};
	uint64_t next = 0, nr = 0, ram = 0;
	int r;

	fuzz_check(in.data != NULL);
	memcpy(in.data, data, size);
	fix_crcs(&in);
	parcel_reader_init(&reader, read_input, &in);
	while ((r = parcel_next(&reader, &record, &err)) > 0) {
		fuzz_check((nr++ == 0) == (record.type == PARCEL_STATE));
		if (record.type == PARCEL_STATE) {
			ram = record.at;
			fuzz_check(record.len <= PARCEL_STATE_MAX &&
				   ram <= PARCEL_RAM_MAX);
			continue;
		}
		fuzz_check(record.at >= next && record.at <= ram &&
			   record.len <= ram - record.at);
		fuzz_check((record.type == PARCEL_DATA) ==
			   (record.data != NULL));
		next = record.at + record.len;
	}
	fuzz_check(r == 0 || err.text[0] != '\0');
	fuzz_check(r < 0 || in.at == in.len);
	parcel_reader_fini(&reader);
	free(in.data);
	return 0;
}
