// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_add.c - `volt kernel add`: how kernels come into the store
 */
#include "cli/kernel.h"

#include "kernel/aptget.h"
#include "kernel/intake.h"
#include "kernel/keep.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct add {
	const char *name;
	const char *config;
	const char *package;
	const char *suite;
	const char *keep;
	bool replace;
	bool preset;
};

#define AT(member) .offset = offsetof(struct add, member)

/* clang-format off */
static const struct arg kernel_add_args[] = {
	{"package", "NAME", "fetch this package of Debian's by apt instead: "
	 "linux-image-cloud-amd64, or a kernel's own", .kind = ARG_TEXT,
	 AT(package)},
	{"suite", "NAME", "of this Debian, such as bookworm, trixie or "
	 "bookworm-backports (default: what this machine's apt knows)",
	 .kind = ARG_TEXT, AT(suite), .needs = "package"},
	{"keep", "DIR", "leave the packages that were downloaded in this "
	 "folder, too", .kind = ARG_TEXT, AT(keep), .needs = "package"},
	{"name", "NAME", "letters, digits and . _ + - ~ (default: its version)",
	 .kind = ARG_TEXT, AT(name)},
	{"config", "FILE", "its configuration (a .config, /boot/config-*), if "
	 "it has none in it; a package brings it along", .kind = ARG_TEXT,
	 AT(config)},
	{"replace", NULL, "another kernel of that name goes", .kind = ARG_FLAG,
	 AT(replace)},
	{"default", NULL, "make it the default", .kind = ARG_FLAG, AT(preset)},
};
/* clang-format on */

const struct args_page cmd_kernel_add_page = {
	.name = "volt kernel add",
	.summary = "add a kernel, from its file or a package",
	.usage = "[OPTIONS] FILE\n"
		 "[OPTIONS] --package NAME [--suite NAME]",
	.about = "FILE is a vmlinux (ELF), a bzImage (vmlinuz), one of them "
		 "compressed (gzip, bzip2, xz, lzma, lz4, zstd, and lzo "
		 "where lzop is installed), or a "
		 "Debian package of a kernel (linux-image-*.deb), which is "
		 "unpacked but neither installed nor run. What volt-vmm would "
		 "not load is refused. Of a package, the configuration and "
		 "the modules for Volt's devices and for root file systems are "
		 "kept as well.\n"
		 "\n"
		 "--package has apt download it, which checks Debian's "
		 "signatures; it needs no root, changes nothing of this "
		 "machine's apt, and follows a package that only depends on a "
		 "kernel to that.\n"
		 "\n"
		 "What is kept holds only what is loaded: give a debugger the "
		 "vmlinux of the build. To add the same kernel again changes "
		 "nothing, and mends what was damaged. However an add ends, "
		 "the kernel is there, or nothing of it is.\n",
	.args = kernel_add_args,
	.nr_args = ARRAY_SIZE(kernel_add_args),
	.exit = "0 it is there; 1 failed, and nothing changed; 64 bad usage.",
	.examples = "  volt kernel add --package linux-image-cloud-amd64\n"
		    "  volt kernel add /boot/vmlinuz-$(uname -r) --config "
		    "/boot/config-$(uname -r)\n"
		    "  volt kernel add --name slim vmlinux\n",
	.nr_words = 1,
};

/* From Debian, into a folder of the store that goes again. */
static int add_fetch(struct adding *adding, const struct add *o,
		     struct progress *progress, char **deb, struct err *err)
{
	struct aptget wish = {
		.prefix = APTGET_IMAGE,
		.package = o->package,
		.suite = o->suite,
	};
	cleanup_free char *folder = NULL;
	int r = adding_folder(adding, &folder, err);

	wish.folder = folder;
	if (r == 0)
		r = aptget_fetch(&wish, progress, deb, err);
	return r == 0 && o->keep ? keep_packages(folder, o->keep, err) : r;
}

/* From a file, or from Debian by way of one. */
static int take_in(struct adding *adding, const struct add *o, const char *path,
		   struct progress *progress, struct record *record,
		   struct err *err)
{
	cleanup_free char *deb = NULL;
	int r = store_create(adding->store, err);

	if (r == 0 && o->package)
		r = add_fetch(adding, o, progress, &deb, err);
	return r < 0 ? r
		     : intake_file(adding, deb ? deb : path, o->config,
				   progress, record, err);
}

static int check_words(const struct args_page *page, const struct add *o,
		       const struct args *args)
{
	if (o->name && !record_is_name(o->name))
		return kernel_bad_name(page, o->name);
	if (!o->package == !args->nr_words)
		return cli_misuse(page, "it takes either FILE or --package");
	return CLI_GO_ON;
}

int cmd_kernel_add(const struct args_page *page, int argc, char **argv)
{
	cleanup_record struct record record = {0};
	struct adding adding = {0};
	struct cli_wait wait;
	struct stores stores;
	struct add o = {0};
	struct args args;
	const char *from;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r == CLI_GO_ON)
		r = check_words(page, &o, &args);
	if (r != CLI_GO_ON)
		return r;
	from = o.package ? o.package : args.words[0];
	cli_wait_begin(&wait, page);
	r = stores_open(&stores, &store_kernels, &err);
	adding.store = stores_mine(&stores);
	if (r == 0)
		r = take_in(&adding, &o, from, &wait.progress, &record, &err);
	cli_wait_end(&wait);
	if (r == 0)
		r = kernel_commit(&adding, o.name, o.replace, o.preset, from,
				  &record, &err);
	adding_close(&adding);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
