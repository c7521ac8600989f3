// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_mmds.c - a network device whose guest reaches the metadata service
 */
#include "mmds_kit.h"
#include "net_kit.h"

#include <stdlib.h>

#define RX_BYTES 2048u

static const char get_top[] = "GET /top HTTP/1.1\r\n\r\n";

/**
 * struct station - the device, its service, and a guest's connection
 * @at:		receive buffers by their head
 */
struct station {
	struct net_kit net;
	struct guest guest;
	gpa_t at[256];
};

static void offer(struct station *s)
{
	const struct kit_buf buf = {kit_alloc(&s->net.kit, RX_BYTES), RX_BYTES,
				    true};

	s->at[kit_add(&s->net.kit, NET_QUEUE_RX, &buf, 1) % 256] = buf.gpa;
}

static void send_frame(struct station *s, const void *frame, size_t len)
{
	struct kit *k = &s->net.kit;
	gpa_t gpa = kit_alloc(k, NET_HDR_BYTES + len);
	uint8_t *p = kit_hva(k, gpa, NET_HDR_BYTES + len);
	const struct kit_buf buf = {gpa, (uint32_t)(NET_HDR_BYTES + len),
				    false};
	struct kit_used used;

	memset(p, 0, NET_HDR_BYTES);
	memcpy(p + NET_HDR_BYTES, frame, len);
	(void)kit_add(k, NET_QUEUE_TX, &buf, 1);
	kit_kick(k, NET_QUEUE_TX);
	assert_true(kit_wait_used(k, NET_QUEUE_TX, &used));
	kit_pump(k);
}

static void send_segment(struct station *s, unsigned int flags,
			 const void *data, size_t len)
{
	static uint8_t frame[GUEST_FRAME];

	send_frame(s, frame, guest_segment(&s->guest, frame, flags, data, len));
}

/* The next frame that the guest got; NULL: none. */
static const uint8_t *received(struct station *s, size_t *len)
{
	struct kit_used used;

	if (!kit_used(&s->net.kit, NET_QUEUE_RX, &used))
		return NULL;
	*len = used.len - NET_HDR_BYTES;
	return (uint8_t *)kit_hva(&s->net.kit, s->at[used.head % 256],
				  used.len) +
	       NET_HDR_BYTES;
}

static const uint8_t *must_receive(struct station *s, size_t *len)
{
	const uint8_t *frame = NULL;

	for (int tries = 0; tries < 200 && !frame; tries++) {
		frame = received(s, len);
		if (!frame)
			kit_must(loop_step(&s->net.kit.loop, 100) == 0);
	}
	assert_non_null(frame);
	return frame;
}

static void open_station(struct station *s, unsigned int buffers)
{
	int tap;

	guest_init(&s->guest, 0);
	guest_document(&s->guest, "{\"top\":\"t\"}");
	net_kit_pair(&tap, &s->net.peer);
	net_kit_open_as(&s->net, tap, &s->guest.mmds);
	kit_start(&s->net.kit, NET_F_MRG_RXBUF, 64);
	while (buffers-- > 0)
		offer(s);
	kit_kick(&s->net.kit, NET_QUEUE_RX);
	kit_pump(&s->net.kit);
}

static void close_station(struct station *s)
{
	net_kit_close(&s->net);
	guest_fini(&s->guest);
}

/* SYN; SYN with ACK; ACK. */
static void connect_to(struct station *s)
{
	struct guest *g = &s->guest;
	const uint8_t *frame;
	size_t len;

	send_segment(s, TCP_SYN, NULL, 0);
	frame = must_receive(s, &len);
	assert_int_equal(frame[47], TCP_SYN | TCP_ACK);
	g->seq++;
	g->ack = get32(frame + 38) + 1;
	send_segment(s, TCP_ACK, NULL, 0);
}

static void has_answer(struct station *s)
{
	size_t len;
	const uint8_t *frame = must_receive(s, &len);

	assert_int_equal(guest_tcp_sum(frame, len), 0xffff);
	assert_memory_equal(frame + 54, "HTTP/1.1 200 ", 13);
	assert_int_equal(frame[len - 1], 't');
}

static void test_an_answer(void **state)
{
	static struct station s;
	uint8_t frame[64];
	struct net_hdr hdr;
	const struct net_metrics *m;

	(void)state;
	open_station(&s, 16);
	m = &s.net.net->metrics;
	connect_to(&s);
	send_segment(&s, TCP_ACK, get_top, strlen(get_top));
	has_answer(&s);
	/* Nothing of it got out. */
	assert_int_equal(net_kit_take(&s.net, &hdr, frame, sizeof(frame)), 0);
	assert_int_equal(metric_read(&s.guest.mmds.metrics.tx_frames), 2);
	assert_int_equal(metric_read(&s.guest.mmds.metrics.rx_count), 3);
	/* The tap's figures are the tap's; what the guest got, it got. */
	assert_int_equal(metric_read(&m->tx_packets_count), 0);
	assert_int_equal(metric_read(&m->tx_bytes_count), 0);
	assert_int_equal(metric_read(&m->tx_count), 0);
	assert_int_equal(metric_read(&m->tx_spoofed_mac_count), 0);
	assert_int_equal(metric_read(&m->rx_packets_count), 2);
	close_station(&s);
}

static void test_other_frames_pass(void **state)
{
	static struct station s;
	uint8_t frame[100], got[100];
	struct net_hdr hdr;
	size_t len;

	(void)state;
	open_station(&s, 16);
	net_kit_frame(frame, sizeof(frame), 7);
	send_frame(&s, frame, sizeof(frame));
	assert_int_equal(net_kit_take(&s.net, &hdr, got, sizeof(got)),
			 sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	net_kit_inject(&s.net, 80, 9);
	assert_int_equal(must_receive(&s, &len)[20], 9);
	assert_int_equal(len, 80);
	assert_int_equal(metric_read(&s.guest.mmds.metrics.rx_accepted), 0);
	close_station(&s);
}

/* No descriptor tells of an answer that had no buffer. */
static void test_an_answer_that_waits_for_buffers(void **state)
{
	static struct station s;
	size_t len;

	(void)state;
	open_station(&s, 1);
	connect_to(&s);
	send_segment(&s, TCP_ACK, get_top, strlen(get_top));
	assert_null(received(&s, &len));
	offer(&s);
	kit_kick(&s.net.kit, NET_QUEUE_RX);
	has_answer(&s);
	close_station(&s);
}

static void test_what_is_not_acknowledged_comes_again(void **state)
{
	static struct station s;

	(void)state;
	open_station(&s, 16);
	connect_to(&s);
	send_segment(&s, TCP_ACK, get_top, strlen(get_top));
	has_answer(&s);
	has_answer(&s); /* by the timer */
	has_answer(&s);
	close_station(&s);
}

/* More than the loop gives one device at once. */
static void test_a_long_answer(void **state)
{
	static const char get_big[] = "GET /big HTTP/1.1\r\n\r\n";
	static struct station s;
	struct guest *g = &s.guest;
	struct buf text = {0};
	size_t got = 0, len;

	(void)state;
	open_station(&s, 60);
	g->mmds.limit = MIB(1);
	buf_add_str(&text, "{\"big\":\"");
	for (unsigned int i = 0; i < 300000; i++)
		buf_add(&text, "x", 1);
	buf_add(&text, "\"}", 3);
	guest_document(g, text.data);
	buf_free(&text);
	connect_to(&s);
	send_segment(&s, TCP_ACK, get_big, strlen(get_big));
	g->seq += (uint32_t)strlen(get_big);
	while (got < 300000) {
		const uint8_t *frame = must_receive(&s, &len);

		if (get32(frame + 38) == g->ack) {
			got += len - 54;
			g->ack += (uint32_t)(len - 54);
		}
		offer(&s);
		kit_kick(&s.net.kit, NET_QUEUE_RX);
		send_segment(&s, TCP_ACK, NULL, 0);
	}
	close_station(&s);
}

static void test_a_reset_forgets_connections(void **state)
{
	static struct station s;

	(void)state;
	open_station(&s, 16);
	connect_to(&s);
	kit_write(&s.net.kit, KIT_STATUS, 0);
	assert_int_equal(
		metric_read(&s.guest.mmds.metrics.connections_destroyed), 1);
	assert_int_equal(mmds_stack_deadline(s.net.net->mmds.stack), 0);
	kit_pump(&s.net.kit);
	close_station(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_answer),
		cmocka_unit_test(test_other_frames_pass),
		cmocka_unit_test(test_an_answer_that_waits_for_buffers),
		cmocka_unit_test(test_what_is_not_acknowledged_comes_again),
		cmocka_unit_test(test_a_long_answer),
		cmocka_unit_test(test_a_reset_forgets_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
