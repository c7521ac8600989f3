/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netecho.c - guest: a network card with an address that answers
 *
 * It answers ARP and ICMP echo, and sends every UDP datagram back to where it
 * came from, offload header included: a checksum that the host left open stays
 * open, 64 KiB that it did not cut go back in one piece. A datagram to port 9
 * ends it.
 *
 * Command line: `ip=` (default 10.0.0.2), `features=` (a number, all of them
 * by default), `buffer=` bytes of a receive buffer (default 2048), `irq` to
 * sleep between frames, `starve=` 10^9 TSC ticks without a receive buffer at
 * first, `patience=` times the usual wait for a frame (default 1).
 */
#include "net.h"

enum {
	VECTOR = 0x51,
	SIZE = 64,
	PORT_STOP = 9,
	ETH = 14,
	IP = 20,
};

static struct virtio *net;
static uint64_t rx_memory, rx_bytes;
static uint8_t *packet; /* header and frame, in one piece */
static uint8_t mac[6], ip[4];
static uint64_t patience;
static uint64_t nr_frames, nr_merged, nr_large, nr_open;

static uint8_t *frame(void)
{
	return packet + NET_HDR;
}

static unsigned int be16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	while (len--) {
		uint8_t byte = *a;

		*a++ = *b;
		*b++ = byte;
	}
}

/* Buffer @i of the receive queue, whose head is @i as well. */
static void offer(unsigned int i)
{
	virtq_put(net->queue[NET_RX].desc, i, rx_memory + i * rx_bytes,
		  (uint32_t)rx_bytes, VIRTQ_WRITE, 0);
	virtq_offer(&net->queue[NET_RX], (uint16_t)i);
}

/* Append a used buffer to the packet, and give it back. */
static size_t gather(size_t have, const struct virtq_used *used)
{
	if (have + used->len <= NET_MAX)
		memcpy(packet + have,
		       (const void *)(rx_memory + used->head * rx_bytes),
		       used->len);
	offer(used->head);
	return have + used->len;
}

/* The next packet. Return: its bytes, or 0 when none comes. */
static size_t receive(void)
{
	struct virtq *q = &net->queue[NET_RX];
	struct virtq_used used;
	uint64_t tries;
	unsigned int left;
	size_t len;

	for (tries = patience; !virtq_wait(q, &used); tries--)
		if (tries <= 1)
			return 0;
	len = gather(0, &used);
	left = ((const struct net_hdr *)packet)->num_buffers - 1u;
	nr_merged += left > 0;
	while (left-- > 0) {
		/* All buffers of a frame are shown at once. */
		if (!virtq_used(q, &used)) {
			check(false, "all-buffers-at-once");
			return 0;
		}
		len = gather(len, &used);
	}
	virtq_kick(q);
	nr_frames++;
	nr_large += len > NET_HDR + 9100;
	nr_open += ((const struct net_hdr *)packet)->flags & 1;
	return len;
}

static void send(size_t len)
{
	struct virtio_buf bufs[2] = {
		{(uint64_t)packet, NET_HDR, false},
		{(uint64_t)frame(), (uint32_t)len - NET_HDR, false},
	};
	struct virtq *q = &net->queue[NET_TX];
	struct virtq_used used;

	((struct net_hdr *)packet)->num_buffers = 0;
	memcpy(frame(), frame() + 6, 6);
	memcpy(frame() + 6, mac, 6);
	virtq_add(q, bufs, 2);
	virtq_kick(q);
	if (!virtq_wait(q, &used) || used.len)
		check(false, "sent");
}

static bool answer_arp(void)
{
	uint8_t *arp = frame() + ETH;

	if (be16(frame() + 12) != 0x0806 || be16(arp + 6) != 1 ||
	    memcmp(arp + 24, ip, 4))
		return false;
	arp[7] = 2;
	memcpy(arp + 18, arp + 8, 10); /* the asker is the target now */
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, ip, 4);
	return true;
}

static bool answer_icmp(uint8_t *icmp)
{
	unsigned int sum;

	if (icmp[0] != 8)
		return false;
	icmp[0] = 0;
	sum = be16(icmp + 2) + 0x0800;
	sum = (sum & 0xffff) + (sum >> 16);
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
	return true;
}

/* Return: whether the packet is an answer now; *@stop at the end. */
static bool answer(size_t len, bool *stop)
{
	uint8_t *header = frame() + ETH;
	uint8_t *body = header + IP;

	if (len < NET_HDR + ETH + IP + 8)
		return false;
	if (answer_arp())
		return true;
	if (be16(frame() + 12) != 0x0800 || header[0] != 0x45 ||
	    memcmp(header + 16, ip, 4))
		return false;
	swap(header + 12, header + 16, 4);
	if (header[9] == 1)
		return answer_icmp(body);
	if (header[9] != 17)
		return false;
	*stop = be16(body + 2) == PORT_STOP;
	swap(body, body + 2, 2);
	return true;
}

static void parse_ip(void)
{
	const char *p = cmdline_get("ip");
	unsigned int i = 0;

	ip[0] = 10;
	ip[3] = 2;
	if (!p)
		return;
	memset(ip, 0, 4);
	for (; *p && *p != ' ' && i < 4; p++) {
		if (*p == '.')
			i++;
		else
			ip[i] = (uint8_t)(ip[i] * 10 + (*p - '0'));
	}
}

static void starve(void)
{
	uint64_t ticks = cmdline_num("starve", 0) * 1000000000ULL;
	uint64_t begin = tsc_read();

	if (!ticks)
		return;
	print("starving\n");
	while (tsc_read() - begin < ticks)
		cpu_pause();
}

static void start(void)
{
	uint64_t features = cmdline_num("features", ~0ULL);
	unsigned int i;

	check(virtio_start(net, features, SIZE), "start");
	check(virtio_read(net, NET_CONFIG_STATUS & ~3) >> 16 & 1, "link-up");
	for (i = 0; i < 6; i++)
		mac[i] = read8(net->base + VIRTIO_R_CONFIG + i);
	print("# mac %x:%x:%x:%x:%x:%x mtu %u features 0x%lx\n", mac[0], mac[1],
	      mac[2], mac[3], mac[4], mac[5],
	      read16(net->base + NET_CONFIG_MTU), net->features);
	if (cmdline_has("irq")) {
		lapic_init();
		virtio_use_irq(net, VECTOR);
	}
	starve();
	for (i = 0; i < SIZE; i++)
		offer(i);
	virtq_kick(&net->queue[NET_RX]);
}

void guest_main(void)
{
	bool stop = false;
	size_t len = 1;

	net = virtio_find(VIRTIO_NET, 0);
	check(net, "found");
	if (!net)
		return;
	parse_ip();
	patience = cmdline_num("patience", 1);
	rx_bytes = cmdline_num("buffer", 2048);
	rx_memory = virtio_alloc(SIZE * rx_bytes);
	packet = (uint8_t *)virtio_alloc(NET_MAX);
	start();
	print("listening\n");
	while (!stop && len) {
		len = receive();
		if (len && answer(len, &stop) && !stop)
			send(len);
	}
	check(stop, "stopped-by-the-host");
	print("# frames %lu merged %lu large %lu open %lu\n", nr_frames,
	      nr_merged, nr_large, nr_open);
}
