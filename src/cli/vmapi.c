// SPDX-License-Identifier: Apache-2.0
/*
 * vmapi.c - the running VMs of this user, and their API (see vmapi.h)
 */
#include "cli/vmapi.h"
#include "cli/cli.h"

#include "base/clean.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".sock"

/* `volt snapshot NAME` has to be the VM's. */
static bool vmapi_is_command(const char *name)
{
	static const char before[] = "volt snapshot ";

	for (size_t i = 0; i < cli_nr_commands; i++) {
		const char *command = cli_commands[i].page->name;

		if (strncmp(command, before, sizeof(before) - 1) == 0 &&
		    strcmp(command + sizeof(before) - 1, name) == 0)
			return true;
	}
	return false;
}

int vmapi_check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool good = len > 0 && len <= VMAPI_NAME_MAX;

	for (size_t i = 0; i < len && good; i++)
		good = isalnum((unsigned char)name[i]) || name[i] == '-';
	if (!good)
		return err_set(err, -EINVAL,
			       "'%s' cannot name a VM: at most %d letters, "
			       "digits and '-'",
			       name, VMAPI_NAME_MAX);
	if (vmapi_is_command(name))
		return err_set(err, -EINVAL,
			       "'%s' cannot name a VM: `volt snapshot %s` is "
			       "a command",
			       name, name);
	return 0;
}

/* Where the system puts this user's runtime files, if it does. */
static bool own_runtime_folder(char *out, size_t size)
{
	struct stat st;

	(void)snprintf(out, size, "/run/user/%u", geteuid());
	return lstat(out, &st) == 0 && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && (st.st_mode & 022) == 0;
}

/* A folder that is there is this user's, and nobody else's. */
static int check_folder(const char *folder, struct err *err)
{
	struct stat st;

	if (lstat(folder, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno, "Cannot look at %s: %s",
					 folder, err_name(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -EPERM,
			       "%s is no directory, but the sockets of VMs "
			       "belong there: move it away",
			       folder);
	if (st.st_uid != geteuid())
		return err_set(err, -EPERM,
			       "%s belongs to uid %u, not to you (uid %u): set "
			       "XDG_RUNTIME_DIR to a directory of your own",
			       folder, st.st_uid, geteuid());
	if ((st.st_mode & 077) != 0)
		return err_set(err, -EPERM,
			       "%s is open to other users (mode %03o): `chmod "
			       "700 %s`",
			       folder, st.st_mode & 0777, folder);
	return 0;
}

int vmapi_folder(char *out, bool make, struct err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char own[32];
	int n;

	if (!base || base[0] != '/') {
		base = own_runtime_folder(own, sizeof(own)) ? own : "/run";
		if (base != own && geteuid() != 0)
			return err_set(err, -ENOENT,
				       "XDG_RUNTIME_DIR is not set, and %s is "
				       "not there: set it to a directory of "
				       "your own, for the sockets of VMs",
				       own);
	}
	n = snprintf(out, VMAPI_PATH_MAX, "%s/volt", base);
	if (n < 0 || (size_t)n >= VMAPI_PATH_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "The path %s is too long for a socket", base);
	if (make && mkdir(out, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot create %s: %s", out,
			       err_name(errno));
	return check_folder(out, err);
}

int vmapi_socket(const char *name, char *out, bool make, struct err *err)
{
	char folder[VMAPI_PATH_MAX];
	int n, r = vmapi_check_name(name, err);

	if (r == 0)
		r = vmapi_folder(folder, make, err);
	if (r < 0)
		return r;
	n = snprintf(out, VMAPI_PATH_MAX, "%s/%s.sock", folder, name);
	if (n < 0 || (size_t)n >= VMAPI_PATH_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "The path %s/%s.sock is too long for a socket",
			       folder, name);
	return 0;
}

int vmapi_open(struct api_client *api, const char *name, struct err *err)
{
	char path[VMAPI_PATH_MAX];
	int r;

	*api = API_CLIENT_NONE;
	r = vmapi_socket(name, path, false, err);
	if (r < 0)
		return r;
	r = api_client_open(api, path);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(err, r,
			       "no VM named %s runs; `volt ps` lists those "
			       "that do",
			       name);
	if (r < 0)
		return err_set(err, r, "Cannot reach %s: %s", path,
			       err_name(r));
	return 0;
}

/* "web.sock" -> "web". Return: false for other files. */
static bool name_of(const char *file, char *name)
{
	size_t len = strlen(file), suffix = strlen(SUFFIX);

	if (len <= suffix || len - suffix > VMAPI_NAME_MAX ||
	    strcmp(file + len - suffix, SUFFIX) != 0)
		return false;
	(void)snprintf(name, VMAPI_NAME_MAX + 1, "%.*s", (int)(len - suffix),
		       file);
	return vmapi_check_name(name, NULL) == 0;
}

int vmapi_each(void (*each)(void *ctx, const char *name, const char *socket,
			    struct api_client *api),
	       void *ctx, struct err *err)
{
	char folder[VMAPI_PATH_MAX], socket[VMAPI_PATH_MAX];
	char name[VMAPI_NAME_MAX + 1];
	struct dirent **list;
	struct api_client api;
	int n = vmapi_folder(folder, false, err);

	if (n < 0)
		return n;
	n = scandir(folder, &list, NULL, alphasort);
	if (n < 0)
		return errno == ENOENT
			       ? 0
			       : err_set(err, -errno, "cannot list %s: %s",
					 folder, err_name(errno));
	for (int i = 0; i < n; i++) {
		if (name_of(list[i]->d_name, name) &&
		    vmapi_socket(name, socket, false, NULL) == 0 &&
		    vmapi_open(&api, name, NULL) == 0) {
			each(ctx, name, socket, &api);
			api_client_close(&api);
		}
		free(list[i]);
	}
	free(list);
	return 0;
}

/* @status and body as a result; takes @root over. */
static int conclude(int status, json_t *root, json_t **answer, struct err *err)
{
	const char *fault =
		json_string_value(json_object_get(root, "fault_message"));
	char shown[ERR_TEXT_MAX];
	int r;

	if (status >= 200 && status < 300) {
		if (answer)
			*answer = root;
		else
			json_decref(root);
		return 0;
	}
	if (!fault)
		fault = json_string_value(json_object_get(root, "error"));
	if (status == 503)
		r = err_set(err, -EBUSY,
			    "all places of the VM's API are taken: try again");
	else if (fault &&
		 clean_text(shown, sizeof(shown), fault, strlen(fault)) > 0)
		r = err_set(err, -EREMOTEIO, "the VM answers: %s", shown);
	else
		r = err_set(err, -EREMOTEIO,
			    "the VM answers: it gives no reason");
	json_decref(root);
	return r;
}

int vmapi_call(struct api_client *api, const char *method, const char *target,
	       const char *body, json_t **answer, struct err *err)
{
	struct api_answer a;
	int r = api_client_call(api, method, target, body,
				body ? strlen(body) : 0, &a);

	if (r < 0)
		(void)err_set(err, r, "the VM does not answer: %s",
			      err_name(r));
	else
		r = conclude(a.status,
			     a.len ? json_loadb(a.body, a.len, 0, NULL) : NULL,
			     answer, err);
	api_answer_free(&a);
	return r;
}

void vmapi_say_waiting(struct api_client *api, unsigned int seconds)
{
	if (seconds % 10 == 0)
		(void)fprintf(stderr,
			      "volt: process %d has not answered for %u s; it "
			      "is busy, or stopped\n",
			      api->pid, seconds);
}

int vmapi_set_paused(struct api_client *api, bool paused, struct err *err)
{
	return vmapi_call(api, "PATCH", "/vm",
			  paused ? "{\"state\":\"Paused\"}"
				 : "{\"state\":\"Resumed\"}",
			  NULL, err);
}

int vmapi_is_paused(struct api_client *api, struct err *err)
{
	json_t *answer = NULL;
	const char *state;
	int r = vmapi_call(api, "GET", "/", NULL, &answer, err);

	if (r < 0)
		return r;
	state = json_string_value(json_object_get(answer, "state"));
	r = state && strcmp(state, "Paused") == 0;
	json_decref(answer);
	return r;
}

bool vmapi_waits(struct api_client *api)
{
	json_t *answer = NULL;
	bool waits;

	if (vmapi_call(api, "GET", "/volt/vm", NULL, &answer, NULL) < 0)
		return false;
	waits = json_is_true(json_object_get(answer, "waits"));
	json_decref(answer);
	return waits;
}
