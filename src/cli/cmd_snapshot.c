// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot.c - `volt snapshot`: save a VM, or tell what was saved
 */
#include "cli/cli.h"
#include "cli/inspect.h"
#include "cli/vmapi.h"

#include "base/buf.h"
#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "snapshot"

static const char help_text[] =
	"Usage: volt snapshot [--pause] NAME DIR\n"
	"       volt snapshot inspect [--json] DIR\n"
	"\n"
	"Saves VM NAME into DIR, which is made if it is not there: state.json, "
	"readable,\n"
	"and memory.snap, which takes the room of the memory that the guest has "
	"used. A\n"
	"snapshot that is there already is replaced as a whole, once the new "
	"one is on\n"
	"the disk. The VM stands still meanwhile, then goes on.\n"
	"\n"
	"  --pause    the VM stays paused\n"
	"\n"
	"inspect tells what DIR holds and checks it: sizes, devices, the CRC of "
	"the state.\n"
	"`volt restore DIR` goes on from it.\n"
	"\n"
	"Exit code: 0 done; 1 failed, or a check failed; 64 bad usage.\n";

/* The VM's process has a working directory of its own. */
static int absolute(const char *dir, char **path, struct err *err)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot make %s: %s", dir,
			       err_name(errno));
	*path = realpath(dir, NULL);
	if (!*path)
		return err_set(err, -errno, "Cannot find %s: %s", dir,
			       err_name(errno));
	return 0;
}

static int save(const char *name, const char *dir, bool pause, struct err *err)
{
	cleanup_buf struct buf body = {0};
	cleanup_free char *path = NULL;
	struct vmapi api;
	int r = absolute(dir, &path, err);

	if (r == 0)
		r = vmapi_open(&api, name, err);
	if (r < 0)
		return r;
	assert(path);
	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path, strlen(path));
	buf_add(&body, "}", sizeof("}")); /* with its NUL */
	if (body.failed)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0 && pause)
		r = vmapi_call(&api, "PATCH", "/vm", "{\"state\":\"Paused\"}",
			       NULL, err);
	if (r == 0)
		r = vmapi_call(&api, "PUT", "/snapshot/create", body.data, NULL,
			       err);
	vmapi_close(&api);
	return r;
}

static int parse(int argc, char **argv, bool *pause, bool *json)
{
	static const struct option options[] = {
		{"pause", no_argument, NULL, 'p'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			(void)fputs(help_text, stdout);
			return 1;
		}
		if (opt == '?')
			return -EINVAL;
		*(opt == 'p' ? pause : json) = true;
	}
	return 0;
}

int cmd_snapshot(int argc, char **argv)
{
	bool pause = false, json = false;
	struct err err;
	int r = parse(argc, argv, &pause, &json);

	if (r > 0)
		return 0;
	if (r < 0 || argc - optind != 2) {
		if (r == 0)
			(void)cli_complain(0, NAME,
					   "give a VM and a "
					   "directory, or `inspect` "
					   "and a directory");
		return cli_usage_error(NAME);
	}
	if (strcmp(argv[optind], "inspect") == 0) {
		r = inspect_snapshot(argv[optind + 1], json, &err);
		return r < 0 ? cli_complain(1, NAME, "%s", err.text) : r;
	}
	if (vmapi_check_name(argv[optind], &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	if (save(argv[optind], argv[optind + 1], pause, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	return 0;
}
