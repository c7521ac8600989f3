// SPDX-License-Identifier: Apache-2.0
/*
 * net_guard.c - which frames of the guest's go to a stream (net_stream.h)
 *
 * The destination stands in the fixed part of either header, whatever options
 * and extensions follow. A port is only believed where it is sure to be one.
 */
#include "dev/net_stream.h"

#include "mmds/frame.h"

#include <netinet/in.h>

#define IPV6          0x86ddu
#define IPV6_BYTES    40u
#define IPV4_OFFSET   0x1fffu
#define PORTS_BYTES   4u
#define IPV4_PROTO_AT 9u
#define IPV4_TO_AT    16u
#define IPV6_NEXT_AT  6u
#define IPV6_TO_AT    24u
#define VERSION_SHIFT 4u
#define IPV4_WORDS    15u

/* Of the header behind @at; 0: it has none. */
static uint16_t guard_port(uint8_t proto, const uint8_t *p, size_t len,
			   size_t at)
{
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) ||
	    len < at + PORTS_BYTES)
		return 0;
	return load_be16(p + at + 2);
}

static bool guard_ipv4(const struct ip_rules *rules, const uint8_t *p,
		       size_t len)
{
	struct ip_packet packet = {.to = p + IPV4_TO_AT};
	size_t head;

	if (len < FRAME_IP_BYTES || p[0] >> VERSION_SHIFT != 4)
		return false;
	head = (size_t)(p[0] & IPV4_WORDS) * 4;
	if (head < FRAME_IP_BYTES)
		return false;
	if (!(load_be16(p + 6) & IPV4_OFFSET))
		packet.port = guard_port(p[IPV4_PROTO_AT], p, len, head);
	return ip_rules_pass(rules, &packet);
}

static bool guard_ipv6(const struct ip_rules *rules, const uint8_t *p,
		       size_t len)
{
	struct ip_packet packet = {.to = p + IPV6_TO_AT, .v6 = true};

	if (len < IPV6_BYTES || p[0] >> VERSION_SHIFT != 6)
		return false;
	packet.port = guard_port(p[IPV6_NEXT_AT], p, len, IPV6_BYTES);
	return ip_rules_pass(rules, &packet);
}

bool net_stream_lets_go(const struct ip_rules *rules, const uint8_t *frame,
			size_t len)
{
	if (!rules)
		return true;
	if (len < FRAME_ETH_BYTES)
		return false;
	switch (load_be16(frame + FRAME_ETH_BYTES - 2)) {
	case FRAME_ARP:
		return true;
	case FRAME_IPV4:
		return guard_ipv4(rules, frame + FRAME_ETH_BYTES,
				  len - FRAME_ETH_BYTES);
	case IPV6:
		return guard_ipv6(rules, frame + FRAME_ETH_BYTES,
				  len - FRAME_ETH_BYTES);
	default:
		return false;
	}
}
