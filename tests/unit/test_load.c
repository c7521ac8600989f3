// SPDX-License-Identifier: Apache-2.0
/*
 * test_load.c - what a snapshot that is loaded names for the gate
 */
#include "unit.h"

#include "base/fd.h"
#include "gate/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HEAD                                 \
	"{\"crc64\":\"0000000000000000\",\n" \
	"\"version\":\"2.1.0\",\"volt_version\":\"0\",\"id\":\"%s\",\n"
#define ID "00000000000000aa"
#define CONFIG                                                                               \
	"\"memory\":{\"drives\":[{\"drive_id\":\"a\",\"path_on_host\":"                      \
	"\"no\"}]},\"config\":{\"serial\":{\"serial_out_path\":\"/out\"},"                   \
	"\"drives\":[{\"drive_id\":\"a\",\"is_read_only\":false,"                            \
	"\"path_on_host\":\"/a\",\"overlay\":\"/s\"},{\"path_on_host\":\"/b\",\"drive_id\":" \
	"\"b\"},{\"drive_id\":\"none\"}],\"nets\":[{\"iface_id\":\"n\","                     \
	"\"host_dev_name\":\"tap0\"}],\"vsock\":{\"guest_cid\":3,"                           \
	"\"uds_path\":\"/v\"}},\"vcpus\":[{\"drives\":1}]}"

struct rig {
	struct load load;
	int state; /* its file */
};

static int set_up(void **state)
{
	static struct rig rig;
	char path[] = "/tmp/volt-load-XXXXXX";

	rig = (struct rig){.load = LOAD_NONE, .state = mkstemp(path)};
	*state = &rig;
	return rig.state < 0 || unlink(path) < 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	load_end(&rig->load);
	fd_close(&rig->state);
	return 0;
}

static void write_state(const struct rig *rig, const char *text)
{
	assert_int_equal(ftruncate(rig->state, 0), 0);
	assert_int_equal(lseek(rig->state, 0, SEEK_SET), 0);
	assert_int_equal(fd_write_full(rig->state, text, strlen(text)), 0);
}

static void write_good(const struct rig *rig)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), HEAD CONFIG, ID);
	write_state(rig, text);
}

/* Return: of load_path(); @path: what it has found. */
static int ask(struct rig *rig, const char *line, const char *body,
	       enum path_role role, unsigned int index, char path[static 256])
{
	cleanup_free char *raw = NULL;
	cleanup_buf struct buf found = {0};
	struct need_request request;
	int len = asprintf(&raw, "%s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s",
			   line, strlen(body), body);
	int r;

	assert_true(len > 0);
	assert_int_equal(need_read(&request, raw, (size_t)len), 0);
	r = load_path(&rig->load, &request, role, index, &found);
	path[0] = '\0';
	if (r == 0) {
		assert_int_equal(strlen(found.data), found.len);
		(void)snprintf(path, 256, "%s", found.data);
	}
	return r;
}

#define LOAD "PUT /snapshot/load"
#define DIR  "{\"snapshot_path\":\"/d\"}"
#define FILES                                                           \
	"{\"mem_backend\":{\"backend_type\":\"File\",\"backend_path\":" \
	"\"/m\"},\"snapshot_path\":\"/s\"}"
#define OLD_FILES                                             \
	"{\"mem_file_path\":\"/m\",\"snapshot_path\":\"/s\"," \
	"\"mem_backend\":null}"
#define OVER                                                            \
	"{\"snapshot_path\":\"/d\",\"drive_overrides\":[{\"drive_id\":" \
	"\"x\",\"path_on_host\":\"/x\"},{\"drive_id\":\"b\","           \
	"\"path_on_host\":\"/first\"},{\"path_on_host\":\"/new\","      \
	"\"drive_id\":\"b\",\"more\":[{}]}],\"network_overrides\":["    \
	"{\"iface_id\":\"n\",\"host_dev_name\":\"tap9\"}],"             \
	"\"vsock_override\":{\"uds_path\":\"/w\"}}"

#define OVERLAYS                                                         \
	"{\"snapshot_path\":\"/d\",\"drive_overrides\":[{\"drive_id\":"  \
	"\"a\",\"overlay\":\"/first\"},{\"drive_id\":\"b\",\"overlay\":" \
	"\"/o\",\"path_on_host\":\"/new\"},{\"drive_id\":\"a\","         \
	"\"overlay\":\"/last\"}]}"

static void what_the_request_and_the_state_name(void **state)
{
	static const struct {
		const char *body;
		enum path_role role;
		unsigned int index;
		const char *path;
	} rows[] = {
		{DIR, PATH_STATE, 0, "/d/state.json"},
		{DIR, PATH_MEMORY, 0, "/d/memory.snap"},
		{DIR, PATH_MEMORY, 1, "/d/memory.snap." ID},
		{DIR, PATH_MEMORY, 2, "/d/working-set"},
		{FILES, PATH_MEMORY, 2, "/working-set"},
		{FILES, PATH_STATE, 0, "/s"},
		{FILES, PATH_MEMORY, 0, "/m"},
		{FILES, PATH_MEMORY, 1, "/m." ID},
		{OLD_FILES, PATH_STATE, 0, "/s"},
		{OLD_FILES, PATH_MEMORY, 1, "/m." ID},
		{DIR, PATH_DISK, 0, "/a"},
		{DIR, PATH_DISK, 1, "/b"},
		{DIR, PATH_DISK_RO, 1, "/b"},
		{DIR, PATH_TAP, 0, "tap0"},
		{DIR, PATH_VSOCK, 0, "/v"},
		{DIR, PATH_SERIAL, 0, "/out"},
		{OVER, PATH_DISK, 0, "/a"},
		{OVER, PATH_DISK, 1, "/new"},
		{OVER, PATH_TAP, 0, "tap9"},
		{OVERLAYS, PATH_DISK_RO, 0, "/a"},
		{OVERLAYS, PATH_DISK_RO, 1, "/new"},
		{OVERLAYS, PATH_OVERLAY, 0, "/last"},
		{OVERLAYS, PATH_OVERLAY, 1, "/o"},
		{OVER, PATH_VSOCK, 0, "/w"},
	};
	struct rig *rig = *state;
	char path[256];

	write_good(rig);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	/* No more names. */
	assert_int_equal(ask(rig, LOAD, DIR, PATH_MEMORY, 3, path), -EACCES);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = ask(rig, LOAD, rows[i].body, rows[i].role,
			    rows[i].index, path);

		if (r < 0 || strcmp(path, rows[i].path) != 0)
			fail_msg("row %zu: %d, %s", i, r, path);
	}
}

static void nothing_else(void **state)
{
	static const struct {
		const char *line, *body;
		enum path_role role;
		unsigned int index;
	} rows[] = {
		{LOAD, DIR, PATH_DISK, 2}, /* has no path */
		{LOAD, DIR, PATH_DISK, 3},
		{LOAD, DIR, PATH_DISK, 0xffffff},
		{LOAD, DIR, PATH_TAP, 1},
		{LOAD, DIR, PATH_OVERLAY, 0}, /* whatever the state says */
		{LOAD, OVER, PATH_OVERLAY, 1},
		{LOAD, DIR, PATH_KERNEL, 0},
		{LOAD, DIR, PATH_PLACE, 0},
		{LOAD, DIR, PATH_LOG, 0},
		{LOAD, "{}", PATH_STATE, 0},
		{LOAD, "{}", PATH_MEMORY, 0},
		{LOAD, "[]", PATH_STATE, 0},
		{"PUT /snapshot/create", DIR, PATH_STATE, 0},
		{"PATCH /snapshot/load", DIR, PATH_STATE, 0},
		{"PUT /drives/a", DIR, PATH_DISK, 0},
	};
	struct rig *rig = *state;
	char path[256];

	write_good(rig);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int r = ask(rig, rows[i].line, rows[i].body, rows[i].role,
			    rows[i].index, path);

		if (r != -EACCES)
			fail_msg("row %zu: %d, %s", i, r, path);
	}
}

/* Nothing of the state is known before it was opened, nor after the end. */
static void the_state_comes_first(void **state)
{
	struct rig *rig = *state;
	char path[256];

	write_good(rig);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_DISK, 0, path), -EACCES);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_MEMORY, 1, path), -EACCES);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_MEMORY, 0, path), 0);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_DISK, 0, path), 0);
	load_end(&rig->load);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_DISK, 0, path), -EACCES);
}

/* One that took its place: what was read of the other one is forgotten. */
static void another_state(void **state)
{
	struct rig *rig = *state;
	char path[256];

	write_good(rig);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	write_state(rig, "{\"config\":{\"serial\":{\"serial_out_path\":"
			 "\"/new\"}}}");
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	assert_string_equal(path, "/out");
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	assert_string_equal(path, "/new");
}

static void states_that_are_none(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"\"config\"",
		"{\"config\":null}",
		"{\"config\":[{\"drives\":[]}]}",
		"{\"config\":{\"drives\":{\"drive_id\":\"a\"}}}",
		"{\"config\":{\"drives\":[\"a\"]}}",
		"{\"config\":{\"drives\":[{\"drive_id\":7,"
		"\"path_on_host\":\"/a\"}]}}",
		"{\"config\":{\"drives\":[{\"drive_id\":\"a\","
		"\"path_on_host\":\"/a\\u0000b\"}]}}",
		"{\"config\":{\"drives\":[{\"drive_id\":\"a\","
		"\"path_on_host\":\"/a",
	};
	struct rig *rig = *state;
	char path[256];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		write_state(rig, texts[i]);
		assert_int_equal(load_take_state(&rig->load, rig->state), 0);
		assert_true(ask(rig, LOAD, DIR, PATH_DISK, 0, path) < 0);
		assert_true(ask(rig, LOAD, DIR, PATH_MEMORY, 1, path) < 0);
	}
	/* Longer than any. */
	assert_int_equal(ftruncate(rig->state, (16 << 20) + 1), 0);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_DISK, 0, path), -EINVAL);
}

/* The guest process asks again, to see that it is the same. */
static void a_state_that_is_opened_twice(void **state)
{
	struct rig *rig = *state;
	char name[] = "/tmp/volt-load-XXXXXX", path[256];
	struct rig other = {.state = mkstemp(name)};
	const char *text;

	write_good(rig);
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	text = rig->load.text;
	assert_int_equal(load_take_state(&rig->load, rig->state), 0);
	assert_ptr_equal(rig->load.text, text);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	assert_string_equal(path, "/out");
	/* Another one has its place by now. */
	assert_int_equal(unlink(name), 0);
	write_state(&other, "{\"config\":{\"serial\":{\"serial_out_path\":"
			    "\"/new\"}}}");
	assert_int_equal(load_take_state(&rig->load, other.state), 0);
	fd_close(&other.state);
	assert_int_equal(ask(rig, LOAD, DIR, PATH_SERIAL, 0, path), 0);
	assert_string_equal(path, "/new");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_the_request_and_the_state_name),
		TEST(nothing_else),
		TEST(the_state_comes_first),
		TEST(another_state),
		TEST(states_that_are_none),
		TEST(a_state_that_is_opened_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
