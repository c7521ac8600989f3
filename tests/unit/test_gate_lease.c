// SPDX-License-Identifier: Apache-2.0
/*
 * test_gate_lease.c - the gate of a VM that was restored and waits: what a
 * lease names is opened until the guest runs, and not from then on
 */
#include "gate_world.h"

#include "sandbox/stage.h"

#define PUT_LEASE "PUT /volt/lease HTTP/1.1\r\nContent-Length: "
#define LEASE                                                             \
	PUT_LEASE "207\r\n\r\n"                                           \
		  "{\"drives\":[{\"drive_id\":\"a\",\"path_on_host\":\""  \
		  "disk\"},{\"drive_id\":\"b\",\"path_on_host\":\"disk\"" \
		  "},{\"drive_id\":\"z\",\"path_on_host\":\"disk\"},{"    \
		  "\"drive_id\":\"a\",\"overlay\":\".\",\"path_on_host\"" \
		  ":\"disk\"}],\"vsock\":{\"uds_path\":\"w\"}}"
#define TAKEN                   \
	PUT_LEASE "29\r\n\r\n"  \
		  "{\"vsock\":" \
		  "{\"uds_path\":\"disk\"}}"

#define NTH(role, index) ((uint32_t)(role) | (index) << NEED_ROLE_BITS)

/* Without filters, as the test is not the gate of a real process. */
static int setup_early(void **state)
{
	static const struct sandbox sandbox = {
		.mode = SANDBOX_OFF,
		.early = true,
	};

	return make_world(state, &sandbox);
}

/* A filter that somebody else has made has no calls for it. */
static int setup_custom(void **state)
{
	static const struct sandbox sandbox = {
		.mode = SANDBOX_BEST_EFFORT,
		.filters = SANDBOX_FILTERS_NONE,
	};

	return make_world(state, &sandbox);
}

/* The VM was restored: drives a, to write, and b; the socket v. */
static void waits(struct world *w)
{
	const struct wire_vsock vsock = {0, 0};
	const struct save_base base = {.size = MEMORY, .tracked = 1};
	char text[sizeof(vsock) + 1];

	memcpy(text, &vsock, sizeof(vsock));
	text[sizeof(vsock)] = 'v';
	tell(w, WIRE_HANDOVER, 0, WIRE_SAVES, &base, sizeof(base));
	tell(w, WIRE_HANDOVER, 0, WIRE_VSOCK, text, sizeof(text));
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE, "a", 1);
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE_RO, "b", 1);
	tell(w, WIRE_LOCKED, ++w->calls, WIRE_WAITS, NULL, 0);
	expect(w, WIRE_DONE);
	assert_int_equal(w->in.m.rc, 0);
}

static void gives(struct world *w, enum path_role role, uint32_t index)
{
	assert_int_equal(need(w, NTH(role, index)), 0);
	assert_int_equal(w->in.nr_fds, 1);
	wire_in_drop(&w->in);
}

static void refuses(struct world *w, enum path_role role, uint32_t index)
{
	assert_int_equal(need(w, NTH(role, index)), -EACCES);
}

static void what_is_leased_is_opened(void **state)
{
	struct world *w = *state;

	waits(w);
	ask(w, LEASE);
	gives(w, PATH_DISK, 0);
	refuses(w, PATH_DISK_RO, 0); /* not how it was told to be */
	gives(w, PATH_DISK_RO, 1);
	refuses(w, PATH_DISK, 1);
	refuses(w, PATH_DISK, 2); /* none of this VM's */
	refuses(w, PATH_DISK_RO, 2);
	gives(w, PATH_DISK_RO, 3); /* it is copied */
	gives(w, PATH_OVERLAY, 3);
	refuses(w, PATH_OVERLAY, 0);
	refuses(w, PATH_DISK, 4); /* behind the last one */
	refuses(w, PATH_TAP, 0);
	gives(w, PATH_VSOCK, 0);
	assert_int_equal(access("w", F_OK), 0);
	answer(w);
	tell(w, WIRE_LOCKED, ++w->calls, WIRE_RUNS, NULL, 0);
	tell(w, WIRE_DIAL, 0, 7, NULL, 0); /* there is no answer but this one */
	expect(w, WIRE_DIALED);
	assert_int_equal(access("w", F_OK), 0);
}

/* All roles but @these; nothing else of this host. */
static void refuses_all_but(struct world *w, uint64_t these)
{
	for (uint32_t role = 0; role < PATH_NR; role++)
		for (uint32_t index = 0; index < 5; index++)
			if (role != PATH_PLACE && !(these & 1ull << role))
				refuses(w, role, index);
}

#define BIT(role) (1ull << (role))

static void it_names_nothing_else(void **state)
{
	struct world *w = *state;

	waits(w);
	ask(w, LEASE);
	refuses_all_but(w, BIT(PATH_DISK) | BIT(PATH_DISK_RO) |
				   BIT(PATH_OVERLAY) | BIT(PATH_VSOCK));
	answer(w);
	/* What a paused VM may be asked for is as ever. */
	ask(w, PATCH);
	gives(w, PATH_DISK, 0);
	refuses_all_but(w, BIT(PATH_DISK));
	answer(w);
}

static void not_before_it_was_restored(void **state)
{
	struct world *w = *state;

	ask(w, LEASE);
	tell(w, WIRE_NEED, 1, NTH(PATH_DISK, 0), NULL, 0);
	expect_end(w);
}

static void not_once_the_guest_runs(void **state)
{
	struct world *w = *state;

	waits(w);
	ask(w, LEASE);
	gives(w, PATH_DISK, 0);
	tell(w, WIRE_LOCKED, ++w->calls, WIRE_RUNS, NULL, 0);
	refuses_all_but(w, 0); /* not even in the same request */
	answer(w);
	ask(w, LEASE);
	refuses_all_but(w, 0);
	answer(w);
}

/* A path that is taken costs the socket that is there nothing. */
static void a_socket_stays_where_the_next_fails(void **state)
{
	struct world *w = *state;

	waits(w);
	ask(w, LEASE);
	gives(w, PATH_VSOCK, 0);
	answer(w);
	ask(w, TAKEN);
	assert_int_equal(need(w, PATH_VSOCK), -EADDRINUSE);
	answer(w);
	assert_int_equal(access("w", F_OK), 0);
}

static void what_is_told_is_told_once(void **state)
{
	struct world *w = *state;

	waits(w);
	tell(w, WIRE_HANDOVER, 0, WIRE_DRIVE, "z", 1);
	expect_end(w);
}

static void it_waits_once(void **state)
{
	struct world *w = *state;

	waits(w);
	tell(w, WIRE_LOCKED, ++w->calls, WIRE_WAITS, NULL, 0);
	expect_end(w);
}

static void nothing_else_is_a_lock(void **state)
{
	struct world *w = *state;

	tell(w, WIRE_LOCKED, ++w->calls, WIRE_WAITS + 1, NULL, 0);
	expect_end(w);
}

static void nobody_is_called_before_the_guest_runs(void **state)
{
	struct world *w = *state;

	waits(w);
	tell(w, WIRE_DIAL, 0, 7, NULL, 0);
	expect_end(w);
}

static void a_gate_without_the_calls_makes_nothing(void **state)
{
	struct world *w = *state;

	waits(w);
	ask(w, LEASE);
	gives(w, PATH_DISK, 0);
	refuses(w, PATH_VSOCK, 0);
	refuses(w, PATH_TAP, 0);
	assert_int_equal(access("w", F_OK), -1);
	answer(w);
}

#define TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define EARLY(name)       TEST(name, setup_early)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EARLY(what_is_leased_is_opened),
		EARLY(it_names_nothing_else),
		EARLY(not_before_it_was_restored),
		EARLY(not_once_the_guest_runs),
		EARLY(a_socket_stays_where_the_next_fails),
		EARLY(what_is_told_is_told_once),
		EARLY(it_waits_once),
		EARLY(nothing_else_is_a_lock),
		EARLY(nobody_is_called_before_the_guest_runs),
		TEST(a_gate_without_the_calls_makes_nothing, setup_custom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
