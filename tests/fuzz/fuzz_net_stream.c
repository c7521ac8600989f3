// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_net_stream.c - any peer at the stream of a network device, any driver,
 * any rules
 *
 * The script's first bytes are rules. Judged: what the guest is given are
 * frames that the peer sent, by their bytes in all; what the peer gets are
 * whole frames of sane length which the rules let go; each chain that is sent
 * comes back, or waits for the peer; a driver that does nothing wrong finds no
 * broken device.
 */
#include "net_fuzz.h"

#include "dev/net_stream.h"

#define RULES_BYTES 40u
#define FRAME_BYTES 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/**
 * struct totals - of one run
 * @rules:	what the device has, or NULL
 * @sent, @given:	bytes of the peer, and in receive buffers
 * @got:	the start of a frame that the peer waits for the rest of
 */
struct totals {
	struct ip_rules *rules;
	uint64_t sent;
	uint64_t given;
	size_t len;
	uint8_t got[2 * NET_MAX_PACKET];
};

static void judge_received(struct net_kit *f, struct totals *t)
{
	struct kit_used used;

	while (kit_used(&f->kit, NET_QUEUE_RX, &used))
		t->given += used.len;
	fuzz_check(t->given <=
		   t->sent + NET_HDR_BYTES * f->net->metrics.rx_packets_count);
}

/* Whole frames are judged and taken out. */
static void judge_sent(struct net_kit *f, struct totals *t)
{
	ssize_t n;

	while ((n = recv(f->peer, t->got + t->len, sizeof(t->got) - t->len,
			 MSG_DONTWAIT)) > 0) {
		size_t at = 0;

		t->len += (size_t)n;
		while (t->len - at >= 4) {
			size_t len = (size_t)t->got[at] << 24 |
				     (size_t)t->got[at + 1] << 16 |
				     (size_t)t->got[at + 2] << 8 |
				     t->got[at + 3];

			fuzz_check(len >= NET_MIN_FRAME &&
				   len <= NET_MAX_FRAME);
			if (t->len - at < 4 + len)
				break;
			fuzz_check(net_stream_lets_go(t->rules, t->got + at + 4,
						      len));
			at += 4 + len;
		}
		t->len -= at;
		memmove(t->got, t->got + at, t->len);
		kit_pump(&f->kit);
	}
}

static void judge(struct net_kit *f, struct totals *t)
{
	struct kit_queue *q = &f->kit.queue[NET_QUEUE_TX];
	struct kit_used used;

	judge_received(f, t);
	judge_sent(f, t);
	while (kit_used(&f->kit, NET_QUEUE_TX, &used))
		fuzz_check(used.head < q->size && used.len == 0);
	if (!net_fuzz_broken(f) && !f->net->dev.paused)
		fuzz_check(q->used_idx == q->avail_idx);
}

/* A frame of IP, whose bytes the script changes. */
static void guest_sends(struct net_kit *f, struct fuzz_script *s)
{
	uint32_t len = NET_MIN_FRAME + fuzz_byte(s);
	gpa_t gpa = MIB(1) + (fuzz_take(s, 2) << 3);
	const struct kit_buf buf = {gpa, NET_HDR_BYTES + len, false};
	uint8_t *p = kit_hva(&f->kit, gpa, NET_HDR_BYTES + len);

	memset(p, 0, NET_HDR_BYTES + len);
	p += NET_HDR_BYTES + 12;
	p[0] = 0x08;
	p[2] = 0x45;
	for (unsigned int left = fuzz_byte(s) & 31; left > 0; left--)
		p[fuzz_byte(s) % (len - 12)] = fuzz_byte(s);
	(void)kit_add(&f->kit, NET_QUEUE_TX, &buf, 1);
}

static void peer_sends(struct net_kit *f, struct fuzz_script *s,
		       struct totals *t)
{
	uint8_t bytes[4 + FRAME_BYTES] = {0};
	bool framed = fuzz_byte(s) & 1;
	uint8_t len = fuzz_byte(s);
	ssize_t n;

	if (framed)
		bytes[3] = len;
	else
		for (unsigned int i = 0; i < len; i++)
			bytes[i] = fuzz_byte(s);
	n = send(f->peer, bytes, framed ? 4u + len : len,
		 MSG_DONTWAIT | MSG_NOSIGNAL);
	t->sent += n > 0 ? (uint64_t)n : 0;
}

static void guest_offers(struct net_kit *f, struct fuzz_script *s)
{
	const struct kit_buf buf = {MIB(1) + (fuzz_take(s, 2) << 3),
				    64 + (uint32_t)(fuzz_byte(s) << 3), true};

	(void)kit_add(&f->kit, NET_QUEUE_RX, &buf, 1);
}

static void step(struct net_kit *f, struct fuzz_script *s, struct totals *t)
{
	switch (fuzz_byte(s) & 15) {
	case 0 ... 3:
		guest_sends(f, s);
		break;
	case 4 ... 6:
		guest_offers(f, s);
		break;
	case 7 ... 9:
		peer_sends(f, s, t);
		break;
	case 10:
		virtio_dev_pause(&f->net->dev);
		if (virtio_dev_drain(&f->net->dev, 0) < 0)
			abort();
		break;
	case 11:
		virtio_dev_resume(&f->net->dev);
		break;
	case 12:
		judge_received(f, t);
		net_fuzz_start(f, s);
		break;
	case 13:
		(void)shutdown(f->peer, fuzz_byte(s) & 1 ? SHUT_WR : SHUT_RD);
		break;
	default:
		kit_kick(&f->kit, NET_QUEUE_TX);
		kit_kick(&f->kit, NET_QUEUE_RX);
		kit_pump(&f->kit);
		judge(f, t);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct totals t;
	struct fuzz_script s = {data, size};
	char text[RULES_BYTES + 1] = {0};
	struct net_kit f = {0};
	bool ruled;

	memset(&t, 0, sizeof(t));
	log_settings.level = LOG_OFF;
	for (unsigned int i = 0; i < RULES_BYTES; i++)
		text[i] = (char)fuzz_byte(&s);
	ruled = ip_rules_new(text, &t.rules, NULL) == 0;
	net_kit_open_stream(&f, ruled ? text : NULL);
	net_fuzz_start(&f, &s);
	for (unsigned int i = 0; i < NET_FUZZ_STEPS && s.left > 0; i++)
		step(&f, &s, &t);
	virtio_dev_resume(&f.net->dev);
	kit_pump(&f.kit);
	judge(&f, &t);
	net_kit_close(&f);
	ip_rules_free(t.rules);
	return 0;
}
