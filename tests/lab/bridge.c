// SPDX-License-Identifier: Apache-2.0
/*
 * bridge.c - carries FUSE messages between the lab's kernel and the host
 *
 * Requests of the kernel (linux/fuse.h) go through a virtio-serial port as
 * they are; hostfs.py answers them. Both requests and replies begin with
 * their length, which is all the framing that the port needs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

/* The largest message: FUSE's greatest read or write, and its header. */
#define MESSAGE_MAX ((1U << 20) + 4096)

static int device = -1;
static int files_port = -1;

static void put(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t done = write(fd, data, len);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done < 0)
			agent_die("writing to the files port");
		data += done;
		len -= (size_t)done;
	}
}

static void get(int fd, char *data, size_t len)
{
	while (len) {
		ssize_t done = read(fd, data, len);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (done <= 0)
			agent_die("reading the files port");
		data += done;
		len -= (size_t)done;
	}
}

/* A request can be withdrawn (ENOENT) while we read it. */
static void *carry_requests(void *arg)
{
	static char buf[MESSAGE_MAX];

	for (;;) {
		ssize_t len = read(device, buf, sizeof(buf));

		if (len < 0 &&
		    (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (len < 0)
			agent_die("reading /dev/fuse");
		put(files_port, buf, (size_t)len);
	}
	return arg;
}

/* The kernel refuses (ENOENT) the reply to a request that was withdrawn. */
static void *carry_replies(void *arg)
{
	static char buf[MESSAGE_MAX];
	struct fuse_out_header header;

	for (;;) {
		get(files_port, buf, sizeof(header));
		memcpy(&header, buf, sizeof(header));
		if (header.len < sizeof(header) || header.len > sizeof(buf))
			agent_die("a file message has a wrong length");
		get(files_port, buf + sizeof(header),
		    header.len - sizeof(header));
		if (write(device, buf, header.len) < 0 && errno != ENOENT)
			agent_die("writing to /dev/fuse");
	}
	return arg;
}

/**
 * bridge_mount() - mount the host's files, which nobody serves yet, at @where.
 *
 * Return: the FUSE device to serve them through. Ends the lab on failure.
 */
int bridge_mount(const char *where)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		agent_die("/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,"
		 "allow_other,default_permissions,max_read=1048576",
		 fd);
	mkdir(where, 0755);
	if (mount("host", where, "fuse", 0, options) < 0)
		agent_die("mounting the host's files");
	return fd;
}

/**
 * bridge_start() - serve the mount from now on, in two threads.
 */
void bridge_start(int fuse_fd, int port)
{
	pthread_t thread;

	device = fuse_fd;
	files_port = port;
	if (pthread_create(&thread, NULL, carry_requests, NULL) != 0 ||
	    pthread_create(&thread, NULL, carry_replies, NULL) != 0)
		agent_die("starting a thread");
}
