// SPDX-License-Identifier: Apache-2.0
/*
 * test_allow.c - what --allow permits: by the text, and by the kernel
 *
 *   a/        f, dir/f, out -> ../other, in -> dir, ro/f
 *   ab/       f: looks like a/
 *   other/    f
 *   named     -> a
 */
#include "folder.h"
#include "unit.h"

#include "base/fd.h"
#include "host/allow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char top[] = "/tmp/volt-allow-XXXXXX";

static int make(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);

	fd_close(&fd);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	(void)memcpy(strrchr(top, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	if (!mkdtemp(top) || chdir(top) < 0 || mkdir("a", 0755) < 0 ||
	    mkdir("a/dir", 0755) < 0 || mkdir("a/ro", 0755) < 0 ||
	    mkdir("ab", 0755) < 0 || mkdir("other", 0755) < 0 ||
	    symlink("../other", "a/out") < 0 || symlink("dir", "a/in") < 0 ||
	    symlink("a", "named") < 0)
		return -1;
	return make("a/f") | make("a/dir/f") | make("a/ro/f") | make("ab/f") |
	       make("other/f");
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") < 0 || folder_remove(top) != 0;
}

/* Those of @texts up to NULL, opened. */
static void open_all(struct allow *allow, const char *const *texts)
{
	struct err err = {0};
	unsigned int nr = 0;

	while (texts[nr])
		nr++;
	assert_int_equal(allow_open(allow, texts, nr, &err), 0);
}

/* 0: it opens. */
static int try(struct allow *allow, enum path_role role, const char *path)
{
	struct err err = {0};
	int fd = path_open(&allow->opener, role, path, &err);
	int r = fd < 0 ? fd : 0;

	fd_close(&fd);
	assert_int_equal(err.rc, r);
	if (r == -EXDEV)
		assert_non_null(strstr(err.text, "--allow"));
	return r;
}

static int try_absolute(struct allow *allow, enum path_role role,
			const char *path)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "%s/%s", top, path);
	return try(allow, role, text);
}

/* Both as it is and below the directory of the test. */
static void paths(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} rows[] = {
		{"a/f", 0},
		{"a/dir/f", 0},
		{"a//dir/./f", 0},
		{"a/none", -ENOENT},
		{"a/f/", -ENOTDIR},
		{"a/f/.", -ENOTDIR},
		{"a/f/f", -ENOTDIR},
		{"ab/f", -EXDEV},
		{"other/f", -EXDEV},
		{"a/../other/f", -EXDEV},
		{"a/dir/../f", -EXDEV},
		{"a/../a/f", -EXDEV},
		{"other/../a/f", -EXDEV},
		{"a/out/f", -EXDEV},
		{"a/in/f", -EXDEV},
		{"named/f", -EXDEV},
		{"a", -EISDIR},
		{"a/", -EISDIR},
		{"", -EXDEV},
		{".", -EXDEV},
	};
	static const char *const texts[] = {"a", NULL};
	struct allow allow;

	(void)state;
	open_all(&allow, texts);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = rows[i].path[0] ? rows[i].rc : -ENOENT;
		int here = try(&allow, PATH_DISK, rows[i].path);
		int absolute = try_absolute(&allow, PATH_DISK, rows[i].path);

		if (here != rc || absolute != rows[i].rc)
			print_error("%s: %d, %d\n", rows[i].path, here,
				    absolute);
		assert_int_equal(here, rc);
		assert_int_equal(absolute, rows[i].rc);
	}
	assert_int_equal(try(&allow, PATH_DISK, "/proc/self/exe"), -EXDEV);
	assert_int_equal(try(&allow, PATH_DISK, "/"), -EXDEV);
	assert_int_equal(try(&allow, PATH_PLACE, "a"), 0);
	assert_int_equal(try(&allow, PATH_PLACE, "a/dir/"), 0);
	allow_close(&allow);
}

/* Where a relative path begins, ".." leads up from the working directory. */
static void up(void **state)
{
	static const char *const texts[] = {"a", NULL};
	struct allow allow;

	(void)state;
	assert_int_equal(chdir("other"), 0);
	open_all(&allow, (const char *const[]){"../a", NULL});
	assert_int_equal(try(&allow, PATH_DISK, "../a/f"), 0);
	assert_int_equal(try(&allow, PATH_DISK, ".././a/f"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "../ab/f"), -EXDEV);
	assert_int_equal(try(&allow, PATH_DISK, "f"), -EXDEV);
	assert_int_equal(
		try(&allow, PATH_DISK, "../../../../../../../../etc/passwd"),
		-EXDEV);
	allow_close(&allow);
	assert_int_equal(chdir(".."), 0);
	open_all(&allow, texts);
	assert_int_equal(try(&allow, PATH_DISK, "./a/f"), 0);
	allow_close(&allow);
}

static void magic_links(void **state)
{
	static const char *const texts[] = {"/proc", NULL};
	struct allow allow;

	(void)state;
	open_all(&allow, texts);
	assert_int_equal(try(&allow, PATH_KERNEL, "/proc/self/exe"), -EXDEV);
	assert_int_equal(try(&allow, PATH_KERNEL, "/proc/1/exe"), -EXDEV);
	assert_int_equal(try(&allow, PATH_KERNEL, "/proc/1/root/etc/passwd"),
			 -EXDEV);
	assert_int_equal(try(&allow, PATH_KERNEL, "/proc/version"), 0);
	/* A file of the kernel's is no disk here either. */
	assert_int_equal(try(&allow, PATH_DISK_RO, "/proc/version"), -ENOTBLK);
	allow_close(&allow);
}

static void read_only(void **state)
{
	static const char *const texts[] = {"a:ro", NULL};
	struct allow allow;

	(void)state;
	open_all(&allow, texts);
	assert_int_equal(try(&allow, PATH_DISK_RO, "a/f"), 0);
	assert_int_equal(try(&allow, PATH_FOLDER, "a"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "a/f"), -EXDEV);
	assert_int_equal(try(&allow, PATH_PLACE, "a"), -EXDEV);
	assert_int_equal(try(&allow, PATH_PARENT, "a/dir"), -EXDEV);
	assert_int_equal(try(&allow, PATH_LOG, "a/new"), -EXDEV);
	assert_int_equal(access("a/new", F_OK), -1);
	allow_close(&allow);
}

/* The innermost decides, in whatever order they come, by whatever name. */
static void nested(void **state)
{
	static const char *const orders[][4] = {
		{"a", "a/ro:ro"},
		{"a/ro:ro", "a"},
		{"named", "a/ro:ro"},
		{"named/ro/:ro", "a"},
		{"a", "a/ro", "named/ro:ro"},
		{"named/ro:ro", "a/ro", "a"},
	};
	struct allow allow;

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		open_all(&allow, orders[i]);
		assert_int_equal(try(&allow, PATH_DISK, "a/f"), 0);
		assert_int_equal(try(&allow, PATH_DISK, "a/ro/f"), -EXDEV);
		assert_int_equal(try(&allow, PATH_DISK, "a/dir/../ro/f"),
				 -EXDEV);
		assert_int_equal(try(&allow, PATH_DISK_RO, "a/ro/f"), 0);
		allow_close(&allow);
	}
	open_all(&allow, (const char *const[]){"a:ro", "a/dir", NULL});
	assert_int_equal(try(&allow, PATH_DISK, "a/f"), -EXDEV);
	assert_int_equal(try(&allow, PATH_DISK, "a/dir/f"), 0);
	allow_close(&allow);
	/* What is there by the outer one's other name, too. */
	open_all(&allow, (const char *const[]){"named", "a/ro:ro", NULL});
	assert_int_equal(try(&allow, PATH_DISK, "named/f"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "named/ro/f"), -EXDEV);
	assert_int_equal(try_absolute(&allow, PATH_DISK, "named/f"), 0);
	allow_close(&allow);
}

static void the_root(void **state)
{
	struct allow allow;

	(void)state;
	open_all(&allow, (const char *const[]){"/", NULL});
	assert_int_equal(try(&allow, PATH_DISK, "a/f"), 0);
	assert_int_equal(try(&allow, PATH_FOLDER, "/"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "a/in/f"), -EXDEV);
	allow_close(&allow);
	open_all(&allow, (const char *const[]){"/:ro", "a", NULL});
	assert_int_equal(try(&allow, PATH_DISK, "a/f"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "other/f"), -EXDEV);
	allow_close(&allow);
}

/* A directory stays what it is, whatever its name becomes. */
static void renamed(void **state)
{
	struct allow allow;

	(void)state;
	open_all(&allow, (const char *const[]){"a", NULL});
	assert_int_equal(rename("a", "away"), 0);
	assert_int_equal(symlink("other", "a"), 0);
	assert_int_equal(unlink("away/f"), 0);
	assert_int_equal(try(&allow, PATH_DISK, "a/f"), -ENOENT);
	assert_int_equal(try(&allow, PATH_DISK, "a/dir/f"), 0);
	allow_close(&allow);
}

static void what_is_missing(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"none", -ENOENT}, {"none:ro", -ENOENT}, {"a/f", -ENOTDIR},
		{"", -ENOENT},     {":ro", -ENOENT},     {"a:rw", -ENOENT},
	};
	const char *many[ALLOW_MAX + 1];
	struct allow allow;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const texts[] = {"a", rows[i].text};
		struct err err = {0};

		assert_int_equal(allow_open(&allow, texts, 2, &err),
				 rows[i].rc);
		assert_non_null(strstr(err.text, "--allow"));
		assert_non_null(strstr(err.text, rows[i].text));
		assert_int_equal(allow.nr, 0);
	}
	for (size_t i = 0; i <= ALLOW_MAX; i++)
		many[i] = "a";
	assert_int_equal(allow_open(&allow, many, ALLOW_MAX + 1, NULL), -E2BIG);
	assert_int_equal(allow_open(&allow, many, ALLOW_MAX, NULL), 0);
	allow_close(&allow);
	allow_close(&allow);
}

/* Roles that are no file are opened by others. */
static void other_roles(void **state)
{
	struct allow allow;

	(void)state;
	open_all(&allow, (const char *const[]){"/", NULL});
	assert_int_equal(try(&allow, PATH_API, "a/sock"), -EACCES);
	assert_int_equal(try(&allow, PATH_VSOCK_PEER, "a/sock"), -EACCES);
	assert_int_equal(try(&allow, PATH_KVM, NULL), -EACCES);
	allow_close(&allow);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paths),       TEST(up),
		TEST(magic_links), TEST(read_only),
		TEST(nested),      TEST(the_root),
		TEST(renamed),     TEST(what_is_missing),
		TEST(other_roles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
