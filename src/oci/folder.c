// SPDX-License-Identifier: Apache-2.0
/*
 * folder.c - a folder of the host becomes a tree (folder.h)
 */
#include "oci/folder.h"

#include "oci/spool.h"
#include "oci/tar.h"
#include "oci/xattrs.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* A file with more names than one. */
struct folder_seen {
	uint64_t dev;
	uint64_t ino;
	struct fs_inode *inode;
};

/**
 * struct folder - one that is read
 * @dev:	of its own file system
 * @seen:	struct folder_seen, by tsearch()
 * @path:	of what is read now, for a sentence
 */
struct folder {
	struct fstree *tree;
	uint64_t dev;
	void *seen;
	struct buf path;
	int fd;
	uint64_t at;
	struct progress *progress;
	struct err *err;
};

/* Its name would be on the stack once for each place that calls it. */
__attribute__((noinline)) static int folder_refuse(struct folder *folder, int r,
						   const char *why)
{
	return err_set(
		folder->err, r, "entry %s %s",
		folder->path.len ? tar_show(folder->path.data).text : ".", why);
}

__attribute__((noinline)) static int folder_unreadable(struct folder *folder,
						       int r)
{
	return err_set(folder->err, r, "entry %s cannot be read: %s",
		       folder->path.len ? tar_show(folder->path.data).text
					: ".",
		       err_name(r));
}

static int folder_compare_seen(const void *a, const void *b)
{
	const struct folder_seen *x = a, *y = b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct fs_inode *folder_known(const struct folder *folder,
				     const struct stat *st)
{
	struct folder_seen key = {st->st_dev, st->st_ino, NULL};
	void *const *found = tfind(&key, &folder->seen, folder_compare_seen);

	return found ? ((struct folder_seen *)*found)->inode : NULL;
}

static int folder_remember(struct folder *folder, const struct stat *st,
			   struct fs_inode *inode)
{
	struct folder_seen *seen = malloc(sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	*seen = (struct folder_seen){st->st_dev, st->st_ino, inode};
	if (!tsearch(seen, &folder->seen, folder_compare_seen)) {
		free(seen);
		return -ENOMEM;
	}
	return 0;
}

static int folder_xattrs(struct folder *folder, int fd, struct fs_inode *inode)
{
	cleanup_free char *names = malloc(2 * XATTRS_BYTES_MAX);
	char *value = names ? names + XATTRS_BYTES_MAX : NULL;
	ssize_t len, n;
	int r = 0;

	if (!names)
		return folder_unreadable(folder, -ENOMEM);
	len = flistxattr(fd, names, XATTRS_BYTES_MAX);
	if (len < 0)
		return errno == ENOTSUP ? 0 : folder_unreadable(folder, -errno);
	for (const char *at = names; r == 0 && at < names + len;
	     at += strlen(at) + 1) {
		n = fgetxattr(fd, at, value, XATTRS_BYTES_MAX);
		r = n < 0 ? -errno
			  : xattrs_set(&inode->xattrs, at, strlen(at), value,
				       (size_t)n);
	}
	return r < 0 ? folder_unreadable(folder, r) : 0;
}

static int folder_next_bytes(void *arg, void *to, size_t len)
{
	struct folder *folder = arg;
	int r = fd_read_full(folder->fd, to, len, (off_t)folder->at);

	if (r < 0)
		return r == -ENODATA
			       ? folder_refuse(folder, r,
					       "became shorter while it was "
					       "read")
			       : folder_unreadable(folder, r);
	folder->at += len;
	progress_tell(folder->progress, "reading", folder->tree->spooled, 0);
	return 0;
}

/* What of a file is not a hole. */
static int folder_bytes(struct folder *folder, int fd, uint64_t size,
			struct fs_inode *inode)
{
	uint64_t off = 0;
	int r = 0;

	if (!spool_fits(folder->tree, size))
		return folder_refuse(folder, -EFBIG,
				     "makes the image larger than --max-size "
				     "allows");
	folder->fd = fd;
	while (r == 0 && off < size) {
		off_t data = lseek(fd, (off_t)off, SEEK_DATA), hole;

		if (data < 0 || (uint64_t)data >= size)
			break;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return folder_unreadable(folder, -errno);
		off = (uint64_t)hole < size ? (uint64_t)hole : size;
		folder->at = (uint64_t)data;
		r = spool_add(folder->tree, inode, (uint64_t)data,
			      off - (uint64_t)data, folder_next_bytes, folder,
			      folder->err);
	}
	inode->size = size;
	return r;
}

static int folder_link_text(struct folder *folder, int dir, const char *name,
			    struct fs_inode *inode)
{
	cleanup_free char *text = malloc(FSTREE_LINK_MAX + 1);
	ssize_t n = text ? readlinkat(dir, name, text, FSTREE_LINK_MAX) : -1;

	if (!text)
		return folder_unreadable(folder, -ENOMEM);
	if (n <= 0)
		return folder_unreadable(folder, n < 0 ? -errno : -EINVAL);
	text[n] = '\0';
	inode->link = ptr_steal(text);
	return 0;
}

static struct fs_inode *folder_describe(const struct stat *st)
{
	struct fs_inode *inode = fs_inode_new();

	if (!inode)
		return NULL;
	inode->mode = st->st_mode;
	inode->uid = st->st_uid;
	inode->gid = st->st_gid;
	inode->major = major(st->st_rdev);
	inode->minor = minor(st->st_rdev);
	inode->mtime = st->st_mtim.tv_sec;
	inode->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
	return inode;
}

static int folder_below(struct folder *folder, int fd, struct fs_node *node);

/* What of a file or folder is behind its descriptor. */
static int folder_open_one(struct folder *folder, int dir, const char *name,
			   const struct stat *st, struct fs_inode *inode,
			   int *fd)
{
	struct stat now;
	int r;

	*fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &now) < 0)
		return folder_unreadable(folder, -errno);
	if (now.st_ino != st->st_ino || now.st_mode != st->st_mode)
		return folder_refuse(folder, -EAGAIN,
				     "changed while it was read");
	r = folder_xattrs(folder, *fd, inode);
	return r == 0 && S_ISREG(st->st_mode)
		       ? folder_bytes(folder, *fd, (uint64_t)now.st_size, inode)
		       : r;
}

/* An inode that no name has yet is freed when this fails. */
static int folder_take(struct folder *folder, int dir, struct fs_node *node,
		       const char *name, const struct stat *st)
{
	struct fs_inode *inode = folder_describe(st);
	bool opened = S_ISREG(st->st_mode) || S_ISDIR(st->st_mode);
	cleanup_fd int fd = -1;
	int r = inode ? 0 : folder_unreadable(folder, -ENOMEM);

	if (r == 0 && S_ISLNK(st->st_mode))
		r = folder_link_text(folder, dir, name, inode);
	if (r == 0 && opened)
		r = folder_open_one(folder, dir, name, st, inode, &fd);
	if (r == 0) {
		r = fstree_put(folder->tree, node, name, inode);
		if (r < 0)
			r = folder_refuse(folder, r, fstree_why(r));
	}
	if (r < 0) {
		fs_inode_free(inode);
		return r;
	}
	folder->tree->bytes += inode->size;
	if (S_ISDIR(st->st_mode))
		return st->st_dev == folder->dev
			       ? folder_below(
					 folder, fd,
					 fstree_child(folder->tree, node, name))
			       : 0;
	return st->st_nlink > 1 && folder_remember(folder, st, inode) < 0
		       ? folder_unreadable(folder, -ENOMEM)
		       : 0;
}

static int folder_one(struct folder *folder, int dir, struct fs_node *node,
		      const char *name)
{
	struct fs_inode *known = NULL;
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return folder_unreadable(folder, -errno);
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (st.st_nlink > 1 && !S_ISDIR(st.st_mode))
		known = folder_known(folder, &st);
	if (!known)
		return folder_take(folder, dir, node, name, &st);
	r = fstree_link(folder->tree, node, name, known);
	return r < 0 ? folder_refuse(folder, r, fstree_why(r)) : 0;
}

static int folder_list(int fd, struct dirent ***list)
{
	int nr = scandirat(fd, ".", list, NULL, alphasort);

	return nr < 0 ? -errno : nr;
}

/* Its depth is limited by the tree's. */
static int folder_below(struct folder *folder, int fd, struct fs_node *node)
{
	struct dirent **list = NULL;
	size_t len = folder->path.len;
	int nr = folder_list(fd, &list), r = 0;

	if (nr < 0)
		return folder_unreadable(folder, nr);
	for (int i = 0; i < nr; i++) {
		const char *name = list[i]->d_name;

		if (r == 0 && strcmp(name, ".") != 0 &&
		    strcmp(name, "..") != 0) {
			/* With its NUL, which is not counted. */
			buf_addf(&folder->path, "%s%s", len ? "/" : "", name);
			r = folder->path.failed
				    ? err_set(folder->err, -ENOMEM,
					      "Out of memory")
				    : folder_one(folder, fd, node, name);
			folder->path.len = len;
			if (folder->path.data)
				folder->path.data[len] = '\0';
		}
		free(list[i]);
	}
	free(list);
	return r;
}

int folder_read(struct fstree *tree, int fd, struct progress *progress,
		struct err *err)
{
	struct folder folder = {
		.tree = tree, .progress = progress, .err = err, .fd = -1};
	struct fs_inode *inode;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "cannot be read: %s",
			       err_name(errno));
	folder.dev = st.st_dev;
	inode = folder_describe(&st);
	if (!inode)
		return err_set(err, -ENOMEM, "Out of memory");
	r = folder_xattrs(&folder, fd, inode);
	if (r < 0) {
		fs_inode_free(inode);
		return r;
	}
	r = fstree_put(tree, tree->root, "", inode);
	if (r == 0)
		r = folder_below(&folder, fd, tree->root);
	tdestroy(folder.seen, free);
	buf_free(&folder.path);
	return r;
}
