/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmdsguest.c - a Linux guest's end of the metadata service's tests
 *
 * usage: mmdsguest ROWS
 *
 * ROWS has requests and what a real Firecracker answered, as test_linux_mmds.py
 * writes it: of each a head of three numbers (is its body a token; bytes sent;
 * bytes received) and the bytes. A connection each; "@TOKEN@" in a request is
 * the token that came last, as are the bytes "@TOKEN of 48 bytes@" in an
 * answer. Says "N of M equal".
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOKEN   48
#define MARK    "@TOKEN@"
#define HIDDEN  "@TOKEN of 48 bytes@"
#define WAIT_MS 20000 /* for what has to come */
#define MORE_MS 20    /* for what must not */

struct row {
	uint32_t token, send, receive;
};

static char token[TOKEN];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int dial(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(80),
		.sin_addr.s_addr = inet_addr("169.254.169.254"),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)))
		die("connect");
	return fd;
}

/* @text, of @len bytes in a larger buffer, with @to in the place of @from. */
static size_t replace(char *text, size_t len, const char *from, const char *to,
		      size_t n)
{
	char *at = memmem(text, len, from, strlen(from));

	if (!at)
		return len;
	memmove(at + n, at + strlen(from),
		(size_t)(text + len - at) - strlen(from));
	memcpy(at, to, n);
	return len + n - strlen(from);
}

/* All that comes, up to what is expected and whatever follows at once. */
static size_t receive(int fd, char *got, size_t size, size_t expected)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;

	while (len < size &&
	       poll(&p, 1, len < expected ? WAIT_MS : MORE_MS) > 0) {
		ssize_t n = recv(fd, got + len, size - len, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

/* Return: whether the answer is the recorded one. */
static int play(const struct row *row, char *send_text, const char *wanted)
{
	static char got[65536];
	const char *hidden;
	size_t len = replace(send_text, row->send, MARK, token, TOKEN);
	size_t want = row->receive;
	int fd = dial();

	hidden = memmem(wanted, want, HIDDEN, strlen(HIDDEN));
	if (hidden)
		want += TOKEN - strlen(HIDDEN);
	if (send(fd, send_text, len, 0) != (ssize_t)len)
		die("send");
	len = receive(fd, got, sizeof(got), want);
	close(fd);
	if (row->token && len >= TOKEN)
		memcpy(token, got + len - TOKEN, TOKEN);
	if (hidden && len == want)
		return memcmp(got, wanted, (size_t)(hidden - wanted)) == 0;
	return len == want && memcmp(got, wanted, want) == 0;
}

int main(int argc, char **argv)
{
	static char sent[65536], wanted[65536];
	FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
	unsigned int rows = 0, equal = 0;
	struct row row;

	if (!file)
		die("mmdsguest ROWS");
	for (; fread(&row, sizeof(row), 1, file) == 1; rows++) {
		if (row.send > sizeof(sent) - TOKEN ||
		    row.receive > sizeof(wanted) ||
		    fread(sent, 1, row.send, file) != row.send ||
		    fread(wanted, 1, row.receive, file) != row.receive)
			die("rows");
		if (play(&row, sent, wanted))
			equal++;
		else
			printf("row %u differs\n", rows);
	}
	printf("%u of %u equal\n", equal, rows);
	return 0;
}
