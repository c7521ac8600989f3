// SPDX-License-Identifier: Apache-2.0
/*
 * overlay.c - private copies of drives (theory of operation: overlay.h)
 */
#include "vm/overlay.h"

#include "base/fd.h"
#include "base/log.h"
#include "block/io.h"
#include "image/copy.h"
#include "image/extent.h"

#include <errno.h>
#include <unistd.h>

static int copy_file(int from, int to, uint64_t *copied)
{
	struct memory_extent e = {0};
	struct block_file file;
	uint64_t size;
	int r = block_file_init(&file, from);

	if (r < 0)
		return r;
	size = file.sectors * BLOCK_SECTOR_BYTES;
	/* ftruncate() would need a row in the filter (calls.h). */
	if (size > 0)
		r = image_write_at(to, (const uint8_t *)"", 1, size - 1);
	while (r == 0 && memory_next_extent(from, size, &e)) {
		uint64_t end = e.end < size ? e.end : size;

		r = image_copy_extent(from, to, e.at, end);
		*copied += end - e.at;
	}
	return r == 0 ? e.error : r;
}

int overlay_copy(const struct drive_config *drive, int from, int to,
		 struct err *err)
{
	uint64_t copied = 0;
	int r = copy_file(from, to, &copied);

	if (r < 0)
		return err_set(err, r,
			       "Drive %s: its private copy cannot be made: %s",
			       drive->drive_id, err_name(r));
	log_info("Drive %s is a private copy of %s: %llu KiB", drive->drive_id,
		 drive->path_on_host, (unsigned long long)(copied >> 10));
	return 0;
}

static int fill(struct drive_config *drive, struct err *err)
{
	int r = overlay_copy(drive, drive->base_fd, drive->fd, err);

	fd_close(&drive->base_fd);
	return r;
}

int overlay_fill(struct vm_config *config, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < config->nr_drives && r == 0; i++)
		if (config->drives[i].is_overlay)
			r = fill(&config->drives[i], err);
	return r;
}

const struct drive_config *overlay_find(const struct vm_config *config)
{
	for (size_t i = 0; i < config->nr_drives; i++)
		if (config->drives[i].is_overlay)
			return &config->drives[i];
	return NULL;
}
