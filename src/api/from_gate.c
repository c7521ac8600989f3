// SPDX-License-Identifier: Apache-2.0
/*
 * from_gate.c - requests come from the gate, and answers go to it
 */
#include "api/resource.h"

#include "base/log.h"
#include "gate/http.h"
#include "gate/server.h"
#include "host/allow.h"
#include "sandbox/seccomp.h"
#include "vm/live.h"

#include <errno.h>
#include <signal.h>

static void on_request(void *ctx, const char *raw, size_t len)
{
	struct api *api = ctx;
	struct api_reply reply = {0};
	struct http_scan scan = {0};
	const struct http_request *request = &scan.request;

	/* The loop comes to its end in this round: a load has failed. */
	if (vm_ended(api->vm))
		return;
	/* The gate has scanned it, too. */
	if (http_scan(&scan, raw, len, api->settings.payload_max) !=
	    HTTP_COMPLETE) {
		log_error("The gate sent a request that is none");
		vm_end(api->vm, EXIT_CODE_GENERIC);
		return;
	}
	api_handle(api, request->method, request->path, request->path_len,
		   request->body_len > 0 ? raw + request->head_len : NULL,
		   request->body_len, &reply);
	/* Without memory for its answer a client is hung up on. */
	if (reply.body.failed)
		reply.status = 0;
	gate_link_answer(&api->gate, reply.status, reply.deprecated,
			 &reply.body);
}

/* SIGSYS is how such a call of our own is counted. */
static void from_gate_on_bad_call(struct api *api, int nr)
{
	const char *name = seccomp_call_name((unsigned int)nr);

	log_error("Shutting down VM after intercepting a bad syscall (%d): %s "
		  "on the gate",
		  nr, name ? name : "unknown");
	vm_end(api->vm, EXIT_CODE_BAD_SYSCALL);
	(void)raise(SIGSYS);
}

static void on_note(void *ctx, uint32_t note, int rc, const char *text)
{
	struct api *api = ctx;
	struct gate_counters *c = &api->gate.counters;

	switch (note) {
	case GATE_BAD_CALL:
		from_gate_on_bad_call(api, -rc);
		break;
	case SERVER_MALFORMED:
		metric_inc(&c->malformed_count);
		log_error("Received malformed HTTP on the API socket: %s",
			  text);
		break;
	case SERVER_IDLE:
		log_info("An idle API connection is closed to make room");
		break;
	case SERVER_SLOW:
		metric_inc(&c->clients_slow);
		log_info("A slow API connection is closed");
		break;
	case SERVER_FULL:
		metric_inc(&c->clients_refused);
		log_error("Too many open API connections");
		break;
	case SERVER_NO_ACCEPT:
		log_guest(LOG_ERROR, "The API cannot accept a connection: %s",
			  err_name(rc));
		break;
	default:
		log_error("The API cannot watch its socket");
	}
}

static void on_dialed(void *ctx, uint32_t port, int rc, int fd)
{
	struct api *api = ctx;

	live_vsock_dialed(api->vm, port, rc, fd);
}

static void on_gone(void *ctx)
{
	struct api *api = ctx;

	log_error("The half of the process that serves the API has died");
	vm_end(api->vm, EXIT_CODE_GENERIC);
}

static const struct gate_link_ops from_gate_ops = {
	.request = on_request,
	.dialed = on_dialed,
	.note = on_note,
	.gone = on_gone,
};

/* The metadata store is the largest thing that is answered; its characters may
 * have to be escaped. */
static uint64_t answer_max(const struct api_settings *s)
{
	uint64_t max;

	if (__builtin_add_overflow(s->payload_max, s->mmds_size_limit, &max) ||
	    __builtin_mul_overflow(max, 8, &max) ||
	    __builtin_add_overflow(max, GATE_ANSWER_MAX, &max))
		return UINT64_MAX;
	return max;
}

int api_open_gate(struct api *api, const char *path, struct allow *allow,
		  struct err *err)
{
	struct gate_door door = GATE_DOOR_NONE;
	const struct gate_params params = {
		.sandbox = api->vm->sandbox,
		.allow = allow,
		.door = &door,
		.payload_max = api->settings.payload_max,
		.answer_max = answer_max(&api->settings),
	};
	int r = path ? gate_door_open(&door, path, err) : 0;

	if (r < 0) {
		gate_door_close(&door);
		if (allow)
			allow_close(allow);
		return r;
	}
	gate_opener_init(&api->opener, &api->gate);
	api->vm->config.opener = &api->opener.opener;
	api->vm->lock = api_lock;
	api->vm->runs = api_runs;
	api->vm->lock_ctx = api;
	r = gate_start(&api->gate, api->vm->loop, &params, &from_gate_ops, api,
		       err);
	if (r == 0 && metrics_add(api->metrics, &gate_metric_group, NULL,
				  &api->gate.counters) < 0)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0 && path)
		api_counters_started(api);
	return r;
}

void api_close_gate(struct api *api)
{
	if (api)
		gate_link_close(&api->gate);
}
