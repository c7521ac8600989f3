// SPDX-License-Identifier: Apache-2.0
/*
 * store.c - kernels by name: finding and reading (theory: store.h)
 */
#include "store/store_priv.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* @path: taken over; NULL when memory is short. */
static int add_store(struct stores *stores, bool mine, char *path,
		     struct err *err)
{
	struct store *store = &stores->store[stores->nr++];
	struct stat st;

	store->fd = -1;
	store->mine = mine;
	store->path = path;
	if (!path)
		return err_set(err, -ENOMEM, "Out of memory");
	store->fd = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->fd < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno,
					 "Cannot open the kernel store %s: %s",
					 store->path, err_name(errno));
	if (fstat(store->fd, &st) < 0)
		return err_set(err, -errno, "Cannot look at %s: %s",
			       store->path, err_name(errno));
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, -EPERM,
			       "The kernel store %s is not to be believed: "
			       "root or you must own it, and nobody else may "
			       "write there (chmod go-w); it is of user %u, "
			       "mode %03o",
			       store->path, st.st_uid, st.st_mode & 0777);
	store->mine = st.st_uid == geteuid();
	return 0;
}

static char *store_join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

int stores_open(struct stores *stores, struct err *err)
{
	const char *one = getenv("VOLT_STORE"), *xdg = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	bool root = geteuid() == 0;
	int r = 0;

	*stores = (struct stores){0};
	if (one && one[0])
		return add_store(stores, true, strdup(one), err);
	if (!root && xdg && xdg[0] == '/')
		r = add_store(stores, true, store_join(xdg, "volt/kernels"),
			      err);
	else if (!root && home && home[0] == '/')
		r = add_store(stores, true,
			      store_join(home, ".local/share/volt/kernels"),
			      err);
	return r < 0 ? r : add_store(stores, root, strdup(STORE_SYSTEM), err);
}

void stores_close(struct stores *stores)
{
	for (unsigned int i = 0; i < stores->nr; i++) {
		fd_close(&stores->store[i].fd);
		free(ptr_steal(stores->store[i].path));
	}
	stores->nr = 0;
}

struct store *stores_mine(struct stores *stores)
{
	return &stores->store[0];
}

static void buf_add_name(struct buf *names, const char *name)
{
	buf_add(names, name, strlen(name) + 1);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_names(struct buf *names, unsigned int nr)
{
	cleanup_buf struct buf sorted = {0};
	cleanup_free const char **list = calloc(nr + 1, sizeof(*list));
	const char *at = names->data;

	if (!list || names->failed)
		return -ENOMEM;
	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1)
		list[i] = at;
	qsort(list, nr, sizeof(*list), by_name);
	for (unsigned int i = 0; i < nr; i++)
		buf_add_name(&sorted, list[i]);
	if (sorted.failed)
		return -ENOMEM;
	if (names->len > 0)
		memcpy(names->data, sorted.data, names->len);
	return 0;
}

int store_list_folder(const struct store *store, const char *folder,
		      struct buf *names, unsigned int *nr)
{
	int fd = openat(store->fd, folder,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	const struct dirent *e;
	DIR *dir;

	*nr = 0;
	if (fd < 0)
		return errno == ENOENT || store->fd < 0 ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return -ENOMEM;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		buf_add_name(names, e->d_name);
		++*nr;
	}
	(void)closedir(dir);
	return sort_names(names, *nr);
}

int store_each(const struct store *store,
	       int (*fn)(const struct store *store, const char *name,
			 void *arg),
	       void *arg, struct err *err)
{
	cleanup_buf struct buf names = {0};
	unsigned int nr;
	int r = store_list_folder(store, STORE_NAMES, &names, &nr);
	const char *at = names.data;

	if (r < 0)
		return err_set(err, r, "Cannot list %s: %s", store->path,
			       err_name(r));
	for (unsigned int i = 0; r == 0 && i < nr; i++, at += strlen(at) + 1)
		if (record_is_name(at))
			r = fn(store, at, arg);
	return r;
}

int store_read_file(const struct store *store, const char *name, uint64_t max,
		    struct buf *out)
{
	cleanup_fd int fd =
		openat(store->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	int r;

	if (store->fd < 0)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((uint64_t)st.st_size > max)
		return -EFBIG;
	if (!buf_reserve(out, (size_t)st.st_size + 1))
		return -ENOMEM;
	r = fd_read_full(fd, out->data, (size_t)st.st_size, 0);
	if (r == 0)
		out->len = (size_t)st.st_size;
	return r;
}

int store_find(const struct store *store, const char *name,
	       struct record *record, struct err *err)
{
	char path[sizeof(STORE_NAMES) + 1 + RECORD_NAME_MAX + 1];
	cleanup_buf struct buf text = {0};
	int r = -ENOENT;

	*record = (struct record){0};
	if (record_is_name(name)) {
		(void)snprintf(path, sizeof(path), STORE_NAMES "/%s", name);
		r = store_read_file(store, path, STORE_TEXT_MAX, &text);
	}
	if (r == -ENOENT)
		return err_set(
			err, r,
			"There is no kernel %s: `volt kernel ls` lists "
			"those that are there, `volt kernel add` adds one",
			name);
	if (r < 0)
		return err_set(err, r, "Cannot read %s/%s: %s", store->path,
			       path, err_name(r));
	r = record_parse(text.data, text.len, record, err);
	if (r == 0 && strcmp(record->name, name) != 0)
		r = err_set(err, -EINVAL, "it is of another name");
	if (r < 0) {
		(void)err_only_plain(err);
		(void)err_prefix(err,
				 "The record of kernel %s in %s is damaged, "
				 "`volt kernel rm %s` removes it: ",
				 name, store->path, name);
	}
	return r;
}

int stores_find(struct stores *stores, const char *name, struct record *record,
		struct store **where, struct err *err)
{
	int r = -ENOENT;

	for (unsigned int i = 0; r == -ENOENT && i < stores->nr; i++) {
		record_free(record);
		*where = &stores->store[i];
		r = store_find(*where, name, record, err);
	}
	return r;
}

void store_default(const struct store *store,
		   char name[static RECORD_NAME_MAX + 1])
{
	cleanup_buf struct buf text = {0};

	name[0] = '\0';
	if (store_read_file(store, STORE_DEFAULT, STORE_TEXT_MAX, &text) < 0 ||
	    text.len > RECORD_NAME_MAX)
		return;
	memcpy(name, text.data, text.len);
	name[text.len] = '\0';
	if (!record_is_name(name))
		name[0] = '\0';
}

/* Has one of them a record of this name? */
static bool store_is_there(const struct stores *stores, const char *name)
{
	char path[sizeof(STORE_NAMES) + 1 + RECORD_NAME_MAX + 1];

	(void)snprintf(path, sizeof(path), STORE_NAMES "/%s", name);
	for (unsigned int i = 0; i < stores->nr; i++)
		if (stores->store[i].fd >= 0 &&
		    faccessat(stores->store[i].fd, path, F_OK, 0) == 0)
			return true;
	return false;
}

int stores_default(struct stores *stores, char *name, struct err *err)
{
	for (unsigned int i = 0; i < stores->nr; i++) {
		store_default(&stores->store[i], name);
		if (name[0] && store_is_there(stores, name))
			return 0;
	}
	return err_set(err, -ENOENT,
		       "There is no default kernel yet: `volt kernel add "
		       "--package linux-image-cloud-amd64` fetches Debian's, "
		       "--kernel gives another one");
}

struct store_blob store_blob_of(const char *sha256)
{
	struct store_blob blob;

	(void)snprintf(blob.name, sizeof(blob.name), STORE_BLOBS "/%s", sha256);
	return blob;
}

struct store_initramfs store_initramfs_of(const char *key, const char *sha256)
{
	struct store_initramfs file;

	(void)snprintf(file.name, sizeof(file.name), STORE_INITRAMFS "/%s.%s",
		       key, sha256);
	return file;
}

char *store_path(const struct store *store, const struct record_file *file)
{
	const struct store_blob blob = store_blob_of(file->sha256);

	return store_join(store->path, blob.name);
}

static int open_blob(const struct store *store, const char *sha256,
		     struct stat *st)
{
	const struct store_blob blob = store_blob_of(sha256);
	cleanup_fd int fd =
		openat(store->fd, blob.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 || fstat(fd, st) < 0)
		return -errno;
	return S_ISREG(st->st_mode) ? fd_steal(&fd) : -EINVAL;
}

int store_hash_blob(const struct store *store, const char *sha256,
		    struct progress *progress, struct stat *st, bool *good)
{
	cleanup_fd int fd = open_blob(store, sha256, st);
	struct digest sum;
	int r;

	if (fd < 0)
		return fd;
	r = digest_of_file(fd, (uint64_t)st->st_size, progress, &sum);
	*good = r == 0 && strcmp(sum.hex, sha256) == 0;
	return r;
}

static int store_damaged(const struct store *store, const char *name,
			 const struct record_file *file, struct err *err)
{
	return err_set(err, -EBADMSG,
		       "Kernel %s is damaged: %s/" STORE_BLOBS "/%.12s... is "
		       "not what was added; add it again, which mends it",
		       name, store->path, file->sha256);
}

static int unreadable(const char *name, int r, struct err *err)
{
	return err_set(err, r,
		       "A file of kernel %s cannot be read: %s; add it again",
		       name, err_name(r));
}

int store_verify(const struct store *store, const char *name,
		 const struct record_file *file, struct progress *progress,
		 struct err *err)
{
	struct stat st;
	bool good = false;
	int r = store_hash_blob(store, file->sha256, progress, &st, &good);

	if (r < 0)
		return unreadable(name, r, err);
	return good && file->size == (uint64_t)st.st_size
		       ? 0
		       : store_damaged(store, name, file, err);
}

int store_use(const struct store *store, const char *name,
	      const struct record_file *file, struct progress *progress,
	      int *fd, struct err *err)
{
	struct stat st;
	cleanup_fd int own = open_blob(store, file->sha256, &st);
	int r = 0;

	if (own < 0)
		return unreadable(name, own, err);
	if (!record_unchanged(file, &st))
		r = store_verify(store, name, file, progress, err);
	if (r == 0 && fd)
		*fd = fd_steal(&own);
	return r;
}

int store_read(const struct store *store, const char *name,
	       const struct record_file *file, struct buf *out, struct err *err)
{
	const struct store_blob blob = store_blob_of(file->sha256);
	int r = store_read_file(store, blob.name, STORE_READ_MAX, out);
	struct digest sum;

	if (r < 0)
		return unreadable(name, r, err);
	sum = digest_of(out->data, out->len);
	return strcmp(sum.hex, file->sha256) == 0
		       ? 0
		       : store_damaged(store, name, file, err);
}

/* "KEY.SHA256": is it of @key, and the file what it was? */
static bool is_initramfs(const struct store *store, const char *name,
			 const char *key)
{
	cleanup_buf struct buf data = {0};
	const char *sha256 = name + DIGEST_HEX + 1;

	return strlen(name) == 2 * DIGEST_HEX + 1 &&
	       memcmp(name, key, DIGEST_HEX) == 0 && digest_is_one(sha256) &&
	       store_read_file(store, store_initramfs_of(key, sha256).name,
			       STORE_READ_MAX, &data) == 0 &&
	       strcmp(digest_of(data.data, data.len).hex, sha256) == 0;
}

bool store_find_initramfs(const struct store *store, const char *key,
			  char **path)
{
	cleanup_buf struct buf names = {0};
	const char *at;
	unsigned int nr;

	if (store_list_folder(store, STORE_INITRAMFS, &names, &nr) < 0)
		return false;
	at = names.data;
	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1) {
		if (!is_initramfs(store, at, key))
			continue;
		*path = store_join(
			store->path,
			store_initramfs_of(key, at + DIGEST_HEX + 1).name);
		return *path != NULL;
	}
	return false;
}
