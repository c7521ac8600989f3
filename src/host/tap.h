/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tap.h - a TAP interface with virtio-net headers
 *
 * Each frame is preceded by struct virtio_net_hdr_v1 (12 bytes), in both
 * directions, so that checksums and segmentation cross the host unfinished.
 * The descriptor is non-blocking. Source: Documentation/networking/tuntap.rst,
 * <linux/if_tun.h>.
 */
#pragma once

#include "base/err.h"

#define TAP_VNET_HDR_BYTES 12
#define TAP_NAME_MAX       15

/**
 * enum tap_offload - what the guest can take unfinished (from negotiation)
 */
enum tap_offload {
	TAP_OFFLOAD_CSUM = 1u << 0,
	TAP_OFFLOAD_TSO4 = 1u << 1,
	TAP_OFFLOAD_TSO6 = 1u << 2,
	TAP_OFFLOAD_UFO = 1u << 3,
	TAP_OFFLOAD_ECN = 1u << 4,
	TAP_OFFLOAD_USO = 1u << 5,
};

/**
 * tap_attach() - attach to an existing interface, or create one that lives as
 * long as the descriptor (needs CAP_NET_ADMIN)
 * @fd:		of /dev/net/tun: frames go through it afterwards
 * @name:	up to TAP_NAME_MAX bytes; "" lets the kernel choose one
 *
 * Others use path_open() with PATH_TAP.
 *
 * Return: 0 or -errno: -ENAMETOOLONG, -EINVAL for an interface of another kind
 * (a TUN, or one with several queues), -EBUSY when another process has it.
 */
int tap_attach(int fd, const char *name) __must_check;

/* Return: 0; -ENODEV: no interface of that name; -ENETDOWN: it is down; or
 * -errno. */
int tap_look(const char *name) __must_check;

/* True when the host kernel takes UDP segmentation (Linux 6.2). */
bool tap_has_uso(int fd);

/* Return: 0 or -errno. @offload: bits of enum tap_offload. */
int tap_set_offload(int fd, unsigned int offload) __must_check;
