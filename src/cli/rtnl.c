// SPDX-License-Identifier: Apache-2.0
/*
 * rtnl.c - network interfaces and their IPv4 addresses (see rtnl.h)
 */
#include "cli/rtnl.h"

#include "base/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REQUEST_MAX 512
#define ANSWER_MAX  32768

/**
 * struct request - one message under construction
 * @len:	bytes used; netlink pads each part to four
 */
struct request {
	_Alignas(NLMSG_ALIGNTO) uint8_t data[REQUEST_MAX];
	size_t len;
};

typedef int (*answer_fn)(const struct nlmsghdr *head, void *arg);

int rtnl_open(struct rtnl *nl, struct err *err)
{
	nl->seq = 0;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (nl->fd < 0)
		return err_set(err, -errno,
			       "Cannot open an rtnetlink socket: "
			       "%s",
			       err_name(errno));
	return 0;
}

void rtnl_close(struct rtnl *nl)
{
	fd_close(&nl->fd);
}

/* All requests are small and of fixed shape: they fit. */
static void rtnl_append(struct request *req, const void *data, size_t len)
{
	assert(NLMSG_ALIGN(len) <= REQUEST_MAX - req->len);
	if (len > 0)
		memcpy(req->data + req->len, data, len);
	req->len += NLMSG_ALIGN(len);
}

static void append_attr(struct request *req, unsigned short type,
			const void *data, size_t len)
{
	const struct rtattr attr = {
		.rta_len = (unsigned short)RTA_LENGTH(len),
		.rta_type = type,
	};

	rtnl_append(req, &attr, sizeof(attr));
	rtnl_append(req, data, len);
}

static void rtnl_start(struct request *req, unsigned short type,
		       unsigned int flags, const void *body, size_t len)
{
	const struct nlmsghdr head = {
		.nlmsg_type = type,
		.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags),
	};

	memset(req, 0, sizeof(*req));
	rtnl_append(req, &head, sizeof(head));
	rtnl_append(req, body, len);
}

static int rtnl_send_request(struct rtnl *nl, struct request *req)
{
	struct nlmsghdr head;

	memcpy(&head, req->data, sizeof(head));
	head.nlmsg_len = (uint32_t)req->len;
	head.nlmsg_seq = ++nl->seq;
	memcpy(req->data, &head, sizeof(head));
	return send(nl->fd, req->data, req->len, 0) < 0 ? -errno : 0;
}

/* One datagram. Return: 1 when the answer goes on, 0 at its end, or -errno. */
static int rtnl_take(struct rtnl *nl, const uint8_t *data, size_t len,
		     answer_fn fn, void *arg)
{
	struct nlmsghdr head;
	struct nlmsgerr error;
	size_t step;
	int r;

	for (; len >= sizeof(head); data += step, len -= step) {
		memcpy(&head, data, sizeof(head));
		if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > len)
			return -EBADMSG;
		step = NLMSG_ALIGN(head.nlmsg_len);
		step = step < len ? step : len;
		if (head.nlmsg_seq != nl->seq)
			continue;
		if (head.nlmsg_type == NLMSG_DONE)
			return 0;
		if (head.nlmsg_type == NLMSG_ERROR) {
			if (head.nlmsg_len < sizeof(head) + sizeof(error))
				return -EBADMSG;
			memcpy(&error, data + sizeof(head), sizeof(error));
			return error.error;
		}
		r = fn ? fn((const void *)data, arg) : 0;
		if (r < 0)
			return r;
	}
	return 1;
}

/* Send, and read the answer to its end: an acknowledgement or the end of a
 * dump. What a callback that failed has left unread is skipped later, by its
 * sequence number; until then the kernel refuses the next dump. */
static int transact(struct rtnl *nl, struct request *req, answer_fn fn,
		    void *arg)
{
	cleanup_free uint8_t *buf = malloc(ANSWER_MAX);
	ssize_t n;
	int r;

	if (!buf)
		return -ENOMEM;
	r = rtnl_send_request(nl, req);
	if (r < 0)
		return r;
	do {
		n = recv(nl->fd, buf, ANSWER_MAX, MSG_TRUNC);
		if (n < 0 && errno == EINTR) {
			r = 1;
			continue;
		}
		if (n < 0)
			return -errno;
		if (n > ANSWER_MAX)
			return -EMSGSIZE;
		r = rtnl_take(nl, buf, (size_t)n, fn, arg);
	} while (r > 0);
	return r;
}

static const void *attr_data(const struct rtattr *a)
{
	return (const uint8_t *)a + RTA_LENGTH(0);
}

/* The payload as a string; the kernel ends its strings with a NUL. */
static void copy_string(const struct rtattr *a, char *out, size_t size)
{
	(void)snprintf(out, size, "%.*s",
		       (int)strnlen(attr_data(a), RTA_PAYLOAD(a)),
		       (const char *)attr_data(a));
}

static uint32_t attr_u32(const struct rtattr *a)
{
	return RTA_PAYLOAD(a) >= 4 ? load_le32(attr_data(a)) : 0;
}

static uint8_t attr_u8(const struct rtattr *a)
{
	return RTA_PAYLOAD(a) >= 1 ? *(const uint8_t *)attr_data(a) : 0;
}

/* Calls @fn for each attribute of a run of them. */
static void each_attr(const void *attrs, size_t len,
		      void (*fn)(const struct rtattr *, void *), void *arg)
{
	const uint8_t *p = attrs;
	size_t step;

	while (len >= sizeof(struct rtattr)) {
		const struct rtattr *a = (const void *)p;

		if (a->rta_len < sizeof(*a) || a->rta_len > len)
			return;
		fn(a, arg);
		step = RTA_ALIGN(a->rta_len);
		if (step >= len)
			return;
		p += step;
		len -= step;
	}
}

static void take_tun_attr(const struct rtattr *a, void *arg)
{
	struct rtnl_link *link = arg;

	switch (a->rta_type & NLA_TYPE_MASK) {
	case IFLA_TUN_OWNER:
		link->owner = attr_u32(a);
		break;
	case IFLA_TUN_TYPE:
		link->is_tap = attr_u8(a) == IFF_TAP;
		break;
	default:
		break;
	}
}

/**
 * struct link_info - the two halves of IFLA_LINKINFO
 */
struct link_info {
	const struct rtattr *data;
	bool is_tun;
};

static void take_info_attr(const struct rtattr *a, void *arg)
{
	struct link_info *info = arg;
	char kind[8];

	switch (a->rta_type & NLA_TYPE_MASK) {
	case IFLA_INFO_KIND:
		copy_string(a, kind, sizeof(kind));
		info->is_tun = strcmp(kind, "tun") == 0;
		break;
	case IFLA_INFO_DATA:
		info->data = a;
		break;
	default:
		break;
	}
}

static void take_link_attr(const struct rtattr *a, void *arg)
{
	struct rtnl_link *link = arg;
	struct link_info info = {0};

	switch (a->rta_type & NLA_TYPE_MASK) {
	case IFLA_IFNAME:
		copy_string(a, link->name, sizeof(link->name));
		break;
	case IFLA_IFALIAS:
		copy_string(a, link->alias, sizeof(link->alias));
		break;
	case IFLA_MTU:
		link->mtu = attr_u32(a);
		break;
	case IFLA_CARRIER:
		link->carrier = attr_u8(a) != 0;
		break;
	case IFLA_LINKINFO:
		each_attr(attr_data(a), RTA_PAYLOAD(a), take_info_attr, &info);
		if (info.is_tun && info.data)
			each_attr(attr_data(info.data), RTA_PAYLOAD(info.data),
				  take_tun_attr, link);
		break;
	default:
		break;
	}
}

/**
 * struct link_walk - a dump of links, or the answer to one question
 */
struct link_walk {
	rtnl_link_fn fn;
	void *arg;
};

static int take_link(const struct nlmsghdr *head, void *arg)
{
	const struct link_walk *walk = arg;
	struct rtnl_link link = {.owner = -1};
	struct ifinfomsg body;

	if (head->nlmsg_type != RTM_NEWLINK ||
	    head->nlmsg_len < NLMSG_LENGTH(sizeof(body)))
		return 0;
	memcpy(&body, (const uint8_t *)head + NLMSG_HDRLEN, sizeof(body));
	link.index = body.ifi_index;
	link.up = (body.ifi_flags & IFF_UP) != 0;
	each_attr((const uint8_t *)head + NLMSG_SPACE(sizeof(body)),
		  head->nlmsg_len - NLMSG_SPACE(sizeof(body)), take_link_attr,
		  &link);
	return walk->fn(&link, walk->arg);
}

static int keep_link(const struct rtnl_link *link, void *arg)
{
	*(struct rtnl_link *)arg = *link;
	return 0;
}

int rtnl_get_link(struct rtnl *nl, const char *name, struct rtnl_link *link)
{
	const struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
	struct link_walk walk = {.fn = keep_link, .arg = link};
	struct request req;

	rtnl_start(&req, RTM_GETLINK, NLM_F_ACK, &body, sizeof(body));
	append_attr(&req, IFLA_IFNAME, name, strlen(name) + 1);
	return transact(nl, &req, take_link, &walk);
}

int rtnl_each_link(struct rtnl *nl, rtnl_link_fn fn, void *arg)
{
	const struct ifinfomsg body = {.ifi_family = AF_UNSPEC};
	struct link_walk walk = {.fn = fn, .arg = arg};
	struct request req;

	rtnl_start(&req, RTM_GETLINK, NLM_F_DUMP, &body, sizeof(body));
	return transact(nl, &req, take_link, &walk);
}

int rtnl_set_link(struct rtnl *nl, int index, const struct rtnl_change *change)
{
	const struct ifinfomsg body = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = index,
		.ifi_flags = change->up ? IFF_UP : 0,
		.ifi_change = change->up ? IFF_UP : 0,
	};
	struct request req;

	rtnl_start(&req, RTM_NEWLINK, NLM_F_ACK, &body, sizeof(body));
	if (change->alias)
		append_attr(&req, IFLA_IFALIAS, change->alias,
			    strlen(change->alias));
	if (change->mtu)
		append_attr(&req, IFLA_MTU, &change->mtu, sizeof(change->mtu));
	return transact(nl, &req, NULL, NULL);
}

int rtnl_del_link(struct rtnl *nl, int index)
{
	const struct ifinfomsg body = {
		.ifi_family = AF_UNSPEC,
		.ifi_index = index,
	};
	struct request req;

	rtnl_start(&req, RTM_DELLINK, NLM_F_ACK, &body, sizeof(body));
	return transact(nl, &req, NULL, NULL);
}

static int change_addr(struct rtnl *nl, unsigned short type, unsigned int flags,
		       const struct rtnl_addr *addr)
{
	const struct ifaddrmsg body = {
		.ifa_family = AF_INET,
		.ifa_prefixlen = (uint8_t)addr->prefix,
		.ifa_index = (uint32_t)addr->index,
	};
	const uint32_t mask = addr->prefix ? ~0u << (32 - addr->prefix) : 0;
	const uint32_t local = htonl(addr->addr);
	const uint32_t broadcast = htonl(addr->addr | ~mask);
	struct request req;

	rtnl_start(&req, type, NLM_F_ACK | flags, &body, sizeof(body));
	append_attr(&req, IFA_LOCAL, &local, sizeof(local));
	append_attr(&req, IFA_ADDRESS, &local, sizeof(local));
	if (type == RTM_NEWADDR)
		append_attr(&req, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	return transact(nl, &req, NULL, NULL);
}

int rtnl_add_addr(struct rtnl *nl, const struct rtnl_addr *addr)
{
	return change_addr(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, addr);
}

int rtnl_del_addr(struct rtnl *nl, const struct rtnl_addr *addr)
{
	return change_addr(nl, RTM_DELADDR, 0, addr);
}

/**
 * struct ip_walk - a dump of what has an IPv4 address: the interfaces' own, or
 * the table of routes
 * @type, @size: of its messages; of their bodies, which begin with the family
 * @attr:	the attribute that has the address
 * @take:	a body and its address, 0 where there is none
 * @addr, @route: who wants to know; one of them
 */
struct ip_walk {
	unsigned short type;
	unsigned short attr;
	size_t size;
	int (*take)(const struct ip_walk *walk, const void *body,
		    uint32_t found);
	rtnl_addr_fn addr;
	rtnl_route_fn route;
	void *arg;
	uint32_t found;
};

static void take_ip_attr(const struct rtattr *a, void *arg)
{
	struct ip_walk *walk = arg;

	if ((a->rta_type & NLA_TYPE_MASK) == walk->attr)
		walk->found = ntohl(attr_u32(a));
}

static int take_ip(const struct nlmsghdr *head, void *arg)
{
	const uint8_t *body = (const uint8_t *)head + NLMSG_HDRLEN;
	struct ip_walk *walk = arg;

	if (head->nlmsg_type != walk->type ||
	    head->nlmsg_len < NLMSG_LENGTH(walk->size) || *body != AF_INET)
		return 0;
	walk->found = 0;
	each_attr((const uint8_t *)head + NLMSG_SPACE(walk->size),
		  head->nlmsg_len - NLMSG_SPACE(walk->size), take_ip_attr,
		  walk);
	return walk->take(walk, body, walk->found);
}

static int take_addr(const struct ip_walk *walk, const void *body,
		     uint32_t found)
{
	struct ifaddrmsg m;
	struct rtnl_addr addr;

	memcpy(&m, body, sizeof(m));
	addr = (struct rtnl_addr){
		.index = (int)m.ifa_index,
		.addr = found,
		.prefix = m.ifa_prefixlen,
	};
	return walk->addr(&addr, walk->arg);
}

int rtnl_each_addr(struct rtnl *nl, rtnl_addr_fn fn, void *arg)
{
	const struct ifaddrmsg body = {.ifa_family = AF_INET};
	struct ip_walk walk = {
		.type = RTM_NEWADDR,
		.attr = IFA_LOCAL,
		.size = sizeof(body),
		.take = take_addr,
		.addr = fn,
		.arg = arg,
	};
	struct request req;

	rtnl_start(&req, RTM_GETADDR, NLM_F_DUMP, &body, sizeof(body));
	return transact(nl, &req, take_ip, &walk);
}

static int take_route(const struct ip_walk *walk, const void *body,
		      uint32_t found)
{
	struct rtnl_route route;
	struct rtmsg m;

	memcpy(&m, body, sizeof(m));
	route = (struct rtnl_route){
		.to = found,
		.bits = m.rtm_dst_len,
		.own = m.rtm_type == RTN_LOCAL || m.rtm_type == RTN_BROADCAST,
	};
	return route.own || m.rtm_type == RTN_UNICAST
		       ? walk->route(&route, walk->arg)
		       : 0;
}

int rtnl_each_route(struct rtnl *nl, rtnl_route_fn fn, void *arg)
{
	const struct rtmsg body = {.rtm_family = AF_INET};
	struct ip_walk walk = {
		.type = RTM_NEWROUTE,
		.attr = RTA_DST,
		.size = sizeof(body),
		.take = take_route,
		.route = fn,
		.arg = arg,
	};
	struct request req;

	rtnl_start(&req, RTM_GETROUTE, NLM_F_DUMP, &body, sizeof(body));
	return transact(nl, &req, take_ip, &walk);
}
