// SPDX-License-Identifier: Apache-2.0
/*
 * option_disk.c - --disk PATH[,ro][,id=ID][,engine=async][,cache=unsafe]
 *
 * For a person the cache is Writeback: the guest's fsync() then means what it
 * says. The first comma ends the path.
 */
#include "config/drives.h"
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

static int set_id(struct drive_config *drive, const char *id, struct err *err)
{
	const char *p = id;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	if (*p || p == id)
		return err_set(err, -EINVAL,
			       "--disk: '%s' is no id: use letters, digits and "
			       "'_'",
			       id);
	free(drive->drive_id);
	drive->drive_id = strdup(id);
	return drive->drive_id ? 0 : no_memory(err);
}

static int set_word(struct drive_config *drive, const char *word,
		    struct err *err)
{
	if (strncmp(word, "id=", 3) == 0)
		return set_id(drive, word + 3, err);
	if (strcmp(word, "ro") == 0)
		drive->is_read_only = true;
	else if (strcmp(word, "engine=async") == 0)
		drive->io_engine = IO_ENGINE_ASYNC;
	else if (strcmp(word, "engine=sync") == 0)
		drive->io_engine = IO_ENGINE_SYNC;
	else if (strcmp(word, "cache=unsafe") == 0)
		drive->cache_type = CACHE_UNSAFE;
	else if (strcmp(word, "cache=writeback") == 0)
		drive->cache_type = CACHE_WRITEBACK;
	else
		return err_set(err, -EINVAL,
			       "--disk: unknown word '%s'; expected "
			       "PATH[,ro][,id=ID][,engine=async]"
			       "[,cache=unsafe]",
			       word);
	return 0;
}

static int parse(struct drive_config *drive, const char *text, struct err *err)
{
	size_t len = strcspn(text, ",");
	cleanup_free char *words = strdup(text + len);
	char *save = NULL;
	int r = 0;

	drive->path_on_host = strndup(text, len);
	if (!words || !drive->path_on_host)
		return no_memory(err);
	for (char *word = strtok_r(words, ",", &save); word && r == 0;
	     word = strtok_r(NULL, ",", &save))
		r = option_key_again(text + len, (size_t)(word - words))
			    ? err_set(err, -EINVAL,
				      "--disk %s: '%.*s' is given twice", text,
				      (int)strcspn(word, "="), word)
			    : set_word(drive, word, err);
	return r;
}

static int enter(struct vm_config *config, struct drive_config *drive,
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
	return r == -ENOMEM ? no_memory(err)
	       : r < 0      ? err_set(err, r, "There are two root devices")
			    : 0;
}

int option_disk_apply(const char *text, unsigned int index, bool root,
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
	char id[16];
	int r;

	(void)snprintf(id, sizeof(id), "disk%u", index);
	r = set_id(&drive, id, err);
	if (r == 0)
		r = parse(&drive, text, err);
	if (r == 0)
		r = enter(config, &drive, err);
	drive_config_free(&drive);
	return r;
}
