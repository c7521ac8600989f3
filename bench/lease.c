/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.c - time a VM from a request to its guest's mark
 *
 * Theory of operation: for each line on standard input a VM is asked for: a
 * lease of POOL from the volt-pool at SOCKET, or COMMAND is started. Its guest
 * writes '@' to the FIFO at MARKS. The clock starts right before the request
 * and stops when the mark was read, so the way of both through the kernel
 * counts, and nothing else of this program. A leased VM is asked then when its
 * guest ran its first instruction, and given back; a process is killed: its end
 * is in nobody's way. Interpreted languages are too slow for such figures; this
 * program only measures, bench/run decides when.
 *
 * Usage: lease MARKS SOCKET POOL
 *        lease MARKS -- COMMAND [ARGUMENT...]
 * Prints a line for each, nanoseconds: to the first instruction, 0 where none
 * is known; to the mark.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_S    60
#define ANSWER_MAX 1024

extern char **environ;

struct lease {
	int marks;
	int sock; /* -1: a command is started */
	char request[256];
	char **argv;
	pid_t pid;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void ask(struct lease *l)
{
	size_t len = strlen(l->request);
	posix_spawn_file_actions_t actions;

	if (l->sock >= 0) {
		if (send(l->sock, l->request, len, 0) != (ssize_t)len)
			err(2, "send");
		return;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	errno = posix_spawn(&l->pid, l->argv[0], &actions, NULL, l->argv,
			    environ);
	if (errno)
		err(2, "%s", l->argv[0]);
	posix_spawn_file_actions_destroy(&actions);
}

static void await_mark(const struct lease *l)
{
	char buf[64];
	ssize_t n;

	do {
		n = read(l->marks, buf, sizeof(buf));
		if (n < 0)
			err(2, "read");
	} while (!memchr(buf, '@', (size_t)n));
}

/* Descriptors that come with an answer find no room, and are closed. */
static void receive(const struct lease *l, char answer[static ANSWER_MAX])
{
	ssize_t n = recv(l->sock, answer, ANSWER_MAX - 1, 0);

	if (n < 0)
		err(2, "recv");
	answer[n] = '\0';
	if (strstr(answer, "\"error\""))
		errx(1, "refused: %s", answer);
}

static void connect_to(int sock, const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >=
	    (int)sizeof(at.sun_path))
		errx(2, "the names are too long");
	if (sock < 0 || connect(sock, (struct sockaddr *)&at, sizeof(at)) < 0)
		err(2, "%s", path);
}

/* When the guest of the VM with this API began, of CLOCK_MONOTONIC. */
static int64_t began_ns(const char *api)
{
	static const char request[] = "GET /volt/vm HTTP/1.1\r\n\r\n";
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[ANSWER_MAX] = "";
	const char *at = NULL;
	long long ns = 0;
	size_t len = 0;

	connect_to(sock, api);
	if (write(sock, request, sizeof(request) - 1) < 0)
		err(2, "%s", api);
	while (!at && len < sizeof(answer) - 1) {
		ssize_t n = read(sock, answer + len, sizeof(answer) - 1 - len);

		if (n <= 0)
			err(2, "%s", api);
		len += (size_t)n;
		answer[len] = '\0';
		at = strstr(answer, "\"began_ns\":");
	}
	(void)close(sock);
	if (!at || sscanf(at, "\"began_ns\":%lld}", &ns) != 1)
		errx(1, "no time: %s", answer);
	return ns;
}

/* The text behind @key of an answer. */
static void text_of(const char *answer, const char *key, char text[static 108])
{
	const char *at = strstr(answer, key);

	if (!at || sscanf(at + strlen(key), "%107[^\"]", text) != 1)
		errx(1, "no lease: %s", answer);
}

/* Return: when the guest began, or 0. */
static int64_t finish(const struct lease *l)
{
	char answer[ANSWER_MAX], text[108], request[192];
	int64_t began;
	int n;

	if (l->sock < 0) {
		if (kill(l->pid, SIGKILL) < 0 || waitpid(l->pid, NULL, 0) < 0)
			err(2, "a process's end");
		return 0;
	}
	receive(l, answer);
	text_of(answer, "\"api\":\"", text);
	began = began_ns(text);
	text_of(answer, "\"name\":\"", text);
	n = snprintf(request, sizeof(request),
		     "{\"v\":1,\"release\":{\"name\":\"%s\"}}", text);
	if (send(l->sock, request, (size_t)n, 0) != n)
		err(2, "send");
	receive(l, answer);
	return began;
}

static void dial(struct lease *l, const char *path, const char *pool)
{
	if (snprintf(l->request, sizeof(l->request),
		     "{\"v\":1,\"lease\":{\"pool\":\"%s\"}}",
		     pool) >= (int)sizeof(l->request))
		errx(2, "the names are too long");
	l->sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	connect_to(l->sock, path);
}

int main(int argc, char **argv)
{
	struct lease l = {.sock = -1, .argv = argv + 3};
	char line[16];

	if (argc < 4)
		errx(2, "usage: lease MARKS SOCKET POOL");
	l.marks = open(argv[1], O_RDWR | O_CLOEXEC);
	if (l.marks < 0)
		err(2, "%s", argv[1]);
	if (strcmp(argv[2], "--") != 0)
		dial(&l, argv[2], argv[3]);
	while (fgets(line, sizeof(line), stdin)) {
		int64_t begin, mark, began;

		alarm(LIMIT_S); /* one that does not come ends this program */
		begin = now_ns();
		ask(&l);
		await_mark(&l);
		mark = now_ns();
		began = finish(&l);
		(void)printf("%lld %lld\n",
			     (long long)(began ? began - begin : 0),
			     (long long)(mark - begin));
		(void)fflush(stdout);
	}
	return 0;
}
