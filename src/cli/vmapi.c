// SPDX-License-Identifier: Apache-2.0
/*
 * vmapi.c - the running VMs of this user, and their API (see vmapi.h)
 */
#include "cli/vmapi.h"

#include "base/fd.h"
#include "base/http_parse.h"
#include "host/unix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#define REQUEST_MAX  1024
#define ANSWER_MAX   65536 /* larger than any answer but MMDS */
#define HEAD_MAX     4096
#define WAIT_SECONDS 10

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
	if (strcmp(name, "inspect") == 0 || strcmp(name, "merge") == 0)
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

/* Neither fails on a socket; without them a call takes longer. */
static void set_patience(int fd, unsigned int seconds)
{
	const struct timeval wait = {.tv_sec = (time_t)seconds};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

static int peer_of(int fd, pid_t *pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	*pid = cred.pid;
	return 0;
}

int vmapi_open_at(struct vmapi *api, const char *path)
{
	cleanup_fd int fd = unix_connect(path, WAIT_SECONDS * 1000);
	int r = fd < 0 ? fd : peer_of(fd, &api->pid);

	if (r == 0)
		set_patience(fd, WAIT_SECONDS);
	api->waiting = NULL;
	api->patience = WAIT_SECONDS;
	api->fd = r < 0 ? -1 : fd_steal(&fd);
	return r;
}

int vmapi_open(struct vmapi *api, const char *name, struct err *err)
{
	char path[VMAPI_PATH_MAX];
	int r;

	api->fd = -1;
	r = vmapi_socket(name, path, false, err);
	if (r < 0)
		return r;
	r = vmapi_open_at(api, path);
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

void vmapi_set_patience(struct vmapi *api, unsigned int seconds)
{
	api->patience = seconds;
}

void vmapi_close(struct vmapi *api)
{
	fd_close(&api->fd);
}

static int send_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -errno;
	}
	return 0;
}

/**
 * struct answer - a response on its way in
 * @raw:	all of it that has come, @got bytes
 */
struct answer {
	char body[ANSWER_MAX];
	size_t len;
	char raw[ANSWER_MAX + HEAD_MAX];
	size_t got;
};

/* Read one response. Return: its status, or -errno. */
static int receive(struct vmapi *api, struct answer *a)
{
	unsigned int seconds = 0;
	int r = -EAGAIN;

	set_patience(api->fd, api->waiting ? 1 : api->patience);
	while (r == -EAGAIN) {
		ssize_t n = recv(api->fd, a->raw + a->got,
				 sizeof(a->raw) - a->got, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && api->waiting) {
			api->waiting(api, ++seconds);
			continue;
		}
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0) /* or there is no room for more */
			return -ECONNRESET;
		a->got += (size_t)n;
		r = http_parse_response(a->raw, a->got, a->body,
					sizeof(a->body), &a->len);
	}
	return r;
}

/* @status and body as a result; takes @root over. */
static int conclude(int status, json_t *root, json_t **answer, struct err *err)
{
	const char *fault =
		json_string_value(json_object_get(root, "fault_message"));
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
	else
		r = err_set(err, -EREMOTEIO, "the VM answers: %s",
			    fault ? fault : "it gives no reason");
	json_decref(root);
	return r;
}

int vmapi_call(struct vmapi *api, const char *method, const char *url,
	       const char *body, json_t **answer, struct err *err)
{
	cleanup_free struct answer *a = malloc(sizeof(*a));
	char request[REQUEST_MAX];
	int n, status, r;

	if (!a)
		return err_set(err, -ENOMEM, "Out of memory");
	a->len = a->got = 0;
	n = snprintf(request, sizeof(request),
		     "%s %s HTTP/1.1\r\nHost: localhost\r\n"
		     "Content-Type: application/json\r\n"
		     "Content-Length: %zu\r\n\r\n%s",
		     method, url, body ? strlen(body) : 0, body ? body : "");
	if (n < 0 || (size_t)n >= sizeof(request))
		return err_set(err, -E2BIG, "The request is too long");
	r = send_all(api->fd, request, (size_t)n);
	status = r < 0 ? r : receive(api, a);
	if (status < 0)
		return err_set(err, status, "the VM does not answer: %s",
			       err_name(status));
	return conclude(status,
			a->len ? json_loadb(a->body, a->len, 0, NULL) : NULL,
			answer, err);
}

void vmapi_say_waiting(struct vmapi *api, unsigned int seconds)
{
	if (seconds % 10 == 0)
		(void)fprintf(stderr,
			      "volt: process %d has not answered for %u s; it "
			      "is busy, or stopped\n",
			      api->pid, seconds);
}

int vmapi_set_paused(struct vmapi *api, bool paused, struct err *err)
{
	return vmapi_call(api, "PATCH", "/vm",
			  paused ? "{\"state\":\"Paused\"}"
				 : "{\"state\":\"Resumed\"}",
			  NULL, err);
}

int vmapi_is_paused(struct vmapi *api, struct err *err)
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
