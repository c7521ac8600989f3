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

#define SUFFIX ".sock"

/* The API answers at once, or the VM is busy with something. */
#define PATIENCE_SECONDS 2

const struct args_page cmd_ps_page = {
	.name = "volt ps",
	.summary = "the VMs that run",
	.usage = "",
	.about = "Lists the VMs that `volt run` and `volt restore` started for "
		 "this user and that run, each with the socket of its API. A "
		 "volt-vmm that was started by itself is not among them.\n",
	.exit = "0 listed, also when there are none; 1 failed; 64 bad usage.",
};

static void print_vm(const char *name, const char *socket, struct vmapi *api)
{
	char state[CLI_CLEAN_MAX], path[CLI_CLEAN_MAX];
	json_t *info = NULL, *machine = NULL;
	const char *text = NULL;
	int r;

	vmapi_set_patience(api, PATIENCE_SECONDS);
	r = vmapi_call(api, "GET", "/", NULL, &info, NULL);
	if (r == 0)
		r = vmapi_call(api, "GET", "/machine-config", NULL, &machine,
			       NULL);
	if (r == 0)
		text = json_string_value(json_object_get(info, "state"));
	(void)cli_clean(socket, path);
	if (text)
		(void)printf("%-20s %-12s %4lld %10lld %8d %s\n", name,
			     cli_clean(text, state),
			     json_integer_value(
				     json_object_get(machine, "vcpu_count")),
			     json_integer_value(
				     json_object_get(machine, "mem_size_mib")),
			     api->pid, path);
	else
		(void)printf("%-20s %-12s %4s %10s %8d %s\n", name,
			     r == -ETIMEDOUT || r == -EBUSY ? "busy"
							    : "no answer",
			     "-", "-", api->pid, path);
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

static int list_folder(const struct args_page *page, const char *folder)
{
	char name[VMAPI_NAME_MAX + 1], socket[VMAPI_PATH_MAX];
	struct dirent **list;
	struct vmapi api;
	int n = scandir(folder, &list, NULL, alphasort);

	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : cli_complain(1, page, "cannot list %s: %s",
					      folder, err_name(errno));
	for (int i = 0; i < n; i++) {
		if (take_name(list[i]->d_name, name) &&
		    vmapi_socket(name, socket, false, NULL) == 0 &&
		    vmapi_open(&api, name, NULL) == 0) {
			print_vm(name, socket, &api);
			vmapi_close(&api);
		}
		free(list[i]);
	}
	free(list);
	return 0;
}

int cmd_ps(const struct args_page *page, int argc, char **argv)
{
	char folder[VMAPI_PATH_MAX];
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 0, NULL, &args);

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_folder(folder, false, &err) < 0)
		return cli_fail(1, page, &err);
	(void)printf("%-20s %-12s %4s %10s %8s %s\n", "NAME", "STATE", "CPUS",
		     "MEMORY/MiB", "PID", "API");
	return list_folder(page, folder);
}
