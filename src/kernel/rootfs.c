// SPDX-License-Identifier: Apache-2.0
/*
 * rootfs.c - which file system an image holds, by its first bytes
 *
 * Superblocks as Linux has them in include/uapi/linux/magic.h and the file
 * systems' own headers.
 */
#include "kernel/rootfs.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const struct {
	enum rootfs_kind kind;
	uint32_t off;
	uint32_t len;
	const char *magic;
} magics[] = {
	{ROOTFS_EXT4, 0x438, 2, "\x53\xef"},
	{ROOTFS_XFS, 0, 4, "XFSB"},
	{ROOTFS_BTRFS, 0x10040, 8, "_BHRfS_M"},
	{ROOTFS_SQUASHFS, 0, 4, "hsqs"},
	{ROOTFS_EROFS, 0x400, 4, "\xe2\xe1\xf5\xe0"},
	/* Behind the others: a file system may begin with a boot sector. */
	{ROOTFS_PARTITIONS, 0x1fe, 2, "\x55\xaa"},
};

static const struct {
	const char *name;
	enum drives_id id;
} rootfs_kinds[] = {
	[ROOTFS_EXT4] = {"ext4", DRIVES_EXT4},
	[ROOTFS_XFS] = {"xfs", DRIVES_XFS},
	[ROOTFS_BTRFS] = {"btrfs", DRIVES_BTRFS},
	[ROOTFS_SQUASHFS] = {"squashfs", DRIVES_SQUASHFS},
	[ROOTFS_EROFS] = {"erofs", DRIVES_EROFS},
	[ROOTFS_PARTITIONS] = {NULL, DRIVES_COUNT},
};

enum rootfs_kind rootfs_of(const uint8_t *head, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (range_fits(magics[i].off, magics[i].len, len) &&
		    memcmp(head + magics[i].off, magics[i].magic,
			   magics[i].len) == 0)
			return magics[i].kind;
	return ROOTFS_UNKNOWN;
}

int rootfs_of_file(const char *path, enum rootfs_kind *kind, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	cleanup_free uint8_t *head = calloc(1, ROOTFS_BYTES);
	ssize_t n;

	if (!head)
		return err_set(err, -ENOMEM, "Out of memory");
	n = fd < 0 ? -1 : pread(fd, head, ROOTFS_BYTES, 0);
	if (n < 0)
		return err_set(err, -errno, "Cannot read the disk %s: %s", path,
			       err_name(errno));
	*kind = rootfs_of(head, (size_t)n);
	return 0;
}

const char *rootfs_name(enum rootfs_kind kind)
{
	return rootfs_kinds[kind].name;
}

enum drives_id rootfs_drives(enum rootfs_kind kind)
{
	return rootfs_kinds[kind].id;
}
