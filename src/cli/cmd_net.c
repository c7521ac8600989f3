// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_net.c - `volt net`: taps for people
 */
#include "cli/cli.h"
#include "cli/net.h"

#include "base/fd.h"

#include <errno.h>
#include <getopt.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME        "net"
#define MTU_DEFAULT 1500
#define MTU_MIN     68
#define MTU_MAX     65521
#define MAX_LISTED  1024

static const char help_text[] =
	"Usage: volt net add NAME [OPTIONS]   make a tap, or change it\n"
	"       volt net del NAME             take it and all it brought away\n"
	"       volt net list                 the taps made here\n"
	"\n"
	"A tap is the host's end of a guest's network card. It has an address, "
	"stays\n"
	"until it is deleted (or the host restarts), and an ordinary user can "
	"then give\n"
	"it to a VM: \"host_dev_name\": \"NAME\" in the VM's "
	"network-interfaces.\n"
	"add and del need root (CAP_NET_ADMIN); the VM does not.\n"
	"\n"
	"Options of add:\n"
	"  --address CIDR  the host's address on it, such as 172.16.0.1/24\n"
	"                  (default: the first 172.16.N.1/24 that is free)\n"
	"  --no-nat        reach only this host, not what is behind it\n"
	"  --nat           the default: guests reach out in this host's name "
	"(nft),\n"
	"                  nobody but this host reaches in; switches IPv4 "
	"forwarding on\n"
	"                  and, with the last such tap, off again\n"
	"  --user UID      who may use it (default: who called sudo)\n"
	"  --mtu N         default 1500\n"
	"\n"
	"Exit code: 0 done, or nothing to do; 1 failed; 64 bad usage.\n"
	"\n"
	"Example:\n"
	"  sudo volt net add vtap0 && volt net list && sudo volt net del "
	"vtap0\n";

/* The effective capabilities of this thread; root in a user namespace of its
 * own has this one too. */
static bool may_admin_net(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return (data[0].effective >> CAP_NET_ADMIN) & 1;
}

static int need_root(const char *verb)
{
	return cli_complain(1, NAME,
			    "%s needs root (CAP_NET_ADMIN): try `sudo volt "
			    "net %s ...`",
			    verb, verb);
}

/* Who called sudo, else who runs this. */
static uint32_t default_owner(void)
{
	const char *text = getenv("SUDO_UID");
	uint64_t uid;

	if (text && cli_parse_number(text, 0, UINT32_MAX - 1, &uid))
		return (uint32_t)uid;
	return getuid();
}

static void print_added(const struct net_wish *wish,
			const struct net_cidr *address)
{
	struct net_cidr guest = *address;
	char host[NET_CIDR_TEXT_MAX], text[NET_CIDR_TEXT_MAX];
	const uint32_t mask = ~0u << (32 - guest.prefix);

	/* The next host of the network, or the one before its last. */
	guest.addr += (guest.addr + 1) == (guest.addr | ~mask) ? -1u : 1u;
	net_format_cidr(address, host);
	net_format_cidr(&guest, text);
	(void)printf("%s: %s, MTU %u, for uid %u, %s\n", wish->name, host,
		     wish->mtu, wish->owner, wish->nat ? "NAT" : "no NAT");
	(void)printf("In the guest: ip link set eth0 up; ip addr add %s dev "
		     "eth0; ip route add default via %.*s\n",
		     text, (int)strcspn(host, "/"), host);
}

static int add_tap(const struct net_wish *wish)
{
	struct net_cidr address;
	struct err err;
	struct rtnl nl;
	int r;

	if (!may_admin_net())
		return need_root("add");
	r = rtnl_open(&nl, &err);
	if (r < 0)
		return cli_complain(1, NAME, "%s", err.text);
	r = net_add_tap(&nl, wish, &address, &err);
	rtnl_close(&nl);
	if (r < 0)
		return cli_complain(1, NAME, "%s", err.text);
	print_added(wish, &address);
	return 0;
}

enum add_option {
	OPT_ADDRESS = 1,
	OPT_NAT,
	OPT_NO_NAT,
	OPT_USER,
	OPT_MTU,
	OPT_HELP,
};

/* One option of add. Return: 0, or -EINVAL with a sentence. */
static int take_option(struct net_wish *wish, int opt, const char *value,
		       struct err *err)
{
	uint64_t n;

	switch (opt) {
	case OPT_ADDRESS:
		wish->has_address = true;
		return net_parse_cidr(value, &wish->address, err);
	case OPT_NAT:
	case OPT_NO_NAT:
		wish->nat = opt == OPT_NAT;
		return 0;
	case OPT_USER:
		if (!cli_parse_number(value, 0, UINT32_MAX - 1, &n))
			return err_set(err, -EINVAL,
				       "'%s' is not a user's number; `id -u "
				       "NAME` tells it",
				       value);
		wish->owner = (uint32_t)n;
		return 0;
	case OPT_MTU:
		if (!cli_parse_number(value, MTU_MIN, MTU_MAX, &n))
			return err_set(err, -EINVAL,
				       "The MTU '%s' is not a number from %d "
				       "to %d",
				       value, MTU_MIN, MTU_MAX);
		wish->mtu = (uint32_t)n;
		return 0;
	default:
		return err_set(err, -EINVAL, "No such option");
	}
}

static int run_add(int argc, char **argv)
{
	static const struct option options[] = {
		{"address", required_argument, NULL, OPT_ADDRESS},
		{"nat", no_argument, NULL, OPT_NAT},
		{"no-nat", no_argument, NULL, OPT_NO_NAT},
		{"user", required_argument, NULL, OPT_USER},
		{"mtu", required_argument, NULL, OPT_MTU},
		{"help", no_argument, NULL, OPT_HELP},
		{NULL, 0, NULL, 0},
	};
	struct net_wish wish = {.nat = true, .mtu = MTU_DEFAULT};
	struct err err;
	int opt;

	wish.owner = default_owner();
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			(void)fputs(help_text, stdout);
			return 0;
		}
		if (opt == '?')
			return cli_usage_error(NAME);
		if (take_option(&wish, opt, optarg, &err) < 0)
			return cli_complain(CLI_EXIT_USAGE, NAME, "%s",
					    err.text);
	}
	if (argc - optind != 1) {
		(void)cli_complain(0, NAME, "add takes one name");
		return cli_usage_error(NAME);
	}
	wish.name = argv[optind];
	if (net_check_name(wish.name, &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	return add_tap(&wish);
}

static int run_del(int argc, char **argv)
{
	struct err err;
	struct rtnl nl;
	int r;

	if (argc != 2) {
		(void)cli_complain(0, NAME, "del takes one name");
		return cli_usage_error(NAME);
	}
	if (net_check_name(argv[1], &err) < 0)
		return cli_complain(CLI_EXIT_USAGE, NAME, "%s", err.text);
	if (!may_admin_net())
		return need_root("del");
	r = rtnl_open(&nl, &err);
	if (r < 0)
		return cli_complain(1, NAME, "%s", err.text);
	r = net_del_tap(&nl, argv[1], &err);
	rtnl_close(&nl);
	if (r == -ENODEV) {
		(void)printf("%s: not there, nothing to do\n", argv[1]);
		return 0;
	}
	return r < 0 ? cli_complain(1, NAME, "%s", err.text) : 0;
}

/**
 * struct listing - the taps with our mark, and their first address
 */
struct listing {
	size_t nr;
	struct rtnl_link link[MAX_LISTED];
	struct net_cidr address[MAX_LISTED];
};

static int list_link(const struct rtnl_link *link, void *arg)
{
	struct listing *l = arg;

	if (net_parse_mark(link->alias).ours && l->nr < MAX_LISTED)
		l->link[l->nr++] = *link;
	return 0;
}

static int list_addr(const struct rtnl_addr *addr, void *arg)
{
	struct listing *l = arg;

	for (size_t i = 0; i < l->nr; i++)
		if (l->link[i].index == addr->index && !l->address[i].prefix)
			l->address[i] =
				(struct net_cidr){addr->addr, addr->prefix};
	return 0;
}

static void print_listing(const struct listing *l)
{
	char address[NET_CIDR_TEXT_MAX];

	(void)printf("%-15s %-18s %5s %10s %-4s %s\n", "NAME", "ADDRESS", "MTU",
		     "UID", "NAT", "STATE");
	for (size_t i = 0; i < l->nr; i++) {
		const struct rtnl_link *link = &l->link[i];

		net_format_cidr(&l->address[i], address);
		(void)printf("%-15s %-18s %5u %10lld %-4s %s\n", link->name,
			     l->address[i].prefix ? address : "none", link->mtu,
			     (long long)link->owner,
			     net_parse_mark(link->alias).nat ? "yes" : "no",
			     !link->up       ? "down"
			     : link->carrier ? "in use"
					     : "free");
	}
}

static int run_list(int argc, char **argv)
{
	cleanup_free struct listing *l = calloc(1, sizeof(*l));
	struct err err;
	struct rtnl nl;
	int r;

	(void)argv;
	if (argc != 1)
		return cli_usage_error(NAME);
	if (!l)
		return cli_complain(1, NAME, "out of memory");
	r = rtnl_open(&nl, &err);
	if (r < 0)
		return cli_complain(1, NAME, "%s", err.text);
	r = rtnl_each_link(&nl, list_link, l);
	if (r == 0)
		r = rtnl_each_addr(&nl, list_addr, l);
	rtnl_close(&nl);
	if (r < 0)
		return cli_complain(1, NAME, "cannot list interfaces: %s",
				    err_name(r));
	print_listing(l);
	return 0;
}

int cmd_net(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
		(void)fputs(help_text, stdout);
		return 0;
	}
	if (strcmp(verb, "add") == 0)
		return run_add(argc - 1, argv + 1);
	if (strcmp(verb, "del") == 0)
		return run_del(argc - 1, argv + 1);
	if (strcmp(verb, "list") == 0)
		return run_list(argc - 1, argv + 1);
	(void)cli_complain(0, NAME, "add, del or list?");
	return cli_usage_error(NAME);
}
