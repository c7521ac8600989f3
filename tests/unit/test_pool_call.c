// SPDX-License-Identifier: Apache-2.0
/*
 * test_pool_call.c - requests that follow one another, and how their answers
 * come
 */
#include "unit.h"

#include "pool/call.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOTHING "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n"
#define TRUE    "HTTP/1.1 200 \r\nContent-Length: 4\r\n\r\ntrue"
#define REFUSED "HTTP/1.1 400 \r\nContent-Length: 2\r\n\r\nno"

/**
 * struct line - a call, and its VM's end
 * @told:	how often; @status and @body as of the last time
 */
struct line {
	struct loop loop;
	struct call call;
	int vm;
	unsigned int told;
	int status;
	char body[16];
};

static void line_done(struct call *call, int status, const char *body,
		      size_t len)
{
	struct line *l = container_of(call, struct line, call);

	l->told++;
	l->status = status;
	memcpy(l->body, body ? body : "", len);
	l->body[len] = '\0';
}

static void line_open(struct line *l)
{
	int ends[2];

	memset(l, 0, sizeof(*l));
	assert_int_equal(loop_init(&l->loop), 0);
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				    0, ends),
			 0);
	call_init(&l->call, &l->loop, line_done);
	l->call.src.fd = ends[0];
	assert_int_equal(loop_add(&l->loop, &l->call.src), 0);
	l->vm = ends[1];
}

static void line_close(struct line *l)
{
	call_close(&l->call);
	loop_fini(&l->loop);
	(void)close(l->vm);
}

static void line_ask(struct line *l, const char *path)
{
	struct buf target = {0}, none = {0};

	buf_add_str(&target, path);
	assert_int_equal(call_start(&l->call, "PUT", &target, &none, 60000), 0);
	buf_free(&target);
}

/* Nothing is sent before the second one. */
static void line_ask_two(struct line *l)
{
	struct buf target = {0}, none = {0};
	char byte;

	buf_add_str(&target, "/first");
	assert_int_equal(call_add(&l->call, "PUT", &target, &none), 0);
	assert_int_equal(read(l->vm, &byte, 1), -1);
	buf_free(&target);
	line_ask(l, "/second");
}

static void line_answer(struct line *l, const char *text, size_t len)
{
	assert_int_equal(write(l->vm, text, len), len);
	assert_true(loop_step(&l->loop, 0) >= 0);
}

/* Wherever the second piece begins. */
static void two_answers(void **state)
{
	static const char both[] = NOTHING TRUE;
	size_t len = strlen(both);
	char text[512];
	struct line l;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		ssize_t n;

		line_open(&l);
		line_ask_two(&l);
		n = read(l.vm, text, sizeof(text) - 1);
		assert_true(n > 0);
		text[n] = '\0';
		assert_ptr_equal(strstr(text, "PUT /first"), text);
		assert_non_null(strstr(text, "\r\n\r\nPUT /second"));
		if (cut > 0)
			line_answer(&l, both, cut);
		assert_int_equal(l.told, cut == len);
		if (cut < len)
			line_answer(&l, both + cut, len - cut);
		assert_int_equal(l.told, 1);
		assert_int_equal(l.status, 200);
		assert_string_equal(l.body, "true");
		/* The connection is as good as before. */
		line_ask(&l, "/third");
		line_answer(&l, NOTHING, strlen(NOTHING));
		assert_int_equal(l.told, 2);
		assert_int_equal(l.status, 204);
		line_close(&l);
	}
}

/* It is told, and what comes for those behind it to nobody. */
static void first_is_refused(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	line_ask_two(&l);
	line_answer(&l, REFUSED TRUE, strlen(REFUSED TRUE));
	assert_int_equal(l.told, 1);
	assert_int_equal(l.status, 400);
	assert_string_equal(l.body, "no");
	assert_int_equal(l.call.src.fd, -1);
	line_close(&l);
}

static void more_than_was_asked(void **state)
{
	struct line l;

	(void)state;
	line_open(&l);
	line_ask_two(&l);
	line_answer(&l, NOTHING TRUE "!", strlen(NOTHING TRUE "!"));
	assert_int_equal(l.told, 1);
	assert_int_equal(l.status, -EBADMSG);
	assert_int_equal(l.call.src.fd, -1);
	line_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_answers),
		cmocka_unit_test(first_is_refused),
		cmocka_unit_test(more_than_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
