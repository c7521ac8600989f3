// SPDX-License-Identifier: Apache-2.0
/*
 * serve.c - the gate's loop: requests to the guest process, answers back
 * (theory of operation: gate.h)
 */
#include "gate/gate_priv.h"

#include "sandbox/stage.h"

#include <errno.h>

/* ---- to the guest process ---- */

void gate_reply_drop(struct gate_reply *reply)
{
	for (unsigned int i = 0; i < reply->nr_fds; i++)
		fd_close(&reply->fd[i]);
	reply->nr_fds = 0;
	reply->len = 0;
	reply->waits = false;
}

static int send_reply(struct gate *gate)
{
	struct gate_reply *reply = &gate->reply;
	int r = 0;

	if (reply->waits)
		r = wire_send(gate->src.fd, &reply->m, reply->text, reply->len,
			      reply->fd, reply->nr_fds);
	if (r == -ETOOMANYREFS) {
		/* More descriptors of this user are on their way than may be.
		 */
		gate_reply_drop(reply);
		reply->m.rc = -EMFILE;
		r = wire_send(gate->src.fd, &reply->m, NULL, 0, NULL, 0);
		reply->waits = r == -EAGAIN;
	}
	if (r == -EAGAIN)
		return r;
	gate_reply_drop(reply);
	return r;
}

/* What does not go now goes when there is room; nothing is read before a reply
 * is out, so that there is never more than one. */
static void pump(struct gate *gate)
{
	uint32_t events = EPOLLIN;
	int r = send_reply(gate);

	if (r == 0)
		r = wire_text_send(gate->src.fd, &gate->out);
	if (gate->reply.waits)
		events = EPOLLOUT;
	else if (gate->out.going)
		events |= EPOLLOUT;
	if ((r < 0 && r != -EAGAIN) ||
	    loop_mod(&gate->loop, &gate->src, events) < 0)
		loop_quit(&gate->loop);
}

void gate_send_reply(struct gate *gate)
{
	gate->reply.waits = true;
	pump(gate);
}

static void serve_ask(void *ctx, const char *raw, size_t len)
{
	struct gate *gate = ctx;
	struct wire_message m = {.kind = WIRE_REQUEST};

	if (++gate->serial == 0)
		gate->serial = 1;
	m.serial = gate->serial;
	gate->raw = raw;
	gate->raw_len = len;
	gate->nr_needs = 0;
	wire_text_begin(&gate->out, &m, raw, len);
	pump(gate);
}

/* Lost when there is no room: it is for the log only. */
static void serve_note(void *ctx, enum server_note note, int rc,
		       const char *text)
{
	struct gate *gate = ctx;
	const struct wire_message m = {
		.kind = WIRE_NOTE,
		.value = note,
		.rc = rc,
	};
	size_t len = text ? strlen(text) : 0;

	(void)!wire_send(gate->src.fd, &m, text,
			 len < ERR_TEXT_MAX ? len : ERR_TEXT_MAX, NULL, 0);
}

static const struct server_ops server_ops = {.ask = serve_ask,
					     .note = serve_note};

/* ---- from the guest process ---- */

static bool is_status(uint32_t status)
{
	return status == 0 || status == 200 || status == 204 || status == 400 ||
	       status == 413;
}

static int take_answer(struct gate *gate)
{
	const struct wire_message *m = &gate->in.m;
	const struct server_answer answer = {
		.status = (int)(m->value & ~WIRE_DEPRECATED),
		.deprecated = m->value & WIRE_DEPRECATED,
	};
	struct server_answer whole = answer;
	int r;

	if (!gate_in_progress(gate) || m->serial != gate->serial ||
	    !is_status((uint32_t)answer.status))
		return -EPROTO;
	r = wire_join_add(&gate->answer, &gate->in, gate->params->answer_max);
	if (r <= 0)
		return r;
	gate->raw = NULL;
	gate_save_end(gate);
	load_end(&gate->load);
	whole.body = gate->answer.text.data;
	whole.len = gate->answer.text.len;
	if (gate->answer.lost)
		whole.status = 0;
	server_answer(gate->server, &whole);
	wire_join_reset(&gate->answer);
	return 0;
}

static int take_message(struct gate *gate)
{
	switch (gate->in.m.kind) {
	case WIRE_ANSWER:
		return take_answer(gate);
	case WIRE_HANDOVER:
		return gate_take_handover(gate);
	case WIRE_LOCKED:
		return gate_take_locked(gate);
	case WIRE_NEED:
		return gate_take_need(gate);
	case WIRE_SAVED:
		return gate_take_saved(gate);
	case WIRE_ABORTED:
		return gate_take_aborted(gate);
	case WIRE_DIAL:
		return gate_take_dial(gate);
	default:
		return -EPROTO;
	}
}

int gate_take(struct gate *gate)
{
	int r = 0;

	if (gate->lock_due && gate->in.m.kind != WIRE_ANSWER)
		r = gate_lock(gate);
	if (r == 0)
		r = take_message(gate);
	if (r == 0 && gate->lock_due && !gate_in_progress(gate))
		r = gate_lock(gate);
	return r;
}

static void on_wire(struct loop_source *src, uint32_t events)
{
	struct gate *gate = container_of(src, struct gate, src);
	int r;

	if (events & EPOLLOUT)
		pump(gate);
	if (gate->reply.waits)
		return;
	r = wire_recv(src->fd, WIRE_GUEST, &gate->in);
	if (r == 0)
		r = gate_take(gate);
	wire_in_drop(&gate->in);
	if (r < 0 && r != -EAGAIN)
		loop_quit(&gate->loop);
}

/* ---- life ---- */

int gate_begin(struct gate *gate, int sock)
{
	struct gate_door *door = gate->params->door;
	int r = loop_init(&gate->loop);

	gate->load = LOAD_NONE;
	gate->src = (struct loop_source){
		.fd = sock,
		.events = EPOLLIN,
		.cb = on_wire,
	};
	if (r == 0)
		r = loop_add(&gate->loop, &gate->src);
	if (r == 0 && door->fd >= 0)
		r = server_new(&gate->server, &gate->loop, fd_steal(&door->fd),
			       gate->params->payload_max, &server_ops, gate);
	return r;
}

void gate_end(struct gate *gate)
{
	const struct gate_door *door = gate->params->door;

	gate_reply_drop(&gate->reply);
	gate_save_end(gate);
	load_end(&gate->load);
	server_free(gate->server);
	if (door->path)
		file_unlink_own(door->path, door->file);
	if (gate->vsock.path)
		file_unlink_own(gate->vsock.path, gate->vsock.file);
	gate_forget(gate);
	wire_join_free(&gate->answer);
	loop_fini(&gate->loop);
	fd_close(&gate->src.fd);
}

int gate_run(struct gate *gate, int sock)
{
	int r = gate_begin(gate, sock);

	if (r == 0)
		r = sandbox_gate(gate->params->sandbox);
	if (r == 0)
		r = loop_run(&gate->loop);
	gate_end(gate);
	return r < 0;
}
