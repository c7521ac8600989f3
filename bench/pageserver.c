// SPDX-License-Identifier: Apache-2.0
/*
 * pageserver.c - a page server as clients of Firecracker write it
 *
 * usage: pageserver SOCKET MEMORY
 *
 * It maps a raw memory file, takes a VMM's regions and its userfaultfd, and
 * copies one page for each fault: the style of the handlers that are in use,
 * for a comparison with volt-pager. It ends with its VMM, and prints how many
 * pages it served. No balloon, one VM, and no check of what the VMM says.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE        4096ull
#define REGIONS_MAX 4

struct region {
	unsigned long long hva, size, off;
};

struct pageserver {
	const uint8_t *memory;
	struct region region[REGIONS_MAX];
	unsigned int nr;
	int sock;
	int uffd;
	unsigned long long served;
};

static int pageserver_die(const char *what)
{
	perror(what);
	return 1;
}

/* Return: a connection, or -1. */
static int pageserver_accept(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path))
		return -1;
	memcpy(addr.sun_path, path, strlen(path));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 1) < 0)
		return -1;
	return accept(fd, NULL, NULL);
}

static int pageserver_greet(struct pageserver *s)
{
	static char text[16384];
	char room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	const struct cmsghdr *head;

	if (recvmsg(s->sock, &msg, MSG_CMSG_CLOEXEC) <= 0)
		return -1;
	head = CMSG_FIRSTHDR(&msg);
	if (!head)
		return -1;
	memcpy(&s->uffd, CMSG_DATA(head), sizeof(s->uffd));
	for (const char *at = strchr(text, '{'); at && s->nr < REGIONS_MAX;
	     at = strchr(at + 1, '{')) {
		struct region *r = &s->region[s->nr];

		if (sscanf(at,
			   "{\"base_host_virt_addr\":%llu,\"size\":%llu,"
			   "\"offset\":%llu",
			   &r->hva, &r->size, &r->off) != 3)
			return -1;
		s->nr++;
	}
	return s->nr > 0 ? 0 : -1;
}

static void pageserver_place(struct pageserver *s, unsigned long long page)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		const struct region *r = &s->region[i];
		struct uffdio_copy copy = {.dst = page, .len = PAGE};

		if (page < r->hva || page >= r->hva + r->size)
			continue;
		copy.src = (uintptr_t)s->memory + r->off + (page - r->hva);
		s->served += ioctl(s->uffd, UFFDIO_COPY, &copy) == 0;
	}
}

/* To the VMM's end. */
static void pageserver_serve(struct pageserver *s)
{
	struct pollfd p[] = {
		{.fd = s->uffd, .events = POLLIN},
		{.fd = s->sock, .events = POLLRDHUP},
	};

	while (poll(p, 2, -1) > 0 && !p[1].revents) {
		struct uffd_msg msg;

		if (read(s->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		pageserver_place(s, msg.arg.pagefault.address / PAGE * PAGE);
	}
}

int main(int argc, char **argv)
{
	struct pageserver s = {0};
	struct stat st;
	void *memory;
	int fd;

	if (argc != 3)
		return 2;
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return pageserver_die(argv[2]);
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (memory == MAP_FAILED)
		return pageserver_die("mmap");
	s.memory = memory;
	s.sock = pageserver_accept(argv[1]);
	if (s.sock < 0)
		return pageserver_die(argv[1]);
	if (pageserver_greet(&s) < 0)
		return pageserver_die("the VMM's message");
	pageserver_serve(&s);
	(void)fprintf(stderr, "{\"faults\":%llu}\n", s.served);
	return 0;
}
