/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock.c - guest: the socket device; echoes what the host sends
 *
 * Every connection of the host is accepted and gets back what it sends, until
 * its end; one to port 1 ends the guest. Data is never touched: an RX buffer
 * becomes a TX packet as it is, so even an emulated CPU is quick.
 *
 * Command line: connect=N opens N connections to port 52 of the host first,
 * which echo, too. hostile=1 sends what no driver should, and then goes on.
 */
#include "virtio.h"

enum {
	RX,
	TX,
	EVENT,
	VECTOR = 0x50,
	HEADER = 44,
	DATA_MAX = 65536,
	NR_BUFS = 64,
	BUF_SIZE = HEADER + DATA_MAX,
	NR_CONNS = 2048,
	NR_SLOTS = 120, /* TX packets in flight, two descriptors each */
	SLOT_SIZE = 64,
	QUEUE = 256,
	CREDIT = 262144,
	FIRST_PORT = 5000,
	QUIT_PORT = 1,
	HOST_PORT = 52,
	NONE = -1,
};

enum {
	OP_REQUEST = 1,
	OP_RESPONSE = 2,
	OP_RST = 3,
	OP_SHUTDOWN = 4,
	OP_RW = 5,
	OP_CREDIT_UPDATE = 6,
	OP_CREDIT_REQUEST = 7,
};

struct header {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port;
	uint32_t len;
	uint16_t type, op;
	uint32_t flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

/* @first, @last: RX buffers whose data waits for the host's credit */
struct conn {
	uint32_t guest_port, host_port;
	uint32_t sent, peer_alloc, peer_fwd, fwd;
	int first, last;
	bool open, ended, asked;
};

struct buf {
	uint64_t addr;
	uint32_t len;
	int next;
};

static struct virtio *vsock;
static uint64_t cid, slots, event;
static struct conn conns[NR_CONNS];
static struct buf bufs[NR_BUFS];
static int rx_buf[QUEUE]; /* by head */
static int tx_buf[QUEUE]; /* by head: given back when sent, or NONE */
static unsigned int next_slot, in_flight;
static unsigned int responses, resets, accepted;
static uint64_t echoed;
static bool quit;

/* ---- queues ---- */

static void give_back(int buf)
{
	struct virtio_buf b = {bufs[buf].addr, BUF_SIZE, true};

	rx_buf[virtq_add(&vsock->queue[RX], &b, 1)] = buf;
}

static bool reap(void)
{
	struct virtq_used used;
	bool any = false, refilled = false;

	while (virtq_used(&vsock->queue[TX], &used)) {
		any = true;
		in_flight--;
		if (tx_buf[used.head] != NONE) {
			give_back(tx_buf[used.head]);
			refilled = true;
		}
	}
	if (refilled)
		virtq_kick(&vsock->queue[RX]);
	return any;
}

/* @h, and @h->len bytes of the data of @buf (or of nothing). */
static void transmit(const struct header *h, int buf)
{
	struct virtio_buf b[2];

	while (in_flight == NR_SLOTS)
		if (!reap())
			irq_wait();
	b[0] = (struct virtio_buf){slots + next_slot * SLOT_SIZE, HEADER,
				   false};
	next_slot = (next_slot + 1) % NR_SLOTS;
	memcpy((void *)b[0].addr, h, HEADER);
	if (buf != NONE)
		b[1] = (struct virtio_buf){bufs[buf].addr + HEADER, h->len,
					   false};
	in_flight++;
	tx_buf[virtq_add(&vsock->queue[TX], b, buf != NONE ? 2 : 1)] = buf;
	virtq_kick(&vsock->queue[TX]);
}

static struct header header_of(const struct conn *c, uint16_t op)
{
	return (struct header){
		.src_cid = cid,
		.dst_cid = 2,
		.src_port = c->guest_port,
		.dst_port = c->host_port,
		.type = 1,
		.op = op,
		.buf_alloc = CREDIT,
		.fwd_cnt = c->fwd,
	};
}

static void say(const struct conn *c, uint16_t op, uint32_t flags)
{
	struct header h = header_of(c, op);

	h.flags = flags;
	transmit(&h, NONE);
}

/* ---- connections ---- */

/* Ports of ours are few and low, those of host clients few and high. */
static struct conn *conn_of(uint32_t guest_port, uint32_t host_port)
{
	if (host_port == HOST_PORT)
		return &conns[guest_port % (NR_CONNS / 2)];
	return &conns[NR_CONNS / 2 + host_port % (NR_CONNS / 2)];
}

static struct conn *conn_init(uint32_t guest_port, uint32_t host_port)
{
	struct conn *c = conn_of(guest_port, host_port);

	*c = (struct conn){.guest_port = guest_port,
			   .host_port = host_port,
			   .first = NONE,
			   .last = NONE};
	return c;
}

/* Send back what waits, as far as the host has room for whole packets. */
static void echo(struct conn *c)
{
	while (c->first != NONE) {
		struct buf *b = &bufs[c->first];
		struct header h;

		if (b->len > c->peer_alloc - (c->sent - c->peer_fwd)) {
			if (!c->asked)
				say(c, OP_CREDIT_REQUEST, 0);
			c->asked = true;
			return;
		}
		c->asked = false;
		c->fwd += b->len;
		h = header_of(c, OP_RW);
		h.len = b->len;
		c->sent += b->len;
		echoed += b->len;
		transmit(&h, c->first);
		c->first = b->next;
	}
	if (c->ended) {
		c->ended = false;
		say(c, OP_SHUTDOWN, 3);
	}
}

static void keep(struct conn *c, int buf)
{
	bufs[buf].next = NONE;
	if (c->first == NONE)
		c->first = buf;
	else
		bufs[c->last].next = buf;
	c->last = buf;
}

static void close_conn(struct conn *c)
{
	c->open = false;
	for (; c->first != NONE; c->first = bufs[c->first].next)
		give_back(c->first);
}

/* Return: whether @buf was kept. */
static bool receive(const struct header *h, int buf)
{
	struct conn *c = conn_of(h->dst_port, h->src_port);

	if (h->op == OP_REQUEST) {
		c = conn_init(h->dst_port, h->src_port);
		c->open = true;
		accepted++;
		quit |= h->dst_port == QUIT_PORT;
		say(c, OP_RESPONSE, 0);
	}
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case OP_RESPONSE:
		c->open = true;
		responses++;
		break;
	case OP_RST:
		resets++;
		if (c->open)
			close_conn(c);
		return false;
	case OP_SHUTDOWN:
		c->ended |= (h->flags & 2) != 0;
		break;
	case OP_CREDIT_REQUEST:
		say(c, OP_CREDIT_UPDATE, 0);
		break;
	case OP_RW:
		bufs[buf].len = h->len;
		keep(c, buf);
		break;
	default:
		break;
	}
	if (c->open)
		echo(c);
	return h->op == OP_RW;
}

static bool take_rx(void)
{
	struct virtq_used used;
	bool any = false;

	while (virtq_used(&vsock->queue[RX], &used)) {
		int buf = rx_buf[used.head];
		struct header h;

		any = true;
		memcpy(&h, (const void *)bufs[buf].addr, HEADER);
		if (used.len != HEADER + h.len || h.src_cid != 2 ||
		    h.dst_cid != cid || !receive(&h, buf)) {
			give_back(buf);
			virtq_kick(&vsock->queue[RX]);
		}
	}
	return any;
}

static void add_event_buffer(void)
{
	struct virtio_buf b = {event, 4, true};

	virtq_add(&vsock->queue[EVENT], &b, 1);
	virtq_kick(&vsock->queue[EVENT]);
}

/* Restored from a snapshot: all connections are gone (5.10.6.7). */
static bool take_event(void)
{
	struct virtq_used used;
	unsigned int i;

	if (!virtq_used(&vsock->queue[EVENT], &used))
		return false;
	check(used.len == 4 && read32(event) == 0, "transport-reset");
	for (i = 0; i < NR_CONNS; i++)
		if (conns[i].open)
			close_conn(&conns[i]);
	virtq_kick(&vsock->queue[RX]);
	add_event_buffer();
	return true;
}

/* Handle what is there, sleep when nothing is. */
static void step(void)
{
	bool reaped = reap(), taken = take_rx();

	if (!take_event() && !reaped && !taken)
		irq_wait();
}

static void drain(void)
{
	while (in_flight > 0)
		step();
}

/* ---- what no driver should send ---- */

static void hostile_headers(void)
{
	static const uint16_t types[] = {0, 1, 2, 0xffff};
	static const uint16_t ops[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 0xffff};
	static const uint32_t lens[] = {
		0, 1, DATA_MAX, DATA_MAX + 1, UINT32_MAX - HEADER, UINT32_MAX};
	static const uint64_t cids[] = {0, 1, 3, 1ULL << 32, ~0ULL};
	unsigned int nr = 0, i;

	for (i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(ops) * ARRAY_SIZE(lens);
	     i++) {
		struct conn c = {.guest_port = i, .host_port = ~i};
		struct header h = header_of(&c, ops[i % 10]);

		h.type = types[i / 10 % 4];
		h.len = lens[i / 40];
		transmit(&h, NONE); /* without the data that it speaks of */
		h.len = 0;
		h.dst_cid = cids[i % 5] ^ cid;
		transmit(&h, NONE);
		h.dst_cid = 2;
		h.src_cid = cids[i % 5];
		h.buf_alloc = h.fwd_cnt = h.flags = ~0U;
		transmit(&h, NONE);
		nr += 3;
		step();
	}
	drain();
	check_info("hostile-headers-returned", in_flight == 0, nr, resets);
	check(resets > 0 && !responses && !accepted, "hostile-only-rst");
}

/* Chains: too short, too long, writable, empty. */
static void hostile_chains(void)
{
	struct virtq *q = &vsock->queue[TX];
	uint64_t page = virtio_alloc(4096);
	unsigned int i;

	for (i = 0; i < 240; i++) {
		struct virtio_buf b[3] = {
			{page, i % 60, false},
			{page + 64, i, i % 3 == 0},
			{page + 1024 * 1024 * (uint64_t)(i * 37),
			 1U << (i % 31), i % 5 == 0},
		};

		while (in_flight >= 80)
			step();
		in_flight++;
		tx_buf[virtq_add(q, b, 1 + i % 3)] = NONE;
		virtq_kick(q);
	}
	drain();
	check(!(virtio_read(vsock, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET),
	      "hostile-chains-no-reset");
	check(!responses && !accepted, "hostile-chains-nothing-opened");
}

/* A ring that makes no sense: the device stops, and works after a reset. */
static void start(void)
{
	unsigned int i;

	check(virtio_start(vsock, 0, QUEUE), "start");
	cid = read64(vsock->base + VIRTIO_R_CONFIG);
	in_flight = next_slot = 0;
	for (i = 0; i < NR_CONNS; i++)
		conns[i].first = conns[i].last = NONE;
	for (i = 0; i < NR_BUFS; i++)
		give_back((int)i);
	virtq_kick(&vsock->queue[RX]);
	add_event_buffer();
}

static void hostile_ring(void)
{
	uint64_t begin = tsc_read();

	virtq_offer(&vsock->queue[TX], 60000);
	virtq_kick(&vsock->queue[TX]);
	while (!(virtio_read(vsock, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET) &&
	       tsc_read() - begin < VIRTIO_TIMEOUT)
		cpu_pause();
	check(virtio_read(vsock, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET,
	      "hostile-ring-needs-reset");
	start();
	resets = 0;
}

/* ---- the whole ---- */

static void connect_all(uint32_t nr)
{
	uint32_t i;

	for (i = 0; i < nr; i++) {
		say(conn_init(FIRST_PORT + i, HOST_PORT), OP_REQUEST, 0);
		while (responses + resets + 32 < i)
			step();
	}
	while (responses + resets < nr)
		step();
	check_eq("connected", responses, nr);
}

void guest_main(void)
{
	unsigned int i;

	vsock = virtio_find(VIRTIO_VSOCK, 0);
	check(vsock, "found");
	if (!vsock)
		return;
	event = virtio_alloc(4);
	slots = virtio_alloc(NR_SLOTS * SLOT_SIZE);
	for (i = 0; i < NR_BUFS; i++)
		bufs[i].addr = virtio_alloc(BUF_SIZE);
	lapic_init();
	start();
	virtio_use_irq(vsock, VECTOR);
	check_eq("cid", cid, cmdline_num("cid", 3));
	if (cmdline_has("hostile=1")) {
		hostile_headers();
		hostile_chains();
		hostile_ring();
	}
	connect_all((uint32_t)cmdline_num("connect", 0));
	print("ready\n");
	while (!quit)
		step();
	drain();
	check_info("echoed", true, echoed, accepted);
}
