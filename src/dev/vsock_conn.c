// SPDX-License-Identifier: Apache-2.0
/*
 * vsock_conn.c - a connection of the socket device (theory of operation:
 * vsock.h)
 *
 * Whatever happens to a connection (a packet, an event of its socket, a
 * deadline) changes its fields only, and ends in vsock_conn_settle(): there the
 * owed packets are sent, the socket's watch is set to what the fields say, and
 * a connection that has nothing left to do is freed.
 */
#include "dev/vsock_priv.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define EVENTS_NONE UINT32_MAX /* not even a hang-up */

/* A hang-up is reported always; it is one more reason to try. */
#define EVENTS_HANGUP ((uint32_t)(EPOLLHUP | EPOLLERR))

/* ---- the table ---- */

static unsigned int bucket_of(uint32_t guest_port, uint32_t host_port)
{
	uint64_t key = (uint64_t)guest_port << 32 | host_port;

	return (unsigned int)((key * 0x9e3779b97f4a7c15ull) >> 32) %
	       VSOCK_BUCKETS;
}

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port,
				   uint32_t host_port)
{
	struct vsock_conn *c = v->bucket[bucket_of(guest_port, host_port)];

	while (c && (c->guest_port != guest_port || c->host_port != host_port))
		c = c->next;
	return c;
}

void vsock_conn_hash(struct vsock_conn *c)
{
	struct vsock_conn **at =
		&c->vsock->bucket[bucket_of(c->guest_port, c->host_port)];

	c->next = *at;
	*at = c;
	c->hashed = true;
}

static void unhash(struct vsock_conn *c)
{
	struct vsock_conn **at =
		&c->vsock->bucket[bucket_of(c->guest_port, c->host_port)];

	if (!c->hashed)
		return;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->hashed = false;
}

/* ---- life ---- */

static void on_socket(struct loop_source *src, uint32_t events);

struct vsock_conn *vsock_conn_new(struct vsock *v, int fd,
				  enum vsock_conn_state state)
{
	struct vsock_conn *c = NULL;

	if (v->nr_conns < VSOCK_CONNS_MAX)
		c = calloc(1, sizeof(*c));
	if (!c) {
		fd_close(&fd);
		return NULL;
	}
	c->src = (struct loop_source){
		.fd = fd,
		.cb = on_socket,
	};
	c->vsock = v;
	c->state = state;
	c->batch = 1;
	list_init(&c->waiting);
	list_add_tail(&v->conns, &c->all);
	v->nr_conns++;
	metric_inc(&v->counters.conns_added);
	return c;
}

static void drop_buffer(struct vsock_conn *c)
{
	free(c->buf);
	c->buf = NULL;
	c->used = 0;
}

static void close_socket(struct vsock_conn *c)
{
	loop_del(c->vsock->dev.loop, &c->src);
	fd_close(&c->src.fd);
	drop_buffer(c);
}

void vsock_conn_free(struct vsock_conn *c)
{
	close_socket(c);
	unhash(c);
	list_del(&c->waiting);
	list_del(&c->all);
	assert(c->vsock->nr_conns > 0);
	c->vsock->nr_conns--;
	metric_inc(&c->vsock->counters.conns_removed);
	free(c);
}

void vsock_conn_deadline(struct vsock_conn *c, uint64_t ns)
{
	c->deadline_ns = now_ns() + ns;
	vsock_start_tick(c->vsock);
}

void vsock_conn_abort(struct vsock_conn *c, bool rst)
{
	metric_inc(&c->vsock->counters.conns_killed);
	close_socket(c);
	c->state = VSOCK_CLOSING;
	c->owed = rst ? VSOCK_OWE_RST : 0;
	c->deadline_ns = 0;
}

/* ---- to the guest ---- */

void vsock_conn_header(const struct vsock_conn *c, enum vsock_op op,
		       struct vsock_header *header)
{
	*header = (struct vsock_header){
		.src_cid = VSOCK_CID_HOST,
		.dst_cid = c->vsock->cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = op == VSOCK_OP_SHUTDOWN ? c->host_shut : 0,
		.buf_alloc = VSOCK_BUF_BYTES,
		.fwd_cnt = c->fwd,
	};
}

static enum vsock_op op_of(unsigned int owed)
{
	switch (owed) {
	case VSOCK_OWE_REQUEST:
		return VSOCK_OP_REQUEST;
	case VSOCK_OWE_RESPONSE:
		return VSOCK_OP_RESPONSE;
	case VSOCK_OWE_CREDIT_REQUEST:
		return VSOCK_OP_CREDIT_REQUEST;
	case VSOCK_OWE_CREDIT_UPDATE:
		return VSOCK_OP_CREDIT_UPDATE;
	case VSOCK_OWE_SHUTDOWN:
		return VSOCK_OP_SHUTDOWN;
	default:
		return VSOCK_OP_RST;
	}
}

static void wait_for_rx(struct vsock_conn *c)
{
	if (list_empty(&c->waiting))
		list_add_tail(&c->vsock->waiting, &c->waiting);
}

/* Return: true when nothing is owed any more. */
static bool pay(struct vsock_conn *c)
{
	while (c->owed) {
		unsigned int bit = c->owed & -(unsigned int)c->owed;
		struct vsock_header header;

		vsock_conn_header(c, op_of(bit), &header);
		if (!vsock_send(c->vsock, &header)) {
			wait_for_rx(c);
			return false;
		}
		c->fwd_told = c->fwd;
		c->owed &= (uint8_t)~bit;
		if (bit == VSOCK_OWE_REQUEST)
			vsock_conn_deadline(c, VSOCK_ANSWER_NS);
	}
	return true;
}

/* What the guest has room for. It may lie: then it gets too much or nothing. */
static uint32_t credit(const struct vsock_conn *c)
{
	uint32_t in_flight = c->sent - c->peer_fwd;

	return in_flight < c->peer_alloc ? c->peer_alloc - in_flight : 0;
}

/* Nothing will go to the guest any more. */
static bool reading_over(const struct vsock_conn *c)
{
	return c->host_shut & VSOCK_SHUT_SEND || c->guest_shut & VSOCK_SHUT_RCV;
}

static bool can_read(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && !reading_over(c) && credit(c) > 0;
}

static uint32_t wanted_events(const struct vsock_conn *c)
{
	uint32_t events = 0;

	if (c->used > 0)
		events |= EPOLLOUT;
	switch (c->state) {
	case VSOCK_GREETING:
		return EPOLLIN;
	case VSOCK_CALLING:
		return 0; /* a client that leaves */
	case VSOCK_OPEN:
		if (can_read(c) && list_empty(&c->waiting))
			events |= EPOLLIN;
		return events || reading_over(c) ? events : EVENTS_NONE;
	case VSOCK_CLOSING:
		return events ? events : EVENTS_NONE;
	default:
		return EVENTS_NONE;
	}
}

static void vsock_conn_watch(struct vsock_conn *c)
{
	struct loop *loop = c->vsock->dev.loop;
	uint32_t events = wanted_events(c);
	int r;

	if (c->src.fd < 0)
		return;
	if (events == EVENTS_NONE) {
		loop_del(loop, &c->src);
		return;
	}
	if (c->src.added) {
		r = loop_mod(loop, &c->src, events);
	} else {
		c->src.events = events;
		r = loop_add(loop, &c->src);
	}
	if (r < 0) {
		/* No room in the kernel; the next tick ends it. */
		metric_inc(&c->vsock->counters.conn_event_fails);
		vsock_conn_deadline(c, 0);
	}
}

void vsock_conn_settle(struct vsock_conn *c)
{
	bool paid = pay(c);

	if (c->state == VSOCK_CLOSING) {
		if (paid)
			unhash(c);
		if (c->used == 0)
			close_socket(c);
		if (paid && c->used == 0) {
			vsock_conn_free(c);
			return;
		}
	}
	vsock_conn_watch(c);
}

/* ---- the host's end ---- */

/* It has closed for good: the guest may read what it has, and shall go. */
static void host_gone(struct vsock_conn *c)
{
	close_socket(c);
	c->host_shut = VSOCK_SHUT_BOTH;
	c->owed |= VSOCK_OWE_SHUTDOWN;
	vsock_conn_deadline(c, VSOCK_ANSWER_NS);
}

/* The host takes no more bytes; what it has sent is still to be read. */
static void host_deaf(struct vsock_conn *c)
{
	drop_buffer(c);
	if (c->state == VSOCK_CLOSING)
		return;
	if (reading_over(c)) {
		host_gone(c);
		return;
	}
	c->host_shut |= VSOCK_SHUT_RCV;
	c->owed |= VSOCK_OWE_SHUTDOWN;
}

/* Before the guest runs out of what it knows, tell it what was passed on. */
static void consider_credit(struct vsock_conn *c)
{
	uint32_t in_flight = c->fwd - c->fwd_told + c->used;

	if (c->state == VSOCK_OPEN && c->fwd != c->fwd_told &&
	    in_flight > VSOCK_BUF_BYTES / 2)
		c->owed |= VSOCK_OWE_CREDIT_UPDATE;
}

/* Return: bytes that the socket took; -EAGAIN, or -errno for good. */
static ssize_t host_write(struct vsock_conn *c, struct iovec *iov, size_t nr)
{
	const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = nr};
	ssize_t n;

	do
		n = sendmsg(c->src.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	c->fwd += (uint32_t)n;
	metric_add(&c->vsock->counters.tx_bytes_count, (uint64_t)n);
	return n;
}

static void shut_host(struct vsock_conn *c, int how)
{
	if (c->src.fd >= 0)
		(void)shutdown(c->src.fd, how);
}

/* The socket takes more of the buffer. */
static void vsock_conn_flush(struct vsock_conn *c)
{
	uint32_t first = VSOCK_BUF_BYTES - c->head;
	struct iovec iov[2] = {
		{c->buf + c->head, c->used < first ? c->used : first},
		{c->buf, c->used < first ? 0 : c->used - first},
	};
	ssize_t n = host_write(c, iov, ARRAY_SIZE(iov));

	if (n == -EAGAIN)
		return;
	if (n < 0) {
		metric_inc(&c->vsock->counters.tx_flush_fails);
		host_deaf(c);
		return;
	}
	c->head = (c->head + (uint32_t)n) % VSOCK_BUF_BYTES;
	assert((uint32_t)n <= c->used);
	c->used -= (uint32_t)n;
	if (c->state == VSOCK_CLOSING)
		vsock_conn_deadline(c, VSOCK_LINGER_NS);
	if (c->used == 0) {
		drop_buffer(c);
		if (c->guest_shut & VSOCK_SHUT_SEND)
			shut_host(c, SHUT_WR);
		/* A guest may wait for more than half of it, perhaps all. */
		if (c->state == VSOCK_OPEN && c->fwd != c->fwd_told)
			c->owed |= VSOCK_OWE_CREDIT_UPDATE;
	}
	consider_credit(c);
}

static void read_host(struct vsock_conn *c, uint32_t events)
{
	ssize_t n = vsock_send_data(c, credit(c));

	if (n > 0) {
		c->sent += (uint32_t)n;
		c->fwd_told = c->fwd;
		c->owed &= (uint8_t)~VSOCK_OWE_CREDIT_UPDATE;
		if (credit(c) == 0 && !c->asked) {
			c->asked = true;
			c->owed |= VSOCK_OWE_CREDIT_REQUEST;
		}
	} else if (n == 0) {
		c->host_shut |= VSOCK_SHUT_SEND;
		if (events & EVENTS_HANGUP || c->host_shut == VSOCK_SHUT_BOTH)
			host_gone(c);
		else
			c->owed |= VSOCK_OWE_SHUTDOWN;
	} else if (n == -ENOBUFS) {
		wait_for_rx(c);
	} else if (n != -EAGAIN) {
		metric_inc(&c->vsock->counters.rx_read_fails);
		vsock_conn_abort(c, true);
	}
}

static void on_open(struct vsock_conn *c, uint32_t events)
{
	if (c->used > 0 && events & (EPOLLOUT | EVENTS_HANGUP))
		vsock_conn_flush(c);
	if (c->src.fd < 0)
		return;
	if (can_read(c) && events & (EPOLLIN | EVENTS_HANGUP))
		read_host(c, events);
	else if (reading_over(c) && events & EVENTS_HANGUP)
		host_gone(c);
}

static void on_event(struct vsock_conn *c, uint32_t events)
{
	switch (c->state) {
	case VSOCK_GREETING:
		vsock_host_greet(c);
		break;
	case VSOCK_CALLING:
		/* The client left. A guest that was not asked yet never is. */
		vsock_conn_abort(c, !(c->owed & VSOCK_OWE_REQUEST));
		break;
	case VSOCK_OPEN:
		on_open(c, events);
		break;
	case VSOCK_CLOSING:
		vsock_conn_flush(c);
		break;
	default:
		break;
	}
	vsock_conn_settle(c);
}

static void on_socket(struct loop_source *src, uint32_t events)
{
	struct vsock_conn *c = container_of(src, struct vsock_conn, src);
	struct vsock *v = c->vsock;

	virtio_dev_enter(&v->dev);
	if (virtio_dev_running(&v->dev) && !v->stale)
		on_event(c, events);
	else
		loop_del(v->dev.loop, src); /* closed or watched again soon */
	vsock_leave(v);
}

/* ---- packets from the guest ---- */

/* The rest of a payload, from @off on, into the ring. */
static bool store(struct vsock_conn *c, const struct vsock_payload *payload,
		  uint32_t off)
{
	uint32_t tail = (c->head + c->used) % VSOCK_BUF_BYTES;
	uint32_t len = payload->len - off;
	uint32_t first = VSOCK_BUF_BYTES - tail;

	if (!c->buf) {
		c->buf = malloc(VSOCK_BUF_BYTES);
		if (!c->buf)
			return false;
		c->head = 0;
		tail = 0;
		first = VSOCK_BUF_BYTES;
	}
	if (first > len)
		first = len;
	off += VSOCK_HEADER_BYTES;
	(void)iov_read(payload->iov, payload->nr_iov, off, c->buf + tail,
		       first);
	(void)iov_read(payload->iov, payload->nr_iov, off + first, c->buf,
		       len - first);
	c->used += len;
	return true;
}

static void receive_data(struct vsock_conn *c,
			 const struct vsock_payload *payload)
{
	struct vsock *v = c->vsock;
	ssize_t n = 0;

	if (c->state != VSOCK_OPEN || c->guest_shut & VSOCK_SHUT_SEND ||
	    payload->len > VSOCK_BUF_BYTES - c->used) {
		log_guest(LOG_WARN,
			  "%s: the guest sent data that it may not send",
			  v->dev.name);
		vsock_conn_abort(c, true);
		return;
	}
	if (payload->len == 0)
		return;
	if (c->host_shut & VSOCK_SHUT_RCV) {
		c->fwd += payload->len; /* it knows, or will soon */
		return;
	}
	if (c->used == 0) {
		size_t nr = iov_slice(payload->iov, payload->nr_iov,
				      VSOCK_HEADER_BYTES, payload->len, v->data,
				      ARRAY_SIZE(v->data));

		n = host_write(c, v->data, nr);
	}
	if (n < 0 && n != -EAGAIN) {
		metric_inc(&v->counters.tx_write_fails);
		host_deaf(c);
		return;
	}
	if (n < 0)
		n = 0;
	if (n < (ssize_t)payload->len && !store(c, payload, (uint32_t)n))
		vsock_conn_abort(c, true);
	consider_credit(c);
}

static void receive_shutdown(struct vsock_conn *c, uint32_t flags)
{
	uint8_t new = (uint8_t)(flags & VSOCK_SHUT_BOTH & ~c->guest_shut);

	c->guest_shut |= new;
	if (c->guest_shut == VSOCK_SHUT_BOTH) {
		c->state = VSOCK_CLOSING;
		c->owed = VSOCK_OWE_RST;
		c->deadline_ns = 0;
		if (c->used > 0)
			vsock_conn_deadline(c, VSOCK_LINGER_NS);
		return;
	}
	if (new &VSOCK_SHUT_RCV)
		shut_host(c, SHUT_RD);
	if (new &VSOCK_SHUT_SEND && c->used == 0)
		shut_host(c, SHUT_WR);
}

static void receive_open(struct vsock_conn *c,
			 const struct vsock_header *header,
			 const struct vsock_payload *payload)
{
	switch (header->op) {
	case VSOCK_OP_RW:
		receive_data(c, payload);
		break;
	case VSOCK_OP_SHUTDOWN:
		receive_shutdown(c, header->flags);
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		c->owed |= VSOCK_OWE_CREDIT_UPDATE;
		break;
	case VSOCK_OP_CREDIT_UPDATE:
		break;
	default:
		vsock_conn_abort(c, true);
		break;
	}
}

void vsock_conn_receive(struct vsock_conn *c, const struct vsock_header *header,
			const struct vsock_payload *payload)
{
	c->peer_alloc = header->buf_alloc;
	c->peer_fwd = header->fwd_cnt;
	if (credit(c) > 0)
		c->asked = false;
	if (c->state == VSOCK_CLOSING) {
		/* An RST is on its way, unless the guest says it first. */
		if (header->op == VSOCK_OP_RST)
			c->owed = 0;
	} else if (header->op == VSOCK_OP_RST) {
		vsock_conn_abort(c, false);
	} else if (c->state == VSOCK_OPEN) {
		receive_open(c, header, payload);
	} else if (c->state == VSOCK_CALLING &&
		   header->op == VSOCK_OP_RESPONSE &&
		   !(c->owed & VSOCK_OWE_REQUEST)) {
		vsock_host_accepted(c);
	} else {
		vsock_conn_abort(c, true);
	}
	vsock_conn_settle(c);
}

void vsock_conn_expire(struct vsock_conn *c)
{
	switch (c->state) {
	case VSOCK_CLOSING:
		drop_buffer(c);
		c->deadline_ns = 0;
		break;
	case VSOCK_GREETING:
		vsock_conn_abort(c, false);
		break;
	case VSOCK_CALLING:
		vsock_conn_abort(c, !(c->owed & VSOCK_OWE_REQUEST));
		break;
	default:
		vsock_conn_abort(c, true);
		break;
	}
	vsock_conn_settle(c);
}
