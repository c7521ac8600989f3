// SPDX-License-Identifier: Apache-2.0
/*
 * virtio_block.c - the drives of the configuration as devices
 */
#include "base/fd.h"
#include "base/log.h"
#include "dev/blk.h"
#include "vm/drives.h"
#include "vm/machine.h"
#include "vm/vm.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t count(const struct vm_config *config)
{
	return config->nr_drives;
}

/* What is legal, and mostly a mistake. */
static void warn_of_file(const struct drive_config *drive,
			 const struct blk_file *file)
{
	struct stat st;
	char magic[4];
	const struct iovec iov = {magic, sizeof(magic)};

	if (!file->is_device && fd_stat(file->fd, &st) == 0 &&
	    st.st_size % BLK_SECTOR_BYTES != 0)
		log_warn("Drive %s: the last %u bytes of %s are no whole "
			 "sector: the guest does not see them",
			 drive->drive_id,
			 (unsigned int)(st.st_size % BLK_SECTOR_BYTES),
			 drive->path_on_host);
	if (fd_preadv(file->fd, &iov, 1, 0) == sizeof(magic) &&
	    memcmp(magic, "QFI\xfb", sizeof(magic)) == 0)
		log_warn("Drive %s: %s is a qcow2 image, and the guest gets it "
			 "as it stands: `qemu-img convert -O raw %s NEW` makes "
			 "a raw one",
			 drive->drive_id, drive->path_on_host,
			 drive->path_on_host);
}

static int make(struct virtio_slots *slots, size_t i, struct virtio_dev **out,
		struct err *err)
{
	const struct drive_config *drive = &slots->board->env.config->drives[i];
	struct blk_params params = {
		.id = drive->drive_id,
		.mem = &slots->board->mem,
		.loop = slots->board->env.loop,
		.read_only = drive->is_read_only,
		.flush = drive->cache_type == CACHE_WRITEBACK,
		.async = drive->io_engine == IO_ENGINE_ASYNC,
		.no_discard = drive->has_discard && !drive->discard,
	};
	int r = blk_file_init(&params.file, drive->fd);
	struct blk *blk;

	if (r < 0)
		return err_set(err, r, "The file of drive %s, %s: %s",
			       drive->drive_id, drive->path_on_host,
			       err_name(r));
	warn_of_file(drive, &params.file);
	r = blk_new(&blk, &params, err);
	if (r < 0)
		return r;
	virtio_add_limiter(slots, blk_limiter(blk), &drive->rate_limiter);
	r = virtio_add_counters(slots, &blk_metric_group, drive->drive_id,
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
	.id = VIRTIO_ID_BLOCK,
	.count = count,
	.make = make,
};

/* Never NULL: a started VM has a device for each drive. */
static struct blk *find(struct vm *vm, const struct drive_config *drive)
{
	size_t i = (size_t)(drive - vm->config.drives);
	struct blk *blk =
		blk_of(virtio_find(&vm->machine->slots, &virtio_kind_block, i));

	assert(blk);
	return blk;
}

int vm_drive_set_file(struct vm *vm, struct drive_config *drive,
		      const char *path, int *fd,
		      const struct drive_claim *claim)
{
	cleanup_free char *copy = strdup(path);
	struct blk_file file;
	int old_fd, r;

	if (!copy)
		return -ENOMEM;
	r = blk_file_init(&file, *fd);
	if (r == 0)
		r = blk_set_file(find(vm, drive), &file);
	if (r < 0)
		return r;
	old_fd = drive->fd;
	drive->fd = fd_steal(fd);
	drive_claim_take(drive, claim, &old_fd);
	free(drive->path_on_host);
	drive->path_on_host = ptr_steal(copy);
	return 0;
}

void vm_drive_set_limits(struct vm *vm, struct drive_config *drive,
			 const struct rate_limiter_config *limiter)
{
	struct blk *blk = find(vm, drive);

	virtio_dev_enter(blk_dev(blk));
	virtio_set_limits(blk_limiter(blk), limiter);
	virtio_dev_leave(blk_dev(blk));
	rate_limiter_config_update(&drive->rate_limiter, limiter);
}

void vm_drive_count_update(struct vm *vm, const struct drive_config *drive,
			   bool failed)
{
	struct blk_counters *counters = blk_counters(find(vm, drive));

	metric_inc(failed ? &counters->update_fails : &counters->update_count);
}
