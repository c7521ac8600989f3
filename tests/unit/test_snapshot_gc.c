// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_gc.c - what killed writers left is removed, and nothing else
 */
#include "snapshot_kit.h"
#include "unit.h"

#include "snapshot/gc.h"

#include <errno.h>
#include <sys/file.h>

#define STRANGER 54321u

/* What gc says, in numbers. */
struct told {
	struct gc gc;
	unsigned int nr[GC_LEFT + 1];
};

static void hear(struct gc *gc, enum gc_deed deed, const char *dir,
		 const char *name, const char *why)
{
	struct told *told = container_of(gc, struct told, gc);

	assert_true(*dir && *name && (why != NULL) == (deed == GC_LEFT));
	told->nr[deed]++;
}

static struct told run_gc(const char *dir, bool dry)
{
	struct told told = {.gc = {.dry = dry, .say = hear}};
	struct err err = {0};

	if (snapshot_gc(&told.gc, dir, &err) < 0)
		fail_msg("%s", err.text);
	return told;
}

static void say_nothing(struct gc *gc, enum gc_deed deed, const char *dir,
			const char *name, const char *why)
{
	(void)gc;
	(void)deed;
	(void)dir;
	(void)name;
	(void)why;
}

static int gc_alone(const struct world *w)
{
	struct gc gc = {.say = say_nothing};
	struct err err = {0};

	return snapshot_gc(&gc, w->dir, &err);
}

static int save_b(const struct world *w)
{
	return save(w, 0xb, true);
}

/* What a save that was killed at its @nr-th stop leaves. Return: it ended. */
static bool leave(const struct world *w, unsigned int nr)
{
	(void)count(w, true);
	assert_int_equal(save(w, 0xa, true), 0);
	return killed_at(save_b, w, nr);
}

static void after_each_kill_of_a_save(void **state)
{
	const struct world *w = *state;
	unsigned int named = 0, removed = 0;
	bool ended = false;

	for (unsigned int nr = 0; !ended; nr++) {
		unsigned int before;
		struct told dry, told;
		uint64_t id;

		ended = leave(w, nr);
		id = load(w);
		before = count(w, false);
		dry = run_gc(w->dir, true);
		assert_int_equal(count(w, false), before);
		assert_int_equal(load(w), id);
		told = run_gc(w->dir, false);
		assert_int_equal(load(w), id);
		if (count(w, false) != 2)
			fail_msg("killed at %u: files are left", nr);
		assert_int_equal(told.nr[GC_LEFT], 0);
		assert_int_equal(told.nr[GC_NAMED], dry.nr[GC_NAMED]);
		assert_int_equal(told.nr[GC_REMOVED], dry.nr[GC_REMOVED]);
		assert_int_equal(told.gc.nr_removed, told.nr[GC_REMOVED]);
		named += told.nr[GC_NAMED];
		removed += told.nr[GC_REMOVED];
	}
	assert_true(named > 0 && removed > named);
}

/* Where it has most to do: at each of its own system calls. */
static void killed_itself(void **state)
{
	const struct world *w = *state;
	unsigned int at[2] = {0}, most = 0;
	bool ended = false;

	for (unsigned int nr = 0; !ended; nr++) {
		struct told dry;

		ended = leave(w, nr);
		dry = run_gc(w->dir, true);
		if (dry.nr[GC_REMOVED] > most) {
			most = dry.nr[GC_REMOVED];
			at[0] = nr;
		}
		if (dry.nr[GC_NAMED] > 0)
			at[1] = nr;
	}
	assert_true(at[0] > 0 && at[1] > 0);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		ended = false;
		for (unsigned int nr = 0; !ended; nr++) {
			uint64_t id;

			(void)leave(w, at[i]);
			id = load(w);
			ended = killed_at(gc_alone, w, nr);
			assert_int_equal(load(w), id);
			(void)run_gc(w->dir, false);
			assert_int_equal(load(w), id);
			if (count(w, false) != 2)
				fail_msg("gc killed at %u: files are left", nr);
		}
	}
}

static void put(const struct world *w, const char *name, const char *text,
		uid_t owner)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	if (owner != geteuid())
		assert_int_equal(fchown(fd, owner, owner), 0);
	fd_close(&fd);
}

/* Whatever only looks like ours, and lock files of other programs. */
static void what_is_not_ours(void **state)
{
	static const char *const names[] = {
		"memory.snap.0000000000000002",
		"state.json.0000000000000002.tmp",
		"other.lock",
		".lock",
		"lock",
	};
	const struct world *w = *state;
	struct told told;

	assert_int_equal(save(w, 1, true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		put(w, names[i], i == 2 ? "" : "volt", geteuid());
	told = run_gc(w->dir, false);
	assert_int_equal(told.nr[GC_REMOVED] + told.nr[GC_LEFT], 0);
	put(w, "state.json.lock", "some text", geteuid());
	told = run_gc(w->dir, false);
	assert_int_equal(told.nr[GC_LEFT], 1);
	assert_int_equal(told.nr[GC_REMOVED], 0);
	assert_int_equal(count(w, false), 3 + ARRAY_SIZE(names) - 1);
	assert_int_equal(load(w), 1);
}

static void another_users_journal(void **state)
{
	const struct world *w = *state;

	if (geteuid() != 0)
		skip(); /* only root can give a file to another user */
	put(w, "state.json.lock", "", STRANGER);
	assert_int_equal(run_gc(w->dir, false).nr[GC_LEFT], 1);
	assert_int_equal(count(w, false), 1);
}

static void while_somebody_writes(void **state)
{
	const struct world *w = *state;
	struct snapshot_files files;
	struct err err = {0};

	assert_int_equal(save(w, 1, true), 0);
	assert_int_equal(snapshot_files_begin(&files, &w->paths, 2, &err), 0);
	assert_int_equal(run_gc(w->dir, false).nr[GC_LEFT], 1);
	assert_int_equal(count(w, false), 3);
	snapshot_files_end(&files);
}

/* An empty journal of a state of another name may be anybody's; one whose
 * state is damaged, or gone, tells too little. */
static void what_cannot_be_decided(void **state)
{
	const struct world *w = *state;
	unsigned int nr = 0;
	char path[128];
	int fd;

	put(w, "vm.lock", "", geteuid());
	assert_int_equal(run_gc(w->dir, false).nr[GC_REMOVED], 0);
	assert_int_equal(count(w, false), 1);
	/* Killed behind the second name of the old memory. */
	do
		(void)leave(w, nr++);
	while (count(w, false) < 4);
	(void)snprintf(path, sizeof(path), "%s/state.json", w->dir);
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	fd_close(&fd);
	assert_int_equal(run_gc(w->dir, false).nr[GC_LEFT], 1);
	assert_true(count(w, false) >= 4);
	assert_int_equal(unlink(path), 0);
	do
		(void)leave(w, nr++);
	while (count(w, false) < 6);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(run_gc(w->dir, false).nr[GC_LEFT], 1);
	assert_true(count(w, false) >= 5);
}

/* A directory in that of the test, whose files go first. */
static struct world below(const struct world *w)
{
	struct world sub;

	(void)snprintf(sub.dir, sizeof(sub.dir), "%.32s/sub", w->dir);
	assert_int_equal(mkdir(sub.dir, 0700), 0);
	assert_int_equal(snapshot_paths_in(&sub.paths, sub.dir), 0);
	return sub;
}

static void end_below(struct world *sub)
{
	(void)count(sub, true);
	assert_int_equal(rmdir(sub->dir), 0);
	snapshot_paths_free(&sub->paths);
}

/* State here, memory there: who sees one directory decides nothing. */
static void two_directories(void **state)
{
	const struct world *w = *state;
	struct world sub = below(w), two = *w;
	unsigned int left = 0;
	bool ended = false;

	two.paths = (struct snapshot_paths){
		.state = w->paths.state,
		.memory = sub.paths.memory,
	};
	for (unsigned int nr = 0; !ended; nr++) {
		struct told told;
		uint64_t id;

		assert_int_equal(save(&two, 0xa, true), 0);
		ended = killed_at(save_b, &two, nr);
		id = load(&two);
		told = run_gc(w->dir, false);
		assert_int_equal(told.nr[GC_NAMED], 0);
		/* At most the journal of one who was killed at once. */
		assert_true(told.nr[GC_REMOVED] <= 1);
		assert_int_equal(load(&two), id);
		left += told.nr[GC_LEFT];
	}
	assert_true(left > 0);
	end_below(&sub);
}

/* In a folder of snapshots, and through no link. */
static void a_folder(void **state)
{
	const struct world *w = *state;
	struct world sub = below(w);
	unsigned int nr = 0;
	char link[128];

	do
		(void)leave(&sub, nr++);
	while (count(&sub, false) < 5);
	(void)snprintf(link, sizeof(link), "%s/link", w->dir);
	assert_int_equal(symlink("sub", link), 0);
	assert_true(run_gc(w->dir, false).nr[GC_REMOVED] > 1);
	assert_int_equal(count(&sub, false), 2);
	end_below(&sub);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(after_each_kill_of_a_save), CASE(killed_itself),
		CASE(what_is_not_ours),          CASE(another_users_journal),
		CASE(while_somebody_writes),     CASE(what_cannot_be_decided),
		CASE(two_directories),           CASE(a_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
