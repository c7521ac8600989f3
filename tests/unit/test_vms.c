// SPDX-License-Identifier: Apache-2.0
/*
 * test_vms.c - the VMs that are kept on the disk: records, locks, what a kill
 * leaves
 */
#include "unit.h"

#include "folder.h"

#include "base/fd.h"
#include "vms/vm_log.h"
#include "vms/vms.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* How often a folder was waited for; the real one is what waits. */
static unsigned int nr_synced;

int fsync(int fd)
{
	nr_synced++;
	return (int)syscall(SYS_fsync, fd);
}

#define KILLS  60
#define RACERS 8

struct home {
	char path[64];
};

static int make_home(void **state)
{
	struct home *home = calloc(1, sizeof(*home));
	char here[32] = "vms-XXXXXX", *all;

	if (!home || !mkdtemp(here))
		return -1;
	(void)snprintf(home->path, sizeof(home->path), "%s", here);
	all = realpath(here, NULL);
	(void)setenv("VOLT_STATE", all, 1);
	free(all);
	*state = home;
	return 0;
}

static int end_home(void **state)
{
	struct home *home = *state;
	int r = folder_remove(home->path);

	free(home);
	return r;
}

static void open_vms(struct vms *vms)
{
	struct err err = {0};
	int r = vms_open(vms, true, &err);

	if (r < 0)
		fail_msg("%s", err.text);
}

static struct vms_vm vm_named(const char *name)
{
	struct vms_vm vm = VMS_VM_NONE;

	vm.record.name = strdup(name);
	vm.record.image = strdup("debian:12");
	vm.record.command = strdup("sleep \"\n\" 1");
	vm.record.stop_signal = SIGTERM;
	return vm;
}

static int create(struct vms *vms, struct vms_vm *vm, const char *name)
{
	*vm = vm_named(name);
	return vms_create(vms, vm, NULL);
}

/* A holder in a child, which ends without a word once it is there. */
static void die_as_holder(const char *name, bool remove, bool runs)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct vms_vm vm = vm_named(name);
		struct vms vms;
		int r = vms_open(&vms, true, NULL);

		vm.record.remove = remove;
		if (r == 0)
			r = vms_create(&vms, &vm, NULL);
		vm.record.started = runs;
		if (r == 0)
			r = vms_save(&vm, NULL);
		_exit(r != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_a_life(void **state)
{
	struct vms_vm vm, seen;
	struct vms vms;

	(void)state;
	open_vms(&vms);
	assert_int_equal(create(&vms, &vm, "web"), 0);
	assert_int_equal(vms_find(&vms, "web", &seen, NULL), 0);
	assert_int_equal(seen.state, VMS_STARTS);
	assert_string_equal(seen.record.image, "debian:12");
	assert_string_equal(seen.record.command, "sleep \"\n\" 1");
	assert_int_equal(seen.record.holder, getpid());
	vms_release(&seen);

	vm.record.started = vms_now_ms();
	assert_int_equal(vms_save(&vm, NULL), 0);
	assert_int_equal(vms_find(&vms, "web", &seen, NULL), 0);
	assert_int_equal(seen.state, VMS_RUNS);
	assert_int_equal(vms_remove(&vms, &seen, NULL), -EBUSY);
	vms_release(&seen);
	assert_int_equal(create(&vms, &seen, "web"), -EEXIST);
	vms_release(&seen);

	vm.record.ended = vms_now_ms();
	vm.record.code = 42;
	assert_int_equal(vms_save(&vm, NULL), 0);
	vms_release(&vm);
	assert_int_equal(vms_find(&vms, "web", &seen, NULL), 0);
	assert_int_equal(seen.state, VMS_ENDED);
	assert_int_equal(seen.record.code, 42);
	assert_false(seen.record.died);
	assert_int_equal(create(&vms, &vm, "web"), -EEXIST);
	vms_release(&vm);
	assert_int_equal(vms_remove(&vms, &seen, NULL), 0);
	assert_int_equal(vms_remove(&vms, &seen, NULL), 0);
	vms_release(&seen);
	assert_int_equal(vms_find(&vms, "web", &seen, NULL), -ENOENT);
	vms_close(&vms);
}

/* A host that crashes has the names and the record that were told of. */
static void test_folders_are_waited_for(void **state)
{
	struct vms_vm vm;
	struct vms vms;
	unsigned int before;

	(void)state;
	open_vms(&vms);
	before = nr_synced;
	assert_int_equal(create(&vms, &vm, "web"), 0);
	assert_int_equal(nr_synced - before, 2); /* its name, its record */
	vm.record.ended = vms_now_ms();
	assert_int_equal(vms_save(&vm, NULL), 0);
	assert_int_equal(nr_synced - before, 3);
	assert_int_equal(vms_remove(&vms, &vm, NULL), 0);
	assert_int_equal(nr_synced - before, 4);
	vms_release(&vm);
	vms_close(&vms);
}

static void test_a_holder_dies(void **state)
{
	struct vms_vm vm;
	struct vms vms;

	(void)state;
	open_vms(&vms);
	die_as_holder("kept", false, true);
	die_as_holder("young", false, false);
	die_as_holder("gone", true, true);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(vms_find(&vms, "kept", &vm, NULL), 0);
		assert_int_equal(vm.state, VMS_ENDED);
		assert_true(vm.record.died && vm.record.ended > 0);
		assert_int_equal(vm.record.code, 125);
		vms_release(&vm);
	}
	assert_int_equal(vms_find(&vms, "gone", &vm, NULL), -ENOENT);
	vms_release(&vm);
	assert_int_equal(faccessat(vms.fd, "gone", F_OK, 0), -1);
	die_as_holder("gone", true, true);
	assert_int_equal(create(&vms, &vm, "gone"), 0);
	vms_release(&vm);
	vms_close(&vms);
}

/* What was not finished, or not removed whole, is nobody's. */
static void test_a_folder_without_a_record(void **state)
{
	struct vms_vm vm;
	struct vms vms;

	(void)state;
	open_vms(&vms);
	assert_int_equal(mkdirat(vms.fd, "half", 0700), 0);
	assert_int_equal(vms_find(&vms, "half", &vm, NULL), -ENOENT);
	assert_int_equal(faccessat(vms.fd, "half", F_OK, 0), -1);
	assert_int_equal(mkdirat(vms.fd, "half", 0700), 0);
	assert_int_equal(create(&vms, &vm, "half"), 0);
	vms_release(&vm);
	vms_close(&vms);
}

static void write_record(const struct vms *vms, const char *name,
			 const char *text)
{
	char path[80];
	cleanup_fd int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/record", name);
	fd = openat(vms->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, text, strlen(text)), 0);
}

static void test_a_damaged_record(void **state)
{
	static const char *const texts[] = {
		"",
		"{}",
		"\xff",
		"{\"format\":9}",
		"{\"format\":1,\"name\":\"../up\",\"created\":1,\"started\":1,"
		"\"ended\":0,\"holder\":1,\"stop_signal\":15,\"code\":0,"
		"\"died\":false,\"remove\":false,\"terminal\":false}",
		"{\"format\":1,\"name\":\"bad\",\"created\":1,\"started\":1,"
		"\"ended\":0,\"holder\":0,\"stop_signal\":15,\"code\":0,"
		"\"died\":false,\"remove\":false,\"terminal\":false}",
	};
	struct vms_vm vm;
	struct vms vms;

	(void)state;
	open_vms(&vms);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(mkdirat(vms.fd, "bad", 0700), 0);
		write_record(&vms, "bad", texts[i]);
		assert_int_equal(vms_find(&vms, "bad", &vm, NULL), 0);
		assert_int_equal(vm.state, VMS_DAMAGED);
		assert_int_equal(vms_remove(&vms, &vm, NULL), 0);
		vms_release(&vm);
		assert_int_equal(vms_find(&vms, "bad", &vm, NULL), -ENOENT);
	}
	/* A link leads nowhere, and stays. */
	assert_int_equal(symlinkat("/etc", vms.fd, "link"), 0);
	assert_true(vms_find(&vms, "link", &vm, NULL) < 0);
	vms_release(&vm);
	assert_int_equal(vms_find(&vms, "..", &vm, NULL), -ENOENT);
	vms_close(&vms);
}

static void test_a_folder_of_others(void **state)
{
	struct home *home = *state;
	struct err err;
	struct vms vms;

	assert_int_equal(chmod(home->path, 0770), 0);
	assert_int_equal(vms_open(&vms, false, &err), -EPERM);
	assert_non_null(strstr(err.text, "is not to be believed"));
	vms_close(&vms);
	assert_int_equal(chmod(home->path, 0755), 0);
	assert_int_equal(vms_open(&vms, false, &err), 0);
	vms_close(&vms);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(home->path, 1, 1), 0);
	assert_int_equal(vms_open(&vms, true, &err), -EPERM);
	vms_close(&vms);
	assert_int_equal(chown(home->path, 0, 0), 0);
}

/* Of many that make one name at once one gets it. */
static void test_a_race(void **state)
{
	pid_t child[RACERS];
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < RACERS; i++) {
		child[i] = fork();
		if (child[i] == 0) {
			struct vms_vm vm;
			struct vms vms;
			char byte;

			(void)close(go[1]);
			(void)!read(go[0], &byte, 1);
			if (vms_open(&vms, true, NULL) < 0)
				_exit(2);
			if (create(&vms, &vm, "one") < 0)
				_exit(1);
			(void)pause();
		}
	}
	(void)close(go[0]);
	(void)close(go[1]);
	for (int i = 0; i < RACERS - 1; i++) {
		int status;
		pid_t lost = wait(&status);

		assert_true(lost > 0);
		assert_int_equal(WEXITSTATUS(status), 1);
		for (int j = 0; j < RACERS; j++)
			if (child[j] == lost)
				child[j] = 0;
	}
	for (int i = 0; i < RACERS; i++)
		if (child[i] > 0)
			assert_int_equal(kill(child[i], SIGKILL), 0);
	assert_true(wait(NULL) > 0);
}

/* Make, save and remove, over and over, until the end. */
static void live_and_die(void)
{
	struct vms vms;

	if (vms_open(&vms, true, NULL) < 0)
		_exit(1);
	for (;;) {
		struct vms_vm vm;

		if (create(&vms, &vm, "box") < 0) {
			vms_release(&vm);
			if (vms_find(&vms, "box", &vm, NULL) == 0)
				(void)!vms_remove(&vms, &vm, NULL);
			vms_release(&vm);
			continue;
		}
		vm.record.started = 1;
		if (vms_save(&vm, NULL) < 0)
			_exit(1);
		vm.record.ended = 2;
		if (vms_save(&vm, NULL) < 0)
			_exit(1);
		vms_release(&vm);
	}
}

static void count(void *ctx, const struct vms_vm *vm)
{
	assert_true(vm->state == VMS_ENDED);
	assert_true(vm->record.ended > 0);
	*(int *)ctx += 1;
}

static void test_killed_anywhere(void **state)
{
	unsigned int seed = 1;
	struct vms_vm vm;
	struct vms vms;

	(void)state;
	open_vms(&vms);
	for (int i = 0; i < KILLS; i++) {
		pid_t child = fork();
		int status, nr = 0;

		if (child == 0)
			live_and_die();
		(void)usleep((useconds_t)rand_r(&seed) % 4000);
		(void)kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(vms_each(&vms, count, &nr, NULL), 0);
		assert_true(nr <= 1);
		if (nr == 1 && i % 3 == 0) {
			assert_int_equal(vms_find(&vms, "box", &vm, NULL), 0);
			assert_int_equal(vms_remove(&vms, &vm, NULL), 0);
			vms_release(&vm);
			assert_int_equal(faccessat(vms.fd, "box", F_OK, 0), -1);
		}
	}
	vms_close(&vms);
}

/* ---- the log ---- */

/* All records that are there: their texts, with the line feeds. */
static size_t read_log(struct tail *reader, struct buf *out)
{
	struct vm_log_line line;
	size_t nr = 0;
	int r;

	while ((r = vm_log_next(reader, &line)) == 1) {
		buf_add(out, line.text, line.len);
		if (line.whole)
			buf_add(out, "\n", 1);
		nr++;
	}
	assert_int_equal(r, 0);
	return nr;
}

static int open_log(const struct home *home, struct vm_log *log, uint64_t max)
{
	char path[80];
	int folder = open(home->path, O_RDONLY | O_DIRECTORY);

	(void)snprintf(path, sizeof(path), "%s/" VMS_LOG, home->path);
	assert_int_equal(console_log_open(&log->file, path, max, NULL), 0);
	return folder;
}

static void test_a_log(void **state)
{
	static const char said[] = "one\n\ntwo\r\xff\0three\nfour";
	cleanup_buf struct buf got = {0};
	struct tail reader;
	struct vm_log_line line;
	struct vm_log log = {0};
	cleanup_fd int folder = open_log(*state, &log, 1 << 20);

	assert_int_equal(
		vm_log_add(&log, VM_LOG_OUTPUT, said, sizeof(said) - 1), 0);
	assert_int_equal(vm_log_add(&log, VM_LOG_ERRORS, "five\n", 5), 0);
	vm_log_begin(&reader, folder);
	assert_int_equal(read_log(&reader, &got), 4);
	assert_true(vm_log_waits(&log)); /* "four" */
	assert_int_equal(vm_log_flush(&log), 0);
	assert_false(vm_log_waits(&log));
	assert_int_equal(read_log(&reader, &got), 1);
	/* The other stream's line came before the one that waited. */
	assert_int_equal(got.len, sizeof(said) - 1 + 5);
	assert_memory_equal(got.data, said, sizeof(said) - 1 - 4);
	assert_memory_equal(got.data + got.len - 9, "five\nfour", 9);
	/* Who follows gets what comes. */
	assert_int_equal(vm_log_add(&log, VM_LOG_VOLT, "six\n", 4), 0);
	assert_int_equal(vm_log_next(&reader, &line), 1);
	assert_int_equal(line.stream, VM_LOG_VOLT);
	assert_true(line.whole && line.len == 3);
	assert_true(vms_now_ms() - line.ms < 3600000);
	tail_end(&reader);
	vm_log_close(&log);
}

/* Who follows misses nothing as long as he is not a whole file behind. */
static void test_a_log_that_turns(void **state)
{
	cleanup_buf struct buf got = {0}, want = {0}, late = {0};
	struct tail reader;
	struct vm_log log = {0};
	cleanup_fd int folder = open_log(*state, &log, 1000);
	struct stat st;

	vm_log_begin(&reader, folder);
	for (int i = 0; i < 500; i++) {
		char text[32];
		int n = snprintf(text, sizeof(text), "line %d\n", i);

		buf_add(&want, text, (size_t)n);
		assert_int_equal(
			vm_log_add(&log, VM_LOG_OUTPUT, text, (size_t)n), 0);
		if (i % 7 == 0)
			(void)read_log(&reader, &got);
		assert_int_equal(fstatat(folder, VMS_LOG, &st, 0), 0);
		assert_true(st.st_size <= 1000);
	}
	(void)read_log(&reader, &got);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	tail_end(&reader);
	/* Who comes late has the end of it. */
	vm_log_begin(&reader, folder);
	assert_true(read_log(&reader, &late) > 20);
	assert_memory_equal(late.data, want.data + want.len - late.len,
			    late.len);
	tail_end(&reader);
	vm_log_close(&log);
}

static void test_what_is_no_record(void **state)
{
	static const char *const lines[] = {
		"",
		"2026",
		"2026-11-27T01:45:00.123Z",
		"x",
		"2026-11-27T01:45:00.123Z ",
		"2026-11-27T01:45:00.123Z stdin F ",
		"2026-11-27T01:45:00.123Z stdout X x",
		"2026-11-27T01:45:00.123Z stdout F",
		"2026-11-27T01:45:0x.123Z stdout F x",
		"1026-11-27T01:45:00.123Z stdout F x",
	};
	struct vm_log_line line;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_false(vm_log_parse(lines[i], strlen(lines[i]), &line));
	assert_true(
		vm_log_parse("2026-11-27T01:45:00.123Z stdout F ", 34, &line));
	assert_int_equal(line.ms, 1795743900123);
	assert_int_equal(line.len, 0);
}

static void test_a_journal(void **state)
{
	struct vms_journal_reader reader;
	cleanup_fd int fd = -1;
	struct vms vms;
	struct stat st;
	const char *line;
	int r, nr = 0;

	(void)state;
	open_vms(&vms);
	for (int i = 0; i < 30000; i++)
		vms_journal_add(vms.fd, "die", "web", 255);
	assert_int_equal(fstatat(vms.fd, VMS_JOURNAL_OLD, &st, 0), 0);
	assert_true(st.st_size >= 1 << 20 && st.st_size < (1 << 20) + 128);
	assert_int_equal(fstatat(vms.fd, VMS_JOURNAL, &st, 0), 0);
	assert_true(st.st_size < 1 << 20);
	vms_journal_begin(&reader, vms.fd);
	while ((r = vms_journal_next(&reader, 0, &line)) > 0)
		nr++;
	assert_int_equal(r, 0);
	assert_int_equal(nr, 30000);
	/* Half a line, of a full disk, spoils the next one, and no more. */
	fd = openat(vms.fd, VMS_JOURNAL, O_WRONLY | O_APPEND);
	assert_int_equal(fd_write_full(fd, "{\"time\":12", 10), 0);
	vms_journal_note("start", "a", -1);
	vms_journal_note("start", "b", -1);
	assert_int_equal(vms_journal_next(&reader, 100, &line), 1);
	assert_non_null(strstr(line, "\"event\":\"start\",\"name\":\"b\"}"));
	assert_int_equal(vms_journal_next(&reader, 0, &line), 0);
	vms_journal_end(&reader);
	vms_close(&vms);
}

#define TEST(x) cmocka_unit_test_setup_teardown(x, make_home, end_home)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_life),
		TEST(test_folders_are_waited_for),
		TEST(test_a_holder_dies),
		TEST(test_a_folder_without_a_record),
		TEST(test_a_damaged_record),
		TEST(test_a_folder_of_others),
		TEST(test_a_race),
		TEST(test_killed_anywhere),
		TEST(test_a_log),
		TEST(test_a_log_that_turns),
		TEST(test_what_is_no_record),
		TEST(test_a_journal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
