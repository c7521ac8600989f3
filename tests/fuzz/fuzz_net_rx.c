// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_net_rx.c - any driver receives with the network device
 *
 * The world sends packets of any length with any header. Judged: no chain is
 * returned that was not offered; what was written to them is what the counters
 * say, and no more than was sent; a header of a frame never offers the guest
 * what it did not ask for; the loop has nothing to do in the end.
 */
#include "net_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/**
 * struct totals - of one run
 * @sent:	bytes, headers included
 * @written:	bytes that the used ring tells of
 * @used, @offered: chains since the last start
 */
struct totals {
	uint64_t sent;
	uint64_t written;
	uint64_t used;
	uint64_t offered;
};

static void judge(struct net_kit *f, struct totals *t)
{
	const struct net_metrics *m = &f->net->metrics;
	struct kit_used used;

	while (kit_used(&f->kit, NET_QUEUE_RX, &used)) {
		fuzz_check(used.head < f->kit.queue[NET_QUEUE_RX].size);
		t->written += used.len;
		t->used++;
	}
	fuzz_check(t->used <= t->offered);
	fuzz_check(t->written ==
		   m->rx_bytes_count + NET_HDR_BYTES * m->rx_packets_count);
	fuzz_check(t->written <= t->sent);
	fuzz_check(m->tap_read_fails == 0);
}

static void inject(struct net_kit *f, struct fuzz_script *s, struct totals *t)
{
	uint32_t len = (uint32_t)fuzz_take(s, 2);
	struct net_hdr hdr = {
		.flags = fuzz_byte(s),
		.gso_type = fuzz_byte(s),
	};
	struct pollfd p = {.fd = f->peer, .events = POLLOUT};

	if (len & 1) /* mostly everyday frames */
		len &= 2047;
	if (poll(&p, 1, 0) < 1)
		return; /* the tap is full */
	net_kit_inject_hdr(f, &hdr, len, 0x5a);
	t->sent += NET_HDR_BYTES + len;
}

static void restart(struct net_kit *f, struct fuzz_script *s, struct totals *t)
{
	judge(f, t);
	net_fuzz_start(f, s);
	t->used = 0;
	t->offered = 0;
}

static void step(struct net_kit *f, struct fuzz_script *s, struct totals *t)
{
	switch (fuzz_byte(s) & 15) {
	case 0 ... 4:
		net_fuzz_desc(f, NET_QUEUE_RX, s);
		break;
	case 5 ... 8:
		net_fuzz_offer(f, NET_QUEUE_RX, s);
		t->offered++;
		break;
	case 9 ... 10:
		inject(f, s, t);
		break;
	case 11:
		token_bucket_init(&f->net->rx.limiter.ops, fuzz_byte(s), 0,
				  1000000, now_ns());
		break;
	case 12:
		virtio_dev_pause(&f->net->dev);
		if (virtio_dev_drain(&f->net->dev, 0) < 0)
			abort();
		break;
	case 13:
		virtio_dev_resume(&f->net->dev);
		break;
	case 14:
		restart(f, s, t);
		break;
	default:
		kit_kick(&f->kit, NET_QUEUE_RX);
		kit_pump(&f->kit);
		judge(f, t);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {data, size};
	struct totals t = {0};
	struct net_kit f;

	net_fuzz_open(&f);
	net_fuzz_start(&f, &s);
	for (unsigned int i = 0; i < NET_FUZZ_STEPS && s.left > 0; i++)
		step(&f, &s, &t);
	kit_pump(&f.kit);
	judge(&f, &t);
	net_kit_close(&f);
	return 0;
}
