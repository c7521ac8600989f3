// SPDX-License-Identifier: Apache-2.0
/*
 * test_gate_server.c - connections whose answers come later
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "gate/server.h"
#include "host/unix.h"

#define REQUEST "PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n"
#define OTHER   "GET /b HTTP/1.1\r\n\r\n"
#define CLIENTS 10
#define ROUNDS  64

/**
 * struct world - a server, and who carries out its requests
 * @asked:	how many requests were asked for
 * @raw:	the last of them
 */
struct world {
	char dir[32];
	char path[64];
	struct loop loop;
	struct server *server;
	unsigned int asked;
	char raw[256];
	unsigned int notes[SERVER_NR_NOTES];
};

static void ask(void *ctx, const char *raw, size_t len)
{
	struct world *w = ctx;

	assert_true(len < sizeof(w->raw));
	memcpy(w->raw, raw, len);
	w->raw[len] = '\0';
	w->asked++;
}

static void note(void *ctx, enum server_note note, int rc, const char *text)
{
	struct world *w = ctx;

	(void)rc;
	(void)text;
	w->notes[note]++;
}

static const struct server_ops ops = {.ask = ask, .note = note};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/volt-server-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	(void)snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	assert_int_equal(loop_init(&w->loop), 0);
	assert_int_equal(server_new(&w->server, &w->loop,
				    unix_listen(w->path, 32), 100, &ops, w),
			 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	server_free(w->server);
	loop_fini(&w->loop);
	(void)unlink(w->path);
	(void)rmdir(w->dir);
	free(w);
	return 0;
}

/* All that can happen by itself has happened. */
static void run(struct world *w)
{
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(loop_step(&w->loop, 0), 0);
}

static int client(struct world *w, const char *text)
{
	int fd = unix_connect(w->path, UNIX_WAIT);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL),
			 (ssize_t)strlen(text));
	run(w);
	return fd;
}

static void answer(struct world *w, const char *body)
{
	const struct server_answer a = {
		.status = 200,
		.body = body,
		.len = strlen(body),
	};

	server_answer(w->server, &a);
	run(w);
}

/* How many answers with @body are there to be read? */
static void expect_bodies(int fd, const char *bodies)
{
	char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	char *at = text;

	if (*bodies == '\0') {
		assert_true(n < 0 && errno == EAGAIN);
		return;
	}
	assert_true(n > 0);
	text[n] = '\0';
	for (; *bodies; bodies++) {
		at = strstr(at, "\r\n\r\n");
		assert_non_null(at);
		at += 4;
		assert_int_equal(*at, *bodies);
	}
	assert_null(strstr(at, "\r\n\r\n"));
}

static void a_client_waits_for_its_answer(void **state)
{
	struct world *w = *state;
	int fd = client(w, REQUEST "x");

	assert_int_equal(w->asked, 1);
	assert_string_equal(w->raw, REQUEST "x");
	expect_bodies(fd, "");
	answer(w, "1");
	expect_bodies(fd, "1");
	fd_close(&fd);
}

static void one_request_at_a_time_in_the_order_they_came(void **state)
{
	struct world *w = *state;
	int a = client(w, REQUEST "a");
	int b = client(w, OTHER REQUEST "b");
	int c = client(w, REQUEST "c");

	assert_int_equal(w->asked, 1);
	answer(w, "1");
	assert_int_equal(w->asked, 2);
	assert_string_equal(w->raw, OTHER);
	expect_bodies(a, "1");
	expect_bodies(b, "");
	answer(w, "2");
	/* The second one of b waits behind c. */
	assert_string_equal(w->raw, REQUEST "c");
	answer(w, "3");
	assert_string_equal(w->raw, REQUEST "b");
	answer(w, "4");
	assert_int_equal(w->asked, 4);
	expect_bodies(b, "24");
	expect_bodies(c, "3");
	fd_close(&a);
	fd_close(&b);
	fd_close(&c);
}

/* Who hangs up has asked; what it asked for is done, and the place is free. */
static void who_hangs_up_has_asked(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 3 * CLIENTS; i++) {
		int first = client(w, REQUEST "a");
		int second = client(w, REQUEST "b");

		fd_close(&first);
		fd_close(&second);
		run(w);
		answer(w, "1");
		assert_string_equal(w->raw, REQUEST "b");
		answer(w, "2");
	}
	assert_int_equal(w->asked, 6 * CLIENTS);
	assert_int_equal(w->notes[SERVER_FULL], 0);
}

static void who_will_send_no_more_gets_its_answer(void **state)
{
	struct world *w = *state;
	int fd = client(w, OTHER);

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	run(w);
	answer(w, "1");
	expect_bodies(fd, "1");
	assert_int_equal(recv(fd, w->raw, 1, MSG_DONTWAIT), 0);
	fd_close(&fd);
}

/* Bytes that come meanwhile are read behind the answer. */
static void what_comes_meanwhile_is_read_afterwards(void **state)
{
	struct world *w = *state;
	int fd = client(w, OTHER);

	assert_int_equal(send(fd, REQUEST, strlen(REQUEST), 0),
			 (ssize_t)strlen(REQUEST));
	run(w);
	answer(w, "1");
	assert_int_equal(w->asked, 1);
	assert_int_equal(send(fd, "y", 1, 0), 1);
	run(w);
	assert_string_equal(w->raw, REQUEST "y");
	answer(w, "2");
	expect_bodies(fd, "12");
	fd_close(&fd);
}

/* While a request is in progress nobody is turned away. */
static void a_full_server_that_is_busy_lets_others_wait(void **state)
{
	struct world *w = *state;
	int fd[CLIENTS + 1];

	for (int i = 0; i <= CLIENTS; i++)
		fd[i] = client(w, OTHER);
	assert_int_equal(w->notes[SERVER_FULL], 0);
	for (int i = 0; i <= CLIENTS; i++) {
		assert_int_equal(w->asked, i + 1);
		answer(w, "1");
		expect_bodies(fd[i], "1");
		fd_close(&fd[i]);
		run(w);
	}
	assert_int_equal(w->notes[SERVER_FULL], 0);
}

static void a_full_server_that_is_idle_says_so(void **state)
{
	struct world *w = *state;
	int fd[CLIENTS + 1];
	char text[64] = "";

	for (int i = 0; i <= CLIENTS; i++)
		fd[i] = client(w, "GET ");
	assert_int_equal(w->notes[SERVER_FULL], 1);
	assert_true(recv(fd[CLIENTS], text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(strncmp(text, "HTTP/1.1 503", 12), 0);
	for (int i = 0; i <= CLIENTS; i++)
		fd_close(&fd[i]);
}

/* Status 0: there was no memory for an answer. */
static void no_answer_is_a_hang_up(void **state)
{
	const struct server_answer none = {.status = 0};
	struct world *w = *state;
	int fd = client(w, OTHER);
	char c;

	server_answer(w->server, &none);
	run(w);
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	fd_close(&fd);
	fd = client(w, OTHER);
	assert_int_equal(w->asked, 2);
	fd_close(&fd);
}

static void malformed_behind_a_request_drops_both(void **state)
{
	struct world *w = *state;
	int fd = client(w, OTHER "nonsense\r\n\r\n");

	assert_int_equal(w->asked, 0);
	assert_int_equal(w->notes[SERVER_MALFORMED], 1);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_client_waits_for_its_answer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_request_at_a_time_in_the_order_they_came, setup,
			teardown),
		cmocka_unit_test_setup_teardown(who_hangs_up_has_asked, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			who_will_send_no_more_gets_its_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_comes_meanwhile_is_read_afterwards, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_full_server_that_is_busy_lets_others_wait, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_full_server_that_is_idle_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(no_answer_is_a_hang_up, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			malformed_behind_a_request_drops_both, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
