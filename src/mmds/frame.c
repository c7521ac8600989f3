// SPDX-License-Identifier: Apache-2.0
/*
 * frame.c - frames as bytes (frame.h)
 */
#include "mmds/frame.h"

#define IP_PROTO_TCP  6u
#define IP_DONT_SPLIT 0x4000u
#define IP_SPLIT_MASK 0x3fffu /* more follow, or it is not the first */
#define IP_TTL        64u
#define TCP_OPT_END   0u
#define TCP_OPT_NOP   1u
#define TCP_OPT_MSS   2u
#define MSS_OPT_BYTES 4u

static void store_be16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void store_be32(uint8_t *p, uint32_t v)
{
	store_be16(p, v >> 16);
	store_be16(p + 2, v & 0xffff);
}

/* RFC 1071, of several pieces: an odd one only at the end. */
static uint32_t frame_sum(uint32_t sum, const uint8_t *data, size_t len)
{
	for (; len > 1; len -= 2, data += 2)
		sum += load_be16(data);
	return len ? sum + ((uint32_t)data[0] << 8) : sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum > 0xffff)
		sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

/* TCP's checksum: @ip is its header, @len are the bytes of the segment. */
static uint16_t tcp_sum(const uint8_t *ip, const uint8_t *tcp, size_t len)
{
	uint32_t sum = IP_PROTO_TCP + (uint32_t)len;

	return sum_fold(frame_sum(frame_sum(sum, ip + 12, 8), tcp, len));
}

static void write_eth(uint8_t *frame, const struct mmds_peer *to,
		      const uint8_t *mac, unsigned int type)
{
	memcpy(frame, to->mac, 6);
	memcpy(frame + 6, mac, 6);
	store_be16(frame + 12, type);
}

bool frame_is_arp_request(const uint8_t *frame, size_t len,
			  const uint8_t address[4])
{
	/* Ethernet, IPv4, their lengths, and "request" (RFC 826). */
	static const uint8_t request[] = {0, 1, 8, 0, 6, 4, 0, 1};
	const uint8_t *arp = frame + FRAME_ETH_BYTES;

	return len >= FRAME_ETH_BYTES + FRAME_ARP_BYTES &&
	       load_be16(frame + 12) == FRAME_ARP &&
	       memcmp(arp, request, sizeof(request)) == 0 &&
	       memcmp(arp + 24, address, 4) == 0;
}

size_t frame_arp_reply(uint8_t *frame, const struct mmds_peer *peer,
		       const uint8_t mac[6], const uint8_t address[4])
{
	static const uint8_t reply[] = {0, 1, 8, 0, 6, 4, 0, 2};
	uint8_t *arp = frame + FRAME_ETH_BYTES;

	write_eth(frame, peer, mac, FRAME_ARP);
	memcpy(arp, reply, sizeof(reply));
	memcpy(arp + 8, mac, 6);
	memcpy(arp + 14, address, 4);
	memcpy(arp + 18, peer->mac, 6);
	memcpy(arp + 24, peer->address, 4);
	return FRAME_ETH_BYTES + FRAME_ARP_BYTES;
}

/* The value of the option; 0 when there is none. */
static uint16_t read_mss(const uint8_t *at, size_t len)
{
	while (len > 1 && at[0] != TCP_OPT_END) {
		size_t n = at[0] == TCP_OPT_NOP ? 1 : at[1];

		if (n == 0 || n > len)
			break;
		if (at[0] == TCP_OPT_MSS && n == MSS_OPT_BYTES)
			return load_be16(at + 2);
		at += n;
		len -= n;
	}
	return 0;
}

/* The header at @tcp, of which @there bytes are there and @len in all. */
static enum frame_fault read_tcp_header(const uint8_t *tcp, size_t there,
					size_t len, struct mmds_peer *from,
					uint16_t *port,
					struct mmds_segment *segment)
{
	size_t head;

	if (there < FRAME_TCP_BYTES)
		return FRAME_BROKEN;
	head = (size_t)(tcp[12] >> 4) * 4;
	if (head < FRAME_TCP_BYTES || head > there)
		return FRAME_BROKEN;
	from->port = load_be16(tcp);
	*port = load_be16(tcp + 2);
	*segment = (struct mmds_segment){
		.seq = load_be32(tcp + 4),
		.ack = load_be32(tcp + 8),
		.flags = tcp[13] &
			 (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK),
		.window = load_be16(tcp + 14),
		.data = tcp + head,
		.len = there - head,
	};
	if (there < len)
		segment->flags &= (uint8_t)~TCP_FIN;
	if (segment->flags & TCP_SYN)
		segment->mss =
			read_mss(tcp + FRAME_TCP_BYTES, head - FRAME_TCP_BYTES);
	return FRAME_OK;
}

enum frame_fault frame_read_tcp(const uint8_t *frame, size_t len, size_t whole,
				bool trusted, struct mmds_peer *from,
				uint16_t *port, struct mmds_segment *segment)
{
	const uint8_t *ip = frame + FRAME_ETH_BYTES;
	size_t head, total, there;

	if (len < FRAME_ETH_BYTES + FRAME_IP_BYTES || ip[0] >> 4 != 4)
		return FRAME_BROKEN;
	head = (size_t)(ip[0] & 15) * 4;
	total = load_be16(ip + 2);
	if (head < FRAME_IP_BYTES || total < head ||
	    total > whole - FRAME_ETH_BYTES || head > len - FRAME_ETH_BYTES ||
	    sum_fold(frame_sum(0, ip, head)) != 0)
		return FRAME_BROKEN;
	if (ip[9] != IP_PROTO_TCP || load_be16(ip + 6) & IP_SPLIT_MASK)
		return FRAME_UNUSUAL;
	there = len - FRAME_ETH_BYTES < total ? len - FRAME_ETH_BYTES : total;
	if (!trusted &&
	    (there < total || tcp_sum(ip, ip + head, total - head) != 0))
		return FRAME_BROKEN;
	memcpy(from->mac, frame + 6, 6);
	memcpy(from->address, ip + 12, 4);
	return read_tcp_header(ip + head, there - head, total - head, from,
			       port, segment);
}

static size_t write_tcp_header(uint8_t *tcp, uint16_t from, uint16_t to,
			       const struct mmds_segment *segment)
{
	size_t head = FRAME_TCP_BYTES + (segment->mss ? MSS_OPT_BYTES : 0);

	memset(tcp, 0, head);
	store_be16(tcp, from);
	store_be16(tcp + 2, to);
	store_be32(tcp + 4, segment->seq);
	store_be32(tcp + 8, segment->ack);
	tcp[12] = (uint8_t)(head / 4 << 4);
	tcp[13] = segment->flags;
	store_be16(tcp + 14, segment->window);
	if (segment->mss) {
		tcp[20] = TCP_OPT_MSS;
		tcp[21] = MSS_OPT_BYTES;
		store_be16(tcp + 22, segment->mss);
	}
	return head;
}

size_t frame_write_tcp(uint8_t *frame, const struct mmds_peer *to,
		       const uint8_t mac[6], const uint8_t address[4],
		       uint16_t port, const struct mmds_segment *segment)
{
	uint8_t *ip = frame + FRAME_ETH_BYTES;
	uint8_t *tcp = ip + FRAME_IP_BYTES;
	size_t len = write_tcp_header(tcp, port, to->port, segment);

	if (segment->len > 0)
		memcpy(tcp + len, segment->data, segment->len);
	len += segment->len;
	write_eth(frame, to, mac, FRAME_IPV4);
	memset(ip, 0, FRAME_IP_BYTES);
	ip[0] = 4 << 4 | FRAME_IP_BYTES / 4;
	store_be16(ip + 2, (unsigned int)(FRAME_IP_BYTES + len));
	store_be16(ip + 6, IP_DONT_SPLIT);
	ip[8] = IP_TTL;
	ip[9] = IP_PROTO_TCP;
	memcpy(ip + 12, address, 4);
	memcpy(ip + 16, to->address, 4);
	store_be16(ip + 10, sum_fold(frame_sum(0, ip, FRAME_IP_BYTES)));
	store_be16(tcp + 16, tcp_sum(ip, tcp, len));
	return FRAME_ETH_BYTES + FRAME_IP_BYTES + len;
}
