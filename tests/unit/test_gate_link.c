// SPDX-License-Identifier: Apache-2.0
/*
 * test_gate_link.c - a request that comes while the guest process makes a call,
 * and what is counted of the gate
 *
 * A VM that starts by a file calls the gate before its loop runs; clients may
 * be there already.
 */
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "gate/link.h"

#define REQUEST "GET / HTTP/1.1\r\n\r\n"

struct world {
	struct loop loop;
	struct gate_link link;
	int gate; /* the other end */
	unsigned int requests;
};

static void on_request(void *ctx, const char *raw, size_t len)
{
	struct world *w = ctx;
	struct buf body = {0};

	assert_int_equal(len, strlen(REQUEST));
	assert_memory_equal(raw, REQUEST, len);
	w->requests++;
	gate_link_answer(&w->link, 204, false, &body);
}

static void on_gone(void *ctx)
{
	(void)ctx;
	fail_msg("the gate is there");
}

static const struct gate_link_ops ops = {
	.request = on_request,
	.gone = on_gone,
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int ends[2];

	assert_non_null(w);
	assert_int_equal(loop_init(&w->loop), 0);
	assert_int_equal(wire_pair(ends), 0);
	w->gate = ends[1];
	assert_int_equal(
		gate_link_open(&w->link, &w->loop, ends[0], KIB(1), &ops, w),
		0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fd_close(&w->gate);
	gate_link_close(&w->link);
	loop_fini(&w->loop);
	free(w);
	return 0;
}

static void ask(const struct world *w, uint32_t serial)
{
	const struct wire_message m = {
		.kind = WIRE_REQUEST,
		.serial = serial,
		.total = strlen(REQUEST),
	};

	assert_int_equal(
		wire_send(w->gate, &m, REQUEST, strlen(REQUEST), NULL, 0), 0);
}

static void a_call_does_not_carry_out_requests(void **state)
{
	struct world *w = *state;
	const struct wire_message done = {.kind = WIRE_DONE, .serial = 1};
	struct wire_in *reply;
	struct err err;

	ask(w, 1);
	assert_int_equal(wire_send(w->gate, &done, NULL, 0, NULL, 0), 0);
	assert_int_equal(
		gate_link_call(&w->link, WIRE_LOCKED, 0, NULL, 0, &reply, &err),
		0);
	assert_int_equal(w->requests, 0);
	assert_false(w->link.in_progress);
	assert_int_equal(loop_step(&w->loop, 1000), 0);
	assert_int_equal(w->requests, 1);
}

static void it_is_carried_out_once(void **state)
{
	struct world *w = *state;

	a_call_does_not_carry_out_requests(state);
	ask(w, 2);
	assert_int_equal(loop_step(&w->loop, 1000), 0);
	assert_int_equal(w->requests, 2);
}

/* ---- what is counted ---- */

static void answer(const struct world *w, enum wire_kind kind, uint32_t serial,
		   int rc)
{
	const struct wire_message m = {
		.kind = kind,
		.serial = serial,
		.rc = rc,
	};

	assert_int_equal(wire_send(w->gate, &m, NULL, 0, NULL, 0), 0);
}

static void opens_are_counted(void **state)
{
	struct world *w = *state;
	const struct gate_counters *c = &w->link.counters;
	struct wire_in *reply;
	struct err err;

	answer(w, WIRE_DESCRIPTOR, 1, 0);
	answer(w, WIRE_DESCRIPTOR, 2, -EACCES);
	answer(w, WIRE_DONE, 3, -EIO);
	assert_int_equal(
		gate_link_call(&w->link, WIRE_NEED, 0, NULL, 0, &reply, &err),
		0);
	assert_int_equal(
		gate_link_call(&w->link, WIRE_NEED, 0, NULL, 0, &reply, &err),
		-EACCES);
	assert_int_equal(
		gate_link_call(&w->link, WIRE_SAVED, 0, NULL, 0, &reply, &err),
		-EIO);
	assert_int_equal(metric_read(&c->opens_count), 1);
	assert_int_equal(metric_read(&c->open_fails), 1);
	assert_int_equal(metric_read(&c->timeouts_count), 0);
}

static void *answer_late(void *arg)
{
	(void)usleep(20000);
	answer(arg, WIRE_DONE, 1, 0);
	return NULL;
}

/* A gate that is slow, and one that is stopped. */
static void waiting_is_counted(void **state)
{
	struct world *w = *state;
	const struct gate_counters *c = &w->link.counters;
	struct wire_in *reply;
	pthread_t gate;
	struct err err;

	assert_int_equal(pthread_create(&gate, NULL, answer_late, w), 0);
	assert_int_equal(
		gate_link_call(&w->link, WIRE_LOCKED, 0, NULL, 0, &reply, &err),
		0);
	assert_int_equal(pthread_join(gate, NULL), 0);
	assert_true(metric_read(&c->wait_agg.max_us) > 0);
	assert_int_equal(metric_read(&c->timeouts_count), 0);
	assert_int_equal(gate_link_dial(&w->link, 5), 0);
	assert_int_equal(metric_read(&c->dials_count), 1);
	assert_int_equal(metric_read(&c->dialed_count), 0);
}

/* A gate that is stopped: who asks gives up, and what it says in the end is
 * not taken for the answer to another question. */
static void a_gate_that_does_not_answer(void **state)
{
	struct world *w = *state;
	const struct gate_counters *c = &w->link.counters;
	struct wire_in *reply;
	struct err err;

	w->link.call_ms = 10;
	assert_int_equal(
		gate_link_call(&w->link, WIRE_NEED, 0, NULL, 0, &reply, &err),
		-ETIMEDOUT);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(metric_read(&c->timeouts_count), 1);
	assert_true(metric_read(&c->wait_agg.max_us) >= 10000);
	assert_int_equal(metric_read(&c->opens_count), 0);
	answer(w, WIRE_DESCRIPTOR, 1, 0);
	answer(w, WIRE_DESCRIPTOR, 2, -EACCES);
	w->link.call_ms = GATE_CALL_MS;
	assert_int_equal(
		gate_link_call(&w->link, WIRE_NEED, 0, NULL, 0, &reply, &err),
		-EACCES);
	assert_int_equal(metric_read(&c->timeouts_count), 1);
	assert_int_equal(metric_read(&c->opens_count), 0);
	assert_int_equal(metric_read(&c->open_fails), 1);
}

/* Return: how often the gate was asked for something since. */
static unsigned int asked(const struct world *w)
{
	struct wire_in *in = calloc(1, sizeof(*in));
	unsigned int nr = 0;

	assert_non_null(in);
	while (wire_recv(w->gate, WIRE_GUEST, in) == 0) {
		assert_int_equal(in->m.kind, WIRE_NEED);
		nr++;
	}
	free(in);
	return nr;
}

static int need(struct world *w, uint32_t value)
{
	struct wire_in *reply;
	struct err err;

	return gate_link_call(&w->link, WIRE_NEED, value, NULL, 0, &reply,
			      &err);
}

/* What was sent ahead is not sent again. Who then asks for something else gets
 * that, and not what comes for the rest. */
static void what_is_sent_ahead(void **state)
{
	static const uint32_t values[] = {5, 6, 7, 8};
	struct world *w = *state;

	gate_link_ahead(&w->link, values, ARRAY_SIZE(values));
	assert_int_equal(asked(w), ARRAY_SIZE(values));
	answer(w, WIRE_DESCRIPTOR, 1, 0);
	answer(w, WIRE_DESCRIPTOR, 2, -EACCES);
	assert_int_equal(need(w, 5), 0);
	assert_int_equal(need(w, 6), -EACCES);
	assert_int_equal(asked(w), 0);
	answer(w, WIRE_DESCRIPTOR, 3, 0);
	answer(w, WIRE_DESCRIPTOR, 4, 0);
	answer(w, WIRE_DESCRIPTOR, 5, -EIO);
	assert_int_equal(need(w, 8), -EIO);
	assert_int_equal(asked(w), 1);
	answer(w, WIRE_DESCRIPTOR, 6, 0);
	assert_int_equal(need(w, 8), 0);
	assert_int_equal(asked(w), 1);
	assert_int_equal(metric_read(&w->link.counters.opens_count), 2);
}

/* More than there is room for: they are asked for in their turn. */
static void too_much_is_sent_ahead(void **state)
{
	uint32_t values[GATE_AHEAD_MAX + 1];
	struct world *w = *state;

	for (uint32_t i = 0; i < ARRAY_SIZE(values); i++) {
		values[i] = i;
		answer(w, WIRE_DESCRIPTOR, i + 1, 0);
	}
	gate_link_ahead(&w->link, values, ARRAY_SIZE(values));
	assert_int_equal(asked(w), GATE_AHEAD_MAX);
	for (uint32_t i = 0; i < ARRAY_SIZE(values); i++)
		assert_int_equal(need(w, i), 0);
	assert_int_equal(asked(w), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_call_does_not_carry_out_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_carried_out_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(opens_are_counted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(waiting_is_counted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_gate_that_does_not_answer,
						setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_sent_ahead, setup,
						teardown),
		cmocka_unit_test_setup_teardown(too_much_is_sent_ahead, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
