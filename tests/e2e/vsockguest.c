/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsockguest.c - a Linux guest's end of the vsock tests
 *
 * usage: vsockguest CONNECTIONS
 *
 * Echoes what comes on every AF_VSOCK connection until its end: those to its
 * port 9, and CONNECTIONS that it makes to port 52 of the host. One to port 1
 * ends it. Says "ready" when all of them are there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define CHUNK 65536

/* A connection; @used bytes of @data, from @at on, are to be sent back. */
struct conn {
	int fd;
	int ended;
	ssize_t at, used;
	char *data;
};

static int epoll;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_vm address(unsigned int cid, unsigned int port)
{
	return (struct sockaddr_vm){
		.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

static void watch(struct conn *c, int op, unsigned int events)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(epoll, op, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static struct conn *add(int fd, int data)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (fd < 0 || !c)
		die("add");
	c->fd = fd;
	c->data = data ? malloc(CHUNK) : NULL;
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
	return c;
}

static struct conn *listen_on(unsigned int port)
{
	struct sockaddr_vm addr = address(VMADDR_CID_ANY, port);
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 1024) < 0)
		die("listen");
	return add(fd, 0);
}

static void call_host(void)
{
	struct sockaddr_vm addr = address(VMADDR_CID_HOST, 52);
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		die("connect");
	add(fd, 1);
}

static void drop(struct conn *c)
{
	close(c->fd);
	free(c->data);
	free(c);
}

/* Either something is to be sent, or more is read. */
static void serve(struct conn *c)
{
	ssize_t n;

	if (c->used == 0) {
		n = recv(c->fd, c->data, CHUNK, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			drop(c);
			return;
		}
		c->at = 0;
		c->used = n;
	}
	n = send(c->fd, c->data + c->at, (size_t)c->used,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		drop(c);
		return;
	}
	if (n > 0) {
		c->at += n;
		c->used -= n;
	}
	watch(c, EPOLL_CTL_MOD, c->used ? EPOLLOUT : EPOLLIN);
}

int main(int argc, char **argv)
{
	int calls = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	struct conn *server, *quit;

	epoll = epoll_create1(0);
	server = listen_on(9);
	quit = listen_on(1);
	for (int i = 0; i < calls; i++)
		call_host();
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event ev;
		struct conn *c;

		if (epoll_wait(epoll, &ev, 1, -1) < 1)
			continue;
		c = ev.data.ptr;
		if (c == quit)
			break;
		if (c == server)
			add(accept(c->fd, NULL, NULL), 1);
		else
			serve(c);
	}
	puts("bye");
	return 0;
}
