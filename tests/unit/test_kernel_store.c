// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernel_store.c - what is added is there whole or not at all
 */
#include "unit.h"

#include "store/store_priv.h"
#include "store/store_write.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/volt-store-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	return setenv("VOLT_STORE", folder, 1);
}

static int tear_down(void **state)
{
	static const char *const below[] = {STORE_NAMES, STORE_BLOBS, STORE_TMP,
					    STORE_INITRAMFS, "."};
	struct stores stores;
	struct err err;

	(void)state;
	(void)chmod(folder, 0755);
	assert_int_equal(stores_open(&stores, &store_kernels, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		struct buf names = {0};
		const char *at;
		unsigned int nr;

		assert_int_equal(store_list_folder(&stores.store[0], below[i],
						   &names, &nr),
				 0);
		at = names.data;
		for (unsigned int j = 0; j < nr; j++, at += strlen(at) + 1) {
			char path[300];

			(void)snprintf(path, sizeof(path), "%s/%s/%s", folder,
				       below[i], at);
			(void)unlink(path);
			(void)rmdir(path);
		}
		buf_free(&names);
	}
	stores_close(&stores);
	return rmdir(folder);
}

static unsigned int count(const struct store *store, const char *what)
{
	struct buf names = {0};
	unsigned int nr;

	assert_int_equal(store_list_folder(store, what, &names, &nr), 0);
	buf_free(&names);
	return nr;
}

static void open_all(struct stores *stores)
{
	struct err err;

	assert_int_equal(stores_open(stores, &store_kernels, &err), 0);
	assert_int_equal(store_create(stores_mine(stores), &err), 0);
}

/* A kernel of some text, and a configuration unless that is NULL. */
static int add(struct store *store, const char *name, const char *text,
	       const char *config, bool replace, struct err *err)
{
	cleanup_record struct record record = {.format = RECORD_FORMAT,
					       .name = strdup(name),
					       .origin = strdup("a test"),
					       .has_kernel = true};
	struct adding adding = {.store = store};
	int r = adding_text(&adding, text, strlen(text), &record.kernel, err);

	if (r == 0 && config) {
		record.has_config = true;
		r = adding_text(&adding, config, strlen(config), &record.config,
				err);
	}
	if (r == 0)
		r = adding_commit(&adding, &record, replace, err);
	adding_close(&adding);
	return r;
}

static void add_ok(struct store *store, const char *name, const char *text)
{
	struct err err = {0};

	assert_int_equal(add(store, name, text, NULL, false, &err), 0);
}

static void write_blob(const char *sha256, const char *text)
{
	char path[200];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/blobs/%s", folder, sha256);
	assert_int_equal(chmod(path, 0644), 0);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(close(fd), 0);
}

static void add_find_remove(void **state)
{
	struct record record = {0};
	struct stores stores;
	struct store *store, *where;
	char preset[RECORD_NAME_MAX + 1];
	struct err err = {0};

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	assert_int_equal(stores_default(&stores, preset, &err), -ENOENT);
	add_ok(store, "one", "first");
	add_ok(store, "two", "second");
	assert_int_equal(stores_default(&stores, preset, &err), 0);
	assert_string_equal(preset, "one");
	assert_int_equal(stores_find(&stores, "two", &record, &where, &err), 0);
	assert_int_equal(record.kernel.size, strlen("second"));
	assert_int_equal(
		store_use(where, "two", &record.kernel, NULL, NULL, &err), 0);
	/* The same again changes nothing; another one is refused. */
	assert_int_equal(add(store, "two", "second", NULL, false, &err), 1);
	assert_int_equal(add(store, "two", "other", NULL, false, &err),
			 -EEXIST);
	assert_int_equal(count(store, STORE_BLOBS), 2);
	assert_int_equal(count(store, STORE_TMP), 0);
	/* Of one that is replaced nothing stays. */
	assert_int_equal(add(store, "two", "other", NULL, true, &err), 0);
	assert_int_equal(count(store, STORE_BLOBS), 2);
	assert_int_equal(store_remove(store, "one", &err), 0);
	assert_int_equal(count(store, STORE_BLOBS), 1);
	assert_int_equal(stores_default(&stores, preset, &err), -ENOENT);
	assert_int_equal(store_remove(store, "one", &err), -ENOENT);
	record_free(&record);
	stores_close(&stores);
}

static void a_configuration_that_comes_later_is_kept(void **state)
{
	struct record record = {0};
	struct stores stores;
	struct store *store;
	struct buf text = {0};
	struct err err = {0};

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	add_ok(store, "one", "kernel");
	assert_int_equal(add(store, "one", "kernel", "CONFIG_A=y", false, &err),
			 0);
	/* And stays when the kernel comes again without it. */
	assert_int_equal(add(store, "one", "kernel", NULL, false, &err), 1);
	assert_int_equal(store_find(store, "one", &record, &err), 0);
	assert_true(record.has_config);
	assert_int_equal(store_read(store, "one", &record.config, &text, &err),
			 0);
	assert_int_equal(text.len, strlen("CONFIG_A=y"));
	/* Two kernels share a file, which goes with the last one. */
	assert_int_equal(add(store, "two", "other", "CONFIG_A=y", false, &err),
			 0);
	assert_int_equal(count(store, STORE_BLOBS), 3);
	assert_int_equal(store_remove(store, "one", &err), 0);
	assert_int_equal(count(store, STORE_BLOBS), 2);
	buf_free(&text);
	record_free(&record);
	stores_close(&stores);
}

static void what_was_changed_is_found(void **state)
{
	struct record record = {0};
	struct stores stores;
	struct store *store;
	struct err err = {0};

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	add_ok(store, "one", "kernel");
	assert_int_equal(store_find(store, "one", &record, &err), 0);
	/* The same size, another content. */
	write_blob(record.kernel.sha256, "Kernel");
	assert_int_equal(
		store_use(store, "one", &record.kernel, NULL, NULL, &err),
		-EBADMSG);
	assert_non_null(strstr(err.text, "is damaged"));
	assert_int_equal(store_verify(store, "one", &record.kernel, NULL, &err),
			 -EBADMSG);
	/* To add it again mends it. */
	assert_int_equal(add(store, "one", "kernel", NULL, false, &err), 1);
	record_free(&record);
	assert_int_equal(store_find(store, "one", &record, &err), 0);
	assert_int_equal(
		store_use(store, "one", &record.kernel, NULL, NULL, &err), 0);
	/* Written anew with the same content: read, and good. */
	write_blob(record.kernel.sha256, "kernel");
	assert_int_equal(
		store_use(store, "one", &record.kernel, NULL, NULL, &err), 0);
	store_note(store, &record);
	/* Cut short, and gone. */
	write_blob(record.kernel.sha256, "kern");
	assert_int_equal(
		store_use(store, "one", &record.kernel, NULL, NULL, &err),
		-EBADMSG);
	record_free(&record);
	stores_close(&stores);
}

static void a_damaged_record_stops_gc_and_can_be_removed(void **state)
{
	struct record record = {0};
	uint64_t files, bytes;
	struct stores stores;
	struct store *store;
	struct err err = {0};
	char path[100];
	int fd;

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	add_ok(store, "good", "kernel");
	add_ok(store, "bad", "other");
	(void)snprintf(path, sizeof(path), "%s/names/bad", folder);
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(fd_write_full(fd, "{\"format\": 1", 12), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(store_find(store, "bad", &record, &err), -EINVAL);
	assert_non_null(strstr(err.text, "`volt kernel rm bad` removes it"));
	record_free(&record);
	assert_int_equal(store_gc(store, &files, &bytes, &err), -EINVAL);
	assert_int_equal(count(store, STORE_BLOBS), 2);
	assert_int_equal(store_remove(store, "bad", &err), 0);
	assert_int_equal(count(store, STORE_BLOBS), 1);
	assert_int_equal(store_find(store, "good", &record, &err), 0);
	record_free(&record);
	stores_close(&stores);
}

/* A child that adds, and is killed with its file half written. */
static void an_add_that_is_killed_leaves_nothing(void **state)
{
	uint64_t files, bytes;
	struct stores stores;
	struct store *store;
	struct err err = {0};
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct adding adding = {0};
		int fd = -1;

		open_all(&stores);
		adding.store = stores_mine(&stores);
		if (adding_file(&adding, &fd, &err) < 0 ||
		    fd_write_full(fd, "half", 4) < 0 ||
		    write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	open_all(&stores);
	store = stores_mine(&stores);
	/* While it lives its file is not taken for a dead one's. */
	assert_int_equal(store_gc(store, &files, &bytes, &err), 0);
	assert_int_equal(files, 0);
	assert_int_equal(count(store, STORE_TMP), 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(store_gc(store, &files, &bytes, &err), 0);
	assert_int_equal(files, 1);
	assert_int_equal(count(store, STORE_TMP), 0);
	stores_close(&stores);
	assert_int_equal(close(ready[0]) | close(ready[1]), 0);
}

static void a_blob_without_a_record_is_collected(void **state)
{
	uint64_t files, bytes;
	struct stores stores;
	struct store *store;
	struct err err = {0};
	char path[100];

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	add_ok(store, "one", "kernel");
	(void)snprintf(path, sizeof(path), "%s/names/one", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_gc(store, &files, &bytes, &err), 0);
	assert_int_equal(files, 1);
	assert_int_equal(count(store, STORE_BLOBS), 0);
	stores_close(&stores);
}

/* A limit to the size of files stands in for a disk that is full. */
static void a_write_that_fails_changes_nothing(void **state)
{
	static char large[100000];
	struct rlimit old, small;
	struct stores stores;
	struct store *store;
	struct err err = {0};

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	add_ok(store, "one", "kernel");
	memset(large, 'x', sizeof(large) - 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 50000;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(add(store, "two", large, NULL, false, &err), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(err.text, "Cannot write into the kernel store"));
	assert_int_equal(count(store, STORE_NAMES), 1);
	assert_int_equal(count(store, STORE_BLOBS), 1);
	assert_int_equal(count(store, STORE_TMP), 0);
	stores_close(&stores);
}

static void a_store_that_others_write_is_refused(void **state)
{
	struct stores stores;
	struct err err = {0};

	(void)state;
	assert_int_equal(chmod(folder, 0775), 0);
	assert_int_equal(stores_open(&stores, &store_kernels, &err), -EPERM);
	assert_non_null(strstr(err.text, "not to be believed"));
	stores_close(&stores);
	assert_int_equal(chmod(folder, 0757), 0);
	assert_int_equal(stores_open(&stores, &store_kernels, &err), -EPERM);
	stores_close(&stores);
	if (geteuid() != 0)
		return;
	/* Of another user, also for root. */
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chown(folder, 12345, 12345), 0);
	assert_int_equal(stores_open(&stores, &store_kernels, &err), -EPERM);
	stores_close(&stores);
	assert_int_equal(chown(folder, 0, 0), 0);
}

static void an_initramfs_is_found_while_it_is_whole(void **state)
{
	const struct digest keys[] = {digest_of("a", 1), digest_of("b", 1)};
	const char *key = keys[0].hex, *other = keys[1].hex;
	char *path = NULL, *again = NULL;
	uint64_t files, bytes;
	struct stores stores;
	struct store *store;
	struct err err = {0};
	int fd;

	(void)state;
	open_all(&stores);
	store = stores_mine(&stores);
	assert_false(store_find_initramfs(store, key, &path));
	assert_int_equal(
		store_put_initramfs(store, key, "text", 4, &path, &err), 0);
	assert_false(store_find_initramfs(store, other, &again));
	assert_true(store_find_initramfs(store, key, &again));
	assert_string_equal(path, again);
	free(again);
	/* One that was changed is not. */
	assert_int_equal(chmod(path, 0644), 0);
	fd = open(path, O_WRONLY);
	assert_int_equal(fd_write_full(fd, "T", 1), 0);
	assert_int_equal(close(fd), 0);
	assert_false(store_find_initramfs(store, key, &again));
	free(path);
	assert_int_equal(
		store_put_initramfs(store, key, "text", 4, &path, &err), 0);
	assert_true(store_find_initramfs(store, key, &again));
	assert_int_equal(store_gc(store, &files, &bytes, &err), 0);
	assert_int_equal(files, 1);
	assert_int_equal(count(store, STORE_INITRAMFS), 0);
	free(path);
	free(again);
	stores_close(&stores);
}

static void names(void **state)
{
	static const char *const bad[] = {"",      ".",     "..", "a/b",
					  "-x",    "a b",   "\n", ".hidden",
					  "a\x80", "../etc"};

	(void)state;
	assert_true(record_is_name("6.1.0-56-cloud-amd64"));
	assert_true(record_is_name("6.12.117+deb13-cloud-amd64"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(record_is_name(bad[i]));
}

static void references(void **state)
{
	static const char *const bad[] = {"",     "/a",   "a/",     "a//b",
					  "a:",   "../a", "a/../b", "a%b",
					  "a/.b", "a b",  "a@b"};

	(void)state;
	assert_true(record_is_reference("debian:12"));
	assert_true(record_is_reference("localhost:5000/some/one:1.2_x"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(record_is_reference(bad[i]));
}

/* What a record names is a digest, whatever its file says. */
static void records_that_lie(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{\"format\":2,\"name\":\"a\",\"origin\":\"b\",\"added\":1,"
		"\"pinned\":false,\"pvh\":true,\"memory\":1,\"kernel\":{"
		"\"sha256\":\"\",\"size\":1,\"inode\":1,\"ctime_ns\":1}}",
		"{\"format\":1,\"name\":\"a\",\"origin\":\"b\",\"added\":1,"
		"\"pinned\":false,\"pvh\":true,\"memory\":1,\"kernel\":{"
		"\"sha256\":\"../../etc/passwd\",\"size\":1,\"inode\":1,"
		"\"ctime_ns\":1}}",
		"{\"format\":1,\"name\":\"a/b\",\"origin\":\"b\",\"added\":1,"
		"\"pinned\":false,\"pvh\":true,\"memory\":1,\"kernel\":{"
		"\"sha256\":\"0123456789abcdef0123456789abcdef0123456789abcdef"
		"0123456789abcdef\",\"size\":1,\"inode\":1,\"ctime_ns\":1}}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct record record;
		struct err err = {0};

		assert_int_equal(
			record_parse(bad[i], strlen(bad[i]), &record, &err),
			-EINVAL);
		assert_true(err.text[0]);
		record_free(&record);
	}
}

#define WITH_STORE(test) \
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(add_find_remove),
		WITH_STORE(a_configuration_that_comes_later_is_kept),
		WITH_STORE(what_was_changed_is_found),
		WITH_STORE(a_damaged_record_stops_gc_and_can_be_removed),
		WITH_STORE(an_add_that_is_killed_leaves_nothing),
		WITH_STORE(a_blob_without_a_record_is_collected),
		WITH_STORE(a_write_that_fails_changes_nothing),
		WITH_STORE(a_store_that_others_write_is_refused),
		WITH_STORE(an_initramfs_is_found_while_it_is_whole),
		cmocka_unit_test(names),
		cmocka_unit_test(references),
		cmocka_unit_test(records_that_lie),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
