/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - what guests with a network card share: numbers and a header
 */
#pragma once

#include "virtio.h"

enum {
	NET_RX,
	NET_TX,
	NET_HDR = 12,
	NET_MAX = 12 + 65550,
	NET_CONFIG_STATUS = VIRTIO_R_CONFIG + 6,
	NET_CONFIG_MTU = VIRTIO_R_CONFIG + 10,
};

#define NET_F_CSUM       (1ULL << 0)
#define NET_F_GUEST_CSUM (1ULL << 1)
#define NET_F_MAC        (1ULL << 5)
#define NET_F_GUEST_TSO4 (1ULL << 7)
#define NET_F_HOST_TSO4  (1ULL << 11)
#define NET_F_MRG_RXBUF  (1ULL << 15)
#define NET_F_STATUS     (1ULL << 16)
#define NET_F_GUEST_USO4 (1ULL << 54)
#define NET_F_GUEST_USO6 (1ULL << 55)
#define NET_F_HOST_USO   (1ULL << 56)

struct net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};
