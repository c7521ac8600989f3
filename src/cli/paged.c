// SPDX-License-Identifier: Apache-2.0
/*
 * paged.c - does a snapshot need somebody who serves its memory? (paged.h)
 */
#include "cli/paged.h"

#include "base/fd.h"
#include "image/packed.h"
#include "snapshot/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGED_DEVICE "/dev/userfaultfd"

/* What the memory file says of itself. Return: 1, 0, or -EAGAIN: nothing. */
static int paged_by_file(const char *path)
{
	cleanup_fd int fd = path_open(&path_direct, PATH_MEMORY, path, NULL);
	struct snapshot_label label;
	struct packed_head head;
	struct stat st;

	if (fd < 0 || fd_stat(fd, &st) < 0)
		return -EAGAIN;
	/* One that is neither packed nor raw is refused by who restores it. */
	if (packed_is(st.st_size))
		return packed_head_read(fd, path, &head, NULL) != -ENOMSG;
	return snapshot_label_get(fd, &label) == LABEL_SURE && label.base == 0
		       ? 0
		       : -EAGAIN;
}

/* The same of all that it needs: without one who unpacks it is refused. */
static int paged_by_chain(const struct snapshot_paths *paths, struct err *err)
{
	struct image image = {0};
	uint64_t moment;
	int r = snapshot_image_at(paths, &image, &moment, NULL);

	image_fini(&image);
	return r == -ENOMEM ? err_set(err, r, "out of memory") : r == -ENOTSUP;
}

int paged_is_needed(const char *from, const char *memory, struct err *err)
{
	struct snapshot_paths paths = {0};
	int r = snapshot_paths_of(&paths, from, memory);

	if (r < 0)
		return err_set(err, r, "out of memory");
	r = paged_by_file(paths.memory);
	if (r == -EAGAIN)
		r = paged_by_chain(&paths, err);
	snapshot_paths_free(&paths);
	return r;
}

int paged_can_be(struct err *err)
{
	cleanup_fd int fd = open(PAGED_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (fd >= 0)
		return 1;
	return err_set(err, -EPERM,
		       "the memory is compressed, and is served by "
		       "userfaultfd, which this user may not have: let the "
		       "user read and write " PAGED_DEVICE
		       " (chmod, or a udev rule), or set "
		       "vm.unprivileged_userfaultfd to 1, or make the memory "
		       "raw (volt snapshot decompress)");
}
