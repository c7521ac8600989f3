// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_list.c - which file may be a base, and what a list makes of
 * the files in a folder
 */
#include "unit.h"

#include "base/fd.h"
#include "folder.h"
#include "snapshot/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE     (4 * PAGE_SIZE)
#define STRANGER 54321u

/* ---- the rules ---- */

static void who_may_be_a_base(void **state)
{
	const struct base_wanted wanted = {7, SIZE, STRANGER};
	static const struct {
		struct base_file file;
		enum base_fit fit;
	} rows[] = {
		{{7, 0, true, SIZE, 0}, BASE_FITS},
		{{7, 3, true, SIZE, STRANGER}, BASE_FITS},
		{{8, 0, true, SIZE, 0}, BASE_OTHER},
		{{0, 0, true, SIZE, 0}, BASE_OTHER},
		{{7, 0, false, SIZE, 0}, BASE_WRONG},
		{{7, 0, true, SIZE + 1, 0}, BASE_WRONG},
		{{7, 0, true, 0, STRANGER + 1}, BASE_WRONG},
		{{7, 0, true, SIZE, STRANGER + 1}, BASE_STRANGE},
	};
	struct base_file ours = {7, 0, true, SIZE, geteuid()};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(base_fit(&rows[i].file, &wanted), rows[i].fit);
	assert_int_equal(base_fit(&ours, &wanted), BASE_FITS);
}

static void a_whole_one_is_the_best(void **state)
{
	const struct base_file whole = {7, 0, true, SIZE, 0};
	const struct base_file diff = {7, 3, true, SIZE, 0};

	(void)state;
	assert_true(base_rank(&whole, false) == base_rank(&whole, true));
	assert_true(base_rank(&whole, false) > base_rank(&diff, true));
	assert_true(base_rank(&diff, true) > base_rank(&diff, false));
	assert_true(base_rank(&diff, false) > 0);
}

/* ---- folders ---- */

struct world {
	char dir[64];
	struct snapshot_list list;
};

static int set_up(void **state)
{
	static struct world w;

	w.list = (struct snapshot_list){0};
	(void)snprintf(w.dir, sizeof(w.dir), "/dev/shm/volt-test-XXXXXX");
	*state = &w;
	return !mkdtemp(w.dir);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	snapshot_list_free(&w->list);
	return folder_remove(w->dir);
}

static void put(const char *path, const char *name, const void *data,
		size_t len)
{
	char file[256];
	int fd;

	(void)snprintf(file, sizeof(file), "%s/%s", path, name);
	fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, data, len), 0);
	fd_close(&fd);
}

/* A snapshot without label and proof, which is believed: of @moment, a diff of
 * @needs; its memory has @size bytes. */
static void add(const struct world *w, const char *name, uint64_t moment,
		uint64_t needs, size_t size)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	uint8_t *memory = calloc(1, size + 1);
	cleanup_buf struct buf text = {0};
	struct snapshot_identity who = {
		.label = {.id = moment, .moment = moment, .base = needs},
		.size = SIZE,
	};
	char dir[128];

	assert_true(s && memory);
	snapshot_describe(s, moment, "", "");
	s->nr_vcpus = 1;
	s->memory_bytes = SIZE;
	s->config = (struct schema_raw){"{}", 2};
	snapshot_set_identity(s, &who);
	snapshot_encode(s, &text);
	assert_false(text.failed);
	(void)snprintf(dir, sizeof(dir), "%s/%s", w->dir, name);
	assert_int_equal(mkdir(dir, 0700), 0);
	put(dir, "state.json", text.data, text.len);
	put(dir, "memory.snap", memory, size);
	free(memory);
	free(s);
}

static void read_list(struct world *w)
{
	struct err err = {0};

	snapshot_list_free(&w->list);
	if (snapshot_list_read(&w->list, w->dir, &err) < 0)
		fail_msg("%s", err.text);
}

static const struct snapshot_listed *item(const struct world *w,
					  const char *name)
{
	for (size_t i = 0; i < w->list.nr; i++)
		if (strcmp(w->list.item[i].name, name) == 0)
			return &w->list.item[i];
	fail_msg("%s is not in the list", name);
	return NULL;
}

static const char *base_of(const struct world *w, const char *name)
{
	size_t base = item(w, name)->base;

	return base == SNAPSHOT_LIST_NO ? "-" : w->list.item[base].name;
}

static void a_chain(void **state)
{
	struct world *w = *state;

	add(w, "c", 3, 2, SIZE);
	add(w, "a", 1, 0, SIZE);
	add(w, "b", 2, 1, SIZE);
	read_list(w);
	assert_int_equal(w->list.nr, 3);
	assert_string_equal(w->list.item[0].name, "a");
	assert_string_equal(base_of(w, "c"), "b");
	assert_string_equal(base_of(w, "b"), "a");
	assert_string_equal(base_of(w, "a"), "-");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(w->list.item[i].chain, SNAPSHOT_CHAIN_WHOLE);
	/* The same moment once more, and whole: it ends the chain. */
	add(w, "z", 2, 0, SIZE);
	read_list(w);
	assert_string_equal(base_of(w, "c"), "z");
}

static void chains_that_break(void **state)
{
	struct world *w = *state;

	add(w, "lone", 3, 2, SIZE);
	add(w, "above", 4, 3, SIZE);
	add(w, "round", 11, 12, SIZE);
	add(w, "about", 12, 11, SIZE);
	add(w, "self", 13, 13, SIZE);
	add(w, "cut", 20, 0, SIZE - 1);
	add(w, "of-cut", 21, 20, SIZE);
	read_list(w);
	assert_int_equal(item(w, "lone")->chain, SNAPSHOT_CHAIN_MISSING);
	assert_int_equal(item(w, "above")->chain, SNAPSHOT_CHAIN_MISSING);
	assert_string_equal(w->list.item[item(w, "above")->broken].name,
			    "lone");
	assert_int_equal(item(w, "round")->chain, SNAPSHOT_CHAIN_CIRCLE);
	assert_int_equal(item(w, "about")->chain, SNAPSHOT_CHAIN_CIRCLE);
	assert_int_equal(item(w, "self")->chain, SNAPSHOT_CHAIN_CIRCLE);
	assert_int_equal(item(w, "cut")->chain, SNAPSHOT_CHAIN_DAMAGED);
	assert_non_null(item(w, "cut")->why);
	assert_int_equal(item(w, "of-cut")->chain, SNAPSHOT_CHAIN_WRONG);
}

static void too_long_a_chain(void **state)
{
	struct world *w = *state;
	char name[16];

	for (unsigned int i = 0; i <= SNAPSHOT_CHAIN_MAX; i++) {
		(void)snprintf(name, sizeof(name), "s%u", i);
		add(w, name, i + 1, i, SIZE);
	}
	read_list(w);
	(void)snprintf(name, sizeof(name), "s%u", SNAPSHOT_CHAIN_MAX - 1);
	assert_int_equal(item(w, name)->chain, SNAPSHOT_CHAIN_WHOLE);
	(void)snprintf(name, sizeof(name), "s%u", SNAPSHOT_CHAIN_MAX);
	assert_int_equal(item(w, name)->chain, SNAPSHOT_CHAIN_LONG);
}

static void a_base_of_another_user(void **state)
{
	struct world *w = *state;
	char path[128];

	if (geteuid() != 0)
		skip(); /* only root can give a file to another user */
	add(w, "base", 1, 0, SIZE);
	add(w, "diff", 2, 1, SIZE);
	(void)snprintf(path, sizeof(path), "%s/base/memory.snap", w->dir);
	assert_int_equal(chown(path, STRANGER, STRANGER), 0);
	read_list(w);
	assert_int_equal(item(w, "diff")->chain, SNAPSHOT_CHAIN_STRANGE);
	/* The owner of the diff may have it for a base. */
	(void)snprintf(path, sizeof(path), "%s/diff/memory.snap", w->dir);
	assert_int_equal(chown(path, STRANGER, STRANGER), 0);
	read_list(w);
	assert_int_equal(item(w, "diff")->chain, SNAPSHOT_CHAIN_WHOLE);
}

static void what_is_no_snapshot(void **state)
{
	static const uint8_t cut[39] = "voltprc1";
	struct world *w = *state;
	char path[128];

	put(w->dir, "text", "some text", 9);
	put(w->dir, "short", "volt", 4);
	put(w->dir, "cut", cut, sizeof(cut));
	put(w->dir, "state", "{\"crc64\":\"x\"}", 13);
	(void)snprintf(path, sizeof(path), "%s/empty", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/pipe", w->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	read_list(w);
	assert_int_equal(w->list.nr, 2);
	assert_int_equal(item(w, "cut")->form, SNAPSHOT_EXPORT);
	assert_int_equal(item(w, "cut")->chain, SNAPSHOT_CHAIN_DAMAGED);
	assert_int_equal(item(w, "state")->form, SNAPSHOT_FILE);
	assert_int_equal(item(w, "state")->chain, SNAPSHOT_CHAIN_DAMAGED);
}

/* As long as two files are, and what they take: holes take nothing. */
static void what_it_takes(void **state)
{
	struct world *w = *state;
	char path[128];
	int fd;

	put(w->dir, "data", "some text", 9);
	put(w->dir, "hole", "", 0);
	(void)snprintf(path, sizeof(path), "%s/hole", w->dir);
	assert_int_equal(truncate(path, MIB(8)), 0);
	for (int hole = 1; hole >= 0; hole--) {
		struct room room = {0};

		(void)snprintf(path, sizeof(path), "%s/%s", w->dir,
			       hole ? "hole" : "data");
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		room_add(&room, fd);
		room_add(&room, -1);
		assert_int_equal(room.apparent, hole ? MIB(8) : 9);
		assert_true(hole ? room.stored == 0 : room.stored > 0);
		assert_true(room.shared <= room.stored);
		fd_close(&fd);
	}
}

static void a_folder_that_is_not_there(void **state)
{
	struct world *w = *state;
	struct err err = {0};
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/none", w->dir);
	assert_int_equal(snapshot_list_read(&w->list, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_may_be_a_base),
		cmocka_unit_test(a_whole_one_is_the_best),
		cmocka_unit_test_setup_teardown(a_chain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chains_that_break, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(too_long_a_chain, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_base_of_another_user, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_is_no_snapshot, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_it_takes, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_folder_that_is_not_there,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
