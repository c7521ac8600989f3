// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_ps.c - `volt ps`: the VMs of this user that run
 */
#include "cli/alone.h"
#include "cli/cli.h"
#include "cli/kept.h"
#include "cli/vmapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The API answers at once, or the VM is busy with something. */
#define PATIENCE_MS 2000

struct ps {
	bool all;
};

/* clang-format off */
static const struct arg ps_args[] = {
	{"all", NULL, "-a: also the VMs in the background, those that have "
	 "ended among them, with exit code and since when", .letter = 'a',
	 .kind = ARG_FLAG, .offset = offsetof(struct ps, all)},
};
/* clang-format on */

const struct args_page cmd_ps_page = {
	.name = "volt ps",
	.summary = "the VMs that run",
	.usage = "[-a]",
	.about = "Lists the VMs that `volt run` and `volt restore` started for "
		 "this user and that run, each with how far it is locked and "
		 "the socket of its API. "
		 "Below them, by its --id, each volt-vmm of this user that was "
		 "started by itself, or with another XDG_RUNTIME_DIR: "
		 "no other command takes its name.\n"
		 "\n"
		 "With -a comes a table of the VMs that `volt run -d` started "
		 "and `volt rm` has not removed: starting, running, exited, or "
		 "died, which is one whose process that stays was killed; "
		 "since when; the image and its command.\n",
	.args = ps_args,
	.nr_args = ARRAY_SIZE(ps_args),
	.exit = "0 listed, also when there are none; 1 failed; 64 bad usage.",
};

/**
 * struct listed - the VMs that are printed already
 * @pid:	owned; @room are allocated
 * @alone:	one without `volt` is among them
 * @failed:	there was no memory
 */
struct listed {
	pid_t *pid;
	size_t nr;
	size_t room;
	bool alone;
	bool failed;
};

static bool ps_is_listed(const struct listed *listed, pid_t pid)
{
	for (size_t i = 0; i < listed->nr; i++)
		if (listed->pid[i] == pid)
			return true;
	return false;
}

static void ps_remember(struct listed *listed, pid_t pid)
{
	size_t room = listed->room ? 2 * listed->room : 64;
	pid_t *more;

	if (listed->nr == listed->room) {
		more = reallocarray(listed->pid, room, sizeof(*more));
		listed->failed |= !more;
		if (!more)
			return;
		listed->pid = more;
		listed->room = room;
	}
	listed->pid[listed->nr++] = pid;
}

#define SANDBOX_WORDS 64

/*
 * "strict", or with what it lacks: "best-effort,no-landlock", or has besides:
 * "strict,isolated". Versions before this one have no answer.
 */
static const char *sandbox_of(struct api_client *api, char out[SANDBOX_WORDS])
{
	const char *mode, *filters;
	json_t *answer = NULL;
	char clean[CLI_CLEAN_MAX];

	(void)snprintf(out, SANDBOX_WORDS, "-");
	if (vmapi_call(api, "GET", "/volt/sandbox", NULL, &answer, NULL) < 0)
		return out;
	mode = json_string_value(json_object_get(answer, "mode"));
	filters = json_string_value(json_object_get(answer, "seccomp"));
	if (mode && filters && strcmp(mode, "off") == 0)
		(void)snprintf(out, SANDBOX_WORDS, "off");
	else if (mode && filters)
		(void)snprintf(out, SANDBOX_WORDS, "%.16s%s%s%s",
			       cli_clean(mode, clean),
			       json_integer_value(json_object_get(
				       answer, "landlock_abi")) > 0
				       ? ""
				       : ",no-landlock",
			       strcmp(filters, "own") == 0
				       ? ""
				       : (strcmp(filters, "none") == 0
						  ? ",no-seccomp"
						  : ",seccomp-file"),
			       json_is_true(json_object_get(answer, "isolated"))
				       ? ",isolated"
				       : "");
	json_decref(answer);
	return out;
}

static void print_vm(const char *name, const char *socket,
		     struct api_client *api)
{
	char state[CLI_CLEAN_MAX], path[CLI_CLEAN_MAX];
	char sandbox[SANDBOX_WORDS];
	json_t *info = NULL, *machine = NULL;
	const char *text = NULL;
	int r;

	api->limit_ms = PATIENCE_MS;
	r = vmapi_call(api, "GET", "/", NULL, &info, NULL);
	if (r == 0)
		r = vmapi_call(api, "GET", "/machine-config", NULL, &machine,
			       NULL);
	if (r == 0)
		text = json_string_value(json_object_get(info, "state"));
	(void)cli_clean(socket, path);
	if (text)
		(void)printf("%-20s %-12s %4lld %10lld %-15s %8d %s\n", name,
			     cli_clean(text, state),
			     json_integer_value(
				     json_object_get(machine, "vcpu_count")),
			     json_integer_value(
				     json_object_get(machine, "mem_size_mib")),
			     sandbox_of(api, sandbox), api->pid, path);
	else
		(void)printf("%-20s %-12s %4s %10s %-15s %8d %s\n", name,
			     r == -ETIMEDOUT || r == -EBUSY ? "busy"
							    : "no answer",
			     "-", "-", "-", api->pid, path);
	json_decref(info);
	json_decref(machine);
}

static void ps_each(void *ctx, const char *name, const char *socket,
		    struct api_client *api)
{
	struct listed *listed = ctx;

	print_vm(name, socket, api);
	ps_remember(listed, api->pid);
}

/* The socket may be another's by now, or in a place that is not seen from
 * here. */
static void print_alone(const struct alone *vm)
{
	char id[CLI_CLEAN_MAX];
	struct api_client api = API_CLIENT_NONE;

	(void)cli_clean(vm->id, id);
	if (vm->socket[0] && api_client_open(&api, vm->socket) == 0 &&
	    api.pid == vm->pid)
		print_vm(id, vm->socket, &api);
	else
		(void)printf("%-20s %-12s %4s %10s %-15s %8d %s\n", id, "-",
			     "-", "-", "-", vm->pid, "-");
	api_client_close(&api);
}

static void ps_each_alone(void *ctx, const struct alone *vm)
{
	struct listed *listed = ctx;

	if (ps_is_listed(listed, vm->pid))
		return;
	if (!listed->alone)
		(void)puts("\nStarted without volt:");
	listed->alone = true;
	print_alone(vm);
}

int cmd_ps(const struct args_page *page, int argc, char **argv)
{
	struct listed listed = {0};
	struct ps o = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 0, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	(void)printf("%-20s %-12s %4s %10s %-15s %8s %s\n", "NAME", "STATE",
		     "CPUS", "MEMORY/MiB", "SANDBOX", "PID", "API");
	if (vmapi_each(ps_each, &listed, &err) < 0 ||
	    alone_each(ps_each_alone, &listed, &err) < 0 ||
	    (o.all && kept_print_all(&err) < 0))
		code = cli_fail(1, page, &err);
	else
		code = listed.failed ? cli_complain(1, page, "out of memory")
				     : 0;
	free(listed.pid);
	return code;
}
