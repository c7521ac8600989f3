// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_files.c - state.json, and the two files that are replaced
 * together, whatever happens in between
 */
#include "snapshot_kit.h"
#include "unit.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "snapshot/find.h"
#include "snapshot/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_new_one_takes_the_place(void **state)
{
	const struct world *w = *state;

	for (uint64_t id = 1; id < 4; id++) {
		assert_int_equal(save(w, id, true), 0);
		assert_int_equal(load(w), id);
		assert_int_equal(count(w, false), 2);
	}
	assert_int_equal(save(w, 4, false), 0); /* given up */
	assert_int_equal(load(w), 3);
	assert_int_equal(count(w, false), 2);
}

static int save_b(const struct world *w)
{
	return save(w, 0xb, true);
}

static void killed_at_every_system_call(void **state)
{
	const struct world *w = *state;
	unsigned int nr = 0, old = 0, new = 0;
	bool ended = false;

	for (; !ended; nr++) {
		uint64_t id;

		(void)count(w, true);
		assert_int_equal(save(w, 0xa, true), 0);
		ended = killed_at(save_b, w, nr);
		id = load(w);
		assert_true(id == 0xa || id == 0xb);
		if (id == 0xa) {
			/* Never back; a sanitizer makes now more, now fewer. */
			assert_true(new == 0 || IS_SANITIZED);
			old++;
		} else {
			new ++;
		}
		/* The next one leaves nothing of it. */
		assert_int_equal(save(w, 0xc, true), 0);
		assert_int_equal(load(w), 0xc);
		if (count(w, false) != 2)
			fail_msg("killed at %u: files are left", nr);
	}
	assert_true(old > 10 && new > 2);
}

/* Files that look like leftovers stay: nothing says that they are. */
static void what_is_not_ours_stays(void **state)
{
	static const char *const names[] = {
		"memory.snap.0000000000000002",
		"state.json.0000000000000002.tmp",
		"memory.snap.0000000000000001",
		"memory.snap.old",
	};
	const struct world *w = *state;
	char path[128];

	assert_int_equal(save(w, 1, true), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%s", w->dir, names[i]);
		fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		assert_int_equal(fd_write_full(fd, "mine", 4), 0);
		fd_close(&fd);
	}
	assert_int_equal(save(w, 3, true), 0);
	assert_int_equal(save(w, 4, true), 0);
	assert_int_equal(load(w), 4);
	assert_int_equal(count(w, false), 2 + ARRAY_SIZE(names));
}

/* Who may read the directory can lock that, and holds nobody up. */
static void one_writer_at_a_time(void **state)
{
	const struct world *w = *state;
	struct snapshot_files files;
	struct err err = {0};
	struct stat st;
	char lock[96];
	int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)snprintf(lock, sizeof(lock), "%s/state.json.lock", w->dir);
	assert_int_equal(flock(dir, LOCK_EX), 0);
	assert_int_equal(save(w, 1, true), 0);
	assert_int_equal(access(lock, F_OK), -1);
	assert_int_equal(snapshot_files_begin(&files, &w->paths, 2, &err), 0);
	assert_int_equal(stat(lock, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(save(w, 3, true), -EBUSY);
	snapshot_files_end(&files);
	assert_int_equal(save(w, 3, true), 0);
	assert_int_equal(load(w), 3);
	assert_int_equal(count(w, false), 2);
	fd_close(&dir);
}

/* A file of the lock's name that is none. */
static void a_strangers_lock_file(void **state)
{
	const struct world *w = *state;
	char lock[96], text[5] = "";
	int fd;

	(void)snprintf(lock, sizeof(lock), "%s/state.json.lock", w->dir);
	fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(fd_write_full(fd, "mine", 4), 0);
	assert_int_equal(save(w, 1, true), -EEXIST);
	assert_int_equal(fd_read_full(fd, text, 4, 0), 0);
	assert_string_equal(text, "mine");
	fd_close(&fd);
	assert_int_equal(unlink(lock), 0);
	assert_int_equal(symlink("elsewhere", lock), 0);
	assert_int_equal(save(w, 1, true), -EEXIST);
	/* Another user's journal would be obeyed. */
	assert_int_equal(unlink(lock), 0);
	fd = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_int_equal(fchmod(fd, 0622), 0);
	assert_int_equal(save(w, 1, true), -EEXIST);
	assert_int_equal(fchmod(fd, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 65534, 65534), 0);
		assert_int_equal(save(w, 1, true), -EEXIST);
	}
	fd_close(&fd);
	assert_int_equal(count(w, false), 1);
}

/* What is made there is another user's: NFS does that to root, and where a file
 * system has no owners all files belong to who mounted it. */
static void a_place_without_owners(void **state)
{
	const struct world *w = *state;
	int r;

	if (geteuid() != 0) {
		print_message("skipped: only root makes files of another "
			      "user\n");
		skip();
	}
	assert_int_equal(chmod(w->dir, 0777), 0);
	(void)setfsuid(65534);
	r = save(w, 1, true);
	if (r == 0)
		r = save(w, 2, true);
	(void)setfsuid(0);
	assert_int_equal(r, 0);
	assert_int_equal(load(w), 2);
	assert_int_equal(count(w, false), 2);
}

/* A directory into which all may put something, but that is closed to looks. */
static void a_parent_that_is_not_read(void **state)
{
	const struct world *w = *state;
	char parent[96], dir[128];
	struct err err = {0};
	bool made;
	int r;

	if (geteuid() != 0) {
		print_message("skipped: only root makes a directory that it "
			      "cannot read\n");
		skip();
	}
	(void)snprintf(parent, sizeof(parent), "%s/drop", w->dir);
	(void)snprintf(dir, sizeof(dir), "%s/s", parent);
	assert_int_equal(chmod(w->dir, 0777), 0);
	assert_int_equal(mkdir(parent, 0700), 0);
	assert_int_equal(chmod(parent, 01733), 0);
	(void)setfsuid(65534);
	r = snapshot_dir_make(&path_direct, dir, &made, &err);
	(void)setfsuid(0);
	assert_int_equal(r, 0);
	assert_true(made);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(rmdir(parent), 0);
}

/* The old memory is set aside when the state that the link names was read. */
static bool reads_through_link(const struct world *w, bool no_links)
{
	const struct path_ops ops = {
		.open = path_direct.ops->open,
		.no_links = no_links,
	};
	const struct path_opener opener = {.ops = &ops};
	struct snapshot_paths paths = w->paths;
	struct snapshot_files files;
	struct err err = {0};
	char other[96];
	bool read;

	(void)snprintf(other, sizeof(other), "%s/other", w->dir);
	assert_int_equal(save(w, 1, true), 0);
	assert_int_equal(rename(paths.state, other), 0);
	assert_int_equal(symlink("other", paths.state), 0);
	paths.opener = &opener;
	assert_int_equal(snapshot_files_begin(&files, &paths, 2, &err), 0);
	assert_int_equal(snapshot_files_commit(&files, &err), 0);
	read = files.aside[0] != '\0';
	snapshot_files_end(&files);
	assert_int_equal(count(w, true), 3);
	return read;
}

static void a_state_that_is_a_link(void **state)
{
	const struct world *w = *state;

	assert_true(reads_through_link(w, false));
	assert_false(reads_through_link(w, true));
}

static int begin_at(const struct world *w, const char *state,
		    const char *memory)
{
	struct snapshot_files files;
	char a[128], b[128];
	struct err err;
	int r;

	(void)snprintf(a, sizeof(a), "%s/%s", w->dir, state);
	(void)snprintf(b, sizeof(b), "%s/%s", w->dir, memory);
	r = snapshot_files_begin(
		&files, &(struct snapshot_paths){.state = a, .memory = b}, 1,
		&err);
	snapshot_files_end(&files);
	return r;
}

/* However it is spelled. */
static void two_names_of_one_file(void **state)
{
	const struct world *w = *state;
	char link[96];

	(void)snprintf(link, sizeof(link), "%s/l", w->dir);
	assert_int_equal(symlink(".", link), 0);
	assert_int_equal(begin_at(w, "f", "f"), -EINVAL);
	assert_int_equal(begin_at(w, "f", "/f"), -EINVAL);
	assert_int_equal(begin_at(w, "f", "./f"), -EINVAL);
	assert_int_equal(begin_at(w, "l/f", "f"), -EINVAL);
	assert_int_equal(begin_at(w, "f", "l/./l/f"), -EINVAL);
	/* What one of them is called on its way. */
	assert_int_equal(begin_at(w, "f", "l/f.lock"), -EINVAL);
	assert_int_equal(begin_at(w, "l/f.0123456789abcdef", "f"), -EINVAL);
	assert_int_equal(begin_at(w, "f", "f.mem"), 0);
	assert_int_equal(count(w, false), 1);
}

static void another_snapshots_memory(void **state)
{
	const struct world *w = *state;
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_reader reader;
	struct err err = {0};
	char kept[96];
	int r;

	assert_non_null(s);
	(void)snprintf(kept, sizeof(kept), "%s/kept", w->dir);
	assert_int_equal(save(w, 1, true), 0);
	assert_int_equal(rename(w->paths.memory, kept), 0);
	assert_int_equal(save(w, 2, true), 0);
	assert_int_equal(rename(kept, w->paths.memory), 0);
	r = snapshot_find(&reader, &w->paths, true, s, &err);
	free(s);
	snapshot_reader_end(&reader);
	if (r == 0) /* a file system without extended attributes */
		skip();
	assert_int_equal(r, -EINVAL);
	assert_non_null(strstr(err.text, "of another snapshot"));
}

#define NOBODY 65534

/* As before Linux 6.10, for who has no capability. */
static bool old_kernel;

int __real_linkat(int from, const char *name, int to, const char *other,
		  int flags);
int __wrap_linkat(int from, const char *name, int to, const char *other,
		  int flags);

int __wrap_linkat(int from, const char *name, int to, const char *other,
		  int flags)
{
	if (old_kernel && flags & AT_EMPTY_PATH) {
		errno = ENOENT;
		return -1;
	}
	return __real_linkat(from, name, to, other, flags);
}

/* What is left when somebody is killed before he commits. Return: files. */
static unsigned int saved_in_jail(const struct world *w, bool commit)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		char state[] = "/state.json", memory[] = "/memory.snap";
		const struct world jail = {
			.paths = {.state = state, .memory = memory}};
		struct snapshot_files files;

		if (chroot(w->dir) < 0 || chdir("/") < 0 ||
		    setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(90);
		if (commit)
			_exit(-save(&jail, 7, true) | -save(&jail, 8, true));
		_exit(-snapshot_files_begin(&files, &jail.paths, 9, NULL));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return count(w, false);
}

/* A real user without rights, and no /proc: names from the start. */
static void in_a_jail(void **state)
{
	const struct world *w = *state;

	if (geteuid() != 0)
		skip(); /* chroot() takes root */
	assert_int_equal(chown(w->dir, NOBODY, NOBODY), 0);
	for (int old = 0; old < 2; old++) {
		old_kernel = old;
		assert_int_equal(saved_in_jail(w, true), 2);
		assert_int_equal(load(w), 8);
		/* The lock; the two names, where there had to be some. */
		assert_in_range(saved_in_jail(w, false), old ? 5 : 3, 5);
		assert_int_equal(load(w), 8);
		assert_int_equal(saved_in_jail(w, true), 2);
	}
	old_kernel = false;
}

static void places_that_do_not_work(void **state)
{
	const struct world *w = *state;
	struct snapshot_files files;
	struct snapshot_reader reader;
	struct err err = {0};
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/no/s", w->dir);
	assert_int_equal(
		snapshot_files_begin(
			&files,
			&(struct snapshot_paths){.state = path,
						 .memory = w->paths.memory},
			1, &err),
		-ENOENT);
	assert_string_equal(err.text,
			    "Cannot perform open on the snapshot backing file: "
			    "No such file or directory (os error 2)");
	snapshot_files_end(&files);
	assert_int_equal(snapshot_files_begin(&files,
					      &(struct snapshot_paths){
						      .state = w->paths.state,
						      .memory = path},
					      1, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "on the memory backing file"));
	snapshot_files_end(&files);
	assert_int_equal(count(w, false), 0);
	assert_int_equal(snapshot_read_state(&reader, w->paths.state, &err),
			 -ENOENT);
	snapshot_reader_end(&reader);
	assert_int_equal(snapshot_read_state(&reader, w->dir, &err), -EINVAL);
	snapshot_reader_end(&reader);
	assert_int_equal(snapshot_read_state(&reader, "/dev/zero", &err),
			 -EINVAL);
	snapshot_reader_end(&reader);
}

/* ---- state.json ---- */

static void the_text_and_back(void **state)
{
	struct snapshot *s = sample(0x1234), *t = calloc(1, sizeof(*t));
	cleanup_buf struct buf a = {0}, b = {0};
	const char *second;
	struct err err;

	(void)state;
	assert_non_null(t);
	snapshot_encode(s, &a);
	assert_int_equal(snapshot_decode(a.data, a.len, t, &err), 0);
	snapshot_encode(t, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	assert_int_equal(t->head.id, 0x1234);
	assert_int_equal(t->vcpus[0].regs.rip, 0xfff0);
	assert_string_equal(t->devices[0].name, "serial");
	assert_true(snapshot_same_host(t, BOOT));
	/* What a person does: all but the first line. */
	second = (const char *)memchr(a.data, '\n', a.len) + 1;
	assert_int_equal(crc64(0, second, a.len - (size_t)(second - a.data)),
			 t->head.crc);
	t->host.boot[0] ^= 1; /* another boot: the CPU has to be asked */
	assert_true(snapshot_same_host(t, BOOT));
	t->host.features.word[3] ^= 1;
	assert_false(snapshot_same_host(t, BOOT));
	free(s);
	free(t);
}

/* Put the CRC right, as an attacker would. */
static void fix_crc(char *text, size_t len)
{
	const char *second = memchr(text, '\n', len);
	char digits[17];

	if (!second)
		return;
	second++;
	(void)snprintf(digits, sizeof(digits), "%016llx",
		       (unsigned long long)crc64(
			       0, second, len - (size_t)(second - text)));
	memcpy(text + 10, digits, 16);
}

static void every_length(void **state)
{
	struct snapshot *s = sample(5), *t = calloc(1, sizeof(*t));
	cleanup_buf struct buf a = {0};
	struct err err;

	(void)state;
	assert_non_null(t);
	snapshot_encode(s, &a);
	for (size_t len = 0; len < a.len; len++) {
		/* Exactly as long, so that ASan sees a step too far. */
		char *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, a.data, len);
		err.rc = 0;
		assert_true(snapshot_decode(cut, len, t, &err) < 0);
		assert_true(err.rc < 0);
		if (len > 30)
			fix_crc(cut, len);
		/* But for the last line's end. */
		assert_true(snapshot_decode(cut, len, t, &err) < 0 ||
			    len == a.len - 1);
		free(cut);
	}
	free(s);
	free(t);
}

/* H2, H3: each field is changed and the checksum put right: an answer, no
 * crash. The fuzz target of snapshots goes on from there. */
static void every_byte(void **state)
{
	struct snapshot *s = sample(5), *t = calloc(1, sizeof(*t));
	cleanup_buf struct buf a = {0};
	struct err err;

	(void)state;
	assert_non_null(t);
	snapshot_encode(s, &a);
	for (size_t i = 0; i < a.len; i++) {
		for (unsigned int bit = 0; bit < 8; bit += 3) {
			char old = a.data[i], digits[16];

			a.data[i] ^= (char)(1 << bit);
			assert_true(snapshot_decode(a.data, a.len, t, &err) <
				    0);
			memcpy(digits, a.data + 10, 16);
			fix_crc(a.data, a.len);
			(void)!snapshot_decode(a.data, a.len, t, &err);
			memcpy(a.data + 10, digits, 16);
			a.data[i] = old;
		}
	}
	assert_int_equal(snapshot_decode(a.data, a.len, t, &err), 0);
	free(s);
	free(t);
}

static void versions(void **state)
{
	static const struct {
		const char *version;
		int rc;
	} rows[] = {
		{"2.0.0", 0},         {"2.1.9", 0},        {"2.2.0", -ENOTSUP},
		{"3.0.0", -ENOTSUP},  {"1.0.0", -ENOTSUP}, {"2.0", -EINVAL},
		{"2.0.0.0", -EINVAL}, {"x", -EINVAL},      {"2.0.0x", -EINVAL},
		{"1..0", -EINVAL},
	};
	struct snapshot_head head = {.volt_version = "7.8.9"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		(void)snprintf(head.version, sizeof(head.version), "%s",
			       rows[i].version);
		assert_int_equal(snapshot_check_version(&head, &err),
				 rows[i].rc);
		if (rows[i].rc == -ENOTSUP)
			assert_non_null(strstr(err.text, "with Volt 7.8.9"));
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_new_one_takes_the_place),
		CASE(killed_at_every_system_call),
		CASE(what_is_not_ours_stays),
		CASE(one_writer_at_a_time),
		CASE(a_strangers_lock_file),
		CASE(a_place_without_owners),
		CASE(a_parent_that_is_not_read),
		CASE(a_state_that_is_a_link),
		CASE(two_names_of_one_file),
		CASE(another_snapshots_memory),
		CASE(in_a_jail),
		CASE(places_that_do_not_work),
		cmocka_unit_test(the_text_and_back),
		cmocka_unit_test(every_length),
		cmocka_unit_test(every_byte),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
