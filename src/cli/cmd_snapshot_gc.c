// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_gc.c - `volt snapshot gc`: remove what killed saves left
 * (snapshot/gc.h)
 */
#include "cli/cli.h"

#include "snapshot/gc.h"

#include <stdio.h>

struct gc_options {
	bool dry_run;
};

/* clang-format off */
static const struct arg snapshot_gc_args[] = {
	{"dry-run", NULL, "only say what would be done", .kind = ARG_FLAG,
	 .offset = offsetof(struct gc_options, dry_run)},
};
/* clang-format on */

const struct args_page cmd_snapshot_gc_page = {
	.name = "volt snapshot gc",
	.summary = "remove what saves that were killed have left",
	.usage = "[--dry-run] [DIR]",
	.about =
		"A save, merge, squash or import that is killed may leave "
		"files that nobody needs beside the snapshot that is there. "
		"The next one into the same directory removes them; where none "
		"comes, this does, in DIR (.), which is a snapshot or a folder "
		"of snapshots, and in the directories in it. A line tells of "
		"each file that is removed, gets the name that it was on its "
		"way to, or is left, and why.\n"
		"\n"
		"Only what a lock file of ours has noted is touched, while "
		"nobody writes there. A snapshot is never removed, also when "
		"no other needs it: `volt snapshot tree` shows those, and rm "
		"-r removes one. VMs that run are not disturbed.\n",
	.args = snapshot_gc_args,
	.nr_args = ARRAY_SIZE(snapshot_gc_args),
	.exit = "0 done, also when there was nothing to do or something was "
		"left; 1 failed; 64 bad usage.",
	.examples = "  volt snapshot gc --dry-run snaps\n"
		    "  volt snapshot gc snaps\n",
	.nr_words = 1,
};

static const char *gc_verb(enum gc_deed deed, bool dry)
{
	if (deed == GC_LEFT)
		return "left";
	if (deed == GC_NAMED)
		return dry ? "would complete" : "completed";
	return dry ? "would remove" : "removed";
}

static void gc_say(struct gc *gc, enum gc_deed deed, const char *dir,
		   const char *name, const char *why)
{
	char room_dir[CLI_CLEAN_MAX], room[CLI_CLEAN_MAX];

	(void)printf("%s %s/%s%s%s\n", gc_verb(deed, gc->dry),
		     cli_clean(dir, room_dir), cli_clean(name, room),
		     why ? ": " : "", why ? why : "");
}

int cmd_snapshot_gc(const struct args_page *page, int argc, char **argv)
{
	struct gc_options o = {0};
	struct gc gc = {.say = gc_say};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	gc.dry = o.dry_run;
	r = snapshot_gc(&gc, args.nr_words > 0 ? args.words[0] : ".", &err);
	if (r < 0)
		return cli_fail(1, page, &err);
	if (gc.nr_removed > 0)
		(void)printf("%u file%s, %llu KiB%s\n", gc.nr_removed,
			     gc.nr_removed == 1 ? "" : "s",
			     (unsigned long long)gc.nr_bytes >> 10,
			     gc.dry ? " would be free" : " free");
	return 0;
}
