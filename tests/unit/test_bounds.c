// SPDX-License-Identifier: Apache-2.0
/*
 * test_bounds.c - a console's log, and where a process's cgroups are
 */
#include "unit.h"

#include "base/fd.h"
#include "cli/vm_cgroup.h"
#include "vms/console_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* ---- the console's log ---- */

struct place {
	char folder[32];
	char file[48];
	char old[48];
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	if (!p)
		return -1;
	(void)snprintf(p->folder, sizeof(p->folder), "console-log-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	(void)snprintf(p->file, sizeof(p->file), "%s/log", p->folder);
	(void)snprintf(p->old, sizeof(p->old), "%s/log.1", p->folder);
	*state = p;
	return 0;
}

static int end_place(void **state)
{
	struct place *p = *state;
	int r;

	(void)chmod(p->folder, 0700);
	(void)unlink(p->file);
	(void)unlink(p->old);
	(void)rmdir(p->old);
	r = rmdir(p->folder);
	free(p);
	return r;
}

static size_t content(const char *path, char *out, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, out, size);

	assert_true(n >= 0);
	return (size_t)n;
}

/* Many times round: the last bytes are there, in order, and no more than two
 * files' worth. */
static void test_rounds(void **state)
{
	const struct place *p = *state;
	struct console_log log;
	struct err err = {0};
	char text[400];
	unsigned int next = 0;
	size_t n;

	assert_int_equal(console_log_open(&log, p->file, 100, &err), 0);
	for (unsigned int i = 0; i < 1000; i++) {
		char piece[32];
		size_t len = i % sizeof(piece);

		for (size_t k = 0; k < len; k++)
			piece[k] = (char)('a' + next++ % 23);
		assert_int_equal(console_log_write(&log, piece, len), 0);
		assert_true(content(p->file, text, sizeof(text)) <= 100);
		assert_true(content(p->old, text, sizeof(text)) <= 100);
	}
	n = content(p->old, text, sizeof(text));
	assert_int_equal(n, 100);
	n += content(p->file, text + n, sizeof(text) - n);
	for (size_t k = 0; k < n; k++)
		assert_int_equal(text[n - 1 - k],
				 'a' + (next - 1 - (unsigned int)k) % 23);
	console_log_close(&log);
}

/* One piece that is longer than both files. */
static void test_a_long_piece(void **state)
{
	const struct place *p = *state;
	struct console_log log;
	struct err err = {0};
	char piece[1050], text[200];

	memset(piece, 'x', sizeof(piece));
	assert_int_equal(console_log_open(&log, p->file, 100, &err), 0);
	assert_int_equal(console_log_write(&log, piece, sizeof(piece)), 0);
	assert_int_equal(content(p->file, text, sizeof(text)), 50);
	assert_int_equal(content(p->old, text, sizeof(text)), 100);
	console_log_close(&log);
}

/* It goes on behind what is there, and a larger one is replaced at once. */
static void test_goes_on(void **state)
{
	const struct place *p = *state;
	struct console_log log;
	struct err err = {0};
	char text[300];

	assert_int_equal(console_log_open(&log, p->file, 100, &err), 0);
	assert_int_equal(console_log_write(&log, "first", 5), 0);
	console_log_close(&log);
	assert_int_equal(console_log_open(&log, p->file, 100, &err), 0);
	assert_int_equal(console_log_write(&log, "second", 6), 0);
	console_log_close(&log);
	assert_int_equal(content(p->file, text, sizeof(text)), 11);
	assert_memory_equal(text, "firstsecond", 11);
	assert_int_equal(console_log_open(&log, p->file, 10, &err), 0);
	assert_int_equal(console_log_write(&log, "third", 5), 0);
	console_log_close(&log);
	assert_int_equal(content(p->old, text, sizeof(text)), 11);
	assert_int_equal(content(p->file, text, sizeof(text)), 5);
}

/* Where the old one cannot be put away it is emptied. */
static void test_no_place_for_the_old_one(void **state)
{
	const struct place *p = *state;
	struct console_log log;
	struct err err = {0};
	char text[300];

	assert_int_equal(mkdir(p->old, 0700), 0);
	assert_int_equal(console_log_open(&log, p->file, 10, &err), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(console_log_write(&log, "seven 7", 7), 0);
	assert_true(content(p->file, text, sizeof(text)) <= 10);
	console_log_close(&log);
}

static void test_refused(void **state)
{
	const struct place *p = *state;
	struct console_log log;
	struct err err = {0};
	char name[400], link[64];

	assert_int_equal(console_log_open(&log, p->folder, 9, &err), -EISDIR);
	console_log_close(&log);
	(void)snprintf(name, sizeof(name), "%s/", p->folder);
	assert_int_equal(console_log_open(&log, name, 9, &err), -EISDIR);
	console_log_close(&log);
	(void)snprintf(name, sizeof(name), "%s/%0254d", p->folder, 1);
	assert_int_equal(console_log_open(&log, name, 9, &err), -ENAMETOOLONG);
	console_log_close(&log);
	(void)snprintf(link, sizeof(link), "%s/log", p->folder);
	assert_int_equal(symlink("elsewhere", link), 0);
	assert_int_equal(console_log_open(&log, link, 9, &err), -ELOOP);
	console_log_close(&log);
	assert_int_equal(console_log_open(&log, "/dev/null", 9, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no plain file"));
	console_log_close(&log);
}

/* ---- cgroups ---- */

static void test_own(void **state)
{
	static const char text[] = "11:memory:/one\n"
				   "4:cpu,cpuacct:/two/three\n"
				   "3:name=systemd:/four\n"
				   "0::/five:six\n";
	static const struct {
		const char *text, *controller, *want;
	} rows[] = {
		{text, "memory", "/one"},
		{text, "cpu", "/two/three"},
		{text, "cpuacct", "/two/three"},
		{text, "cpua", ""},
		{text, "pids", ""},
		{text, NULL, "/five:six"},
		{"0::/\n", NULL, "/"},
		{"0::/no end", NULL, "/no end"},
		{"1:pids:/x\n", NULL, ""},
		{"", NULL, ""},
		{"", "cpu", ""},
		{"\n\n:\n::\n0:\n", NULL, ""},
		{"cpu\n1:cpu\n2:cpu:\n", "cpu", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *path;
		size_t len =
			vm_cgroup_own(rows[i].text, rows[i].controller, &path);

		print_message("%zu\n", i);
		assert_int_equal(len, strlen(rows[i].want));
		assert_memory_equal(path, rows[i].want, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rounds, make_place,
						end_place),
		cmocka_unit_test_setup_teardown(test_a_long_piece, make_place,
						end_place),
		cmocka_unit_test_setup_teardown(test_goes_on, make_place,
						end_place),
		cmocka_unit_test_setup_teardown(test_no_place_for_the_old_one,
						make_place, end_place),
		cmocka_unit_test_setup_teardown(test_refused, make_place,
						end_place),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
