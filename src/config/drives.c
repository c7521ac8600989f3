// SPDX-License-Identifier: Apache-2.0
/*
 * drives.c - the drives of the configuration (drives.h)
 */
#include "config/drives.h"

#include "config/fields.h"
#include "config/override.h"
#include "config/parts.h"
#include "config/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define CONFIG_OF struct drive_config

static const struct schema_name cache_names[] = {
	{"Unsafe", CACHE_UNSAFE},
	{"Writeback", CACHE_WRITEBACK},
};
static const struct schema_enum caches = SCHEMA_NAMES(cache_names);

static const struct schema_name engine_names[] = {
	CONFIG_IO_ENGINES(CONFIG_NAME_AND_VALUE)};
static const struct schema_enum drives_engines = SCHEMA_NAMES(engine_names);

#define BY_VALUE "the value itself is there, or not"

/* clang-format off */
static const struct schema_field drives_fields[] = {
	TEXT(drive_id, MUST, MUST, MUST),
	TEXT(partuuid, MAY_NULL, NO, MAY_NULL),
	BOOL(is_root_device, MUST, NO, MUST),
	CHOICE(cache_type, MAY, NO, MUST, &caches),
	BOOL(is_read_only, OPTIONAL, NO, MUST, HAS(has_is_read_only)),
	TEXT(path_on_host, MAY_NULL, MAY_NULL, MUST),
	OBJECT(rate_limiter, OPTIONAL, OPTIONAL, OPTIONAL, &config_rate_limiter,
	       HAS(rate_limiter.present)),
	CHOICE(io_engine, OPTIONAL, NO, MUST, &drives_engines, HAS(has_io_engine)),
	TEXT(socket, MAY_NULL, NO, NOT("a drive with one is refused")),
	BOOL(discard, OPTIONAL | SCHEMA_OMIT | SCHEMA_EXTRA, NO,
	     OPTIONAL | SCHEMA_OMIT, HAS(has_discard)),
	BOOL(has_is_read_only, NOT(BY_VALUE), NO, MUST),
	BOOL(has_cache_type, NOT(BY_VALUE), NO, MUST),
	BOOL(has_io_engine, NOT(BY_VALUE), NO, MUST),
	OURS(fd, "opened anew by path_on_host"),
	OURS(lock_fd, "a lock of this process"),
	OURS(locked, "a lock of this process"),
	OURS(is_overlay, "a VM with one is not saved"),
	OURS(base_fd, "read before the guest runs"),
	OURS(pending, "over when the guest runs"),
};
/* clang-format on */

const struct schema_object config_drive =
	CONFIG_OBJECT("BlockDeviceConfig", drives_fields, SCHEMA_WHOLE);
const struct schema_object config_drive_patch =
	CONFIG_OBJECT("BlockDeviceUpdateConfig", drives_fields, SCHEMA_PATCH);

static void config_drives_init(void *item)
{
	*(struct drive_config *)item = (struct drive_config){
		.fd = -1,
		.lock_fd = -1,
	};
}

void drive_config_free(struct drive_config *drive)
{
	fd_close(&drive->fd);
	fd_close(&drive->lock_fd);
	if (drive->is_overlay)
		fd_close(&drive->base_fd);
	schema_free(&config_drive, drive);
	config_drives_init(drive);
}

static void free_drive(void *item)
{
	drive_config_free(item);
}

int drive_open(const struct vm_config *config, const char *path, bool read_only,
	       unsigned int index, struct err *err)
{
	return path_open_nth(config->opener,
			     read_only ? PATH_DISK_RO : PATH_DISK, path, index,
			     err);
}

struct drive_config *drives_find(struct vm_config *config, const char *id)
{
	for (size_t i = 0; i < config->nr_drives; i++)
		if (strcmp(config->drives[i].drive_id, id) == 0)
			return &config->drives[i];
	return NULL;
}

static int drives_add(struct vm_config *config, struct drive_config *drive)
{
	size_t nr = config->nr_drives;
	struct drive_config *drives =
		realloc(config->drives, (nr + 1) * sizeof(*drives));
	size_t at = drive->is_root_device ? 0 : nr;

	if (!drives)
		return -ENOMEM;
	memmove(drives + at + 1, drives + at, (nr - at) * sizeof(*drives));
	drives[at] = *drive;
	config->drives = drives;
	config->nr_drives = nr + 1;
	return 0;
}

/* Firecracker's order: the new root and the first drive change places. */
static void drives_replace(struct vm_config *config, struct drive_config *old,
			   const struct drive_config *drive)
{
	struct drive_config first = config->drives[0];

	drive_config_free(old);
	if (!drive->is_root_device || old == config->drives) {
		*old = *drive;
		return;
	}
	*old = first;
	config->drives[0] = *drive;
}

int drives_set(struct vm_config *config, struct drive_config *drive)
{
	struct drive_config *old = drives_find(config, drive->drive_id);
	int r;

	if (drive->is_root_device && config->nr_drives > 0 &&
	    config->drives[0].is_root_device && old != config->drives)
		return -EEXIST;
	if (old) {
		drives_replace(config, old, drive);
	} else {
		r = drives_add(config, drive);
		if (r < 0)
			return r;
	}
	config_drives_init(drive);
	return 0;
}

int drives_root_words(const struct vm_config *config, char *words, size_t size)
{
	const struct drive_config *root = config->drives;
	int n;

	words[0] = '\0';
	if (config->nr_drives == 0 || !root->is_root_device)
		return 0;
	n = snprintf(words, size, "root=%s%s %s",
		     root->partuuid ? "PARTUUID=" : "/dev/vda",
		     root->partuuid ? root->partuuid : "",
		     root->is_read_only ? "ro" : "rw");
	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

/* ---- for people ---- */

static const struct config_word drives_word_list[] = {
	CONFIG_DISK_WORDS(CONFIG_WORD_ROW)};
static const struct config_words drives_words = {
	.flag = "disk",
	.usage = CONFIG_DISK_WORDS(CONFIG_WORD_USAGE),
	.object = &config_drive,
	.words = drives_word_list,
	.nr = ARRAY_SIZE(drives_word_list),
};

static int drives_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

static int drives_check_id(const char *id, struct err *err)
{
	const char *p = id;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	if (!*p && p != id)
		return 0;
	return err_set(err, -EINVAL,
		       "--disk: '%s' is no id: use letters, digits and '_'",
		       id);
}

static int drives_enter(struct vm_config *config, struct drive_config *drive,
			struct err *err)
{
	int r;

	if (drives_find(config, drive->drive_id))
		return err_set(err, -EEXIST, "--disk: there are two drives %s",
			       drive->drive_id);
	drive->fd = drive_open(config, drive->path_on_host, drive->is_read_only,
			       0, err);
	if (drive->fd < 0)
		return err_only_plain(err);
	r = drive_lock(config, drive, NULL, err);
	if (r < 0)
		return r;
	r = drives_set(config, drive);
	return r == -ENOMEM ? drives_no_memory(err)
	       : r < 0      ? err_set(err, r, "There are two root devices")
			    : 0;
}

int config_disk_set(const char *text, unsigned int index, bool root,
		    struct vm_config *config, struct err *err)
{
	struct drive_config drive = {
		.fd = -1,
		.lock_fd = -1,
		.is_root_device = root,
		.has_is_read_only = true,
		.has_io_engine = true,
		.cache_type = CACHE_WRITEBACK,
	};
	int r = 0;

	if (asprintf(&drive.drive_id, "disk%u", index) < 0) {
		drive.drive_id = NULL;
		r = drives_no_memory(err);
	}
	if (r == 0)
		r = config_words_parse(&drives_words, text, &drive, err);
	if (r == 0)
		r = drives_check_id(drive.drive_id, err);
	if (r == 0)
		r = drives_enter(config, &drive, err);
	drive_config_free(&drive);
	return r;
}

/* ---- restored ---- */

int drive_check_copy(const char *id, const char *path, int fd, struct err *err)
{
	struct stat st;

	if (fd_stat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_size > 0 && st.st_size % DRIVE_SECTOR_BYTES == 0))
		return 0;
	if (st.st_size == 0)
		return err_set(err, -EINVAL,
			       "The file %s for drive %s is empty: it needs a "
			       "copy of the drive as it was saved",
			       path, id);
	return err_set(err, -EINVAL,
		       "The file %s for drive %s has %lld bytes, which is no "
		       "multiple of %u: it needs a copy of the drive as it was "
		       "saved",
		       path, id, (long long)st.st_size, DRIVE_SECTOR_BYTES);
}

/* The API's sentence stays. */
static int drives_open_failed(const struct drive_config *d, struct err *err)
{
	char why[ERR_PLAIN_MAX];

	if (!err)
		return 0;
	(void)snprintf(why, sizeof(why), "%s", err_for_person(err));
	return err_plain(err, "drive %s: %s; --disk %s=PATH names another",
			 d->drive_id, why, d->drive_id);
}

/* The directory in which the drive is copied; NULL: it is used as it is, as one
 * that is only read always is. */
static const char *overlay_of(const struct drive_config *d,
			      const struct config_override *o,
			      const char *of_all)
{
	if (d->is_read_only)
		return NULL;
	return o && o->overlay ? o->overlay : of_all;
}

/* Its file as the snapshot, or @o, names it. */
static int open_own(struct vm_config *config, struct drive_config *d,
		    unsigned int index, const struct config_override *o,
		    struct err *err)
{
	int r;

	d->fd = drive_open(config, d->path_on_host, d->is_read_only, index,
			   err);
	if (d->fd < 0) {
		(void)drives_open_failed(d, err);
		return d->fd;
	}
	r = o && o->to ? drive_check_copy(o->id, o->to, d->fd, err) : 0;
	return r < 0 ? r : drive_lock(config, d, NULL, err);
}

/* That file to read only. Return: 0 and @base is open; -errno with a sentence.
 */
static int open_base(struct vm_config *config, const struct drive_config *d,
		     unsigned int index, const struct config_override *o,
		     struct drive_config *base, struct err *err)
{
	int r;

	*base = (struct drive_config){
		.drive_id = d->drive_id,
		.path_on_host = d->path_on_host,
		.is_read_only = true,
		.fd = -1,
		.lock_fd = -1,
	};
	r = open_own(config, base, index, o, err);
	if (r < 0)
		fd_close(&base->fd);
	return r;
}

/* As it is, until a lease gives the drive one of its own. */
static int open_pending(struct vm_config *config, struct drive_config *d,
			unsigned int index, struct err *err)
{
	struct drive_config base;
	int r = open_base(config, d, index, NULL, &base, err);

	if (r < 0)
		return r;
	d->pending = true;
	d->locked = base.locked;
	d->fd = base.fd;
	return 0;
}

/* Until it was copied. */
static int open_overlay(struct vm_config *config, struct drive_config *d,
			unsigned int index, const struct config_override *o,
			const char *dir, struct err *err)
{
	struct drive_config base;
	int r = open_base(config, d, index, o, &base, err);

	if (r < 0)
		return r;
	d->is_overlay = true;
	d->base_fd = base.fd;
	d->fd = path_open_nth(config->opener, PATH_OVERLAY, dir, index, err);
	return d->fd < 0 ? d->fd : 0;
}

static int drives_open_restored(struct vm_config *config, void *item,
				unsigned int index,
				const struct config_overrides *overrides,
				struct err *err)
{
	struct drive_config *d = item;
	const struct config_override *o =
		config_override_of(&config_part_drives, d, overrides);
	const char *dir = overlay_of(d, o, overrides->overlay);
	int r;

	d->fd = d->lock_fd = -1;
	if (dir)
		r = open_overlay(config, d, index, o, dir, err);
	else if (overrides->lease && !o && !d->is_read_only)
		r = open_pending(config, d, index, err);
	else
		r = open_own(config, d, index, o, err);
	if (r == 0) {
		r = drives_set(config, d);
		if (r < 0)
			(void)err_set(err, r, "Drive %s: %s", d->drive_id,
				      err_name(r));
	}
	if (r < 0)
		drive_unlock(d, NULL);
	if (r < 0 && d->is_overlay)
		fd_close(&d->base_fd);
	return r;
}

const struct config_part config_part_drives = {
	.key = "drives",
	.saved = "drives",
	.whole = &config_drive,
	.offset = offsetof(struct vm_config, drives),
	.nr = offsetof(struct vm_config, nr_drives),
	.id = offsetof(struct drive_config, drive_id),
	.host = offsetof(struct drive_config, path_on_host),
	.required = true,
	.init = config_drives_init,
	.open = drives_open_restored,
	.close = free_drive,
};
