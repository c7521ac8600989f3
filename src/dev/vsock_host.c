// SPDX-License-Identifier: Apache-2.0
/*
 * vsock_host.c - the host's sockets of the socket device: listening, CONNECT,
 * connecting (theory of operation: vsock.h)
 */
#include "dev/vsock_priv.h"

#include "base/fd.h"
#include "base/log.h"
#include "host/unix.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#define ACCEPT_BUDGET 16

/* ---- clients of the host ---- */

/* Return: true when there may be more to accept. */
static bool accept_one(struct vsock *v)
{
	int fd = accept4(v->listener.fd, NULL, NULL,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct vsock_conn *c;

	if (fd < 0) {
		if (errno == EINTR || errno == ECONNABORTED)
			return true;
		if (errno == EAGAIN)
			return false;
		/* It stays readable: look away for a while. */
		metric_inc(&v->counters.muxer_event_fails);
		loop_del(v->dev.loop, &v->listener);
		v->accept_later = true;
		vsock_start_tick(v);
		return false;
	}
	c = vsock_conn_new(v, fd, VSOCK_GREETING);
	if (!c) {
		metric_inc(&v->counters.muxer_event_fails);
		log_guest(LOG_WARN, "%s: too many connections: one was refused",
			  v->dev.name);
		return true;
	}
	vsock_conn_deadline(c, VSOCK_GREETING_NS);
	vsock_conn_settle(c);
	return true;
}

static void on_listener(struct loop_source *src, uint32_t events)
{
	struct vsock *v = container_of(src, struct vsock, listener);

	(void)events;
	virtio_dev_enter(&v->dev);
	if (!virtio_dev_running(&v->dev) || v->stale)
		loop_del(v->dev.loop, src); /* a kick or resume watches again */
	else
		for (int i = 0; i < ACCEPT_BUDGET && accept_one(v); i++)
			;
	vsock_leave(v);
}

void vsock_host_init(struct vsock *v, int listen_fd)
{
	v->listener = (struct loop_source){
		.fd = listen_fd,
		.events = EPOLLIN,
		.cb = on_listener,
	};
}

void vsock_host_listen(struct vsock *v)
{
	if (v->listener.added || v->accept_later || v->holding)
		return;
	if (loop_add(v->dev.loop, &v->listener) < 0) {
		metric_inc(&v->counters.muxer_event_fails);
		v->accept_later = true;
		vsock_start_tick(v);
	}
}

bool vsock_parse_connect(const char *line, size_t len, uint32_t *port)
{
	static const char word[] = "connect";
	size_t i = sizeof(word) - 1;
	uint64_t value = 0;
	size_t digits = 0;

	if (len <= i || strncasecmp(line, word, i) != 0 ||
	    !isspace((unsigned char)line[i]))
		return false;
	while (i < len && isspace((unsigned char)line[i]))
		i++;
	for (; i < len && isdigit((unsigned char)line[i]); i++, digits++) {
		value = value * 10 + (uint64_t)(line[i] - '0');
		if (value > UINT32_MAX)
			return false;
	}
	/* What follows the number is ignored, as Firecracker does. */
	if (digits == 0 || (i < len && !isspace((unsigned char)line[i])))
		return false;
	*port = (uint32_t)value;
	return true;
}

static uint32_t free_port(struct vsock *v, uint32_t guest_port)
{
	uint32_t port;

	/* Ends: there are more ports than connections. */
	do {
		port = v->next_port++;
		if (v->next_port > VSOCK_LAST_PORT)
			v->next_port = VSOCK_FIRST_PORT;
	} while (vsock_conn_find(v, guest_port, port));
	return port;
}

static void call_guest(struct vsock_conn *c, uint32_t port)
{
	c->guest_port = port;
	c->host_port = free_port(c->vsock, port);
	vsock_conn_hash(c);
	c->state = VSOCK_CALLING;
	c->owed = VSOCK_OWE_REQUEST;
	vsock_conn_deadline(c, VSOCK_ANSWER_NS);
}

/*
 * Take no byte behind the line, it belongs to the stream: look first, then take
 * what is of the line.
 */
void vsock_host_greet(struct vsock_conn *c)
{
	char *at = c->line + c->line_len;
	size_t room = sizeof(c->line) - c->line_len;
	ssize_t n = fd_recv(c->src.fd, at, room, MSG_PEEK | MSG_DONTWAIT);
	const char *end;
	uint32_t port;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end = n > 0 ? memchr(at, '\n', (size_t)n) : NULL;
	if (end)
		n = end + 1 - at;
	if (n <= 0 || fd_recv(c->src.fd, at, (size_t)n, MSG_DONTWAIT) != n) {
		vsock_conn_abort(c, false);
		return;
	}
	c->line_len = (uint8_t)(c->line_len + n);
	if (end && vsock_parse_connect(c->line, c->line_len, &port))
		call_guest(c, port);
	else if (end || c->line_len == sizeof(c->line))
		vsock_conn_abort(c, false);
}

void vsock_host_accepted(struct vsock_conn *c)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "OK %u\n", c->host_port);

	c->state = VSOCK_OPEN;
	c->deadline_ns = 0;
	if (fd_send(c->src.fd, text, (size_t)len,
		    MSG_NOSIGNAL | MSG_DONTWAIT) != len)
		vsock_conn_abort(c, true);
}

/* ---- connections of the guest ---- */

/* Return: 0 and the connection has its socket, -EAGAIN when it has to wait or
 * is called by somebody else, or -errno. */
static int dev_vsock_host_dial(struct vsock_conn *c)
{
	char path[UNIX_PATH_MAX + sizeof("_4294967295")];
	int len = snprintf(path, sizeof(path), "%s_%u", c->vsock->uds_path,
			   c->host_port);
	int fd;

	if (c->vsock->holding || c->in_flight)
		return -EAGAIN;
	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	fd = path_open_nth(c->vsock->opener, PATH_VSOCK_PEER, path,
			   c->host_port, NULL);
	c->in_flight = fd == -EINPROGRESS;
	if (fd < 0)
		return c->in_flight ? -EAGAIN : fd;
	c->src.fd = fd;
	return 0;
}

static void connected(struct vsock_conn *c)
{
	c->state = VSOCK_OPEN;
	c->deadline_ns = 0;
	c->owed = VSOCK_OWE_RESPONSE;
}

bool vsock_host_dial(struct vsock *v, const struct vsock_header *request)
{
	struct vsock_conn *c = vsock_conn_new(v, -1, VSOCK_DIALLING);
	int r;

	if (!c)
		return false;
	c->guest_port = request->src_port;
	c->host_port = request->dst_port;
	c->peer_alloc = request->buf_alloc;
	c->peer_fwd = request->fwd_cnt;
	r = dev_vsock_host_dial(c);
	if (r < 0 && r != -EAGAIN) {
		vsock_conn_free(c);
		return false;
	}
	vsock_conn_hash(c);
	if (r == 0)
		connected(c);
	else
		vsock_conn_deadline(c, VSOCK_ANSWER_NS);
	vsock_conn_settle(c);
	return true;
}

/* What came of calling the host's end. */
static void called(struct vsock_conn *c, int r)
{
	/* A shortage may end before the deadline does. */
	if (r == -EAGAIN || r == -EMFILE || r == -ENFILE || r == -ENOMEM ||
	    r == -ENOBUFS)
		return;
	if (r == 0)
		connected(c);
	else
		vsock_conn_abort(c, true);
	vsock_conn_settle(c);
}

void vsock_host_redial(struct vsock_conn *c)
{
	called(c, dev_vsock_host_dial(c));
}

/* Sockets to one port are alike: whoever has waited longest takes it. */
static struct vsock_conn *find_called(struct vsock *v, uint32_t port)
{
	for (struct list *at = v->conns.next; at != &v->conns; at = at->next) {
		struct vsock_conn *c = container_of(at, struct vsock_conn, all);

		if (c->state == VSOCK_DIALLING && c->in_flight &&
		    c->host_port == port)
			return c;
	}
	return NULL;
}

void vsock_host_answer(struct vsock *v, uint32_t port, int r, int fd)
{
	struct vsock_conn *c = v->stale ? NULL : find_called(v, port);

	if (!c) {
		fd_close(&fd); /* it was reset, or waited too long */
		return;
	}
	c->in_flight = false;
	c->src.fd = fd;
	called(c, r);
}
