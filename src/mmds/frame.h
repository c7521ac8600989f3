/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame.h - frames as bytes: Ethernet, ARP, IPv4, TCP
 *
 * Reading trusts no length: what a header says must lie within what came.
 * Nothing is kept; only the pieces that the service needs are taken out.
 */
#pragma once

#include "mmds/conn.h"

#define FRAME_ETH_BYTES 14u
#define FRAME_ARP_BYTES 28u
#define FRAME_IP_BYTES  20u
#define FRAME_TCP_BYTES 20u
#define FRAME_IPV4      0x0800u
#define FRAME_ARP       0x0806u

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

enum frame_fault {
	FRAME_OK,
	FRAME_BROKEN,  /* a length, a version or a checksum is wrong */
	FRAME_UNUSUAL, /* nothing is wrong, but it is not for TCP */
};

/* Is @frame an ARP request for @address, from Ethernet and IPv4? */
bool frame_is_arp_request(const uint8_t *frame, size_t len,
			  const uint8_t address[4]);

/* The answer to an ARP request of @peer's. Return: bytes of @frame. */
size_t frame_arp_reply(uint8_t *frame, const struct mmds_peer *peer,
		       const uint8_t mac[6], const uint8_t address[4]);

/**
 * frame_read_tcp() - take the segment out of an IPv4 frame
 * @whole:	how long the frame is; @len of its bytes are there
 * @trusted:	TCP's checksum is not looked at
 * @port:	to which it goes
 *
 * A segment of which not all bytes are there is as if it ended with the last of
 * them, without FIN; its checksum cannot be wrong then, so it must be @trusted.
 */
enum frame_fault frame_read_tcp(const uint8_t *frame, size_t len, size_t whole,
				bool trusted, struct mmds_peer *from,
				uint16_t *port, struct mmds_segment *segment);

/* The frame of a segment from @port. Return: its bytes. */
size_t frame_write_tcp(uint8_t *frame, const struct mmds_peer *to,
		       const uint8_t mac[6], const uint8_t address[4],
		       uint16_t port, const struct mmds_segment *segment);
