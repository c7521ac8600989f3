/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_world.h - for test_vsock_schedule.c: a socket device, its guest, and
 * what both ends of each connection should see
 *
 * The guest is a legal one and does no more than it has to: it kicks only when
 * the device asks for it, and looks at its rings only when interrupted. Both
 * ends of a connection are in one struct conn, found by its ports; each byte
 * tells its place. An end of a connection needs a reason: somebody closed it,
 * its time is over while the VM ran, or something happened that ends it
 * (excused).
 */
#pragma once

#include "schedule.h"

#include "base/log.h"
#include "vsock_kit.h"

#include <sys/socket.h>

#define SIZE       16u /* of each queue */
#define RX_LEN     1024u
#define TX_LEN     2048u
#define CREDIT     3000u
#define CONNS      12u
#define CALLERS    6u
#define STRANGERS  8u
#define SAYINGS    256u
#define EVENTS     8u
#define GUEST_PORT 9u  /* where the guest listens */
#define HOST_PORT  52u /* where the host listens */
#define BACKLOG    1

#define NS_PER_MS  1000000ull
#define NS_PER_S   1000000000ull

enum guest_state {
	G_NONE, /* the entry is free */
	G_CALLING,
	G_OPEN,
	G_CLOSING, /* SHUTDOWN is sent, RST is owed */
	G_DONE,
	G_HELD, /* cut by a restore; a program has not closed it yet */
};

/**
 * struct conn - both ends
 * @fd:		the host's end; -1: not known yet, or closed
 * @host_known:	@fd was known once
 * @excused:	may end, and lose bytes
 * @ended:	the host's program wrote its last byte
 * @idle_ns:	while the VM ran, since the host read something
 */
struct conn {
	enum guest_state guest;
	uint32_t guest_port;
	uint32_t host_port;
	int fd;
	bool host_known;
	bool excused;
	bool ended;
	uint32_t guest_sent, host_got;
	uint32_t host_sent, guest_got;
	uint32_t known_fwd, told_fwd;
	uint64_t idle_ns;
};

/**
 * struct caller - a client without a connection yet
 * @said:	bytes of its line
 * @age_ns:	while the VM ran, since it connected, or said all
 */
struct caller {
	int fd;
	uint32_t said;
	bool excused;
	uint64_t age_ns;
	uint32_t got;
	char text[20];
};

/**
 * struct world - the device, its guest, and the host's programs
 * @say:	packets that wait for room in the TX queue
 * @resets_due:	restores whose event the guest has not given back
 * @lazy:	the guest never gives an event's buffer back
 * @old_packets: in the RX ring, of before the last restore
 * @ran_ns:	while the VM ran, since the last restore
 * @events_held: event buffers that the guest has and not the device
 */
static struct world {
	struct vk vk;
	int listener;
	uint64_t features;
	struct kit_queue queue[VSOCK_NR_QUEUES];
	gpa_t rx[SIZE], tx[SIZE], event;
	unsigned int rx_out, tx_out;
	struct vk_packet say[SAYINGS];
	unsigned int nr_say;
	struct conn conn[CONNS];
	struct caller caller[CALLERS];
	int stranger[STRANGERS];
	uint32_t next_guest_port;
	unsigned int resets_due;
	unsigned int events_held;
	unsigned int events_seen;
	uint16_t old_packets;
	uint64_t ran_ns;
	bool lazy;
	bool hold;
	bool no_fds;
	bool no_watch;
} w;

static void excuse_all(void)
{
	for (unsigned int i = 0; i < CONNS; i++)
		w.conn[i].excused = true;
	for (unsigned int i = 0; i < CALLERS; i++)
		w.caller[i].excused = true;
}

/* ---- a host that runs out of things ---- */

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int __real_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol);
int __real_loop_add(struct loop *loop, struct loop_source *src);
int __wrap_loop_add(struct loop *loop, struct loop_source *src);

/* Little room, so that the device has to wait for the host. */
static int with_little_room(int fd)
{
	const int bytes = 1;

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes,
				 sizeof(bytes));
	return fd;
}

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	if (w.no_fds && fd == w.vk.listen_fd) {
		errno = EMFILE;
		return -1;
	}
	return with_little_room(__real_accept4(fd, addr, len, flags));
}

int __wrap_socket(int domain, int type, int protocol)
{
	if (w.no_fds) {
		errno = EMFILE;
		return -1;
	}
	return with_little_room(__real_socket(domain, type, protocol));
}

int __wrap_loop_add(struct loop *loop, struct loop_source *src)
{
	int type;
	socklen_t len = sizeof(type);

	/* A queue's is an eventfd. */
	if (!w.no_watch ||
	    getsockopt(src->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return __real_loop_add(loop, src);
	/* The device ends a connection that it cannot watch. */
	if (src->fd != w.vk.listen_fd)
		excuse_all();
	return -ENOSPC;
}

/* ---- the table ---- */

static struct conn *find(uint32_t guest_port, uint32_t host_port)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		struct conn *c = &w.conn[i];

		if (c->guest != G_NONE && c->guest_port == guest_port &&
		    c->host_port == host_port)
			return c;
	}
	return NULL;
}

static struct conn *new_conn(uint32_t guest_port, uint32_t host_port,
			     enum guest_state guest)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		struct conn *c = &w.conn[i];

		if (c->guest != G_NONE)
			continue;
		*c = (struct conn){
			.guest = guest,
			.guest_port = guest_port,
			.host_port = host_port,
			.fd = -1,
		};
		return c;
	}
	return NULL;
}

static struct conn *any_conn(enum guest_state guest)
{
	unsigned int from = (unsigned int)schedule_below(CONNS);

	for (unsigned int i = 0; i < CONNS; i++)
		if (w.conn[(from + i) % CONNS].guest == guest)
			return &w.conn[(from + i) % CONNS];
	return NULL;
}

/* Both ends are through with it. */
static void maybe_free(struct conn *c)
{
	if (c->guest == G_DONE && c->fd < 0 && (c->host_known || c->excused))
		c->guest = G_NONE;
}

/* The first bytes of the guest say which connection it is. */
static uint8_t byte_of(const struct conn *c, bool to_host, uint32_t at)
{
	if (to_host && at < 4)
		return (uint8_t)(c->guest_port >> (8 * at));
	return (uint8_t)(at * 7 + (at >> 8) + c->guest_port * 3 +
			 c->host_port * 5 + to_host);
}

/* ---- the guest: sending ---- */

/* 2.7.7.2, 2.7.10: does the device want to know? */
static bool wants_kick(unsigned int i, uint16_t old)
{
	const struct kit_queue *q = &w.vk.k.queue[i];
	uint16_t event;

	if (!(w.features & VIRTIO_F_EVENT_IDX))
		return !(kit_get16(&w.vk.k, q->used) & 1);
	event = kit_get16(&w.vk.k, q->used + 4 + SIZE * 8);
	return (uint16_t)(q->avail_idx - event - 1) <
	       (uint16_t)(q->avail_idx - old);
}

static void add(unsigned int i, gpa_t gpa, uint32_t len, bool write)
{
	const struct kit_buf buf = {gpa, len, write};
	uint16_t old = w.vk.k.queue[i].avail_idx;

	(void)kit_add(&w.vk.k, i, &buf, 1);
	atomic_thread_fence(memory_order_seq_cst);
	if (wants_kick(i, old))
		kit_kick(&w.vk.k, i);
}

static void transmit(const struct vk_packet *h, const struct conn *c)
{
	gpa_t gpa = w.tx[w.vk.k.queue[VSOCK_TX].next_desc];
	uint8_t *p = kit_hva(&w.vk.k, gpa, 44 + TX_LEN);

	vk_put_header(p, h);
	for (uint32_t i = 0; i < h->len; i++)
		p[44 + i] = byte_of(c, true, c->guest_sent + i);
	add(VSOCK_TX, gpa, 44 + h->len, false);
	w.tx_out++;
}

static void speak(void)
{
	while (w.nr_say > 0 && w.tx_out < SIZE) {
		transmit(&w.say[0], NULL);
		memmove(w.say, w.say + 1, --w.nr_say * sizeof(w.say[0]));
	}
}

static void say(uint16_t op, uint32_t from, uint32_t to, uint32_t flags,
		uint32_t fwd)
{
	struct vk_packet h = vk_packet(op, from, to);

	schedule_check(w.nr_say < SAYINGS);
	h.flags = flags;
	h.buf_alloc = CREDIT;
	h.fwd_cnt = fwd;
	w.say[w.nr_say++] = h;
	speak();
}

static void say_of(struct conn *c, uint16_t op, uint32_t flags)
{
	c->told_fwd = c->guest_got;
	say(op, c->guest_port, c->host_port, flags, c->told_fwd);
}

static void send_data(struct conn *c, uint32_t len)
{
	struct vk_packet h =
		vk_packet(VSOCK_OP_RW, c->guest_port, c->host_port);
	uint32_t room = VSOCK_BUF_BYTES - (c->guest_sent - c->known_fwd);

	if (w.nr_say > 0 || w.tx_out == SIZE)
		return;
	h.len = len < room ? len : room;
	h.buf_alloc = CREDIT;
	c->told_fwd = c->guest_got;
	h.fwd_cnt = c->told_fwd;
	if (h.len == 0)
		return;
	transmit(&h, c);
	c->guest_sent += h.len;
}

/* ---- the guest: receiving ---- */

/*
 * Restored: nothing new may reach it before it has taken the reset. What lay in
 * its ring when it was saved is as dead as the rest.
 */
static void check_hold(struct conn *c)
{
	schedule_check(!w.hold || w.old_packets > 0);
	if (c && w.old_packets > 0)
		c->excused = true;
}

static void on_request(uint32_t host_port)
{
	struct conn *c = find(GUEST_PORT, host_port);

	schedule_check(c == NULL); /* a port that is in use */
	c = new_conn(GUEST_PORT, host_port, G_OPEN);
	check_hold(c);
	if (c)
		say_of(c, VSOCK_OP_RESPONSE, 0);
	else
		say(VSOCK_OP_RST, GUEST_PORT, host_port, 0, 0);
	/* Which of them it was is not known. */
	for (unsigned int i = 0; i < CALLERS && !c; i++)
		w.caller[i].excused = true;
}

static void on_data(struct conn *c, const struct vk_packet *h)
{
	for (uint32_t i = 0; i < h->len; i++)
		schedule_check(h->data[i] ==
			       byte_of(c, false, c->guest_got + i));
	c->guest_got += h->len;
	schedule_check(c->guest_got - c->told_fwd <= CREDIT);
	if (c->guest == G_OPEN && c->guest_got - c->told_fwd > CREDIT / 2)
		say_of(c, VSOCK_OP_CREDIT_UPDATE, 0);
}

static void on_shutdown(struct conn *c, const struct vk_packet *h)
{
	if (h->flags & VSOCK_SHUT_SEND)
		schedule_check(c->excused ||
			       (c->ended && c->guest_got == c->host_sent));
	if (h->flags != VSOCK_SHUT_BOTH)
		return;
	say(VSOCK_OP_RST, c->guest_port, c->host_port, 0, 0);
	c->excused = true; /* the host does not read any more */
	c->guest = G_DONE;
}

/* An answer that came after 2 s: the caller has checked that. */
static bool was_late(const struct conn *c)
{
	return c->host_port != HOST_PORT && !c->host_known;
}

static void on_rst(struct conn *c)
{
	/* Nobody closed it, and it was cut. */
	schedule_check(c->guest != G_OPEN || c->excused || c->ended ||
		       was_late(c));
	if (c->guest == G_CALLING || (c->guest == G_OPEN && was_late(c)))
		c->excused = true;
	c->guest = G_DONE;
}

static void on_packet(const struct vk_packet *h)
{
	struct conn *c = find(h->dst_port, h->src_port);

	schedule_note(h->op);
	schedule_note(h->dst_port);
	schedule_note(h->len);
	if (h->op == VSOCK_OP_REQUEST) {
		on_request(h->src_port);
		return;
	}
	if (!c || c->guest == G_DONE || c->guest == G_HELD) {
		if (h->op != VSOCK_OP_RST)
			say(VSOCK_OP_RST, h->dst_port, h->src_port, 0, 0);
		return;
	}
	schedule_check((int32_t)(h->fwd_cnt - c->known_fwd) >= 0 ||
		       h->op == VSOCK_OP_RST);
	if (h->op != VSOCK_OP_RST)
		c->known_fwd = h->fwd_cnt;
	switch (h->op) {
	case VSOCK_OP_RESPONSE:
		check_hold(c);
		schedule_check(c->guest == G_CALLING);
		c->guest = G_OPEN;
		break;
	case VSOCK_OP_RST:
		on_rst(c);
		break;
	case VSOCK_OP_SHUTDOWN:
		on_shutdown(c, h);
		break;
	case VSOCK_OP_RW:
		on_data(c, h);
		break;
	case VSOCK_OP_CREDIT_REQUEST:
		say_of(c, VSOCK_OP_CREDIT_UPDATE, 0);
		break;
	default:
		schedule_check(h->op == VSOCK_OP_CREDIT_UPDATE);
		break;
	}
	maybe_free(c);
}

static void take_packet(const struct kit_used *used)
{
	const uint8_t *p = kit_hva(&w.vk.k, w.rx[used->head], RX_LEN);
	const struct vk_packet h = {
		.src_port = load_le32(p + 16),
		.dst_port = load_le32(p + 20),
		.len = load_le32(p + 24),
		.op = load_le16(p + 30),
		.flags = load_le32(p + 32),
		.fwd_cnt = load_le32(p + 40),
		.data = p + 44,
	};

	schedule_check(used->len == 44 + h.len && used->len <= RX_LEN);
	on_packet(&h);
	if (w.old_packets > 0)
		w.old_packets--;
}

/* As Linux: what is connected is cut, and a program has it still. */
static void take_event(void)
{
	schedule_check(load_le32(kit_hva(&w.vk.k, w.event, 4)) == 0);
	w.events_held++;
	w.events_seen++;
	for (unsigned int i = 0; i < CONNS; i++)
		if (w.conn[i].guest == G_OPEN || w.conn[i].guest == G_CLOSING)
			w.conn[i].guest = G_HELD;
}

static void note_used(unsigned int i)
{
	const struct kit_queue *q = &w.vk.k.queue[i];

	/* used_event: tell me of the next one. */
	kit_put16(&w.vk.k, q->avail + 4 + SIZE * 2, q->used_idx);
	atomic_thread_fence(memory_order_seq_cst);
}

/* What an interrupt makes a driver do; looks again, as it has to. */
static void look(void)
{
	struct kit_used used;
	bool more;

	if (kit_irqs(&w.vk.k) == 0)
		return;
	kit_write(&w.vk.k, KIT_INTERRUPT_ACK,
		  kit_read(&w.vk.k, KIT_INTERRUPT_STATUS));
	do {
		more = false;
		while (kit_used(&w.vk.k, VSOCK_EVENT, &used)) {
			take_event();
			note_used(VSOCK_EVENT);
			more = true;
		}
		while (kit_used(&w.vk.k, VSOCK_TX, &used)) {
			w.tx_out--;
			note_used(VSOCK_TX);
			more = true;
		}
		while (kit_used(&w.vk.k, VSOCK_RX, &used)) {
			w.rx_out--;
			take_packet(&used);
			note_used(VSOCK_RX);
			more = true;
		}
		speak();
	} while (more);
}

static void refill(void)
{
	uint64_t left = schedule_below(SIZE) + 1;

	for (; w.rx_out < SIZE && left > 0; left--, w.rx_out++)
		add(VSOCK_RX, w.rx[w.vk.k.queue[VSOCK_RX].next_desc], RX_LEN,
		    true);
}

/* The guest has done what the events say. */
static void give_events_back(void)
{
	for (; w.events_held > 0 && !w.lazy; w.events_held--) {
		if (w.events_seen > 0) {
			w.events_seen--;
			w.resets_due -= w.resets_due > 0;
			w.hold &= w.resets_due > 0;
		}
		add(VSOCK_EVENT, w.event, 4, true);
	}
}

/* ---- the guest: programs ---- */

static bool broken(void)
{
	return kit_read(&w.vk.k, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

static void guest_calls(void)
{
	struct conn *c = new_conn(w.next_guest_port, HOST_PORT, G_CALLING);

	if (!c)
		return;
	w.next_guest_port++;
	say_of(c, VSOCK_OP_REQUEST, 0);
}

static void guest_sends(void)
{
	struct conn *c = any_conn(G_OPEN);

	if (c)
		send_data(c, (uint32_t)schedule_below(TX_LEN) + 1);
}

/* Behind all that it sent; at least who it is. */
static void guest_closes(void)
{
	struct conn *c = any_conn(G_OPEN);

	if (!c || c->guest_sent < 4 || w.nr_say > 0)
		return;
	say_of(c, VSOCK_OP_SHUTDOWN, VSOCK_SHUT_BOTH);
	c->guest = G_CLOSING;
	c->idle_ns = 0;
}

static void guest_resets(void)
{
	struct conn *c = any_conn(G_OPEN);

	/* Whose "OK" it is has to be known first. */
	if (!c || (c->host_port != HOST_PORT && !c->host_known))
		return;
	say_of(c, VSOCK_OP_RST, 0);
	c->excused = true;
	c->guest = G_DONE;
	maybe_free(c);
}

static void guest_drops_held(void)
{
	struct conn *c = any_conn(G_HELD);

	if (!c)
		return;
	c->guest = G_DONE;
	maybe_free(c);
}
