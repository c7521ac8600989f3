// SPDX-License-Identifier: Apache-2.0
/*
 * link.c - the guest process's end of the wire (theory of operation: link.h)
 */
#include "gate/link.h"

#include "base/fd.h"
#include "host/path.h"
#include "host/timer.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define END_MS 1000

static const struct metric link_metrics[] = {
	METRIC(struct gate_counters, requests_count),
	METRIC(struct gate_counters, opens_count),
	METRIC(struct gate_counters, open_fails),
	METRIC(struct gate_counters, dials_count),
	METRIC(struct gate_counters, dialed_count),
	METRIC(struct gate_counters, dial_fails),
	METRIC(struct gate_counters, timeouts_count),
	METRIC(struct gate_counters, clients_refused),
	METRIC(struct gate_counters, clients_slow),
	METRIC(struct gate_counters, malformed_count),
	METRIC_AGG(struct gate_counters, wait_agg),
};

const struct metric_group gate_metric_group = {
	.name = "volt_gate",
	.metrics = link_metrics,
	.nr = ARRAY_SIZE(link_metrics),
};

static void lost(struct gate_link *link)
{
	if (link->gone)
		return;
	link->gone = true;
	loop_del(link->loop, &link->src);
	link->ops->gone(link->ctx);
}

static void link_watch(struct gate_link *link)
{
	bool out = link->out.going || link->held;
	uint32_t events = EPOLLIN | (out ? EPOLLOUT : 0u);

	if (!link->gone && loop_mod(link->loop, &link->src, events) < 0)
		lost(link);
}

/* ---- to the gate ---- */

static void link_flush(struct gate_link *link)
{
	int r = wire_text_send(link->src.fd, &link->out);

	if (r < 0 && r != -EAGAIN) {
		lost(link);
		return;
	}
	if (r == 0)
		buf_free(&link->answer);
	link_watch(link);
}

void gate_link_answer(struct gate_link *link, int status, bool deprecated,
		      struct buf *body)
{
	const struct wire_message m = {
		.kind = WIRE_ANSWER,
		.serial = link->request.m.serial,
		.value = (uint32_t)status | (deprecated ? WIRE_DEPRECATED : 0u),
	};

	link->in_progress = false;
	link->nr_ahead = 0;
	wire_join_reset(&link->request);
	link->answer = *body;
	*body = (struct buf){0};
	wire_text_begin(&link->out, &m, link->answer.data, link->answer.len);
	link_flush(link);
}

int gate_link_dial(struct gate_link *link, uint32_t port)
{
	const struct wire_message m = {
		.kind = WIRE_DIAL,
		.value = port,
	};

	metric_inc(&link->counters.dials_count);
	return wire_send(link->src.fd, &m, NULL, 0, NULL, 0);
}

/* ---- from the gate ---- */

static void carry_out(struct gate_link *link)
{
	struct buf none = {0};

	link->in_progress = true;
	metric_inc(&link->counters.requests_count);
	if (link->request.lost) {
		gate_link_answer(link, 0, false, &none);
		return;
	}
	link->ops->request(link->ctx, link->request.text.data,
			   link->request.text.len);
}

/* Not in the midst of a call: what makes that, a start by a file, is to be
 * over first. The loop comes back for it. */
static void take_request(struct gate_link *link)
{
	int r = link->in_progress || link->held
			? -EPROTO
			: wire_join_add(&link->request, &link->in,
					link->request_max);

	if (r < 0) {
		lost(link);
	} else if (r > 0 && link->calling) {
		link->held = true;
		link_watch(link);
	} else if (r > 0) {
		carry_out(link);
	}
}

static void take_note(struct gate_link *link)
{
	struct wire_in *in = &link->in;
	char text[ERR_TEXT_MAX + 1];

	memcpy(text, in->tail, in->len);
	text[in->len] = '\0';
	link->ops->note(link->ctx, in->m.value, in->m.rc, text);
}

static void take_dialed(struct gate_link *link)
{
	struct wire_in *in = &link->in;
	int rc = in->m.rc;

	if (rc == 0 && in->nr_fds == 0)
		rc = -EPROTO;
	metric_inc(&link->counters.dialed_count);
	if (rc < 0)
		metric_inc(&link->counters.dial_fails);
	link->ops->dialed(link->ctx, in->m.value, rc,
			  rc == 0 ? fd_steal(&in->fd[0]) : -1);
}

/* What is neither may be a call that nobody waits for any more. */
static void link_take(struct gate_link *link)
{
	switch (link->in.m.kind) {
	case WIRE_REQUEST:
		take_request(link);
		break;
	case WIRE_DIALED:
		take_dialed(link);
		break;
	case WIRE_NOTE:
		take_note(link);
		break;
	default:
		break;
	}
}

/*
 * A message whose descriptors we have no numbers for is lost; what waits for it
 * has a deadline. Return: 0 or what wire_recv() says; the end is told to
 * ops->gone().
 */
static int link_receive(struct gate_link *link)
{
	int r = wire_recv(link->src.fd, WIRE_GATE, &link->in);

	if (r < 0 && r != -EAGAIN && r != -EPROTO)
		lost(link);
	return r;
}

static void on_link(struct loop_source *src, uint32_t events)
{
	struct gate_link *link = container_of(src, struct gate_link, src);
	bool held = link->held;

	link->held = false;
	if (events & EPOLLOUT)
		link_flush(link);
	if (held && !link->gone)
		carry_out(link);
	else if (!link->gone && link_receive(link) == 0) {
		link_take(link);
		wire_in_drop(&link->in);
	}
}

/* ---- calls ---- */

/* Return: 0, or -ETIMEDOUT when nothing has happened until @end_ns. */
static int await(const struct gate_link *link, short events, uint64_t end_ns)
{
	struct pollfd p = {.fd = link->src.fd, .events = events};
	uint64_t now = now_ns();
	int r;

	if (now >= end_ns)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)((end_ns - now + 999999) / 1000000));
	return r < 0 && errno != EINTR ? -errno : 0;
}

static bool is_reply(const struct gate_link *link)
{
	const struct wire_message *m = &link->in.m;

	return (m->kind == WIRE_DESCRIPTOR || m->kind == WIRE_DONE) &&
	       m->serial == link->awaited;
}

/* Return: 0 when link->in is the reply. */
static int await_reply(struct gate_link *link, uint64_t end_ns)
{
	int r;

	do {
		r = link_receive(link);
		if (r == 0 && is_reply(link))
			return 0;
		if (r == 0) {
			link_take(link);
			wire_in_drop(&link->in);
		} else if (r == -EAGAIN) {
			r = await(link, POLLIN, end_ns);
		}
	} while (r == 0 && !link->gone);
	return r == -EPROTO ? -EMFILE : r < 0 ? r : -EPIPE;
}

static int send_within(struct gate_link *link, const struct wire_message *m,
		       const void *tail, size_t len, uint64_t end_ns)
{
	int r;

	while ((r = wire_send(link->src.fd, m, tail, len, NULL, 0)) ==
	       -EAGAIN) {
		r = await(link, POLLOUT, end_ns);
		if (r < 0)
			return r;
	}
	return r;
}

static uint64_t end_of(const struct gate_link *link, enum wire_kind kind,
		       uint32_t value)
{
	uint64_t ms = kind == WIRE_SAVED ? GATE_SAVED_MS : link->call_ms;

	/* Its own limit is the gate's to keep. */
	if (kind == WIRE_NEED && value == PATH_UFFD_HANDLER)
		ms += PATH_UFFD_MS;
	return now_ns() + ms * 1000000ull;
}

int gate_link_tell(struct gate_link *link, enum wire_kind kind, uint32_t value,
		   const void *tail, size_t len)
{
	const struct wire_message m = {.kind = kind, .value = value};

	return send_within(link, &m, tail, len, end_of(link, kind, value));
}

void gate_link_ahead(struct gate_link *link, const uint32_t *values,
		     unsigned int nr)
{
	link->nr_ahead = 0;
	for (unsigned int i = 0; i < nr && i < GATE_AHEAD_MAX; i++) {
		const struct wire_message m = {
			.kind = WIRE_NEED,
			.serial = link->calls + 1,
			.value = values[i],
		};

		/* It is a hint: what has no room is asked for in its turn. */
		if (wire_send(link->src.fd, &m, NULL, 0, NULL, 0) < 0)
			return;
		link->calls++;
		link->ahead[link->nr_ahead++] = (struct gate_ahead){
			.value = m.value,
			.serial = m.serial,
		};
	}
}

/* Was this one sent ahead? Then @m gets its number. */
static bool link_was_ahead(struct gate_link *link, struct wire_message *m)
{
	if (link->nr_ahead == 0 || m->kind != WIRE_NEED ||
	    m->value != link->ahead[0].value) {
		link->nr_ahead = 0;
		return false;
	}
	m->serial = link->ahead[0].serial;
	link->nr_ahead--;
	memmove(link->ahead, link->ahead + 1,
		link->nr_ahead * sizeof(link->ahead[0]));
	return true;
}

static int link_call(struct gate_link *link, struct wire_message *m,
		     const void *tail, size_t len)
{
	uint64_t begin_ns = now_ns();
	uint64_t end_ns = end_of(link, m->kind, m->value);
	int r = 0;

	if (!link_was_ahead(link, m)) {
		m->serial = ++link->calls;
		r = send_within(link, m, tail, len, end_ns);
	}
	link->awaited = m->serial;
	if (r == 0) {
		link->calling = true;
		r = await_reply(link, end_ns);
		link->calling = false;
	}
	metric_agg_add(&link->counters.wait_agg, (now_ns() - begin_ns) / 1000);
	if (r == -ETIMEDOUT)
		metric_inc(&link->counters.timeouts_count);
	return r;
}

static void count_open(struct gate_counters *c, int rc)
{
	metric_inc(rc < 0 ? &c->open_fails : &c->opens_count);
}

int gate_link_call(struct gate_link *link, enum wire_kind kind, uint32_t value,
		   const void *tail, size_t len, struct wire_in **reply,
		   struct err *err)
{
	struct wire_message m = {.kind = kind, .value = value};
	int r = link->gone ? -EPIPE : link_call(link, &m, tail, len);

	if (r < 0)
		return err_set(err, r,
			       "The part of Volt that opens files does not "
			       "answer: %s",
			       err_name(r));
	*reply = &link->in;
	r = link->in.m.rc;
	if (kind == WIRE_NEED)
		count_open(&link->counters, r);
	return r < 0 ? err_set(err, r, "%.*s", (int)link->in.len, link->in.tail)
		     : 0;
}

/* ---- life ---- */

int gate_link_open(struct gate_link *link, struct loop *loop, int sock,
		   uint64_t request_max, const struct gate_link_ops *ops,
		   void *ctx)
{
	int r;

	link->loop = loop;
	link->request_max = request_max;
	link->call_ms = GATE_CALL_MS;
	link->ops = ops;
	link->ctx = ctx;
	link->src = (struct loop_source){
		.fd = sock,
		.events = EPOLLIN,
		.cb = on_link,
	};
	r = loop_add(loop, &link->src);
	if (r < 0)
		fd_close(&link->src.fd);
	return r;
}

/* The last answer goes out; then the gate's end closes. */
static int await_end(struct gate_link *link)
{
	uint64_t end_ns = now_ns() + END_MS * 1000000ull;
	int r;

	while ((r = wire_text_send(link->src.fd, &link->out)) == -EAGAIN) {
		r = await(link, POLLOUT, end_ns);
		if (r < 0)
			return r;
	}
	if (r < 0 || shutdown(link->src.fd, SHUT_WR) < 0)
		return 0;
	do {
		r = wire_recv(link->src.fd, WIRE_GATE, &link->in);
		wire_in_drop(&link->in);
		if (r == -EAGAIN)
			r = await(link, POLLIN, end_ns);
	} while (r == 0);
	return r == -ETIMEDOUT ? r : 0;
}

void gate_link_close(struct gate_link *link)
{
	int r;

	if (link->src.fd < 0)
		return;
	r = await_end(link);
	loop_del(link->loop, &link->src);
	fd_close(&link->src.fd);
	/* One that is stopped dies of our end (gate.h). */
	if (r == 0 && link->pid > 0)
		while (waitpid(link->pid, NULL, 0) < 0 && errno == EINTR)
			;
	wire_join_free(&link->request);
	buf_free(&link->answer);
}
