// SPDX-License-Identifier: Apache-2.0
/*
 * test_hooks.c - programs of an image's, in order and in time
 */
#include "unit.h"

#include "folder.h"

#include "agent/hooks.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define LONG_MS 60000

static char home[32];
static char why[ERR_TEXT_MAX];

static int make_home(void **state)
{
	(void)state;
	(void)snprintf(home, sizeof(home), "/tmp/volt-hooks-XXXXXX");
	return mkdtemp(home) && chdir(home) == 0 && mkdir("d", 0755) == 0 ? 0
									  : -1;
}

static int end_home(void **state)
{
	(void)state;
	return chdir("/") == 0 ? folder_remove(home) : -1;
}

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

/* A hook that writes @line down, and then does @more. */
static void hook(const char *name, const char *line, const char *more)
{
	char path[300], text[512];

	(void)snprintf(path, sizeof(path), "d/%s", name);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\necho %s >>%s/out\n%s\n",
		       line, home, more);
	put(path, text, 0755);
}

static int run(unsigned int ms)
{
	char path[64];
	struct err err = {0};
	int r;

	(void)snprintf(path, sizeof(path), "%s/d", home);
	r = hooks_run(path, ms, &err);
	(void)snprintf(why, sizeof(why), "%s", err.text);
	return r;
}

static void said(const char *text)
{
	char got[512] = "";
	int fd = open("out", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		assert_true(read(fd, got, sizeof(got) - 1) >= 0);
		(void)close(fd);
	}
	assert_string_equal(got, text);
}

static void in_order(void **state)
{
	(void)state;
	assert_int_equal(run(LONG_MS), 0);
	hook("20-b", "two", "");
	hook("30-c", "three", "");
	hook(".hidden", "none", "");
	put("d/readme", "words", 0644);
	assert_int_equal(mkdir("d/folder", 0755), 0);
	hook("10-a", "one", "read x; test -z \"$x\" -a \"$PWD\" = /");
	assert_int_equal(run(LONG_MS), 0);
	said("one\ntwo\nthree\n");
}

static void no_folder(void **state)
{
	(void)state;
	assert_int_equal(hooks_run("/nonexistent/x", LONG_MS, NULL), 0);
	assert_int_equal(hooks_run("/dev/null", LONG_MS, NULL), 0);
}

static void one_that_fails(void **state)
{
	(void)state;
	hook("1", "one", "exit 7");
	hook("2", "two", "");
	assert_int_equal(run(LONG_MS), -ECANCELED);
	assert_non_null(strstr(why, "/d/1 ended with code 7"));
	said("one\n");
	hook("1", "again", "kill -9 $$");
	assert_int_equal(run(LONG_MS), -ECANCELED);
	assert_non_null(strstr(why, "/d/1 was ended by signal 9"));
	put("d/1", "no program", 0755);
	assert_int_equal(run(LONG_MS), -ECANCELED);
	assert_non_null(strstr(why, "code 126"));
}

/* It is killed, and what it started with it. */
static void one_that_does_not_end(void **state)
{
	char text[16] = "";
	int fd;

	(void)state;
	hook("1", "one", "sleep 1000 & echo $! >/dev/null; wait");
	hook("2", "two", "");
	assert_int_equal(run(300), -ETIMEDOUT);
	assert_non_null(strstr(why, "/d/1 did not end in time"));
	fd = open("out", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	(void)close(fd);
	assert_null(strstr(text, "two"));
}

static void too_many(void **state)
{
	char name[16];

	(void)state;
	for (unsigned int i = 0; i <= HOOKS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		hook(name, "x", "");
	}
	assert_int_equal(run(LONG_MS), -E2BIG);
	said("");
}

int main(void)
{
#define TEST(x) cmocka_unit_test_setup_teardown(x, make_home, end_home)
	const struct CMUnitTest tests[] = {
		TEST(in_order),       TEST(no_folder),
		TEST(one_that_fails), TEST(one_that_does_not_end),
		TEST(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
