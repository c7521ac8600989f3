// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_map.c - a hostile map of a diff, its CRC put right
 *
 * One that counts keeps what its header promises: extents ascend, have gaps
 * between them and end inside the file.
 */
#include "dev_fuzz.h"

#include "base/crc64.h"
#include "image/map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MEMORY MIB(16)
#define CRC_AT      32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t mtime[2] = {1, 2};
	uint8_t bytes[MEMORY_MAP_BYTES + 1];
	struct memory_extent e = {0};
	struct memory_map *map;
	uint64_t last = 0, nr = 0;

	if (size > sizeof(bytes))
		size = sizeof(bytes);
	memcpy(bytes, data, size);
	if (size >= MEMORY_MAP_HEAD) {
		uint64_t crc = crc64(0, bytes, CRC_AT);

		store_le64(bytes + CRC_AT, crc64(crc, bytes + MEMORY_MAP_HEAD,
						 size - MEMORY_MAP_HEAD));
	}
	if (memory_map_decode(bytes, size, mtime, FUZZ_MEMORY, &map) < 0)
		return 0;
	while (memory_map_next(map, &e)) {
		fuzz_check(e.at % PAGE_SIZE == 0 && e.end % PAGE_SIZE == 0);
		fuzz_check(e.at < e.end && e.end <= FUZZ_MEMORY);
		fuzz_check(nr == 0 || e.at > last);
		last = e.end;
		nr++;
	}
	fuzz_check(e.error == 0 && nr == map->nr);
	fuzz_check(nr <= MEMORY_MAP_EXTENTS);
	memory_map_free(map);
	return 0;
}
