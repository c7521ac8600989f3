// SPDX-License-Identifier: Apache-2.0
/*
 * test_gate.c - the gate as a guest process sees it that does what it likes
 *
 * Each test forks a real gate and has the guest process's end of the wire. A
 * gate that is sent what may not be sent ends; one that is asked for what no
 * client named says no.
 */
#include "gate_world.h"

/* ---- what ends it ---- */

static const struct {
	enum wire_kind kind;
	uint32_t serial;
	uint32_t value;
	size_t len;
} unexpected[] = {
	/* kinds of its own side */
	{WIRE_REQUEST, 1, 0, 0},
	{WIRE_DESCRIPTOR, 1, 0, 0},
	{WIRE_DONE, 1, 0, 0},
	{WIRE_DIALED, 0, 1, 0},
	{WIRE_NOTE, 0, 1, 0},
	{WIRE_NR_KINDS, 0, 0, 0},
	/* no request is in progress */
	{WIRE_ANSWER, 0, 204, 0},
	{WIRE_ANSWER, 1, 204, 0},
	{WIRE_NEED, 1, PATH_DISK, 0},
	{WIRE_NEED, 1, PATH_PLACE, 0},
	/* nothing was begun */
	{WIRE_SAVED, 1, 0, sizeof(struct save_done)},
	{WIRE_ABORTED, 0, 0, 0},
	/* what is none */
	{WIRE_HANDOVER, 0, 0, 0},
	{WIRE_HANDOVER, 0, 99, 0},
	{WIRE_HANDOVER, 0, WIRE_VSOCK, 0},
	{WIRE_HANDOVER, 0, WIRE_VSOCK, sizeof(struct wire_vsock)},
	{WIRE_HANDOVER, 0, WIRE_VSOCK, sizeof(struct wire_vsock) + 2},
	{WIRE_HANDOVER, 0, WIRE_SAVES, sizeof(struct save_base) - 1},
	{WIRE_HANDOVER, 0, WIRE_SAVES, sizeof(struct save_base) + 1},
};

static const char zeros[WIRE_PIECE];

static void what_may_not_come_ends_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unexpected); i++) {
		struct world *w;

		assert_int_equal(setup((void **)&w), 0);
		tell(w, unexpected[i].kind, unexpected[i].serial,
		     unexpected[i].value, zeros, unexpected[i].len);
		expect_end(w);
		teardown((void **)&w);
	}
}

static void the_same_after_the_lock(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unexpected); i++) {
		struct world *w;

		assert_int_equal(setup((void **)&w), 0);
		lock(w);
		tell(w, unexpected[i].kind, unexpected[i].serial,
		     unexpected[i].value, zeros, unexpected[i].len);
		expect_end(w);
		teardown((void **)&w);
	}
}

static void a_handover_after_the_lock_ends_it(void **state)
{
	struct world *w = *state;

	lock(w);
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE, "c", 1);
	expect_end(w);
}

static void a_second_lock_ends_it(void **state)
{
	struct world *w = *state;

	lock(w);
	tell(w, WIRE_LOCKED, 0, 0, NULL, 0);
	expect_end(w);
}

static void a_dial_before_the_lock_ends_it(void **state)
{
	struct world *w = *state;

	tell(w, WIRE_DIAL, 0, 1, NULL, 0);
	expect_end(w);
}

static void a_need_before_the_lock_ends_it(void **state)
{
	struct world *w = *state;

	ask(w, PATCH);
	tell(w, WIRE_NEED, 1, PATH_DISK, NULL, 0);
	expect_end(w);
}

static void descriptors_end_it(void **state)
{
	const struct wire_message m = {.kind = WIRE_LOCKED};
	struct world *w = *state;
	const int fd = 0;

	assert_int_equal(wire_send(w->sock, &m, NULL, 0, &fd, 1), 0);
	expect_end(w);
}

static void half_a_message_ends_it(void **state)
{
	struct world *w = *state;

	assert_int_equal(send(w->sock, zeros, 31, 0), 31);
	expect_end(w);
}

/* Wrong answers to a request that is in progress. */
static void answers_that_are_none_end_it(void **state)
{
	const struct {
		uint32_t serial, value;
		uint64_t total, at;
		size_t len;
	} bad[] = {
		{0, 204, 0, 0, 0},                       /* to another one */
		{2, 204, 0, 0, 0},                       /* the next one */
		{1, 200, 10, 0, 9},                      /* half of a piece */
		{1, 200, 10, 5, 5},                      /* the other half */
		{1, 200, 5 * WIRE_PIECE, 0, WIRE_PIECE}, /* too much */
		{1, 200, UINT64_MAX, 0, WIRE_PIECE},
		{1, 500, 0, 0, 0}, /* no status of ours */
		{1, 1, 0, 0, 0},
		{1, 204 | 1u << 20, 0, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct wire_message m = {
			.kind = WIRE_ANSWER,
			.serial = bad[i].serial,
			.value = bad[i].value,
			.total = bad[i].total,
			.at = bad[i].at,
		};
		struct world *w;

		assert_int_equal(setup((void **)&w), 0);
		lock(w);
		ask(w, PATCH);
		assert_int_equal(w->serial, 1);
		assert_int_equal(
			wire_send(w->sock, &m, zeros, bad[i].len, NULL, 0), 0);
		expect_end(w);
		teardown((void **)&w);
	}
}

/* ---- what it opens ---- */

static void it_opens_what_the_client_named(void **state)
{
	struct world *w = *state;
	struct stat st, disk;

	lock(w);
	for (int i = 0; i < 3; i++) {
		ask(w, PATCH);
		assert_int_equal(need(w, PATH_DISK), 0);
		assert_int_equal(w->in.nr_fds, 1);
		assert_int_equal(fstat(w->in.fd[0], &st), 0);
		assert_int_equal(stat("disk", &disk), 0);
		assert_int_equal(st.st_ino, disk.st_ino);
		wire_in_drop(&w->in);
		answer(w);
	}
}

/* Every role but the one of the field, and that as often as it likes. */
static void it_opens_nothing_else(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, PATCH);
	for (uint32_t role = 0; role <= NEED_ROLE_MASK; role++)
		if (role != PATH_DISK && role != PATH_PLACE)
			assert_int_equal(need(w, role), -EACCES);
	answer(w);
	ask(w, "GET /version HTTP/1.1\r\n\r\n");
	assert_int_equal(need(w, PATH_DISK), -EACCES);
	assert_int_equal(need(w, PATH_PLACE), -EACCES);
	answer(w);
	tell(w, WIRE_NEED, 1, PATH_DISK, NULL, 0);
	expect_end(w);
}

/* Whether a drive is read only was said before the lock. */
static void a_drive_is_opened_as_it_was_told(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, "PATCH /drives/b HTTP/1.1\r\nContent-Length: 23\r\n\r\n"
	       "{\"path_on_host\":\"disk\"}");
	assert_int_equal(need(w, PATH_DISK), -EACCES);
	assert_int_equal(need(w, PATH_DISK_RO), 0);
	assert_int_equal(fcntl(w->in.fd[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	wire_in_drop(&w->in);
	answer(w);
	ask(w, "PATCH /drives/c HTTP/1.1\r\nContent-Length: 23\r\n\r\n"
	       "{\"path_on_host\":\"disk\"}");
	assert_int_equal(need(w, PATH_DISK), -EACCES);
	assert_int_equal(need(w, PATH_DISK_RO), -EACCES);
}

static void a_flood_of_needs_ends_it(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, PATCH);
	for (unsigned int i = 0; i < NEEDS_MAX; i++) {
		assert_int_equal(need(w, PATH_DISK), 0);
		wire_in_drop(&w->in);
	}
	assert_true(fds_of(w->link.pid) < 12);
	tell(w, WIRE_NEED, 1, PATH_DISK, NULL, 0);
	expect_end(w);
}

/* ---- dials ---- */

static void dials_are_answered_one_by_one(void **state)
{
	struct world *w = *state;
	int listener = unix_listen("v_7", 100);

	assert_true(listener >= 0);
	lock(w);
	tell(w, WIRE_DIAL, 0, 7, NULL, 0);
	expect(w, WIRE_DIALED);
	assert_int_equal(w->in.m.rc, 0);
	assert_int_equal(w->in.m.value, 7);
	assert_int_equal(w->in.nr_fds, 1);
	wire_in_drop(&w->in);
	tell(w, WIRE_DIAL, 0, 8, NULL, 0);
	expect(w, WIRE_DIALED);
	assert_int_equal(w->in.m.rc, -ENOENT);
	/* While a request is in progress, too. */
	ask(w, PATCH);
	tell(w, WIRE_DIAL, 0, 7, NULL, 0);
	expect(w, WIRE_DIALED);
	assert_int_equal(w->in.m.rc, 0);
	wire_in_drop(&w->in);
	answer(w);
	fd_close(&listener);
}

/* It gets its answers, all of them; some say that it was too much. The gate
 * holds one socket at most, whether they are read or not. */
static void a_flood_of_dials_is_bounded(void **state)
{
	const struct wire_message m = {.kind = WIRE_DIAL, .value = 7};
	struct world *w = *state;
	unsigned int sent = 0, came = 0;
	int r;

	lock(w);
	for (int round = 0; round < 20; round++) {
		while (wire_send(w->sock, &m, NULL, 0, NULL, 0) == 0)
			sent++;
		assert_true(fds_of(w->link.pid) < 12);
		while (came < sent) {
			r = wire_recv(w->sock, WIRE_GATE, &w->in);
			if (r == -EAGAIN) {
				await(w->sock, POLLIN);
				continue;
			}
			assert_int_equal(r, 0);
			came++;
			assert_true(w->in.m.rc == -EAGAIN ||
				    w->in.m.rc == -ENOENT);
		}
	}
	assert_true(sent > 1000);
	/* The API has not noticed. */
	ask(w, PATCH);
	answer(w);
}

/* ---- snapshots ---- */

static void write_both(struct world *w)
{
	assert_int_equal(w->in.nr_fds, 2);
	assert_int_equal(write(w->in.fd[SAVE_STATE], "{}", 2), 2);
	assert_int_equal(ftruncate(w->in.fd[SAVE_MEMORY], MEMORY), 0);
	wire_in_drop(&w->in);
}

static void saved(struct world *w)
{
	const struct save_done done = {0};

	tell(w, WIRE_SAVED, ++w->calls, 0, &done, sizeof(done));
	expect(w, WIRE_DONE);
	assert_int_equal(w->in.m.serial, w->calls);
}

static void a_snapshot_gets_its_names(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	write_both(w);
	saved(w);
	assert_int_equal(w->in.m.rc, 0);
	answer(w);
	expect_names("dir", "memory.snap state.json ");
}

static void nothing_is_left_of_one_that_is_given_up(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	write_both(w);
	tell(w, WIRE_ABORTED, 0, 0, NULL, 0);
	answer(w);
	assert_int_equal(access("dir", F_OK), -1);
	/* The answer gives it up as well. */
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	wire_in_drop(&w->in);
	answer(w);
	assert_int_equal(access("dir", F_OK), -1);
	/* And so does the end. */
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	wire_in_drop(&w->in);
	tell(w, WIRE_LOCKED, 0, 0, NULL, 0);
	expect_end(w);
	assert_int_equal(access("dir", F_OK), -1);
}

static void a_second_place_for_one_request_ends_it(void **state)
{
	struct world *w = *state;

	lock(w);
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	wire_in_drop(&w->in);
	tell(w, WIRE_NEED, 1, PATH_PLACE, NULL, 0);
	expect_end(w);
}

static void a_proof_that_is_none_ends_it(void **state)
{
	struct save_done done = {.proof.bytes = 17};
	struct world *w = *state;

	lock(w);
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	wire_in_drop(&w->in);
	tell(w, WIRE_SAVED, 1, 0, &done, sizeof(done));
	expect_end(w);
	assert_int_equal(access("dir", F_OK), -1);
}

static struct snapshot_label label_of(const struct wire_in *in)
{
	struct save_place place;

	assert_int_equal(in->len, sizeof(place));
	memcpy(&place, in->tail, sizeof(place));
	return place.label;
}

/* The gate knows what it committed, and believes nothing else. */
static void the_base_of_a_diff_is_the_last_that_was_committed(void **state)
{
	struct world *w = *state;
	struct snapshot_label first, second, third;

	lock(w);
	ask(w, DIFF);
	assert_int_equal(need(w, PATH_PLACE), 0);
	first = label_of(&w->in);
	assert_int_equal(first.base, 0); /* of nothing: it is whole */
	write_both(w);
	saved(w);
	assert_int_equal(w->in.m.rc, 0);
	answer(w);
	/* One that is given up is nobody's base. */
	ask(w, DIFF);
	assert_int_equal(need(w, PATH_PLACE), 0);
	second = label_of(&w->in);
	wire_in_drop(&w->in);
	tell(w, WIRE_ABORTED, 0, 0, NULL, 0);
	answer(w);
	assert_int_equal(rename("dir", "elsewhere"), 0);
	ask(w, DIFF);
	assert_int_equal(need(w, PATH_PLACE), 0);
	third = label_of(&w->in);
	assert_int_equal(third.base, first.moment);
	assert_int_equal(third.run, first.run);
	assert_true(third.id != first.id && third.id != second.id);
	wire_in_drop(&w->in);
}

static void a_diff_goes_on_no_memory_of_others(void **state)
{
	struct world *w = *state;
	int fd;

	lock(w);
	ask(w, CREATE);
	assert_int_equal(need(w, PATH_PLACE), 0);
	write_both(w);
	saved(w);
	answer(w);
	assert_int_equal(rename("dir", "elsewhere"), 0);
	assert_int_equal(mkdir("dir", 0700), 0);
	fd = open("dir/memory.snap", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, MEMORY), 0);
	(void)close(fd);
	ask(w, DIFF);
	assert_int_equal(need(w, PATH_PLACE), -EINVAL);
	assert_non_null(memmem(w->in.tail, w->in.len, "memory.snap", 11));
	answer(w);
	expect_names("dir", "memory.snap ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_not_come_ends_it),
		cmocka_unit_test(the_same_after_the_lock),
		cmocka_unit_test(answers_that_are_none_end_it),
		TEST(a_handover_after_the_lock_ends_it),
		TEST(a_second_lock_ends_it),
		TEST(a_dial_before_the_lock_ends_it),
		TEST(a_need_before_the_lock_ends_it),
		TEST(descriptors_end_it),
		TEST(half_a_message_ends_it),
		TEST(it_opens_what_the_client_named),
		TEST(it_opens_nothing_else),
		TEST(a_drive_is_opened_as_it_was_told),
		TEST(a_flood_of_needs_ends_it),
		TEST(dials_are_answered_one_by_one),
		TEST(a_flood_of_dials_is_bounded),
		TEST(a_snapshot_gets_its_names),
		TEST(nothing_is_left_of_one_that_is_given_up),
		TEST(a_second_place_for_one_request_ends_it),
		TEST(a_proof_that_is_none_ends_it),
		TEST(the_base_of_a_diff_is_the_last_that_was_committed),
		TEST(a_diff_goes_on_no_memory_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
