// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernel_build.c - fragments of a configuration, sources, what is resumed
 */
#include "unit.h"

#include "kernel/build.h"
#include "store/tree.h"

#include "base/fd.h"
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int lay(struct fragments *all, const char *text)
{
	struct err err;

	return fragments_lay(all, "x", text, strlen(text), &err);
}

/* The value of an option; NULL: it is not named. */
static const char *value_of(const struct fragments *all, const char *name)
{
	for (size_t i = 0; i < all->nr; i++)
		if (strcmp(all->lines[i].name, name) == 0)
			return all->lines[i].value;
	return NULL;
}

static void fragments_are_laid_on_one_another(void **state)
{
	cleanup_fragments struct fragments all = {0};
	cleanup_buf struct buf text = {0};

	(void)state;
	assert_int_equal(lay(&all, "# Summary: x\n\nCONFIG_A=y\n# a word\n"
				   "CONFIG_B=\"b c\"\nCONFIG_LONG=64\n"),
			 0);
	assert_int_equal(lay(&all, "# CONFIG_A is not set\nCONFIG_C=m\n"
				   "CONFIG_LONG=8"),
			 0);
	assert_string_equal(value_of(&all, "A"), "n");
	assert_string_equal(value_of(&all, "LONG"), "8");
	assert_null(value_of(&all, "LON"));
	assert_null(value_of(&all, "D"));
	fragments_print(&all, &text);
	buf_add(&text, "", 1);
	assert_string_equal(text.data, "# CONFIG_A is not set\n"
				       "CONFIG_B=\"b c\"\nCONFIG_LONG=8\n"
				       "CONFIG_C=m\n");
}

static bool may_be_missing(const struct fragments *all, const char *name)
{
	for (size_t i = 0; i < all->nr; i++)
		if (strcmp(all->lines[i].name, name) == 0)
			return all->lines[i].maybe;
	fail();
	return false;
}

/* Up to an empty line; and the last line for an option says so of it, too. */
static void what_came_with_a_version_may_be_missing(void **state)
{
	cleanup_fragments struct fragments all = {0};

	(void)state;
	assert_int_equal(lay(&all, "CONFIG_A=y\n# Where Linux has them: x\n"
				   "CONFIG_B=y\n# a word\n"
				   "# CONFIG_C is not set\n\n"
				   "# Where it is\nCONFIG_D=y"),
			 0);
	assert_false(may_be_missing(&all, "A"));
	assert_true(may_be_missing(&all, "B"));
	assert_true(may_be_missing(&all, "C"));
	assert_false(may_be_missing(&all, "D"));
	assert_int_equal(lay(&all, "CONFIG_B=n\n# Where Linux has it\n"
				   "CONFIG_A=y\n"),
			 0);
	assert_true(may_be_missing(&all, "A"));
	assert_false(may_be_missing(&all, "B"));
}

static void what_is_no_option_is_refused(void **state)
{
	static const char *const bad[] = {
		"CONFIG_A",    "CONFIG_=y",  "CONFIG_A =y",
		"CONFIG_A=",   "config A=y", "A=y",
		" CONFIG_A=y", "\xff",       "CONFIG_A-B=y",
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cleanup_fragments struct fragments all = {0};
		char text[64];

		(void)snprintf(text, sizeof(text), "CONFIG_X=y\n%s\n", bad[i]);
		assert_int_equal(
			fragments_lay(&all, "mine", text, strlen(text), &err),
			-EINVAL);
		assert_non_null(strstr(err.text, "Line 2 of mine is neither"));
	}
}

static void what_kconfig_dropped_is_found(void **state)
{
	static const char config[] = "CONFIG_A=y\n# CONFIG_B is not set\n"
				     "CONFIG_N=8\nCONFIG_NOT_C=y\nCONFIG_D=y";
	cleanup_fragments struct fragments all = {0};
	const size_t len = sizeof(config) - 1;
	int at;

	(void)state;
	assert_int_equal(lay(&all, "CONFIG_A=y\nCONFIG_B=y\nCONFIG_N=64\n"
				   "CONFIG_C=y\n# CONFIG_E is not set\n"
				   "# CONFIG_D is not set\n"),
			 0);
	at = fragments_find_lost(&all, 0, config, len);
	assert_string_equal(all.lines[at].name, "B");
	at = fragments_find_lost(&all, (size_t)at + 1, config, len);
	assert_string_equal(all.lines[at].name, "N");
	at = fragments_find_lost(&all, (size_t)at + 1, config, len);
	assert_string_equal(all.lines[at].name, "C");
	at = fragments_find_lost(&all, (size_t)at + 1, config, len);
	assert_string_equal(all.lines[at].name, "D");
	assert_int_equal(fragments_find_lost(&all, (size_t)at + 1, config, len),
			 -1);
}

/* A folder, and files in it. */
struct world {
	char folder[64];
};

static void put(const struct world *w, const char *name, const char *text,
		time_t when)
{
	cleanup_free char *path = tree_path(w->folder, name);
	const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(futimens(fd, times), 0);
	fd_close(&fd);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)snprintf(w->folder, sizeof(w->folder), "/tmp/volt-unit-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	int r = folder_remove(w->folder);

	free(w);
	return r;
}

static void names_are_chosen(void **state)
{
	const struct world *w = *state;
	cleanup_buf struct buf names = {0}, none = {0};
	unsigned int nr = 0;
	struct err err;

	put(w, "base.config", "# Summary: all\n", 1);
	put(w, "net.config", "", 1);
	put(w, "fs.config", "", 1);
	put(w, "erofs.config", "", 1);
	put(w, ".hidden.config", "", 1);
	put(w, "README", "", 1);
	assert_int_equal(
		fragment_names(w->folder, "net,fs,net,base", &names, &nr, &err),
		0);
	assert_int_equal(nr, 2);
	assert_memory_equal(names.data, "fs\0net", 7);
	for (const char *const *bad =
		     (const char *const[]){"nets", "net,,fs", "ne", "../net",
					   "README", NULL};
	     *bad; bad++) {
		assert_int_equal(
			fragment_names(w->folder, *bad, &none, &nr, &err),
			-EINVAL);
		assert_non_null(strstr(err.text, "there are erofs, fs, net"));
	}
}

static void a_version_is_read(void **state)
{
	char version[32];

	(void)state;
	assert_true(source_version("# SPDX\nVERSION = 6\nPATCHLEVEL = 1\n"
				   "SUBLEVEL = 192\nEXTRAVERSION =\n",
				   version));
	assert_string_equal(version, "6.1.192");
	assert_false(source_version("all:\n\tcc -o x x.c\n", version));
	assert_false(source_version("VERSION = x\nPATCHLEVEL = 1\n", version));
	assert_false(source_version("", version));
}

static void a_folder_that_is_no_source(void **state)
{
	static const char makefile[] =
		"VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 2\n";
	cleanup_free char *path = NULL;
	const struct world *w = *state;
	struct err err;

	for (int step = 0; step < 3; step++) {
		cleanup_source struct source source = {0};

		if (step == 1)
			put(w, "Makefile", "VERSION = 6\n", 1);
		if (step == 2)
			put(w, "Makefile", makefile, 1);
		assert_int_equal(source_of_folder(w->folder, &source, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, "no source tree of Linux"));
	}
	put(w, "Kbuild", "", 1);
	path = tree_path(w->folder, "arch");
	assert_int_equal(mkdir(path, 0755), 0);
	free(ptr_steal(path));
	path = tree_path(w->folder, "arch/x86");
	assert_int_equal(mkdir(path, 0755), 0);
	for (int built = 0; built < 2; built++) {
		cleanup_source struct source source = {0};

		if (built)
			put(w, ".config", "", 1);
		assert_int_equal(source_of_folder(w->folder, &source, &err),
				 built ? -EINVAL : 0);
		if (built)
			assert_non_null(strstr(err.text, "make mrproper"));
		else
			assert_string_equal(source.version, "6.1.2");
	}
}

/* What a killed compiler left is newer than what Kbuild notes behind it, or
 * nothing is noted. */
static void unfinished_objects_go(void **state)
{
	const struct world *w = *state;

	put(w, "whole.o", "o", 10);
	put(w, ".whole.o.cmd", "cmd", 10);
	put(w, "older.o", "o", 10);
	put(w, ".older.o.cmd", "cmd", 11);
	put(w, "first.o", "o", 10);
	put(w, "again.o", "o", 12);
	put(w, ".again.o.cmd", "cmd", 11);
	put(w, "lib.a", "a", 12);
	put(w, "source.c", "c", 12);
	assert_int_equal(build_drop_unfinished(w->folder), 3);
	assert_true(tree_has(w->folder, "whole.o"));
	assert_true(tree_has(w->folder, "older.o"));
	assert_true(tree_has(w->folder, "source.c"));
	assert_false(tree_has(w->folder, "first.o"));
	assert_false(tree_has(w->folder, "again.o"));
	assert_false(tree_has(w->folder, "lib.a"));
	assert_int_equal(build_drop_unfinished(w->folder), 0);
}

/* All objects depend on objtool, whose libraries have nothing noted. */
static void objtool_is_not_linked_again(void **state)
{
	const struct world *w = *state;
	cleanup_free char *tools = tree_path(w->folder, "tools");
	cleanup_free char *folder = tree_path(w->folder, "tools/objtool");
	cleanup_free char *tool = tree_path(folder, "objtool");

	assert_int_equal(mkdir(tools, 0755), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	put(w, "tools/objtool/lib.a", "a", 10);
	put(w, "tools/objtool/objtool", "whole", 11);
	assert_int_equal(chmod(tool, 0755), 0);
	assert_int_equal(build_drop_unfinished(w->folder), 0);
	/* A library that is newer than it may be half written. */
	put(w, "tools/objtool/late.a", "a", 12);
	assert_int_equal(build_drop_unfinished(w->folder), 1);
	assert_false(tree_has(folder, "late.a"));
	/* So may be all, while it was not linked to its end. */
	assert_int_equal(chmod(tool, 0644), 0);
	assert_int_equal(build_drop_unfinished(w->folder), 1);
	assert_false(tree_has(folder, "lib.a"));
}

static void a_source_is_unpacked_once_and_cleaned(void **state)
{
	const struct world *w = *state;
	cleanup_free char *cache = tree_path(w->folder, "cache");
	cleanup_free char *left = tree_path(cache, "source-x.part");
	uint64_t folders;
	struct err err;

	assert_int_equal(source_make_cache(cache, &err), 0);
	assert_int_equal(mkdir(left, 0755), 0);
	put(w, "cut.tar", "this is no archive", 1);
	for (int i = 0; i < 2; i++) {
		cleanup_free char *tar = tree_path(w->folder, "cut.tar");
		cleanup_source struct source source = {0};

		assert_true(source_of_tarball(tar, cache, "x", NULL, &source,
					      &err) < 0);
		assert_non_null(strstr(err.text, "cannot be unpacked"));
		assert_false(source_is_cached(cache, "x"));
	}
	assert_false(tree_has(cache, "source-x.part"));
	free(ptr_steal(left));
	left = tree_path(cache, "build-1");
	assert_int_equal(mkdir(left, 0755), 0);
	for (int held = 1; held >= 0; held--) {
		int fd = -1;

		if (held)
			assert_int_equal(
				source_hold(left, false, NULL, "", &fd, &err),
				0);
		source_clean_cache(cache, &folders);
		assert_int_equal(folders, held ? 0 : 1);
		if (held)
			fd_close(&fd);
	}
	assert_false(tree_has(cache, "build-1"));
}

static void a_log_is_read(void **state)
{
	static const char log[] = "  CC      init/main.o\n  HOSTCC  a\n"
				  "x.c:1: error: no such thing\nmake: *** x\n"
				  "  warning\n Q\n  \n  C";
	static const char dry[] = "set -e;  echo '  CC      a.o'; gcc\n"
				  "echo nothing\n:;  echo '  LD      b.o';\n";
	char text[256], left[32];

	(void)state;
	assert_int_equal(build_count_steps(log, sizeof(log) - 1, false), 2);
	assert_int_equal(build_count_steps(dry, sizeof(dry) - 1, true), 2);
	build_find_error(log, sizeof(log) - 1, text);
	assert_string_equal(text, "x.c:1: error: no such thing");
	build_find_error("", 0, text);
	assert_string_equal(text, "");
	build_find_error("a\nNo rule", 9, text);
	assert_string_equal(text, "No rule");
	assert_string_equal(build_time_left(60000, 100, 400, left),
			    "3 min left");
	assert_string_equal(build_time_left(1000, 100, 101, left), "0 s left");
	assert_string_equal(build_time_left(10000, 10, 50, left), "40 s left");
	assert_string_equal(build_time_left(10000, 0, 0, left), "0 s left");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments_are_laid_on_one_another),
		cmocka_unit_test(what_came_with_a_version_may_be_missing),
		cmocka_unit_test(what_is_no_option_is_refused),
		cmocka_unit_test(what_kconfig_dropped_is_found),
		cmocka_unit_test_setup_teardown(names_are_chosen, set_up,
						tear_down),
		cmocka_unit_test(a_version_is_read),
		cmocka_unit_test_setup_teardown(a_folder_that_is_no_source,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(unfinished_objects_go, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(objtool_is_not_linked_again,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_source_is_unpacked_once_and_cleaned, set_up,
			tear_down),
		cmocka_unit_test(a_log_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
