// SPDX-License-Identifier: Apache-2.0
/*
 * test_agent.c - the agent's sessions and the host's client, against each other
 *
 * A session runs in a child of the test, over a socket pair, with commands of
 * this machine. Whoever waits has a limit: an alarm ends the test.
 */
#include "unit.h"

#include "agent/session.h"
#include "agent/user.h"
#include "client/agent_client.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define LIMIT_S  60
#define LIMIT_MS 20000

static const char *const no_env[] = {"PATH=/usr/bin:/bin", NULL};

/* What the children tell: shared with them. */
struct told {
	int frozen;
	int thawed;
	int hooks;
	int ended;
	struct agent_setup setup;
	char name[64];
};

static struct told *told_of(void)
{
	static struct told *told;

	if (!told)
		told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(told != MAP_FAILED);
	return told;
}

static int note_setup(const struct agent_setup *setup)
{
	struct told *told = told_of();

	(void)snprintf(told->name, sizeof(told->name), "%s", setup->name);
	told->setup.realtime_ns = setup->realtime_ns;
	memcpy(told->setup.seed, setup->seed, sizeof(setup->seed));
	return 0;
}

static int note_freeze(bool on)
{
	struct told *told = told_of();

	if (on)
		told->frozen++;
	else
		told->thawed++;
	return 0;
}

static int note_hooks(bool resume, struct err *err)
{
	(void)err;
	told_of()->hooks += resume ? 1 : 100;
	return 0;
}

static void note_end(void)
{
	told_of()->ended++;
}

static const struct agent_place place = {
	.passwd = "/nonexistent",
	.group = "/nonexistent",
	.vmstat = "/nonexistent",
	.setup = note_setup,
	.freeze = note_freeze,
	.hooks = note_hooks,
	.shut_down = note_end,
};

/**
 * struct world - a session in a child
 * @code:	what agent_serve() returned, once it has ended
 */
struct world {
	struct agent_client client;
	pid_t child;
};

static void begin_raw(struct world *w, int *sock)
{
	int pair[2];

	(void)alarm(LIMIT_S);
	(void)signal(SIGPIPE, SIG_IGN);
	*told_of() = (struct told){0};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	w->child = fork();
	assert_true(w->child >= 0);
	if (w->child == 0) {
		(void)close(pair[0]);
		_exit(-agent_serve(pair[1], &place) & 0xff);
	}
	(void)close(pair[1]);
	*sock = pair[0];
}

static void begin(struct world *w)
{
	int sock = -1;

	begin_raw(w, &sock);
	assert_int_equal(agent_client_take(&w->client, sock, LIMIT_MS, NULL),
			 0);
}

/* Return: the errno that the session ended with. */
static int end(struct world *w)
{
	int status = 0;

	agent_client_close(&w->client);
	assert_int_equal(waitpid(w->child, &status, 0), w->child);
	assert_true(WIFEXITED(status));
	(void)alarm(0);
	return WEXITSTATUS(status);
}

static char *me(void)
{
	static char text[64];

	(void)snprintf(text, sizeof(text), "%u:%u", getuid(), getgid());
	return text;
}

/* What a command wrote, and how it ended. */
struct ran {
	int r;
	struct agent_exit exit;
	char out[128];
	char err[128];
};

static void slurp(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	(void)close(fd);
}

static struct ran run_words(const char *const *words, uint32_t flags)
{
	struct agent_io io = {.in = -1, .wake = -1};
	struct agent_exec exec = {
		.flags = flags,
		.folder = "/",
		.user = me(),
		.env = (const char **)(uintptr_t)no_env,
		.nr_env = 1,
		.size = {33, 77},
	};
	struct world w;
	struct ran ran = {0};

	for (; words[exec.nr_words]; exec.nr_words++)
		;
	exec.words = (const char **)(uintptr_t)words;
	io.out = memfd_create("out", MFD_CLOEXEC);
	io.err = memfd_create("err", MFD_CLOEXEC);
	begin(&w);
	ran.r = agent_client_exec(&w.client, &exec, &io, &ran.exit, NULL);
	(void)end(&w);
	slurp(io.out, ran.out, sizeof(ran.out));
	slurp(io.err, ran.err, sizeof(ran.err));
	return ran;
}

static struct ran run_sh(const char *script, uint32_t flags)
{
	const char *const words[] = {"sh", "-c", script, NULL};

	return run_words(words, flags);
}

static void exits_as(struct ran ran, enum agent_how how, uint32_t value)
{
	assert_int_equal(ran.r, 0);
	assert_int_equal(ran.exit.how, how);
	assert_int_equal(ran.exit.value, value);
}

static void ends(void **state)
{
	const char *const missing[] = {"/nonexistent/x", NULL};
	const char *const nowhere[] = {"no-such-command", NULL};
	const char *const folder[] = {"/", NULL};

	(void)state;
	exits_as(run_sh("exit 0", 0), AGENT_EXITED, 0);
	exits_as(run_sh("exit 1", 0), AGENT_EXITED, 1);
	exits_as(run_sh("exit 42", 0), AGENT_EXITED, 42);
	exits_as(run_sh("kill -9 $$", 0), AGENT_KILLED, 9);
	exits_as(run_words(missing, 0), AGENT_NOT_FOUND, ENOENT);
	exits_as(run_words(nowhere, 0), AGENT_NOT_FOUND, ENOENT);
	exits_as(run_words(folder, 0), AGENT_NO_EXEC, EACCES);
}

static void streams_are_apart(void **state)
{
	struct ran ran = run_sh("echo one; echo two >&2; echo three", 0);

	(void)state;
	exits_as(ran, AGENT_EXITED, 0);
	assert_string_equal(ran.out, "one\nthree\n");
	assert_string_equal(ran.err, "two\n");
}

/* Without input it is empty, not this program's. */
static void empty_input(void **state)
{
	struct ran ran = run_sh("cat; echo end", 0);

	(void)state;
	assert_string_equal(ran.out, "end\n");
}

static void environment(void **state)
{
	struct ran ran = run_sh("echo $HOME $PWD $PATH", 0);

	(void)state;
	assert_string_equal(ran.out, "/ / /usr/bin:/bin\n");
}

/* A child that keeps the output open is not waited for. */
static void leaves_a_child(void **state)
{
	(void)state;
	exits_as(run_sh("sleep 1000 & echo $! >&2; exit 3", 0), AGENT_EXITED,
		 3);
}

static void terminal(void **state)
{
	struct ran ran =
		run_sh("test -t 0 && test -t 1 && stty size && echo e >&2",
		       AGENT_EXEC_TTY);

	(void)state;
	exits_as(ran, AGENT_EXITED, 0);
	assert_string_equal(ran.out, "33 77\r\ne\r\n");
	assert_string_equal(ran.err, "");
}

/* ---- input, output and back-pressure ---- */

#define BULK (3u << 20)

static uint8_t bulk_byte(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 12));
}

static void bulk_write(int fd)
{
	uint8_t block[1024];

	for (size_t at = 0; at < BULK; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = bulk_byte(at + i);
		if (fd_write_full(fd, block, sizeof(block)) < 0)
			_exit(1);
	}
	_exit(0);
}

/* Reads slowly at first, so that the window closes. */
static void bulk_read(int fd)
{
	uint8_t block[1024];
	size_t at = 0;
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (block[i] != bulk_byte(at + (size_t)i))
				_exit(2);
		at += (size_t)n;
		if (at < (1u << 18))
			(void)usleep(2000);
	}
	_exit(at == BULK ? 0 : 3);
}

static pid_t beside(void (*deed)(int fd), int fd, int other)
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)close(other);
		deed(fd);
	}
	(void)close(fd);
	return child;
}

static void all_went_well(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void bulk(void **state)
{
	const char *words[] = {"cat", NULL};
	const struct agent_exec exec = {
		.flags = AGENT_EXEC_INPUT,
		.folder = "/",
		.user = me(),
		.words = words,
		.nr_words = 1,
		.env = (const char **)(uintptr_t)no_env,
		.nr_env = 1,
	};
	struct agent_io io = {.wake = -1, .err = STDERR_FILENO};
	struct agent_exit how = {0};
	int in[2], out[2];
	pid_t writer, reader;
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	writer = beside(bulk_write, in[1], in[0]);
	reader = beside(bulk_read, out[0], out[1]);
	io.in = in[0];
	io.out = out[1];
	assert_int_equal(agent_client_exec(&w.client, &exec, &io, &how, NULL),
			 0);
	assert_int_equal(how.how, AGENT_EXITED);
	assert_int_equal(how.value, 0);
	(void)close(out[1]);
	(void)close(in[0]);
	all_went_well(writer);
	all_went_well(reader);
	assert_int_equal(end(&w), 0);
}

/**
 * struct piece_taker - what a function was given instead of descriptors
 */
struct piece_taker {
	unsigned int started;
	struct buf out;
	struct buf err;
};

static void take_piece(void *ctx, enum agent_type type, const char *data,
		       size_t len)
{
	struct piece_taker *taker = ctx;

	assert_int_equal(taker->started, 1);
	buf_add(type == AGENT_OUTPUT ? &taker->out : &taker->err, data, len);
}

static void note_started(void *ctx)
{
	((struct piece_taker *)ctx)->started++;
}

/* More than a window, so that credit has to come. */
static void output_to_a_function(void **state)
{
	const char *words[] = {"sh", "-c",
			       "head -c 1000000 /dev/zero; echo x >&2", NULL};
	const struct agent_exec exec = {
		.folder = "/",
		.user = me(),
		.words = words,
		.nr_words = 3,
		.env = (const char **)(uintptr_t)no_env,
		.nr_env = 1,
	};
	struct piece_taker taker = {0};
	const struct agent_io io = {
		.in = -1,
		.out = -1,
		.err = -1,
		.wake = -1,
		.take = take_piece,
		.started = note_started,
		.ctx = &taker,
	};
	struct agent_exit how;
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(agent_client_exec(&w.client, &exec, &io, &how, NULL),
			 0);
	assert_int_equal(how.how, AGENT_EXITED);
	assert_int_equal(taker.out.len, 1000000);
	assert_int_equal(taker.err.len, 2);
	buf_free(&taker.out);
	buf_free(&taker.err);
	assert_int_equal(end(&w), 0);
}

/* Nobody reads any more: the command ends as it would here. */
static void broken_pipe(void **state)
{
	const char *words[] = {"yes", NULL};
	const struct agent_exec exec = {
		.folder = "/",
		.user = me(),
		.words = words,
		.nr_words = 1,
		.env = (const char **)(uintptr_t)no_env,
		.nr_env = 1,
	};
	struct agent_io io = {.in = -1, .wake = -1, .err = STDERR_FILENO};
	struct agent_exit how = {0};
	struct world w;
	int out[2];

	(void)state;
	begin(&w);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	(void)close(out[0]);
	io.out = out[1];
	assert_int_equal(agent_client_exec(&w.client, &exec, &io, &how, NULL),
			 0);
	(void)close(out[1]);
	assert_int_equal(how.how, AGENT_KILLED);
	assert_int_equal(how.value, SIGPIPE);
	assert_int_equal(end(&w), 0);
}

static void send_term(void *ctx, struct agent_client *client)
{
	char byte;

	assert_int_equal(read(*(int *)ctx, &byte, 1), 1);
	agent_client_signal(client, SIGTERM);
}

/* Its output stands still, until its complaint has come. */
static void read_late(int wake, int out, int err)
{
	struct pollfd begun = {.fd = out, .events = POLLIN};
	char bytes[1024];

	(void)poll(&begun, 1, -1); /* so it waits for its signal */
	(void)usleep(100000);      /* let it fill what there is */
	if (write(wake, "x", 1) != 1 || read(err, bytes, 1) != 1)
		_exit(1);
	while (read(out, bytes, sizeof(bytes)) > 0)
		;
	_exit(0);
}

/* A reader that stands still stops its stream: no signal, no other stream. */
static void signal_passes_output(void **state)
{
	const char *words[] = {"sh", "-c",
			       "trap 'echo t >&2; exit 9' TERM; yes; :", NULL};
	const struct agent_exec exec = {
		.folder = "/",
		.user = me(),
		.words = words,
		.nr_words = 3,
		.env = (const char **)(uintptr_t)no_env,
		.nr_env = 1,
	};
	int wake[2], out[2], err[2];
	struct agent_io io = {.in = -1};
	struct agent_exit how = {0};
	struct world w;
	pid_t reader;

	(void)state;
	begin(&w);
	assert_int_equal(pipe2(wake, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	reader = fork();
	if (reader == 0) {
		(void)close(out[1]);
		(void)close(err[1]);
		read_late(wake[1], out[0], err[0]);
	}
	io.out = out[1];
	io.err = err[1];
	io.wake = wake[0];
	io.woken = send_term;
	io.ctx = &wake[0];
	assert_int_equal(agent_client_exec(&w.client, &exec, &io, &how, NULL),
			 0);
	assert_int_equal(how.how, AGENT_EXITED);
	assert_int_equal(how.value, 9);
	for (int i = 0; i < 2; i++) {
		(void)close(wake[i]);
		(void)close(out[i]);
		(void)close(err[i]);
	}
	all_went_well(reader);
	assert_int_equal(end(&w), 0);
}

/* ---- other errands ---- */

static void sets_up(void **state)
{
	const struct agent_setup setup = {.realtime_ns = 1234,
					  .name = "web",
					  .nr_lines = 1,
					  .lines = {"nameserver 192.0.2.1"},
					  .seed = {7, [31] = 9}};
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(agent_client_setup(&w.client, &setup, NULL), 0);
	assert_string_equal(told_of()->name, "web");
	assert_int_equal(told_of()->setup.realtime_ns, 1234);
	assert_memory_equal(told_of()->setup.seed, setup.seed,
			    sizeof(setup.seed));
	assert_int_equal(agent_client_shut_down(&w.client, NULL), 0);
	assert_int_equal(end(&w), 0);
	assert_int_equal(told_of()->ended, 1);
}

static void say_raw(int sock, enum agent_type type, const void *data,
		    size_t len)
{
	cleanup_buf struct buf out = {0};

	agent_put(&out, type, data, len, NULL, 0);
	assert_int_equal(fd_write_full(sock, out.data, out.len), 0);
}

static void greet_raw(int sock)
{
	const struct agent_hello hello = {AGENT_MAGIC, AGENT_VERSION,
					  AGENT_VERSION};

	say_raw(sock, AGENT_HELLO, &hello, sizeof(hello));
}

/* Read frames until one of @type. */
static void hear_raw(int sock, enum agent_type type, int32_t rc)
{
	struct agent_reader in = {.side = AGENT_FROM_GUEST};
	struct agent_frame frame;
	int r;

	for (;;) {
		while ((r = agent_reader_next(&in, &frame)) == 0)
			assert_int_equal(agent_reader_fill(&in, sock), 1);
		assert_int_equal(r, 1);
		if (frame.type == type)
			break;
	}
	if (type == AGENT_FAILED)
		assert_memory_equal(frame.data, &rc, sizeof(rc));
	agent_reader_free(&in);
}

/* As a snapshot has it: the host's calls, and a thaw that comes too late. */
static void freezes_for_a_host(void **state)
{
	struct world w;

	(void)state;
	begin(&w);
	assert_int_equal(agent_client_freeze(&w.client, AGENT_FREEZE_MAX, NULL),
			 0);
	assert_int_equal(told_of()->frozen, 1);
	assert_int_equal(told_of()->thawed, 0);
	assert_int_equal(agent_client_thaw(&w.client, NULL), 0);
	assert_int_equal(told_of()->thawed, 1);
	assert_int_equal(told_of()->hooks, 101); /* before, and after */
	assert_int_equal(agent_client_freeze(&w.client, 1, NULL), 0);
	while (told_of()->thawed < 2)
		(void)usleep(1000);
	assert_int_equal(agent_client_thaw(&w.client, NULL), -ETIMEDOUT);
	(void)end(&w);
}

static void thaws_by_itself(void **state)
{
	const uint32_t ms = 20;
	struct world w = {.client.fd = -1};
	int sock = -1;

	(void)state;
	begin_raw(&w, &sock);
	greet_raw(sock);
	say_raw(sock, AGENT_QUIESCE, &ms, sizeof(ms));
	hear_raw(sock, AGENT_FAILED, -ETIMEDOUT);
	assert_int_equal(told_of()->frozen, 1);
	assert_int_equal(told_of()->thawed, 1);
	(void)close(sock);
	assert_int_equal(end(&w), 0);
}

static void thaws_when_asked_or_left(void **state)
{
	const uint32_t ms = AGENT_FREEZE_MAX;

	(void)state;
	for (int resume = 0; resume < 2; resume++) {
		struct world w = {.client.fd = -1};
		int sock = -1;

		begin_raw(&w, &sock);
		greet_raw(sock);
		say_raw(sock, AGENT_QUIESCE, &ms, sizeof(ms));
		hear_raw(sock, AGENT_DONE, 0);
		assert_int_equal(told_of()->thawed, 0);
		if (resume) {
			say_raw(sock, AGENT_RESUME, NULL, 0);
			hear_raw(sock, AGENT_DONE, 0);
		}
		(void)close(sock);
		assert_int_equal(end(&w), 0);
		assert_int_equal(told_of()->thawed, 1);
	}
}

static void other_versions(void **state)
{
	const struct agent_hello newer = {AGENT_MAGIC, AGENT_VERSION + 1,
					  AGENT_VERSION + 2};
	struct world w = {.client.fd = -1};
	int sock = -1;

	(void)state;
	begin_raw(&w, &sock);
	say_raw(sock, AGENT_HELLO, &newer, sizeof(newer));
	hear_raw(sock, AGENT_FAILED, -EPROTONOSUPPORT);
	(void)close(sock);
	assert_int_equal(end(&w), 0);
}

/* It gets what it knows, and nothing of later. */
static void an_older_host(void **state)
{
	const struct agent_hello old = {AGENT_MAGIC, 1, 1};
	const char copy[11] = "\1\0\0\0\0\0\0\0/";
	struct world w = {.client.fd = -1};
	int sock = -1;

	(void)state;
	begin_raw(&w, &sock);
	say_raw(sock, AGENT_HELLO, &old, sizeof(old));
	hear_raw(sock, AGENT_HELLO, 0);
	say_raw(sock, AGENT_COPY, copy, sizeof(copy));
	assert_int_equal(end(&w), EPROTO);
	(void)close(sock);
}

/* The host's end ends the command. */
static void host_goes(void **state)
{
	struct agent_exec exec = {.folder = "/", .user = me()};
	const char *words[] = {"sleep", "1000", NULL};
	cleanup_buf struct buf out = {0};
	struct world w = {.client.fd = -1};
	int sock = -1;

	(void)state;
	begin_raw(&w, &sock);
	greet_raw(sock);
	exec.words = words;
	exec.nr_words = 2;
	assert_int_equal(agent_put_exec(&out, &exec), 0);
	assert_int_equal(fd_write_full(sock, out.data, out.len), 0);
	hear_raw(sock, AGENT_STARTED, 0);
	(void)close(sock);
	assert_int_equal(end(&w), ECONNRESET);
}

/* What breaks the rules of the wire ends the session. */
static void hostile_host(void **state)
{
	const struct agent_head heads[] = {
		{AGENT_INPUT, 0},         {AGENT_EXEC, AGENT_EXEC_MAX + 1},
		{AGENT_DONE, 0},          {AGENT_NR_TYPES, 0},
		{UINT32_MAX, UINT32_MAX}, {AGENT_HELLO, 8},
		{AGENT_RESUME, 0},
	};
	uint8_t zeros[16] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct world w = {.client.fd = -1};
		int sock = -1;

		begin_raw(&w, &sock);
		greet_raw(sock);
		assert_int_equal(
			fd_write_full(sock, &heads[i], sizeof(heads[i])), 0);
		(void)send(sock, zeros, heads[i].len == 8 ? 8 : 0,
			   MSG_NOSIGNAL);
		assert_int_equal(shutdown(sock, SHUT_WR), 0);
		assert_int_equal(end(&w), EPROTO);
		(void)close(sock);
	}
}

/* ---- a hostile guest ---- */

/* Say @out to a client that runs a command. Return: what it returns. */
static int guest_says(const struct buf *out, char *text, size_t size)
{
	const struct agent_hello hello = {AGENT_MAGIC, AGENT_VERSION,
					  AGENT_VERSION};
	const char *words[] = {"x", NULL};
	const struct agent_exec exec = {
		.folder = "", .user = "", .words = words, .nr_words = 1};
	struct agent_io io = {.in = -1, .wake = -1};
	struct agent_client client;
	struct agent_exit how;
	struct err err = {0};
	int pair[2], r;
	pid_t guest;

	(void)alarm(LIMIT_S);
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	guest = fork();
	if (guest == 0) {
		(void)close(pair[0]);
		say_raw(pair[1], AGENT_HELLO, &hello, sizeof(hello));
		r = fd_write_full(pair[1], out->data, out->len);
		(void)shutdown(pair[1], SHUT_WR);
		_exit(r < 0);
	}
	(void)close(pair[1]);
	io.out = io.err = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(agent_client_take(&client, pair[0], LIMIT_MS, &err),
			 0);
	r = agent_client_exec(&client, &exec, &io, &how, &err);
	agent_client_close(&client);
	assert_int_equal(waitpid(guest, NULL, 0), guest);
	(void)close(io.out);
	(void)snprintf(text, size, "%s", err.text);
	(void)alarm(0);
	return r;
}

static void guest_breaks(enum agent_type type, const void *data, size_t len,
			 bool started, int want)
{
	cleanup_buf struct buf out = {0};
	char text[ERR_TEXT_MAX];

	if (started)
		agent_put(&out, AGENT_STARTED, NULL, 0, NULL, 0);
	agent_put(&out, type, data, len, NULL, 0);
	assert_int_equal(guest_says(&out, text, sizeof(text)), want);
}

static void hostile_guest(void **state)
{
	static const struct agent_exit exits[] = {
		{0, 0, 0},
		{AGENT_EXITED, 256, 0},
		{AGENT_KILLED, 0, 0},
		{AGENT_KILLED, 65, 0},
		{AGENT_NOT_FOUND, 0, 0},
		{99, 1, 0},
	};
	static const struct agent_credit credit = {AGENT_INPUT, 1};
	static const struct agent_credit other = {AGENT_OUTPUT, 1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(exits); i++)
		guest_breaks(AGENT_EXIT, &exits[i], sizeof(exits[i]), true,
			     -EPROTO);
	guest_breaks(AGENT_OUTPUT, "x", 1, false, -EPROTO);
	guest_breaks(AGENT_STARTED, NULL, 0, true, -EPROTO);
	guest_breaks(AGENT_CREDIT, &credit, sizeof(credit), true, -EPROTO);
	guest_breaks(AGENT_CREDIT, &other, sizeof(other), true, -EPROTO);
	guest_breaks(AGENT_INPUT, "x", 1, true, -EPROTO);
	guest_breaks(AGENT_DONE, NULL, 0, true, -EPROTO);
	guest_breaks(AGENT_OUTPUT, "x", 1, true, -ECONNRESET);
}

/* A guest's sentence moves no cursor and forges no line. */
static void guest_words(void **state)
{
	static const char words[] = "\xff\xff\xff\xff"
				    "a\x1b[2Jb\nvolt: c";
	cleanup_buf struct buf out = {0};
	char text[ERR_TEXT_MAX];

	(void)state;
	agent_put(&out, AGENT_FAILED, words, sizeof(words) - 1, NULL, 0);
	assert_int_equal(guest_says(&out, text, sizeof(text)), -EREMOTEIO);
	assert_string_equal(text, "In the guest: a\\x1b[2Jb\\nvolt: c");
}

/* ---- the wire ---- */

static void reads_any_pieces(void **state)
{
	struct agent_reader in = {.side = AGENT_FROM_HOST};
	cleanup_buf struct buf out = {0};
	struct agent_frame frame;
	int pair[2];
	size_t nr = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	agent_put(&out, AGENT_INPUT, "ab", 2, "cde", 3);
	agent_put(&out, AGENT_INPUT_END, NULL, 0, NULL, 0);
	for (size_t i = 0; i < out.len; i++) {
		assert_int_equal(write(pair[0], out.data + i, 1), 1);
		assert_int_equal(agent_reader_fill(&in, pair[1]), 1);
		while (agent_reader_next(&in, &frame) > 0) {
			if (nr++ == 0) {
				assert_int_equal(frame.len, 5);
				assert_memory_equal(frame.data, "abcde", 5);
			}
		}
	}
	assert_int_equal(nr, 2);
	(void)close(pair[0]);
	assert_int_equal(agent_reader_fill(&in, pair[1]), 0);
	(void)close(pair[1]);
	agent_reader_free(&in);
}

static void exec_round(void **state)
{
	const char *words[] = {"a", "", "b c"}, *env[] = {"X=1"};
	const struct agent_exec exec = {.flags = AGENT_EXEC_TTY,
					.size = {1, 2},
					.folder = "/f",
					.user = "u:g",
					.nr_words = 3,
					.words = words,
					.nr_env = 1,
					.env = env};
	cleanup_buf struct buf out = {0};
	struct agent_exec got;
	const char *data;
	size_t len;

	(void)state;
	assert_int_equal(agent_put_exec(&out, &exec), 0);
	data = out.data + sizeof(struct agent_head);
	len = out.len - sizeof(struct agent_head);
	assert_int_equal(agent_exec_parse(data, len, &got), 0);
	assert_string_equal(got.folder, "/f");
	assert_string_equal(got.user, "u:g");
	assert_string_equal(got.words[2], "b c");
	assert_null(got.words[3]);
	assert_string_equal(got.env[0], "X=1");
	assert_int_equal(got.size.columns, 2);
	agent_exec_free(&got);
	/* Each that is cut off is refused; so is one byte more. */
	for (size_t n = 0; n < len; n++) {
		assert_int_equal(agent_exec_parse(data, n, &got), -EPROTO);
		agent_exec_free(&got);
	}
	buf_add(&out, "", 1);
	assert_int_equal(agent_exec_parse(out.data + sizeof(struct agent_head),
					  len + 1, &got),
			 -EPROTO);
	agent_exec_free(&got);
}

/* ---- users ---- */

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
			     "garbage\n"
			     "bad:x:-1:0::/:\n"
			     "big:x:4294967295:0::/:\n"
			     "web:x:33:34:w:/srv:/bin/sh\n";
static const char groups[] = "root:x:0:\n"
			     "log:x:40:web,other\n"
			     "no:x:41:webx,we\n"
			     "web:x:34:web\n"
			     "last:x:42:a,web\n";

static void user_files(char *one, char *two)
{
	int fd = mkstemp(one);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, passwd, sizeof(passwd) - 1), 0);
	(void)close(fd);
	fd = mkstemp(two);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, groups, sizeof(groups) - 1), 0);
	(void)close(fd);
}

static void users(void **state)
{
	static const struct {
		const char *text;
		int r;
		uid_t uid;
		gid_t gid;
		unsigned int nr;
		const char *home;
	} rows[] = {
		{"", 0, 0, 0, 1, "/root"},
		{"root", 0, 0, 0, 1, "/root"},
		{"web", 0, 33, 34, 3, "/srv"},
		{"33", 0, 33, 34, 3, "/srv"},
		{"web:log", 0, 33, 40, 0, "/srv"},
		{"web:7", 0, 33, 7, 0, "/srv"},
		{"12345", 0, 12345, 0, 1, "/"},
		{"12345:log", 0, 12345, 40, 0, "/"},
		{"nobody", -ENOENT, 0, 0, 0, "/"},
		{"web:nobody", -ENOENT, 0, 0, 0, "/"},
		{"bad", -ENOENT, 0, 0, 0, "/"},
		{"big", -ENOENT, 0, 0, 0, "/"},
		{"4294967295", -EINVAL, 0, 0, 0, "/"},
		{"99999999999999999999", -EINVAL, 0, 0, 0, "/"},
		{"web:", -ENOENT, 0, 0, 0, "/"},
	};
	char one[] = "/tmp/passwd.XXXXXX", two[] = "/tmp/group.XXXXXX";
	struct user user;

	(void)state;
	user_files(one, two);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(user_find(&user, rows[i].text, one, two),
				 rows[i].r);
		if (rows[i].r < 0)
			continue;
		assert_int_equal(user.uid, rows[i].uid);
		assert_int_equal(user.gid, rows[i].gid);
		assert_int_equal(user.nr_groups, rows[i].nr);
		assert_string_equal(user.home, rows[i].home);
	}
	(void)unlink(one);
	(void)unlink(two);
	assert_int_equal(user_find(&user, "", one, two), 0);
	assert_string_equal(user.home, "/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_any_pieces),
		cmocka_unit_test(exec_round),
		cmocka_unit_test(users),
		cmocka_unit_test(ends),
		cmocka_unit_test(streams_are_apart),
		cmocka_unit_test(empty_input),
		cmocka_unit_test(environment),
		cmocka_unit_test(leaves_a_child),
		cmocka_unit_test(terminal),
		cmocka_unit_test(bulk),
		cmocka_unit_test(output_to_a_function),
		cmocka_unit_test(broken_pipe),
		cmocka_unit_test(signal_passes_output),
		cmocka_unit_test(sets_up),
		cmocka_unit_test(freezes_for_a_host),
		cmocka_unit_test(thaws_by_itself),
		cmocka_unit_test(thaws_when_asked_or_left),
		cmocka_unit_test(other_versions),
		cmocka_unit_test(an_older_host),
		cmocka_unit_test(host_goes),
		cmocka_unit_test(hostile_host),
		cmocka_unit_test(hostile_guest),
		cmocka_unit_test(guest_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
