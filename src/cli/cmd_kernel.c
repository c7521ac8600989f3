// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_kernel.c - `volt kernel`: list, verify, choose and remove kernels
 *
 * kernel_add.c has how they come, kernel_info.c what they are.
 */
#include "cli/cache.h"
#include "cli/kernel.h"

#include "kernel/source.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const struct args_page cmd_kernel_page = {
	.name = "volt kernel",
	.summary = "kernels by name: add, build, list, choose, check, remove",
	.usage = "add FILE [OPTIONS]\n"
		 "add --package NAME [OPTIONS]\n"
		 "build SOURCE [OPTIONS]\n"
		 "build --package NAME [OPTIONS]\n"
		 "ls\n"
		 "info [NAME]\n"
		 "check [OPTIONS] [NAME]\n"
		 "verify [NAME]\n"
		 "path [NAME]\n"
		 "default [NAME]\n"
		 "pin [--off] NAME\n"
		 "rm [--force] NAME\n"
		 "gc [--unpinned]",
	.about =
		"Keeps kernels for `volt run`: each under a name, unpacked, "
		"and checked when it is used. `add` takes one from a file or "
		"a package of Debian's, `build` makes a small one. `info` "
		"tells which of Volt's devices a kernel drives, `check` "
		"whether it boots here from a given root, `verify` whether "
		"its files are as they were added, `path` where its file is. "
		"Without a NAME these take the default, which `default` "
		"tells or sets, and verify all. `pin` keeps a kernel from `rm` and "
		"`gc`; `gc` removes what no kernel needs.\n"
		"\n"
		"Root's kernels are in /var/lib/volt/kernels, for all users; "
		"a user's own are in $XDG_DATA_HOME/volt/kernels "
		"(~/.local/share/volt/kernels), which are looked at first. "
		"VOLT_STORE names another folder instead of both.\n"
		"\n"
		"docs/kernels.md tells of kernels from the start. Each form "
		"has its own help: `volt kernel add --help`.\n",
	.exit = KERNEL_EXIT,
	.examples = "  volt kernel add --package linux-image-cloud-amd64\n"
		    "  volt kernel ls\n"
		    "  volt kernel check --disk root.img\n"
		    "  volt run --disk root.img\n",
};

const struct args_page cmd_kernel_ls_page = {
	.name = "volt kernel ls",
	.summary = "the kernels that are there",
	.usage = "",
	.about = "Lists the kernels of this user and those of all users. One "
		 "that is listed twice is taken from the user's own store.\n",
	.exit = "0 listed, also when there are none; 1 failed; 64 bad usage.",
};

const struct args_page cmd_kernel_path_page = {
	.name = "volt kernel path",
	.summary = "where a kernel is, for volt-vmm and the API",
	.usage = "[NAME]",
	.about = "Checks kernel NAME (the default without one), and prints the "
		 "path of its file: what \"kernel_image_path\" of the API and "
		 "volt-vmm's --kernel take.\n",
	.exit = "0 printed; 1 there is none, or it is damaged; 64 bad usage.",
	.examples = "  volt-vmm --kernel \"$(volt kernel path)\" --initrd "
		    "web.cpio\n",
	.nr_words = 1,
};

const struct args_page cmd_kernel_verify_page = {
	.name = "volt kernel verify",
	.summary = "read kernels whole, and compare them with what was added",
	.usage = "[NAME]",
	.about = "Reads all files of kernel NAME, or of all kernels, and "
		 "compares their SHA-256 with what was added. `volt run` does "
		 "that only for a file whose size, inode or time of change is "
		 "another than it was; this finds what a failing disk did as "
		 "well.\n",
	.exit = "0 all are whole; 1 one is damaged, or failed; 64 bad usage.",
	.nr_words = 1,
};

const struct args_page cmd_kernel_default_page = {
	.name = "volt kernel default",
	.summary = "the kernel that `volt run` takes when it is given none",
	.usage = "[NAME]",
	.about = "Makes NAME the default kernel, or prints which one is. The "
		 "first one of a store is its default. A user's default goes "
		 "before root's.\n",
	.exit = KERNEL_EXIT,
	.nr_words = 1,
};

struct pin {
	bool off;
};

static const struct arg pin_args[] = {
	{.name = "off",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct pin, off),
	 .help = "let it be removed again"},
};

const struct args_page cmd_kernel_pin_page = {
	.name = "volt kernel pin",
	.summary = "keep a kernel from being removed",
	.usage = "[--off] NAME",
	.about = "`volt kernel rm` and `gc` leave a pinned kernel.\n",
	.args = pin_args,
	.nr_args = ARRAY_SIZE(pin_args),
	.exit = KERNEL_EXIT,
	.nr_words = 1,
};

struct rm {
	bool force;
};

static const struct arg rm_args[] = {
	{.name = "force",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct rm, force),
	 .help = "also one that is pinned, or the default"},
};

const struct args_page cmd_kernel_rm_page = {
	.name = "volt kernel rm",
	.summary = "remove a kernel",
	.usage = "[--force] NAME",
	.about = "Removes kernel NAME. VMs that run it keep it. One that is "
		 "pinned, or the default, stays.\n",
	.args = rm_args,
	.nr_args = ARRAY_SIZE(rm_args),
	.exit = KERNEL_EXIT,
	.nr_words = 1,
};

struct gc {
	bool unpinned;
};

static const struct arg gc_args[] = {
	{.name = "unpinned",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct gc, unpinned),
	 .help = "also every kernel that is neither pinned nor the default"},
};

const struct args_page cmd_kernel_gc_page = {
	.name = "volt kernel gc",
	.summary = "remove what no kernel needs",
	.usage = "[--unpinned]",
	.about = "Removes files that no kernel needs: what an add left that "
		 "was killed, and, of builds that do not go on now, sources "
		 "and what is half built. It harms nothing at any time.\n",
	.args = gc_args,
	.nr_args = ARRAY_SIZE(gc_args),
	.exit = KERNEL_EXIT,
};

/* How a row of the list is printed. */
struct listing {
	struct stores *stores;
	char preset[RECORD_NAME_MAX + 1];
	bool damaged;
};

static int list_one(const struct store *store, const char *name, void *arg)
{
	cleanup_record struct record record = {0};
	char room[CLI_CLEAN_MAX], added[32] = "";
	struct listing *list = arg;
	struct err err;
	struct tm tm;
	time_t at;

	if (store_find(store, name, &record, &err) < 0) {
		(void)cli_fail(1, &cmd_kernel_ls_page, &err);
		list->damaged = true;
		return 0;
	}
	at = (time_t)record.added;
	if (gmtime_r(&at, &tm))
		(void)strftime(added, sizeof(added), "%Y-%m-%d", &tm);
	(void)printf("%-28s %6llu %-7s %-7s %-10s %-6s %s%s%s\n", record.name,
		     (unsigned long long)record.kernel.size >> 20,
		     record.has_config ? "yes" : "no",
		     record.has_modules ? "yes" : "no", added,
		     store->mine ? "own" : "system",
		     cli_clean(record.origin, room),
		     strcmp(list->preset, name) == 0 ? ", default" : "",
		     record.pinned ? ", pinned" : "");
	return 0;
}

int cmd_kernel_ls(const struct args_page *page, int argc, char **argv)
{
	struct listing list = {0};
	struct stores stores;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = stores_open(&stores, &store_kernels, &err);
	list.stores = &stores;
	if (r == 0)
		(void)printf("%-28s %6s %-7s %-7s %-10s %-6s %s\n", "NAME",
			     "MiB", "CONFIG", "MODULES", "ADDED", "STORE",
			     "FROM");
	if (r == 0 && stores_default(&stores, list.preset, NULL) < 0)
		list.preset[0] = '\0';
	for (unsigned int i = 0; r == 0 && i < stores.nr; i++)
		r = store_each(&stores.store[i], list_one, &list, &err);
	stores_close(&stores);
	if (r < 0)
		return cli_fail(1, page, &err);
	return list.damaged;
}

int cmd_kernel_path(const struct args_page *page, int argc, char **argv)
{
	struct kernel_found found;
	struct cli_wait wait;
	cleanup_free char *path = NULL;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	cli_wait_begin(&wait, page);
	r = kernel_find(&found, args.words[0], &err);
	if (r == 0)
		r = store_use(found.store, found.record.name,
			      &found.record.kernel, &wait.progress, NULL, &err);
	cli_wait_end(&wait);
	if (r == 0) {
		path = store_path(found.store, &found.record.kernel);
		(void)puts(path ? path : "");
	}
	kernel_found_free(&found);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

/* All of one kernel's files. */
static int verify_files(struct store *store, struct record *record,
			struct progress *progress, struct err *err)
{
	int r = store_verify(store, record->name, &record->kernel, progress,
			     err);

	if (r == 0 && record->has_config)
		r = store_verify(store, record->name, &record->config, progress,
				 err);
	if (r == 0 && record->has_modules)
		r = store_verify(store, record->name, &record->modules,
				 progress, err);
	if (r == 0 && store->mine)
		store_note(store, record);
	return r;
}

struct verifying {
	const struct args_page *page;
	bool damaged;
};

static int verify_one(const struct store *store, const char *name, void *arg)
{
	cleanup_record struct record record = {0};
	struct verifying *v = arg;
	struct store own = *store;
	struct cli_wait wait;
	struct err err;
	int r;

	cli_wait_begin(&wait, v->page);
	r = store_find(store, name, &record, &err);
	if (r == 0)
		r = verify_files(&own, &record, &wait.progress, &err);
	cli_wait_end(&wait);
	if (r == 0)
		(void)printf("%s: whole\n", name);
	else
		v->damaged = cli_fail(1, v->page, &err) != 0;
	return 0;
}

int cmd_kernel_verify(const struct args_page *page, int argc, char **argv)
{
	struct verifying v = {.page = page};
	struct kernel_found found;
	struct stores stores;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	if (args.nr_words > 0) {
		r = kernel_find(&found, args.words[0], &err);
		if (r == 0)
			(void)verify_one(found.store, args.words[0], &v);
		kernel_found_free(&found);
		return r < 0 ? cli_fail(1, page, &err) : v.damaged;
	}
	r = stores_open(&stores, &store_kernels, &err);
	for (unsigned int i = 0; r == 0 && i < stores.nr; i++)
		r = store_each(&stores.store[i], verify_one, &v, &err);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : v.damaged;
}

/* The store of this user has @name, or says who has. */
static int find_own(struct stores *stores, const char *name,
		    struct record *record, struct err *err)
{
	struct store *where = NULL;
	int r = stores_open(stores, &store_kernels, err);

	if (r == 0)
		r = stores_find(stores, name, record, &where, err);
	/* rm takes a damaged record away as well. */
	if ((r == 0 || r == -EINVAL) && where && !where->mine)
		r = err_set(err, -EACCES,
			    "Kernel %s is in %s, which only root changes: try "
			    "`sudo volt kernel`",
			    name, where->path);
	return r;
}

int cmd_kernel_default(const struct args_page *page, int argc, char **argv)
{
	cleanup_record struct record record = {0};
	char name[RECORD_NAME_MAX + 1];
	struct store *where = NULL;
	struct stores stores;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = stores_open(&stores, &store_kernels, &err);
	if (r == 0 && args.nr_words == 0) {
		r = stores_default(&stores, name, &err);
		if (r == 0)
			(void)puts(name);
	} else if (r == 0) {
		r = stores_find(&stores, args.words[0], &record, &where, &err);
		/* A user may prefer another of root's kernels than root does.
		 */
		if (r == 0)
			r = store_create(stores_mine(&stores), &err);
		if (r == 0)
			r = store_set_default(stores_mine(&stores),
					      args.words[0], &err);
	}
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_kernel_pin(const struct args_page *page, int argc, char **argv)
{
	cleanup_record struct record record = {0};
	struct stores stores = {0};
	struct pin o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = find_own(&stores, args.words[0], &record, &err);
	if (r == 0)
		r = store_pin(stores_mine(&stores), args.words[0], !o.off,
			      &err);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

/* Why it stays; NULL: it may go. */
static const char *why_kept(const struct store *store,
			    const struct record *record)
{
	char preset[RECORD_NAME_MAX + 1];

	store_default(store, preset);
	return record->pinned                      ? "pinned"
	       : strcmp(preset, record->name) == 0 ? "the default"
						   : NULL;
}

int cmd_kernel_rm(const struct args_page *page, int argc, char **argv)
{
	cleanup_record struct record record = {0};
	struct stores stores = {0};
	const char *kept = NULL;
	struct rm o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = find_own(&stores, args.words[0], &record, &err);
	if (r == 0 && !o.force)
		kept = why_kept(stores_mine(&stores), &record);
	if (kept)
		r = err_set(&err, -EBUSY,
			    "Kernel %s is %s and stays: --force removes it all "
			    "the same",
			    args.words[0], kept);
	else if (r == 0 || r == -EINVAL)
		r = store_remove(stores_mine(&stores), args.words[0], &err);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

static int remove_unpinned(const struct store *store, const char *name,
			   void *arg)
{
	cleanup_record struct record record = {0};
	struct store own = *store;
	struct err *err = arg;
	int r = store_find(store, name, &record, err);

	if (r < 0 || why_kept(store, &record))
		return r;
	r = store_remove(&own, name, err);
	if (r == 0)
		(void)printf("%s: removed\n", name);
	return r;
}

static void clean_builds(void)
{
	cleanup_free char *cache = malloc(PATH_MAX);
	uint64_t folders = 0;

	if (cache && cache_path(cache, "build", NULL) == 0)
		source_clean_cache(cache, &folders);
	if (folders > 0)
		(void)printf("%llu folders of builds removed\n",
			     (unsigned long long)folders);
}

int cmd_kernel_gc(const struct args_page *page, int argc, char **argv)
{
	uint64_t files = 0, bytes = 0;
	struct stores stores;
	struct gc o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = stores_open(&stores, &store_kernels, &err);
	if (r == 0 && o.unpinned && stores_mine(&stores)->fd >= 0)
		r = store_each(stores_mine(&stores), remove_unpinned, &err,
			       &err);
	if (r == 0)
		r = store_gc(stores_mine(&stores), &files, &bytes, &err);
	stores_close(&stores);
	if (r < 0)
		return cli_fail(1, page, &err);
	(void)printf("%llu files without a kernel removed, %llu MiB\n",
		     (unsigned long long)files,
		     (unsigned long long)bytes >> 20);
	clean_builds();
	return 0;
}
