// SPDX-License-Identifier: Apache-2.0
/*
 * test_mmds_tcp.c - the metadata service's TCP under bad networks and guests
 */
#include "mmds_kit.h"

#include <stdio.h>
#include <stdlib.h>

static const char get_top[] = "GET /top HTTP/1.1\r\n\r\n";
static const char get_big[] = "GET /big HTTP/1.1\r\n\r\n";

#define BIG 40000u

/* A document with a long value, so that an answer has many segments. */
static void big_document(struct guest *g)
{
	struct buf text = {0};

	buf_add_str(&text, "{\"top\":\"t\",\"big\":\"");
	for (unsigned int i = 0; i < BIG; i++)
		buf_addf(&text, "%c", 'a' + (int)(i % 26));
	buf_add(&text, "\"}", 3);
	guest_document(g, text.data);
	buf_free(&text);
}

/* The whole of the big answer came, and nothing else. */
static void has_big(const struct guest *g)
{
	const char *body = memmem(g->got.data, g->got.len, "\r\n\r\n", 4);

	assert_non_null(body);
	body += 4;
	assert_int_equal(g->got.data + g->got.len - body, BIG);
	for (unsigned int i = 0; i < BIG; i++)
		assert_int_equal(body[i], 'a' + (int)(i % 26));
}

static void start(struct guest *g)
{
	guest_init(g, 0);
	big_document(g);
}

static void test_the_size_of_segments(void **state)
{
	/* What the guest says, and what it gets; 1: it says nothing. */
	static const uint16_t rows[][2] = {
		{0, 536},     {1, 536},      {2, 536},      {535, 536},
		{536, 536},   {537, 537},    {1459, 1459},  {1460, 1460},
		{1461, 1460}, {65495, 1460}, {65496, 1460}, {65535, 1460},
	};
	struct guest g;

	(void)state;
	start(&g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		guest_new_connection(&g);
		g.mss = rows[i][0];
		guest_connect(&g);
		guest_say(&g, get_big, strlen(get_big));
		has_big(&g);
		assert_int_equal(g.largest, rows[i][1]);
	}
	guest_fini(&g);
}

static void test_a_small_mtu(void **state)
{
	struct guest g;

	(void)state;
	guest_init(&g, 68);
	big_document(&g);
	guest_connect(&g);
	guest_say(&g, get_big, strlen(get_big));
	has_big(&g);
	assert_int_equal(g.largest, 28);
	guest_fini(&g);
}

static void test_byte_by_byte(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	guest_connect(&g);
	for (size_t i = 0; i < strlen(get_top); i++) {
		assert_int_equal(g.got.len, 0);
		guest_say(&g, &get_top[i], 1);
	}
	assert_memory_equal(g.got.data, "HTTP/1.1 200 ", 13);
	assert_int_equal(g.got.data[g.got.len - 1], 't');
	guest_fini(&g);
}

static void test_an_orderly_end(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	guest_connect(&g);
	/* Both requests are answered before the service's FIN. */
	guest_send(&g, TCP_ACK, get_top, strlen(get_top));
	g.seq += (uint32_t)strlen(get_top);
	guest_send(&g, TCP_ACK | TCP_FIN, get_big, strlen(get_big));
	g.seq += (uint32_t)strlen(get_big) + 1;
	guest_pump(&g);
	assert_true(g.fin);
	assert_int_equal(g.una, g.seq);
	assert_non_null(memmem(g.got.data, g.got.len, "\r\n\r\ntHTTP", 9));
	assert_int_equal(mmds_stack_deadline(g.stack), 0);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_created), 1);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed), 1);
	guest_fini(&g);
}

static bool lose_a_third(struct guest *g)
{
	g->random ^= g->random << 13;
	g->random ^= g->random >> 7;
	g->random ^= g->random << 17;
	return g->random % 3 == 0;
}

/* The guest sends again until it is acknowledged, and so does the service. */
static void test_losses(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	g.lose = lose_a_third;
	for (unsigned int round = 0; round < 50; round++) {
		guest_new_connection(&g);
		g.mss = 1460;
		while (!g.open) {
			guest_send(&g, TCP_SYN, NULL, 0);
			guest_pump(&g);
		}
		g.seq++;
		while (g.una != g.seq + strlen(get_big)) {
			guest_send(&g, TCP_ACK, get_big, strlen(get_big));
			guest_pump(&g);
		}
		g.seq += (uint32_t)strlen(get_big);
		while (g.got.len < BIG)
			if (!guest_pump(&g))
				assert_true(guest_wait(&g));
		has_big(&g);
		assert_false(g.reset);
		g.lose = NULL;
		guest_send(&g, TCP_RST, NULL, 0);
		g.lose = lose_a_third;
	}
	assert_true(g.segments > BIG / 1460 + 1);
	guest_fini(&g);
}

/* Parts of a request in a wrong order, twice, and overlapping. */
static void test_reordered(void **state)
{
	const size_t len = strlen(get_top);
	struct guest g;
	uint32_t first;

	(void)state;
	start(&g);
	guest_connect(&g);
	first = g.seq;
	g.seq = first + 8;
	guest_send(&g, TCP_ACK, get_top + 8, len - 8);
	guest_pump(&g);
	assert_int_equal(g.una, first); /* nothing was taken */
	g.seq = first;
	guest_send(&g, TCP_ACK, get_top, 10);
	guest_pump(&g);
	assert_int_equal(g.una, first + 10);
	g.seq = first + 4;
	guest_send(&g, TCP_ACK, get_top + 4, len - 4);
	guest_pump(&g);
	assert_int_equal(g.una, first + len);
	g.seq = first;
	guest_send(&g, TCP_ACK, get_top, len);
	guest_pump(&g);
	assert_int_equal(g.una, first + len);
	assert_int_equal(g.got.data[g.got.len - 1], 't');
	assert_null(memmem(g.got.data + 1, g.got.len - 1, "HTTP/1.1", 8));
	guest_fini(&g);
}

static void test_a_closed_window(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	guest_connect(&g);
	g.window = 0;
	guest_say(&g, get_big, strlen(get_big));
	assert_int_equal(g.got.len, 0);
	for (unsigned int i = 0; i < 40; i++) {
		assert_true(guest_wait(&g)); /* it asks, now and then */
		guest_pump(&g);
		assert_false(g.reset);
	}
	assert_true(g.got.len <= 40);
	g.window = 3000;
	guest_send(&g, TCP_ACK, NULL, 0);
	guest_pump(&g);
	while (g.got.len < BIG && guest_wait(&g))
		guest_pump(&g);
	has_big(&g);
	guest_fini(&g);
}

static void test_a_guest_that_is_gone(void **state)
{
	unsigned int waits = 0;
	struct guest g;
	static uint8_t frame[MMDS_GIVE_MAX];

	(void)state;
	start(&g);
	guest_connect(&g);
	guest_send(&g, TCP_ACK, get_big, strlen(get_big));
	do {
		while (mmds_stack_give(g.stack, frame, g.now) > 0)
			;
	} while (guest_wait(&g) && ++waits < 100);
	assert_in_range(waits, 5, 20);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed), 1);
	guest_fini(&g);
}

static void test_resets(void **state)
{
	struct guest g;
	uint32_t seq;

	(void)state;
	start(&g);
	guest_connect(&g);
	seq = g.seq;
	g.seq = seq + 1; /* a guess, near */
	guest_send(&g, TCP_RST, NULL, 0);
	g.seq = seq - 1;
	guest_send(&g, TCP_RST, NULL, 0);
	g.seq = seq;
	guest_send(&g, TCP_SYN, NULL, 0); /* within the connection */
	guest_pump(&g);
	guest_say(&g, get_top, strlen(get_top));
	assert_int_equal(g.got.data[g.got.len - 1], 't');
	guest_send(&g, TCP_RST, NULL, 0);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed), 1);
	guest_pump(&g);
	assert_false(g.reset);
	/* What is nobody's is reset, at any port; a reset is not. */
	guest_say(&g, get_top, strlen(get_top));
	assert_true(g.reset);
	guest_new_connection(&g);
	g.to = 443;
	guest_send(&g, TCP_SYN, NULL, 0);
	guest_pump(&g);
	assert_true(g.reset);
	assert_int_equal(g.una, g.seq + 1);
	guest_send(&g, TCP_RST, NULL, 0);
	assert_false(mmds_stack_waits(g.stack));
	guest_fini(&g);
}

static void test_a_request_without_end(void **state)
{
	char junk[1000];
	struct guest g;

	(void)state;
	memset(junk, 'x', sizeof(junk));
	start(&g);
	guest_connect(&g);
	for (unsigned int i = 0; i < 3; i++)
		guest_say(&g, junk, sizeof(junk));
	assert_true(g.reset);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed), 1);
	guest_fini(&g);
}

/* Requests that come while an answer is not taken wait; the window closes. */
static void test_a_pipeline(void **state)
{
	unsigned int sent = 0, answers = 0;
	struct guest g;

	(void)state;
	start(&g);
	guest_connect(&g);
	g.window = 0;
	do {
		guest_say(&g, get_big, strlen(get_big));
		sent++;
	} while (g.una == g.seq && sent < 1000);
	assert_in_range(sent, 100, 150);
	assert_true(g.told < strlen(get_big));
	sent -= g.una != g.seq; /* the last was cut, and is sent again */
	g.seq = g.una;
	g.window = 65535;
	guest_send(&g, TCP_ACK, NULL, 0);
	guest_pump(&g);
	for (char *at = g.got.data;
	     (at = memmem(at, g.got.len - (size_t)(at - g.got.data),
			  "HTTP/1.1 200", 12));
	     at++)
		answers++;
	assert_in_range(answers, sent, sent + 1);
	guest_fini(&g);
}

static void test_too_many_connections(void **state)
{
	struct guest g;

	(void)state;
	start(&g);
	for (unsigned int i = 0; i < MMDS_CONNS_MAX; i++) {
		guest_new_connection(&g);
		guest_connect(&g);
		assert_true(g.open);
	}
	guest_new_connection(&g);
	guest_connect(&g);
	assert_false(g.open);
	assert_true(g.reset);
	/* The one that was silent longest makes room. */
	g.now += 1000000000;
	guest_new_connection(&g);
	guest_connect(&g);
	assert_true(g.open);
	guest_say(&g, get_top, strlen(get_top));
	assert_int_equal(g.got.data[g.got.len - 1], 't');
	assert_int_equal(metric_read(&g.mmds.metrics.connections_created), 31);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed), 1);
	mmds_stack_reset(g.stack);
	assert_int_equal(metric_read(&g.mmds.metrics.connections_destroyed),
			 31);
	guest_fini(&g);
}

static void test_arp(void **state)
{
	uint8_t ask[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct guest g;

	(void)state;
	start(&g);
	memcpy(ask + 6, guest_mac, 6);
	memcpy(ask + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
	memcpy(ask + 22, guest_mac, 6);
	memcpy(ask + 28, guest_address, 4);
	memcpy(ask + 38, service_address, 4);
	guest_give(&g, ask, sizeof(ask));
	guest_pump(&g);
	assert_true(g.arp);
	ask[41]++; /* of another address: the tap's */
	assert_false(mmds_stack_wants(g.stack, ask, sizeof(ask)));
	ask[41]--;
	ask[21] = 2; /* an answer: the tap's, too */
	assert_false(mmds_stack_wants(g.stack, ask, sizeof(ask)));
	ask[21] = 1;
	for (size_t len = 0; len < 42; len++)
		assert_false(mmds_stack_wants(g.stack, ask, len));
	guest_fini(&g);
}

/* Broken in each way: counted, and nothing comes of it. */
static void test_broken_frames(void **state)
{
	static uint8_t good[GUEST_FRAME], bad[GUEST_FRAME];
	struct guest g;
	size_t len;

	(void)state;
	start(&g);
	len = guest_segment(&g, good, TCP_SYN, NULL, 0);
	/* Every bit of IP's and TCP's header but those that checksums skip. */
	for (size_t bit = 14 * 8; bit < len * 8; bit++) {
		memcpy(bad, good, len);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		mmds_stack_take(g.stack, bad, len, len, false, g.now);
		assert_false(mmds_stack_waits(g.stack));
	}
	for (size_t cut = 0; cut < len; cut++) {
		memcpy(bad, good, cut);
		mmds_stack_take(g.stack, bad, cut, cut, false, g.now);
		mmds_stack_take(g.stack, bad, cut, cut, true, g.now);
		assert_false(mmds_stack_waits(g.stack));
	}
	assert_int_equal(metric_read(&g.mmds.metrics.connections_created), 0);
	mmds_stack_take(g.stack, good, len, len, false, g.now);
	assert_true(mmds_stack_waits(g.stack));
	guest_fini(&g);
}

static void test_other_protocols(void **state)
{
	static uint8_t frame[GUEST_FRAME];
	struct guest g;
	size_t len;

	(void)state;
	start(&g);
	len = guest_segment(&g, frame, TCP_SYN, NULL, 0);
	frame[23] = 17; /* UDP */
	put16(frame + 24, 0);
	put16(frame + 24, ~ones_sum(frame + 14, 20, 0));
	mmds_stack_take(g.stack, frame, len, len, false, g.now);
	frame[23] = 6;
	put16(frame + 20, 0x2000); /* the first of several fragments */
	put16(frame + 24, 0);
	put16(frame + 24, ~ones_sum(frame + 14, 20, 0));
	mmds_stack_take(g.stack, frame, len, len, false, g.now);
	assert_int_equal(metric_read(&g.mmds.metrics.rx_accepted_unusual), 2);
	assert_false(mmds_stack_waits(g.stack));
	guest_fini(&g);
}

/* A guest that leaves segmentation to the device sends long frames. */
static void test_a_frame_that_is_cut(void **state)
{
	static uint8_t frame[GUEST_FRAME];
	struct guest g;
	size_t len;

	(void)state;
	start(&g);
	guest_connect(&g);
	len = guest_segment(&g, frame, TCP_ACK | TCP_FIN, get_top,
			    strlen(get_top));
	mmds_stack_take(g.stack, frame, len - 4, len, false, g.now);
	assert_false(mmds_stack_waits(g.stack)); /* not to be checked */
	mmds_stack_take(g.stack, frame, len - 4, len, true, g.now);
	guest_pump(&g);
	assert_int_equal(g.una, g.seq + strlen(get_top) - 4);
	assert_false(g.fin);
	guest_say(&g, get_top, strlen(get_top)); /* the rest, again */
	assert_int_equal(g.got.data[g.got.len - 1], 't');
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_size_of_segments),
		cmocka_unit_test(test_a_small_mtu),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_an_orderly_end),
		cmocka_unit_test(test_losses),
		cmocka_unit_test(test_reordered),
		cmocka_unit_test(test_a_closed_window),
		cmocka_unit_test(test_a_guest_that_is_gone),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_a_request_without_end),
		cmocka_unit_test(test_a_pipeline),
		cmocka_unit_test(test_too_many_connections),
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_broken_frames),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_a_frame_that_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
