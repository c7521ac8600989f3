// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_net.c - `volt net`: taps for people
 */
#include "cli/cli.h"
#include "cli/net.h"

#include "base/fd.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MTU_DEFAULT 1500
#define MTU_MIN     68
#define MTU_MAX     65521
#define MAX_LISTED  1024

struct add {
	const char *address;
	uint64_t mtu;
	uint64_t user;
	bool has_user;
	bool nat;
	bool no_nat;
};

#define AT(member) .offset = offsetof(struct add, member)

/* clang-format off */
static const struct arg net_add_args[] = {
	{"address", "CIDR", "the host's address on it, such as 172.16.0.1/24 "
	 "(default: the first 172.16.N.1/24 that is free)", .kind = ARG_TEXT,
	 AT(address)},
	{"no-nat", NULL, "guests reach only this host, not what is behind it",
	 .kind = ARG_FLAG, AT(no_nat), .forbids = "nat"},
	{"nat", NULL, "the default: guests reach out in this host's name "
	 "(nft), nobody but this host reaches in; switches IPv4 forwarding on "
	 "and, with the last such tap, off again", .kind = ARG_FLAG, AT(nat)},
	{"user", "UID", "who may use it (default: who called sudo)",
	 .kind = ARG_NUMBER, .max = UINT32_MAX - 1, AT(user),
	 .has = offsetof(struct add, has_user)},
	{"mtu", "N", "68 to 65521 (default 1500)", .kind = ARG_NUMBER,
	 .min = MTU_MIN, .max = MTU_MAX, AT(mtu)},
};
/* clang-format on */

struct del {
	bool force;
};

static const struct arg del_args[] = {
	{.name = "force",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct del, force),
	 .help = "also while a VM uses it"},
};

#define NET_EXIT "0 done, or nothing to do; 1 failed; 64 bad usage."

const struct args_page cmd_net_page = {
	.name = "volt net",
	.summary = "make, list and delete taps for guests (as root)",
	.usage = "add NAME [OPTIONS]\n"
		 "del NAME\n"
		 "list",
	.about = "A tap is the host's end of a guest's network card. It has an "
		 "address, stays until it is deleted (or the host restarts), "
		 "and an ordinary user can then give it to a VM: `volt run "
		 "--net tap=NAME`, or \"host_dev_name\" in the API. add and "
		 "del need root (CAP_NET_ADMIN); the VM does not.\n"
		 "\n"
		 "`volt net add --help` tells of its options.\n",
	.exit = NET_EXIT,
	.examples = "  sudo volt net add vtap0\n"
		    "  volt net list\n"
		    "  sudo volt net del vtap0\n",
};

const struct args_page cmd_net_add_page = {
	.name = "volt net add",
	.summary = "make a tap, or change it",
	.usage = "NAME [OPTIONS]",
	.about = "Makes a tap for a guest, or makes one that was made here as "
		 "it is wished now.\n",
	.args = net_add_args,
	.nr_args = ARRAY_SIZE(net_add_args),
	.exit = NET_EXIT,
	.nr_words = 1,
};

const struct args_page cmd_net_del_page = {
	.name = "volt net del",
	.summary = "take a tap and all it brought away",
	.usage = "[--force] NAME",
	.about = "Takes a tap that `volt net add` made away, with its "
		 "address and its NAT. One that a VM uses stays.\n",
	.args = del_args,
	.nr_args = ARRAY_SIZE(del_args),
	.exit = NET_EXIT,
	.nr_words = 1,
};

const struct args_page cmd_net_list_page = {
	.name = "volt net list",
	.summary = "the taps made here",
	.usage = "",
	.about = "Lists the taps that `volt net add` made.\n",
	.exit = "0 listed; 1 failed; 64 bad usage.",
};

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

static int need_root(const struct args_page *page, const char *name)
{
	return cli_complain(1, page,
			    "it needs root (CAP_NET_ADMIN): try `sudo %s %s`",
			    page->name, name);
}

/* Who called sudo, else who runs this. */
static uint32_t default_owner(void)
{
	const char *text = getenv("SUDO_UID");
	uint64_t uid;

	if (text && args_number(text, 0, UINT32_MAX - 1, &uid))
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

static int add_tap(const struct args_page *page, const struct net_wish *wish)
{
	cleanup_fd int lock = -1;
	struct net_cidr address;
	struct err err;
	struct rtnl nl;
	int r;

	if (!may_admin_net())
		return need_root(page, wish->name);
	if (net_lock(&lock, &err) < 0 || rtnl_open(&nl, &err) < 0)
		return cli_fail(1, page, &err);
	r = net_add_tap(&nl, wish, &address, &err);
	rtnl_close(&nl);
	if (r < 0)
		return cli_fail(1, page, &err);
	print_added(wish, &address);
	return 0;
}

int cmd_net_add(const struct args_page *page, int argc, char **argv)
{
	struct add o = {.mtu = MTU_DEFAULT};
	struct net_wish wish = {0};
	struct args args;
	struct err err;
	int code = cli_parse(page, argc, argv, 1, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	wish = (struct net_wish){
		.name = args.words[0],
		.has_address = o.address != NULL,
		.nat = !o.no_nat,
		.owner = o.has_user ? (uint32_t)o.user : default_owner(),
		.mtu = (uint32_t)o.mtu,
	};
	if (net_check_name(wish.name, &err) < 0 ||
	    (o.address && net_parse_cidr(o.address, &wish.address, &err) < 0))
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	return add_tap(page, &wish);
}

int cmd_net_del(const struct args_page *page, int argc, char **argv)
{
	cleanup_fd int lock = -1;
	struct del o = {0};
	struct args args;
	struct err err;
	struct rtnl nl;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	if (net_check_name(args.words[0], &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	if (!may_admin_net())
		return need_root(page, args.words[0]);
	if (net_lock(&lock, &err) < 0 || rtnl_open(&nl, &err) < 0)
		return cli_fail(1, page, &err);
	r = net_del_tap(&nl, args.words[0], o.force, &err);
	rtnl_close(&nl);
	if (r == -ENODEV) {
		(void)printf("%s: not there, nothing to do\n", args.words[0]);
		return 0;
	}
	return r < 0 ? cli_fail(1, page, &err) : 0;
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
	char address[NET_CIDR_TEXT_MAX], name[CLI_CLEAN_MAX];

	(void)printf("%-15s %-18s %5s %10s %-4s %s\n", "NAME", "ADDRESS", "MTU",
		     "UID", "NAT", "STATE");
	for (size_t i = 0; i < l->nr; i++) {
		const struct rtnl_link *link = &l->link[i];

		net_format_cidr(&l->address[i], address);
		(void)printf("%-15s %-18s %5u %10lld %-4s %s\n",
			     cli_clean(link->name, name),
			     l->address[i].prefix ? address : "none", link->mtu,
			     (long long)link->owner,
			     net_parse_mark(link->alias).nat ? "yes" : "no",
			     !link->up       ? "down"
			     : link->carrier ? "in use"
					     : "free");
	}
}

int cmd_net_list(const struct args_page *page, int argc, char **argv)
{
	cleanup_free struct listing *l = calloc(1, sizeof(*l));
	struct args args;
	struct err err;
	struct rtnl nl;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	if (!l)
		return cli_complain(1, page, "out of memory");
	if (rtnl_open(&nl, &err) < 0)
		return cli_fail(1, page, &err);
	r = rtnl_each_link(&nl, list_link, l);
	if (r == 0)
		r = rtnl_each_addr(&nl, list_addr, l);
	rtnl_close(&nl);
	if (r < 0)
		return cli_complain(1, page, "cannot list interfaces: %s",
				    err_name(r));
	print_listing(l);
	return 0;
}
