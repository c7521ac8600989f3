// SPDX-License-Identifier: Apache-2.0
/*
 * serve.c - one VM's memory (theory of operation: serve.h)
 */
#include "serve/serve.h"

#include "base/fd.h"
#include "host/clock.h"
#include "host/unix.h"
#include "pager/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* For the message of a VM that has connected. */
#define SERVE_MESSAGE_MS 10000
#define SERVE_MS         1000000u

static int serve_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* The message and its descriptor. Return: its bytes; -errno with a sentence. */
static int serve_receive(int sock, char *text, int *uffd, struct err *err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	size_t nr = 0;
	ssize_t n;
	int r;

	do
		r = poll(&p, 1, SERVE_MESSAGE_MS);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(err, -ETIMEDOUT,
			       "The VMM has connected, and says nothing");
	n = unix_recv_fds(sock, text, REGIONS_MESSAGE_MAX, uffd, 1, &nr, 0);
	if (n == 0)
		return err_set(err, -EPIPE,
			       "The VMM has gone before it said "
			       "what to serve");
	if (n < 0)
		return err_set(err, (int)n, "The VMM's message is wrong: %s",
			       err_name((int)n));
	if (nr != 1)
		return err_set(err, -EPROTO,
			       "The VMM's message is wrong: it "
			       "comes without a userfaultfd");
	if (fcntl(*uffd, F_SETFL, O_NONBLOCK) < 0)
		return err_set(err, -errno,
			       "The VMM's userfaultfd cannot be "
			       "used");
	return (int)n;
}

/* Has the VMM gone? */
static bool serve_is_over(const struct pollfd *p)
{
	return (p->revents & (POLLHUP | POLLRDHUP | POLLERR)) != 0;
}

static int serve_write_record(struct serve *s, struct fill *f, struct err *err)
{
	int r;

	f->record = NULL;
	if (s->record_fd < 0)
		return 0;
	r = workset_write(&s->record, s->record_fd, s->record_path, err);
	fd_close(&s->record_fd);
	return r;
}

/* For poll(): until the record ends; 0: it has. */
static int serve_record_left(const struct serve *s, const struct fill *f,
			     uint64_t begun)
{
	uint64_t ms = (now_ns() - begun) / SERVE_MS;

	if (s->record_fd < 0)
		return -1;
	if (!f->record)
		return 0;
	if (s->record_ms == 0)
		return -1;
	return ms >= s->record_ms ? 0 : (int)(s->record_ms - ms);
}

/* The guest's mark, while there is a record. */
static void serve_hear(struct fill *f, int sock)
{
	char byte;
	size_t nr;

	if (unix_recv_fds(sock, &byte, 1, NULL, 0, &nr, MSG_DONTWAIT) == 1 &&
	    byte == UFFD_MARK)
		f->record = NULL;
}

static int serve_loop(struct serve *s, struct fill *f, int sock, uint64_t begun,
		      struct err *err)
{
	struct pollfd p[] = {
		{.fd = f->uffd, .events = POLLIN},
		{.fd = sock, .events = POLLRDHUP | POLLIN},
	};
	int r = 0;

	while (r == 0) {
		int left = serve_record_left(s, f, begun);

		if (left == 0) {
			r = serve_write_record(s, f, err);
			continue;
		}
		if (s->record_fd < 0)
			p[1].events = POLLRDHUP; /* nothing else is said */
		if (poll(p, ARRAY_SIZE(p), left) < 0 && errno != EINTR)
			return err_set(err, -errno, "Cannot wait: %s",
				       err_name(errno));
		if (serve_is_over(&p[1]))
			return 0;
		if (p[0].revents & (POLLERR | POLLNVAL))
			return err_set(err, -EINVAL,
				       "What the VMM sent is no "
				       "userfaultfd");
		if (p[0].revents)
			r = fill_serve(f, err);
		*s->told = f->stats;
		if (p[1].revents & POLLIN)
			serve_hear(f, sock);
	}
	return r;
}

static int serve_pages(struct serve *s, struct fill *f, int sock,
		       struct err *err)
{
	uint64_t begun = now_ns();
	int r = 0;

	f->record_max = s->record_max;
	if (s->record_fd >= 0)
		f->record = &s->record;
	else
		r = fill_hot(f, &s->hot, s->hot_max, err);
	f->stats.hot_ms = (now_ns() - begun) / SERVE_MS;
	if (r == 0)
		r = fill_serve(f, err);
	*s->told = f->stats;
	if (r == 0)
		r = serve_loop(s, f, sock, begun, err);
	if (r == -ESRCH)
		r = 0; /* the VM has gone while it was served */
	s->end_ms = (now_ns() - begun) / SERVE_MS;
	s->stats = f->stats;
	return r;
}

int serve_vm(struct serve *s, int sock, struct err *err)
{
	cleanup_free char *text = malloc(REGIONS_MESSAGE_MAX);
	struct regions *regions = calloc(1, sizeof(*regions));
	cleanup_fd int uffd = -1;
	struct fill f = {0};
	int r = text && regions ? serve_receive(sock, text, &uffd, err)
				: serve_no_memory(err);

	if (r > 0)
		r = regions_parse(regions, text, (size_t)r, s->image.size, err);
	if (r == 0 && fill_init(&f, uffd, &s->image, regions) < 0)
		r = serve_no_memory(err);
	if (r == 0)
		r = serve_pages(s, &f, sock, err);
	if (r == 0)
		r = serve_write_record(s, &f, err);
	fill_fini(&f);
	free(regions);
	return r;
}
