// SPDX-License-Identifier: Apache-2.0
/*
 * background.c - `volt run -d` (theory of operation: background.h)
 */
#include "cli/background.h"
#include "cli/background_attach.h"
#include "cli/background_ctl.h"

#include "cli/cli.h"

#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKGROUND_CHUNK 2048
/* How long the end of a line is waited for. */
#define BACKGROUND_LINE_MS 200

void background_init(struct background *b, const struct args_page *page)
{
	*b = (struct background){
		.page = page,
		.vms.fd = -1,
		.vm = VMS_VM_NONE,
		.log.file.folder = -1,
		.log.file.fd = -1,
		.said = {-1, -1},
		.ready = {-1, -1},
		.wake = -1,
		.signals = -1,
		.tick = -1,
		.still = -1,
		.typed = {-1, -1},
		.listener = -1,
	};
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		b->conn[i].fd = -1;
}

/* Words with blanks between them, as many as there is room for. NULL: none. */
static char *background_join(const char *const *words)
{
	cleanup_buf struct buf text = {0};

	for (; words && *words && text.len < VM_RECORD_COMMAND; words++)
		buf_addf(&text, "%s%.*s", text.len ? " " : "",
			 (int)VM_RECORD_COMMAND, *words);
	return text.failed || text.len == 0
		       ? NULL
		       : strndup(text.data, text.len < VM_RECORD_COMMAND
						    ? text.len
						    : VM_RECORD_COMMAND);
}

int background_begin(struct background *b, const struct background_ask *ask,
		     const struct launch *launch)
{
	struct vm_record *record = &b->vm.record;
	struct err err;

	*record = (struct vm_record){
		.name = strdup(ask->name),
		.image = ask->image ? strdup(ask->image) : NULL,
		.command = background_join(ask->words),
		.ports = background_join(
			(const char *const *)(uintptr_t)ask->ports),
		.stop_signal = (uint64_t)ask->stop_signal,
		.remove = ask->remove,
		.terminal = ask->terminal,
	};
	if (!record->name)
		return cli_complain(GUEST_EXIT_FAILED, b->page,
				    "out of memory");
	(void)snprintf(b->ctl, sizeof(b->ctl), "%s.ctl", launch->socket);
	if (vms_open(&b->vms, true, &err) < 0 ||
	    vms_create(&b->vms, &b->vm, &err) < 0)
		return cli_fail(GUEST_EXIT_FAILED, b->page, &err);
	b->begun = true;
	return CLI_GO_ON;
}

static void background_close(struct background *b)
{
	/* First: the end of a connection says that the record is free. */
	vms_release(&b->vm);
	for (unsigned int i = 0; i < BACKGROUND_CONNS; i++)
		background_ctl_close(&b->conn[i]);
	fd_close(&b->listener);
	fd_close(&b->signals);
	fd_close(&b->wake);
	for (int i = 0; i < 2; i++) {
		fd_close(&b->said[i]);
		fd_close(&b->ready[i]);
		fd_close(&b->typed[i]);
	}
	fd_close(&b->tick);
	fd_close(&b->still);
	vm_log_close(&b->log);
	vms_close(&b->vms);
}

void background_let_go(void *background)
{
	background_close(background);
}

/* ---- the process that waits ---- */

/* What was said so far. Return: false at the end. */
static bool background_hear(int said)
{
	char text[BACKGROUND_CHUNK];
	ssize_t n = read(said, text, sizeof(text));

	if (n > 0)
		(void)!fd_write_full(STDERR_FILENO, text, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

/* Return: 1: the VM runs; 0: the holder has ended. */
static int background_await(const struct background *b)
{
	struct pollfd p[] = {
		{.fd = b->said[0], .events = POLLIN},
		{.fd = b->ready[0], .events = POLLIN},
	};
	char byte;
	ssize_t n;

	for (;;) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[0].revents && !background_hear(p[0].fd))
			p[0].fd = -1;
		if (!p[1].revents)
			continue;
		n = read(p[1].fd, &byte, 1);
		if (n >= 0 || errno != EINTR)
			return n == 1;
	}
}

static int background_wait(struct background *b, pid_t holder)
{
	int runs, status;

	fd_close(&b->said[1]);
	fd_close(&b->ready[1]);
	fd_close(&b->vm.lock);
	runs = background_await(b);
	if (runs) {
		(void)puts(b->vm.record.name);
		return 0;
	}
	while (waitpid(holder, &status, 0) < 0)
		if (errno != EINTR)
			return GUEST_EXIT_FAILED;
	(void)fcntl(b->said[0], F_SETFL, O_NONBLOCK);
	while (background_hear(b->said[0]))
		;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return cli_complain(GUEST_EXIT_FAILED, b->page,
			    "the process that stays was ended by signal %d",
			    WTERMSIG(status));
}

/* ---- the holder ---- */

/* The terminal and its group reach it no more. Return: 0 or -errno. */
static int background_set_apart(struct background *b)
{
	cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)setsid();
	(void)signal(SIGPIPE, SIG_IGN);
	fd_close(&b->ready[0]);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 ||
	    fcntl(b->said[1], F_SETFL, O_NONBLOCK) < 0 ||
	    dup2(b->said[1], STDERR_FILENO) < 0)
		return -errno;
	fd_close(&b->said[1]);
	return 0;
}

static int background_become(struct background *b)
{
	cleanup_free char *path = NULL;
	struct err err;
	int r = background_set_apart(b);

	if (r < 0)
		return cli_complain(GUEST_EXIT_FAILED, b->page,
				    "cannot go into the background: %s",
				    err_name(r));
	b->vm.record.holder = (uint64_t)getpid();
	if (asprintf(&path, "%s/%s/" VMS_LOG, b->vms.path, b->vm.record.name) <
	    0) {
		path = NULL;
		return cli_complain(GUEST_EXIT_FAILED, b->page,
				    "out of memory");
	}
	if (vms_save(&b->vm, &err) < 0 ||
	    console_log_open(&b->log.file, path, BACKGROUND_LOG, &err) < 0)
		return cli_fail(GUEST_EXIT_FAILED, b->page, &err);
	b->tick = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	b->still = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return CLI_GO_ON;
}

int background_fork(struct background *b)
{
	pid_t pid = -1;
	int code;

	(void)fflush(NULL);
	if (pipe2(b->said, O_CLOEXEC) == 0 && pipe2(b->ready, O_CLOEXEC) == 0)
		pid = fork();
	if (pid < 0) {
		code = cli_complain(GUEST_EXIT_FAILED, b->page,
				    "cannot go into the background: %s",
				    err_name(errno));
		return background_end(b, code);
	}
	if (pid == 0) {
		code = background_become(b);
		return code == CLI_GO_ON ? code : background_end(b, code);
	}
	code = background_wait(b, pid);
	background_close(b);
	return code;
}

void background_said(struct background *b, enum vm_log_stream stream,
		     const char *data, size_t len)
{
	const struct itimerspec soon = {
		.it_value.tv_nsec = BACKGROUND_LINE_MS * 1000000L,
	};
	const bool waited = vm_log_waits(&b->log);

	/* A full disk loses output, not the VM. */
	(void)vm_log_add(&b->log, stream, data, len);
	if (stream != VM_LOG_VOLT)
		background_attach_said(b, stream == VM_LOG_ERRORS, data, len);
	if (!waited && vm_log_waits(&b->log))
		(void)timerfd_settime(b->tick, 0, &soon, NULL);
}

static void background_tick(struct background *b)
{
	uint64_t times;

	(void)!read(b->tick, &times, sizeof(times));
	(void)vm_log_flush(&b->log);
}

/* What is in the pipe that is standard error. */
static void background_drain(struct background *b)
{
	char text[BACKGROUND_CHUNK];
	ssize_t n;

	while ((n = read(b->said[0], text, sizeof(text))) > 0)
		background_said(b, VM_LOG_VOLT, text, (size_t)n);
}

static void background_watch(struct background *b, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd >= 0)
		(void)epoll_ctl(b->wake, EPOLL_CTL_ADD, fd, &event);
}

static void background_serve(struct background *b)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	b->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	b->wake = epoll_create1(EPOLL_CLOEXEC);
	(void)fcntl(b->said[0], F_SETFL, O_NONBLOCK);
	background_ctl_listen(b);
	background_watch(b, b->signals);
	background_watch(b, b->tick);
	background_watch(b, b->still);
	background_watch(b, b->said[0]);
	background_watch(b, b->listener);
}

void background_started(struct background *b)
{
	if (b->started)
		return;
	background_serve(b);
	b->vm.record.started = vms_now_ms();
	(void)!vms_save(&b->vm, NULL);
	/* Before anybody hears of it: who asks for events then finds it. */
	vms_journal_note("start", b->vm.record.name, -1);
	if (write(b->ready[1], "", 1) != 1) {
		/* Who asked for it is gone, and was told nothing. The VM ends
		 * with this process. */
		vms_journal_note("die", b->vm.record.name, GUEST_EXIT_FAILED);
		(void)unlink(b->ctl);
		(void)!vms_remove(&b->vms, &b->vm, NULL);
		_exit(GUEST_EXIT_FAILED);
	}
	fd_close(&b->ready[1]);
	b->started = true;
}

static void background_signalled(struct background *b)
{
	struct signalfd_siginfo info;

	if (read(b->signals, &info, sizeof(info)) == (ssize_t)sizeof(info) &&
	    b->pass)
		b->pass(b->pass_ctx, (int)b->vm.record.stop_signal);
}

void background_turn(struct background *b)
{
	struct epoll_event event[BACKGROUND_CONNS];
	int n = epoll_wait(b->wake, event, BACKGROUND_CONNS, 0);

	for (int i = 0; i < n; i++) {
		const int fd = event[i].data.fd;

		if (fd == b->signals)
			background_signalled(b);
		else if (fd == b->said[0])
			background_drain(b);
		else if (fd == b->tick)
			background_tick(b);
		else if (fd == b->still)
			background_attach_look(b);
		else if (fd == b->typed[1])
			background_attach_type(b);
		else if (fd == b->listener)
			background_watch(b, background_ctl_accept(b));
		else
			background_ctl_serve(b, fd);
	}
}

static void background_record_end(struct background *b, int code)
{
	struct vm_record *record = &b->vm.record;
	struct err err;

	background_drain(b);
	(void)vm_log_flush(&b->log);
	record->ended = vms_now_ms();
	record->code = (uint64_t)code & 0xff;
	vms_journal_note("die", record->name, code & 0xff);
	if (!record->remove && vms_save(&b->vm, &err) < 0)
		background_said(b, VM_LOG_VOLT, err.text, strlen(err.text));
	background_attach_finish(b);
	background_ctl_tell_end(b, code & 0xff);
}

int background_end(struct background *b, int code)
{
	if (b->started) {
		background_record_end(b, code);
		(void)unlink(b->ctl);
	}
	if (b->begun && (b->vm.record.remove || !b->started))
		(void)!vms_remove(&b->vms, &b->vm, NULL);
	background_close(b);
	return code;
}
