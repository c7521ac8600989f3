// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_ps.c - `volt ps`: the VMs of this user that run
 */
#include "cli/cli.h"
#include "cli/vmapi.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME   "ps"
#define SUFFIX ".sock"

static const char help_text[] =
	"Usage: volt ps\n"
	"\n"
	"Lists the VMs that `volt run` started for this user and that run.\n"
	"\n"
	"Exit code: 0 listed, also when there are none; 1 failed; 64 bad "
	"usage.\n";

static void print_vm(const char *name, struct vmapi *api)
{
	const char *state = NULL;
	json_t *info = NULL, *machine = NULL;
	long long cpus, memory;
	struct err err;

	if (vmapi_call(api, "GET", "/", NULL, &info, &err) == 0 &&
	    vmapi_call(api, "GET", "/machine-config", NULL, &machine, &err) ==
		    0)
		state = json_string_value(json_object_get(info, "state"));
	cpus = json_integer_value(json_object_get(machine, "vcpu_count"));
	memory = json_integer_value(json_object_get(machine, "mem_size_mib"));
	if (state)
		(void)printf("%-20s %-12s %4lld %10lld %8d\n", name, state,
			     cpus, memory, api->pid);
	else
		(void)printf("%-20s %-12s %4s %10s %8d\n", name, "no answer",
			     "-", "-", api->pid);
	json_decref(info);
	json_decref(machine);
}

/* "web.sock" -> "web". Return: false for other files. */
static bool take_name(const char *file, char *name)
{
	size_t len = strlen(file), suffix = strlen(SUFFIX);

	if (len <= suffix || len - suffix > VMAPI_NAME_MAX ||
	    strcmp(file + len - suffix, SUFFIX) != 0)
		return false;
	(void)snprintf(name, VMAPI_NAME_MAX + 1, "%.*s", (int)(len - suffix),
		       file);
	return vmapi_check_name(name, NULL) == 0;
}

static int list_folder(const char *folder)
{
	char name[VMAPI_NAME_MAX + 1];
	struct dirent **list;
	struct vmapi api;
	int n = scandir(folder, &list, NULL, alphasort);

	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : cli_complain(1, NAME, "cannot list %s: %s",
					      folder, err_name(errno));
	for (int i = 0; i < n; i++) {
		if (take_name(list[i]->d_name, name) &&
		    vmapi_open(&api, name, NULL) == 0) {
			print_vm(name, &api);
			vmapi_close(&api);
		}
		free(list[i]);
	}
	free(list);
	return 0;
}

int cmd_ps(int argc, char **argv)
{
	char folder[VMAPI_PATH_MAX];
	struct err err;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		(void)fputs(help_text, stdout);
		return 0;
	}
	if (argc != 1) {
		(void)cli_complain(0, NAME, "'%s' means nothing here", argv[1]);
		return cli_usage_error(NAME);
	}
	if (vmapi_folder(folder, false, &err) < 0)
		return cli_complain(1, NAME, "%s", err.text);
	(void)printf("%-20s %-12s %4s %10s %8s\n", "NAME", "STATE", "CPUS",
		     "MEMORY/MiB", "PID");
	return list_folder(folder);
}
