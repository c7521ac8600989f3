// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_tx.c - network device: what the guest sends, and its life
 */
#include "unit.h"

#include "base/log.h"
#include "host/stream.h"
#include "net_kit.h"

#include <stdlib.h>
#include <sys/mman.h>

#define TX_FEATURES                                                        \
	(NET_F_CSUM | NET_F_HOST_TSO4 | NET_F_HOST_TSO6 | NET_F_HOST_ECN | \
	 NET_F_HOST_UFO | NET_F_HOST_USO | NET_F_MAC)

static const struct net_hdr plain;

static int open_net(void **state)
{
	struct net_kit *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	net_kit_open(f);
	*state = f;
	return 0;
}

static int close_net(void **state)
{
	net_kit_close(*state);
	free(*state);
	return 0;
}

static void kick(struct net_kit *f)
{
	kit_kick(&f->kit, NET_QUEUE_TX);
	kit_pump(&f->kit);
}

static unsigned int used_count(struct net_kit *f, unsigned int queue)
{
	struct kit_used used = {0};
	unsigned int nr = 0;

	while (kit_used(&f->kit, queue, &used))
		nr++;
	return nr;
}

static void features_and_config(void **state)
{
	struct net_kit *f = *state;
	uint64_t offered = kit_offered(&f->kit);

	assert_int_equal(offered & TX_FEATURES, TX_FEATURES);
	assert_true(offered & NET_F_MRG_RXBUF);
	assert_true(offered & NET_F_MTU);
	assert_true(offered & NET_F_STATUS);
	/* D5: no control queue, and nothing that needs one. */
	assert_false(offered & (0x7eull << 17));
	kit_write(&f->kit, KIT_QUEUE_SEL, NET_NR_QUEUES);
	assert_int_equal(kit_read(&f->kit, KIT_QUEUE_NUM_MAX), 0);
	assert_int_equal(kit_config(&f->kit, 0, 6), 0x010000000006);
	assert_int_equal(kit_config(&f->kit, 6, 2), 1); /* link up */
	assert_int_equal(kit_config(&f->kit, 10, 2), 1400);
	kit_set_config(&f->kit, 0, 0x99, 1); /* read-only */
	assert_int_equal(kit_config(&f->kit, 0, 1), 6);
}

/* The same packet, cut in every way; the tap sees one and the same. */
static void cut(struct net_kit *f, const uint32_t *parts, unsigned int nr,
		bool indirect)
{
	struct kit_buf bufs[32];
	uint8_t packet[NET_HDR_BYTES + 64], got[128];
	struct net_hdr hdr = {.flags = 0xff, .num_buffers = 7};
	struct kit_used used = {0};
	uint32_t off = 0;

	memset(packet, 0, NET_HDR_BYTES);
	net_kit_frame(packet + NET_HDR_BYTES, 64, 0x5a);
	for (unsigned int i = 0; i < nr; i++) {
		bufs[i] = (struct kit_buf){kit_alloc(&f->kit, parts[i]),
					   parts[i], false};
		memcpy(kit_hva(&f->kit, bufs[i].gpa, parts[i]), packet + off,
		       parts[i]);
		off += parts[i];
	}
	assert_int_equal(off, sizeof(packet));
	if (indirect)
		(void)kit_add_indirect(&f->kit, NET_QUEUE_TX, bufs, nr);
	else
		(void)kit_add(&f->kit, NET_QUEUE_TX, bufs, nr);
	kick(f);
	assert_true(kit_used(&f->kit, NET_QUEUE_TX, &used));
	assert_int_equal(used.len, 0);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
	assert_memory_equal(&hdr, &plain, sizeof(hdr));
	assert_memory_equal(got, packet + NET_HDR_BYTES, 64);
}

static void chains_cut_in_every_way(void **state)
{
	static const uint32_t one[] = {76};
	static const uint32_t header_alone[] = {12, 64};
	static const uint32_t in_header[] = {5, 7, 64};
	static const uint32_t across[] = {5, 71};
	static const uint32_t behind[] = {13, 63};
	static const uint32_t crumbs[] = {1, 1, 1, 1, 1, 1, 1, 1,
					  1, 1, 1, 1, 1, 1, 1, 61};
	struct net_kit *f = *state;

	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 32);
	for (int indirect = 0; indirect < 2; indirect++) {
		cut(f, one, ARRAY_SIZE(one), indirect);
		cut(f, header_alone, ARRAY_SIZE(header_alone), indirect);
		cut(f, in_header, ARRAY_SIZE(in_header), indirect);
		cut(f, across, ARRAY_SIZE(across), indirect);
		cut(f, behind, ARRAY_SIZE(behind), indirect);
		cut(f, crumbs, ARRAY_SIZE(crumbs), indirect);
	}
	assert_int_equal(f->net->metrics.tx_packets_count, 12);
	assert_int_equal(f->net->metrics.tx_bytes_count, 12 * 64);
	assert_int_equal(f->net->metrics.tap_write_fails, 0);
}

/* Send @hdr with a frame of 100 bytes. Return: whether the tap got it. */
static bool passes(struct net_kit *f, const struct net_hdr *hdr,
		   struct net_hdr *seen)
{
	uint8_t got[256];
	uint64_t malformed = f->net->metrics.tx_malformed_frames;
	size_t len;

	(void)net_kit_send(f, hdr, 100, 1);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 1);
	len = net_kit_take(f, seen, got, sizeof(got));
	assert_int_equal(f->net->metrics.tx_malformed_frames - malformed,
			 len == 0);
	return len > 0;
}

/* A TCP segment to cut: flags, type, header length, segment size. */
#define GSO(flags_, type_, hdr_len_, size_) \
	{.flags = (flags_),                 \
	 .gso_type = (type_),               \
	 .hdr_len = (hdr_len_),             \
	 .gso_size = (size_),               \
	 .csum_start = 34,                  \
	 .csum_offset = 16}

/* D4: the offload header is the guest's word only. */
static void test_d4_header(void **state)
{
	static const struct {
		struct net_hdr hdr;
		uint64_t features;
		bool good;
	} rows[] = {
		{{.flags = 1, .csum_start = 34, .csum_offset = 16},
		 NET_F_CSUM,
		 true},
		{{.flags = 1, .csum_start = 34, .csum_offset = 16}, 0, false},
		{{.flags = 1, .csum_start = 98, .csum_offset = 0},
		 NET_F_CSUM,
		 true},
		{{.flags = 1, .csum_start = 99, .csum_offset = 0},
		 NET_F_CSUM,
		 false},
		{{.flags = 1, .csum_start = 0, .csum_offset = 99},
		 NET_F_CSUM,
		 false},
		{{.flags = 1, .csum_start = 65535, .csum_offset = 65535},
		 NET_F_CSUM,
		 false},
		{{.csum_start = 65535, .csum_offset = 65535}, 0, true},
		{{.flags = 0xfe}, 0, true}, /* unknown flags: ignored */
		{GSO(1, 1, 54, 40), TX_FEATURES, true},
		{GSO(1, 1, 54, 40), NET_F_CSUM, false},
		{GSO(1, 1, 54, 40), NET_F_CSUM | NET_F_HOST_TSO6, false},
		{GSO(0, 1, 54, 40), TX_FEATURES, false},
		{GSO(1, 1, 54, 0), TX_FEATURES, false},
		{GSO(1, 1, 65535, 40), TX_FEATURES, true},
		{GSO(1, 0x81, 54, 40), TX_FEATURES, true},
		{GSO(1, 0x81, 54, 40), TX_FEATURES & ~NET_F_HOST_ECN, false},
		{GSO(1, 4, 54, 40), TX_FEATURES, true},
		{GSO(1, 4, 54, 40), TX_FEATURES & ~NET_F_HOST_TSO6, false},
		{GSO(1, 3, 54, 40), TX_FEATURES, true},
		{GSO(1, 3, 54, 40), TX_FEATURES & ~NET_F_HOST_UFO, false},
		{GSO(1, 0x83, 54, 40), TX_FEATURES, false},
		{GSO(1, 5, 54, 40), TX_FEATURES, true},
		{GSO(1, 5, 54, 40), TX_FEATURES & ~NET_F_HOST_USO, false},
		{GSO(1, 2, 54, 40), TX_FEATURES, false},
		{GSO(1, 6, 54, 40), TX_FEATURES, false},
		{GSO(1, 0x80, 54, 40), TX_FEATURES, false},
		{GSO(1, 0x7f, 54, 40), TX_FEATURES, false},
		{GSO(1, 0xff, 54, 40), TX_FEATURES, false},
		{{.hdr_len = 65535, .gso_size = 9}, 0, true}, /* no GSO */
	};
	struct net_kit *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_hdr seen = {0};

		kit_start(&f->kit, rows[i].features, 16);
		if (passes(f, &rows[i].hdr, &seen) != rows[i].good)
			fail_msg("row %zu", i);
		/* What the tap gets never points behind the frame. */
		assert_in_range(seen.flags, 0, 1);
		assert_in_range(seen.hdr_len, 0, 100);
		assert_int_equal(seen.num_buffers, 0);
	}
}

/* D3: too long is dropped and counted, whatever its sum. */
static void test_d3_oversize(void **state)
{
	static uint8_t got[2 * NET_MAX_FRAME];
	struct net_kit *f = *state;
	struct kit_buf bufs[17];
	struct net_hdr hdr;

	kit_start(&f->kit, 0, 32);
	(void)net_kit_send(f, &plain, NET_MAX_FRAME, 1);
	(void)net_kit_send(f, &plain, NET_MAX_FRAME + 1, 2);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 2);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)),
			 NET_MAX_FRAME);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 0);
	assert_int_equal(f->net->metrics.tx_malformed_frames, 1);
	/* 4 GiB - 16 bytes: the largest sum that there is; and one more. */
	for (unsigned int i = 0; i < 17; i++)
		bufs[i] = (struct kit_buf){PAGE_SIZE, MIB(15), false};
	(void)kit_add(&f->kit, NET_QUEUE_TX, bufs, 17);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 1);
	assert_int_equal(f->net->metrics.tx_malformed_frames, 2);
	assert_int_equal(f->net->metrics.tx_packets_count, 1);
}

/* V7: a sum of lengths that overflows 32 bits. */
static void test_v7_sum_overflow(void **state)
{
	struct kit_buf *bufs = calloc(256, sizeof(*bufs));
	struct net_kit *f = *state;

	assert_non_null(bufs);
	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC, 256);
	for (unsigned int i = 0; i < 256; i++)
		bufs[i] = (struct kit_buf){0, KIT_RAM_BYTES, false};
	(void)kit_add_indirect(&f->kit, NET_QUEUE_TX, bufs, 256);
	free(bufs);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 1);
	assert_int_equal(f->net->metrics.tx_malformed_frames, 1);
}

/* V8: buffers of the wrong direction; D16: more of them than we have room. */
static void test_v8_d16_chain_shapes(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa = kit_alloc(&f->kit, 4096);
	const struct kit_buf wrong[][2] = {
		{{gpa, 100, true}, {gpa, 100, true}},
		{{gpa, 100, false}, {gpa, 100, true}},
		{{gpa, 12, false}, {gpa, 0, false}},
		{{gpa, 12, false}, {gpa, 13, false}},
		{{gpa, 0, false}, {gpa, 0, false}},
	};
	struct kit_buf *many = calloc(300, sizeof(*many));

	assert_non_null(many);
	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC, 256);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		(void)kit_add(&f->kit, NET_QUEUE_TX, wrong[i], 2);
	for (unsigned int i = 0; i < 300; i++)
		many[i] = (struct kit_buf){gpa, 1, false};
	(void)kit_add_indirect(&f->kit, NET_QUEUE_TX, many, 300);
	(void)kit_add_indirect(&f->kit, NET_QUEUE_TX, many, 256); /* good */
	free(many);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), ARRAY_SIZE(wrong) + 2);
	assert_int_equal(f->net->metrics.tx_malformed_frames,
			 ARRAY_SIZE(wrong) + 1);
	assert_int_equal(f->net->metrics.tx_packets_count, 1);
}

static void foreign_mac_is_counted_and_sent(void **state)
{
	struct net_kit *f = *state;
	uint8_t got[64];
	struct net_hdr hdr;
	gpa_t gpa = kit_alloc(&f->kit, 72);
	const struct kit_buf buf = {gpa, 72, false};

	kit_start(&f->kit, 0, 8);
	net_kit_frame((uint8_t *)kit_hva(&f->kit, gpa, 72) + 12, 60, 1);
	*((uint8_t *)kit_hva(&f->kit, gpa, 72) + 12 + 11) ^= 1;
	(void)kit_add(&f->kit, NET_QUEUE_TX, &buf, 1);
	(void)net_kit_send(f, &plain, 60, 2);
	kick(f);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 60);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 60);
	assert_int_equal(f->net->metrics.tx_spoofed_mac_count, 1);
}

/* More than a burst: all of it, in order, with few interrupts. */
static void long_queue_in_order(void **state)
{
	struct net_kit *f = *state;
	uint8_t got[128];
	struct net_hdr hdr;

	kit_start(&f->kit, 0, 256);
	for (unsigned int i = 0; i < 250; i++)
		(void)net_kit_send(f, &plain, 64, (uint8_t)i);
	/* A burst a callback, and others have their turn in between. */
	kit_kick(&f->kit, NET_QUEUE_TX);
	kit_must(loop_step(&f->kit.loop, 0) == 0);
	assert_int_equal(f->net->metrics.tx_packets_count, NET_BURST);
	kit_pump(&f->kit);
	for (unsigned int i = 0; i < 250; i++) {
		assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
		assert_int_equal(got[20], i);
	}
	assert_int_equal(used_count(f, NET_QUEUE_TX), 250);
	assert_in_range(kit_irqs(&f->kit), 1, 2);
}

/* What waits behind each frame; and a driver that writes where it may not. */
static void counters_move(void **state)
{
	struct net_kit *f = *state;
	struct net_hdr hdr = {0};

	kit_start(&f->kit, 0, 16);
	for (unsigned int i = 0; i < 3; i++)
		(void)net_kit_send(f, &hdr, 60, 1);
	kick(f);
	assert_int_equal(f->net->metrics.tx_remaining_reqs_count, 2 + 1 + 0);
	kit_set_config(&f->kit, 0, 0x99, 1);
	assert_int_equal(f->net->metrics.cfg_fails, 1);
}

static void limit(struct rate_limiter *l, uint64_t bytes, uint64_t ops,
		  uint64_t refill_ms)
{
	if (bytes)
		token_bucket_init(&l->bandwidth, bytes, 0, refill_ms, now_ns());
	if (ops)
		token_bucket_init(&l->ops, ops, 0, refill_ms, now_ns());
}

/* Refused frames stay in the queue and go when the limiter lets them. */
static void limited_frames_wait(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};
	uint8_t got[128];
	struct net_hdr hdr;

	limit(&f->net->tx.limiter, 0, 2, 100);
	kit_start(&f->kit, 0, 16);
	for (unsigned int i = 0; i < 4; i++)
		(void)net_kit_send(f, &plain, 64, (uint8_t)i);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 2);
	assert_int_equal(f->net->metrics.tx_rate_limiter_throttled, 1);
	kick(f); /* no way around */
	assert_int_equal(used_count(f, NET_QUEUE_TX), 0);
	for (unsigned int i = 2; i < 4; i++)
		assert_true(kit_wait_used(&f->kit, NET_QUEUE_TX, &used));
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
		assert_int_equal(got[20], i);
	}
	assert_true(f->net->metrics.tx_rate_limiter_event_count > 0);
}

/* A larger frame than the bucket passes when the bucket is full. */
static void frame_above_the_bucket_passes(void **state)
{
	struct net_kit *f = *state;

	limit(&f->net->tx.limiter, 100, 0, 1000);
	kit_start(&f->kit, 0, 16);
	(void)net_kit_send(f, &plain, 1500, 1);
	(void)net_kit_send(f, &plain, 1500, 2);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 1);
}

/* The peer is gone: frames are dropped and counted, buffers come back, and
 * the log says it once. */
static void write_errors_drop(void **state)
{
	const struct sink before = log_settings.out;
	int log = memfd_create("log", MFD_CLOEXEC);
	struct net_kit *f = *state;
	char text[1024] = "";

	stream_borrow(&path_direct, log, &log_settings.out);
	kit_start(&f->kit, 0, 16);
	(void)close(f->peer);
	f->peer = -1;
	for (unsigned int i = 0; i < 3; i++)
		(void)net_kit_send(f, &plain, 64, 1);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 3);
	assert_int_equal(f->net->metrics.tap_write_fails, 3);
	assert_int_equal(f->net->metrics.tx_fails, 3);
	assert_int_equal(f->net->metrics.tx_packets_count, 0);
	log_settings.out = before;
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "the tap takes no frame: "));
	assert_string_equal(strchr(text, '\n'), "\n");
	(void)close(log);
	assert_false(kit_read(&f->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
}

/* A full tap (EAGAIN) drops as well; then it goes on. */
static void full_tap_drops(void **state)
{
	static uint8_t got[NET_MAX_FRAME];
	struct net_kit *f = *state;
	struct net_hdr hdr;
	unsigned int sent = 0;

	kit_start(&f->kit, 0, 64);
	for (unsigned int i = 0; i < 60; i++)
		(void)net_kit_send(f, &plain, 60000, (uint8_t)i);
	kick(f);
	assert_int_equal(used_count(f, NET_QUEUE_TX), 60);
	while (net_kit_take(f, &hdr, got, sizeof(got)) > 0)
		sent++;
	assert_true(f->net->metrics.tap_write_fails > 0);
	assert_int_equal(f->net->metrics.tap_write_fails + sent, 60);
	(void)net_kit_send(f, &plain, 64, 9);
	kick(f);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
}

/* V1, V4: a ring that makes no sense stops the device, not the VM; a reset
 * brings it back. */
static void test_v1_v4_broken_ring(void **state)
{
	struct net_kit *f = *state;
	uint8_t got[64];
	struct net_hdr hdr;

	for (unsigned int queue = 0; queue < NET_NR_QUEUES; queue++) {
		kit_start(&f->kit, 0, 16);
		kit_avail(&f->kit, queue, 16); /* out of range */
		kit_kick(&f->kit, queue);
		kit_pump(&f->kit);
		assert_true(kit_read(&f->kit, KIT_STATUS) &
			    VIRTIO_STATUS_NEEDS_RESET);
		kit_kick(&f->kit, queue);
		kit_pump(&f->kit);
	}
	kit_start(&f->kit, 0, 16);
	(void)net_kit_send(f, &plain, 64, 1);
	kick(f);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
}

/* T3: a kick for queues that are not there. */
static void queue_not_ready(void **state)
{
	struct net_kit *f = *state;

	assert_true(kit_negotiate(&f->kit, VIRTIO_F_VERSION_1));
	kit_add_status(&f->kit, VIRTIO_STATUS_DRIVER_OK);
	kick(f);
	net_kit_inject(f, 64, 1);
	kit_pump(&f->kit);
	assert_int_equal(f->net->metrics.rx_packets_count, 0);
}

static void paused_sends_nothing(void **state)
{
	struct net_kit *f = *state;
	uint8_t got[64];
	struct net_hdr hdr;

	kit_start(&f->kit, 0, 16);
	virtio_dev_pause(&f->net->dev);
	(void)net_kit_send(f, &plain, 64, 1);
	kick(f);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 0);
	virtio_dev_resume(&f->net->dev);
	kit_pump(&f->kit);
	assert_int_equal(net_kit_take(f, &hdr, got, sizeof(got)), 64);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_net, close_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(features_and_config),
		ROW(chains_cut_in_every_way),
		ROW(test_d4_header),
		ROW(test_d3_oversize),
		ROW(test_v7_sum_overflow),
		ROW(test_v8_d16_chain_shapes),
		ROW(foreign_mac_is_counted_and_sent),
		ROW(long_queue_in_order),
		ROW(counters_move),
		ROW(limited_frames_wait),
		ROW(frame_above_the_bucket_passes),
		ROW(write_errors_drop),
		ROW(full_tap_drops),
		ROW(test_v1_v4_broken_ring),
		ROW(queue_not_ready),
		ROW(paused_sends_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
