// SPDX-License-Identifier: Apache-2.0
/*
 * io.c - block operations as rows of system calls (theory: io.h)
 */
#include "block/io.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Written where no hole can be punched; one page, many times in a call. */
#define ZERO_PIECES 64u
static const uint8_t zeroes[PAGE_SIZE];
/* Only read from: a write's buffers are not const. */
#define ZERO_PAGE {(void *)(uintptr_t)zeroes, PAGE_SIZE}
#define ZERO_4    ZERO_PAGE, ZERO_PAGE, ZERO_PAGE, ZERO_PAGE
#define ZERO_16   ZERO_4, ZERO_4, ZERO_4, ZERO_4
static const struct iovec zero_iov[] = {ZERO_16, ZERO_16, ZERO_16, ZERO_16};

static_assert(ARRAY_SIZE(zero_iov) == ZERO_PIECES, "as many as are used");

int block_file_init(struct block_file *file, int fd)
{
	uint64_t bytes;
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return -ENOTBLK;
	bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	*file = (struct block_file){
		.fd = fd,
		.is_device = S_ISBLK(st.st_mode),
		.sectors = bytes / BLOCK_SECTOR_BYTES,
	};
	return 0;
}

/* ---- the next call ---- */

static bool transfers(const struct block_io *io)
{
	return io->kind == BLOCK_IO_READ || io->kind == BLOCK_IO_WRITE;
}

/* All of the last buffer again. */
static void uncut(struct block_io *io)
{
	if (io->cut > 0)
		io->iov[io->nr_asked - 1].iov_len += (size_t)io->cut;
	io->cut = 0;
}

/* The buffers of a piece. Return: its bytes. */
static uint64_t io_cut(struct block_io *io, uint64_t piece)
{
	uint64_t bytes = 0;

	uncut(io);
	io->nr_asked = 0;
	while (io->nr_asked < io->nr_iov && bytes < piece)
		bytes += io->iov[io->nr_asked++].iov_len;
	if (bytes <= piece)
		return bytes;
	io->cut = bytes - piece;
	io->iov[io->nr_asked - 1].iov_len -= (size_t)io->cut;
	return piece;
}

static void call_transfer(struct block_io *io, uint64_t piece,
			  struct block_call *call)
{
	bool read = io->kind == BLOCK_IO_READ;

	call->kind = read ? BLOCK_CALL_READ : BLOCK_CALL_WRITE;
	call->flags = !read && io->stable ? RWF_DSYNC : 0;
	call->len = io_cut(io, piece);
	call->iov = io->iov;
	call->nr_iov = io->nr_asked;
}

static void call_zeroes(struct block_io *io, uint64_t piece,
			struct block_call *call)
{
	uint64_t pages = (io->left < piece ? io->left : piece) / PAGE_SIZE;

	call->kind = BLOCK_CALL_WRITE;
	if (pages == 0) {
		io->rest = zero_iov[0];
		io->rest.iov_len = (size_t)io->left;
		call->iov = &io->rest;
		call->nr_iov = 1;
		call->len = io->left;
		return;
	}
	call->iov = zero_iov;
	call->nr_iov = pages < ZERO_PIECES ? (unsigned int)pages : ZERO_PIECES;
	call->len = (uint64_t)call->nr_iov * PAGE_SIZE;
}

static void call_range(const struct block_io *io, const struct block_file *file,
		       uint64_t piece, struct block_call *call)
{
	/* To the next multiple: blocks of the host's stay whole. */
	uint64_t range = piece * BLOCK_RANGE_BYTES;
	uint64_t len = range - io->off % range;

	call->len = io->left < len ? io->left : len;
	if (io->kind == BLOCK_IO_DISCARD && file->is_device) {
		call->kind = BLOCK_CALL_DISCARD;
		return;
	}
	call->kind = BLOCK_CALL_FALLOCATE;
	call->flags = FALLOC_FL_KEEP_SIZE |
		      (io->kind == BLOCK_IO_ZERO ? FALLOC_FL_ZERO_RANGE
						 : FALLOC_FL_PUNCH_HOLE);
}

void block_io_call(struct block_io *io, const struct block_file *file,
		   uint64_t piece, struct block_call *call)
{
	*call = (struct block_call){
		.kind = BLOCK_CALL_SYNC,
		.fd = file->fd,
		.off = io->off,
	};
	if (transfers(io))
		call_transfer(io, piece, call);
	else if (io->left > 0 && io->by_hand)
		call_zeroes(io, piece, call);
	else if (io->left > 0)
		call_range(io, file, piece, call);
	io->asked = call->len;
}

uint64_t block_call_cost(const struct block_call *call)
{
	bool range = call->kind == BLOCK_CALL_FALLOCATE ||
		     call->kind == BLOCK_CALL_DISCARD;

	return range ? call->len / BLOCK_RANGE_BYTES : call->len;
}

bool block_io_is_large(const struct block_io *io, uint64_t piece)
{
	/* UNMAP and ZERO may have to be written. */
	if (io->kind == BLOCK_IO_DISCARD)
		piece *= BLOCK_RANGE_BYTES;
	return io->left > piece;
}

/* ---- its result ---- */

/* Forget the first @n bytes of the buffers. */
static void advance(struct block_io *io, uint64_t n)
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

static int step_transfer(struct block_io *io, int64_t result)
{
	uncut(io);
	if (result < 0)
		return (int)result;
	if (result == 0)
		return -ENODATA;
	if ((uint64_t)result > io->asked)
		return -EIO;
	advance(io, (uint64_t)result);
	return io->left > 0;
}

/* A file system or device that knows no holes. */
static bool io_cannot(int64_t r)
{
	return r == -EOPNOTSUPP || r == -ENOSYS || r == -ENODEV || r == -ENOTTY;
}

static int step_range(struct block_io *io, int64_t result)
{
	uint64_t done = io->by_hand ? (uint64_t)result : io->asked;

	if (io_cannot(result) && !io->by_hand) {
		/* A discard is a hint. */
		if (io->kind == BLOCK_IO_DISCARD)
			return 0;
		io->by_hand = true;
		return 1;
	}
	if (result < 0)
		return (int)result;
	if (done == 0 || done > io->asked)
		return -EIO;
	io->off += done;
	io->left -= done;
	return io->left > 0 || io->stable; /* then one for stable storage */
}

int block_io_step(struct block_io *io, int64_t result)
{
	if (result == -EINTR)
		return 1;
	if (transfers(io))
		return step_transfer(io, result);
	if (io->left > 0)
		return step_range(io, result);
	return result < 0 ? (int)result : 0;
}

/* ---- doing it at once ---- */

static ssize_t transfer(const struct block_call *c)
{
	int nr = (int)c->nr_iov;
	off_t off = (off_t)c->off;

	if (c->kind == BLOCK_CALL_READ)
		return fd_preadv(c->fd, c->iov, nr, off);
	return fd_pwritev(c->fd, c->iov, nr, off, c->flags);
}

int64_t block_call_run(const struct block_call *c)
{
	uint64_t range[2] = {c->off, c->len};
	ssize_t r;

	switch (c->kind) {
	case BLOCK_CALL_READ:
	case BLOCK_CALL_WRITE:
		r = transfer(c);
		break;
	case BLOCK_CALL_SYNC:
		r = fdatasync(c->fd);
		break;
	case BLOCK_CALL_DISCARD:
		r = ioctl(c->fd, BLKDISCARD, range);
		break;
	default:
		r = fallocate(c->fd, c->flags, (off_t)c->off, (off_t)c->len);
		break;
	}
	return r < 0 ? -errno : r;
}
