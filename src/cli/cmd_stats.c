// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_stats.c - `volt stats`: what VMs take of the host's memory
 */
#include "cli/cli.h"
#include "cli/vmapi.h"

#include <stdio.h>

/* The API answers at once, or the VM is busy with something. */
#define PATIENCE_MS 2000

/**
 * struct stats - the options, and what became of them
 * @headed:	the columns have their names
 * @failed:	a VM did not answer
 */
struct stats {
	bool json;
	bool dirty;
	bool headed;
	bool failed;
};

static const struct arg stats_args[] = {
	{"json", NULL, "a JSON object a line and VM, in bytes",
	 .kind = ARG_FLAG, .offset = offsetof(struct stats, json)},
	{"dirty", NULL, "how much a diff snapshot of now would hold, too",
	 .kind = ARG_FLAG, .offset = offsetof(struct stats, dirty)},
};

const struct args_page cmd_stats_page = {
	.name = "volt stats",
	.summary = "what VMs take of the host's memory",
	.usage = "[--json] [--dirty] [NAME]",
	.about = "Of VM NAME, or of all that `volt ps` lists by name, in MiB: "
		 "the guest's memory (SIZE); what of it is this VM's alone "
		 "(PRIVATE: written since it was started or restored), what "
		 "is in the page cache for other VMs as well (SHARED: of a "
		 "snapshot's memory file that nobody has written), and what "
		 "is in swap (SWAPPED). PROCESS is all that is volt-vmm's "
		 "alone, the guest's and its own: what the host gets back "
		 "when this VM ends. PAGER is the same of volt-pager, where "
		 "one serves the memory, and WAITED how many pages its guest "
		 "has waited for; --json has all that it did.\n\n"
		 "With --dirty a column more, DIRTY: what `volt snapshot "
		 "--diff` would write of memory; '-' where that would be a "
		 "whole snapshot. A VM that tracks dirty pages pays for the "
		 "answer with a fault at the next write to each of them.\n\n"
		 "The VMM reads it itself: /proc of a locked process is closed "
		 "to others. '-': that VM's host or version cannot tell.\n",
	.args = stats_args,
	.nr_args = ARRAY_SIZE(stats_args),
	.exit = "0 printed; 1 no such VM, or one that does not answer; "
		"64 bad usage.",
	.examples = "volt stats web\n"
		    "volt stats --json --dirty web | jq .dirty.dirty_bytes\n"
		    "volt stats --json | jq .process.private_bytes\n",
	.nr_words = 1,
};

/* A figure of @of in units, or "-". */
static void print_in(const json_t *of, const char *key, int places, double unit)
{
	const json_t *value = json_object_get(of, key);

	if (json_is_integer(value))
		(void)printf(" %9.*f", places,
			     (double)json_integer_value(value) / unit);
	else
		(void)printf(" %9s", "-");
}

static void print_mib(const json_t *of, const char *key)
{
	print_in(of, key, 2, (double)MIB(1));
}

static void print_head(struct stats *o)
{
	if (!o->headed && !o->json)
		(void)printf("%-20s %9s %9s %9s %9s %9s %9s %9s%s\n", "NAME",
			     "SIZE", "PRIVATE", "SHARED", "SWAPPED", "PROCESS",
			     "PAGER", "WAITED", o->dirty ? "     DIRTY" : "");
	o->headed = true;
}

/* @dirty: NULL where nobody asked. */
static void print_stats(const char *name, const json_t *told,
			const json_t *dirty)
{
	const json_t *guest = json_object_get(told, "guest");

	(void)printf("%-20s", name);
	print_mib(guest, "size_bytes");
	print_mib(guest, "private_bytes");
	print_mib(guest, "shared_bytes");
	print_mib(guest, "swapped_bytes");
	print_mib(json_object_get(told, "process"), "private_bytes");
	print_mib(json_object_get(told, "pager"), "private_bytes");
	print_in(json_object_get(told, "served"), "faults", 0, 1);
	if (dirty)
		print_mib(dirty, "dirty_bytes");
	(void)puts("");
}

static void print_json(const char *name, json_t *told, json_t *dirty)
{
	json_t *line = json_pack("{s:s, s:O?, s:O?, s:O?, s:O?}", "name", name,
				 "guest", json_object_get(told, "guest"),
				 "process", json_object_get(told, "process"),
				 "pager", json_object_get(told, "pager"),
				 "served", json_object_get(told, "served"));

	if (dirty)
		(void)json_object_set(line, "dirty", dirty);

	(void)json_dumpf(line, stdout, JSON_COMPACT);
	(void)puts("");
	json_decref(line);
}

static void stats_each(void *ctx, const char *name, const char *socket,
		       struct api_client *api)
{
	struct stats *o = ctx;
	json_t *told = NULL, *dirty = NULL;
	struct err err;
	int r;

	(void)socket;
	api->limit_ms = PATIENCE_MS;
	r = vmapi_call(api, "GET", "/volt/memory", NULL, &told, &err);
	if (r == 0 && o->dirty)
		r = vmapi_call(api, "GET", "/volt/dirty", NULL, &dirty, &err);
	if (r < 0) {
		(void)cli_complain(1, &cmd_stats_page, "%s: %s", name,
				   err.text);
		o->failed = true;
	} else if (o->json) {
		print_json(name, told, dirty);
	} else {
		print_head(o);
		print_stats(name, told, dirty);
	}
	json_decref(told);
	json_decref(dirty);
}

static int stats_of(const char *name, struct stats *o, struct err *err)
{
	struct api_client api;
	int r = vmapi_open(&api, name, err);

	if (r == 0)
		stats_each(o, name, NULL, &api);
	api_client_close(&api);
	return r;
}

int cmd_stats(const struct args_page *page, int argc, char **argv)
{
	struct stats o = {0};
	struct args args;
	struct err err;
	int r, code = cli_parse(page, argc, argv, 0, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	if (args.nr_words && vmapi_check_name(args.words[0], &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	r = args.nr_words ? stats_of(args.words[0], &o, &err)
			  : vmapi_each(stats_each, &o, &err);
	if (r < 0)
		return cli_fail(1, page, &err);
	if (!o.failed)
		print_head(&o);
	return o.failed;
}
