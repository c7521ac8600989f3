// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_place.c - what a diff goes on top of, and what it would only
 * be a mix with: the table of snapshot/place.h
 */
#include "unit.h"

#include "base/fd.h"
#include "image/identity.h"
#include "image/map.h"
#include "snapshot/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "folder.h"

#define SIZE MIB(16)
#define BASE 0xbaceull /* the moment that the diff differs from */
#define RUN  7ull

struct world {
	char folder[32];
	char state[48];
	char memory[48];
	struct snapshot_paths paths;
	struct snapshot_identity base;
	struct snapshot_place place;
};

/* The VM comes from the whole snapshot BASE, of which this is a page. */
static void world_begin(struct world *w, bool tracked)
{
	(void)snprintf(w->folder, sizeof(w->folder), "/var/tmp/volt-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	(void)snprintf(w->state, sizeof(w->state), "%s/state", w->folder);
	(void)snprintf(w->memory, sizeof(w->memory), "%s/memory", w->folder);
	w->paths = (struct snapshot_paths){
		.state = w->state,
		.memory = w->memory,
	};
	w->base = (struct snapshot_identity){
		.label = {.id = BASE, .moment = BASE, .run = RUN - 1},
		.size = SIZE,
	};
	w->place = (struct snapshot_place){
		.paths = &w->paths,
		.base = &w->base,
		.run = RUN,
		.tracked = tracked,
	};
}

static void world_end(struct world *w)
{
	assert_int_equal(folder_remove(w->folder), 0);
}

/* A memory file with one page of its own; @label NULL: without. */
static int new_memory(const struct world *w, uint64_t size,
		      const struct snapshot_label *label)
{
	int fd = open(w->memory, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	if (size > 0) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		assert_int_equal(pwrite(fd, "volt", 4, 40 * PAGE_SIZE), 4);
	}
	if (label)
		snapshot_label_set(fd, label);
	return fd;
}

static bool has_labels(const struct world *w)
{
	const struct snapshot_label label = {.id = 1, .moment = 1};
	struct snapshot_label back;
	int fd = new_memory(w, SIZE, &label);
	bool has = snapshot_label_get(fd, &back) == LABEL_SURE;

	fd_close(&fd);
	assert_int_equal(unlink(w->memory), 0);
	return has;
}

/* Goes the diff on top of what is there (@under), and what does it need? */
static void expect(const struct world *w, bool under, uint64_t needs)
{
	struct err err = {0};
	uint64_t got;
	int fd;

	if (snapshot_layer(&w->place, &fd, &got, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fd >= 0, under);
	assert_int_equal(got, needs);
	fd_close(&fd);
}

static void expect_refusal(const struct world *w, const char *text)
{
	struct err err = {0};
	uint64_t needs;
	int fd;

	assert_int_equal(snapshot_layer(&w->place, &fd, &needs, &err), -EINVAL);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(err.text, w->memory));
	assert_non_null(strstr(err.text, text));
}

static void nothing_there(void **state)
{
	struct world w;
	int fd;

	(void)state;
	world_begin(&w, false);
	expect(&w, false, BASE);
	fd = new_memory(&w, 0, NULL);
	expect(&w, false, BASE);
	fd_close(&fd);
	world_end(&w);
}

/* A row: the label of the memory that is there, and what comes of it. */
struct row {
	struct snapshot_label label;
	bool tracked;
	bool under;
	uint64_t needs;
	const char *refused;
};

static void by_label(void **state)
{
	static const struct row rows[] = {
		/* The base: whole, then a diff of 5 itself. */
		{{BASE, BASE, 0, 1}, false, true, 0, NULL},
		{{BASE, BASE, 0, 1}, true, true, 0, NULL},
		{{3, BASE, 5, 1}, true, true, 5, NULL},
		/* Saved by this process since: whole, or a diff of the base. */
		{{9, 9, 0, RUN}, false, true, 0, NULL},
		{{9, 9, BASE, RUN}, false, false, BASE, NULL},
		/* The same of one that tracks: its diff has less. */
		{{9, 9, 0, RUN}, true, false, 0, "would be a mix"},
		{{9, 9, BASE, RUN}, true, false, 0, "would be a mix"},
		/* Of another process, of none, of another base. */
		{{9, 9, 0, RUN + 1}, false, false, 0, "would be a mix"},
		{{9, 9, 0, 0}, false, false, 0, "would be a mix"},
		{{9, 9, 4, RUN}, false, false, 0, "would be a mix"},
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int fd;

		world_begin(&w, rows[i].tracked);
		if (!has_labels(&w)) {
			world_end(&w);
			skip(); /* no extended attributes here */
		}
		fd = new_memory(&w, SIZE, &rows[i].label);
		if (rows[i].refused)
			expect_refusal(&w, rows[i].refused);
		else
			expect(&w, rows[i].under, rows[i].needs);
		fd_close(&fd);
		world_end(&w);
	}
}

/* Nobody's run is not that of a process which has saved nothing. */
static void no_run(void **state)
{
	const struct snapshot_label label = {.id = 9, .moment = 9};
	struct world w;
	int fd;

	(void)state;
	world_begin(&w, false);
	w.place.run = 0;
	if (!has_labels(&w)) {
		world_end(&w);
		skip();
	}
	fd = new_memory(&w, SIZE, &label);
	expect_refusal(&w, "would be a mix");
	fd_close(&fd);
	world_end(&w);
}

/* A copy without a label: known by the base's proof, or not at all. */
static void by_proof(void **state)
{
	static const uint64_t hot[] = {40};
	struct memory_picks fresh = {0};
	struct world w;
	int fd;

	(void)state;
	world_begin(&w, true);
	fd = new_memory(&w, SIZE, NULL);
	expect_refusal(&w, "cannot be told to be the memory");
	assert_int_equal(memory_prove(
				 &(struct memory_prove){
					 .fd = fd,
					 .size = SIZE,
					 .fresh = &fresh,
					 .hot = hot,
					 .nr_hot = 1,
				 },
				 &w.base.proof),
			 0);
	expect(&w, true, 0);
	assert_int_equal(pwrite(fd, "else", 4, 40 * PAGE_SIZE), 4);
	expect_refusal(&w, "cannot be told to be the memory");
	fd_close(&fd);
	/* Of another size it is none of this VM's, whatever it says. */
	fd = new_memory(&w, 2 * SIZE, &w.base.label);
	expect_refusal(&w, "cannot be told to be the memory");
	fd_close(&fd);
	world_end(&w);
}

/* A diff goes on top of a diff by their holes: those of a copy with others are
 * not what it holds. */
static void holes_of_a_copy(void **state)
{
	const struct snapshot_label label = {
		.id = 3, .moment = BASE, .base = 4, .run = RUN};
	struct world w;
	struct stat st;
	int fd;

	(void)state;
	world_begin(&w, true);
	if (has_labels(&w)) {
		fd = new_memory(&w, SIZE, &label);
		memory_map_set(fd, SIZE);
		expect(&w, true, 4);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(pwrite(fd, "", 1, 50 * PAGE_SIZE), 1);
		assert_int_equal(
			futimens(fd,
				 (struct timespec[2]){{.tv_nsec = UTIME_OMIT},
						      st.st_mtim}),
			0);
		expect_refusal(&w, "copied without its holes");
		fd_close(&fd);
	}
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(by_label),
		cmocka_unit_test(no_run),
		cmocka_unit_test(holes_of_a_copy),
		cmocka_unit_test(by_proof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
