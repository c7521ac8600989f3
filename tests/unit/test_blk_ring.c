// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_ring.c - the ring of a drive: what may be done with it, and that it
 * holds nothing when its process is gone
 */
#include "unit.h"

#include "block/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES 512

static void need_uring(void)
{
	struct block_engine *u;
	struct err err;

	if (block_uring_new(&u, &err) < 0)
		skip(); /* this host denies io_uring */
	u->ops->free(u);
}

/* No seccomp filter sees what io_uring does: the ring allows what it must. */
static void test_ring_is_restricted(void **state)
{
	struct block_engine *u;
	struct err err = {0};
	int event = eventfd(0, EFD_CLOEXEC);
	int fd;

	(void)state;
	need_uring();
	assert_int_equal(block_uring_new(&u, &err), 0);
	fd = u->ops->fd(u);
	assert_int_equal(syscall(__NR_io_uring_register, fd,
				 IORING_REGISTER_EVENTFD, &event, 1),
			 -1);
	assert_int_equal(errno, EACCES);
	u->ops->free(u);
	(void)close(event);
}

/* In the child: a drive that has read, and waits to be killed. */
static void hold_with_ring(int fd, int ready)
{
	char data[BYTES];
	const struct iovec iov = {data, sizeof(data)};
	const struct block_call call = {
		.kind = BLOCK_CALL_READ,
		.fd = fd,
		.nr_iov = 1,
		.iov = &iov,
	};
	struct block_engine *u;
	struct err err;
	int64_t result;
	void *tag;

	if (block_uring_new(&u, &err) < 0 || !u->ops->add(u, &call, NULL) ||
	    u->ops->submit(u) < 0)
		_exit(1);
	while (!u->ops->next(u, &tag, &result))
		if (!u->ops->wait(u, UINT64_MAX))
			_exit(1);
	if (result < 0 || write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		(void)pause();
}

/*
 * A ring is put away after its process is gone, by a worker of the kernel's. A
 * file in its table would stay open, and locked, so long: some 30 ms, in which
 * a VM that takes the place of a killed one is refused its drive.
 */
static void test_a_lock_ends_with_its_process(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[32], byte = 1;

	(void)state;
	need_uring();
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	for (int i = 0; i < 20; i++) {
		int fd = open(path, O_RDWR | O_CLOEXEC), ready[2];
		pid_t pid;

		assert_true(fd >= 0 && pipe(ready) == 0);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			hold_with_ring(fd, ready[1]);
		(void)close(fd);
		(void)close(ready[1]);
		assert_int_equal(read(ready[0], &byte, 1), 1);
		(void)close(ready[0]);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		(void)close(fd);
	}
	(void)close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_is_restricted),
		cmocka_unit_test(test_a_lock_ends_with_its_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
