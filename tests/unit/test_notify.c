// SPDX-License-Identifier: Apache-2.0
/*
 * test_notify.c - what the service manager hears, and what it cannot stop
 */
#include "unit.h"

#include "schedule.h"

#include "base/fd.h"
#include "host/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MS         1000000ull
#define DEADLINE_S 60
#define FULL       10000 /* no queue holds that many */

/**
 * struct world - a manager, and a process that it looks after
 * @manager:	its end
 * @name:	of its socket, as in NOTIFY_SOCKET
 */
static struct world {
	struct loop loop;
	struct notify notify;
	int manager;
	char name[64];
	char dir[32];
} w;

static void manager_bind(const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	socklen_t len = offsetof(struct sockaddr_un, sun_path);

	(void)snprintf(w.name, sizeof(w.name), "%s", name);
	memcpy(addr.sun_path, name, strlen(name));
	if (name[0] == '@')
		addr.sun_path[0] = '\0';
	w.manager =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(w.manager >= 0);
	assert_int_equal(bind(w.manager, (const struct sockaddr *)&addr,
			      len + (socklen_t)strlen(name)),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static int fresh(void **state)
{
	char name[64];

	(void)state;
	memset(&w, 0, sizeof(w));
	schedule = (struct schedule){
		.now = 1000 * MS,
		.random = 1,
		.loop = &w.loop,
	};
	(void)alarm(DEADLINE_S);
	(void)snprintf(w.dir, sizeof(w.dir), "/tmp/volt-notify-XXXXXX");
	w.manager = -1;
	w.notify.fd = -1;
	if (!mkdtemp(w.dir) || loop_init(&w.loop) < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "%s/s", w.dir);
	manager_bind(name);
	return 0;
}

static int done(void **state)
{
	(void)state;
	(void)alarm(0);
	notify_close(&w.notify);
	loop_fini(&w.loop);
	fd_close(&w.manager);
	(void)unsetenv("NOTIFY_SOCKET");
	if (w.name[0] == '/')
		(void)unlink(w.name);
	return rmdir(w.dir);
}

/* The next message is @text; "": there is none. */
static void heard(const char *text)
{
	char got[512];
	ssize_t n = recv(w.manager, got, sizeof(got) - 1, 0);

	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, text);
}

static void pass(uint64_t ms)
{
	schedule.now += ms * MS;
	timer_run(&w.loop);
}

static void open_it(void)
{
	struct err err = {0};

	assert_int_equal(notify_open(&w.notify, &w.loop, &err), 0);
}

static void test_the_life_of_a_vm(void **state)
{
	(void)state;
	open_it();
	heard("");
	notify_status(&w.notify, "Waiting");
	heard("STATUS=Waiting\n");
	notify_ready(&w.notify, "Running");
	heard("READY=1\nSTATUS=Running\n");
	notify_ready(&w.notify, "Paused");
	heard("STATUS=Paused\n");
	notify_stopping(&w.notify, "Ended");
	heard("STOPPING=1\nSTATUS=Ended\n");
	notify_stopping(&w.notify, "Again");
	notify_ready(&w.notify, "Risen");
	heard("");
}

static void test_an_abstract_socket(void **state)
{
	char name[64];

	(void)state;
	fd_close(&w.manager);
	(void)unlink(w.name);
	(void)snprintf(name, sizeof(name), "@volt-test-notify/%d", getpid());
	manager_bind(name);
	open_it();
	notify_ready(&w.notify, "Running");
	heard("READY=1\nSTATUS=Running\n");
}

static void test_nobody_asks(void **state)
{
	(void)state;
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	open_it();
	assert_int_equal(w.notify.fd, -1);
	notify_ready(&w.notify, "Running");
	notify_stopping(&w.notify, "Ended");
	assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
	open_it();
	assert_int_equal(w.notify.fd, -1);
	assert_true(timer_wait_ns(&w.loop) == UINT64_MAX);
}

static void test_names_that_are_none(void **state)
{
	char longest[256];
	const struct {
		const char *name;
		int rc;
	} cases[] = {
		{"relative", -EINVAL},    {"@", -EINVAL},
		{"vsock:2:1", -EINVAL},   {"/nonexistent/s", -ENOENT},
		{longest, -ENAMETOOLONG},
	};

	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};

		assert_int_equal(setenv("NOTIFY_SOCKET", cases[i].name, 1), 0);
		assert_int_equal(notify_open(&w.notify, &w.loop, &err),
				 cases[i].rc);
		assert_non_null(strstr(err.text, "NOTIFY_SOCKET="));
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready(&w.notify, "Running");
	}
}

static void test_a_status_is_one_line(void **state)
{
	char text[512], want[600];

	(void)state;
	open_it();
	notify_status(&w.notify, "a\nREADY=1\nb");
	heard("STATUS=a\\nREADY=1\\nb\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	notify_ready(&w.notify, text);
	(void)snprintf(want, sizeof(want), "READY=1\nSTATUS=%.*s\n",
		       NOTIFY_STATUS_MAX - 1, text);
	heard(want);
}

/* What it has no room for comes later, and only the last of it. */
static void test_a_manager_that_does_not_read(void **state)
{
	char got[512];
	int sent;

	(void)state;
	open_it();
	for (sent = 0; sent < FULL; sent++)
		if (send(w.notify.fd, "X", 1, MSG_DONTWAIT) < 0)
			break;
	assert_true(sent > 0 && sent < FULL);
	notify_ready(&w.notify, "Running");
	notify_status(&w.notify, "Paused");
	pass(150); /* still full */
	while (sent-- > 0)
		assert_int_equal(recv(w.manager, got, sizeof(got), 0), 1);
	heard("");
	pass(150);
	heard("READY=1\nSTATUS=Paused\n");
	pass(1000);
	heard("");
}

static void test_a_manager_that_is_gone(void **state)
{
	(void)state;
	open_it();
	fd_close(&w.manager);
	notify_ready(&w.notify, "Running");
	assert_true(timer_wait_ns(&w.loop) == UINT64_MAX);
}

static void test_the_watchdog(void **state)
{
	char pid[16];

	(void)state;
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	assert_int_equal(setenv("WATCHDOG_USEC", "1000000", 1), 0);
	assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
	open_it();
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	pass(499);
	heard("");
	pass(1);
	heard("WATCHDOG=1\n");
	pass(500);
	heard("WATCHDOG=1\n");
	notify_close(&w.notify);
	pass(5000);
	heard("");
}

static void test_a_watchdog_for_others(void **state)
{
	static const char *const usec[] = {
		"0",
		"-1",
		"1e6",
		"",
		"99999999999999999999",
		"18446744073709552",
	};

	(void)state;
	for (size_t i = 0; i <= sizeof(usec) / sizeof(usec[0]); i++) {
		bool other = i == sizeof(usec) / sizeof(usec[0]);

		assert_int_equal(setenv("NOTIFY_SOCKET", w.name, 1), 0);
		assert_int_equal(
			setenv("WATCHDOG_USEC", other ? "1000" : usec[i], 1),
			0);
		assert_int_equal(setenv("WATCHDOG_PID", "1", other), 0);
		if (!other)
			(void)unsetenv("WATCHDOG_PID");
		open_it();
		assert_true(timer_wait_ns(&w.loop) == UINT64_MAX);
		notify_close(&w.notify);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_life_of_a_vm),
		TEST(test_an_abstract_socket),
		TEST(test_nobody_asks),
		TEST(test_names_that_are_none),
		TEST(test_a_status_is_one_line),
		TEST(test_a_manager_that_does_not_read),
		TEST(test_a_manager_that_is_gone),
		TEST(test_the_watchdog),
		TEST(test_a_watchdog_for_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
