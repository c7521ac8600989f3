/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_priv.h - what the parts of the socket device share (theory: vsock.h)
 */
#pragma once

#include "base/iov.h"
#include "base/list.h"
#include "dev/vsock.h"
#include "host/timer.h"

enum vsock_queue {
	VSOCK_RX,
	VSOCK_TX,
	VSOCK_EVENT,
	VSOCK_NR_QUEUES,
};

#define VSOCK_TYPE_STREAM 1u

/* Operations (5.10.6). */
enum vsock_op {
	VSOCK_OP_REQUEST = 1,
	VSOCK_OP_RESPONSE = 2,
	VSOCK_OP_RST = 3,
	VSOCK_OP_SHUTDOWN = 4,
	VSOCK_OP_RW = 5,
	VSOCK_OP_CREDIT_UPDATE = 6,
	VSOCK_OP_CREDIT_REQUEST = 7,
};

/* Flags of SHUTDOWN (5.10.6.5): the sender will not receive, will not send. */
#define VSOCK_SHUT_RCV  1u
#define VSOCK_SHUT_SEND 2u
#define VSOCK_SHUT_BOTH (VSOCK_SHUT_RCV | VSOCK_SHUT_SEND)

/* 5.10.6; little-endian, as the host is. */
struct vsock_header {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
} __attribute__((packed));

#define VSOCK_HEADER_BYTES 44u
static_assert(sizeof(struct vsock_header) == VSOCK_HEADER_BYTES, "5.10.6");

#define VSOCK_PACKET_MAX 65536u /* bytes of data in one packet */
#define VSOCK_ROUND_BYTES \
	(1u << 20) /* in one go; then others have their turn */
#define VSOCK_BUCKETS     512u
#define VSOCK_RESETS_MAX  64u
#define VSOCK_BATCH_MAX   32u /* RX buffers for one readv */
#define VSOCK_LINE_MAX    32u
#define VSOCK_LOOKS_MAX   16u /* at a ring that may be empty when we look */
#define VSOCK_FIRST_PORT  (1u << 30) /* of host clients */
#define VSOCK_LAST_PORT   (2 * VSOCK_FIRST_PORT - 1)

#define VSOCK_TICK_NS     50000000ull
#define VSOCK_GREETING_NS 30000000000ull
#define VSOCK_ANSWER_NS   2000000000ull
#define VSOCK_LINGER_NS   30000000000ull
#define VSOCK_HOLD_NS     2000000000ull

enum vsock_conn_state {
	VSOCK_GREETING,
	VSOCK_CALLING,
	VSOCK_DIALLING,
	VSOCK_OPEN,
	VSOCK_CLOSING,
};

/* Packets without data that are owed to the guest, in the order of sending. */
enum vsock_owed {
	VSOCK_OWE_REQUEST = 1 << 0,
	VSOCK_OWE_RESPONSE = 1 << 1,
	VSOCK_OWE_CREDIT_REQUEST = 1 << 2,
	VSOCK_OWE_CREDIT_UPDATE = 1 << 3,
	VSOCK_OWE_SHUTDOWN = 1 << 4,
	VSOCK_OWE_RST = 1 << 5,
};

/**
 * struct vsock_conn - one connection
 * @src:	the host's socket; fd -1 while dialling, and once it is closed
 * @next:	in the hash table; all states but greeting, until an RST that is
 *		owed was sent
 * @all:	on vsock.conns
 * @waiting:	on vsock.waiting: something is to be sent, but no RX buffer
 * @guest_port, @host_port: the key
 * @owed:	enum vsock_owed
 * @guest_shut, @host_shut: VSOCK_SHUT_*, what each end will not do any more
 * @peer_alloc, @peer_fwd: the guest's buf_alloc and fwd_cnt
 * @sent:	bytes sent to the guest
 * @fwd:	bytes that came from the guest and were passed on
 * @fwd_told:	the last value of @fwd that the guest was sent
 * @in_flight:	dialling: the opener will answer
 * @asked:	the guest was asked for its credit since it had none
 * @batch:	RX buffers to offer to the next readv
 * @deadline_ns: of the present state; 0 none
 * @buf:	ring of VSOCK_BUF_BYTES for the host; NULL while it is empty
 * @head, @used: where its bytes begin, and how many there are
 * @line, @line_len: of the CONNECT line
 */
struct vsock_conn {
	struct loop_source src;
	struct vsock *vsock;
	struct vsock_conn *next;
	struct list all;
	struct list waiting;
	enum vsock_conn_state state;
	uint32_t guest_port;
	uint32_t host_port;
	uint8_t owed;
	uint8_t guest_shut;
	uint8_t host_shut;
	uint8_t batch;
	bool hashed;
	bool in_flight;
	bool asked;
	uint32_t peer_alloc;
	uint32_t peer_fwd;
	uint32_t sent;
	uint32_t fwd;
	uint32_t fwd_told;
	uint64_t deadline_ns;
	uint8_t *buf;
	uint32_t head;
	uint32_t used;
	uint8_t line_len;
	char line[VSOCK_LINE_MAX];
};

/* An RST that is owed to a packet of no connection. */
struct vsock_reset {
	uint32_t guest_port;
	uint32_t host_port;
	uint16_t type;
};

/* One of the RX buffers that a readv fills. */
struct vsock_rx_chain {
	uint16_t head;
	uint16_t after; /* the queue's next_avail behind it */
	uint16_t nr_iov;
	uint32_t space;
	const struct iovec *iov;
};

/**
 * struct vsock - the device
 * @cid:	of the guest; also its config space
 * @listener:	fd is borrowed
 * @accept_later: accept() failed for lack of something
 * @starved:	the RX queue was found empty; its next kick is wanted
 * @stale:	reset: connections must be closed before anything else
 * @transport_reset: the event is owed to the guest
 * @holding:	restored: no new connection before the guest took the reset
 * @event_mark:	the event queue's available index when it has taken all events
 * @hold_until_ns: nor after this time; UINT64_MAX until the guest runs
 * @paused_ns:	when the device was paused; 0: it runs, or was made paused
 * @ticking:	@tick runs
 * @resets:	ring of @nr_resets, from @first_reset on
 * @rx_iov, @data, @chain, @tx_iov: scratch, valid during one call
 */
struct vsock {
	struct virtio_dev dev;
	uint64_t cid;
	const struct path_opener *opener;
	char *uds_path;
	struct loop_source listener;
	bool accept_later;
	bool starved;
	bool stale;
	bool transport_reset;
	bool holding;
	bool ticking;
	uint16_t event_mark;
	uint64_t hold_until_ns;
	uint64_t paused_ns;
	struct timer tick;
	struct list conns;
	struct list waiting;
	unsigned int nr_conns;
	uint32_t next_port;
	unsigned int first_reset;
	unsigned int nr_resets;
	struct vsock_counters counters;
	struct vsock_reset resets[VSOCK_RESETS_MAX];
	struct vsock_conn *bucket[VSOCK_BUCKETS];
	struct vsock_rx_chain chain[VSOCK_BATCH_MAX];
	struct iovec tx_iov[VIRTQ_MAX_SIZE];
	struct iovec rx_iov[2 * VIRTQ_MAX_SIZE];
	struct iovec data[2 * VIRTQ_MAX_SIZE];
};

/* The data of a packet: @len bytes behind its header. */
struct vsock_payload {
	const struct iovec *iov;
	size_t nr_iov;
	uint32_t len;
};

/* ---- vsock.c: the queues ---- */

static inline struct virtq *vsock_rx(struct vsock *v)
{
	return &v->dev.queue[VSOCK_RX];
}

/* A packet without data. Return: false when there is no RX buffer for it. */
bool vsock_send(struct vsock *v, const struct vsock_header *header);

/**
 * vsock_send_data() - from the host's socket into RX buffers, as RW packets
 * @max:	the guest's credit, not 0
 *
 * Return: bytes; 0 at the end of the stream; -EAGAIN when there is nothing to
 * read, -ENOBUFS when there is no RX buffer, or -errno of the socket.
 */
ssize_t vsock_send_data(struct vsock_conn *c, uint32_t max);

/* See to it that deadlines are looked at. */
void vsock_start_tick(struct vsock *v);

/* The driver broke a ring: the device stands still until it is reset. */
void vsock_broken(struct vsock *v, const char *why);

/* Publish what was pushed and leave the lock: the end of every callback. */
void vsock_leave(struct vsock *v);

/* ---- vsock_events.c ---- */

/* Tell the guest what it is owed, as far as it has buffers. */
void vsock_run_events(struct vsock *v);

/**
 * vsock_check_hold() - let new connections go on, when it is time
 * @now:	0: only if the guest has taken the reset
 */
void vsock_check_hold(struct vsock *v, uint64_t now);

/* ---- vsock_conn.c ---- */

struct vsock_conn *vsock_conn_find(struct vsock *v, uint32_t guest_port,
				   uint32_t host_port);

/* NULL when there are VSOCK_CONNS_MAX, or no memory. @fd is taken over. */
struct vsock_conn *vsock_conn_new(struct vsock *v, int fd,
				  enum vsock_conn_state state);

/* Into the hash table, by its ports. */
void vsock_conn_hash(struct vsock_conn *c);

/* Closes and frees at once, without a word to the guest. */
void vsock_conn_free(struct vsock_conn *c);

void vsock_conn_deadline(struct vsock_conn *c, uint64_t ns);

/* Over at once; with an RST for the guest if @rst. Settle it then. */
void vsock_conn_abort(struct vsock_conn *c, bool rst);

/**
 * vsock_conn_settle() - send what is owed, watch what is to be watched
 *
 * The end of everything that is done with a connection: it may be freed here.
 */
void vsock_conn_settle(struct vsock_conn *c);

/* What a packet without data says of the connection. */
void vsock_conn_header(const struct vsock_conn *c, enum vsock_op op,
		       struct vsock_header *header);

/* The guest sent a packet for this connection. May free it. */
void vsock_conn_receive(struct vsock_conn *c, const struct vsock_header *header,
			const struct vsock_payload *payload);

/* A deadline passed. May free it. */
void vsock_conn_expire(struct vsock_conn *c);

/* ---- vsock_host.c ---- */

void vsock_host_init(struct vsock *v, int listen_fd);

/* Watch the listener, unless new connections have to wait. */
void vsock_host_listen(struct vsock *v);

/* The guest asks for a connection; true when there is one now or soon. */
bool vsock_host_dial(struct vsock *v, const struct vsock_header *request);

/* Try again a connection that waits. */
void vsock_host_redial(struct vsock_conn *c);

/* A call that was in flight has come to its end: @r, and a socket if it is 0.
 */
void vsock_host_answer(struct vsock *v, uint32_t port, int r, int fd);

/* "CONNECT <port>\n": true and *@port when it is one. */
bool vsock_parse_connect(const char *line, size_t len, uint32_t *port);

/* The host's socket is readable. */
void vsock_host_greet(struct vsock_conn *c);

/* Tell the client that the guest accepted. */
void vsock_host_accepted(struct vsock_conn *c);
