// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mmds_stack.c - the metadata service's ARP, IPv4 and TCP
 *
 * A script of steps: a frame as it is, a segment with right checksums and
 * numbers near the right ones, time that goes on. Whatever the guest does,
 * frames for it are whole, with right checksums, and there are no more
 * connections than may be.
 */
#include "dev_fuzz.h"

#include "mmds/frame.h"
#include "mmds/stack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX  300u
#define ROUNDS_MAX 200u

static const uint8_t service[4] = {169, 254, 169, 254};
static const uint8_t guest[4] = {169, 254, 1, 1};
static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1};

/**
 * struct world - a stack, and what its guest knows of its connections
 * @seq, @ack:	by port: its next byte, and the service's
 */
struct world {
	struct mmds mmds;
	struct mmds_stack *stack;
	uint64_t now;
	uint32_t seq[256];
	uint32_t ack[256];
};

/* What the guest gets: whole, right, and remembered. */
static void look(struct world *w, const uint8_t *frame, size_t len)
{
	struct mmds_segment segment;
	struct mmds_peer from;
	uint16_t port;

	fuzz_check(len >= FRAME_ETH_BYTES + FRAME_ARP_BYTES &&
		   len <= MMDS_GIVE_MAX);
	if (load_be16(frame + 12) == FRAME_ARP)
		return;
	fuzz_check(frame_read_tcp(frame, len, len, false, &from, &port,
				  &segment) == FRAME_OK);
	fuzz_check(segment.flags & (TCP_ACK | TCP_RST));
	w->ack[port & 255] = segment.seq + (uint32_t)segment.len +
			     !!(segment.flags & (TCP_SYN | TCP_FIN));
	if (segment.flags & TCP_ACK)
		w->seq[port & 255] = segment.ack;
}

static void receive(struct world *w)
{
	uint8_t frame[MMDS_GIVE_MAX];
	unsigned int rounds = 0;
	size_t len;

	/* What is sent is bounded by the windows that the guest gave. */
	while ((len = mmds_stack_give(w->stack, frame, w->now)) > 0 &&
	       rounds++ < ROUNDS_MAX)
		look(w, frame, len);
}

static void take(struct world *w, const uint8_t *frame, size_t len, bool whole,
		 bool trusted)
{
	uint8_t *copy = malloc(len ? len : 1); /* a byte too far is found */

	fuzz_check(copy);
	memcpy(copy, frame, len);
	if (mmds_stack_wants(w->stack, copy, len))
		mmds_stack_take(w->stack, copy, len, whole ? len : len + 9,
				trusted, w->now);
	free(copy);
}

static void raw_frame(struct world *w, struct fuzz_script *s)
{
	uint8_t frame[256];
	size_t len = fuzz_byte(s);

	for (size_t i = 0; i < len; i++)
		frame[i] = fuzz_byte(s);
	take(w, frame, len, true, true);
}

static void segment(struct world *w, struct fuzz_script *s)
{
	static const char request[] =
		"GET /big HTTP/1.1\r\nX-metadata-token: x\r\n\r\n";
	uint8_t frame[FRAME_ETH_BYTES + FRAME_IP_BYTES + FRAME_TCP_BYTES + 600];
	uint8_t data[512];
	uint8_t port = fuzz_byte(s);
	uint8_t flags = fuzz_byte(s);
	uint8_t how = fuzz_byte(s);
	const struct mmds_peer to = {.address = {169, 254, 169, 254},
				     .port = 80};
	struct mmds_segment seg = {
		.seq = w->seq[port] + (uint32_t)(int8_t)fuzz_byte(s),
		.ack = w->ack[port] + (uint32_t)(int8_t)fuzz_byte(s),
		.window = (uint16_t)(fuzz_byte(s) << 6),
		.mss = flags & TCP_SYN ? (uint16_t)(fuzz_byte(s) * 257u) : 0,
		.flags = flags & 0x1f,
		.data = data,
	};
	size_t len;

	if (how & 1) {
		seg.data = (const uint8_t *)request;
		seg.len = strlen(request);
	} else {
		seg.len = how & 2 ? fuzz_byte(s) : 0;
		for (size_t i = 0; i < seg.len; i++)
			data[i] = fuzz_byte(s);
	}
	len = frame_write_tcp(frame, &to, guest_mac, guest, port, &seg);
	take(w, frame, len, !(how & 4), how & 8);
	if (flags & TCP_SYN)
		w->seq[port] = seg.seq + 1;
}

static void step(struct world *w, struct fuzz_script *s)
{
	switch (fuzz_byte(s) % 6) {
	case 0:
		raw_frame(w, s);
		break;
	case 1:
	case 2:
		segment(w, s);
		break;
	case 3:
		receive(w);
		break;
	case 4:
		w->now += (uint64_t)fuzz_byte(s) << 22;
		mmds_stack_tick(w->stack, w->now);
		break;
	default:
		if (fuzz_byte(s) == 0)
			mmds_stack_reset(w->stack);
	}
}

static void open_world(struct world *w)
{
	struct buf text = {0};
	struct err err;

	memset(w, 0, sizeof(*w));
	w->now = 1000000000000;
	w->mmds.limit = MIB(1);
	memcpy(w->mmds.address, service, sizeof(service));
	buf_add_str(&text, "{\"big\":\"");
	for (unsigned int i = 0; i < 5000; i++)
		buf_add(&text, "x", 1);
	buf_add(&text, "\"}", 2);
	fuzz_check(mmds_put(&w->mmds, text.data, text.len, &err) == 0);
	buf_free(&text);
	w->stack = mmds_stack_new(&w->mmds, 0);
	fuzz_check(w->stack);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {.data = data, .left = size};
	static struct world w;
	uint64_t made, gone;

	open_world(&w);
	for (unsigned int i = 0; i < STEPS_MAX && s.left > 0; i++)
		step(&w, &s);
	made = metric_read(&w.mmds.metrics.connections_created);
	gone = metric_read(&w.mmds.metrics.connections_destroyed);
	fuzz_check(made >= gone && made - gone <= MMDS_CONNS_MAX);
	mmds_stack_reset(w.stack);
	fuzz_check(mmds_stack_deadline(w.stack) == 0);
	mmds_stack_free(w.stack);
	mmds_fini(&w.mmds);
	return 0;
}
