// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_inspect.c - `volt inspect`: all that is known of a VM
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include "vms/vm_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSPECT_MS 2000

const struct args_page cmd_inspect_page = {
	.name = "volt inspect",
	.summary = "all that is known of a VM, in JSON",
	.usage = "NAME",
	.about = "Prints one JSON object: of a VM in the background its record "
		 "(image, command, ports that the image names, stop signal, "
		 "times, exit code, log), of one that runs its process, the "
		 "socket of its API and what that tells.\n",
	.exit = "0 printed; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

static void inspect_time(json_t *to, const char *key, uint64_t ms)
{
	char text[VM_LOG_TIME_MAX];

	if (ms == 0)
		return;
	vm_log_time(ms, text);
	(void)json_object_set_new(to, key, json_string(text));
}

static void inspect_text(json_t *to, const char *key, const char *text)
{
	if (text)
		(void)json_object_set_new(
			to, key, json_stringn_nocheck(text, strlen(text)));
}

static json_t *inspect_words(const char *text)
{
	json_t *list = json_array();

	while (text && *text) {
		size_t len = strcspn(text, " ");

		(void)json_array_append_new(list, json_stringn(text, len));
		text += len + (text[len] == ' ');
	}
	return list;
}

static void inspect_record(json_t *to, const struct kept *kept)
{
	const struct vm_record *record = &kept->vm.record;
	char *log;

	inspect_text(to, "state", kept_state(&kept->vm));
	inspect_text(to, "image", record->image);
	inspect_text(to, "command", record->command);
	(void)json_object_set_new(to, "ports", inspect_words(record->ports));
	(void)json_object_set_new(
		to, "stop_signal",
		json_integer((json_int_t)record->stop_signal));
	(void)json_object_set_new(to, "terminal",
				  json_boolean(record->terminal));
	(void)json_object_set_new(to, "remove", json_boolean(record->remove));
	inspect_time(to, "created", record->created);
	inspect_time(to, "started", record->started);
	inspect_time(to, "ended", record->ended);
	if (kept->vm.state == VMS_ENDED)
		(void)json_object_set_new(
			to, "code", json_integer((json_int_t)record->code));
	else
		(void)json_object_set_new(
			to, "holder", json_integer((json_int_t)record->holder));
	if (asprintf(&log, "%s/%s/" VMS_LOG, kept->vms.path, record->name) < 0)
		return;
	inspect_text(to, "log", log);
	free(log);
}

static void inspect_ask(json_t *to, const char *key, struct api_client *api,
			const char *path)
{
	json_t *answer = NULL;

	if (vmapi_call(api, "GET", path, NULL, &answer, NULL) == 0 && answer)
		(void)json_object_set_new(to, key, answer);
}

static void inspect_live(json_t *to, const char *name, struct api_client *api)
{
	char socket[VMAPI_PATH_MAX];

	api->limit_ms = INSPECT_MS;
	(void)json_object_set_new(to, "process", json_integer(api->pid));
	if (vmapi_socket(name, socket, false, NULL) == 0)
		inspect_text(to, "socket", socket);
	inspect_ask(to, "vm", api, "/");
	inspect_ask(to, "machine", api, "/machine-config");
	inspect_ask(to, "sandbox", api, "/volt/sandbox");
}

int cmd_inspect(const struct args_page *page, int argc, char **argv)
{
	struct api_client api = API_CLIENT_NONE;
	struct kept kept;
	struct args args;
	struct err err;
	json_t *all;
	int known, live, code = cli_parse(page, argc, argv, 1, NULL, &args);
	const char *name = args.words[0];

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_check_name(name, &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	all = json_object();
	inspect_text(all, "name", name);
	known = kept_open(&kept, name, &err);
	if (known == 0)
		inspect_record(all, &kept);
	live = vmapi_open(&api, name, known == 0 ? NULL : &err);
	if (live == 0)
		inspect_live(all, name, &api);
	if (known == 0 || live == 0)
		code = json_dumpf(all, stdout, JSON_INDENT(2)) < 0 ||
				       putchar('\n') < 0
			       ? 1
			       : 0;
	else
		code = cli_fail(1, page, &err);
	json_decref(all);
	api_client_close(&api);
	kept_close(&kept);
	return code;
}
