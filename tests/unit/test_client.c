// SPDX-License-Identifier: Apache-2.0
/*
 * test_client.c - requests to a VM's API, and servers that mean ill
 */
#include "unit.h"

#include "base/fd.h"
#include "client/api_client.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_S 60
#define SOON_MS    50u
#define GOOD       "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"

/**
 * struct peer - the other end, that does as a test says
 * @stop:	ends its thread
 */
struct peer {
	struct api_client client;
	int fd;
	pthread_t thread;
	atomic_bool stop;
};

static int set_up(void **state)
{
	static struct peer peer;
	int ends[2];

	(void)alarm(DEADLINE_S);
	peer = (struct peer){.fd = -1};
	*state = &peer;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	peer.fd = ends[1];
	return api_client_open_fd(&peer.client, ends[0]);
}

static int tear_down(void **state)
{
	struct peer *peer = *state;

	(void)alarm(0);
	api_client_close(&peer->client);
	fd_close(&peer->fd);
	return 0;
}

static void say(struct peer *peer, const char *text)
{
	assert_int_equal(write(peer->fd, text, strlen(text)), strlen(text));
}

static int ask(struct peer *peer, struct api_answer *answer)
{
	return api_client_call(&peer->client, "GET", "/", NULL, 0, answer);
}

/* A call has to fail so, and the connection is gone. */
static void fails(struct peer *peer, int error)
{
	struct api_answer answer;

	assert_int_equal(ask(peer, &answer), error);
	api_answer_free(&answer);
	assert_int_equal(peer->client.fd, -1);
	assert_int_equal(ask(peer, &answer), -ENOTCONN);
	api_answer_free(&answer);
}

static void a_request_and_its_answer(void **state)
{
	static const char request[] = "PUT /vm HTTP/1.1\r\n"
				      "Host: localhost\r\n"
				      "Content-Type: application/json\r\n"
				      "Content-Length: 2\r\n\r\n{}";
	struct peer *peer = *state;
	struct api_answer answer;
	char got[512];

	assert_int_equal(peer->client.pid, getpid());
	for (int i = 0; i < 3; i++) {
		say(peer, i < 2 ? GOOD : "HTTP/1.1 204 \r\n\r\n");
		assert_int_equal(api_client_call(&peer->client, "PUT", "/vm",
						 "{}", 2, &answer),
				 0);
		assert_int_equal(read(peer->fd, got, sizeof(got)),
				 strlen(request));
		assert_memory_equal(got, request, strlen(request));
		assert_int_equal(answer.status, i < 2 ? 200 : 204);
		assert_int_equal(answer.len, i < 2 ? 4 : 0);
		assert_memory_equal(answer.body, "true", answer.len);
		api_answer_free(&answer);
		/* What waits before the first request may be its answer. */
		peer->client.used = false;
	}
}

static void bytes_before_the_second_request(void **state)
{
	struct peer *peer = *state;
	struct api_answer answer;

	say(peer, GOOD);
	assert_int_equal(ask(peer, &answer), 0);
	api_answer_free(&answer);
	say(peer, GOOD);
	fails(peer, -EBADMSG);
}

/* One answer each, whole or cut, and then the end of the connection. */
static void bad_answers(void **state)
{
	static const struct {
		const char *text;
		int error;
	} rows[] = {
		{"", -ECONNRESET},
		{"H", -ECONNRESET},
		{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r", -ECONNRESET},
		{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntru",
		 -ECONNRESET},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
		 -EMSGSIZE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n"
		 "\r\n",
		 -EBADMSG},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n"
		 "\r\n",
		 -EMSGSIZE},
		{GOOD "!", -EBADMSG},
		{GOOD GOOD, -EBADMSG},
		{"HTTP/1.1 204 \r\n\r\n{}", -EBADMSG},
		{"HTTP/1.1 200 OK\r\n\r\n{}", -EBADMSG},
		{"HTTP/1.1 100 Continue\r\n\r\n" GOOD, -EBADMSG},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "0\r\n\r\n",
		 -EBADMSG},
		{"SSH-2.0-OpenSSH_9.2\r\n\r\n", -EBADMSG},
		{"SSH-2.0-OpenSSH_9.2\r\n", -ECONNRESET},
	};

	tear_down(state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct peer *peer;

		assert_int_equal(set_up(state), 0);
		peer = *state;
		say(peer, rows[i].text);
		assert_int_equal(shutdown(peer->fd, SHUT_WR), 0);
		fails(peer, rows[i].error);
		tear_down(state);
	}
}

/* It has not read the request, and never will. */
static void an_answer_before_the_request(void **state)
{
	struct peer *peer = *state;
	struct api_answer answer;

	say(peer, "HTTP/1.1 503 \r\nContent-Length: 2\r\n\r\n{}");
	fd_close(&peer->fd);
	assert_int_equal(ask(peer, &answer), 0);
	assert_int_equal(answer.status, 503);
	api_answer_free(&answer);
	fails(peer, -ECONNRESET);
}

static void a_server_that_says_nothing(void **state)
{
	struct peer *peer = *state;

	peer->client.limit_ms = SOON_MS;
	fails(peer, -ETIMEDOUT);
}

static void a_server_that_stops_in_the_middle(void **state)
{
	struct peer *peer = *state;

	peer->client.limit_ms = SOON_MS;
	say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ntrue");
	fails(peer, -ETIMEDOUT);
}

static void a_server_that_does_not_read(void **state)
{
	static char body[4 << 20];
	struct peer *peer = *state;
	struct api_answer answer;

	peer->client.limit_ms = SOON_MS;
	assert_int_equal(api_client_call(&peer->client, "PUT", "/", body,
					 sizeof(body), &answer),
			 -ETIMEDOUT);
	api_answer_free(&answer);
	assert_int_equal(peer->client.fd, -1);
}

/* ---- servers that go on ---- */

static void *drip(void *arg)
{
	struct peer *peer = arg;
	const char *text = "HTTP/1.1 200 OK\r\nA: ";

	while (!peer->stop) {
		(void)!send(peer->fd, *text ? text++ : "b", 1, MSG_NOSIGNAL);
		(void)usleep(1000);
	}
	return NULL;
}

static void *flood(void *arg)
{
	static const char text[8192] = {[0 ... 8191] = 'x'};
	struct peer *peer = arg;

	while (!peer->stop &&
	       send(peer->fd, text, sizeof(text), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void go_on(struct peer *peer, void *(*serve)(void *), int error)
{
	assert_int_equal(pthread_create(&peer->thread, NULL, serve, peer), 0);
	fails(peer, error);
	peer->stop = true;
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
}

/* Each byte comes soon behind the one before: the call has an end all the
 * same. */
static void a_server_that_drips(void **state)
{
	struct peer *peer = *state;

	peer->client.limit_ms = 4 * SOON_MS;
	go_on(peer, drip, -ETIMEDOUT);
}

static void a_head_without_an_end(void **state)
{
	go_on(*state, flood, -EMSGSIZE);
}

static void a_body_without_an_end(void **state)
{
	struct peer *peer = *state;

	say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
	go_on(peer, flood, -EBADMSG); /* more than was promised */
}

static void *serve_the_largest(void *arg)
{
	static char body[API_CLIENT_BODY_MAX];
	struct peer *peer = arg;
	char head[64];

	(void)memset(body, '7', sizeof(body));
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		       sizeof(body));
	say(peer, head);
	return fd_write_full(peer->fd, body, sizeof(body)) < 0 ? peer : NULL;
}

static void the_largest_answer(void **state)
{
	struct peer *peer = *state;
	struct api_answer answer;
	void *failed;

	assert_int_equal(
		pthread_create(&peer->thread, NULL, serve_the_largest, peer),
		0);
	assert_int_equal(ask(peer, &answer), 0);
	assert_int_equal(pthread_join(peer->thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(answer.len, API_CLIENT_BODY_MAX);
	assert_true(answer.body[0] == '7' &&
		    answer.body[API_CLIENT_BODY_MAX - 1] == '7');
	api_answer_free(&answer);
}

static void *byte_by_byte(void *arg)
{
	struct peer *peer = arg;

	for (const char *p = GOOD; *p; p++) {
		(void)!write(peer->fd, p, 1);
		(void)sched_yield();
	}
	return NULL;
}

static void an_answer_in_pieces(void **state)
{
	struct peer *peer = *state;
	struct api_answer answer;

	assert_int_equal(
		pthread_create(&peer->thread, NULL, byte_by_byte, peer), 0);
	assert_int_equal(ask(peer, &answer), 0);
	assert_int_equal(pthread_join(peer->thread, NULL), 0);
	assert_memory_equal(answer.body, "true", 4);
	api_answer_free(&answer);
}

/* ---- a client that waits ---- */

static void answer_now(struct api_client *client, unsigned int seconds)
{
	struct peer *peer = container_of(client, struct peer, client);

	assert_int_equal(seconds, 1);
	say(peer, GOOD);
}

static void a_client_that_waits(void **state)
{
	struct peer *peer = *state;
	struct api_answer answer;

	peer->client.limit_ms = 1; /* has no meaning then */
	peer->client.waiting = answer_now;
	assert_int_equal(ask(peer, &answer), 0);
	assert_int_equal(peer->client.seconds, 1);
	api_answer_free(&answer);
}

/* ---- sockets ---- */

static void sockets(void **state)
{
	char dir[] = "/tmp/volt-client-XXXXXX", path[64];
	struct api_client client;
	int listener;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(api_client_open(&client, path), -ENOENT);
	assert_int_equal(client.fd, -1);
	assert_int_equal(api_client_open(&client, ""), -EINVAL);
	listener = unix_listen(path, 1);
	assert_true(listener >= 0);
	assert_int_equal(api_client_open(&client, path), 0);
	assert_int_equal(client.pid, getpid());
	assert_true(fcntl(client.fd, F_GETFD) & FD_CLOEXEC);
	api_client_close(&client);
	api_client_close(&client);
	fd_close(&listener);
	assert_int_equal(api_client_open(&client, path), -ECONNREFUSED);
	assert_int_equal(client.fd, -1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

#define WITH_PEER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PEER(a_request_and_its_answer),
		WITH_PEER(bytes_before_the_second_request),
		WITH_PEER(bad_answers),
		WITH_PEER(an_answer_before_the_request),
		WITH_PEER(a_server_that_says_nothing),
		WITH_PEER(a_server_that_stops_in_the_middle),
		WITH_PEER(a_server_that_does_not_read),
		WITH_PEER(a_server_that_drips),
		WITH_PEER(a_head_without_an_end),
		WITH_PEER(a_body_without_an_end),
		WITH_PEER(the_largest_answer),
		WITH_PEER(an_answer_in_pieces),
		WITH_PEER(a_client_that_waits),
		cmocka_unit_test(sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
