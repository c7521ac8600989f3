// SPDX-License-Identifier: Apache-2.0
/*
 * drives.c - the drives of the configuration (drives.h)
 */
#include "config/drives.h"

#include <errno.h>
#include <stdio.h>

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

static int add(struct vm_config *config, struct drive_config *drive)
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
static void replace(struct vm_config *config, struct drive_config *old,
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
		replace(config, old, drive);
	} else {
		r = add(config, drive);
		if (r < 0)
			return r;
	}
	*drive = (struct drive_config){.fd = -1, .lock_fd = -1};
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
