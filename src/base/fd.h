/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd.h - file descriptors and memory that clean up after themselves
 */
#pragma once

#include "base/bits.h"

#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Closes *@fd unless it is negative, then sets it to -1. errno is kept. */
void fd_close(int *fd);

/* Hands the descriptor over: the variable no longer owns it. */
static inline int fd_steal(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void free_ptr(void *p)
{
	free(*(void **)p);
}

#define cleanup_fd   __attribute__((cleanup(fd_close)))
#define cleanup_free __attribute__((cleanup(free_ptr)))

/* ptr_steal(p): p's value, and p becomes NULL. */
#define ptr_steal(p)                         \
	({                                   \
		__typeof__(p) stolen_ = (p); \
		(p) = NULL;                  \
		stolen_;                     \
	})

/*
 * A locked process makes few system calls (sandbox/calls.h). Of those that do
 * the same, all that runs behind the lock uses one, by these; they return
 * what the calls do, errno included.
 */

/* @off: -1 reads on where the descriptor stands, as of a stream. */
ssize_t fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);

/* Only what is in memory already: -1 and EAGAIN where nothing is, EOPNOTSUPP
 * where that cannot be told. */
ssize_t fd_preadv_now(int fd, const struct iovec *iov, int nr, off_t off);

/* @flags: RWF_*, or 0. */
ssize_t fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
		   int flags);

/* As pwrite(), by fd_pwritev(). */
ssize_t fd_pwrite(int fd, const void *data, size_t len, off_t off);

/* As send() and recv(). */
ssize_t fd_send(int sock, const void *data, size_t len, int flags);
ssize_t fd_recv(int sock, void *to, size_t len, int flags);

/* As fstat(), which is one system call in one C library and another in the
 * next: the filters have one. Return: 0, or -1 and errno. */
struct stat;
int fd_stat(int fd, struct stat *st) __must_check;

/* Are both open, and the same file? */
bool fd_same_file(int a, int b);

/**
 * fd_read_full() - read exactly @len bytes at @off, over EINTR and short reads
 *
 * Return: 0, -ENODATA at end of file, or -errno.
 */
int fd_read_full(int fd, void *buf, size_t len, off_t off) __must_check;

/**
 * fd_write_full() - write all of @len bytes, over EINTR and short writes
 *
 * Return: 0 or -errno. For files and pipes that may block.
 */
int fd_write_full(int fd, const void *buf, size_t len) __must_check;

/* Close every descriptor from @first on. */
void fd_close_from(int first);

/**
 * struct file_id - which file a path named; zeroed, it is none
 */
struct file_id {
	uint64_t dev;
	uint64_t ino;
};

/* What @path names now, a link itself; none when it names nothing. */
struct file_id file_id_of(const char *path);

/* Remove @path if it still names @id. */
void file_unlink_own(const char *path, struct file_id id);
