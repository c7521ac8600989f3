// SPDX-License-Identifier: Apache-2.0
/*
 * uffd.c - guest memory that another process serves (theory: uffd.h)
 */
#include "pager/uffd.h"

#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "host/clock.h"
#include "host/unix.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

/* Since Linux 6.1; the UAPI headers of Debian 12 have it, older ones do not. */
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
/* Since Linux 5.3. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

#define PAGE_SIZE_2M MIB(2)

static int uffd_fail(struct err *err, const char *what)
{
	int e = errno;

	return err_set(err, -e, "%s: %s (os error %d)", what, err_name(e), e);
}

void uffd_init(struct uffd *u)
{
	*u = (struct uffd){
		.fd = -1,
		.handler = {.fd = -1},
		.sock = {.fd = -1},
		.smaps = -1,
		.served = -1,
		.limit_ms = UFFD_RESTORE_MS,
		.stop = -1,
	};
}

/* The device node needs only its permission, the call a privilege. */
static int open_uffd(struct uffd *u, int dev, struct err *err)
{
	const int flags = O_CLOEXEC | O_NONBLOCK;
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_EVENT_REMOVE,
	};

	if (dev >= 0)
		u->fd = ioctl(dev, USERFAULTFD_IOC_NEW, flags);
	if (u->fd < 0)
		u->fd = (int)syscall(SYS_userfaultfd, flags);
	if (u->fd < 0)
		return uffd_fail(err,
				 "Failed to create a userfaultfd (give this "
				 "user /dev/userfaultfd)");
	if (ioctl(u->fd, UFFDIO_API, &api) < 0)
		return uffd_fail(err, "The kernel's userfaultfd lacks what is "
				      "needed");
	return 0;
}

static int register_memory(const struct uffd *u, const struct gmem *mem,
			   struct err *err)
{
	for (unsigned int i = 0; i < mem->nr_image; i++) {
		struct uffdio_register reg = {
			.range = {.start = (uintptr_t)mem->region[i].hva,
				  .len = mem->region[i].size},
			.mode = UFFDIO_REGISTER_MODE_MISSING,
		};

		if (ioctl(u->fd, UFFDIO_REGISTER, &reg) < 0)
			return uffd_fail(err, "Failed to register memory with "
					      "userfaultfd");
	}
	return 0;
}

static void uffd_describe(const struct gmem *mem, struct buf *out)
{
	const unsigned long long page =
		mem->pages == GMEM_PAGES_2M ? PAGE_SIZE_2M : PAGE_SIZE;

	for (unsigned int i = 0; i < mem->nr_image; i++) {
		const struct gmem_region *r = &mem->region[i];

		buf_addf(out,
			 "%s{\"base_host_virt_addr\":%llu,\"size\":%llu,"
			 "\"offset\":%llu,\"page_size\":%llu,"
			 "\"page_size_kib\":%llu}",
			 i == 0 ? "[" : ",",
			 (unsigned long long)(uintptr_t)r->hva,
			 (unsigned long long)r->size, (unsigned long long)r->at,
			 page, page);
	}
	buf_add_str(out, "]");
}

/* So short a text goes whole into an empty socket. */
static int send_with_fd(int sock, const struct buf *text, int fd)
{
	ssize_t n = unix_send_fds(sock, text->data, text->len, &fd, 1, 0);

	if (n < 0)
		return n == -EAGAIN ? -ETIMEDOUT : (int)n;
	return (size_t)n == text->len ? 0 : -EIO;
}

static void one_is_gone(struct uffd *u, struct loop_source *src)
{
	loop_del(u->loop, src);
	if (!u->handler.added && !u->sock.added)
		u->gone(u->ctx);
}

static void on_handler(struct loop_source *src, uint32_t events)
{
	(void)events;
	one_is_gone(container_of(src, struct uffd, handler), src);
}

/* What a handler might send has no meaning: only the end counts. */
static void on_sock(struct loop_source *src, uint32_t events)
{
	(void)events;
	one_is_gone(container_of(src, struct uffd, sock), src);
}

/* Zeros that are none are not only a vCPU's to read: a device would write them
 * to a disk. From here on its calls fail, and who touches memory gets a
 * SIGSEGV. */
static void forbid_memory(const struct uffd *u)
{
	for (unsigned int i = 0; i < u->mem->nr_image; i++)
		if (mprotect(u->mem->region[i].hva, u->mem->region[i].size,
			     PROT_NONE) < 0)
			log_error("Guest memory that nobody serves stays "
				  "readable: %s",
				  err_name(errno));
}

/* Whoever waits for a page goes on: during a restore with zeros. */
static void unregister_memory(const struct uffd *u)
{
	for (unsigned int i = 0; i < u->mem->nr_image; i++) {
		struct uffdio_range range = {
			.start = (uintptr_t)u->mem->region[i].hva,
			.len = u->mem->region[i].size,
		};

		(void)ioctl(u->fd, UFFDIO_UNREGISTER, &range);
	}
}

/* Who gives pages back waits until somebody has read that: here, nobody else
 * does. */
static void read_events(struct uffd *u)
{
	struct pollfd p[] = {
		{.fd = u->stop, .events = POLLIN},
		{.fd = u->fd, .events = POLLIN},
	};
	struct uffd_msg msg;

	while (p[0].revents == 0) {
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents && read(u->fd, &msg, sizeof(msg)) < 0 &&
		    errno != EAGAIN && errno != EINTR)
			return;
	}
}

/* For poll(): until the handler is late. */
static int time_left(const struct uffd *u)
{
	uint64_t now = now_ns();

	if (atomic_load(&u->phase) != UFFD_RESTORING)
		return -1;
	return now >= u->deadline_ns
		       ? 0
		       : (int)((u->deadline_ns - now) / 1000000) + 1;
}

/* The end of the restore, or of the time for it: whichever is first. */
static bool leave_restoring(struct uffd *u, unsigned int to)
{
	unsigned int from = UFFD_RESTORING;

	return atomic_compare_exchange_strong(&u->phase, &from, to);
}

/*
 * Return: false when there is nothing to watch any more. Without a pidfd the
 * connection alone says nothing.
 */
static bool wait_for_the_end(struct uffd *u)
{
	bool known = u->handler.fd >= 0 || u->handler_ended;
	struct pollfd p[] = {
		{.fd = u->stop, .events = POLLIN},
		{.fd = u->handler.fd, .events = POLLIN},
		{.fd = known ? u->sock.fd : -1, .events = POLLRDHUP},
	};

	for (;;) {
		int ms = time_left(u);

		if (ms == 0 && leave_restoring(u, UFFD_LOST))
			return true;
		if (poll(p, ARRAY_SIZE(p), ms) <= 0)
			continue;
		if (p[0].revents)
			return false;
		for (size_t i = 1; i < ARRAY_SIZE(p); i++)
			if (p[i].revents)
				p[i].fd = -1;
		if (p[1].fd < 0 && p[2].fd < 0)
			return true;
	}
}

static void *watcher_main(void *arg)
{
	struct uffd *u = arg;
	bool go_on;

	log_name_thread("uffd");
	u->locked = sandbox_lock_thread(u->sandbox);
	if (u->locked == 0)
		u->locked = sandbox_thread(u->sandbox, SANDBOX_PAGER);
	go_on = u->locked == 0;
	(void)sem_post(&u->ready);
	if (go_on && wait_for_the_end(u)) {
		if (atomic_exchange(&u->phase, UFFD_LOST) == UFFD_SETTLED) {
			if (u->lost)
				u->lost(u->ctx);
			forbid_memory(u);
		}
		unregister_memory(u);
		read_events(u);
	}
	return NULL;
}

static int start_watcher(struct uffd *u)
{
	sigset_t all, old;
	int r;

	u->deadline_ns = now_ns() + (uint64_t)u->limit_ms * 1000000;
	u->stop = eventfd(0, EFD_CLOEXEC);
	if (u->stop < 0)
		return -errno;
	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS); /* of its own seccomp filter */
	(void)sem_init(&u->ready, 0, 0);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&u->watcher, NULL, watcher_main, u);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	u->watching = r == 0;
	if (r != 0)
		return -r;
	while (sem_wait(&u->ready) < 0)
		; /* a signal */
	return u->locked;
}

static void end_watcher(struct uffd *u)
{
	if (u->watching && eventfd_write(u->stop, 1) == 0)
		(void)pthread_join(u->watcher, NULL);
	u->watching = false;
	fd_close(&u->stop);
}

/* Without pidfds (or across pid namespaces) a handler's death goes unseen. */
static int uffd_watch(struct uffd *u, int sock, struct err *err)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);
	int r;

	u->sock = (struct loop_source){
		.fd = sock,
		.events = EPOLLRDHUP,
		.cb = on_sock,
	};
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return uffd_fail(err, "Cannot tell who serves the memory");
	u->handler = (struct loop_source){
		.fd = (int)syscall(SYS_pidfd_open, peer.pid, 0),
		.events = EPOLLIN,
		.cb = on_handler,
	};
	u->handler_ended = u->handler.fd < 0 && errno == ESRCH;
	r = start_watcher(u);
	if (r == 0 && u->handler.fd >= 0)
		r = loop_add(u->loop, &u->handler);
	if (r == 0 && (u->handler.fd >= 0 || u->handler_ended))
		r = loop_add(u->loop, &u->sock);
	return r < 0 ? err_set(err, r, "Cannot watch the memory's handler: %s",
			       err_name(r))
		     : 0;
}

int uffd_connect(struct uffd *u, const struct gmem *mem, int dev, int *sock,
		 struct loop *loop, void (*gone)(void *ctx), void *ctx,
		 struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r = open_uffd(u, dev, err);

	u->mem = mem;
	u->loop = loop;
	u->gone = gone;
	u->ctx = ctx;
	if (r == 0)
		r = register_memory(u, mem, err);
	if (r < 0)
		return r;
	uffd_describe(mem, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = send_with_fd(*sock, &text, u->fd);
	if (r < 0) {
		errno = -r;
		return uffd_fail(err, "Failed to send the userfaultfd to its "
				      "handler");
	}
	return uffd_watch(u, fd_steal(sock), err);
}

/* What a handler may have sent behind our message. */
static bool receive_figures(struct uffd *u)
{
	int fds[] = {-1, -1};
	char byte;
	size_t nr;

	if (u->smaps < 0 && u->sock.fd >= 0 &&
	    unix_recv_fds(u->sock.fd, &byte, sizeof(byte), fds, ARRAY_SIZE(fds),
			  &nr, MSG_DONTWAIT) >= 0) {
		u->smaps = fds[0];
		u->served = fds[1];
	}
	return u->smaps >= 0;
}

int uffd_settle(struct uffd *u, struct err *err)
{
	if (leave_restoring(u, UFFD_SETTLED) || !uffd_is_lost(u)) {
		u->marks = receive_figures(u);
		return 0;
	}
	if (now_ns() < u->deadline_ns)
		return err_set(err, -EIO, UFFD_GONE);
	return err_set(err, -EIO,
		       "The process that serves the guest's memory did not "
		       "serve the first pages within %d s",
		       u->limit_ms / 1000);
}

void uffd_mark(struct uffd *u)
{
	const char mark = UFFD_MARK;

	/* It is a hint: one that has no room, or is gone, does without. */
	if (u->marks)
		(void)!unix_send_fds(u->sock.fd, &mark, 1, NULL, 0,
				     MSG_DONTWAIT);
}

int uffd_usage(struct uffd *u, struct usage *usage)
{
	return receive_figures(u) ? usage_of_process(u->smaps, usage) : -ENOENT;
}

int uffd_served(struct uffd *u, struct served *served)
{
	int r;

	if (!receive_figures(u) || u->served < 0)
		return -ENOENT;
	r = fd_read_full(u->served, served, sizeof(*served), 0);
	if (r < 0)
		return r;
	return served->magic == SERVED_MAGIC ? 0 : -ENOENT;
}

void uffd_unwatch(struct uffd *u)
{
	end_watcher(u);
}

int uffd_watch_again(struct uffd *u)
{
	return u->fd < 0 || u->watching ? 0 : start_watcher(u);
}

void uffd_fini(struct uffd *u)
{
	end_watcher(u);
	if (u->handler.added)
		loop_del(u->loop, &u->handler);
	if (u->sock.added)
		loop_del(u->loop, &u->sock);
	/* The handler's copy of the descriptor would keep them waiting. */
	if (u->fd >= 0)
		unregister_memory(u);
	fd_close(&u->handler.fd);
	fd_close(&u->sock.fd);
	fd_close(&u->smaps);
	fd_close(&u->served);
	fd_close(&u->fd);
}
