/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_kit.h - a network device with a driver on one side, a socket for its tap
 *
 * A SOCK_SEQPACKET pair keeps packet boundaries as a tap does: @peer is the
 * world behind the tap, packets there begin with the virtio-net header.
 */
#pragma once

#include "dev/net.h"
#include "virtio_kit.h"

#include <sys/socket.h>

#define NET_KIT_RX_SIZE 64u

static const uint8_t net_kit_mac[NET_MAC_BYTES] = {6, 0, 0, 0, 0, 1};

struct net_kit {
	struct kit kit;
	struct net_dev *net;
	int tap;
	int peer;
};

static inline void net_kit_pair(int *tap, int *peer)
{
	const int bytes = 1 << 20;
	int fd[2];

	kit_must(socketpair(AF_UNIX,
			    SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
			    fd) == 0);
	for (unsigned int i = 0; i < 2; i++)
		(void)setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &bytes,
				 sizeof(bytes));
	*tap = fd[0];
	*peer = fd[1];
}

static inline void net_kit_open_with(struct net_kit *f,
				     struct net_params params)
{
	struct err err = {0};

	kit_open(&f->kit);
	params.name = "net n0";
	params.mem = &f->kit.mem;
	params.loop = &f->kit.loop;
	params.vhost_fd = -1;
	params.has_mac = true;
	params.has_mtu = true;
	params.mtu = 1400;
	params.uso = true;
	f->tap = params.fd;
	memcpy(params.mac, net_kit_mac, sizeof(params.mac));
	kit_must(net_new(&f->net, &params, &err) == 0);
	kit_attach(&f->kit, &f->net->dev);
}

static inline void net_kit_open_as(struct net_kit *f, int fd, struct mmds *mmds)
{
	const struct net_params params = {
		.source = mmds ? &net_source_mmds : &net_source_tap,
		.mmds = mmds,
		.fd = fd,
	};

	net_kit_open_with(f, params);
}

/* At a stream socket, whose other end is @peer, with rules or NULL. */
static inline void net_kit_open_stream(struct net_kit *f, const char *rules)
{
	struct net_params params = {
		.source = &net_source_stream,
		.rules = rules,
	};
	int fd[2];

	kit_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			    0, fd) == 0);
	params.fd = fd[0];
	f->peer = fd[1];
	net_kit_open_with(f, params);
}

static inline void net_kit_open_fd(struct net_kit *f, int fd)
{
	net_kit_open_as(f, fd, NULL);
}

static inline void net_kit_open(struct net_kit *f)
{
	int tap;

	net_kit_pair(&tap, &f->peer);
	net_kit_open_fd(f, tap);
}

static inline void net_kit_close(struct net_kit *f)
{
	kit_close(&f->kit);
	(void)close(f->tap);
	if (f->peer >= 0)
		(void)close(f->peer);
}

/* ---- frames ---- */

/* A frame of @len bytes, numbered by @tag; from our MAC. */
static inline void net_kit_frame(uint8_t *frame, uint32_t len, uint8_t tag)
{
	memset(frame, tag, len);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, net_kit_mac, 6);
	store_le16(frame + 12, 0xb588); /* 0x88b5: for experiments */
}

/* One buffer with header and frame in guest memory, made available. */
static inline uint16_t net_kit_send(struct net_kit *f,
				    const struct net_hdr *hdr, uint32_t len,
				    uint8_t tag)
{
	gpa_t gpa = kit_alloc(&f->kit, NET_HDR_BYTES + len);
	uint8_t *p = kit_hva(&f->kit, gpa, NET_HDR_BYTES + len);
	const struct kit_buf buf = {gpa, NET_HDR_BYTES + len, false};

	memcpy(p, hdr, NET_HDR_BYTES);
	net_kit_frame(p + NET_HDR_BYTES, len, tag);
	return kit_add(&f->kit, NET_QUEUE_TX, &buf, 1);
}

/* A buffer of @len bytes for the device to receive into. */
static inline gpa_t net_kit_offer(struct net_kit *f, uint32_t len)
{
	const struct kit_buf buf = {kit_alloc(&f->kit, len), len, true};

	(void)kit_add(&f->kit, NET_QUEUE_RX, &buf, 1);
	return buf.gpa;
}

/* The world sends a frame of @len bytes. */
static inline void net_kit_inject_hdr(struct net_kit *f,
				      const struct net_hdr *hdr, uint32_t len,
				      uint8_t tag)
{
	static uint8_t packet[NET_HDR_BYTES + 2 * NET_MAX_FRAME];

	memcpy(packet, hdr, NET_HDR_BYTES);
	net_kit_frame(packet + NET_HDR_BYTES, len, tag);
	kit_must(send(f->peer, packet, NET_HDR_BYTES + len, 0) ==
		 (ssize_t)(NET_HDR_BYTES + len));
}

static inline void net_kit_inject(struct net_kit *f, uint32_t len, uint8_t tag)
{
	/* A tap leaves num_buffers unwritten. */
	const struct net_hdr hdr = {.num_buffers = 0xaaaa};

	net_kit_inject_hdr(f, &hdr, len, tag);
}

/* What the world got next: its length without header, 0 for nothing. */
static inline size_t net_kit_take(struct net_kit *f, struct net_hdr *hdr,
				  uint8_t *frame, size_t size)
{
	const struct iovec iov[2] = {{hdr, NET_HDR_BYTES}, {frame, size}};
	ssize_t n = readv(f->peer, iov, 2);

	return n < (ssize_t)NET_HDR_BYTES ? 0 : (size_t)n - NET_HDR_BYTES;
}
