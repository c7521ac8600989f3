// SPDX-License-Identifier: Apache-2.0
/*
 * launch.c - a command of `volt` that becomes volt-vmm (launch.h)
 */
#include "cli/launch.h"

#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

int launch_begin(struct launch *launch, const char *name, struct err *err)
{
	struct vmapi api;
	int r;

	if (!name) {
		(void)snprintf(launch->default_name,
			       sizeof(launch->default_name), "vm-%d", getpid());
		name = launch->default_name;
	}
	r = vmapi_socket(name, launch->socket, true, err);
	if (r < 0)
		return r;
	r = vmapi_open(&api, name, err);
	if (r == 0) {
		vmapi_close(&api);
		return err_set(err, -EEXIST, "A VM named %s runs already",
			       name);
	}
	if (r == -ECONNREFUSED)
		(void)unlink(launch->socket);
	if (r != -ENOENT && r != -ECONNREFUSED)
		return r;
	launch->args[launch->nr++] = (char *)(uintptr_t)"volt-vmm";
	launch_add(launch, "--id", name);
	launch_add(launch, "--api-sock", launch->socket);
	return 0;
}

void launch_add_switch(struct launch *launch, const char *flag)
{
	if (launch->nr < LAUNCH_ARGS_MAX)
		launch->args[launch->nr++] = (char *)(uintptr_t)flag;
}

void launch_add(struct launch *launch, const char *flag, const char *value)
{
	if (!value || launch->nr + 2 > LAUNCH_ARGS_MAX)
		return;
	launch_add_switch(launch, flag);
	launch_add_switch(launch, value);
}

int launch_add_rest(struct launch *launch, char **words, struct err *err)
{
	for (; *words; words++) {
		if (launch->nr == LAUNCH_ARGS_MAX)
			return err_set(err, -E2BIG, "Too many words");
		launch->args[launch->nr++] = *words;
	}
	return 0;
}

/* Returns only when there is no volt-vmm beside @program. */
static void exec_beside(struct launch *launch, const char *program)
{
	const char *slash = strrchr(program, '/');

	if (!slash)
		return;
	(void)snprintf(launch->vmm, sizeof(launch->vmm), "%.*s/volt-vmm",
		       (int)(slash - program), program);
	(void)execv(launch->vmm, launch->args);
}

/* volt-vmm beside this program, by the path that was called (perhaps a link)
 * and by the file's own, else as the shell would find it. */
int launch_exec(struct launch *launch, const char *command)
{
	const char *called = (const char *)getauxval(AT_EXECFN);
	ssize_t n = readlink("/proc/self/exe", launch->own,
			     sizeof(launch->own) - 1);

	if (called)
		exec_beside(launch, called);
	if (n > 0) {
		launch->own[n] = '\0';
		exec_beside(launch, launch->own);
	}
	(void)execvp("volt-vmm", launch->args);
	return cli_complain(1, command,
			    "cannot start volt-vmm: %s; it belongs beside volt",
			    err_name(errno));
}
