// SPDX-License-Identifier: Apache-2.0
/*
 * ask.c - --snapshot: one request to another volt-vmm (ask.h)
 */
#include "vmm/ask.h"

#include "base/clean.h"
#include "base/fd.h"
#include "client/api_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The VMM has another working directory, perhaps. */
static void add_absolute(struct buf *path, const char *dir)
{
	cleanup_free char *cwd = NULL;

	if (*dir != '/') {
		cwd = getcwd(NULL, 0);
		buf_add_str(path, cwd ? cwd : ".");
		buf_add(path, "/", 1);
	}
	buf_add_str(path, dir);
	buf_add(path, "/", 1);
}

/* A snapshot takes as long as it takes. */
static void say_waiting(struct api_client *vm, unsigned int seconds)
{
	if (seconds % 10 == 0)
		(void)fprintf(stderr,
			      "volt-vmm: process %d has not answered for "
			      "%u s\n",
			      vm->pid, seconds);
}

static int check_answer(const char *socket_path, const struct api_answer *a,
			struct err *err)
{
	char shown[ERR_TEXT_MAX];

	if (a->status == 204)
		return 0;
	(void)clean_text(shown, sizeof(shown), a->body, a->len);
	return err_set(err, -EIO, "The VMM at %s answered: %s", socket_path,
		       a->len ? shown : "nothing");
}

static int vmm_ask(const char *socket_path, const struct buf *body,
		   struct err *err)
{
	struct api_answer answer;
	struct api_client vm;
	int r = api_client_open(&vm, socket_path);

	if (r < 0)
		return err_set(err, r, "Cannot reach a VMM at %s: %s",
			       socket_path, err_name(r));
	vm.waiting = say_waiting;
	r = api_client_call(&vm, "PUT", "/snapshot/create", body->data,
			    body->len, &answer);
	if (r < 0)
		r = err_set(err, r, "No answer from the VMM at %s: %s",
			    socket_path, err_name(r));
	else
		r = check_answer(socket_path, &answer, err);
	api_answer_free(&answer);
	api_client_close(&vm);
	return r;
}

int ask_for_snapshot(const char *socket_path, const char *dir, struct err *err)
{
	cleanup_buf struct buf body = {0}, path = {0};

	add_absolute(&path, dir);
	buf_add_str(&body, "{\"snapshot_path\":");
	buf_add_json(&body, path.data, path.len);
	buf_add(&body, "}", 1);
	if (path.failed || body.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	return vmm_ask(socket_path, &body, err);
}
