// SPDX-License-Identifier: Apache-2.0
/*
 * net_stream.c - a stream socket as a source of frames (theory of operation:
 * net_stream.h)
 */
#include "dev/net_stream.h"

#include "base/iov.h"
#include "base/log.h"
#include "dev/net_parts.h"
#include "mmds/frame.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define LENGTH_BYTES 4u
#define STREAM_FRAME (LENGTH_BYTES + NET_MAX_FRAME)
#define OFFLOADS                                                               \
	(NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6 | \
	 NET_F_GUEST_ECN | NET_F_GUEST_UFO | NET_F_HOST_TSO4 |                 \
	 NET_F_HOST_TSO6 | NET_F_HOST_ECN | NET_F_HOST_UFO |                   \
	 NET_F_GUEST_USO4 | NET_F_GUEST_USO6 | NET_F_HOST_USO)

/**
 * struct net_stream - of one interface
 * @rules:	about what the guest sends; or NULL
 * @over:	the connection is: nothing is read or written any more
 * @stuck:	the socket has not taken all of @tx
 * @rx, @tx:	bytes from their @..._at to their @..._end; @rx begins with a
 *		frame's length there, and has room for two
 */
struct net_stream {
	struct ip_rules *rules;
	bool over;
	bool stuck;
	uint32_t rx_at;
	uint32_t rx_end;
	uint32_t tx_at;
	uint32_t tx_end;
	uint8_t rx[2 * STREAM_FRAME];
	uint8_t tx[STREAM_FRAME];
};

static int net_stream_claim(struct net_dev *n, struct err *err)
{
	struct net_stream *s = calloc(1, sizeof(*s));

	n->stream = s;
	n->dev.offered &= ~OFFLOADS;
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	return n->rules ? ip_rules_new(n->rules, &s->rules, err) : 0;
}

static void net_stream_free(struct net_dev *n)
{
	if (n->stream)
		ip_rules_free(n->stream->rules);
	free(n->stream);
	n->stream = NULL;
}

static int net_stream_start(struct net_dev *n)
{
	(void)n;
	return 0;
}

/* Bytes of the stream are of no driver: the next one finds it as it is. */
static void net_stream_nothing(struct net_dev *n)
{
	(void)n;
}

/* The guest's link goes down. Return: -EBADFD. */
static ssize_t net_stream_end(struct net_dev *n, const char *why)
{
	struct net_stream *s = n->stream;

	net_lost_tap(n, why);
	if (s->stuck)
		metric_inc(&n->metrics.tx_fails);
	(void)shutdown(n->fd, SHUT_RDWR); /* the peer learns it, too */
	s->over = true;
	s->stuck = false;
	s->rx_at = s->rx_end = 0;
	return -EBADFD;
}

/* ---- to the peer ---- */

static bool net_stream_full(const struct net_dev *n)
{
	return n->stream->stuck;
}

/* What the socket takes of @tx. Return: 0 or -EBADFD. */
static int stream_push(struct net_dev *n)
{
	struct net_stream *s = n->stream;
	struct iovec iov = {s->tx + s->tx_at, s->tx_end - s->tx_at};
	const struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t done;

	do
		done = sendmsg(n->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done >= 0)
		s->tx_at += (uint32_t)done;
	else if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		return (int)net_stream_end(n, "the peer takes no more frames");
	s->stuck = s->tx_at < s->tx_end;
	return 0;
}

static ssize_t net_stream_write(struct net_dev *n, const struct iovec *iov,
				unsigned int nr)
{
	struct net_stream *s = n->stream;
	const uint64_t whole = iov_bytes(iov, nr);
	const uint32_t len = (uint32_t)whole - NET_HDR_BYTES;
	int r;

	assert(!net_stream_full(n) && len <= NET_MAX_FRAME);
	if (s->over)
		return -EBADFD;
	(void)iov_read(iov, nr, NET_HDR_BYTES, s->tx + LENGTH_BYTES, len);
	if (!net_stream_lets_go(s->rules, s->tx + LENGTH_BYTES, len)) {
		metric_inc(&n->metrics.tx_denied_count);
		return (ssize_t)whole;
	}
	memcpy(s->tx, &(uint32_t){htobe32(len)}, LENGTH_BYTES);
	s->tx_at = 0;
	s->tx_end = LENGTH_BYTES + len;
	r = stream_push(n);
	if (r == 0 && net_stream_full(n))
		net_rx_watch_out(n);
	return r < 0 ? r : (ssize_t)whole;
}

/* The socket can be written, or has an error. */
static void net_stream_writable(struct net_dev *n)
{
	if (!net_stream_full(n))
		return;
	(void)stream_push(n);
	net_rx_watch_out(n);
	if (!net_stream_full(n))
		net_tx_run(n);
}

static void net_stream_kick(struct net_dev *n)
{
	net_stream_writable(n);
	net_source_tap.kick(n);
}

/* ---- from the peer ---- */

/* Return: bytes of the first frame in @rx; 0: it is not whole; -EPROTO: it is
 * none. */
static int stream_first(const struct net_stream *s)
{
	uint32_t have = s->rx_end - s->rx_at, len;

	if (have < LENGTH_BYTES)
		return 0;
	len = load_be32(s->rx + s->rx_at);
	if (len < NET_MIN_FRAME || len > NET_MAX_FRAME)
		return -EPROTO;
	return have - LENGTH_BYTES < len ? 0 : (int)len;
}

/* Return: 0; -EAGAIN; -EBADFD. */
static ssize_t stream_pull(struct net_dev *n)
{
	struct net_stream *s = n->stream;
	struct iovec iov;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t done;

	memmove(s->rx, s->rx + s->rx_at, s->rx_end - s->rx_at);
	s->rx_end -= s->rx_at;
	s->rx_at = 0;
	iov = (struct iovec){s->rx + s->rx_end, sizeof(s->rx) - s->rx_end};
	do
		done = recvmsg(n->fd, &msg, MSG_DONTWAIT);
	while (done < 0 && errno == EINTR);
	if (done == 0)
		return net_stream_end(n, "the peer is gone");
	if (done < 0)
		return errno == EAGAIN
			       ? -EAGAIN
			       : net_stream_end(n, "the peer gives no frames");
	s->rx_end += (uint32_t)done;
	return 0;
}

static ssize_t net_stream_read(struct net_dev *n, const struct iovec *iov,
			       unsigned int nr)
{
	static const struct net_hdr plain;
	struct net_stream *s = n->stream;
	int len = stream_first(s);
	ssize_t r = 0;

	if (s->over)
		return -EBADFD;
	if (len == 0)
		r = stream_pull(n);
	if (r < 0)
		return r;
	len = stream_first(s);
	if (len < 0)
		return net_stream_end(n, "the peer sent what is no frame");
	if (len == 0)
		return -EAGAIN; /* the rest shows by itself */
	(void)iov_write(iov, nr, 0, &plain, sizeof(plain));
	(void)iov_write(iov, nr, sizeof(plain), s->rx + s->rx_at + LENGTH_BYTES,
			(size_t)len);
	s->rx_at += LENGTH_BYTES + (uint32_t)len;
	return (ssize_t)sizeof(plain) + len;
}

static bool net_stream_waits(const struct net_dev *n)
{
	return stream_first(n->stream) != 0;
}

const struct net_source_ops net_source_stream = {
	.claim = net_stream_claim,
	.start = net_stream_start,
	.stop = net_stream_nothing,
	.reset = net_stream_nothing,
	.kick = net_stream_kick,
	.read = net_stream_read,
	.write = net_stream_write,
	.waits = net_stream_waits,
	.full = net_stream_full,
	.writable = net_stream_writable,
	.free = net_stream_free,
};
