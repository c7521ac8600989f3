// SPDX-License-Identifier: Apache-2.0
/*
 * net.c - the guest's first interface (net.h)
 */
#include "agent/net.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define INTERFACE  "eth0"
#define WAIT_STEPS 300 /* of 10 ms */
#define STEP_NS    10000000

/**
 * struct agent_net - the word, in network byte order
 */
struct agent_net {
	struct in_addr address;
	struct in_addr mask;
	struct in_addr gateway;
};

/* @len bytes of @text, as inet_pton() takes them. */
static bool agent_net_address(const char *text, size_t len,
			      struct in_addr *addr)
{
	char copy[INET_ADDRSTRLEN];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(AF_INET, copy, addr) == 1;
}

/* ADDRESS/BITS,GATEWAY */
static bool agent_net_parse(const char *word, struct agent_net *net)
{
	const char *slash = strchr(word, '/');
	unsigned long bits;
	char *comma;

	if (!slash || slash[1] < '0' || slash[1] > '9')
		return false;
	bits = strtoul(slash + 1, &comma, 10);
	if (*comma != ',' || bits < 1 || bits > 32)
		return false;
	net->mask.s_addr = htonl(~0u << (32 - bits));
	return agent_net_address(word, (size_t)(slash - word), &net->address) &&
	       agent_net_address(comma + 1, strlen(comma + 1), &net->gateway);
}

static struct sockaddr agent_net_sockaddr(struct in_addr addr)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = addr};
	struct sockaddr sa;

	memcpy(&sa, &in, sizeof(sa));
	return sa;
}

static int agent_net_set(int sock, const struct agent_net *net)
{
	struct ifreq req = {.ifr_name = INTERFACE};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};

	req.ifr_addr = agent_net_sockaddr(net->address);
	if (ioctl(sock, SIOCSIFADDR, &req) < 0)
		return -errno;
	req.ifr_netmask = agent_net_sockaddr(net->mask);
	if (ioctl(sock, SIOCSIFNETMASK, &req) < 0 ||
	    ioctl(sock, SIOCGIFFLAGS, &req) < 0)
		return -errno;
	req.ifr_flags |= IFF_UP;
	if (ioctl(sock, SIOCSIFFLAGS, &req) < 0)
		return -errno;
	route.rt_dst = agent_net_sockaddr((struct in_addr){0});
	route.rt_genmask = route.rt_dst;
	route.rt_gateway = agent_net_sockaddr(net->gateway);
	return ioctl(sock, SIOCADDRT, &route) < 0 && errno != EEXIST ? -errno
								     : 0;
}

int agent_net_up(const char *word, struct err *err)
{
	const struct timespec step = {.tv_nsec = STEP_NS};
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct agent_net net;
	int r;

	if (!agent_net_parse(word, &net))
		return err_set(err, -EINVAL,
			       "volt.net= takes ADDRESS/BITS,GATEWAY, not %s",
			       word);
	r = sock < 0 ? -errno : agent_net_set(sock, &net);
	for (int i = 0; r == -ENODEV && i < WAIT_STEPS; i++) {
		(void)nanosleep(&step, NULL);
		r = agent_net_set(sock, &net);
	}
	return r < 0 ? err_set(err, r, "no network: " INTERFACE ": %s",
			       err_name(r))
		     : 0;
}
