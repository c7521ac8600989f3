// SPDX-License-Identifier: Apache-2.0
/*
 * blk_sync.c - block operations one at a time (theory: blk_io.h)
 */
#include "dev/blk_io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Written where no hole can be punched; one page, many times in a call. */
#define ZERO_PIECES 64u
static const uint8_t zeroes[PAGE_SIZE];

int blk_file_init(struct blk_file *file, int fd)
{
	uint64_t bytes;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENOTBLK;
	bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	*file = (struct blk_file){
		.fd = fd,
		.is_device = S_ISBLK(st.st_mode),
		.sectors = bytes / BLK_SECTOR_BYTES,
	};
	return 0;
}

/* Forget the first @n bytes of the buffers. */
static void advance(struct blk_io *io, uint64_t n)
{
	io->off += n;
	io->left -= n;
	while (n > 0 && n >= io->iov->iov_len) {
		n -= io->iov->iov_len;
		io->iov++;
		io->nr_iov--;
	}
	if (n > 0) {
		io->iov->iov_base = (uint8_t *)io->iov->iov_base + n;
		io->iov->iov_len -= (size_t)n;
	}
}

int blk_io_step(struct blk_io *io, int64_t result)
{
	bool transfers = io->kind == BLK_IO_READ || io->kind == BLK_IO_WRITE;

	if (result == -EINTR)
		return 1;
	if (result < 0)
		return (int)result;
	if (!transfers)
		return 0;
	if (result == 0)
		return -ENODATA;
	if ((uint64_t)result > io->left)
		return -EIO;
	advance(io, (uint64_t)result);
	return io->left > 0;
}

int blk_io_fallocate_mode(enum blk_io_kind kind)
{
	return FALLOC_FL_KEEP_SIZE |
	       (kind == BLK_IO_ZERO ? FALLOC_FL_ZERO_RANGE
				    : FALLOC_FL_PUNCH_HOLE);
}

/* Written and on stable storage, in one call */
static ssize_t write_stable(int fd, const struct iovec *iov, int nr, off_t off)
{
#ifdef __GLIBC__
	return pwritev2(fd, iov, nr, off, RWF_DSYNC);
#else
	/* musl has no such function before 1.2.5. */
	return syscall(SYS_pwritev2, fd, iov, nr, off, 0, RWF_DSYNC);
#endif
}

static ssize_t transfer(int fd, const struct blk_io *io)
{
	int nr = (int)io->nr_iov;
	off_t off = (off_t)io->off;

	if (io->kind == BLK_IO_READ)
		return nr == 1 ? pread(fd, io->iov->iov_base, io->iov->iov_len,
				       off)
			       : preadv(fd, io->iov, nr, off);
	if (io->stable)
		return write_stable(fd, io->iov, nr, off);
	return nr == 1 ? pwrite(fd, io->iov->iov_base, io->iov->iov_len, off)
		       : pwritev(fd, io->iov, nr, off);
}

static ssize_t discard(const struct blk_file *file, const struct blk_io *io)
{
	uint64_t range[2] = {io->off, io->left};

	if (file->is_device && io->kind == BLK_IO_DISCARD)
		return ioctl(file->fd, BLKDISCARD, range);
	return fallocate(file->fd, blk_io_fallocate_mode(io->kind),
			 (off_t)io->off, (off_t)io->left);
}

static ssize_t call(const struct blk_file *file, const struct blk_io *io)
{
	switch (io->kind) {
	case BLK_IO_READ:
	case BLK_IO_WRITE:
		return transfer(file->fd, io);
	case BLK_IO_FLUSH:
		return fdatasync(file->fd);
	default:
		return discard(file, io);
	}
}

static int run(const struct blk_file *file, struct blk_io *io)
{
	int r;

	do {
		ssize_t n = call(file, io);

		r = blk_io_step(io, n < 0 ? -errno : n);
	} while (r > 0);
	return r;
}

static int write_zeroes(const struct blk_file *file, const struct blk_io *io)
{
	uint64_t off = io->off, left = io->left;
	int r = 0;

	while (left > 0 && r == 0) {
		struct iovec iov[ZERO_PIECES];
		struct blk_io piece = {
			.kind = BLK_IO_WRITE,
			.iov = iov,
			.off = off,
		};

		while (left > 0 && piece.nr_iov < ZERO_PIECES) {
			size_t n = left < PAGE_SIZE ? (size_t)left : PAGE_SIZE;

			/* Only read from: a write's buffers are not const. */
			iov[piece.nr_iov++] =
				(struct iovec){(void *)(uintptr_t)zeroes, n};
			piece.left += n;
			left -= n;
		}
		off += piece.left;
		r = run(file, &piece);
	}
	return r;
}

/* A file system or device that knows no holes. */
static bool cannot(int r)
{
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -ENODEV || r == -ENOTTY;
}

int blk_sync_run(const struct blk_file *file, struct blk_io *io)
{
	bool writes = io->kind != BLK_IO_READ && io->kind != BLK_IO_FLUSH;
	int r = run(file, io);

	if (cannot(r) && io->kind == BLK_IO_DISCARD)
		r = 0;
	if (cannot(r) && (io->kind == BLK_IO_UNMAP || io->kind == BLK_IO_ZERO))
		r = write_zeroes(file, io);
	if (r == 0 && writes && io->stable && io->kind != BLK_IO_WRITE &&
	    fdatasync(file->fd) < 0)
		r = -errno;
	return r;
}
