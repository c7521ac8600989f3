// SPDX-License-Identifier: Apache-2.0
/*
 * net_user.c - `volt run --net user` (theory of operation: net_user.h)
 */
#include "cli/net_user.h"

#include "base/fd.h"
#include "cli/rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define NETWORK      0x0a000000u /* 10.0.N.0 */
#define FIRST_N      2u
#define LAST_N       254u
#define GATEWAY_AT   2u
#define DNS_AT       3u
#define GUEST_AT     15u
#define NETWORK_BITS 24u
#define ALWAYS       " -0.0.0.0/8 -127.0.0.0/8 -224.0.0.0/4 -240.0.0.0/4 -::/0"
#define LINK_LOCAL   " -169.254.0.0/16"
#define PRIVATE      " -10.0.0.0/8 -172.16.0.0/12 -192.168.0.0/16 -100.64.0.0/10"

/* ---- words ---- */

/* Is @text a word of this file's, `user` or `none`? */
static bool is_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return strncmp(text, word, len) == 0 &&
	       (text[len] == '\0' || text[len] == ',');
}

static int net_user_word(struct net_user *net, const char *text,
			 struct err *err)
{
	const struct {
		const char *word;
		bool *value;
	} words[] = {
		{"host", &net->host},
		{"link-local", &net->link_local},
		{"public", &net->public_only},
	};

	net->on = true;
	net->asked = true;
	text += strcspn(text, ",");
	while (*text == ',') {
		size_t len = strcspn(++text, ","), i = 0;

		while (i < ARRAY_SIZE(words) &&
		       !(strlen(words[i].word) == len &&
			 memcmp(words[i].word, text, len) == 0))
			i++;
		if (i == ARRAY_SIZE(words))
			return err_set(err, -EINVAL,
				       "--net user: unknown word '%.*s'; "
				       "expected user[,host][,link-local]"
				       "[,public]",
				       (int)len, text);
		*words[i].value = true;
		text += len;
	}
	return 0;
}

static int net_user_words(struct net_user *net, struct arg_list *nets,
			  struct err *err)
{
	unsigned int given = nets->nr, left = 0;
	bool none = false;
	int r;

	for (unsigned int i = 0; i < given; i++) {
		const char *text = nets->text[i];

		if (strcmp(text, "none") == 0) {
			none = true;
		} else if (!is_word(text, "user")) {
			nets->text[left++] = text;
		} else if (net->on) {
			return err_set(err, -EINVAL,
				       "--net user is given twice");
		} else {
			r = net_user_word(net, text, err);
			if (r < 0)
				return r;
		}
	}
	nets->nr = left;
	if (none && given > 1)
		return err_set(err, -EINVAL,
			       "--net none goes with no other --net");
	net->asked |= given > 0;
	return 0;
}

static int net_user_ports(struct net_user *net, const struct arg_list *publish,
			  struct err *err)
{
	int r = 0;

	if (publish->nr > PASST_PUBLISH_MAX)
		return err_set(err, -EINVAL, "--publish: at most %u",
			       PASST_PUBLISH_MAX);
	if (publish->nr > 0 && !net->on)
		return err_set(err, -EINVAL,
			       "--publish needs --net user: nothing leads to "
			       "the ports of another network");
	for (unsigned int i = 0; i < publish->nr && r == 0; i++)
		r = passt_parse_port(publish->text[i], &net->ports[i], err);
	net->wish.ports = net->ports;
	net->wish.nr_ports = publish->nr;
	return r;
}

/* ---- addresses ---- */

/**
 * struct net_user_look - at this host's routes
 * @taken:	this host has an address in 10.0.N.0/24
 */
struct net_user_look {
	struct net_user *net;
	bool taken[256];
};

static int net_user_route(const struct rtnl_route *route, void *arg)
{
	struct net_user_look *look = arg;
	const struct in_addr to = {htonl(route->to)};
	char text[INET_ADDRSTRLEN];

	if (!route->own) {
		look->net->has_route |= route->bits == 0;
		return 0;
	}
	buf_addf(&look->net->own, " -%s/%u",
		 inet_ntop(AF_INET, &to, text, sizeof(text)), route->bits);
	if (route->to >> 16 == NETWORK >> 16)
		look->taken[route->to >> 8 & 0xff] = true;
	return 0;
}

static int net_user_look(struct net_user *net, struct err *err)
{
	struct net_user_look look = {.net = net};
	struct rtnl nl;
	uint32_t n = FIRST_N, network;
	int r = rtnl_open(&nl, err);

	if (r == 0) {
		r = rtnl_each_route(&nl, net_user_route, &look);
		rtnl_close(&nl);
	}
	if (r < 0 || net->own.failed)
		return err_set(err, r < 0 ? r : -ENOMEM,
			       "Cannot tell this host's addresses: %s",
			       err_name(r < 0 ? r : -ENOMEM));
	while (n < LAST_N && look.taken[n])
		n++;
	network = NETWORK | n << 8;
	net->wish.guest.s_addr = htonl(network | GUEST_AT);
	net->wish.gateway.s_addr = htonl(network | GATEWAY_AT);
	net->wish.dns.s_addr = htonl(network | DNS_AT);
	return 0;
}

int net_user_parse(struct net_user *net, struct arg_list *nets,
		   const struct arg_list *publish, bool image, struct err *err)
{
	int r = net_user_words(net, nets, err);

	if (r < 0)
		return r;
	net->on |= image && !net->asked;
	r = net_user_ports(net, publish, err);
	if (r < 0 || !net->on)
		return r;
	r = net_user_look(net, err);
	if (r == 0 && !net->asked && !net->has_route && publish->nr == 0)
		net->on = false;
	net->wish.host = net->host;
	net->wish.dhcp = !image;
	return r;
}

void net_user_cmdline(const struct net_user *net, char *text, size_t size)
{
	char guest[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];

	text[0] = '\0';
	if (!net->on)
		return;
	(void)snprintf(
		text, size, " volt.net=%s/%u,%s",
		inet_ntop(AF_INET, &net->wish.guest, guest, sizeof(guest)),
		NETWORK_BITS,
		inet_ntop(AF_INET, &net->wish.gateway, gateway,
			  sizeof(gateway)));
}

void net_user_dns(const struct net_user *net, char *text, size_t size)
{
	char dns[INET_ADDRSTRLEN];

	(void)snprintf(text, size, "nameserver %s",
		       inet_ntop(AF_INET, &net->wish.dns, dns, sizeof(dns)));
}

/* ---- the start ---- */

static void net_user_say(struct net_user *net)
{
	const struct passt_wish *wish = &net->wish;
	char dns[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
	struct buf *word = &net->word;

	(void)inet_ntop(AF_INET, &wish->dns, dns, sizeof(dns));
	(void)inet_ntop(AF_INET, &wish->gateway, gateway, sizeof(gateway));
	buf_addf(word, "socket=/dev/fd/%d,mtu=65520,egress=+%s@53", net->fd,
		 dns);
	if (wish->dhcp) /* passt's own answers to it */
		buf_add_str(word, " +255.255.255.255@67");
	if (net->host || wish->nr_ports > 0)
		buf_addf(word, " +%s", gateway);
	buf_addf(word, " -%s/%u", gateway, NETWORK_BITS);
	if (!net->host)
		buf_add(word, net->own.data, net->own.len);
	buf_add_str(word, ALWAYS);
	if (!net->link_local)
		buf_add_str(word, LINK_LOCAL);
	if (net->public_only)
		buf_add_str(word, PRIVATE);
	buf_add(word, "", 1);
}

/* --net user and none of the command line. */
static void net_user_replace(struct net_user *net, struct args *args)
{
	unsigned int left = 0;

	for (unsigned int i = 0; i < args->nr_given; i++) {
		bool is_net = strcmp(args->given[i].arg->name, "net") == 0;

		if (is_net && strcmp(args->given[i].text, "none") == 0)
			continue;
		args->given[left] = args->given[i];
		if (is_net && is_word(args->given[i].text, "user"))
			args->given[left].text = net->word.data;
		left++;
	}
	args->nr_given = left;
}

int net_user_start(struct net_user *net, struct args *args, struct err *err)
{
	if (net->on) {
		net->fd = passt_start(&net->wish, err);
		if (net->fd < 0)
			return net->fd;
		if (fcntl(net->fd, F_SETFD, 0) < 0)
			return err_set(err, -errno, "Cannot leave it open: %s",
				       err_name(errno));
		net_user_say(net);
		if (net->word.failed)
			return err_set(err, -ENOMEM, "Out of memory");
	}
	net_user_replace(net, args);
	return 0;
}

void net_user_close(struct net_user *net)
{
	fd_close(&net->fd);
}

void net_user_free(struct net_user *net)
{
	fd_close(&net->fd);
	buf_free(&net->own);
	buf_free(&net->word);
}
