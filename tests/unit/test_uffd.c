// SPDX-License-Identifier: Apache-2.0
/*
 * test_uffd.c - memory served by another process, with a real handler
 */
#include "gmem_kit.h"
#include "unit.h"

#include "base/fd.h"
#include "host/unix.h"
#include "pager/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOCKET "uffd.sock"

struct region {
	unsigned long long base, size, offset, page, page_kib;
};

static bool denied;
static bool was_gone;

static void on_gone(void *ctx)
{
	(void)ctx;
	was_gone = true;
}

static int listen_here(void)
{
	struct sockaddr_un addr = {AF_UNIX, SOCKET};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)unlink(SOCKET);
	(void)unlink(SOCKET "2");
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(link(SOCKET, SOCKET "2"), 0); /* ready */
	return fd;
}

/* The handler: one message, then pages whose bytes are their number. */
static int receive(int listener, char *text, size_t size)
{
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {text, size - 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	int sock = accept(listener, NULL, NULL);
	ssize_t n = recvmsg(sock, &msg, 0);
	int fd;

	if (n < 0 || !CMSG_FIRSTHDR(&msg))
		_exit(3);
	text[n] = '\0';
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static unsigned int parse(const char *text, struct region *r, unsigned int max)
{
	unsigned int nr = 0;
	int used;

	while (nr < max && sscanf(text + 1,
				  "{\"base_host_virt_addr\":%llu,\"size\":%llu,"
				  "\"offset\":%llu,\"page_size\":%llu,"
				  "\"page_size_kib\":%llu}%n",
				  &r[nr].base, &r[nr].size, &r[nr].offset,
				  &r[nr].page, &r[nr].page_kib, &used) == 5) {
		text += 1 + used;
		nr++;
	}
	return strcmp(text, "]") == 0 ? nr : 0;
}

static void serve(int listener, unsigned int nr_pages)
{
	static uint8_t page[PAGE_SIZE];
	struct region r[2];
	static char text[4096];
	int fd = receive(listener, text, sizeof(text));
	unsigned int nr = parse(text, r, 2);

	if (nr != 2 || r[0].offset != 0 || r[1].offset != r[0].size ||
	    r[0].page != PAGE_SIZE || r[0].page_kib != PAGE_SIZE)
		_exit(4);
	while (nr_pages-- > 0) {
		struct pollfd p = {fd, POLLIN, 0};
		struct uffd_msg msg;
		struct uffdio_copy copy = {.len = PAGE_SIZE};
		unsigned int i;

		(void)poll(&p, 1, -1);
		if (read(fd, &msg, sizeof(msg)) != sizeof(msg))
			_exit(5);
		copy.dst = msg.arg.pagefault.address & ~(PAGE_SIZE - 1ull);
		i = copy.dst - r[0].base >= r[0].size;
		memset(page,
		       (int)((r[i].offset + copy.dst - r[i].base) / PAGE_SIZE &
			     0xff),
		       sizeof(page));
		copy.src = (uintptr_t)page;
		if (ioctl(fd, UFFDIO_COPY, &copy) < 0)
			_exit(6);
	}
}

/* 2 regions: 3 GiB below the hole and 1 MiB above; lazily, so it costs none. */
static void make_memory(struct gmem *mem)
{
	struct err err;

	assert_int_equal(
		gmem_init(mem, GIB(3) + MIB(1), GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(mem->nr_regions, 2);
}

static bool skip_when_denied(const struct err *err, int r)
{
	if (r != -EPERM && r != -ENOSYS)
		return false;
	printf("skipped: %s\n", err->text);
	denied = true;
	return true;
}

static int connect_to(struct uffd *u, const struct gmem *mem, const char *path,
		      struct loop *loop, struct err *err)
{
	cleanup_fd int dev =
		path_open(&path_direct, PATH_USERFAULTFD, NULL, NULL);
	int sock = path_open(&path_direct, PATH_UFFD_HANDLER, path, err);
	int r;

	if (sock < 0)
		return sock;
	r = uffd_connect(u, mem, dev, &sock, loop, on_gone, NULL, err);
	fd_close(&sock);
	return r;
}

static void expect_page(const struct gmem *mem, gpa_t gpa, uint8_t want)
{
	uint8_t got;

	assert_int_equal(gmem_read(mem, gpa, &got, 1), 0);
	assert_int_equal(got, want);
}

static void test_pages_come_and_death_is_seen(void **state)
{
	static struct err err;
	struct loop loop;
	struct gmem mem;
	struct uffd u;
	pid_t child;
	int r;

	(void)state;
	was_gone = false;
	make_memory(&mem);
	assert_int_equal(loop_init(&loop), 0);
	child = fork();
	if (child == 0) {
		serve(listen_here(), 3);
		_exit(0);
	}
	while (access(SOCKET "2", F_OK) < 0)
		(void)usleep(1000);
	uffd_init(&u);
	r = connect_to(&u, &mem, SOCKET, &loop, &err);
	if (skip_when_denied(&err, r)) {
		(void)kill(child, SIGKILL);
	} else {
		assert_int_equal(r, 0);
		expect_page(&mem, 0, 0);
		expect_page(&mem, 7 * PAGE_SIZE + 5, 7);
		expect_page(&mem, GIB(4) + PAGE_SIZE, 1);
		while (!was_gone)
			assert_int_equal(loop_step(&loop, 10000), 0);
	}
	(void)waitpid(child, NULL, 0);
	uffd_fini(&u);
	if (!denied) /* nobody serves it any more: zeros, not a hang */
		expect_page(&mem, 9 * PAGE_SIZE, 0);
	gmem_fini(&mem);
	loop_fini(&loop);
}

/* Who listened lives on: the connection's end alone says nothing. */
static void test_worker_may_hang_up(void **state)
{
	static struct err err;
	int listener = listen_here();
	struct loop loop;
	struct gmem mem;
	struct uffd u;
	pid_t child;
	int r;

	(void)state;
	was_gone = false;
	make_memory(&mem);
	assert_int_equal(loop_init(&loop), 0);
	child = fork();
	if (child == 0) {
		serve(listener, 0);
		_exit(0);
	}
	(void)close(listener);
	uffd_init(&u);
	r = connect_to(&u, &mem, SOCKET, &loop, &err);
	if (skip_when_denied(&err, r)) {
		(void)kill(child, SIGKILL);
	} else {
		assert_int_equal(r, 0);
		while (u.sock.added)
			assert_int_equal(loop_step(&loop, 10000), 0);
		assert_false(was_gone);
	}
	(void)waitpid(child, NULL, 0);
	uffd_fini(&u);
	gmem_fini(&mem);
	loop_fini(&loop);
}

/* A handler that takes the descriptor and does what @child does. */
static bool connect_handler(struct uffd *u, struct gmem *mem, struct loop *loop,
			    void (*behave)(int fd), int limit_ms, pid_t *child)
{
	static struct err err;
	int r;

	was_gone = false;
	make_memory(mem);
	assert_int_equal(loop_init(loop), 0);
	(void)unlink(SOCKET "2");
	*child = fork();
	if (*child == 0) {
		static char text[4096];

		behave(receive(listen_here(), text, sizeof(text)));
		_exit(0);
	}
	while (access(SOCKET "2", F_OK) < 0)
		(void)usleep(1000);
	uffd_init(u);
	u->limit_ms = limit_ms;
	r = connect_to(u, mem, SOCKET, loop, &err);
	if (skip_when_denied(&err, r))
		return false;
	assert_int_equal(r, 0);
	return true;
}

static void disconnect(struct uffd *u, struct gmem *mem, struct loop *loop,
		       pid_t child)
{
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	uffd_fini(u);
	gmem_fini(mem);
	loop_fini(loop);
}

static void live_on(int fd)
{
	(void)fd;
	for (;;)
		(void)pause();
}

/* It lives but does not serve: the restore does not wait for ever. */
static void test_late_handler(void **state)
{
	struct loop loop;
	struct gmem mem;
	struct uffd u;
	struct err err;
	pid_t child;

	(void)state;
	if (connect_handler(&u, &mem, &loop, live_on, 100, &child)) {
		expect_page(&mem, 0, 0);
		assert_int_equal(uffd_settle(&u, &err), -EIO);
		assert_non_null(strstr(err.text, "did not serve"));
	}
	disconnect(&u, &mem, &loop, child);
}

static void wait_for_event(int fd)
{
	struct pollfd p = {fd, POLLIN, 0};

	(void)poll(&p, 1, -1);
}

/* Nobody reads that pages went away: who took them does not wait for ever. */
static void test_death_before_a_removal_is_read(void **state)
{
	struct loop loop;
	struct gmem mem;
	struct uffd u;
	struct err err;
	pid_t child;

	(void)state;
	if (connect_handler(&u, &mem, &loop, wait_for_event, 60000, &child)) {
		assert_int_equal(gmem_discard(&mem, 0, PAGE_SIZE), 0);
		assert_int_equal(uffd_settle(&u, &err), -EIO);
		assert_string_equal(err.text, UFFD_GONE);
		assert_int_equal(gmem_discard(&mem, 0, PAGE_SIZE), 0);
	}
	disconnect(&u, &mem, &loop, child);
}

/* As a device that writes a guest's page to a disk. */
static void *write_a_page(void *arg)
{
	const struct gmem *mem = arg;
	static ssize_t done;
	int fd = memfd_create("disk", MFD_CLOEXEC);

	done = pwrite(fd, mem->region[0].hva, PAGE_SIZE, 0);
	if (done < 0)
		done = -errno;
	(void)close(fd);
	return &done;
}

static void nobody_to_tell(void *ctx)
{
	(void)ctx;
}

/* The VM runs when its handler dies: a page that did not come is not zeros to
 * anybody, also not to a call of a device's. */
static void test_death_gives_no_zeros(void **state)
{
	struct loop loop;
	pthread_t thread;
	struct gmem mem;
	struct uffd u;
	struct err err;
	pid_t child;
	void *done;

	(void)state;
	if (connect_handler(&u, &mem, &loop, live_on, 60000, &child)) {
		struct pollfd p = {u.fd, POLLIN, 0};

		u.lost = nobody_to_tell;
		assert_int_equal(uffd_settle(&u, &err), 0);
		assert_int_equal(
			pthread_create(&thread, NULL, write_a_page, &mem), 0);
		(void)poll(&p, 1, -1); /* it waits */
		(void)kill(child, SIGKILL);
		(void)pthread_join(thread, &done);
		assert_int_equal(*(ssize_t *)done, -EFAULT);
		assert_true(uffd_is_lost(&u));
	}
	disconnect(&u, &mem, &loop, child);
}

static void *touch(void *arg)
{
	const struct gmem *mem = arg;

	expect_page(mem, 0, 0);
	return NULL;
}

/* The handler lives and has the descriptor, too: the end does not wait. */
static void test_free_lets_go(void **state)
{
	struct loop loop;
	pthread_t thread;
	struct gmem mem;
	struct uffd u;
	pid_t child;

	(void)state;
	if (connect_handler(&u, &mem, &loop, live_on, 60000, &child)) {
		struct pollfd p = {u.fd, POLLIN, 0};

		assert_int_equal(pthread_create(&thread, NULL, touch, &mem), 0);
		(void)poll(&p, 1, -1); /* it waits */
		uffd_fini(&u);
		(void)pthread_join(thread, NULL);
	}
	disconnect(&u, &mem, &loop, child);
}

/* What a handler sends, and what is made of it. */
static int told_by(const char *path, int fd)
{
	struct usage usage = {0};
	struct uffd u;
	int pair[2], r;
	bool opened = path != NULL;

	if (opened)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	uffd_init(&u);
	u.sock.fd = pair[0];
	assert_int_equal(uffd_usage(&u, &usage), -ENOENT);
	assert_int_equal(unix_send_fds(pair[1], "", 1, &fd, fd >= 0, 0), 1);
	r = uffd_usage(&u, &usage);
	if (r == 0)
		r = usage.private > 0 && usage.private < GIB(1);
	/* Once is enough, and a second one is not taken. */
	assert_int_equal(unix_send_fds(pair[1], "", 1, &fd, fd >= 0, 0), 1);
	assert_int_equal(uffd_usage(&u, &usage) == 0, r == 1);
	uffd_fini(&u);
	(void)close(pair[1]);
	if (opened)
		(void)close(fd);
	return r;
}

static void test_what_a_handler_takes(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(told_by("/proc/self/smaps_rollup", -1), 1);
	assert_int_equal(told_by(NULL, -1), -ENOENT);
	assert_int_equal(told_by("/dev/null", -1), -EINVAL);
	assert_int_equal(told_by("/proc/self/status", -1), -EINVAL);
	assert_int_equal(told_by(".", -1), -EISDIR);
	/* Nobody waits for one that says nothing. */
	assert_int_equal(told_by(NULL, ends[0]), -ESPIPE);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* Figures in @fd, and none where that is -1. Return: of uffd_served(). */
static int figures_of(int fd, struct served *served)
{
	const int fds[] = {open("/proc/self/smaps_rollup", O_RDONLY), fd};
	struct uffd u;
	int pair[2], r;

	assert_true(fds[0] >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	uffd_init(&u);
	u.sock.fd = pair[0];
	assert_int_equal(uffd_served(&u, served), -ENOENT);
	assert_int_equal(unix_send_fds(pair[1], "", 1, fds, 1 + (fd >= 0), 0),
			 1);
	r = uffd_served(&u, served);
	uffd_fini(&u);
	(void)close(pair[1]);
	(void)close(fds[0]);
	return r;
}

/* They are shown as they stand there, and taken from nothing else. */
static void test_what_a_handler_did(void **state)
{
	struct served told = {.magic = SERVED_MAGIC, .faults = 7}, got;
	int fd = memfd_create("figures", MFD_CLOEXEC), ends[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(figures_of(-1, &got), -ENOENT);
	assert_int_equal(figures_of(ends[0], &got), -ESPIPE);
	assert_int_equal(pwrite(fd, &told, sizeof(told) - 1, 0),
			 sizeof(told) - 1);
	assert_int_equal(figures_of(fd, &got), -ENODATA);
	assert_int_equal(pwrite(fd, &told, sizeof(told), 0), sizeof(told));
	assert_int_equal(figures_of(fd, &got), 0);
	assert_memory_equal(&got, &told, sizeof(told));
	told.magic++;
	assert_int_equal(pwrite(fd, &told, sizeof(told), 0), sizeof(told));
	assert_int_equal(figures_of(fd, &got), -ENOENT);
	(void)close(fd);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_nobody_listens(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(
		path_open(&path_direct, PATH_UFFD_HANDLER, "nope", &err),
		-ENOENT);
	assert_string_equal(err.text,
			    "Failed to connect to UDS Unix stream: No "
			    "such file or directory (os error 2)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_come_and_death_is_seen),
		cmocka_unit_test(test_worker_may_hang_up),
		cmocka_unit_test(test_late_handler),
		cmocka_unit_test(test_death_before_a_removal_is_read),
		cmocka_unit_test(test_death_gives_no_zeros),
		cmocka_unit_test(test_free_lets_go),
		cmocka_unit_test(test_what_a_handler_takes),
		cmocka_unit_test(test_what_a_handler_did),
		cmocka_unit_test(test_nobody_listens),
	};
	char folder[] = "/tmp/volt-uffd-XXXXXX";
	int r;

	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(SOCKET);
	(void)unlink(SOCKET "2");
	(void)rmdir(folder);
	return r == 0 && denied ? 77 : r;
}
