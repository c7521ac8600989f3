// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_workset.c - `volt snapshot working-set`: which pages a clone is
 * given first
 */
#include "cli/cli.h"

#include "base/fd.h"
#include "pack/pack.h"
#include "snapshot/chain.h"
#include "snapshot/hot.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

struct workset_options {
	bool drop;
	bool json;
};

#define AT(member) .offset = offsetof(struct workset_options, member)

/* clang-format off */
static const struct arg workset_args[] = {
	{"drop", NULL, "remove what was recorded", .kind = ARG_FLAG, AT(drop)},
	{"json", NULL, "the same as one JSON object", .kind = ARG_FLAG,
	 AT(json)},
};
/* clang-format on */

const struct args_page cmd_snapshot_workset_page = {
	.name = "volt snapshot working-set",
	.summary = "which pages of a snapshot a clone is given first",
	.usage = "[--drop] [--json] DIR",
	.about = "Tells how many pages of the snapshot in DIR are read before "
		 "the guest asks for them, and why those: they were recorded "
		 "(`volt restore --record DIR`), a compressed memory file has "
		 "them as its first, or a diff holds them itself. A record of "
		 "another moment of the snapshot is not used.\n",
	.args = workset_args,
	.nr_args = ARRAY_SIZE(workset_args),
	.exit = "0 done, also when there is none; 1 failed; 64 bad usage.",
	.examples = "  volt restore --record --record-seconds 10 snap\n"
		    "  volt snapshot working-set snap\n",
	.nr_words = 1,
};

/**
 * struct found - a working set and where it comes from
 * @from:	"record", "compressed", "diff" or "none"
 */
struct found {
	struct workset set;
	const char *from;
};

static int workset_judge(struct found *f, const struct snapshot_paths *paths,
			 uint64_t moment, const struct image *image,
			 struct err *err)
{
	int r = snapshot_hot(paths, moment, &f->set, err);

	f->from = "record";
	if (r < 0 || f->set.nr > 0)
		return r;
	r = snapshot_hot_of_image(&f->set, image, err);
	f->from = f->set.nr == 0         ? "none"
		  : image->layer[0].pack ? "compressed"
					 : "diff";
	return r;
}

/* Return: 0 or -errno with a sentence. */
static int workset_find(struct found *f, const struct snapshot_paths *paths,
			struct err *err)
{
	struct image image = {0};
	uint64_t moment;
	int r = snapshot_image_at(paths, &image, &moment, err);

	if (r == 0)
		r = workset_judge(f, paths, moment, &image, err);
	image_fini(&image);
	return r;
}

static void workset_tell(const struct found *f, const char *dir, bool json)
{
	static const char *const why[][2] = {
		{"record", "were recorded"},
		{"compressed", "are the first of the compressed file"},
		{"diff", "are those of the diff itself"},
	};
	unsigned long long pages = f->set.nr;
	char room[CLI_CLEAN_MAX];

	if (json) {
		(void)printf("{\"from\":\"%s\",\"pages\":%llu,"
			     "\"bytes\":%llu}\n",
			     f->from, pages, pages * PAGE_SIZE);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(why); i++)
		if (strcmp(f->from, why[i][0]) == 0)
			(void)printf("%s: %llu pages, %llu KiB, which %s\n",
				     cli_clean(dir, room), pages,
				     pages * (PAGE_SIZE / 1024), why[i][1]);
	if (pages == 0)
		(void)printf("%s has no working set\n", cli_clean(dir, room));
}

static int workset_drop(const struct snapshot_paths *paths, struct err *err)
{
	cleanup_free char *path = NULL;
	int r = snapshot_hot_path(paths, &path);

	if (r < 0)
		return err_set(err, r, "out of memory");
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "cannot remove %s: %s", path,
			       err_name(errno));
	return 0;
}

int cmd_snapshot_workset(const struct args_page *page, int argc, char **argv)
{
	struct workset_options o = {0};
	struct snapshot_paths paths = {0};
	struct found found = {.from = "none"};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = snapshot_paths_in(&paths, args.words[0]);
	paths.unpack = &pack_unpacker;
	if (r < 0)
		(void)err_set(&err, r, "out of memory");
	if (r == 0 && o.drop)
		r = workset_drop(&paths, &err);
	if (r == 0)
		r = workset_find(&found, &paths, &err);
	if (r == 0)
		workset_tell(&found, args.words[0], o.json);
	workset_fini(&found.set);
	snapshot_paths_free(&paths);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
