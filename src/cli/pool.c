// SPDX-License-Identifier: Apache-2.0
/*
 * pool.c - requests to the daemon of this user's pools (pool.h)
 */
#include "cli/pool.h"

#include "cli/cli.h"
#include "cli/vmapi.h"

#include "base/buf.h"
#include "base/fd.h"
#include "host/unix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define START                                                              \
	"start one with `systemctl --user start volt-pool`, as root with " \
	"`systemctl start volt-pool`, or by itself with `volt-pool &`"

/* Where the daemon of this user listens. Return: 0, or -errno with a sentence.
 */
static int pool_where(const char *given, char path[static VMAPI_PATH_MAX + 16],
		      struct err *err)
{
	char folder[VMAPI_PATH_MAX];
	int r = given ? 0 : vmapi_folder(folder, false, err);

	if (r < 0)
		return r;
	if (given && strlen(given) > UNIX_PATH_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "'%.32s...' is no path of a socket: it has more "
			       "than %zu bytes",
			       given, UNIX_PATH_MAX);
	(void)snprintf(path, VMAPI_PATH_MAX + 16, "%s%s",
		       given ? given : folder, given ? "" : "/pool.sock");
	return 0;
}

/* Return: a descriptor, or -errno with a sentence. */
static int pool_connect(const char *given, struct err *err)
{
	char path[VMAPI_PATH_MAX + 16];
	int r = pool_where(given, path, err);

	if (r < 0)
		return r;
	r = unix_connect_packets(path);
	if (r >= 0)
		return r;
	if (r == -ENOENT || r == -ECONNREFUSED)
		return err_set(err, r, "No pool daemon listens at %s: " START,
			       path);
	if (r == -EPROTOTYPE)
		return err_set(err, r, "What listens at %s is no pool daemon",
			       path);
	return err_set(err, r, "Cannot reach the pool daemon at '%s': %s", path,
		       err_name(r));
}

static int pool_send(int sock, const struct pool_request *request,
		     struct err *err)
{
	cleanup_buf struct buf text = {0};
	ssize_t n;

	schema_encode(&pool_request_schema, request, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (text.len > POOL_WIRE_MAX)
		return err_set(err, -EMSGSIZE,
			       "The request has %zu bytes; %u are the most "
			       "that the pool daemon takes",
			       text.len, (unsigned int)POOL_WIRE_MAX);
	do {
		n = send(sock, text.data, text.len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? err_set(err, -errno,
			       "The pool daemon takes no request: %s",
			       err_name(errno))
		     : 0;
}

static int pool_read(struct pool_reply *reply, const char *text, size_t len,
		     struct err *err)
{
	struct schema_seen seen;
	struct err why = {0};
	int r = schema_decode_text(&pool_answer_schema, text, len,
				   &reply->answer, &seen, &why);

	reply->json = json_loadb(text, len, 0, NULL);
	if (r < 0 || !reply->json)
		return err_set(err, -EPROTO,
			       "The pool daemon's answer is not understood: "
			       "is it of another version? %s",
			       why.text);
	if (!reply->answer.has_error)
		return 0;
	return err_set(err, -EREMOTEIO, "%s", reply->answer.error.text);
}

static int pool_receive(int sock, struct pool_reply *reply, struct err *err)
{
	cleanup_free char *text = malloc(POOL_WIRE_MAX);
	size_t nr;
	ssize_t n;

	if (!text)
		return err_set(err, -ENOMEM, "Out of memory");
	do {
		n = unix_recv_fds(sock, text, POOL_WIRE_MAX, reply->fd,
				  POOL_WIRE_FDS_MAX, &nr, 0);
	} while (n == -EINTR);
	if (n <= 0)
		return err_set(err, n < 0 ? (int)n : -EPIPE,
			       "The pool daemon ended before it answered");
	return pool_read(reply, text, (size_t)n, err);
}

int pool_ask(const struct pool_asking *asking,
	     const struct pool_request *request, struct pool_reply *reply,
	     struct err *err)
{
	cleanup_fd int sock = pool_connect(asking->socket, err);
	int r = sock < 0 ? sock : pool_send(sock, request, err);

	return r < 0 ? r : pool_receive(sock, reply, err);
}

void pool_reply_free(struct pool_reply *reply)
{
	schema_free(&pool_answer_schema, &reply->answer);
	json_decref(reply->json);
	for (size_t i = 0; i < POOL_WIRE_FDS_MAX; i++)
		fd_close(&reply->fd[i]);
	*reply = POOL_REPLY_NONE;
}

int pool_run(const struct args_page *page, const struct pool_asking *asking,
	     const struct pool_request *request)
{
	struct pool_reply reply = POOL_REPLY_NONE;
	struct err err;
	int r = pool_ask(asking, request, &reply, &err);

	pool_reply_free(&reply);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int pool_check_name(const struct args_page *page, const char *name)
{
	size_t len = strlen(name);
	bool good = len > 0 && len <= POOL_NAME_MAX;

	for (size_t i = 0; i < len && good; i++)
		good = isalnum((unsigned char)name[i]) || name[i] == '-';
	return good ? CLI_GO_ON
		    : cli_misuse(page,
				 "'%s' cannot name a pool or a lease: at most "
				 "%d letters, digits and '-'",
				 name, POOL_NAME_MAX);
}

int pool_parse(const struct args_page *page, int argc, char **argv,
	       unsigned int words, void *base, struct args *args)
{
	int r = cli_parse(page, argc, argv, words, base, args);

	return r == CLI_GO_ON && args->nr_words > 0
		       ? pool_check_name(page, args->words[0])
		       : r;
}

/* As ASCII: what is no letter is escaped, and changes no terminal. */
void pool_print_json(const struct pool_reply *reply, const char *key)
{
	char *text = json_dumps(json_object_get(reply->json, key),
				JSON_COMPACT | JSON_ENSURE_ASCII);

	if (text)
		(void)puts(text);
	free(text);
}

char *pool_absolute(const char *path)
{
	cleanup_free char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	char *out;

	if (*path == '/')
		return strdup(path);
	if (!here || asprintf(&out, "%s/%s", here, path) < 0)
		return NULL;
	return out;
}
