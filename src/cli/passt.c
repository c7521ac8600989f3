// SPDX-License-Identifier: Apache-2.0
/*
 * passt.c - a guest's network by sockets of this user (theory: passt.h)
 */
#include "cli/passt.h"

#include "base/clean.h"
#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASST_ABSENT    127
#define PASST_WORDS_MAX (32u + 2u * PASST_PUBLISH_MAX)
#define PASST_WORD      64u
#define PASST_SAYS      2048u

/* passt's own words do not say which port, or why. */
static int passt_check_port(const struct passt_port *port, struct err *err)
{
	const struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr = port->address,
		.sin_port = htons(port->host),
	};
	cleanup_fd int fd = socket(
		AF_INET, (port->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
		0);
	const int on = 1;

	if (fd >= 0 && !port->udp)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 &&
	    bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    (port->udp || listen(fd, 1) == 0))
		return 0;
	return err_set(err, -errno, "--publish %s: port %u of this host: %s",
		       port->text, port->host,
		       errno == EADDRINUSE ? "it is in use" : err_name(errno));
}

/* ---- its command line ---- */

/**
 * struct passt_words - of its command line
 */
struct passt_words {
	const char *word[PASST_WORDS_MAX + 1];
	char text[PASST_WORDS_MAX][PASST_WORD];
	size_t nr;
};

static void passt_add(struct passt_words *w, const char *word)
{
	assert(w->nr < PASST_WORDS_MAX);
	(void)snprintf(w->text[w->nr], PASST_WORD, "%s", word);
	w->word[w->nr] = w->text[w->nr];
	w->nr++;
}

static void passt_add_address(struct passt_words *w, const char *option,
			      struct in_addr address)
{
	char text[INET_ADDRSTRLEN];

	passt_add(w, option);
	passt_add(w, inet_ntop(AF_INET, &address, text, sizeof(text)));
}

static void passt_add_ports(struct passt_words *w,
			    const struct passt_wish *wish, bool udp)
{
	const char *option = udp ? "-u" : "-t";
	char address[INET_ADDRSTRLEN], text[PASST_WORD];
	bool none = true;

	for (size_t i = 0; i < wish->nr_ports; i++) {
		const struct passt_port *port = &wish->ports[i];

		if (port->udp != udp)
			continue;
		none = false;
		(void)inet_ntop(AF_INET, &port->address, address,
				sizeof(address));
		(void)snprintf(text, sizeof(text), "%s/%u:%u", address,
			       port->host, port->guest);
		passt_add(w, option);
		passt_add(w, text);
	}
	if (none) {
		passt_add(w, option);
		passt_add(w, "none");
	}
}

static void passt_say_wish(struct passt_words *w, const struct passt_wish *wish,
			   int sock)
{
	static const char *const always[] = {
		"passt",     "--quiet", "--ipv4-only", "--no-dhcpv6",
		"--no-ndp",  "--no-ra", "--mtu",       "65520",
		"--netmask", "24",      "--fd",
	};
	char number[16];

	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		passt_add(w, always[i]);
	(void)snprintf(number, sizeof(number), "%d", sock);
	passt_add(w, number);
	passt_add_address(w, "--address", wish->guest);
	passt_add_address(w, "--gateway", wish->gateway);
	passt_add_address(w, "--dns-forward", wish->dns);
	if (!wish->host)
		passt_add(w, "--no-map-gw");
	if (!wish->dhcp)
		passt_add(w, "--no-dhcp");
	passt_add_ports(w, wish, false);
	passt_add_ports(w, wish, true);
}

/* ---- the process ---- */

static void passt_become(const struct passt_words *w, int sock, int says)
	__attribute__((noreturn));

static void passt_become(const struct passt_words *w, int sock, int says)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	union {
		const char *const *from;
		char *const *to;
	} cast = {.from = w->word}; /* execvp() knows no const */

	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(says, STDERR_FILENO) < 0 || fcntl(sock, F_SETFD, 0) < 0)
		_exit(1);
	(void)execvp("passt", cast.to);
	_exit(PASST_ABSENT);
}

/* What it said, up to the end; the last line of it that says something. */
static void passt_last_line(int says, char *line, size_t size)
{
	char text[PASST_SAYS], *at = text, *next;
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 &&
	       (n = read(says, text + len, sizeof(text) - 1 - len)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		len += n > 0 ? (size_t)n : 0;
	}
	text[len] = '\0';
	line[0] = '\0';
	while ((next = strsep(&at, "\n")))
		if (*next && !strstr(next, "syslog"))
			line[clean_text(line, size - 1, next, strlen(next))] =
				'\0';
}

static int passt_failed(int status, const char *says, struct err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == PASST_ABSENT)
		return err_set(err, -ENOENT,
			       "--net user needs passt, which is not "
			       "installed: `apt install passt`, or --net none "
			       "for no network");
	return err_set(err, -EIO, "no network: passt does not start: %s%s",
		       says[0] ? says : "it does not say why",
		       "; --net none runs without");
}

/* @says: closed here, so that its end is the process's. */
static int passt_run(const struct passt_words *words, int sock, int in,
		     int *says, struct err *err)
{
	char line[ERR_TEXT_MAX / 2];
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, -errno, "Cannot start passt: %s",
			       err_name(errno));
	if (pid == 0)
		passt_become(words, sock, *says);
	fd_close(says);
	passt_last_line(in, line, sizeof(line));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, -errno, "Cannot wait for passt: %s",
				       err_name(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0
		       ? 0
		       : passt_failed(status, line, err);
}

int passt_start(const struct passt_wish *wish, struct err *err)
{
	cleanup_free struct passt_words *words = calloc(1, sizeof(*words));
	int sock[2] = {-1, -1}, says[2] = {-1, -1}, r = 0;

	if (!words)
		return err_set(err, -ENOMEM, "Out of memory");
	for (size_t i = 0; i < wish->nr_ports && r == 0; i++)
		r = passt_check_port(&wish->ports[i], err);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock) < 0 ||
	    pipe2(says, O_CLOEXEC) < 0) {
		r = err_set(err, -errno, "Cannot start passt: %s",
			    err_name(errno));
	} else {
		passt_say_wish(words, wish, sock[1]);
		r = passt_run(words, sock[1], says[0], &says[1], err);
	}
	fd_close(&says[0]);
	fd_close(&says[1]);
	fd_close(&sock[1]);
	if (r < 0)
		fd_close(&sock[0]);
	return r < 0 ? r : sock[0];
}
