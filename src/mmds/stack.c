// SPDX-License-Identifier: Apache-2.0
/*
 * stack.c - the metadata service on an interface's network (stack.h)
 */
#include "mmds/stack.h"

#include "mmds/frame.h"

#include <stdlib.h>

#define STACK_PORT    80u
#define STACK_MTU     1500u
#define STACK_IDLE_NS 1000000000u

/* The service's; Firecracker's guests know it. Locally administered. */
static const uint8_t stack_mac[6] = {0x06, 0x01, 0x23, 0x45, 0x67, 0x01};

/**
 * struct mmds_stack - of one interface
 * @asked:	an ARP request of @asker's waits for its answer
 * @stray:	a segment of @stray_peer's to @stray_port, which is of no
 *		connection, waits for @reset
 * @next:	whose turn it is
 */
struct mmds_stack {
	struct mmds *mmds;
	uint16_t mss_max;
	bool asked;
	struct mmds_peer asker;
	bool stray;
	struct mmds_peer stray_peer;
	uint16_t stray_port;
	struct mmds_segment reset;
	unsigned int next;
	struct mmds_conn *conns[MMDS_CONNS_MAX];
};

struct mmds_stack *mmds_stack_new(struct mmds *mmds, uint16_t mtu)
{
	const unsigned int heads = FRAME_IP_BYTES + FRAME_TCP_BYTES;
	struct mmds_stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		return NULL;
	if (mtu == 0 || mtu > STACK_MTU)
		mtu = STACK_MTU;
	stack->mmds = mmds;
	stack->mss_max = (uint16_t)(mtu - heads);
	return stack;
}

static void stack_end(struct mmds_stack *stack, unsigned int i)
{
	mmds_conn_free(stack->conns[i]);
	stack->conns[i] = NULL;
	metric_inc(&stack->mmds->metrics.connections_destroyed);
}

void mmds_stack_reset(struct mmds_stack *stack)
{
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++)
		if (stack->conns[i])
			stack_end(stack, i);
	stack->asked = false;
	stack->stray = false;
}

void mmds_stack_free(struct mmds_stack *stack)
{
	if (!stack)
		return;
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++)
		mmds_conn_free(stack->conns[i]);
	free(stack);
}

bool mmds_stack_wants(const struct mmds_stack *stack, const uint8_t *head,
		      size_t len)
{
	const uint8_t *address = stack->mmds->address;

	if (len < FRAME_ETH_BYTES + FRAME_IP_BYTES)
		return false;
	if (load_be16(head + 12) == FRAME_IPV4)
		return memcmp(head + FRAME_ETH_BYTES + 16, address, 4) == 0;
	return frame_is_arp_request(head, len, address);
}

/* ---- from the guest ---- */

static struct mmds_conn *stack_find(const struct mmds_stack *stack,
				    const struct mmds_peer *peer)
{
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++) {
		struct mmds_conn *conn = stack->conns[i];

		if (conn && conn->peer.port == peer->port &&
		    memcmp(conn->peer.address, peer->address, 4) == 0)
			return conn;
	}
	return NULL;
}

/* RFC 9293, 3.10.7.1. */
static void stack_reset_stray(struct mmds_stack *stack,
			      const struct mmds_peer *peer, uint16_t port,
			      const struct mmds_segment *segment)
{
	uint32_t end = segment->seq + (uint32_t)segment->len +
		       !!(segment->flags & TCP_SYN) +
		       !!(segment->flags & TCP_FIN);

	if (segment->flags & TCP_RST)
		return;
	stack->stray = true;
	stack->stray_peer = *peer;
	stack->stray_port = port;
	stack->reset =
		segment->flags & TCP_ACK
			? (struct mmds_segment){.seq = segment->ack,
						.flags = TCP_RST}
			: (struct mmds_segment){.ack = end,
						.flags = TCP_RST | TCP_ACK};
}

/* A place for a new connection; MMDS_CONNS_MAX when there is none. */
static unsigned int stack_place(struct mmds_stack *stack, uint64_t now_ns)
{
	unsigned int idle = MMDS_CONNS_MAX;
	uint64_t since = now_ns - STACK_IDLE_NS;

	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++) {
		if (!stack->conns[i])
			return i;
		if (stack->conns[i]->active_ns <= since) {
			since = stack->conns[i]->active_ns;
			idle = i;
		}
	}
	if (idle < MMDS_CONNS_MAX)
		stack_end(stack, idle);
	return idle;
}

/* RFC 6528: a hash of who it is, and a clock. */
static uint32_t stack_iss(const struct mmds_stack *stack,
			  const struct mmds_peer *peer, uint64_t now_ns)
{
	uint8_t hash[SIPHASH_BYTES];

	siphash(stack->mmds->tokens.key, peer, sizeof(*peer), hash);
	return load_le32(hash) + (uint32_t)(now_ns >> 12);
}

static void stack_open(struct mmds_stack *stack, const struct mmds_peer *peer,
		       const struct mmds_segment *syn, uint64_t now_ns)
{
	unsigned int i = stack_place(stack, now_ns);

	if (i == MMDS_CONNS_MAX) {
		stack_reset_stray(stack, peer, STACK_PORT, syn);
		return;
	}
	stack->conns[i] = mmds_conn_new(peer, syn, stack->mss_max,
					stack_iss(stack, peer, now_ns), now_ns);
	if (stack->conns[i])
		metric_inc(&stack->mmds->metrics.connections_created);
	else
		metric_inc(&stack->mmds->metrics.rx_accepted_err);
}

static void stack_take_segment(struct mmds_stack *stack,
			       const struct mmds_peer *peer, uint16_t port,
			       const struct mmds_segment *segment,
			       uint64_t now_ns)
{
	struct mmds_conn *conn =
		port == STACK_PORT ? stack_find(stack, peer) : NULL;
	const unsigned int kind = TCP_SYN | TCP_ACK | TCP_RST;

	if (conn) {
		memcpy(conn->peer.mac, peer->mac, sizeof(peer->mac));
		mmds_conn_take(conn, stack->mmds, segment, now_ns);
	} else if (port == STACK_PORT && (segment->flags & kind) == TCP_SYN) {
		stack_open(stack, peer, segment, now_ns);
	} else {
		stack_reset_stray(stack, peer, port, segment);
	}
}

static void stack_sweep(struct mmds_stack *stack)
{
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++)
		if (stack->conns[i] &&
		    stack->conns[i]->state == MMDS_CONN_ENDED)
			stack_end(stack, i);
}

static void stack_take_arp(struct mmds_stack *stack, const uint8_t *frame)
{
	stack->asked = true;
	memcpy(stack->asker.mac, frame + FRAME_ETH_BYTES + 8, 6);
	memcpy(stack->asker.address, frame + FRAME_ETH_BYTES + 14, 4);
}

void mmds_stack_take(struct mmds_stack *stack, const uint8_t *frame, size_t len,
		     size_t whole, bool trusted, uint64_t now_ns)
{
	struct mmds_metrics *m = &stack->mmds->metrics;
	struct mmds_segment segment;
	struct mmds_peer peer = {0};
	uint16_t port;

	metric_inc(&m->rx_accepted);
	if (!mmds_stack_wants(stack, frame, len)) {
		metric_inc(&m->rx_bad_eth);
		return;
	}
	if (load_be16(frame + 12) == FRAME_ARP) {
		metric_inc(&m->rx_count);
		stack_take_arp(stack, frame);
		return;
	}
	switch (frame_read_tcp(frame, len, whole, trusted, &peer, &port,
			       &segment)) {
	case FRAME_OK:
		metric_inc(&m->rx_count);
		stack_take_segment(stack, &peer, port, &segment, now_ns);
		stack_sweep(stack);
		break;
	case FRAME_UNUSUAL:
		metric_inc(&m->rx_accepted_unusual);
		break;
	default:
		metric_inc(&m->rx_accepted_err);
	}
}

/* ---- to the guest ---- */

static size_t stack_frame(struct mmds_stack *stack, uint8_t *frame,
			  const struct mmds_peer *to, uint16_t port,
			  const struct mmds_segment *segment)
{
	return frame_write_tcp(frame, to, stack_mac, stack->mmds->address, port,
			       segment);
}

static size_t stack_next(struct mmds_stack *stack, uint8_t *frame,
			 uint64_t now_ns)
{
	struct mmds_segment segment;

	if (stack->asked) {
		stack->asked = false;
		return frame_arp_reply(frame, &stack->asker, stack_mac,
				       stack->mmds->address);
	}
	if (stack->stray) {
		stack->stray = false;
		return stack_frame(stack, frame, &stack->stray_peer,
				   stack->stray_port, &stack->reset);
	}
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++) {
		struct mmds_conn *conn;

		stack->next = (stack->next + 1) % MMDS_CONNS_MAX;
		conn = stack->conns[stack->next];
		if (conn && mmds_conn_give(conn, &segment, now_ns))
			return stack_frame(stack, frame, &conn->peer,
					   STACK_PORT, &segment);
	}
	return 0;
}

size_t mmds_stack_give(struct mmds_stack *stack, uint8_t *frame,
		       uint64_t now_ns)
{
	struct mmds_metrics *m = &stack->mmds->metrics;
	size_t len = stack_next(stack, frame, now_ns);

	if (len == 0)
		return 0;
	stack_sweep(stack);
	metric_inc(&m->tx_count);
	metric_inc(&m->tx_frames);
	metric_add(&m->tx_bytes, len);
	return len;
}

bool mmds_stack_waits(const struct mmds_stack *stack)
{
	bool waits = stack->asked || stack->stray;

	for (unsigned int i = 0; i < MMDS_CONNS_MAX && !waits; i++)
		waits = stack->conns[i] && mmds_conn_wants(stack->conns[i]);
	return waits;
}

void mmds_stack_tick(struct mmds_stack *stack, uint64_t now_ns)
{
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++)
		if (stack->conns[i])
			mmds_conn_tick(stack->conns[i], now_ns);
}

uint64_t mmds_stack_deadline(const struct mmds_stack *stack)
{
	uint64_t first = 0;

	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++) {
		const struct mmds_conn *conn = stack->conns[i];

		if (conn && conn->timer_ns != 0 &&
		    (first == 0 || conn->timer_ns < first))
			first = conn->timer_ns;
	}
	return first;
}
