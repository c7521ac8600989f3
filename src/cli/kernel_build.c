// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_build.c - `volt kernel build`: a kernel from its source
 */
#include "cli/cache.h"
#include "cli/kernel.h"

#include "kernel/build.h"
#include "kernel/intake.h"

#include "base/fd.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

struct kernel_build_args {
	const char *package;
	const char *suite;
	const char *with;
	const char *config;
	const char *name;
	uint64_t jobs;
	bool list;
	bool replace;
	bool preset;
	bool keep;
};

#define AT(member) .offset = offsetof(struct kernel_build_args, member)

/* clang-format off */
static const struct arg kernel_build_args[] = {
	{"package", "NAME", "the source is this package of Debian's, by apt: "
	 "linux-source-6.1, linux-source-6.12", .kind = ARG_TEXT, AT(package)},
	{"suite", "NAME", "of this Debian, such as bookworm, trixie or "
	 "bookworm-backports (default: what this machine's apt knows)",
	 .kind = ARG_TEXT, AT(suite), .needs = "package"},
	{"with", "LIST", "options, such as net,vsock (default: none; --list "
	 "has them)", .kind = ARG_TEXT, AT(with)},
	{"config", "FILE", "lines of a .config that count more than Volt's",
	 .kind = ARG_TEXT, AT(config)},
	{"jobs", "N", "so many compilers at once (default: one for each CPU)",
	 .kind = ARG_NUMBER, AT(jobs), .min = 1, .max = 1024},
	{"name", "NAME", "letters, digits and . _ + - ~ (default: its version "
	 "and options)", .kind = ARG_TEXT, AT(name)},
	{"replace", NULL, "another kernel of that name goes", .kind = ARG_FLAG,
	 AT(replace)},
	{"default", NULL, "make it the default", .kind = ARG_FLAG, AT(preset)},
	{"keep", NULL, "build in a folder that stays, and print where it is: "
	 "the next kernel of this source that is built with --keep compiles "
	 "only what its options change", .kind = ARG_FLAG, AT(keep)},
	{"list", NULL, "list the options, and build nothing",
	 .kind = ARG_FLAG, AT(list)},
};
/* clang-format on */

const struct args_page cmd_kernel_build_page = {
	.name = "volt kernel build",
	.summary = "build a small kernel from Linux' source, and add it",
	.usage = "[OPTIONS] SOURCE\n"
		 "[OPTIONS] --package NAME [--suite NAME]\n"
		 "--list",
	.about = "SOURCE is a source tree of Linux, which nothing is written "
		 "into, or a tarball such as "
		 "/usr/src/linux-source-6.1.tar.xz. The kernel gets what the "
		 "base needs, what --with names, and nothing else, all built "
		 "in.\n"
		 "\n"
		 "It takes some minutes and 1 to 2 GiB in the user's cache "
		 "($XDG_CACHE_HOME/volt/build). Killed or failed, the same "
		 "command goes on where it was. A log is kept, and named when "
		 "the build fails. `volt kernel gc` removes sources and what "
		 "unfinished builds left.\n",
	.args = kernel_build_args,
	.nr_args = ARRAY_SIZE(kernel_build_args),
	.exit = "0 it is there; 1 failed, and the store is as it was; 64 bad "
		"usage.",
	.examples = "  volt kernel build --package linux-source-6.1 --with "
		    "net,vsock\n"
		    "  volt kernel build --list\n",
	.nr_words = 1,
};

static void print_option(const char *name, const char *summary)
{
	(void)printf("%-12s %s\n", name, summary);
}

/* "-volt-net-vsock": uname has 64 bytes for it and the version. */
static int name_version(struct fragments *all, const char *names,
			unsigned int nr, struct err *err)
{
	cleanup_buf struct buf text = {0};

	buf_add_str(&text, "CONFIG_LOCALVERSION=\"-volt");
	for (unsigned int i = 0; i < nr; i++, names += strlen(names) + 1)
		if (text.len + strlen(names) < 66)
			buf_addf(&text, "-%s", names);
	buf_add_str(&text, "\"");
	return text.failed ? err_set(err, -ENOMEM, "Out of memory")
			   : fragments_lay(all, "the name", text.data, text.len,
					   err);
}

/* base, the options that were asked for, the user's own. */
static int lay_all(const struct kernel_build_args *o, struct fragments *all,
		   struct err *err)
{
	cleanup_buf struct buf names = {0};
	cleanup_free char *folder = NULL;
	const char *at = FRAGMENT_BASE;
	unsigned int nr = 0;
	int r = fragment_folder(&folder, err);

	if (r == 0)
		r = fragment_names(folder, o->with ? o->with : "", &names, &nr,
				   err);
	for (unsigned int i = 0; r == 0 && i <= nr; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s.config", folder, at) < 0) {
			path = NULL;
			return err_set(err, -ENOMEM, "Out of memory");
		}
		r = fragments_lay_file(all, path, err);
		at = i == 0 ? names.data : at + strlen(at) + 1;
	}
	if (r == 0)
		r = name_version(all, names.data, nr, err);
	if (r == 0 && o->config)
		r = fragments_lay_file(all, o->config, err);
	return r;
}

/* What was built becomes a kernel of the store. */
static int add_built(struct adding *adding, const struct kernel_build_args *o,
		     const struct build *build, struct progress *progress,
		     struct err *err)
{
	cleanup_record struct record record = {0};
	cleanup_free char *image = NULL, *config = NULL;
	int r;

	if (asprintf(&image, "%s/vmlinux", build->folder) < 0)
		image = NULL;
	if (asprintf(&config, "%s/.config", build->folder) < 0)
		config = NULL;
	if (!image || !config)
		return err_set(err, -ENOMEM, "Out of memory");
	r = intake_file(adding, image, config, progress, &record, err);
	if (r < 0)
		return r;
	free(record.origin);
	if (asprintf(&record.origin, "built from %s", build->source->what) <
	    0) {
		record.origin = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	return kernel_commit(adding, o->name, o->replace, o->preset, image,
			     &record, err);
}

static int build_and_add(struct adding *adding,
			 const struct kernel_build_args *o, const char *word,
			 struct cli_wait *wait, struct err *err)
{
	cleanup_fragments struct fragments all = {0};
	cleanup_source struct source source = {0};
	cleanup_buf struct buf ignored = {0};
	cleanup_free char *cache = malloc(PATH_MAX);
	struct build build = {
		.cache = cache,
		.source = &source,
		.fragments = &all,
		.jobs = (unsigned int)o->jobs,
		.keep = o->keep,
		.progress = &wait->progress,
	};
	const struct kernel_where where = {
		.package = o->package,
		.suite = o->suite,
		.path = word,
		.cache = cache,
	};
	int r = lay_all(o, &all, err);

	if (r == 0 && !cache)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0)
		r = cache_path(cache, "build", err);
	if (r == 0)
		r = build_check_tools(err);
	if (r == 0)
		r = store_create(adding->store, err);
	if (r == 0)
		r = kernel_find_source(&where, adding, &wait->progress, &source,
				       err);
	if (r == 0)
		r = build_kernel(&build, &ignored, err);
	buf_add(&ignored, "", 1);
	cli_wait_end(wait);
	if (r == 0 && ignored.len > 1 && !ignored.failed)
		(void)cli_complain(0, wait->page,
				   "Linux %s does not have these, so neither "
				   "has the kernel:%s",
				   source.version, ignored.data);
	if (r == 0)
		r = add_built(adding, o, &build, &wait->progress, err);
	if (r == 0 && o->keep)
		(void)printf("%s\n", build.folder);
	build_close(&build, r == 0 && !o->keep);
	return r;
}

static unsigned int count_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0
		       ? (unsigned int)CPU_COUNT(&set)
		       : 1;
}

static int list_options(struct err *err)
{
	cleanup_free char *folder = NULL;
	int r = fragment_folder(&folder, err);

	return r < 0 ? r : fragment_each(folder, print_option, err);
}

/* Not inlined: what it holds and the command line are too much for one frame.
 */
static __attribute__((noinline)) int
build_into_store(const struct kernel_build_args *o, const char *source,
		 const struct args_page *page, struct err *err)
{
	struct adding adding = {0};
	struct cli_wait wait;
	struct stores stores;
	int r;

	cli_wait_begin(&wait, page);
	r = stores_open(&stores, &store_kernels, err);
	adding.store = stores_mine(&stores);
	if (r == 0)
		r = build_and_add(&adding, o, source, &wait, err);
	cli_wait_end(&wait);
	adding_close(&adding);
	stores_close(&stores);
	return r;
}

int cmd_kernel_build(const struct args_page *page, int argc, char **argv)
{
	struct kernel_build_args o = {.jobs = count_cpus()};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	if (o.list)
		return list_options(&err) < 0 ? cli_fail(1, page, &err) : 0;
	if (o.name && !record_is_name(o.name))
		return kernel_bad_name(page, o.name);
	if (!o.package == !args.nr_words)
		return cli_misuse(page, "it takes either SOURCE or --package");
	r = build_into_store(&o, args.words[0], page, &err);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
