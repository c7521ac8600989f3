// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_rx.c - network device: what the guest receives
 */
#include "unit.h"

#include "net_kit.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define RX_TSO (NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6)

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
	kit_kick(&f->kit, NET_QUEUE_RX);
	kit_pump(&f->kit);
}

/* Nothing to do, although frames wait: the loop sleeps. */
static void assert_quiet(struct net_kit *f)
{
	struct pollfd p = {.fd = f->kit.loop.epoll_fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

/* The frame in one buffer at @gpa, as the guest sees it. */
static void assert_frame(struct net_kit *f, gpa_t gpa, uint32_t len,
			 uint8_t tag)
{
	uint8_t want[2048];
	struct net_hdr hdr;
	struct kit_used used = {0};

	assert_true(len <= sizeof(want));
	assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, NET_HDR_BYTES + len);
	memcpy(&hdr, kit_hva(&f->kit, gpa, sizeof(hdr)), sizeof(hdr));
	assert_int_equal(hdr.num_buffers, 1);
	net_kit_frame(want, len, tag);
	assert_memory_equal((uint8_t *)kit_hva(&f->kit, gpa, 12 + len) + 12,
			    want, len);
}

static void no_used(struct net_kit *f)
{
	struct kit_used used = {0};

	assert_false(kit_used(&f->kit, NET_QUEUE_RX, &used));
}

static void one_frame_one_buffer(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa[3];

	kit_start(&f->kit, VIRTIO_F_EVENT_IDX, 16);
	for (unsigned int i = 0; i < 3; i++)
		gpa[i] = net_kit_offer(f, 2048);
	kick(f);
	for (unsigned int i = 0; i < 3; i++)
		net_kit_inject(f, 60 + i, (uint8_t)i);
	kit_pump(&f->kit);
	assert_int_equal(kit_irqs(&f->kit), 1);
	for (unsigned int i = 0; i < 3; i++)
		assert_frame(f, gpa[i], 60 + i, (uint8_t)i);
	no_used(f);
	assert_int_equal(f->net->metrics.rx_packets_count, 3);
	assert_int_equal(f->net->metrics.rx_bytes_count, 60 + 61 + 62);
}

/* One frame over several chains: all of them at once, the count in the first.
 * @cut: size of each buffer. */
static void merge(struct net_kit *f, uint32_t cut, uint32_t len)
{
	uint32_t total = len + NET_HDR_BYTES, off = 0;
	unsigned int nr = (total + cut - 1) / cut;
	uint8_t *got = calloc(1, total), *want = calloc(1, total);
	gpa_t *gpa = calloc(nr, sizeof(*gpa));
	struct kit_used used = {0};

	assert_true(got && want && gpa);
	kit_start(&f->kit, NET_F_MRG_RXBUF, 256);
	for (unsigned int i = 0; i < nr; i++)
		gpa[i] = net_kit_offer(f, cut);
	kick(f);
	net_kit_inject(f, len, 7);
	/* With less than an everyday frame's room it waits for more first. */
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	for (unsigned int i = 0;; i++) {
		memcpy(got + off, kit_hva(&f->kit, gpa[i], used.len), used.len);
		off += used.len;
		if (off == total)
			break;
		assert_int_equal(used.len, cut);
		assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	}
	no_used(f);
	assert_int_equal(load_le16(got + 10), nr);
	net_kit_frame(want, len, 7);
	assert_memory_equal(got + NET_HDR_BYTES, want, len);
	free(got);
	free(want);
	free(gpa);
}

static void merged_buffers(void **state)
{
	struct net_kit *f = *state;

	merge(f, 2048, 1514);
	merge(f, 512, 1514);
	merge(f, 512, 1024 - 12); /* fills its buffers to the last byte */
	merge(f, 11, 100);        /* the header itself is cut */
	merge(f, 1, 14);
	merge(f, 1536, 65000);
	merge(f, 300, 65550);
	assert_int_equal(f->net->metrics.rx_fails, 0);
}

/* Without MRG_RXBUF: a chain of many buffers, or the frame is dropped. */
static void large_chain_without_merging(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa = kit_alloc(&f->kit, KIB(68));
	struct kit_buf bufs[18] = {{gpa, NET_HDR_BYTES, true}};
	struct kit_used used = {0};
	gpa_t small;

	kit_start(&f->kit, RX_TSO | VIRTIO_F_INDIRECT_DESC, 32);
	for (unsigned int i = 1; i < 18; i++)
		bufs[i] = (struct kit_buf){
			gpa + NET_HDR_BYTES + (i - 1) * 4000ull, 4000, true};
	(void)kit_add_indirect(&f->kit, NET_QUEUE_RX, bufs, 18);
	small = net_kit_offer(f, 2048);
	kick(f);
	net_kit_inject(f, 65000, 3);
	net_kit_inject(f, 65000, 4); /* does not fit the second chain */
	net_kit_inject(f, 100, 5);
	kit_pump(&f->kit);
	assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 65012);
	assert_int_equal(kit_get16(&f->kit, gpa + 10), 1);
	assert_frame(f, small, 100, 5);
	no_used(f);
	assert_int_equal(f->net->metrics.rx_fails, 1);
}

/* Exactly full is not too much; one byte more is. */
static void exact_fit(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa;

	kit_start(&f->kit, 0, 16);
	gpa = net_kit_offer(f, 112);
	kick(f);
	net_kit_inject(f, 101, 1);
	net_kit_inject(f, 100, 2);
	kit_pump(&f->kit);
	assert_frame(f, gpa, 100, 2);
	assert_int_equal(f->net->metrics.rx_fails, 1);
}

/* D1, D2: no buffers and a flood: the loop sleeps; buffers, and all goes on. */
static void test_d1_d2_starved(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa[4];

	for (int event_idx = 0; event_idx < 2; event_idx++) {
		kit_start(&f->kit, event_idx ? VIRTIO_F_EVENT_IDX : 0, 16);
		kit_pump(&f->kit);
		for (unsigned int i = 0; i < 4; i++)
			net_kit_inject(f, 100, (uint8_t)i);
		kit_pump(&f->kit);
		assert_quiet(f);
		assert_true(f->net->metrics.no_rx_avail_buffer > 0);
		kit_kick(&f->kit, NET_QUEUE_TX); /* not for us: no spin */
		kit_pump(&f->kit);
		assert_quiet(f);
		for (unsigned int i = 0; i < 4; i++) {
			gpa[i] = net_kit_offer(f, 2048);
			kick(f);
			assert_frame(f, gpa[i], 100, (uint8_t)i);
		}
	}
}

/* Less than the longest frame needs: what fits comes at once, the rest waits
 * for buffers. */
static void few_buffers_do(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};

	kit_start(&f->kit, RX_TSO | NET_F_MRG_RXBUF, 256);
	(void)net_kit_offer(f, 2048);
	net_kit_inject(f, 100, 1);
	kick(f);
	assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	for (unsigned int i = 0; i < 29; i++)
		(void)net_kit_offer(f, 2048);
	kick(f);
	net_kit_inject(f, 60000, 2);
	net_kit_inject(f, 100, 3);
	kit_pump(&f->kit);
	assert_int_equal(f->net->rx.state, NET_RX_LATE);
	for (unsigned int i = 0; i < 2; i++)
		(void)net_kit_offer(f, 2048);
	kick(f);
	for (unsigned int i = 0; i < 31; i++)
		assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 112);
	assert_int_equal(f->net->metrics.rx_fails, 0);
}

/* All buffers that a driver has, less than the longest frame would need: no
 * frame waits for a timer, whatever part of them is with the driver. */
static void small_rings_wait_for_nothing(void **state)
{
	static const unsigned int nr[] = {1, 2, 16, 32};
	struct net_kit *f = *state;

	for (size_t row = 0; row < 2 * ARRAY_SIZE(nr); row++) {
		unsigned int buffers = nr[row / 2];
		struct kit_buf bufs[32];
		struct kit_used used = {0};

		/* As large as the ring, or a part of it. */
		kit_start(&f->kit,
			  RX_TSO | NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX,
			  row % 2 ? 64 : (uint16_t)buffers);
		for (unsigned int i = 0; i < buffers; i++) {
			bufs[i] = (struct kit_buf){kit_alloc(&f->kit, 2048),
						   2048, true};
			(void)kit_add(&f->kit, NET_QUEUE_RX, &bufs[i], 1);
		}
		kick(f);
		for (unsigned int i = 0; i < 300; i++) {
			net_kit_inject(f, 1000, (uint8_t)i);
			kit_pump(&f->kit);
			assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
			assert_int_equal(used.len, 1012);
			(void)kit_add(&f->kit, NET_QUEUE_RX, &bufs[i % buffers],
				      1);
			kick(f);
		}
	}
}

/* A frame that does not fit yet is whole when it does, late or not. */
static void late_frames_are_kept(void **state)
{
	struct net_kit *f = *state;
	const uint32_t len = 9000, total = len + NET_HDR_BYTES;
	struct kit_used used = {0};
	static uint8_t want[9000];
	gpa_t gpa[23];

	kit_start(&f->kit, NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX, 64);
	for (unsigned int i = 0; i < 5; i++)
		gpa[i] = net_kit_offer(f, 400);
	net_kit_inject(f, len, 9);
	net_kit_inject(f, 100, 10);
	kick(f);
	for (unsigned int i = 5; i < 23; i++) {
		assert_int_equal(f->net->rx.state, NET_RX_LATE);
		assert_quiet(f);
		no_used(f);
		gpa[i] = net_kit_offer(f, 400);
		kick(f);
	}
	net_kit_frame(want, len, 9);
	for (uint32_t off = 0, i = 0; off < total; off += used.len, i++) {
		uint32_t skip = i == 0 ? NET_HDR_BYTES : 0;

		assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
		assert_memory_equal(
			(uint8_t *)kit_hva(&f->kit, gpa[i], used.len) + skip,
			want + (off + skip - NET_HDR_BYTES), used.len - skip);
	}
	assert_int_equal(kit_get16(&f->kit, gpa[0] + 10), 23);
	assert_int_equal(f->net->metrics.rx_fails, 0);
	gpa[0] = net_kit_offer(f, 2048);
	kick(f);
	assert_frame(f, gpa[0], 100, 10);
}

/* The last of a burst is late: buffers and a kick are enough, the tap need not
 * have another frame. */
static void late_at_the_end_of_a_burst(void **state)
{
	struct net_kit *f = *state;

	for (unsigned int small = NET_BURST - 3; small < NET_BURST + 3;
	     small++) {
		struct kit_used used = {0};
		unsigned int got = 0;

		kit_start(&f->kit, NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX, 256);
		kit_pump(&f->kit);
		for (unsigned int i = 0; i < small; i++)
			net_kit_inject(f, 100, 1);
		net_kit_inject(f, 6000, 2); /* 3 buffers: there are 2 */
		for (unsigned int i = 0; i < small + 2; i++)
			(void)net_kit_offer(f, 2048);
		kick(f);
		while (kit_used(&f->kit, NET_QUEUE_RX, &used))
			got++;
		assert_int_equal(got, small);
		assert_int_equal(f->net->rx.state, NET_RX_LATE);
		(void)net_kit_offer(f, 2048);
		kick(f);
		for (unsigned int i = 0; i < 3; i++)
			assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	}
}

/* A pause drops it: it is nobody's afterwards. */
static void late_frame_and_drain(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};

	kit_start(&f->kit, NET_F_MRG_RXBUF, 64);
	for (unsigned int i = 0; i < 5; i++)
		(void)net_kit_offer(f, 400);
	net_kit_inject(f, 9000, 9);
	net_kit_inject(f, 1500, 10);
	kick(f);
	assert_int_equal(f->net->rx.state, NET_RX_LATE);
	virtio_dev_pause(&f->net->dev);
	assert_int_equal(virtio_dev_drain(&f->net->dev, 0), 0);
	assert_int_equal(f->net->dev.queue[NET_QUEUE_RX].next_avail, 0);
	virtio_dev_resume(&f->net->dev);
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 400);
	assert_int_equal(f->net->metrics.rx_fails, 1);
}

/* D2: buffers of one byte, more of them than there is room for here. */
static void test_d2_crumbs(void **state)
{
	struct net_kit *f = *state;
	struct kit_buf *bufs = calloc(256, sizeof(*bufs));
	gpa_t gpa = kit_alloc(&f->kit, 5ull * 256);
	struct kit_used used = {0};

	assert_non_null(bufs);
	kit_start(&f->kit, NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC, 256);
	for (unsigned int i = 0; i < 5; i++) {
		for (unsigned int k = 0; k < 256; k++)
			bufs[k] = (struct kit_buf){gpa++, 1, true};
		(void)kit_add_indirect(&f->kit, NET_QUEUE_RX, bufs, 256);
	}
	free(bufs);
	net_kit_inject(f, 1400, 1); /* too long for what we can hold */
	net_kit_inject(f, 300, 2);
	kick(f);
	assert_quiet(f);
	assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 256);
	assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 56);
	assert_int_equal(f->net->metrics.rx_fails, 1);
}

/* V8: chains that nothing can be received into come back. */
static void test_v8_wrong_direction(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa = kit_alloc(&f->kit, 2048);
	const struct kit_buf wrong[][2] = {
		{{gpa, 100, false}, {gpa, 1000, true}},
		{{gpa, 100, false}, {gpa, 100, false}},
		{{gpa, 0, true}, {gpa, 0, true}},
	};
	struct kit_used used = {0};
	gpa_t good;

	kit_start(&f->kit, NET_F_MRG_RXBUF, 16);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		(void)kit_add(&f->kit, NET_QUEUE_RX, wrong[i], 2);
	good = net_kit_offer(f, 2048);
	kick(f);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
		assert_int_equal(used.len, 0);
	}
	net_kit_inject(f, 64, 1);
	kit_pump(&f->kit);
	assert_frame(f, good, 64, 1);
	assert_int_equal(f->net->metrics.rx_fails, 3);
}

/* Runts, and offloads that the guest did not ask for. */
static void unsuitable_frames_are_dropped(void **state)
{
	static const struct net_hdr unsuitable[] = {
		{.flags = NET_HDR_F_NEEDS_CSUM},
		{.gso_type = NET_GSO_TCPV4},
		{.gso_type = NET_GSO_TCPV6 | NET_GSO_ECN},
		{.gso_type = NET_GSO_UDP},
		{.gso_type = NET_GSO_UDP_L4},
		{.gso_type = 0x7f},
	};
	struct net_kit *f = *state;
	gpa_t gpa;

	kit_start(&f->kit, 0, 16);
	gpa = net_kit_offer(f, 2048);
	kick(f);
	for (size_t i = 0; i < ARRAY_SIZE(unsuitable); i++)
		net_kit_inject_hdr(f, &unsuitable[i], 100, 1);
	kit_must(send(f->peer, "short", 5, 0) == 5);
	net_kit_inject(f, 100, 2);
	kit_pump(&f->kit);
	assert_frame(f, gpa, 100, 2);
	assert_int_equal(f->net->metrics.rx_fails, ARRAY_SIZE(unsuitable) + 1);
}

/* 5.1.6.4.1: a driver without GUEST_CSUM gets no flags, whatever the tap says;
 * and bits of features that nobody offered never show. */
static void flags_are_those_of_features(void **state)
{
	static const struct {
		uint64_t feature;
		uint8_t sent;
		uint8_t seen;
	} rows[] = {
		{0, NET_HDR_F_DATA_VALID, 0},
		{0, 0xfe, 0},
		{NET_F_GUEST_CSUM, NET_HDR_F_DATA_VALID, NET_HDR_F_DATA_VALID},
		{NET_F_GUEST_CSUM, NET_HDR_F_NEEDS_CSUM, NET_HDR_F_NEEDS_CSUM},
		{NET_F_GUEST_CSUM, 0xff,
		 NET_HDR_F_NEEDS_CSUM | NET_HDR_F_DATA_VALID},
	};
	struct net_kit *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct net_hdr hdr = {.flags = rows[i].sent};
		struct kit_used used = {0};
		gpa_t gpa;

		kit_start(&f->kit, rows[i].feature, 16);
		gpa = net_kit_offer(f, 2048);
		kick(f);
		net_kit_inject_hdr(f, &hdr, 100, 1);
		kit_pump(&f->kit);
		assert_true(kit_used(&f->kit, NET_QUEUE_RX, &used));
		memcpy(&hdr, kit_hva(&f->kit, gpa, sizeof(hdr)), sizeof(hdr));
		assert_int_equal(hdr.flags, rows[i].seen);
	}
}

static void limit_ops(struct net_kit *f, uint64_t ops, uint64_t refill_ms)
{
	token_bucket_init(&f->net->rx.limiter.ops, ops, 0, refill_ms, now_ns());
}

/* The frame that the limiter refuses is late, not lost. */
static void limited_frames_wait(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};
	gpa_t gpa[4];

	limit_ops(f, 2, 100);
	kit_start(&f->kit, 0, 16);
	for (unsigned int i = 0; i < 4; i++)
		gpa[i] = net_kit_offer(f, 2048);
	for (unsigned int i = 0; i < 4; i++)
		net_kit_inject(f, 100, (uint8_t)i);
	kick(f);
	assert_frame(f, gpa[0], 100, 0);
	assert_frame(f, gpa[1], 100, 1);
	no_used(f);
	assert_quiet(f);
	kick(f); /* no way around */
	no_used(f);
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	for (unsigned int i = 2; i < 4; i++)
		assert_int_equal(*(uint8_t *)kit_hva(&f->kit, gpa[i] + 40, 1),
				 i);
	assert_true(f->net->metrics.rx_rate_limiter_throttled > 0);
	assert_true(f->net->metrics.rx_event_rate_limiter_count > 0);
}

/* For a snapshot the waiting frame is shown and held chains go back. */
static void drain_keeps_everything(void **state)
{
	struct net_kit *f = *state;
	struct virtq *q = &f->net->dev.queue[NET_QUEUE_RX];
	gpa_t gpa[4];

	limit_ops(f, 1, 100000);
	kit_start(&f->kit, NET_F_MRG_RXBUF, 16);
	for (unsigned int i = 0; i < 4; i++)
		gpa[i] = net_kit_offer(f, 2048);
	net_kit_inject(f, 100, 1);
	net_kit_inject(f, 100, 2);
	kick(f);
	assert_frame(f, gpa[0], 100, 1);
	no_used(f);
	virtio_dev_pause(&f->net->dev);
	assert_int_equal(q->next_avail, 4);
	assert_int_equal(virtio_dev_drain(&f->net->dev, 0), 0);
	assert_int_equal(q->next_avail, 2);
	assert_int_equal(q->next_used, 2);
	assert_frame(f, gpa[1], 100, 2);
	token_bucket_init(&f->net->rx.limiter.ops, 0, 0, 0, now_ns());
	rate_limiter_changed(&f->net->rx.limiter);
	virtio_dev_resume(&f->net->dev);
	net_kit_inject(f, 100, 3);
	while (q->next_used < 3)
		kit_must(loop_step(&f->kit.loop, 1000) == 0);
	assert_frame(f, gpa[2], 100, 3);
}

/* V15: a reset while chains are held and a frame waits. */
static void test_v15_reset_forgets(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};

	limit_ops(f, 1, 100);
	kit_start(&f->kit, NET_F_MRG_RXBUF, 16);
	(void)net_kit_offer(f, 2048);
	(void)net_kit_offer(f, 2048);
	net_kit_inject(f, 100, 1);
	net_kit_inject(f, 100, 2);
	kick(f);
	kit_write(&f->kit, KIT_STATUS, 0);
	net_kit_inject(f, 100, 3);
	kit_pump(&f->kit);
	kit_start(&f->kit, NET_F_MRG_RXBUF, 16);
	(void)net_kit_offer(f, 2048);
	kick(f);
	/* The second frame went with the reset; the third is for the new. */
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.head, 0);
	assert_int_equal(used.len, 112);
}

/* Not running: nothing is read, and nothing spins. */
static void paused_reads_nothing(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa;

	kit_start(&f->kit, 0, 16);
	gpa = net_kit_offer(f, 2048);
	kick(f);
	virtio_dev_pause(&f->net->dev);
	net_kit_inject(f, 100, 1);
	kit_pump(&f->kit);
	assert_quiet(f);
	no_used(f);
	virtio_dev_resume(&f->net->dev);
	kit_pump(&f->kit);
	assert_frame(f, gpa, 100, 1);
	kit_write(&f->kit, KIT_STATUS, 0);
	net_kit_inject(f, 100, 2);
	kit_pump(&f->kit);
	assert_quiet(f);
}

/* Reading fails: quiet, counted, tried again; what was behind it works on. */
static void read_errors_heal(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};
	int tap;

	kit_start(&f->kit, 0, 16);
	(void)net_kit_offer(f, 2048);
	kick(f);
	(void)close(f->peer);
	kit_pump(&f->kit);
	assert_quiet(f);
	assert_int_equal(f->net->metrics.tap_read_fails, 1);
	assert_int_equal(f->net->rx.state, NET_RX_DOWN);
	kick(f);
	assert_int_equal(f->net->metrics.tap_read_fails, 1);
	net_kit_pair(&tap, &f->peer);
	kit_must(dup2(tap, f->tap) == f->tap);
	(void)close(tap);
	net_kit_inject(f, 100, 1);
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 112);
}

/* The same while no descriptor can be had. */
static void heals_without_descriptors(void **state)
{
	struct net_kit *f = *state;
	struct kit_used used = {0};
	struct rlimit old, none;
	int tap, peer;

	kit_start(&f->kit, 0, 16);
	(void)net_kit_offer(f, 2048);
	kick(f);
	net_kit_pair(&tap, &peer);
	kit_must(getrlimit(RLIMIT_NOFILE, &old) == 0);
	none = old;
	none.rlim_cur = 1; /* and that is in use */
	kit_must(setrlimit(RLIMIT_NOFILE, &none) == 0);
	(void)close(f->peer);
	kit_pump(&f->kit);
	kit_must(setrlimit(RLIMIT_NOFILE, &old) == 0);
	assert_int_equal(f->net->rx.state, NET_RX_DOWN);
	f->peer = peer;
	kit_must(dup2(tap, f->tap) == f->tap);
	(void)close(tap);
	net_kit_inject(f, 100, 1);
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
}

/* D9: an error in the middle of a frame: it is lost and counted, the frames
 * around it come exactly once. */
static void test_d9_partial_read(void **state)
{
	struct net_kit *f = *state;
	gpa_t gpa, page;
	struct kit_buf bufs[2];
	struct kit_used used = {0};

	kit_start(&f->kit, 0, 16);
	gpa = kit_alloc(&f->kit, 3ull * PAGE_SIZE);
	page = align_down(gpa + PAGE_SIZE, PAGE_SIZE);
	bufs[0] = (struct kit_buf){gpa, 50, true};
	bufs[1] = (struct kit_buf){page, 2000, true};
	(void)kit_add(&f->kit, NET_QUEUE_RX, bufs, 2);
	kick(f);
	kit_must(mprotect(kit_hva(&f->kit, page, PAGE_SIZE), PAGE_SIZE,
			  PROT_NONE) == 0);
	net_kit_inject(f, 200, 1);
	net_kit_inject(f, 200, 2);
	kit_pump(&f->kit);
	no_used(f);
	assert_int_equal(f->net->metrics.tap_read_fails, 1);
	kit_must(mprotect(kit_hva(&f->kit, page, PAGE_SIZE), PAGE_SIZE,
			  PROT_READ | PROT_WRITE) == 0);
	assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
	assert_int_equal(used.len, 212);
	assert_int_equal(*(uint8_t *)kit_hva(&f->kit, page, 1), 2);
	net_kit_offer(f, 2048);
	kick(f);
	no_used(f);
}

/* A burst a callback, whatever the tap has. */
static void bursts_have_an_end(void **state)
{
	struct net_kit *f = *state;

	kit_start(&f->kit, 0, 256);
	for (unsigned int i = 0; i < 250; i++)
		(void)net_kit_offer(f, 2048);
	kick(f);
	for (unsigned int i = 0; i < 250; i++)
		net_kit_inject(f, 100, 1);
	kit_must(loop_step(&f->kit.loop, 0) == 0);
	assert_int_equal(f->net->metrics.rx_packets_count, NET_BURST);
	kit_pump(&f->kit);
	assert_int_equal(f->net->metrics.rx_packets_count, 250);
}

/* Many frames through few buffers, used and offered again, in order. */
static void long_stream_in_order(void **state)
{
	struct net_kit *f = *state;
	struct kit_buf bufs[32];
	struct kit_used used = {0};
	unsigned int sent = 0, got = 0;

	kit_start(&f->kit, NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX, 32);
	for (unsigned int i = 0; i < 32; i++) {
		bufs[i] =
			(struct kit_buf){kit_alloc(&f->kit, 2048), 2048, true};
		(void)kit_add(&f->kit, NET_QUEUE_RX, &bufs[i], 1);
	}
	kick(f);
	while (got < 5000) {
		while (sent < 5000 && sent - got < 40) {
			net_kit_inject(f, 60 + sent % 1400, (uint8_t)sent);
			sent++;
		}
		assert_true(kit_wait_used(&f->kit, NET_QUEUE_RX, &used));
		assert_int_equal(used.head, got % 32);
		assert_int_equal(used.len, 72 + got % 1400);
		assert_int_equal(*(uint8_t *)kit_hva(
					 &f->kit, bufs[got % 32].gpa + 30, 1),
				 got & 0xff);
		(void)kit_add(&f->kit, NET_QUEUE_RX, &bufs[got % 32], 1);
		kit_kick(&f->kit, NET_QUEUE_RX);
		got++;
	}
	assert_int_equal(f->net->metrics.rx_fails, 0);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, open_net, close_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(one_frame_one_buffer),
		ROW(merged_buffers),
		ROW(large_chain_without_merging),
		ROW(exact_fit),
		ROW(test_d1_d2_starved),
		ROW(late_frames_are_kept),
		ROW(late_frame_and_drain),
		ROW(late_at_the_end_of_a_burst),
		ROW(few_buffers_do),
		ROW(small_rings_wait_for_nothing),
		ROW(test_d2_crumbs),
		ROW(test_v8_wrong_direction),
		ROW(unsuitable_frames_are_dropped),
		ROW(flags_are_those_of_features),
		ROW(limited_frames_wait),
		ROW(drain_keeps_everything),
		ROW(test_v15_reset_forgets),
		ROW(paused_reads_nothing),
		ROW(read_errors_heal),
		ROW(heals_without_descriptors),
		ROW(test_d9_partial_read),
		ROW(bursts_have_an_end),
		ROW(long_stream_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
