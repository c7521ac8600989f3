// SPDX-License-Identifier: Apache-2.0
/*
 * test_jailer.c - the jailer's command line, mount tables, the note that asks
 * for /proc, and names that others have planted
 */
#include "unit.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "host/cgroup_mount.h"
#include "host/handover.h"
#include "jailer/place.h"
#include "jailer/plan.h"

/* ---- words ---- */

static void test_ids(void **state)
{
	char text[80] = "";
	struct err err;

	(void)state;
	assert_int_equal(plan_check_id("a", &err), 0);
	assert_int_equal(plan_check_id("Az-09", &err), 0);
	memset(text, 'x', 64);
	assert_int_equal(plan_check_id(text, &err), 0);
	text[64] = 'x';
	assert_int_equal(plan_check_id(text, &err), -EINVAL);
	assert_string_equal(err.text, "Invalid instance ID: Invalid len (65);  "
				      "the length must be between 1 and 64");
	assert_int_equal(plan_check_id("", &err), -EINVAL);
	assert_int_equal(plan_check_id("ab/cd", &err), -EINVAL);
	assert_string_equal(err.text, "Invalid instance ID: Invalid char (/) "
				      "at position 2");
	for (const char *const *bad =
		     (const char *const[]){"..", ".", "a b", "a_b", "a\n",
					   "\xc3\xa9", "a.b", NULL};
	     *bad; bad++)
		assert_int_equal(plan_check_id(*bad, &err), -EINVAL);
}

static void test_users(void **state)
{
	static const char *const bad[] = {
		"",   "-1",         "+1",         "x",   "1x",
		" 1", "4294967295", "4294967296", "0x1", "1.0"};
	struct err err;
	uint32_t n = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(plan_parse_user("uid", bad[i], &n, &err),
				 -EINVAL);
	assert_int_equal(n, 7);
	assert_string_equal(err.text, "Invalid uid: 1.0");
	assert_int_equal(plan_parse_user("gid", "4294967294", &n, &err), 0);
	assert_int_equal(n, 4294967294u);
	assert_int_equal(plan_parse_user("gid", "0", &n, &err), 0);
	assert_int_equal(n, 0);
}

static void test_limits(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} bad[] = {
		{"no-file", "Invalid format for resources limits: no-file"},
		{"", "Invalid format for resources limits: "},
		{"no-file=", "Invalid limit value for resource: : cannot parse "
			     "integer from empty string"},
		{"no-file=-1", "Invalid limit value for resource: -1: invalid "
			       "digit found in string"},
		{"fsize=1k", "Invalid limit value for resource: 1k: invalid "
			     "digit found in string"},
		{"fsize=18446744073709551616",
		 "Invalid limit value for resource: 18446744073709551616: "
		 "number too large to fit in target type"},
		{"size=1", "Invalid resource argument: size"},
		{"=1", "Invalid resource argument: "},
		{"fsiz=1", "Invalid resource argument: fsiz"},
		{"fsizes=1", "Invalid resource argument: fsizes"},
	};
	struct plan_limits limits = {.no_file = 2048};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(plan_parse_limit(bad[i].text, &limits, &err),
				 -EINVAL);
		assert_string_equal(err.text, bad[i].said);
	}
	assert_false(limits.has_fsize);
	assert_int_equal(limits.no_file, 2048);
	assert_int_equal(
		plan_parse_limit("fsize=18446744073709551615", &limits, &err),
		0);
	assert_true(limits.has_fsize && limits.fsize == UINT64_MAX);
	assert_int_equal(plan_parse_limit("no-file=0", &limits, &err), 0);
	assert_int_equal(limits.no_file, 0);
}

static void test_required(void **state)
{
	struct jailer_options opts = {0};
	struct err err;

	(void)state;
	assert_int_equal(plan_check_required(&opts, &err), -EINVAL);
	assert_string_equal(err.text,
			    "Argument 'exec-file' required, but not found.");
	opts = (struct jailer_options){.exec_file = "x", .gid = "1", .id = "a"};
	assert_int_equal(plan_check_required(&opts, &err), -EINVAL);
	assert_string_equal(err.text,
			    "Argument 'uid' required, but not found.");
	opts.uid = "1";
	assert_int_equal(plan_check_required(&opts, &err), 0);
}

/* ---- cgroups ---- */

static void test_cgroup_settings(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} bad[] = {
		{"cpu.shares", "Invalid format for cgroups: cpu.shares"},
		{"cpu.shares=", "Invalid format for cgroups: cpu.shares="},
		{"", "Invalid format for cgroups: "},
		{"cpushares=1", "Cgroup invalid file: cpushares"},
		{"cpushares=1.5", "Cgroup invalid file: cpushares"},
		{"cpu.=1", "Cgroup invalid file: cpu."},
		{".cpu=1", "Cgroup invalid file: .cpu"},
		{"=1", "Cgroup invalid file: "},
		{"..=1", "Cgroup invalid file: .."},
		{"../cpu.shares=1", "Cgroup invalid file: ../cpu.shares"},
		{"cpu/../x.y=1", "Cgroup invalid file: cpu/../x.y"},
		{"/etc/x.conf=1", "Cgroup invalid file: /etc/x.conf"},
	};
	struct cgroup_setting s;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(cgroup_parse(bad[i].text, &s, &err), -EINVAL);
		assert_string_equal(err.text, bad[i].said);
	}
	assert_int_equal(cgroup_parse("memory.swap.max=0", &s, &err), 0);
	assert_int_equal(s.controller_len, strlen("memory"));
	assert_int_equal(s.file_len, strlen("memory.swap.max"));
	assert_string_equal(s.value, "0");
	/* A value may have anything. */
	assert_int_equal(cgroup_parse("io.max=8:0 rbps=1", &s, &err), 0);
	assert_string_equal(s.value, "8:0 rbps=1");
}

static void test_cgroup_versions_and_parents(void **state)
{
	static const char *const bad[] = {"/a",  "..",    ".",      "a/..",
					  "./a", "a/./b", "a/../b", "../a"};
	static const char *const good[] = {"",      "a",   "a/b",
					   "a//b/", "...", "a..b"};
	unsigned int version = 9;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cgroup_check_parent(bad[i], &err), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(cgroup_check_parent(good[i], &err), 0);
	assert_int_equal(cgroup_parse_version("3", &version, &err), -EINVAL);
	assert_string_equal(err.text,
			    "3 is an invalid cgroup version specifier");
	assert_int_equal(cgroup_parse_version("", &version, &err), -EINVAL);
	assert_int_equal(cgroup_parse_version("1x", &version, &err), -EINVAL);
	assert_int_equal(version, 9);
	assert_int_equal(cgroup_parse_version("2", &version, &err), 0);
	assert_int_equal(version, 2);
}

/* The mount point that is found, or NULL. */
static char *find(const char *mounts, unsigned int version, const char *name)
{
	char *out = NULL;
	bool any;
	int r = cgroup_find_mount(mounts, version, name, strlen(name), &out,
				  &any);

	assert_true(r == 0 || r == -ENOENT);
	assert_true(r < 0 || any);
	return r == 0 ? out : NULL;
}

static void test_mounts(void **state)
{
	static const char text[] =
		"proc /proc proc rw 0 0\n"
		"cgroup2 /sys/fs/cgroup/my\\040one cgroup2 rw,nsdelegate 0 0\n"
		"cgroup /sys/cpu cgroup rw,cpu,cpuacct 0 0\n"
		"x\\040y /sys/m\\134x cgroup rw,memory 0 0\n"
		"cgroup2 /second cgroup2 rw 0 0\n"
		"torn /torn cgroup\n"
		"memory2 /fake tmpfs rw,cpuset 0 0";
	static const struct {
		unsigned int version;
		const char *name;
		const char *path;
	} rows[] = {
		{1, "cpu", "/sys/cpu"},
		{1, "cpuacct", "/sys/cpu"},
		{1, "memory", "/sys/m\\x"},
		{1, "cpuset", NULL},
		{1, "cp", NULL},
		{1, "cpu,cpuacct", NULL},
		{1, "", NULL},
		{2, "whatever", "/sys/fs/cgroup/my one"},
	};
	bool any = true;
	char *out = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *path = find(text, rows[i].version, rows[i].name);

		if (rows[i].path)
			assert_string_equal(path, rows[i].path);
		else
			assert_null(path);
		free(path);
	}
	assert_int_equal(
		cgroup_find_mount("a b c d 0 0\n", 2, "", 0, &out, &any),
		-ENOENT);
	assert_false(any);
	assert_true(cgroup_lists("cpu io memory", "io", 2));
	assert_true(cgroup_lists("cpu io memory", "memory", 6));
	assert_false(cgroup_lists("cpuset io", "cpu", 3));
	assert_false(cgroup_lists("", "cpu", 3));
}

/* ---- the note ---- */

#define ELF_BYTES (offsetof(struct elf, number) + 4)

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	Elf64_Nhdr other;
	char other_text[8];
	Elf64_Nhdr note;
	char owner[8];
	uint32_t number;
};

static struct elf good_elf(void)
{
	return (struct elf){
		.eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64},
		       .e_phoff = offsetof(struct elf, ph),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 2},
		.ph = {{.p_type = PT_LOAD},
		       {.p_type = PT_NOTE,
			.p_offset = offsetof(struct elf, other),
			.p_filesz = ELF_BYTES - offsetof(struct elf, other)}},
		.other = {.n_namesz = 4, .n_descsz = 3, .n_type = 1},
		.other_text = "GNU\0abc",
		.note = {.n_namesz = 5, .n_descsz = 4, .n_type = 1},
		.owner = "Volt",
		.number = HANDOVER_PROC_FD,
	};
}

static bool wanted(const void *bytes, size_t len)
{
	cleanup_fd int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, bytes, len), 0);
	return handover_wanted(fd);
}

static void test_note(void **state)
{
	struct elf elf = good_elf();

	(void)state;
	assert_true(wanted(&elf, ELF_BYTES));
	/* Every file that is cut short. */
	for (size_t len = 0; len < ELF_BYTES; len++)
		assert_false(wanted(&elf, len));
	elf.number++;
	assert_false(wanted(&elf, ELF_BYTES));
	elf = good_elf();
	elf.owner[0] = 'v';
	assert_false(wanted(&elf, ELF_BYTES));
	elf = good_elf();
	elf.note.n_type = 2;
	assert_false(wanted(&elf, ELF_BYTES));
	elf = good_elf();
	elf.eh.e_ident[EI_CLASS] = ELFCLASS32;
	assert_false(wanted(&elf, ELF_BYTES));
	assert_false(wanted("#!/bin/sh\n", 10));
}

static void test_hostile_notes(void **state)
{
	static const uint64_t odd[] = {0,          1,         3,
				       UINT32_MAX, INT64_MAX, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct elf elf = good_elf();

		elf.other.n_namesz = (uint32_t)odd[i];
		elf.other.n_descsz = (uint32_t)odd[i];
		(void)wanted(&elf, ELF_BYTES);
		elf = good_elf();
		elf.eh.e_phoff = odd[i];
		assert_false(wanted(&elf, ELF_BYTES));
		elf = good_elf();
		elf.ph[1].p_offset = odd[i];
		assert_false(wanted(&elf, ELF_BYTES));
		elf = good_elf();
		elf.ph[1].p_filesz = odd[i];
		assert_false(wanted(&elf, ELF_BYTES));
		elf = good_elf();
		elf.eh.e_phnum = (uint16_t)odd[i];
		(void)wanted(&elf, ELF_BYTES);
	}
}

/* ---- names that are there ---- */

struct folder {
	char path[32];
	int fd;
	struct place place;
};

static struct folder new_folder(void)
{
	struct folder f = {.path = "/tmp/jailer.XXXXXX"};

	assert_non_null(mkdtemp(f.path));
	f.fd = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f.fd >= 0);
	f.place = (struct place){.us = geteuid(), .uid = 12345, .gid = 12345};
	return f;
}

/* What the test left is removed by name: none of it is a surprise. */
static void remove_folder(struct folder *f)
{
	static const char *const names[] = {"victim", "link", "file"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (unlinkat(f->fd, names[i], 0) < 0)
			(void)unlinkat(f->fd, names[i], AT_REMOVEDIR);
	fd_close(&f->fd);
	assert_int_equal(rmdir(f->path), 0);
}

static void make_file(int at, const char *name, const char *text)
{
	cleanup_fd int fd =
		openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

static void assert_file(int at, const char *name, const char *text)
{
	cleanup_fd int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	char got[32] = "";

	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	assert_string_equal(got, text);
}

static void test_planted_files(void **state)
{
	struct folder f = new_folder();
	const char *why;

	(void)state;
	make_file(f.fd, "victim", "mine");
	assert_int_equal(symlinkat("victim", f.fd, "link"), 0);
	assert_int_equal(place_file(&f.place, f.fd, "link", 0644, &why),
			 -EEXIST);
	assert_non_null(strstr(why, "symbolic link"));
	assert_int_equal(unlinkat(f.fd, "link", 0), 0);
	assert_int_equal(symlinkat("nowhere", f.fd, "link"), 0);
	assert_int_equal(place_file(&f.place, f.fd, "link", 0644, &why),
			 -EEXIST);
	assert_int_equal(unlinkat(f.fd, "link", 0), 0);
	assert_int_equal(linkat(f.fd, "victim", f.fd, "link", 0), 0);
	assert_int_equal(place_file(&f.place, f.fd, "link", 0644, &why),
			 -EEXIST);
	assert_non_null(strstr(why, "hard links"));
	assert_int_equal(unlinkat(f.fd, "link", 0), 0);
	assert_int_equal(mkfifoat(f.fd, "link", 0600), 0);
	assert_int_equal(place_file(&f.place, f.fd, "link", 0644, &why),
			 -EEXIST);
	assert_file(f.fd, "victim", "mine");
	assert_int_equal(f.place.nr, 0);
	remove_folder(&f);
}

static void test_plain_file_is_replaced(void **state)
{
	struct folder f = new_folder();
	const char *why;
	struct stat st;
	int fd;

	(void)state;
	make_file(f.fd, "file", "old");
	fd = place_file(&f.place, f.fd, "file", 0755, &why);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_size, 0);
	fd_close(&fd);
	place_undo(&f.place);
	assert_int_equal(fstatat(f.fd, "file", &st, 0), -1);
	remove_folder(&f);
}

static void test_planted_directories(void **state)
{
	struct folder f = new_folder();
	struct err err;
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(mkdirat(f.fd, "victim", 0755), 0);
	assert_int_equal(symlinkat("victim", f.fd, "link"), 0);
	assert_int_equal(place_open(&f.place, f.fd, "link", "P", false, &err),
			 -ELOOP);
	assert_non_null(strstr(err.text, "symbolic link"));
	assert_int_equal(place_take(&f.place, f.fd, "link", "P", &err), -ELOOP);
	assert_int_equal(unlinkat(f.fd, "link", 0), 0);
	make_file(f.fd, "link", "");
	assert_int_equal(place_open(&f.place, f.fd, "link", "P", false, &err),
			 -ENOTDIR);
	assert_int_equal(fchmodat(f.fd, "victim", 0777, 0), 0);
	assert_int_equal(place_open(&f.place, f.fd, "victim", "P", false, &err),
			 -EPERM);
	assert_non_null(strstr(err.text, "others may write"));
	assert_int_equal(fstatat(f.fd, "victim", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0777);
	assert_int_equal(f.place.nr, 0);
	assert_int_equal(unlinkat(f.fd, "link", 0), 0);
	fd = place_open(&f.place, f.fd, "link", "P", false, &err);
	assert_true(fd >= 0);
	fd_close(&fd);
	place_undo(&f.place); /* what was made goes, what was there stays */
	assert_int_equal(fstatat(f.fd, "link", &st, 0), -1);
	remove_folder(&f);
}

/* Only root can give away. */
static void test_taken_directories_are_given_back(void **state)
{
	struct folder f = new_folder();
	struct err err;
	struct stat st;
	int fd;

	(void)state;
	if (geteuid() != 0) {
		remove_folder(&f);
		skip();
	}
	assert_int_equal(mkdirat(f.fd, "victim", 0750), 0);
	assert_int_equal(fchownat(f.fd, "victim", 12345, 77, 0), 0);
	fd = place_take(&f.place, f.fd, "victim", "P", &err);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_uid == 0 && (st.st_mode & 07777) == 0700);
	place_undo(&f.place);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_uid == 12345 && st.st_gid == 77);
	assert_int_equal(st.st_mode & 07777, 0750);
	fd_close(&fd);
	/* A third one's is refused. */
	assert_int_equal(fchownat(f.fd, "victim", 54321, 0, 0), 0);
	assert_int_equal(place_take(&f.place, f.fd, "victim", "P", &err),
			 -EPERM);
	assert_non_null(strstr(err.text, "user 54321"));
	remove_folder(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_cgroup_settings),
		cmocka_unit_test(test_cgroup_versions_and_parents),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_note),
		cmocka_unit_test(test_hostile_notes),
		cmocka_unit_test(test_planted_files),
		cmocka_unit_test(test_plain_file_is_replaced),
		cmocka_unit_test(test_planted_directories),
		cmocka_unit_test(test_taken_directories_are_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
