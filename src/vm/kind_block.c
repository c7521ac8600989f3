// SPDX-License-Identifier: Apache-2.0
/*
 * kind_block.c - the drives of the configuration as devices
 */
#include "base/fd.h"
#include "base/log.h"
#include "dev/blk.h"
#include "vm/slots.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t kind_block_count(const struct vm_config *config)
{
	return config->nr_drives;
}

/* What is legal, and mostly a mistake. */
static void warn_of_file(const struct drive_config *drive,
			 const struct block_file *file)
{
	struct stat st;
	char magic[4];
	const struct iovec iov = {magic, sizeof(magic)};

	if (!file->is_device && fd_stat(file->fd, &st) == 0 &&
	    st.st_size % BLOCK_SECTOR_BYTES != 0)
		log_warn("Drive %s: the last %u bytes of %s are no whole "
			 "sector: the guest does not see them",
			 drive->drive_id,
			 (unsigned int)(st.st_size % BLOCK_SECTOR_BYTES),
			 drive->path_on_host);
	if (fd_preadv(file->fd, &iov, 1, 0) == sizeof(magic) &&
	    memcmp(magic, "QFI\xfb", sizeof(magic)) == 0)
		log_warn("Drive %s: %s is a qcow2 image, and the guest gets it "
			 "as it stands: `qemu-img convert -O raw %s NEW` makes "
			 "a raw one",
			 drive->drive_id, drive->path_on_host,
			 drive->path_on_host);
}

static const enum block_engine_kind kind_block_kinds[] = {
	[IO_ENGINE_SYNC] = BLOCK_ENGINE_SYNC,
	[IO_ENGINE_ASYNC] = BLOCK_ENGINE_ASYNC,
};

static int kind_block_make(struct virtio_slots *slots, size_t i,
			   struct virtio_dev **out, struct err *err)
{
	const struct drive_config *drive = &slots->board->env.config->drives[i];
	struct blk_params params = {
		.id = drive->drive_id,
		.mem = &slots->board->mem,
		.loop = slots->board->env.loop,
		.read_only = drive->is_read_only,
		.flush = drive->cache_type == CACHE_WRITEBACK,
		.kind = kind_block_kinds[drive->io_engine],
		.no_discard = drive->has_discard && !drive->discard,
	};
	int r = block_file_init(&params.file, drive->fd);
	struct blk *blk;

	if (r < 0)
		return err_set(err, r, "The file of drive %s, %s: %s",
			       drive->drive_id, drive->path_on_host,
			       err_name(r));
	warn_of_file(drive, &params.file);
	r = blk_new(&blk, &params, err);
	if (r < 0)
		return r;
	slots_add_limiter(slots, blk_limiter(blk), &drive->rate_limiter);
	r = slots_add_counters(slots, &blk_metric_group, drive->drive_id,
			       blk_counters(blk), err);
	if (r < 0) {
		blk_dev(blk)->ops->destroy(blk_dev(blk));
		return r;
	}
	*out = blk_dev(blk);
	return 0;
}

const struct virtio_kind virtio_kind_block = {
	.name = "block",
	.count = kind_block_count,
	.make = kind_block_make,
};
