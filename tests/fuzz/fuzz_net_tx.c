// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_net_tx.c - any driver sends with the network device
 *
 * Judged: every chain comes back, once and unwritten; what reaches the tap is
 * a frame of sane length whose header asks for nothing that was not negotiated
 * and points nowhere behind the frame.
 */
#include "net_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t gso_feature(uint8_t type)
{
	switch (type & 0x7f) {
	case NET_GSO_TCPV4:
		return NET_F_HOST_TSO4;
	case NET_GSO_TCPV6:
		return NET_F_HOST_TSO6;
	case NET_GSO_UDP:
		return NET_F_HOST_UFO;
	case NET_GSO_UDP_L4:
		return NET_F_HOST_USO;
	default:
		return 0;
	}
}

static void judge_frame(const struct net_kit *f, const struct net_hdr *hdr,
			size_t len)
{
	uint64_t acked = f->net->dev.acked;

	fuzz_check(len >= NET_MIN_FRAME && len <= NET_MAX_FRAME);
	fuzz_check(hdr->flags <= 1 && hdr->num_buffers == 0);
	if (hdr->flags & NET_HDR_F_NEEDS_CSUM)
		fuzz_check(acked & NET_F_CSUM &&
			   hdr->csum_start + hdr->csum_offset + 2u <= len);
	if (hdr->gso_type == NET_GSO_NONE)
		return;
	fuzz_check(acked & gso_feature(hdr->gso_type));
	fuzz_check(hdr->flags & NET_HDR_F_NEEDS_CSUM && hdr->gso_size > 0);
	fuzz_check(hdr->hdr_len <= len);
	if (hdr->gso_type & NET_GSO_ECN)
		fuzz_check(acked & NET_F_HOST_ECN);
}

static void judge(struct net_kit *f)
{
	static uint8_t frame[2 * NET_MAX_FRAME];
	struct kit_queue *q = &f->kit.queue[NET_QUEUE_TX];
	struct kit_used used;
	struct net_hdr hdr;
	size_t len;

	while ((len = net_kit_take(f, &hdr, frame, sizeof(frame))) > 0)
		judge_frame(f, &hdr, len);
	while (kit_used(&f->kit, NET_QUEUE_TX, &used))
		fuzz_check(used.head < q->size && used.len == 0);
	if (!net_fuzz_broken(f) && !f->net->dev.paused)
		fuzz_check(q->used_idx == q->avail_idx);
}

static void step(struct net_kit *f, struct fuzz_script *s)
{
	switch (fuzz_byte(s) & 15) {
	case 0 ... 5:
		net_fuzz_desc(f, NET_QUEUE_TX, s);
		break;
	case 6 ... 8:
		net_fuzz_fill(f, s);
		break;
	case 9 ... 11:
		net_fuzz_offer(f, NET_QUEUE_TX, s);
		break;
	case 12:
		virtio_dev_pause(&f->net->dev);
		break;
	case 13:
		virtio_dev_resume(&f->net->dev);
		break;
	case 14:
		net_fuzz_start(f, s);
		break;
	default:
		kit_kick(&f->kit, NET_QUEUE_TX);
		kit_pump(&f->kit);
		judge(f);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {data, size};
	struct net_kit f;

	net_fuzz_open(&f);
	net_fuzz_start(&f, &s);
	for (unsigned int i = 0; i < NET_FUZZ_STEPS && s.left > 0; i++)
		step(&f, &s);
	virtio_dev_resume(&f.net->dev);
	kit_pump(&f.kit);
	judge(&f);
	net_kit_close(&f);
	return 0;
}
