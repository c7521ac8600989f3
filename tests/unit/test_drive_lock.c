// SPDX-License-Identifier: Apache-2.0
/*
 * test_drive_lock.c - locks of drives: what the kernel answers, and whose lock
 * it is when a drive takes another file
 */
#include "unit.h"

#include "base/fd.h"
#include "config/drive_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

/* What F_OFD_SETLK answers; 0: the kernel does. And how often; 0: always. */
static int lock_error, lock_errors, lock_calls;

int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list args;
	void *arg;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	lock_calls += cmd == F_OFD_SETLK;
	if (cmd != F_OFD_SETLK || lock_error == 0)
		return __real_fcntl64(fd, cmd, arg);
	errno = lock_error;
	if (lock_errors > 0 && --lock_errors == 0)
		lock_error = 0;
	return -1;
}

struct rig {
	char path[64];
	struct vm_config config;
	struct drive_config drive;
};

static int open_it(const struct rig *rig)
{
	int fd = open(rig->path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int fd;

	(void)snprintf(rig->path, sizeof(rig->path), "/tmp/volt-lock-XXXXXX");
	fd = mkostemp(rig->path, O_CLOEXEC);
	assert_true(fd >= 0);
	rig->config.opener = &path_direct;
	rig->drive = (struct drive_config){
		.drive_id = strdup("a"),
		.path_on_host = strdup(rig->path),
		.fd = fd,
		.lock_fd = -1,
	};
	lock_error = 0;
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	lock_error = 0;
	fd_close(&rig->drive.fd);
	fd_close(&rig->drive.lock_fd);
	free(rig->drive.drive_id);
	free(rig->drive.path_on_host);
	(void)unlink(rig->path);
	free(rig);
	return 0;
}

/* As another process would find it. */
static bool free_for_others(const struct rig *rig)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open_it(rig);
	int r = __real_fcntl64(fd, F_OFD_SETLK, &lock);

	fd_close(&fd);
	return r == 0;
}

/* NFS without its lock daemon, and the like: nobody is refused for that. */
static void a_file_system_without_locks(void **state)
{
	static const int errors[] = {ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL, EIO};
	struct rig *rig = *state;
	struct err err;

	rig->config.lock_drives = true;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		lock_error = errors[i];
		assert_int_equal(
			drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
		assert_false(rig->drive.locked);
	}
	lock_error = 0;
	assert_true(free_for_others(rig));
}

/* POSIX allows both. */
static void two_names_of_a_conflict(void **state)
{
	static const int errors[] = {EAGAIN, EACCES};
	struct rig *rig = *state;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		lock_error = errors[i];
		rig->config.lock_drives = true;
		assert_int_equal(
			drive_lock(&rig->config, &rig->drive, NULL, &err),
			-EBUSY);
		assert_non_null(strstr(err.text, "Drive a: /tmp/volt-lock-"));
		assert_non_null(strstr(err.text, "by another process"));
		rig->config.lock_drives = false;
		assert_int_equal(
			drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
		assert_false(rig->drive.locked);
	}
}

/* Its process has ended, and the kernel has not closed all of its files yet. */
static void a_killed_vms_lock_is_waited_for(void **state)
{
	struct rig *rig = *state;
	struct drive_claim claim;
	struct err err;

	for (int lock = 0; lock < 2; lock++) {
		rig->config.lock_drives = lock;
		lock_error = EAGAIN;
		lock_errors = 10;
		assert_int_equal(
			drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
		assert_true(rig->drive.locked);
		rig->drive.locked = false;
	}
	/* The guest runs. */
	lock_error = EAGAIN;
	lock_calls = 0;
	assert_int_equal(drive_claim(&rig->config, &rig->drive, rig->path,
				     rig->drive.fd, &claim, &err),
			 -EBUSY);
	assert_int_equal(lock_calls, 1);
	lock_error = 0;
}

/* PATCH, again and again: one descriptor more, and never without the lock. */
static void the_same_file_keeps_its_lock(void **state)
{
	struct rig *rig = *state;
	struct drive_claim claim;
	struct err err;

	assert_int_equal(drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
	for (int i = 0; i < 3; i++) {
		int old = rig->drive.fd;
		int fd = open_it(rig);

		assert_int_equal(drive_claim(&rig->config, &rig->drive,
					     rig->path, fd, &claim, &err),
				 0);
		assert_true(claim.keeps && claim.locked);
		assert_false(free_for_others(rig));
		rig->drive.fd = fd;
		drive_claim_take(&rig->drive, &claim, &old);
		assert_int_equal(old, -1);
		assert_false(free_for_others(rig));
	}
	fd_close(&rig->drive.lock_fd);
	assert_true(free_for_others(rig));
}

/* A claim that comes to nothing takes nothing away. */
static void a_claim_that_is_given_up(void **state)
{
	struct rig *rig = *state;
	struct drive_claim claim;
	struct err err;
	int fd = open_it(rig);

	assert_int_equal(drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
	assert_int_equal(drive_claim(&rig->config, &rig->drive, rig->path, fd,
				     &claim, &err),
			 0);
	fd_close(&fd);
	assert_false(free_for_others(rig));
}

/* PUT before the start, refused in the end: the old drive has its lock. */
static void a_drive_that_is_not_set(void **state)
{
	struct rig *rig = *state;
	struct drive_config next = rig->drive;
	struct err err;

	assert_int_equal(drive_lock(&rig->config, &rig->drive, NULL, &err), 0);
	next.fd = open(rig->path, O_RDONLY | O_CLOEXEC);
	next.is_read_only = true;
	assert_int_equal(drive_lock(&rig->config, &next, &rig->drive, &err), 0);
	assert_true(next.locked);
	drive_unlock(&next, &rig->drive);
	assert_true(rig->drive.locked);
	assert_false(free_for_others(rig));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_file_system_without_locks),
		T(a_killed_vms_lock_is_waited_for),
		T(two_names_of_a_conflict),
		T(the_same_file_keeps_its_lock),
		T(a_claim_that_is_given_up),
		T(a_drive_that_is_not_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
