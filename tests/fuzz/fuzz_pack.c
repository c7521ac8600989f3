// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_pack.c - a hostile compressed memory file, its CRCs put right
 *
 * What is read has a sentence or is memory; extents ascend and lie in it.
 */
#include "dev_fuzz.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/packed.h"
#include "pack/pack.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MEMORY MIB(1)

/* As far as the head says where they are. */
static void fix_crcs(uint8_t *bytes, size_t len)
{
	uint64_t index_at;

	if (len < PACKED_HEAD_BYTES)
		return;
	index_at = load_le64(bytes + 72);
	if (index_at <= len) {
		uint64_t index =
			load_le32(bytes + 64) * (uint64_t)PACKED_RUN_BYTES;
		uint32_t per = load_le32(bytes + 8);

		if (per > 0)
			index += (load_le32(bytes + 56) + (uint64_t)per - 1) /
				 per * PACKED_FRAME_BYTES;
		if (index <= len - index_at)
			store_le64(bytes + 80,
				   crc64(0, bytes + index_at, index));
	}
	store_le64(bytes + 88, crc64(0, bytes, 88));
}

static void read_all(const struct image_layer *layer)
{
	uint8_t *to = malloc(FUZZ_MEMORY);
	struct memory_extent e = {0};
	struct err err = {0};
	uint64_t last = 0;

	fuzz_check(to != NULL);
	while (image_layer_next(layer, FUZZ_MEMORY, &e)) {
		fuzz_check(e.at >= last && e.end > e.at &&
			   e.end <= FUZZ_MEMORY);
		last = e.end;
		if (image_layer_read(layer, e.at, to, e.end - e.at, &err) < 0) {
			fuzz_check(err.text[0] != '\0');
			break;
		}
	}
	free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	struct image_layer layer;
	struct err err = {0};
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_check(bytes != NULL && fd >= 0);
	memcpy(bytes, data, size);
	fix_crcs(bytes, size);
	fuzz_check(write(fd, bytes, size) == (ssize_t)size);
	if (image_layer_open(&layer, &fd, "file", FUZZ_MEMORY, &pack_unpacker,
			     &err) == 0) {
		if (layer.pack)
			read_all(&layer);
	} else {
		fuzz_check(err.text[0] != '\0');
	}
	image_layer_close(&layer);
	free(bytes);
	return 0;
}
