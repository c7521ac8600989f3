// SPDX-License-Identifier: Apache-2.0
/*
 * store.c - kernels and images by name: finding and reading (theory: store.h)
 */
#include "store/store_priv.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* @path: taken over; NULL when memory is short. */
static int add_store(struct stores *stores, const struct store_kind *kind,
		     bool mine, char *path, struct err *err)
{
	struct store *store = &stores->store[stores->nr++];
	struct stat st;

	store->kind = kind;
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
					 "Cannot open the %s store %s: %s",
					 kind->noun, store->path,
					 err_name(errno));
	if (fstat(store->fd, &st) < 0)
		return err_set(err, -errno, "Cannot look at %s: %s",
			       store->path, err_name(errno));
	if ((st.st_uid != 0 && st.st_uid != geteuid()) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(err, -EPERM,
			       "The %s store %s is not to be believed: "
			       "root or you must own it, and nobody else may "
			       "write there (chmod go-w); it is of user %u, "
			       "mode %03o",
			       kind->noun, store->path, st.st_uid,
			       st.st_mode & 0777);
	store->mine = st.st_uid == geteuid();
	return 0;
}

static char *store_join(const char *folder, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

/* "FOLDER/volt/KIND". */
static char *store_below(const char *folder, const char *below,
			 const struct store_kind *kind)
{
	cleanup_free char *volt = store_join(folder, below);

	return volt ? store_join(volt, kind->folder) : NULL;
}

int stores_open(struct stores *stores, const struct store_kind *kind,
		struct err *err)
{
	const char *one = getenv(kind->env), *xdg = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	bool root = geteuid() == 0;
	int r = 0;

	*stores = (struct stores){0};
	if (one && one[0])
		return add_store(stores, kind, true, strdup(one), err);
	if (!root && xdg && xdg[0] == '/')
		r = add_store(stores, kind, true,
			      store_below(xdg, "volt", kind), err);
	else if (!root && home && home[0] == '/')
		r = add_store(stores, kind, true,
			      store_below(home, ".local/share/volt", kind),
			      err);
	return r < 0 ? r
		     : add_store(stores, kind, root,
				 store_join(STORE_SYSTEM, kind->folder), err);
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

struct store_name store_name_of(const char *name)
{
	struct store_name file;

	(void)snprintf(file.path, sizeof(file.path), STORE_NAMES "/%s", name);
	for (char *at = file.path + sizeof(STORE_NAMES); *at; at++)
		*at = *at == '/' ? '%' : *at;
	return file;
}

/* The name that a file of names/ is of. */
static void store_name_back(const char *file, char name[static NAME_MAX + 1])
{
	(void)snprintf(name, NAME_MAX + 1, "%s", file);
	for (; *name; name++)
		*name = *name == '%' ? '/' : *name;
}

bool store_is_name(const struct store *store, const char *name)
{
	return store->kind->references ? record_is_reference(name)
				       : record_is_name(name);
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
	for (unsigned int i = 0; r == 0 && i < nr; i++, at += strlen(at) + 1) {
		char name[NAME_MAX + 1];

		store_name_back(at, name);
		if (store_is_name(store, name))
			r = fn(store, name, arg);
	}
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
	const char *noun = store->kind->noun;
	cleanup_buf struct buf text = {0};
	int r = -ENOENT;

	*record = (struct record){0};
	if (store_is_name(store, name))
		r = store_read_file(store, store_name_of(name).path,
				    STORE_TEXT_MAX, &text);
	if (r == -ENOENT)
		return err_set(err, r,
			       "There is no %s %s: `volt %s ls` lists "
			       "those that are there, `volt %s add` adds one",
			       noun, name, noun, noun);
	if (r < 0)
		return err_set(err, r,
			       "Cannot read the record of %s %s in "
			       "%s: %s",
			       noun, name, store->path, err_name(r));
	r = record_parse(text.data, text.len, record, err);
	if (r == 0 && record->has_rootfs != store->kind->images)
		r = err_set(err, -EINVAL, "it is not of such a thing");
	if (r == 0 && strcmp(record->name, name) != 0)
		r = err_set(err, -EINVAL, "it is of another name");
	if (r < 0) {
		(void)err_only_plain(err);
		(void)err_prefix(err,
				 "The record of %s %s in %s is damaged, "
				 "`volt %s rm %s` removes it: ",
				 noun, name, store->path, noun, name);
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
	const struct store_name file = store_name_of(name);

	for (unsigned int i = 0; i < stores->nr; i++)
		if (stores->store[i].fd >= 0 &&
		    faccessat(stores->store[i].fd, file.path, F_OK, 0) == 0)
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
		       "%s %s is damaged: %s/" STORE_BLOBS "/%.12s... is "
		       "not what was added; add it again, which mends it",
		       store->kind->title, name, store->path, file->sha256);
}

static int store_unreadable(const struct store *store, const char *name, int r,
			    struct err *err)
{
	return err_set(err, r,
		       "A file of %s %s cannot be read: %s; add it again",
		       store->kind->noun, name, err_name(r));
}

int store_verify(const struct store *store, const char *name,
		 const struct record_file *file, struct progress *progress,
		 struct err *err)
{
	struct stat st;
	bool good = false;
	int r = store_hash_blob(store, file->sha256, progress, &st, &good);

	if (r < 0)
		return store_unreadable(store, name, r, err);
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
		return store_unreadable(store, name, own, err);
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
		return store_unreadable(store, name, r, err);
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
