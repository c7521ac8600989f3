// SPDX-License-Identifier: Apache-2.0
/*
 * test_wire.c - messages between the two halves of the process, and what is
 * none
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "gate/wire.h"

struct world {
	int ends[2];
	struct wire_in in;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(wire_pair(w->ends), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	fd_close(&w->ends[0]);
	fd_close(&w->ends[1]);
	free(w);
	return 0;
}

/* Which descriptor the next one will be: none was lost meanwhile. */
static int next_fd(void)
{
	int fd = dup(0);

	(void)close(fd);
	return fd;
}

static void send_raw(const struct world *w, const void *data, size_t len)
{
	assert_int_equal(send(w->ends[0], data, len, 0), (ssize_t)len);
}

static void a_message_arrives_as_it_was_sent(void **state)
{
	struct world *w = *state;
	const struct wire_message m = {
		.kind = WIRE_DONE,
		.serial = 7,
		.rc = -ENOSPC,
	};

	assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in), -EAGAIN);
	assert_int_equal(wire_send(w->ends[0], &m, "why", 3, NULL, 0), 0);
	assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in), 0);
	assert_memory_equal(&w->in.m, &m, sizeof(m));
	assert_int_equal(w->in.len, 3);
	assert_memory_equal(w->in.tail, "why", 3);
	fd_close(&w->ends[0]);
	assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in), -EPIPE);
	assert_int_equal(wire_send(w->ends[1], &m, NULL, 0, NULL, 0), -EPIPE);
}

static void each_kind_is_of_one_side(void **state)
{
	struct world *w = *state;

	for (uint32_t kind = 0; kind < 2 * WIRE_NR_KINDS; kind++) {
		const struct wire_message m = {.kind = kind};
		bool gate = kind >= WIRE_REQUEST && kind <= WIRE_NOTE;
		bool guest = kind >= WIRE_HANDOVER && kind < WIRE_NR_KINDS;

		assert_int_equal(wire_send(w->ends[0], &m, NULL, 0, NULL, 0),
				 0);
		assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in),
				 gate ? 0 : -EPROTO);
		assert_int_equal(wire_send(w->ends[0], &m, NULL, 0, NULL, 0),
				 0);
		assert_int_equal(wire_recv(w->ends[1], WIRE_GUEST, &w->in),
				 guest ? 0 : -EPROTO);
	}
}

/* What a kind does not use is zero. */
static void what_is_not_used_is_refused(void **state)
{
	static const struct wire_message bad[] = {
		{.kind = WIRE_NEED, .serial = 1, .rc = -1},
		{.kind = WIRE_NEED, .serial = 1, .total = 1},
		{.kind = WIRE_NEED, .serial = 1, .at = 1},
		{.kind = WIRE_LOCKED, .rc = -1},
		{.kind = WIRE_LOCKED, .at = 1},
		{.kind = WIRE_DIAL, .total = 1ull << 63},
		{.kind = WIRE_ANSWER, .rc = -1},
		{.kind = WIRE_SAVED, .value = 1},
		{.kind = WIRE_ABORTED, .serial = 1},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			wire_send(w->ends[0], &bad[i], NULL, 0, NULL, 0), 0);
		assert_int_equal(wire_recv(w->ends[1], WIRE_GUEST, &w->in),
				 -EPROTO);
	}
}

static void every_wrong_length_is_refused(void **state)
{
	static char zeros[sizeof(struct wire_message) + WIRE_PIECE + 1];
	const struct wire_message locked = {.kind = WIRE_LOCKED};
	struct world *w = *state;

	memcpy(zeros, &locked, sizeof(locked));
	for (size_t len = 1; len < 200; len++) {
		send_raw(w, zeros, len);
		assert_int_equal(wire_recv(w->ends[1], WIRE_GUEST, &w->in),
				 len == sizeof(locked) ? 0 : -EPROTO);
	}
	send_raw(w, zeros, sizeof(zeros));
	assert_int_equal(wire_recv(w->ends[1], WIRE_GUEST, &w->in), -EPROTO);
}

static void an_errno_is_one(void **state)
{
	static const int32_t bad[] = {1, 4096, -4096, INT32_MIN, INT32_MAX};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct wire_message m = {.kind = WIRE_DIALED,
					       .rc = bad[i]};

		assert_int_equal(wire_send(w->ends[0], &m, NULL, 0, NULL, 0),
				 0);
		assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in),
				 -EPROTO);
	}
}

static void descriptors_go_one_way(void **state)
{
	struct world *w = *state;
	const int fds[WIRE_FDS_MAX + 1] = {0, 0, 0, 0};
	int first = next_fd();

	for (uint32_t kind = WIRE_REQUEST; kind < WIRE_NR_KINDS; kind++) {
		for (unsigned int nr = 1; nr <= WIRE_FDS_MAX + 1; nr++) {
			const struct wire_message m = {.kind = kind};
			enum wire_side from =
				kind <= WIRE_NOTE ? WIRE_GATE : WIRE_GUEST;
			unsigned int max = kind == WIRE_DESCRIPTOR
						   ? WIRE_FDS_MAX
					   : kind == WIRE_DIALED ? 1
								 : 0;

			assert_int_equal(
				wire_send(w->ends[0], &m, NULL, 0, fds, nr), 0);
			assert_int_equal(wire_recv(w->ends[1], from, &w->in),
					 nr <= max ? 0 : -EPROTO);
			if (nr <= max) {
				assert_int_equal(w->in.nr_fds, nr);
				assert_int_equal(fcntl(w->in.fd[0], F_GETFD),
						 FD_CLOEXEC);
				wire_in_drop(&w->in);
			}
			assert_int_equal(next_fd(), first);
		}
	}
}

/* A failure brings no descriptor. */
static void a_failure_with_a_descriptor_is_refused(void **state)
{
	const struct wire_message m = {.kind = WIRE_DIALED, .rc = -ENOENT};
	struct world *w = *state;
	int first = next_fd();
	const int fd = 0;

	assert_int_equal(wire_send(w->ends[0], &m, NULL, 0, &fd, 1), 0);
	assert_int_equal(wire_recv(w->ends[1], WIRE_GATE, &w->in), -EPROTO);
	assert_int_equal(next_fd(), first);
}

/* ---- texts in pieces ---- */

static void texts_of_all_lengths_arrive(void **state)
{
	static const size_t lens[] = {
		0,
		1,
		WIRE_PIECE - 1,
		WIRE_PIECE,
		WIRE_PIECE + 1,
		3 * WIRE_PIECE,
		40 * WIRE_PIECE + 5, /* more than the wire holds at once */
	};
	const struct wire_message m = {.kind = WIRE_ANSWER, .value = 200};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		char *data = malloc(lens[i] + 1);
		struct wire_join join = {0};
		struct wire_text text = {0};
		int sent, came = 0;

		assert_non_null(data);
		for (size_t k = 0; k < lens[i]; k++)
			data[k] = (char)(k * 31 + k / 251);
		wire_text_begin(&text, &m, data, lens[i]);
		do {
			sent = wire_text_send(w->ends[0], &text);
			assert_true(sent == 0 || sent == -EAGAIN);
			while (wire_recv(w->ends[1], WIRE_GUEST, &w->in) == 0)
				came = wire_join_add(&join, &w->in, lens[i]);
		} while (sent == -EAGAIN);
		assert_int_equal(came, 1);
		assert_int_equal(join.text.len, lens[i]);
		if (lens[i] > 0)
			assert_memory_equal(join.text.data, data, lens[i]);
		wire_join_free(&join);
		free(data);
	}
}

static void set_piece(struct wire_in *in, uint64_t total, uint64_t at,
		      size_t len)
{
	in->m = (struct wire_message){
		.kind = WIRE_ANSWER,
		.serial = 1,
		.value = 200,
		.total = total,
		.at = at,
	};
	in->len = len;
}

/* Each as the first piece, then behind one good piece of three. */
static void pieces_that_do_not_fit_are_refused(void **state)
{
	const uint64_t p = WIRE_PIECE;
	const struct {
		uint64_t total, at;
		size_t len;
	} bad[] = {
		{3 * p, p, p - 1},      /* not full */
		{3 * p, p, 0},          /* a flood of nothing */
		{3 * p, p + 1, p},      /* a gap */
		{3 * p, 2 * p, p},      /* the last before the second */
		{3 * p + 1, p, p},      /* another length */
		{3 * p, UINT64_MAX, p}, /* far away */
		{UINT64_MAX, p, p},     /* without end */
		{0, p, p},              /* behind the end */
		{p, 2 * p, 0},          /* the same */
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct wire_join join = {0};

		set_piece(&w->in, bad[i].total, bad[i].at, bad[i].len);
		assert_int_equal(wire_join_add(&join, &w->in, 8 * p), -EPROTO);
		set_piece(&w->in, 3 * p, 0, p);
		assert_int_equal(wire_join_add(&join, &w->in, 8 * p), 0);
		set_piece(&w->in, bad[i].total, bad[i].at, bad[i].len);
		assert_int_equal(wire_join_add(&join, &w->in, 8 * p), -EPROTO);
		wire_join_free(&join);
	}
}

static void a_text_keeps_its_head(void **state)
{
	struct world *w = *state;
	struct wire_join join = {0};

	set_piece(&w->in, 2 * WIRE_PIECE, 0, WIRE_PIECE);
	assert_int_equal(wire_join_add(&join, &w->in, 2 * WIRE_PIECE), 0);
	set_piece(&w->in, 2 * WIRE_PIECE, WIRE_PIECE, WIRE_PIECE);
	w->in.m.value = 400;
	assert_int_equal(wire_join_add(&join, &w->in, 2 * WIRE_PIECE), -EPROTO);
	w->in.m.value = 200;
	w->in.m.serial = 2;
	assert_int_equal(wire_join_add(&join, &w->in, 2 * WIRE_PIECE), -EPROTO);
	w->in.m.serial = 1;
	assert_int_equal(wire_join_add(&join, &w->in, 2 * WIRE_PIECE), 1);
	wire_join_reset(&join);
	assert_null(join.text.data); /* it was large */
	set_piece(&w->in, 3, 0, 3);
	assert_int_equal(wire_join_add(&join, &w->in, 2), -EPROTO);
	assert_int_equal(wire_join_add(&join, &w->in, 3), 1);
	wire_join_free(&join);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_message_arrives_as_it_was_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(each_kind_is_of_one_side, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_not_used_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(every_wrong_length_is_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_errno_is_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(descriptors_go_one_way, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_failure_with_a_descriptor_is_refused, setup,
			teardown),
		cmocka_unit_test_setup_teardown(texts_of_all_lengths_arrive,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			pieces_that_do_not_fit_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_text_keeps_its_head, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
