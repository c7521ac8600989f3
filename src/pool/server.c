// SPDX-License-Identifier: Apache-2.0
/*
 * server.c - the pool's socket and its connections (server.h)
 */
#include "pool/server.h"

#include "base/fd.h"
#include "host/unix.h"
#include "pool/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERVER_AGAIN_NS 100000000u

/**
 * struct server_conn - a connection
 * @held:	too many of its requests wait: nothing is read
 */
struct server_conn {
	struct list link;
	struct server *server;
	struct loop_source src;
	struct pool_client client;
	bool held;
};

static struct loop *server_loop(const struct server *s)
{
	return s->d->loop;
}

static void server_hang_up(struct server_conn *c)
{
	pool_client_gone(&c->client);
	loop_del(server_loop(c->server), &c->src);
	fd_close(&c->src.fd);
	list_del(&c->link);
	c->server->nr_conns--;
	free(c);
}

/* ---- answers ---- */

static int server_send(int fd, const struct pool_answer *answer, const int *fds,
		       size_t nr)
{
	cleanup_buf struct buf text = {0};
	ssize_t n;

	schema_encode(&pool_answer_schema, answer, &text);
	if (text.failed)
		return -ENOMEM;
	n = unix_send_fds(fd, text.data, text.len, fds, nr, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

static int server_answer(struct pool_client *client,
			 const struct pool_answer *answer, const int *fds,
			 size_t nr)
{
	struct server_conn *c =
		container_of(client, struct server_conn, client);
	int r = server_send(c->src.fd, answer, fds, nr);

	/* The callers go on with it: its end is an event of its own. */
	if (r < 0)
		(void)shutdown(c->src.fd, SHUT_RDWR);
	if (c->held && client->nr_asks < SERVER_ASKS_MAX) {
		c->held = false;
		if (loop_mod(server_loop(c->server), &c->src, EPOLLIN) < 0)
			(void)shutdown(c->src.fd, SHUT_RDWR);
	}
	return r;
}

/* ---- requests ---- */

static void server_take(struct server_conn *c, size_t len)
{
	struct pool_request q;
	enum pool_code code;
	struct err err;

	if (request_parse(&q, c->server->message, len, &code, &err) == 0) {
		pool_request(c->server->d, &c->client, &q);
		return;
	}
	pool_answer_error(&c->client, q.tag, code, err.text);
	schema_free(&pool_request_schema, &q);
}

static void server_conn_ready(struct loop_source *src, uint32_t events)
{
	struct server_conn *c = container_of(src, struct server_conn, src);
	size_t fds = 0;
	ssize_t n = -ECONNRESET;

	if (events & EPOLLIN && !c->held)
		n = unix_recv_fds(src->fd, c->server->message, POOL_WIRE_MAX,
				  NULL, 0, &fds, MSG_DONTWAIT);
	else if (!(events & (EPOLLHUP | EPOLLERR)))
		return;
	if (n == -EAGAIN)
		return;
	if (n == -EMSGSIZE) {
		pool_answer_error(&c->client, 0, POOL_BAD,
				  "A message has at most 64 KiB");
	} else if (n == -EPROTO) {
		pool_answer_error(&c->client, 0, POOL_BAD,
				  "A request carries no descriptors");
	} else if (n <= 0) {
		server_hang_up(c);
		return;
	} else {
		server_take(c, (size_t)n);
	}
	if (c->client.nr_asks >= SERVER_ASKS_MAX) {
		c->held = true;
		if (loop_mod(server_loop(c->server), &c->src, 0) < 0)
			server_hang_up(c);
	}
}

/* ---- connections ---- */

static unsigned int server_conns_of(const struct server *s, uid_t uid)
{
	unsigned int nr = 0;

	for (struct list *l = s->conns.next; l != &s->conns; l = l->next)
		nr += container_of(l, struct server_conn, link)->client.uid ==
		      uid;
	return nr;
}

static void server_turn_away(int fd, enum pool_code code, const char *text)
{
	union {
		const char *from;
		char *to;
	} words = {text};
	const struct pool_answer answer = {
		.v = POOL_WIRE_VERSION,
		.has_error = true,
		.error = {.code = code, .text = words.to},
	};

	(void)server_send(fd, &answer, NULL, 0);
}

static bool server_lets_in(const struct server *s, int fd, uid_t uid)
{
	uid_t own = s->d->uid;

	if (own != 0 && uid != 0 && uid != own) {
		server_turn_away(fd, POOL_DENIED,
				 "This volt-pool serves another user");
		return false;
	}
	if (s->nr_conns >= SERVER_CONNS_MAX ||
	    (uid != own && uid != 0 &&
	     server_conns_of(s, uid) >= SERVER_CONNS_MAX / 2)) {
		server_turn_away(fd, POOL_FULL,
				 "There are too many connections");
		return false;
	}
	return true;
}

static void server_again(struct timer *timer)
{
	struct server *s = container_of(timer, struct server, again);

	if (loop_mod(server_loop(s), &s->src, EPOLLIN) < 0)
		timer_set(timer, SERVER_AGAIN_NS, 0);
}

static void server_accept(struct loop_source *src, uint32_t events)
{
	struct server *s = container_of(src, struct server, src);
	cleanup_fd int fd =
		accept4(src->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct server_conn *c;

	(void)events;
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED &&
	    errno != EINTR) {
		/* What waits is readable for ever. */
		if (loop_mod(server_loop(s), src, 0) == 0)
			timer_set(&s->again, SERVER_AGAIN_NS, 0);
		return;
	}
	if (fd < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 ||
	    !server_lets_in(s, fd, peer.uid))
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->server = s;
	c->src = (struct loop_source){
		.fd = fd, .events = EPOLLIN, .cb = server_conn_ready};
	c->client = (struct pool_client){
		.uid = peer.uid,
		.gid = peer.gid,
		.pid = peer.pid,
		.sock = fd,
		.answer = server_answer,
	};
	list_init(&c->client.asks);
	if (loop_add(server_loop(s), &c->src) < 0) {
		free(c);
		return;
	}
	(void)fd_steal(&fd);
	list_add_tail(&s->conns, &c->link);
	s->nr_conns++;
}

/* The folder says who may knock, SO_PEERCRED who is let in. */
static int server_listen(const char *path, struct err *err)
{
	int fd;

	if (unlink(path) < 0 && errno != ENOENT)
		return err_set(err, -errno, "Cannot remove the old %s: %s",
			       path, err_name(errno));
	fd = unix_listen_packets(path, SOMAXCONN);
	if (fd < 0)
		return err_set(err, fd, "Cannot listen on %s: %s", path,
			       err_name(fd));
	if (chmod(path, 0666) < 0) {
		int r = err_set(err, -errno, "Cannot set the mode of %s: %s",
				path, err_name(errno));

		fd_close(&fd);
		return r;
	}
	return fd;
}

int server_open(struct server *s, struct pool_daemon *d, const char *path,
		struct err *err)
{
	int r;

	*s = (struct server){.d = d, .src = {.fd = -1, .cb = server_accept}};
	list_init(&s->conns);
	timer_init(&s->again, d->loop, server_again);
	s->message = malloc(POOL_WIRE_MAX);
	if (!s->message)
		return err_set(err, -ENOMEM, "Out of memory");
	s->src.events = EPOLLIN;
	s->src.fd = server_listen(path, err);
	if (s->src.fd < 0)
		return s->src.fd;
	r = loop_add(d->loop, &s->src);
	return r < 0 ? err_set(err, r, "Cannot watch %s: %s", path, err_name(r))
		     : 0;
}

void server_close(struct server *s)
{
	if (!s->d)
		return;
	while (!list_empty(&s->conns))
		server_hang_up(
			container_of(s->conns.next, struct server_conn, link));
	timer_stop(&s->again);
	loop_del(s->d->loop, &s->src);
	fd_close(&s->src.fd);
	free(s->message);
	s->message = NULL;
}
