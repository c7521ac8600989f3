// SPDX-License-Identifier: Apache-2.0
/*
 * test_gate_first.c - the gate of a process that is locked before it is
 * configured: what it opens until the guest runs, and not from then on
 */
#include "gate_world.h"

#include "sandbox/stage.h"

#define STATE                                                              \
	"{\"crc64\":\"0000000000000000\",\n\"version\":\"2.1.0\","         \
	"\"volt_version\":\"0\",\"id\":\"00000000000000aa\",\n"            \
	"\"config\":{\"serial\":{\"serial_out_path\":\"out\"},\"drives\":" \
	"[{\"drive_id\":\"a\",\"path_on_host\":\"gone\"},{\"drive_id\":"   \
	"\"b\",\"path_on_host\":\"disk\"}],\"nets\":[],"                   \
	"\"vsock\":{\"uds_path\":\"v\"}}}"

#define DRIVE                                                  \
	"PUT /drives/a HTTP/1.1\r\nContent-Length: 23\r\n\r\n" \
	"{\"path_on_host\":\"disk\"}"
#define VSOCK                                               \
	"PUT /vsock HTTP/1.1\r\nContent-Length: 16\r\n\r\n" \
	"{\"uds_path\":\"v\"}"
#define VSOCK_ELSEWHERE                                     \
	"PUT /vsock HTTP/1.1\r\nContent-Length: 16\r\n\r\n" \
	"{\"uds_path\":\"w\"}"
#define START                                                 \
	"PUT /actions HTTP/1.1\r\nContent-Length: 31\r\n\r\n" \
	"{\"action_type\":\"InstanceStart\"}"
#define LOAD                                                        \
	"PUT /snapshot/load HTTP/1.1\r\nContent-Length: 95\r\n\r\n" \
	"{\"snapshot_path\":\"s\",\"drive_overrides\":[{"           \
	"\"drive_id\":\"a\",\"path_on_host\":\"disk\"}]}"           \
	"               "

/* Without filters, as the test is not the gate of a real process. */
static int setup_first(void **state)
{
	static const struct sandbox sandbox = {
		.mode = SANDBOX_OFF,
		.first = true,
	};
	int fd;

	if (make_world(state, &sandbox) < 0 || mkdir("s", 0700) < 0)
		return -1;
	fd = open("s/state.json", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, STATE, strlen(STATE)),
			 (ssize_t)strlen(STATE));
	(void)close(fd);
	fd = open("s/memory.snap", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	return 0;
}

/* It opens @path. */
static void opens(struct world *w, enum path_role role, uint32_t index,
		  const char *path)
{
	struct stat st, named;

	assert_int_equal(need(w, (uint32_t)role | index << NEED_ROLE_BITS), 0);
	assert_int_equal(w->in.nr_fds, 1);
	assert_int_equal(fstat(w->in.fd[0], &st), 0);
	assert_int_equal(stat(path, &named), 0);
	assert_int_equal(st.st_ino, named.st_ino);
	wire_in_drop(&w->in);
}

/* All roles but @these, each for the first three numbers, are refused. */
static void refuses_all_but(struct world *w, uint64_t these)
{
	for (uint32_t role = 0; role < PATH_NR; role++)
		for (uint32_t index = 0; index < 3; index++)
			if (role != PATH_PLACE && !(these & 1ull << role))
				assert_int_equal(
					need(w, role | index << NEED_ROLE_BITS),
					-EACCES);
}

#define BIT(role) (1ull << (role))

static void what_configures_is_opened(void **state)
{
	struct world *w = *state;

	ask(w, DRIVE);
	opens(w, PATH_DISK, 0, "disk");
	opens(w, PATH_DISK_RO, 0, "disk");
	refuses_all_but(w, BIT(PATH_DISK) | BIT(PATH_DISK_RO));
	answer(w);
	ask(w, "GET /version HTTP/1.1\r\n\r\n");
	refuses_all_but(w, 0);
	answer(w);
	ask(w, PATCH); /* of a guest that runs */
	refuses_all_but(w, 0);
	answer(w);
}

static void what_is_loaded_is_opened(void **state)
{
	struct world *w = *state;

	ask(w, LOAD);
	/* Nothing that only the state names, before that is open. */
	assert_int_equal(need(w, PATH_DISK), -EACCES);
	assert_int_equal(need(w, PATH_VSOCK), -EACCES);
	opens(w, PATH_STATE, 0, "s/state.json");
	opens(w, PATH_MEMORY, 0, "s/memory.snap");
	assert_int_equal(need(w, PATH_MEMORY | 1u << NEED_ROLE_BITS), -ENOENT);
	assert_int_equal(
		rename("s/memory.snap", "s/memory.snap.00000000000000aa"), 0);
	opens(w, PATH_MEMORY, 1, "s/memory.snap.00000000000000aa");
	opens(w, PATH_DISK, 0, "disk"); /* the request's */
	opens(w, PATH_DISK, 1, "disk"); /* the state's */
	assert_int_equal(need(w, PATH_DISK | 2u << NEED_ROLE_BITS), -EACCES);
	assert_int_equal(need(w, PATH_TAP), -EACCES);
	opens(w, PATH_FOLDER, 0, "s");
	assert_int_equal(need(w, PATH_SERIAL), 0);
	wire_in_drop(&w->in);
	assert_int_equal(access("out", F_OK), 0);
	answer(w);
	/* It holds nothing of it: two of /dev/null, wire, loop, client ... */
	assert_true(fds_of(w->link.pid) < 12);
	ask(w, LOAD);
	assert_int_equal(need(w, PATH_DISK), -EACCES);
	answer(w);
}

static bool listens(const char *path)
{
	int fd = unix_connect(path, UNIX_NOWAIT);
	bool does = fd >= 0;

	fd_close(&fd);
	return does;
}

/* The socket device's file is the gate's, from the PUT to the end. */
static void the_socket_is_bound_and_removed(void **state)
{
	struct world *w = *state;
	int first;

	ask(w, VSOCK);
	assert_int_equal(need(w, PATH_VSOCK), 0);
	first = fd_steal(&w->in.fd[0]);
	assert_true(listens("v"));
	answer(w);
	ask(w, VSOCK); /* the same again */
	assert_int_equal(need(w, PATH_VSOCK), 0);
	fd_close(&first);
	first = fd_steal(&w->in.fd[0]);
	assert_true(listens("v"));
	answer(w);
	ask(w, VSOCK_ELSEWHERE);
	assert_int_equal(need(w, PATH_VSOCK), 0);
	assert_int_equal(access("v", F_OK), -1);
	assert_true(listens("w"));
	wire_in_drop(&w->in);
	answer(w);
	fd_close(&first);
	tell(w, WIRE_DIAL, 0, 1, NULL, 0); /* nobody runs who could */
	expect_end(w);
	assert_int_equal(access("w", F_OK), -1);
}

/* Somebody else's file is not removed for it. */
static void a_path_that_is_taken_stays(void **state)
{
	struct world *w = *state;
	int fd = open("v", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)close(fd);
	ask(w, VSOCK);
	assert_int_equal(need(w, PATH_VSOCK), -EADDRINUSE);
	answer(w);
	tell(w, WIRE_DIAL, 0, 1, NULL, 0);
	expect_end(w);
	assert_int_equal(access("v", F_OK), 0);
}

/* From the run on whatever configures, starts or loads names nothing. */
static void nothing_of_it_once_the_guest_runs(void **state)
{
	static const char *const requests[] = {DRIVE, VSOCK, START, LOAD};
	struct world *w = *state;

	ask(w, LOAD);
	opens(w, PATH_STATE, 0, "s/state.json");
	lock(w);
	refuses_all_but(w, 0); /* not even in the request that it began with */
	answer(w);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		ask(w, requests[i]);
		refuses_all_but(w, 0);
		answer(w);
	}
	ask(w, PATCH);
	opens(w, PATH_DISK, 0, "disk");
	refuses_all_but(w, BIT(PATH_DISK));
	answer(w);
}

static void a_place_before_the_guest_runs_ends_it(void **state)
{
	struct world *w = *state;

	ask(w, CREATE);
	tell(w, WIRE_NEED, 1, PATH_PLACE, NULL, 0);
	expect_end(w);
	assert_int_equal(access("dir", F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_first, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_configures_is_opened),
		TEST(what_is_loaded_is_opened),
		TEST(the_socket_is_bound_and_removed),
		TEST(a_path_that_is_taken_stays),
		TEST(nothing_of_it_once_the_guest_runs),
		TEST(a_place_before_the_guest_runs_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
