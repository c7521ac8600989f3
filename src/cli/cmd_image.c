// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_image.c - `volt image`: list and remove images
 *
 * image_add.c has how they come, image_info.c what they are.
 */
#include "cli/image.h"

#include "cli/warm.h"
#include "oci/image.h"
#include "store/store_write.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct args_page cmd_image_page = {
	.name = "volt image",
	.summary = "images by name: add, pull, list, show, remove",
	.usage = "add SOURCE [OPTIONS]\n"
		 "pull REFERENCE [OPTIONS]\n"
		 "ls | info NAME | rm NAME | gc",
	.about = "Keeps images: root file systems with how they are run. Each "
		 "is an ext4 file, made without root and never written again, "
		 "checked when it is used; images of the same layers share "
		 "it. Root's are in /var/lib/volt/images, for all users; a "
		 "user's own are in $XDG_DATA_HOME/volt/images "
		 "(~/.local/share/volt/images), which are looked at first. "
		 "VOLT_IMAGES names another folder instead of both.\n"
		 "\n"
		 "docs/images.md tells of images from the start. Each form has "
		 "its own help: `volt image add --help`.\n",
	.exit = IMAGE_EXIT,
	.examples = "  volt image pull debian:12\n"
		    "  docker save web:1 -o web.tar; volt image add web.tar\n"
		    "  volt image ls\n",
};

const struct args_page cmd_image_ls_page = {
	.name = "volt image ls",
	.summary = "the images that are there",
	.usage = "",
	.about = "Lists the images of this user and those of all users. One "
		 "that is listed twice is taken from the user's own store. "
		 "The size is what the file system takes up on the disk; "
		 "images with the same layers share it.\n",
	.exit = "0 listed, also when there are none; 1 failed; 64 bad usage.",
};

const struct args_page cmd_image_rm_page = {
	.name = "volt image rm",
	.summary = "remove an image",
	.usage = "NAME",
	.about = "Removes image NAME, and its file system when no other image "
		 "has it. VMs that run it keep it.\n",
	.exit = IMAGE_EXIT,
	.nr_words = 1,
};

const struct args_page cmd_image_gc_page = {
	.name = "volt image gc",
	.summary = "remove what no image needs",
	.usage = "",
	.about = "Removes files that no image needs: what an add or a pull "
		 "left that was killed; and the warm starts that `volt run` "
		 "keeps. It harms nothing at any time.\n",
	.exit = IMAGE_EXIT,
};

/* What it takes up; a hole takes nothing. */
static uint64_t image_disk_bytes(const struct store *store,
				 const struct record_file *file)
{
	cleanup_free char *path = store_path(store, file);
	struct stat st;

	return path && stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512
					    : file->size;
}

static int image_list_one(const struct store *store, const char *name,
			  void *arg)
{
	cleanup_record struct record record = {0};
	char room[CLI_CLEAN_MAX], added[32] = "";
	bool *damaged = arg;
	struct err err;
	struct tm tm;
	time_t at;

	if (store_find(store, name, &record, &err) < 0) {
		(void)cli_fail(1, &cmd_image_ls_page, &err);
		*damaged = true;
		return 0;
	}
	at = (time_t)record.added;
	if (gmtime_r(&at, &tm))
		(void)strftime(added, sizeof(added), "%Y-%m-%d", &tm);
	(void)printf(
		"%-32s %-12.12s %7llu %-10s %-6s %s\n", record.name,
		record.has_config ? record.config.sha256 : "",
		(unsigned long long)image_disk_bytes(store, &record.rootfs) >>
			20,
		added, store->mine ? "own" : "system",
		cli_clean(record.origin, room));
	return 0;
}

int cmd_image_ls(const struct args_page *page, int argc, char **argv)
{
	struct stores stores;
	bool damaged = false;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = stores_open(&stores, &store_images, &err);
	if (r == 0)
		(void)printf("%-32s %-12s %7s %-10s %-6s %s\n", "NAME", "ID",
			     "MiB", "ADDED", "STORE", "FROM");
	for (unsigned int i = 0; r == 0 && i < stores.nr; i++)
		r = store_each(&stores.store[i], image_list_one, &damaged,
			       &err);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : damaged;
}

int cmd_image_rm(const struct args_page *page, int argc, char **argv)
{
	struct image image = {0};
	struct args args;
	struct err err;
	const char *name;
	int r = cli_parse(page, argc, argv, 1, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = image_find(&image, args.words[0], &err);
	name = r == 0 ? image.record.name : args.words[0];
	/* A damaged record is taken away as well. */
	if ((r == 0 || r == -EINVAL) && image.store && !image.store->mine)
		r = err_set(&err, -EACCES,
			    "Image %s is in %s, which only root changes: try "
			    "`sudo volt image`",
			    name, image.store->path);
	if (r == 0 || r == -EINVAL)
		r = store_remove(stores_mine(&image.stores), name, &err);
	image_close(&image);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_image_gc(const struct args_page *page, int argc, char **argv)
{
	uint64_t files = 0, bytes = 0;
	struct stores stores;
	unsigned int starts;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = stores_open(&stores, &store_images, &err);
	if (r == 0)
		r = store_gc(stores_mine(&stores), &files, &bytes, &err);
	stores_close(&stores);
	if (r < 0)
		return cli_fail(1, page, &err);
	(void)printf("%llu files without an image removed, %llu MiB\n",
		     (unsigned long long)files,
		     (unsigned long long)bytes >> 20);
	starts = warm_clear(&bytes);
	if (starts > 0)
		(void)printf("%u warm starts removed, %llu MiB\n", starts,
			     (unsigned long long)bytes >> 20);
	return 0;
}
