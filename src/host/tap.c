// SPDX-License-Identifier: Apache-2.0
/*
 * tap.c - a TAP interface with virtio-net headers
 */
#include "host/tap.h"

#include "base/fd.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Since Linux 6.2; the UAPI headers of Debian 12 are older. */
#define TAP_F_USO4 0x20u
#define TAP_F_USO6 0x40u

static_assert(TAP_NAME_MAX == IFNAMSIZ - 1, "interface names");

int tap_attach(int fd, const char *name)
{
	struct ifreq ifr = {
		.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR,
	};
	size_t len = strnlen(name, TAP_NAME_MAX + 1);
	int header = TAP_VNET_HDR_BYTES;

	if (len > TAP_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(ifr.ifr_name, name, len);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return -errno;
	return 0;
}

int tap_look(const char *name)
{
	cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len = strnlen(name, TAP_NAME_MAX + 1);
	struct ifreq ifr = {0};

	if (len > TAP_NAME_MAX)
		return -ENAMETOOLONG;
	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, len);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	return ifr.ifr_flags & IFF_UP ? 0 : -ENETDOWN;
}

static unsigned int kernel_bits(unsigned int offload)
{
	unsigned int bits = 0;

	if (offload & TAP_OFFLOAD_CSUM)
		bits |= TUN_F_CSUM;
	if (offload & TAP_OFFLOAD_TSO4)
		bits |= TUN_F_TSO4;
	if (offload & TAP_OFFLOAD_TSO6)
		bits |= TUN_F_TSO6;
	if (offload & TAP_OFFLOAD_UFO)
		bits |= TUN_F_UFO;
	if (offload & TAP_OFFLOAD_ECN)
		bits |= TUN_F_TSO_ECN;
	if (offload & TAP_OFFLOAD_USO)
		bits |= TAP_F_USO4 | TAP_F_USO6;
	return bits;
}

bool tap_has_uso(int fd)
{
	/* The flags stay in force only until tap_set_offload() is called. */
	return ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TAP_F_USO4 | TAP_F_USO6) ==
	       0;
}

int tap_set_offload(int fd, unsigned int offload)
{
	if (ioctl(fd, TUNSETOFFLOAD, kernel_bits(offload)) < 0)
		return -errno;
	return 0;
}
