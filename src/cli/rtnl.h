/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnl.h - network interfaces, IPv4 addresses and routes, by rtnetlink
 *
 * Theory of operation: each request is one message on one socket, with an
 * acknowledgement asked for, and its answer is read before the next one is
 * sent; dumps (the each functions) are read to their end. Not sysfs, because
 * a mounted /sys shows the network namespace of whoever mounted it. Not libmnl:
 * `volt` is one static file, and Debian has that library as a shared one only.
 * Source: rtnetlink(7), Documentation/userspace-api/netlink/intro.rst.
 */
#pragma once

#include "base/err.h"

#include <net/if.h>
#include <sys/types.h>

#define RTNL_ALIAS_MAX 64

/**
 * struct rtnl - an rtnetlink socket of the current network namespace
 */
struct rtnl {
	int fd;
	uint32_t seq;
};

/**
 * struct rtnl_link - a network interface
 * @alias:	its free text (cut to RTNL_ALIAS_MAX), empty when it has none
 * @carrier:	of a tap: a process is attached
 * @owner:	of a tap: uid, or -1
 */
struct rtnl_link {
	int index;
	char name[IF_NAMESIZE];
	char alias[RTNL_ALIAS_MAX];
	uint32_t mtu;
	bool up;
	bool carrier;
	bool is_tap;
	int64_t owner;
};

/**
 * struct rtnl_change - what to set of a link
 * @alias:	NULL leaves it
 * @mtu:	0 leaves it
 */
struct rtnl_change {
	const char *alias;
	uint32_t mtu;
	bool up;
};

/**
 * struct rtnl_addr - an IPv4 address of an interface, in host byte order
 */
struct rtnl_addr {
	int index;
	uint32_t addr;
	unsigned int prefix;
};

/**
 * struct rtnl_route - where packets go, to an IPv4 network, in host byte order
 * @own:	to this host itself: an address of its, or a broadcast
 */
struct rtnl_route {
	uint32_t to;
	unsigned int bits;
	bool own;
};

/* Called for each object of a dump; less than 0 ends it and is returned. */
typedef int (*rtnl_link_fn)(const struct rtnl_link *link, void *arg);
typedef int (*rtnl_addr_fn)(const struct rtnl_addr *addr, void *arg);
typedef int (*rtnl_route_fn)(const struct rtnl_route *route, void *arg);

/* Return: 0, or -errno with a sentence. */
int rtnl_open(struct rtnl *nl, struct err *err) __must_check;
void rtnl_close(struct rtnl *nl);

/* Return: 0, or -ENODEV without a sentence when there is no such link. */
int rtnl_get_link(struct rtnl *nl, const char *name,
		  struct rtnl_link *link) __must_check;

/* Return: 0, or -errno of the kernel's answer. */
int rtnl_set_link(struct rtnl *nl, int index,
		  const struct rtnl_change *change) __must_check;
int rtnl_del_link(struct rtnl *nl, int index) __must_check;
int rtnl_add_addr(struct rtnl *nl, const struct rtnl_addr *addr) __must_check;
int rtnl_del_addr(struct rtnl *nl, const struct rtnl_addr *addr) __must_check;

/* Return: 0; what @fn returned, when that ended it; -errno. */
int rtnl_each_link(struct rtnl *nl, rtnl_link_fn fn, void *arg) __must_check;
int rtnl_each_addr(struct rtnl *nl, rtnl_addr_fn fn, void *arg) __must_check;
int rtnl_each_route(struct rtnl *nl, rtnl_route_fn fn, void *arg) __must_check;
