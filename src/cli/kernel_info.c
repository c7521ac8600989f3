// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_info.c - `volt kernel info`: what a kernel is, and what it drives
 */
#include "cli/kernel.h"

#include "base/fd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct info {
	bool json;
};

static const struct arg info_args[] = {
	{.name = "json",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct info, json),
	 .help = "the same as one JSON object"},
};

const struct args_page cmd_kernel_info_page = {
	.name = "volt kernel info",
	.summary = "what a kernel is, and which of Volt's devices it drives",
	.usage = "[--json] [NAME]",
	.about = "Tells of kernel NAME, or of the default: version, size, how "
		 "it is booted, and, by its configuration, which of Volt's "
		 "devices it drives: built in, as a module, or not at all, and "
		 "what that means.\n",
	.args = info_args,
	.nr_args = ARRAY_SIZE(info_args),
	.exit = KERNEL_EXIT,
	.nr_words = 1,
};

static const char *protocols(const struct record *record)
{
	return record->pvh ? "PVH, 64-bit Linux" : "64-bit Linux";
}

static void print_line(const char *key, const char *value)
{
	char room[CLI_CLEAN_MAX];

	(void)printf("%-14s %s\n", key, cli_clean(value, room));
}

static void print_drives(const struct kernel_found *found)
{
	(void)puts("\nWhat of Volt it drives:");
	for (unsigned int i = 0; i < DRIVES_COUNT; i++) {
		enum drives_state state =
			drives_judge(i, &found->config, &found->modules);
		const char *means = drives_meaning(i, state);

		(void)printf("  %-16s %-*s%s%s\n", drives_table[i].what,
			     *means ? 24 : 0, drives_name(state),
			     *means ? " " : "", means);
	}
}

static void kernel_info_print_text(const struct kernel_found *found)
{
	const struct record *record = &found->record;
	cleanup_free char *path = store_path(found->store, &record->kernel);
	char text[64], added[32] = "";
	time_t at = (time_t)record->added;
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)strftime(added, sizeof(added), "%Y-%m-%d %H:%M UTC", &tm);
	print_line("name", record->name);
	print_line("version", record->banner ? record->banner
					     : "it does not say that it is "
					       "Linux");
	print_line("from", record->origin);
	print_line("added", added);
	print_line("pinned", record->pinned ? "yes" : "no");
	print_line("boot protocol", protocols(record));
	(void)snprintf(text, sizeof(text), "%llu KiB",
		       (unsigned long long)record->kernel.size >> 10);
	print_line("size", text);
	(void)snprintf(text, sizeof(text), "%llu MiB of the guest's, loaded",
		       (unsigned long long)(record->memory + MIB(1) - 1) >> 20);
	print_line("memory", text);
	print_line("SHA-256", record->kernel.sha256);
	print_line("file", path ? path : "");
	print_line("configuration",
		   record->has_config ? "kept"
				      : "not known: `volt kernel add --config` "
					"adds it");
	(void)snprintf(text, sizeof(text), "%u kept", found->modules.nr);
	print_line("modules", text);
	if (record->has_config)
		print_drives(found);
}

static int kernel_info_print_json(const struct kernel_found *found)
{
	const struct record *record = &found->record;
	json_t *drives = json_object(), *all;
	cleanup_free char *path = store_path(found->store, &record->kernel);
	int r;

	for (unsigned int i = 0; i < DRIVES_COUNT; i++)
		(void)json_object_set_new(
			drives, drives_table[i].what,
			json_string(drives_name(drives_judge(
				i, &found->config, &found->modules))));
	all = json_pack(
		"{s:s, s:s?, s:s?, s:s, s:I, s:b, s:b, s:I, s:I, s:s, "
		"s:s, s:b, s:i, s:o}",
		"name", record->name, "release", record->release, "banner",
		record->banner, "from", record->origin, "added",
		(json_int_t)record->added, "pinned", record->pinned, "pvh",
		record->pvh, "size", (json_int_t)record->kernel.size, "memory",
		(json_int_t)record->memory, "sha256", record->kernel.sha256,
		"file", path, "config", record->has_config, "modules",
		(int)found->modules.nr, "drives", drives);
	r = all ? json_dumpf(all, stdout, JSON_INDENT(2)) : -1;
	(void)puts("");
	json_decref(all);
	return r;
}

int cmd_kernel_info(const struct args_page *page, int argc, char **argv)
{
	struct kernel_found found;
	struct info o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = kernel_find(&found, args.words[0], &err);
	if (r == 0)
		r = kernel_read_parts(&found, &err);
	if (r < 0)
		r = cli_fail(1, page, &err);
	else if (o.json && kernel_info_print_json(&found) < 0)
		r = cli_complain(1, page, "it cannot be shown as JSON");
	else if (!o.json)
		kernel_info_print_text(&found);
	kernel_found_free(&found);
	return r;
}
