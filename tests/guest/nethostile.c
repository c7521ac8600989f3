/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nethostile.c - guest: a driver of the network card that means harm
 *
 * All malformed chains of malformed.h on both queues, offload headers that
 * lie, frames too long and too short, rings that make no sense, resets with
 * buffers in flight.
 *
 * Command line: `vhost` when the host's kernel serves the queues. It returns
 * no malformed chain but gives its queue up, so each costs a reset; and it
 * looks at receive buffers only when it has a frame: the host has to send some.
 */
#include "malformed.h"
#include "net.h"

enum {
	SIZE = 256,
	FRAME = 100,
};

static struct virtio *net;
static uint64_t buffer, table, big;

static uint64_t ram_end(void)
{
	uint64_t end = 0;
	unsigned int i;

	for (i = 0; i < machine.nr_e820; i++)
		if (machine.e820[i].type == E820_RAM &&
		    machine.e820[i].addr < HOLE_START &&
		    machine.e820[i].addr + machine.e820[i].size > end)
			end = machine.e820[i].addr + machine.e820[i].size;
	return end;
}

/* Return: whether the chain came back at once, unwritten. */
static bool send_chain(const struct virtio_buf *bufs, unsigned int nr)
{
	struct virtq *q = &net->queue[NET_TX];
	struct virtq_used used;
	uint16_t head = virtq_add(q, bufs, nr);

	virtq_kick(q);
	return virtq_wait(q, &used) && used.head == head && used.len == 0;
}

static void make_frame(const struct net_hdr *hdr)
{
	uint8_t *p = (uint8_t *)buffer;

	memset(p, 0, NET_HDR + FRAME);
	memcpy(p, hdr, NET_HDR);
	memset(p + NET_HDR, 0xff, 6);
	p[NET_HDR + 6] = 6;
	p[NET_HDR + 12] = 0x88;
	p[NET_HDR + 13] = 0xb5;
}

static bool works(void)
{
	const struct virtio_buf buf = {buffer, NET_HDR + FRAME, false};
	struct net_hdr hdr = {0};

	make_frame(&hdr);
	return send_chain(&buf, 1);
}

static bool restart(uint64_t features)
{
	return virtio_start(net, features, SIZE) && works();
}

static void check_chains(unsigned int index, const char *name)
{
	struct virtq *q = &net->queue[index];
	const struct mal_world w = {
		.desc = (struct mal_desc *)q->desc,
		.table = (struct mal_desc *)table,
		.table_addr = table,
		.buffer = buffer,
		.ram_end = ram_end(),
		.window = net->base,
		.size = SIZE,
	};
	struct mal_chain chain;
	struct virtq_used used;
	unsigned int n, refused = 0;

	for (n = 0; mal_make(&w, (uint16_t)(n * 7 % SIZE), n, &chain); n++) {
		virtq_offer(q, chain.head);
		virtq_kick(q);
		if (virtq_wait(q, &used) && used.head == chain.head &&
		    used.len == 0)
			refused++;
		else
			print("# chain %u (%s) was not refused\n", n,
			      chain.fault);
	}
	check_info(name, refused == n && n >= 400, refused, n);
	check_eq("status", virtio_read(net, VIRTIO_R_STATUS), 0xf);
}

/* D4: they are dropped or harmless; the frame comes back and all goes on. */
static void check_headers(uint64_t features)
{
	static const uint8_t types[] = {0,    1,    2,    3,    4,   5,
					0x7f, 0x80, 0x81, 0x84, 0xff};
	static const uint16_t edges[] = {0, 14, 34, 97, 98, 99, 65534, 65535};
	const struct virtio_buf buf = {buffer, NET_HDR + FRAME, false};
	unsigned int i, n = 0, back = 0;

	check(restart(features), "headers-start");
	for (i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(edges) * 4; i++) {
		struct net_hdr hdr = {
			.flags = (uint8_t)(i & 1 ? 1 : 0xfe),
			.gso_type = types[i / 4 % ARRAY_SIZE(types)],
			.hdr_len = (uint16_t)(i & 2 ? 65535 : 54),
			.gso_size = (uint16_t)(i % 3 ? 1 : 0),
			.csum_start = edges[i / 44 % ARRAY_SIZE(edges)],
			.csum_offset = edges[i / 7 % ARRAY_SIZE(edges)],
		};

		make_frame(&hdr);
		n++;
		back += send_chain(&buf, 1);
	}
	check_eq("headers-come-back", back, n);
	check(works(), "headers-works-after");
}

/* D3 and its like: frames that are too long, too short, or for the device to
 * write. */
static void check_lengths(void)
{
	const struct virtio_buf shapes[][2] = {
		{{buffer, NET_HDR, false}, {big, 65551, false}},
		{{buffer, NET_HDR, false}, {big, 1 << 20, false}},
		{{buffer, NET_HDR, false}, {0, 0x7000000, false}},
		{{buffer, NET_HDR, false}, {big, 13, false}},
		{{buffer, NET_HDR, false}, {big, 0, false}},
		{{buffer, 5, false}, {big, 6, false}},
		{{buffer, 0, false}, {big, 0, false}},
		{{buffer, NET_HDR + FRAME, false}, {big, 1, true}},
		{{buffer, NET_HDR, true}, {big, FRAME, true}},
	};
	static struct virtio_buf many[SIZE];
	unsigned int i, back = 0;

	check(restart(VIRTIO_F_INDIRECT), "lengths-start");
	for (i = 0; i < ARRAY_SIZE(shapes); i++)
		back += send_chain(shapes[i], 2);
	check_eq("lengths-come-back", back, ARRAY_SIZE(shapes));
	/* 256 times 16 MiB: the sum is 2^32. */
	for (i = 0; i < SIZE; i++)
		many[i] = (struct virtio_buf){0, 1 << 24, false};
	check(send_chain(many, SIZE), "lengths-overflow");
	for (i = 0; i < SIZE; i++)
		many[i] = (struct virtio_buf){buffer, 1, false};
	check(send_chain(many, SIZE), "lengths-crumbs");
	check(works(), "lengths-works-after");
}

static bool needs_reset(void)
{
	uint64_t start = tsc_read();

	while (!(virtio_read(net, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET))
		if (tsc_read() - start > VIRTIO_TIMEOUT)
			return false;
	return true;
}

static void check_rings(void)
{
	unsigned int i, asked = 0;

	for (i = 0; i < 8; i++) {
		struct virtq *q = &net->queue[i & 1];

		if (i & 2)
			write16(q->avail + 2,
				(uint16_t)(q->avail_idx + SIZE + 1));
		else
			virtq_offer(q, (uint16_t)(i & 4 ? SIZE : 65535));
		virtq_kick(q);
		asked += needs_reset();
		if (!restart(0))
			break;
	}
	check_eq("rings-need-reset", asked, 8);
}

/* Receive buffers in flight, the same one many times, and a reset. */
static void check_resets(void)
{
	unsigned int i, k, failed = 0;

	for (i = 0; i < 20; i++) {
		struct virtq *q = &net->queue[NET_RX];

		virtq_put(q->desc, 0, big, 65536, VIRTQ_WRITE, 0);
		for (k = 0; k < SIZE; k++)
			virtq_offer(q, 0);
		virtq_kick(q);
		failed += !works();
		virtio_write(net, VIRTIO_R_STATUS, 0);
		failed += !restart(i & 1 ? NET_F_MRG_RXBUF : ~0ULL);
	}
	check_eq("resets", failed, 0);
}

/* Return: the chain came back, or the device has given up. */
static bool is_settled(struct virtq *q)
{
	uint64_t begin = tsc_read();
	struct virtq_used used;

	while (!virtq_used(q, &used) &&
	       !(virtio_read(net, VIRTIO_R_STATUS) & VIRTIO_S_NEEDS_RESET))
		if (tsc_read() - begin > VIRTIO_TIMEOUT)
			return false;
	return true;
}

/* The kernel sends some of them, in part; after none is the device lost. */
static void check_vhost_chains(void)
{
	struct virtq *q = &net->queue[NET_TX];
	struct mal_chain chain;
	unsigned int n, tried = 0, settled = 0, resets = 0;

	for (n = 0;; n += 7) {
		const struct mal_world w = {
			.desc = (struct mal_desc *)q->desc,
			.table = (struct mal_desc *)table,
			.table_addr = table,
			.buffer = buffer,
			.ram_end = ram_end(),
			.window = net->base,
			.size = SIZE,
		};

		if (!mal_make(&w, (uint16_t)(n % SIZE), n, &chain))
			break;
		tried++;
		virtq_offer(q, chain.head);
		virtq_kick(q);
		settled += is_settled(q);
		resets += virtio_read(net, VIRTIO_R_STATUS) >> 6 & 1;
		if (!restart(VIRTIO_F_INDIRECT)) {
			print("# chain %u (%s) was the last\n", n, chain.fault);
			break;
		}
	}
	check_info("vhost-chains", settled == tried && tried >= 50, settled,
		   tried);
	check_info("vhost-chains-need-reset", resets > 40, resets, tried);
}

static void be_hostile(void)
{
	if (cmdline_has("vhost")) {
		check_vhost_chains();
		return;
	}
	check_chains(NET_TX, "chains-to-send");
	check_chains(NET_RX, "chains-to-receive");
	check_headers(~0ULL);
	check_headers(0);
	check_lengths();
}

void guest_main(void)
{
	net = virtio_find(VIRTIO_NET, 0);
	check(net, "found");
	if (!net)
		return;
	buffer = virtio_alloc(4096);
	table = virtio_alloc(2 * 4096);
	big = virtio_alloc(1 << 20);
	check(restart(VIRTIO_F_INDIRECT), "start");
	be_hostile();
	check_rings();
	check_resets();
}
