// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_check.c - `volt kernel check`: will it boot here?
 */
#include "cli/doctor.h"
#include "cli/kernel.h"

#include "kernel/check.h"

#include "base/fd.h"
#include "config/vm_args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* It cannot be told. */
#define EXIT_UNKNOWN 2

struct check_args {
	const char *disk;
	const char *pmem;
	bool initrd;
	bool net;
	bool vsock;
	bool any_host;
	uint64_t memory_mib;
};

#define AT(member) .offset = offsetof(struct check_args, member)

/* clang-format off */
static const struct arg check_args[] = {
	{"disk", "PATH", "its root is this image or block device",
	 .kind = ARG_TEXT, AT(disk), .forbids = "initrd"},
	{"pmem", "PATH", "its root is this file as memory (virtio-pmem)",
	 .kind = ARG_TEXT, AT(pmem), .forbids = "disk"},
	{"initrd", NULL, "its root is an initrd of your own",
	 .kind = ARG_FLAG, AT(initrd)},
	{"net", NULL, "with a network interface", .kind = ARG_FLAG, AT(net)},
	{"vsock", NULL, "with a vsock device", .kind = ARG_FLAG, AT(vsock)},
	{"memory", "SIZE", "the VM's: in MiB, or with a unit (default 256)",
	 .kind = ARG_SIZE, AT(memory_mib)},
	{"any-host", NULL, "leave out what this host can run",
	 .kind = ARG_FLAG, AT(any_host)},
};
/* clang-format on */

const struct args_page cmd_kernel_check_page = {
	.name = "volt kernel check",
	.summary = "will it boot here, with these devices and this root?",
	.usage = "[OPTIONS] [NAME]",
	.about = "Tells of kernel NAME, or of the default, whether it gets to "
		 "its root, by its configuration and the modules that the "
		 "store has of it; what it lacks is named. Without a "
		 "configuration it cannot tell. Nothing is booted.\n",
	.args = check_args,
	.nr_args = ARRAY_SIZE(check_args),
	.exit = "0 it boots; 1 it does not, or failed; 2 it cannot be told; 64 "
		"bad usage.",
	.examples = "  volt kernel check --disk root.img --net\n",
	.nr_words = 1,
};

static void print_finding(const struct check_finding *f)
{
	const struct drives_row *row = &drives_table[f->id];
	const char *how =
		f->state == DRIVES_NOT ? "is not in it" : "is a module";
	char options[96];

	(void)drives_options(f->id, options);
	switch (f->level) {
	case CHECK_NEEDED:
		(void)printf("  missing: %s: %s %s%s: %s\n", row->what, options,
			     how,
			     f->state == DRIVES_NOT
				     ? ""
				     : ", and the store does not have it",
			     row->without);
		break;
	case CHECK_INITRD:
		(void)printf("  %s: %s is a module: the initrd has to load "
			     "it\n",
			     row->what, options);
		break;
	case CHECK_LESS:
		(void)printf("  %s: %s %s: %s\n", row->what, options, how,
			     row->without);
		break;
	}
}

/* Does this host run it? */
static bool host_runs(const struct check_args *o, const struct record *record)
{
	cleanup_free struct doctor_facts *facts = calloc(1, sizeof(*facts));
	cleanup_free struct doctor_report *report = calloc(1, sizeof(*report));

	if (o->any_host || !record->release || !facts || !report)
		return true;
	doctor_collect_kvm(&facts->kvm);
	doctor_judge(facts, report);
	if (report->guests == GUESTS_LINUX)
		return true;
	(void)printf("  this host: %s\n", report->verdict);
	return false;
}

static bool memory_is_enough(const struct check_args *o,
			     const struct record *record)
{
	if (record->memory <= MIB(o->memory_mib))
		return true;
	(void)printf("  memory: it takes up %llu MiB when it is loaded, and "
		     "the VM has %llu\n",
		     (unsigned long long)(record->memory + MIB(1) - 1) >> 20,
		     (unsigned long long)o->memory_mib);
	return false;
}

static int judge(struct kernel_found *found, const struct check_args *o,
		 struct err *err)
{
	struct check_wish wish = {
		.disk = o->disk != NULL,
		.pmem = o->pmem != NULL,
		.initrd = o->initrd,
		.net = o->net,
		.vsock = o->vsock,
	};
	const char *root = o->disk ? o->disk : o->pmem;
	struct check check = {0};
	bool ok;
	int r = 0;

	if (root)
		r = rootfs_of_file(root, &wish.rootfs, err);
	if (r < 0)
		return r;
	if (found->config.len > 0)
		check_kernel(&found->config, &found->modules, &wish, &check);
	for (unsigned int i = 0; i < check.nr; i++)
		print_finding(&check.finding[i]);
	if (root && !rootfs_name(wish.rootfs))
		(void)printf("  root: the file system of %s is not known\n",
			     root);
	ok = check.nr_needed == 0;
	ok = memory_is_enough(o, &found->record) && ok;
	ok = host_runs(o, &found->record) && ok;
	if (ok && found->config.len == 0) {
		(void)printf("%s: it cannot be told without its configuration: "
			     "`volt kernel add --config`\n",
			     found->record.name);
		return EXIT_UNKNOWN;
	}
	(void)printf("%s: it %s\n", found->record.name,
		     ok ? "boots" : "does not boot");
	return ok ? 0 : 1;
}

int cmd_kernel_check(const struct args_page *page, int argc, char **argv)
{
	struct check_args o = {.memory_mib = 256};
	struct kernel_found found;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = kernel_find(&found, args.words[0], &err);
	if (r == 0)
		r = store_use(found.store, found.record.name,
			      &found.record.kernel, NULL, NULL, &err);
	if (r == 0)
		r = kernel_read_parts(&found, &err);
	if (r == 0)
		r = judge(&found, &o, &err);
	kernel_found_free(&found);
	return r < 0 ? cli_fail(1, page, &err) : r;
}
