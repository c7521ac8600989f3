// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_stream.c - a network device at a stream socket, and a peer there
 * that may do anything
 */
#include "unit.h"

#include "base/log.h"
#include "dev/net_stream.h"
#include "net_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define RULES                                                \
	"+10.0.2.3@53 -10.0.2.0/24 -0.0.0.0/8 -127.0.0.0/8 " \
	"-169.254.0.0/16 -192.168.5.5 -224.0.0.0/3 -::1 -fe80::/10"
#define RX_BYTES  2048u
#define BIG_FRAME 60000u
#define LINK_UP   1u
#define OFFLOADS \
	(NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_USO)

static const struct net_hdr plain;

static int open_world(void **state)
{
	struct net_kit *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	log_settings.level = LOG_OFF;
	net_kit_open_stream(f, NULL);
	kit_start(&f->kit, NET_F_MRG_RXBUF, NET_KIT_RX_SIZE);
	*state = f;
	return 0;
}

static int close_world(void **state)
{
	net_kit_close(*state);
	free(*state);
	return 0;
}

static bool link_is_up(const struct net_kit *f)
{
	return f->net->config.status & LINK_UP;
}

/* ---- the peer ---- */

static void peer_sends(struct net_kit *f, const void *data, size_t len)
{
	kit_must(send(f->peer, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static size_t put_length(uint8_t *p, uint32_t len)
{
	const uint32_t be = htonl(len);

	memcpy(p, &be, sizeof(be));
	return sizeof(be);
}

static void peer_sends_frame(struct net_kit *f, uint32_t len, uint8_t tag)
{
	static uint8_t stream[4 + NET_MAX_FRAME];
	size_t at = put_length(stream, len);

	net_kit_frame(stream + at, len, tag);
	peer_sends(f, stream, at + len);
}

/* All that is there, up to @size. */
static size_t peer_reads(struct net_kit *f, uint8_t *p, size_t size)
{
	size_t at = 0;
	ssize_t n;

	while (at < size && (n = recv(f->peer, p + at, size - at, 0)) > 0)
		at += (size_t)n;
	return at;
}

/* ---- the guest ---- */

static void guest_gets(struct net_kit *f, gpa_t at, uint32_t len, uint8_t tag)
{
	const uint8_t *p = kit_hva(&f->kit, at, NET_HDR_BYTES + len);
	struct kit_used used;

	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, NET_HDR_BYTES + len);
	assert_int_equal(p[NET_HDR_BYTES + len - 1], tag);
	assert_int_equal(p[0], 0); /* no flags */
	assert_int_equal(p[1], 0); /* no segments */
}

static void guest_kicks(struct net_kit *f, unsigned int queue)
{
	kit_kick(&f->kit, queue);
	kit_pump(&f->kit);
}

static gpa_t offer(struct net_kit *f)
{
	gpa_t at = net_kit_offer(f, RX_BYTES);

	guest_kicks(f, NET_QUEUE_RX);
	return at;
}

static unsigned int sent_and_returned(struct net_kit *f)
{
	struct kit_used used;
	unsigned int nr = 0;

	while (kit_used(&f->kit, NET_QUEUE_TX, &used))
		nr++;
	return nr;
}

/* ---- tests ---- */

static void offloads_are_not_offered(void **state)
{
	struct net_kit *f = *state;
	uint64_t offered = kit_offered(&f->kit);

	assert_int_equal(offered & OFFLOADS, 0);
	assert_true(offered & NET_F_MAC && offered & NET_F_MTU &&
		    offered & NET_F_MRG_RXBUF && offered & NET_F_STATUS);
}

static void a_frame_goes_behind_its_length(void **state)
{
	struct net_kit *f = *state;
	uint8_t got[256], want[64];

	(void)net_kit_send(f, &plain, 60, 7);
	(void)net_kit_send(f, &plain, 64, 8);
	guest_kicks(f, NET_QUEUE_TX);
	assert_int_equal(peer_reads(f, got, sizeof(got)), 4 + 60 + 4 + 64);
	assert_memory_equal(got, "\0\0\0\x3c", 4);
	net_kit_frame(want, 60, 7);
	assert_memory_equal(got + 4, want, 60);
	assert_memory_equal(got + 64, "\0\0\0\x40", 4);
	assert_int_equal(sent_and_returned(f), 2);
	assert_int_equal(f->net->metrics.tx_bytes_count, 124);
}

static void frames_come_in_any_pieces(void **state)
{
	struct net_kit *f = *state;
	uint8_t stream[3 * 104];
	gpa_t at[3];

	for (uint8_t i = 0; i < 3; i++) {
		(void)put_length(stream + i * 104u, 100);
		net_kit_frame(stream + i * 104u + 4, 100, 20 + i);
		at[i] = offer(f);
	}
	for (size_t i = 0; i < sizeof(stream); i += 3) {
		peer_sends(f, stream + i, 3);
		kit_pump(&f->kit);
	}
	for (uint8_t i = 0; i < 3; i++)
		guest_gets(f, at[i], 100, 20 + i);
	assert_int_equal(f->net->metrics.rx_packets_count, 3);
	assert_int_equal(f->net->metrics.rx_fails, 0);
}

static void what_is_there_waits_for_buffers(void **state)
{
	struct net_kit *f = *state;

	for (uint8_t i = 0; i < 4; i++)
		peer_sends_frame(f, 60, i);
	for (uint8_t i = 0; i < 4; i++)
		guest_gets(f, offer(f), 60, i);
}

static void a_length_that_lies_ends_it(void **state)
{
	static const uint32_t lies[] = {0, 13, NET_MAX_FRAME + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct net_kit f = {0};
		uint8_t bytes[4 + 64] = {0};

		net_kit_open_stream(&f, NULL);
		kit_start(&f.kit, NET_F_MRG_RXBUF, NET_KIT_RX_SIZE);
		(void)offer(&f);
		(void)put_length(bytes, lies[i]);
		peer_sends(&f, bytes, sizeof(bytes));
		kit_pump(&f.kit);
		assert_false(link_is_up(&f));
		assert_int_equal(f.net->metrics.rx_packets_count, 0);
		assert_int_equal(f.net->dev.status & VIRTIO_STATUS_NEEDS_RESET,
				 0);
		net_kit_close(&f);
	}
}

static void the_longest_frame_fits(void **state)
{
	struct net_kit *f = *state;
	static uint8_t got[4 + NET_MAX_FRAME];
	const int bytes = 1 << 20;

	kit_must(setsockopt(f->tap, SOL_SOCKET, SO_SNDBUF, &bytes,
			    sizeof(bytes)) == 0);
	(void)net_kit_send(f, &plain, NET_MAX_FRAME, 3);
	guest_kicks(f, NET_QUEUE_TX);
	assert_int_equal(peer_reads(f, got, sizeof(got)), sizeof(got));
	(void)net_kit_offer(f, NET_MAX_PACKET);
	guest_kicks(f, NET_QUEUE_RX);
	kit_must(setsockopt(f->peer, SOL_SOCKET, SO_SNDBUF, &bytes,
			    sizeof(bytes)) == 0);
	peer_sends_frame(f, NET_MAX_FRAME, 4);
	kit_pump(&f->kit);
	assert_int_equal(f->net->metrics.rx_bytes_count, NET_MAX_FRAME);
}

static void a_cut_frame_is_no_frame(void **state)
{
	struct net_kit *f = *state;

	(void)offer(f);
	peer_sends(f, "\0\0\0\x40rest", 8);
	kit_pump(&f->kit);
	assert_true(link_is_up(f));
	(void)close(f->peer);
	f->peer = -1;
	kit_pump(&f->kit);
	assert_false(link_is_up(f));
	assert_int_equal(f->net->metrics.rx_packets_count, 0);
}

static void without_a_peer_frames_are_counted(void **state)
{
	struct net_kit *f = *state;

	(void)close(f->peer);
	f->peer = -1;
	for (uint8_t i = 0; i < 3; i++)
		(void)net_kit_send(f, &plain, 60, i);
	guest_kicks(f, NET_QUEUE_TX);
	assert_int_equal(sent_and_returned(f), 3);
	assert_int_equal(f->net->metrics.tx_fails, 3);
	assert_false(link_is_up(f));
}

/* What the peer does not read stays in the guest's queue, and none is lost. */
static void a_full_socket_stops_the_queue(void **state)
{
	static uint8_t got[4 + BIG_FRAME];
	struct net_kit *f = *state;
	unsigned int sent = 0, came = 0, at = 0;

	while (sent < 20) {
		(void)net_kit_send(f, &plain, BIG_FRAME, (uint8_t)sent++);
		guest_kicks(f, NET_QUEUE_TX);
	}
	assert_true(sent_and_returned(f) < sent);
	assert_int_equal(f->net->metrics.tx_fails, 0);
	while (came < sent) {
		size_t n = peer_reads(f, got + at, sizeof(got) - at);

		assert_true(n > 0);
		at += (unsigned int)n;
		if (at == sizeof(got)) {
			assert_int_equal(got[sizeof(got) - 1], came++);
			at = 0;
		}
		kit_pump(&f->kit);
	}
	assert_int_equal(f->net->metrics.tx_packets_count, sent);
	assert_int_equal(f->net->metrics.tx_fails, 0);
}

/* It receives, and its peer may go, whatever is stuck the other way. */
static void a_full_socket_stops_nothing_else(void **state)
{
	struct net_kit *f = *state;
	gpa_t at;

	for (uint8_t i = 0; i < 20; i++)
		(void)net_kit_send(f, &plain, BIG_FRAME, i);
	guest_kicks(f, NET_QUEUE_TX);
	at = offer(f);
	peer_sends_frame(f, 60, 9);
	guest_gets(f, at, 60, 9);
	(void)close(f->peer);
	f->peer = -1;
	kit_pump(&f->kit);
	assert_false(link_is_up(f));
	guest_kicks(f, NET_QUEUE_TX);
	assert_true(f->net->metrics.tx_fails > 0);
	assert_int_equal(f->kit.queue[NET_QUEUE_TX].avail_idx,
			 f->kit.queue[NET_QUEUE_TX].used_idx +
				 sent_and_returned(f));
}

static void a_new_driver_finds_the_stream_in_step(void **state)
{
	struct net_kit *f = *state;

	peer_sends(f, "\0\0\0\x10", 4);
	(void)offer(f);
	kit_write(&f->kit, KIT_STATUS, 0);
	kit_start(&f->kit, NET_F_MRG_RXBUF, NET_KIT_RX_SIZE);
	peer_sends(f, "0123456789abcdef", 16);
	guest_gets(f, offer(f), 16, 'f');
	assert_true(link_is_up(f));
}

/* ---- what may go ---- */

struct guard_row {
	bool pass;
	const char *to;
	uint8_t proto;
	uint16_t port;
};

static size_t ip_frame(uint8_t *p, const struct guard_row *row)
{
	const bool v6 = strchr(row->to, ':') != NULL;
	uint8_t *ip = p + 14;
	size_t head = v6 ? 40 : 20;

	memset(p, 0, 128);
	p[12] = v6 ? 0x86 : 0x08;
	p[13] = v6 ? 0xdd : 0x00;
	ip[0] = v6 ? 0x60 : 0x45;
	ip[v6 ? 6 : 9] = row->proto;
	kit_must(inet_pton(v6 ? AF_INET6 : AF_INET, row->to,
			   ip + (v6 ? 24 : 16)) == 1);
	ip[head + 2] = (uint8_t)(row->port >> 8);
	ip[head + 3] = (uint8_t)row->port;
	return 14 + head + 20;
}

static struct ip_rules *the_rules(void)
{
	struct ip_rules *rules;
	struct err err;

	assert_int_equal(ip_rules_new(RULES, &rules, &err), 0);
	return rules;
}

static void each_address_has_its_verdict(void **state)
{
	static const struct guard_row rows[] = {
		{true, "93.184.216.34", IPPROTO_TCP, 80},
		{true, "192.168.5.6", IPPROTO_TCP, 80},
		{true, "10.0.2.3", IPPROTO_UDP, 53},
		{true, "10.0.2.3", IPPROTO_TCP, 53},
		{false, "10.0.2.3", IPPROTO_UDP, 54},
		{false, "10.0.2.3", IPPROTO_ICMP, 53},
		{false, "10.0.2.2", IPPROTO_TCP, 53},
		{false, "0.0.0.0", IPPROTO_TCP, 80},
		{false, "127.0.0.1", IPPROTO_TCP, 80},
		{false, "127.0.0.53", IPPROTO_UDP, 53},
		{false, "169.254.169.254", IPPROTO_TCP, 80},
		{false, "192.168.5.5", IPPROTO_ICMP, 0},
		{false, "224.0.0.251", IPPROTO_UDP, 5353},
		{false, "255.255.255.255", IPPROTO_UDP, 67},
		{false, "::1", IPPROTO_TCP, 80},
		{false, "fe80::1", IPPROTO_ICMPV6, 0},
		{true, "2001:db8::1", IPPROTO_TCP, 80},
	};
	struct ip_rules *rules = the_rules();
	uint8_t p[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = ip_frame(p, &rows[i]);

		assert_int_equal(net_stream_lets_go(rules, p, len),
				 rows[i].pass);
		assert_true(net_stream_lets_go(NULL, p, len));
	}
	ip_rules_free(rules);
}

/* Ways to hide where a packet goes. */
static void what_hides_its_address_does_not_go(void **state)
{
	const struct guard_row good = {true, "1.2.3.4", IPPROTO_TCP, 80};
	const struct guard_row dns = {true, "10.0.2.3", IPPROTO_UDP, 53};
	const struct guard_row six = {true, "2001:db8::1", IPPROTO_TCP, 80};
	struct ip_rules *rules = the_rules();
	uint8_t p[128];
	size_t len = ip_frame(p, &good);

	(void)state;
	assert_true(net_stream_lets_go(rules, p, len));
	p[12] = 0x81; /* a VLAN's tag */
	assert_false(net_stream_lets_go(rules, p, len));
	p[12] = 0x88, p[13] = 0x64; /* PPPoE */
	assert_false(net_stream_lets_go(rules, p, len));
	p[12] = 0, p[13] = 46; /* a length: 802.3 */
	assert_false(net_stream_lets_go(rules, p, len));
	p[12] = 0x08, p[13] = 0x06; /* ARP */
	assert_true(net_stream_lets_go(rules, p, len));

	len = ip_frame(p, &good);
	assert_false(net_stream_lets_go(rules, p, 14 + 19)); /* cut off */
	assert_false(net_stream_lets_go(rules, p, 13));
	p[14] = 0x44; /* a header that ends too early */
	assert_false(net_stream_lets_go(rules, p, len));
	p[14] = 0x65; /* another version than it says */
	assert_false(net_stream_lets_go(rules, p, len));

	len = ip_frame(p, &dns);
	p[14 + 7] = 1; /* a later piece: what looks like a port is none */
	assert_false(net_stream_lets_go(rules, p, len));
	len = ip_frame(p, &dns);
	p[14] = 0x46; /* an option: the port is 4 bytes further */
	assert_false(net_stream_lets_go(rules, p, len));
	len = ip_frame(p, &dns);
	assert_false(net_stream_lets_go(rules, p, 14 + 20 + 3));

	len = ip_frame(p, &six);
	assert_true(net_stream_lets_go(rules, p, len));
	assert_false(net_stream_lets_go(rules, p, 14 + 39));
	p[14] = 0x40;
	assert_false(net_stream_lets_go(rules, p, len));
	ip_rules_free(rules);
}

static void a_frame_that_may_not_go_is_counted(void **state)
{
	const struct guard_row row = {false, "169.254.169.254", IPPROTO_TCP,
				      80};
	const struct guard_row good = {true, "1.2.3.4", IPPROTO_TCP, 80};
	uint8_t got[256], *p;
	struct net_kit f = {0};
	gpa_t gpa;

	(void)state;
	net_kit_open_stream(&f, RULES);
	kit_start(&f.kit, 0, NET_KIT_RX_SIZE);
	for (int i = 0; i < 2; i++) {
		struct kit_buf buf = {kit_alloc(&f.kit, 256), 0, false};

		gpa = buf.gpa;
		p = kit_hva(&f.kit, gpa, 256);
		memset(p, 0, NET_HDR_BYTES);
		buf.len = NET_HDR_BYTES +
			  (uint32_t)ip_frame(p + NET_HDR_BYTES,
					     i == 0 ? &row : &good);
		(void)kit_add(&f.kit, NET_QUEUE_TX, &buf, 1);
	}
	guest_kicks(&f, NET_QUEUE_TX);
	assert_int_equal(sent_and_returned(&f), 2);
	assert_int_equal(f.net->metrics.tx_denied_count, 1);
	assert_int_equal(peer_reads(&f, got, sizeof(got)), 4 + 54);
	assert_memory_equal(got + 4 + 14 + 16, "\1\2\3\4", 4);
	net_kit_close(&f);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offloads_are_not_offered),
		TEST(a_frame_goes_behind_its_length),
		TEST(frames_come_in_any_pieces),
		TEST(what_is_there_waits_for_buffers),
		cmocka_unit_test(a_length_that_lies_ends_it),
		TEST(the_longest_frame_fits),
		TEST(a_cut_frame_is_no_frame),
		TEST(without_a_peer_frames_are_counted),
		TEST(a_full_socket_stops_the_queue),
		TEST(a_full_socket_stops_nothing_else),
		TEST(a_new_driver_finds_the_stream_in_step),
		cmocka_unit_test(each_address_has_its_verdict),
		cmocka_unit_test(what_hides_its_address_does_not_go),
		cmocka_unit_test(a_frame_that_may_not_go_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
