// SPDX-License-Identifier: Apache-2.0
/*
 * store_write.c - adding to a store and removing from it (theory: store.h)
 */
#include "store/store_write.h"

#include "store/store_priv.h"
#include "store/tree.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOB_MODE   0444
#define RECORD_MODE 0644
#define FOLDER_MODE 0755

static int store_cannot_write(const struct store *store, int r, struct err *err)
{
	return err_set(err, r, "Cannot write into the %s store %s: %s",
		       store->kind->noun, store->path, err_name(r));
}

/* Who else must do it. */
static int not_mine(const struct store *store, struct err *err)
{
	return err_set(err, -EACCES,
		       "The %s store %s is root's: only root changes it",
		       store->kind->noun, store->path);
}

/* One that is there stays as it is; what root makes is for all to read. */
static int store_make_folder(const char *path)
{
	if (mkdir(path, FOLDER_MODE) < 0)
		return errno == EEXIST ? 0 : -errno;
	return geteuid() == 0 && chmod(path, FOLDER_MODE) < 0 ? -errno : 0;
}

/* The path and each folder above it. */
static int store_make_folders(char *path)
{
	int r = 0;

	for (char *p = path + 1; r == 0 && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		r = store_make_folder(path);
		*p = '/';
	}
	return r < 0 ? r : store_make_folder(path);
}

int store_create(struct store *store, struct err *err)
{
	static const char *const folders[] = {STORE_NAMES, STORE_BLOBS,
					      STORE_TMP, STORE_INITRAMFS};
	int r = 0;

	if (!store->mine)
		return not_mine(store, err);
	if (store->fd < 0) {
		r = store_make_folders(store->path);
		store->fd = r < 0 ? -1
				  : open(store->path,
					 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (r == 0 && store->fd < 0)
			r = -errno;
		if (r == 0 && fchmod(store->fd, FOLDER_MODE) < 0)
			r = -errno;
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
		if (mkdirat(store->fd, folders[i], FOLDER_MODE) == 0)
			r = fchmodat(store->fd, folders[i], FOLDER_MODE, 0) < 0
				    ? -errno
				    : 0;
		else if (errno != EEXIST)
			r = -errno;
	}
	return r < 0 ? store_cannot_write(store, r, err) : 0;
}

/* Closing @lock gives it back. */
static int lock_store(struct store *store, int *lock, struct err *err)
{
	int r;

	if (!store->mine)
		return not_mine(store, err);
	if (store->fd < 0)
		return err_set(err, -ENOENT, "There is no %s store %s yet",
			       store->kind->noun, store->path);
	*lock = openat(store->fd, STORE_LOCK,
		       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*lock < 0)
		return store_cannot_write(store, -errno, err);
	do
		r = flock(*lock, LOCK_EX) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r < 0 ? store_cannot_write(store, r, err) : 0;
}

static int sync_folder(const struct store *store, const char *folder)
{
	cleanup_fd int fd =
		openat(store->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int make_temp_folder(const struct store *store, const char *name)
{
	if (mkdirat(store->fd, name, 0700) < 0)
		return -1;
	return openat(store->fd, name,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Under the lock: a file or folder in tmp/, locked as long as it is open. */
static int make_temp(struct adding *adding, bool folder, unsigned int *which)
{
	const unsigned int i = adding->nr;
	char *name = adding->temp[i].name;
	int fd = -1;

	assert(i < ADDING_FILES);
	for (unsigned int n = 0; fd < 0; n++) {
		(void)snprintf(name, sizeof(adding->temp[i].name),
			       STORE_TMP "/%d.%u", getpid(), n);
		fd = folder ? make_temp_folder(adding->store, name)
			    : openat(adding->store->fd, name,
				     O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				     0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	adding->temp[i].fd = fd;
	adding->temp[i].folder = folder;
	adding->nr++;
	*which = i;
	return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

int adding_file(struct adding *adding, int *fd, struct err *err)
{
	cleanup_fd int lock = -1;
	unsigned int i = 0;
	int r = lock_store(adding->store, &lock, err);

	if (r < 0)
		return r;
	r = make_temp(adding, false, &i);
	if (r < 0)
		return store_cannot_write(adding->store, r, err);
	*fd = adding->temp[i].fd;
	return 0;
}

int adding_folder(struct adding *adding, char **path, struct err *err)
{
	cleanup_fd int lock = -1;
	unsigned int i = 0;
	int r = lock_store(adding->store, &lock, err);

	if (r < 0)
		return r;
	r = make_temp(adding, true, &i);
	if (r == 0 && asprintf(path, "%s/%s", adding->store->path,
			       adding->temp[i].name) < 0)
		r = -ENOMEM;
	return r < 0 ? store_cannot_write(adding->store, r, err) : 0;
}

static unsigned int index_of(const struct adding *adding, int fd)
{
	unsigned int i = 0;

	while (i < adding->nr && adding->temp[i].fd != fd)
		i++;
	assert(i < adding->nr);
	return i;
}

int adding_done(struct adding *adding, int fd, struct progress *progress,
		struct record_file *out, struct err *err)
{
	struct digest *sum = &adding->temp[index_of(adding, fd)].sum;
	struct stat st = {0};
	int r = fsync(fd) < 0 || fchmod(fd, BLOB_MODE) < 0 || fstat(fd, &st) < 0
			? -errno
			: 0;

	if (r == 0)
		r = digest_of_file(fd, (uint64_t)st.st_size, progress, sum);
	if (r < 0)
		return store_cannot_write(adding->store, r, err);
	free(out->sha256);
	out->sha256 = strdup(sum->hex);
	out->size = (uint64_t)st.st_size;
	return out->sha256 ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

int adding_text(struct adding *adding, const void *data, size_t len,
		struct record_file *out, struct err *err)
{
	int fd = -1, r = adding_file(adding, &fd, err);

	if (r < 0)
		return r;
	r = fd_write_full(fd, data, len);
	return r < 0 ? store_cannot_write(adding->store, r, err)
		     : adding_done(adding, fd, NULL, out, err);
}

/* A file or folder in tmp/. */
static int remove_temp(struct store *store, const char *name, bool folder)
{
	cleanup_free char *path = NULL;

	if (!folder)
		return unlinkat(store->fd, name, 0);
	if (asprintf(&path, "%s/%s", store->path, name) < 0) {
		path = NULL;
		return -1;
	}
	tree_remove(path);
	return 0;
}

/* Under the lock: what in tmp/ nobody holds locked any more. */
static void sweep_temp(struct store *store, uint64_t *files, uint64_t *bytes)
{
	cleanup_buf struct buf names = {0};
	const char *at;
	unsigned int nr;

	if (store_list_folder(store, STORE_TMP, &names, &nr) < 0)
		return;
	at = names.data;
	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1) {
		char path[sizeof(STORE_TMP) + 1 + NAME_MAX + 1];
		cleanup_fd int fd = -1;
		struct stat st;

		(void)snprintf(path, sizeof(path), STORE_TMP "/%s", at);
		fd = openat(store->fd, path,
			    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0 || fstat(fd, &st) < 0 ||
		    flock(fd, LOCK_EX | LOCK_NB) < 0 ||
		    remove_temp(store, path, S_ISDIR(st.st_mode)) < 0)
			continue;
		++*files;
		*bytes += (uint64_t)st.st_blocks * 512;
	}
}

/* The digests that records name, one behind the other. */
struct named {
	struct buf list;
	struct err *err;
};

static int note_named(const struct store *store, const char *name, void *arg)
{
	cleanup_record struct record record = {0};
	struct named *named = arg;
	struct record_file *files[RECORD_FILES];
	int r = store_find(store, name, &record, named->err);

	if (r < 0)
		return r;
	for (unsigned int i = record_files(&record, files); i > 0; i--)
		buf_add_str(&named->list, files[i - 1]->sha256);
	return named->list.failed ? -ENOMEM : 0;
}

static bool store_is_named(const struct named *named, const char *sha256)
{
	for (size_t i = 0; i < named->list.len; i += DIGEST_HEX)
		if (memcmp(named->list.data + i, sha256, DIGEST_HEX) == 0)
			return true;
	return false;
}

/* Under the lock: blobs that no record names. */
static int sweep_blobs(struct store *store, uint64_t *files, uint64_t *bytes,
		       struct err *err)
{
	cleanup_buf struct buf names = {0};
	struct named named = {.err = err};
	const char *at;
	unsigned int nr;
	int r = store_each(store, note_named, &named, err);

	if (r == 0)
		r = store_list_folder(store, STORE_BLOBS, &names, &nr);
	at = names.data;
	for (unsigned int i = 0; r == 0 && i < nr; i++, at += strlen(at) + 1) {
		struct store_blob blob;
		struct stat st;

		if (!digest_is_one(at) || store_is_named(&named, at))
			continue;
		blob = store_blob_of(at);
		if (fstatat(store->fd, blob.name, &st, AT_SYMLINK_NOFOLLOW) <
			    0 ||
		    unlinkat(store->fd, blob.name, 0) < 0)
			continue;
		++*files;
		*bytes += (uint64_t)st.st_blocks * 512;
	}
	buf_free(&named.list);
	return r;
}

/* Give the files of @adding their names; a good one that is there stays, a
 * damaged one is replaced. */
static int place_blobs(struct adding *adding)
{
	struct store *store = adding->store;

	for (unsigned int i = 0; i < adding->nr; i++) {
		const struct store_blob blob =
			store_blob_of(adding->temp[i].sum.hex);
		bool good = false;
		struct stat st;

		if (!adding->temp[i].sum.hex[0] || adding->temp[i].fd < 0)
			continue;
		if (store_hash_blob(store, adding->temp[i].sum.hex, NULL, &st,
				    &good) == 0 &&
		    good)
			continue;
		if (renameat(store->fd, adding->temp[i].name, store->fd,
			     blob.name) < 0)
			return -errno;
		fd_close(&adding->temp[i].fd);
	}
	return sync_folder(store, STORE_BLOBS);
}

static int store_note_file(const struct store *store, struct record_file *file)
{
	const struct store_blob blob = store_blob_of(file->sha256);
	struct stat st;

	if (fstatat(store->fd, blob.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	record_note(file, &st);
	return 0;
}

static int note_files(const struct store *store, struct record *record)
{
	struct record_file *files[RECORD_FILES];
	int r = 0;

	for (unsigned int i = record_files(record, files); r == 0 && i > 0; i--)
		r = store_note_file(store, files[i - 1]);
	return r;
}

/* Under the lock: @text becomes the file @name of the store. */
static int write_small(struct adding *adding, const char *name,
		       const struct buf *text)
{
	struct store *store = adding->store;
	unsigned int i = 0;
	int r = text->failed ? -ENOMEM : make_temp(adding, false, &i);
	int fd;

	if (r < 0)
		return r;
	fd = adding->temp[i].fd;
	r = fd_write_full(fd, text->data, text->len);
	if (r == 0 &&
	    (fchmod(fd, RECORD_MODE) < 0 || fsync(fd) < 0 ||
	     renameat(store->fd, adding->temp[i].name, store->fd, name) < 0))
		r = -errno;
	if (r == 0)
		fd_close(&adding->temp[i].fd);
	return r;
}

static int write_record(struct adding *adding, const struct record *record)
{
	const struct store_name name = store_name_of(record->name);
	cleanup_buf struct buf text = {0};
	int r;

	record_print(record, &text);
	r = write_small(adding, name.path, &text);
	return r < 0 ? r : sync_folder(adding->store, STORE_NAMES);
}

static int write_default(struct store *store, const char *name)
{
	struct adding adding = {.store = store};
	cleanup_buf struct buf text = {0};
	int r;

	buf_add_str(&text, name);
	r = write_small(&adding, STORE_DEFAULT, &text);
	adding_close(&adding);
	return r < 0 ? r : sync_folder(store, ".");
}

/* Is there something that the old record has not? */
static bool is_new(bool has, const struct record_file *file, bool old_has,
		   const struct record_file *old)
{
	return has && (!old_has || strcmp(file->sha256, old->sha256) != 0);
}

/* What the old record of the same kernel has and the new one lacks stays. */
static void keep_part(bool *has, struct record_file *file, bool *old_has,
		      struct record_file *old)
{
	if (*has || !*old_has)
		return;
	*has = true;
	*file = *old;
	*old_has = false;
	*old = (struct record_file){0};
}

/* May @record take the place of the one of its name? 1: it is the same. */
static int compare_old(const struct store *store, struct record *record,
		       bool replace, struct err *err)
{
	cleanup_record struct record old = {0};
	int r = store_find(store, record->name, &old, err);

	if (r == -ENOENT || (r < 0 && replace))
		return 0;
	if (r < 0)
		return r;
	record->pinned = old.pinned;
	/* How an image is run is as much of it as its files. */
	if (is_new(true, record_main(record), true, record_main(&old)) ||
	    (store->kind->images &&
	     is_new(true, &record->config, old.has_config, &old.config)))
		return replace ? 0
			       : err_set(err, -EEXIST,
					 "There is another %s %s already: "
					 "give this one another --name, or "
					 "--replace that one",
					 store->kind->noun, record->name);
	r = !is_new(record->has_config, &record->config, old.has_config,
		    &old.config) &&
	    !is_new(record->has_modules, &record->modules, old.has_modules,
		    &old.modules);
	keep_part(&record->has_config, &record->config, &old.has_config,
		  &old.config);
	keep_part(&record->has_modules, &record->modules, &old.has_modules,
		  &old.modules);
	return r;
}

int adding_commit(struct adding *adding, struct record *record, bool replace,
		  struct err *err)
{
	struct store *store = adding->store;
	char preset[RECORD_NAME_MAX + 1];
	cleanup_fd int lock = -1;
	uint64_t files = 0, bytes = 0;
	int same, r = lock_store(store, &lock, err);

	if (r < 0)
		return r;
	sweep_temp(store, &files, &bytes);
	same = compare_old(store, record, replace, err);
	if (same < 0)
		return same;
	r = place_blobs(adding);
	if (r == 0)
		r = note_files(store, record);
	if (r == 0)
		r = write_record(adding, record);
	store_default(store, preset);
	if (r == 0 && store->kind->has_default && !preset[0])
		r = write_default(store, record->name);
	if (r < 0)
		return store_cannot_write(store, r, err);
	/* Of one that was replaced; what a damaged record names stays. */
	(void)sweep_blobs(store, &files, &bytes, NULL);
	return same;
}

void adding_close(struct adding *adding)
{
	for (unsigned int i = 0; i < adding->nr; i++) {
		if (adding->temp[i].fd < 0)
			continue;
		(void)remove_temp(adding->store, adding->temp[i].name,
				  adding->temp[i].folder);
		fd_close(&adding->temp[i].fd);
	}
	adding->nr = 0;
}

static int update(struct store *store, const struct record *record,
		  struct err *err)
{
	struct adding adding = {.store = store};
	int r = write_record(&adding, record);

	adding_close(&adding);
	return r < 0 ? store_cannot_write(store, r, err) : 0;
}

int store_pin(struct store *store, const char *name, bool pinned,
	      struct err *err)
{
	cleanup_record struct record record = {0};
	cleanup_fd int lock = -1;
	int r = lock_store(store, &lock, err);

	if (r == 0)
		r = store_find(store, name, &record, err);
	if (r < 0 || record.pinned == pinned)
		return r;
	record.pinned = pinned;
	return update(store, &record, err);
}

void store_note(struct store *store, struct record *seen)
{
	const char *sha256 = record_main(seen)->sha256;
	cleanup_record struct record record = {0};
	cleanup_fd int lock = -1;
	/* Where it is not, as on a full disk, the next use reads it again. */
	bool noted = lock_store(store, &lock, NULL) == 0 &&
		     store_find(store, seen->name, &record, NULL) == 0 &&
		     strcmp(record_main(&record)->sha256, sha256) == 0 &&
		     note_files(store, &record) == 0 &&
		     update(store, &record, NULL) == 0;

	(void)noted;
}

int store_set_default(struct store *store, const char *name, struct err *err)
{
	cleanup_fd int lock = -1;
	int r = lock_store(store, &lock, err);

	if (r < 0)
		return r;
	r = write_default(store, name);
	return r < 0 ? store_cannot_write(store, r, err) : 0;
}

int store_remove(struct store *store, const char *name, struct err *err)
{
	char preset[RECORD_NAME_MAX + 1];
	cleanup_fd int lock = -1;
	uint64_t files = 0, bytes = 0;
	int r;

	if (!store_is_name(store, name))
		return err_set(err, -ENOENT, "There is no %s %s",
			       store->kind->noun, name);
	r = lock_store(store, &lock, err);
	if (r < 0)
		return r;
	if (unlinkat(store->fd, store_name_of(name).path, 0) < 0)
		return errno == ENOENT
			       ? err_set(err, -ENOENT, "There is no %s %s",
					 store->kind->noun, name)
			       : store_cannot_write(store, -errno, err);
	store_default(store, preset);
	if (strcmp(preset, name) == 0)
		(void)unlinkat(store->fd, STORE_DEFAULT, 0);
	r = sync_folder(store, STORE_NAMES);
	if (r < 0)
		return store_cannot_write(store, r, err);
	sweep_temp(store, &files, &bytes);
	(void)sweep_blobs(store, &files, &bytes, NULL);
	return 0;
}

int store_put_initramfs(struct store *store, const char *key, const void *data,
			size_t len, char **path, struct err *err)
{
	struct adding adding = {.store = store};
	struct record_file file = {0};
	struct store_initramfs name;
	cleanup_fd int lock = -1;
	int r = adding_text(&adding, data, len, &file, err);

	if (r == 0)
		r = lock_store(store, &lock, err);
	if (r == 0) {
		name = store_initramfs_of(key, file.sha256);
		if (renameat(store->fd, adding.temp[0].name, store->fd,
			     name.name) < 0)
			r = store_cannot_write(store, -errno, err);
		else
			fd_close(&adding.temp[0].fd);
	}
	if (r == 0 && asprintf(path, "%s/%s", store->path, name.name) < 0)
		r = err_set(err, -ENOMEM, "Out of memory");
	adding_close(&adding);
	free(file.sha256);
	return r;
}

/* Under the lock: they are made again when they are needed. */
static void sweep_initramfs(struct store *store, uint64_t *files,
			    uint64_t *bytes)
{
	cleanup_buf struct buf names = {0};
	const char *at;
	unsigned int nr;

	if (store_list_folder(store, STORE_INITRAMFS, &names, &nr) < 0)
		return;
	at = names.data;
	for (unsigned int i = 0; i < nr; i++, at += strlen(at) + 1) {
		char path[sizeof(STORE_INITRAMFS) + 1 + NAME_MAX + 1];
		struct stat st;

		(void)snprintf(path, sizeof(path), STORE_INITRAMFS "/%s", at);
		if (fstatat(store->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    unlinkat(store->fd, path, 0) < 0)
			continue;
		++*files;
		*bytes += (uint64_t)st.st_blocks * 512;
	}
}

int store_gc(struct store *store, uint64_t *files, uint64_t *bytes,
	     struct err *err)
{
	cleanup_fd int lock = -1;
	int r;

	*files = 0;
	*bytes = 0;
	if (store->fd < 0)
		return 0;
	r = lock_store(store, &lock, err);
	if (r < 0)
		return r;
	sweep_temp(store, files, bytes);
	sweep_initramfs(store, files, bytes);
	return sweep_blobs(store, files, bytes, err);
}
