/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmds_kit.h - a guest that speaks to the metadata service, frame by frame
 *
 * A small TCP client of its own, so that both sides' bytes are checked by code
 * that the service does not have: it makes and verifies its checksums, sends
 * again what was lost, and takes nothing out of order. Time is @now; it moves
 * only when the service waits for its timer.
 */
#pragma once

#include "unit.h"

#include "mmds/stack.h"

#define GUEST_FRAME 2048u

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 9};
static const uint8_t guest_address[4] = {169, 254, 9, 9};
static const uint8_t service_address[4] = {169, 254, 169, 254};

/**
 * struct guest - one guest, one connection
 * @seq, @ack:	its next byte, the service's next byte
 * @una:	the first byte that the service has not acknowledged
 * @told:	the window that the service said last
 * @largest:	data of one segment of the service's
 * @segments:	of the service, with data
 * @lose:	NULL, or whether the next frame, in either direction, is lost
 */
struct guest {
	struct mmds mmds;
	struct mmds_stack *stack;
	uint64_t now;
	uint16_t port;
	uint16_t to;
	uint16_t mss;
	uint16_t window;
	uint32_t seq, ack, una;
	uint16_t told;
	bool open, fin, reset, arp;
	size_t largest;
	unsigned int segments;
	struct buf got;
	bool (*lose)(struct guest *g);
	uint64_t random;
};

static inline void put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline unsigned int get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* One's complement sum; 0xffff when a checksum within is right. */
static inline unsigned int ones_sum(const uint8_t *p, size_t len,
				    unsigned int sum)
{
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? p[i] : (unsigned int)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static inline unsigned int guest_tcp_sum(const uint8_t *frame, size_t len)
{
	unsigned int sum = ones_sum(frame + 26, 8, 6);

	sum += (unsigned int)len - 34;
	return ones_sum(frame + 34, len - 34, (sum & 0xffff) + (sum >> 16));
}

/* A frame of the guest's with a segment; options of @opt bytes are zero. */
static inline size_t guest_segment(const struct guest *g, uint8_t *f,
				   unsigned int flags, const void *data,
				   size_t len)
{
	size_t opt = flags & TCP_SYN && g->mss != 1 ? 4 : 0;
	size_t total = 54 + opt + len;

	memset(f, 0, 54 + opt);
	memcpy(f + 6, guest_mac, 6);
	put16(f + 12, 0x0800);
	f[14] = 0x45;
	put16(f + 16, (unsigned int)total - 14);
	f[22] = 64;
	f[23] = 6;
	memcpy(f + 26, guest_address, 4);
	memcpy(f + 30, service_address, 4);
	put16(f + 24, ~ones_sum(f + 14, 20, 0));
	put16(f + 34, g->port);
	put16(f + 36, g->to);
	put32(f + 38, g->seq);
	put32(f + 42, flags & TCP_ACK ? g->ack : 0);
	f[46] = (uint8_t)((20 + opt) << 2);
	f[47] = (uint8_t)flags;
	put16(f + 48, g->window);
	if (opt) {
		f[54] = 2;
		f[55] = 4;
		put16(f + 56, g->mss);
	}
	if (len)
		memcpy(f + 54 + opt, data, len);
	put16(f + 50, ~guest_tcp_sum(f, total));
	return total;
}

static inline void guest_give(struct guest *g, const uint8_t *frame, size_t len)
{
	if (g->lose && g->lose(g))
		return;
	assert_true(mmds_stack_wants(g->stack, frame, len));
	mmds_stack_take(g->stack, frame, len, len, false, g->now);
}

static inline void guest_send(struct guest *g, unsigned int flags,
			      const void *data, size_t len)
{
	static uint8_t frame[GUEST_FRAME];

	guest_give(g, frame, guest_segment(g, frame, flags, data, len));
}

static inline void guest_take_tcp(struct guest *g, const uint8_t *f, size_t len)
{
	unsigned int flags = f[47];
	size_t head = 34 + (size_t)(f[46] >> 4) * 4;
	size_t n = 14 + get16(f + 16) - head;
	uint32_t seq = get32(f + 38);

	assert_int_equal(len, 14 + get16(f + 16));
	assert_int_equal(ones_sum(f + 14, 20, 0), 0xffff);
	assert_int_equal(guest_tcp_sum(f, len), 0xffff);
	assert_memory_equal(f + 26, service_address, 4);
	assert_memory_equal(f + 30, guest_address, 4);
	assert_int_equal(get16(f + 34), g->to);
	if (get16(f + 36) != g->port)
		return;
	g->told = (uint16_t)get16(f + 48);
	if (flags & TCP_ACK && (int32_t)(get32(f + 42) - g->una) > 0)
		g->una = get32(f + 42);
	if (flags & TCP_RST) {
		g->reset = true;
		return;
	}
	if (flags & TCP_SYN && !g->open) {
		g->open = true;
		g->ack = seq + 1;
	}
	if (n > g->largest)
		g->largest = n;
	g->segments += n > 0;
	if (seq == g->ack && n > 0) {
		buf_add(&g->got, f + head, n);
		g->ack += (uint32_t)n;
	}
	if (flags & TCP_FIN && seq + n == g->ack) {
		g->fin = true;
		g->ack++;
	}
	if (n > 0 || flags & (TCP_SYN | TCP_FIN))
		guest_send(g, TCP_ACK, NULL, 0);
}

/* Take all that the service has to send. Return: whether there was anything. */
static inline bool guest_pump(struct guest *g)
{
	static uint8_t frame[MMDS_GIVE_MAX];
	bool some = false;
	size_t len;

	while ((len = mmds_stack_give(g->stack, frame, g->now)) > 0) {
		some = true;
		if (g->lose && g->lose(g))
			continue;
		assert_memory_equal(frame, guest_mac, 6);
		if (get16(frame + 12) == 0x0806)
			g->arp = true;
		else
			guest_take_tcp(g, frame, len);
	}
	return some;
}

/* Time goes on to the service's next deadline. Return: whether it has one. */
static inline bool guest_wait(struct guest *g)
{
	uint64_t deadline = mmds_stack_deadline(g->stack);

	if (deadline == 0)
		return false;
	if (deadline > g->now)
		g->now = deadline;
	mmds_stack_tick(g->stack, g->now);
	return true;
}

static inline void guest_new_connection(struct guest *g)
{
	buf_free(&g->got);
	g->port++;
	g->seq = g->port * 7919u;
	g->una = g->seq;
	g->open = g->fin = g->reset = false;
	g->largest = 0;
	g->segments = 0;
}

static inline void guest_init(struct guest *g, uint16_t mtu)
{
	*g = (struct guest){
		.now = 1000000000000,
		.port = 40000,
		.to = 80,
		.mss = 1460,
		.window = 65535,
		.random = 88172645463325252u,
	};
	g->mmds.limit = 51200;
	assert_int_equal(mmds_tokens_init(&g->mmds.tokens), 0);
	memcpy(g->mmds.address, service_address, 4);
	g->stack = mmds_stack_new(&g->mmds, mtu);
	assert_non_null(g->stack);
	guest_new_connection(g);
}

static inline void guest_fini(struct guest *g)
{
	mmds_stack_free(g->stack);
	mmds_fini(&g->mmds);
	buf_free(&g->got);
}

static inline void guest_connect(struct guest *g)
{
	guest_send(g, TCP_SYN, NULL, 0);
	g->seq++;
	guest_pump(g);
}

/* Send @text on the open connection, take what comes. */
static inline void guest_say(struct guest *g, const void *text, size_t len)
{
	guest_send(g, TCP_ACK | TCP_PSH, text, len);
	g->seq += (uint32_t)len;
	guest_pump(g);
}

static inline void guest_document(struct guest *g, const char *text)
{
	struct err err;

	assert_int_equal(mmds_put(&g->mmds, text, strlen(text), &err), 0);
}
