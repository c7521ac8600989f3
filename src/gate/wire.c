// SPDX-License-Identifier: Apache-2.0
/*
 * wire.c - messages between the two halves (theory of operation: wire.h)
 */
#include "gate/wire.h"

#include "base/fd.h"
#include "host/unix.h"

#include <errno.h>
#include <sys/socket.h>

#define KEEP_MAX  16384u
#define ERRNO_MAX 4095
#define BUFFER    (256 * 1024)

/* Which fields a kind uses. */
enum uses {
	SERIAL = 1 << 0,
	VALUE = 1 << 1,
	RC = 1 << 2,
	PIECES = 1 << 3,
};

/**
 * struct form - what a message of a kind looks like
 * @from:	who sends it; 0: nobody
 * @tail_max:	bytes behind the head
 * @fds_max:	descriptors
 */
struct form {
	enum wire_side from;
	unsigned int uses;
	size_t tail_max;
	unsigned int fds_max;
};

/* clang-format off */
static const struct form forms[WIRE_NR_KINDS] = {
	[WIRE_REQUEST] = {WIRE_GATE, SERIAL | PIECES,
			  WIRE_PIECE, 0},
	[WIRE_DESCRIPTOR] = {WIRE_GATE, SERIAL | VALUE | RC,
			     ERR_TEXT_MAX, WIRE_FDS_MAX},
	[WIRE_DONE] = {WIRE_GATE, SERIAL | RC, ERR_TEXT_MAX, 0},
	[WIRE_DIALED] = {WIRE_GATE, VALUE | RC, 0, 1},
	[WIRE_NOTE] = {WIRE_GATE, VALUE | RC, ERR_TEXT_MAX, 0},
	[WIRE_HANDOVER] = {WIRE_GUEST, VALUE, WIRE_PIECE, 0},
	[WIRE_LOCKED] = {WIRE_GUEST, SERIAL | VALUE, 0, 0},
	[WIRE_ANSWER] = {WIRE_GUEST, SERIAL | VALUE | PIECES,
			 WIRE_PIECE, 0},
	[WIRE_NEED] = {WIRE_GUEST, SERIAL | VALUE, 0, 0},
	[WIRE_SAVED] = {WIRE_GUEST, SERIAL, WIRE_PIECE, 0},
	[WIRE_ABORTED] = {WIRE_GUEST, 0, 0, 0},
	[WIRE_DIAL] = {WIRE_GUEST, VALUE, 0, 0},
};
/* clang-format on */

int wire_pair(int ends[static 2])
{
	const int size = BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		       0, ends) < 0)
		return -errno;
	/* A piece has to fit, whatever the host's default is. */
	for (int i = 0; i < 2; i++)
		(void)setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size,
				 sizeof(size));
	return 0;
}

/* ---- one message ---- */

static int send_plain(int sock, const struct wire_message *m, const void *tail,
		      size_t len)
{
	union {
		const void *from;
		void *to;
	} head = {.from = m}, rest = {.from = tail}; /* iovec knows no const */
	struct iovec iov[2] = {{head.to, sizeof(*m)}, {rest.to, len}};
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int wire_send(int sock, const struct wire_message *m, const void *tail,
	      size_t len, const int *fds, unsigned int nr_fds)
{
	char whole[sizeof(*m) + ERR_TEXT_MAX];
	int r;

	if (nr_fds > 0) {
		assert(len <= ERR_TEXT_MAX);
		memcpy(whole, m, sizeof(*m));
		if (len > 0)
			memcpy(whole + sizeof(*m), tail, len);
		r = (int)unix_send_fds(sock, whole, sizeof(*m) + len, fds,
				       nr_fds, MSG_DONTWAIT);
	} else {
		r = send_plain(sock, m, tail, len);
	}
	if (r >= 0)
		return 0;
	return r == -ECONNRESET ? -EPIPE : r;
}

void wire_in_drop(struct wire_in *in)
{
	for (unsigned int i = 0; i < in->nr_fds; i++)
		fd_close(&in->fd[i]);
	in->nr_fds = 0;
}

static bool is_well_formed(const struct wire_in *in, enum wire_side from)
{
	const struct wire_message *m = &in->m;
	const struct form *form;

	if (m->kind >= WIRE_NR_KINDS)
		return false;
	form = &forms[m->kind];
	return form->from == from && in->len <= form->tail_max &&
	       in->nr_fds <= (m->rc < 0 ? 0 : form->fds_max) &&
	       (form->uses & SERIAL || m->serial == 0) &&
	       (form->uses & VALUE || m->value == 0) &&
	       (form->uses & RC || m->rc == 0) && m->rc <= 0 &&
	       m->rc >= -ERRNO_MAX &&
	       (form->uses & PIECES || (m->total == 0 && m->at == 0));
}

int wire_recv(int sock, enum wire_side from, struct wire_in *in)
{
	size_t nr;
	ssize_t n = unix_recv_fds(sock, &in->m, sizeof(in->m) + WIRE_PIECE,
				  in->fd, WIRE_FDS_MAX, &nr, MSG_DONTWAIT);

	in->nr_fds = (unsigned int)nr;
	if (n <= 0)
		return n == 0 || n == -ECONNRESET ? -EPIPE
		       : n == -EMSGSIZE           ? -EPROTO
						  : (int)n;
	in->len = (size_t)n > sizeof(in->m) ? (size_t)n - sizeof(in->m) : 0;
	if ((size_t)n >= sizeof(in->m) && is_well_formed(in, from))
		return 0;
	wire_in_drop(in);
	return -EPROTO;
}

/* ---- texts in pieces ---- */

void wire_text_begin(struct wire_text *text, const struct wire_message *m,
		     const char *data, size_t len)
{
	text->m = *m;
	text->m.total = len;
	text->m.at = 0;
	text->data = data;
	text->going = true;
}

int wire_text_send(int sock, struct wire_text *text)
{
	while (text->going) {
		uint64_t left = text->m.total - text->m.at;
		size_t len = left < WIRE_PIECE ? (size_t)left : WIRE_PIECE;
		int r = wire_send(sock, &text->m,
				  text->data ? text->data + text->m.at : NULL,
				  len, NULL, 0);

		if (r < 0)
			return r;
		text->m.at += len;
		text->going = text->m.at < text->m.total;
	}
	return 0;
}

static bool is_next(const struct wire_join *join, const struct wire_in *in,
		    uint64_t max)
{
	const struct wire_message *m = &in->m;
	uint64_t left;

	if (m->total > max || m->at != join->got || m->at > m->total)
		return false;
	if (join->begun &&
	    (m->kind != join->m.kind || m->serial != join->m.serial ||
	     m->value != join->m.value || m->total != join->m.total))
		return false;
	left = m->total - m->at;
	return in->len == (left < WIRE_PIECE ? left : WIRE_PIECE);
}

int wire_join_add(struct wire_join *join, const struct wire_in *in,
		  uint64_t max)
{
	if (!is_next(join, in, max))
		return -EPROTO;
	if (!join->begun) {
		join->m = in->m;
		join->begun = true;
		join->lost = in->m.total > 0 &&
			     !buf_reserve(&join->text, (size_t)in->m.total);
	}
	if (join->lost)
		buf_free(&join->text);
	else
		buf_add(&join->text, in->tail, in->len);
	join->got += in->len;
	return join->got == in->m.total;
}

void wire_join_reset(struct wire_join *join)
{
	join->begun = false;
	join->lost = false;
	join->got = 0;
	if (join->text.capacity > KEEP_MAX)
		buf_free(&join->text);
	else
		buf_clear(&join->text);
}

void wire_join_free(struct wire_join *join)
{
	buf_free(&join->text);
	*join = (struct wire_join){0};
}
