// SPDX-License-Identifier: Apache-2.0
/*
 * net_tap.c - make and unmake a tap (theory of operation: net.h)
 */
#include "cli/net.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Interfaces of a host with a few hundred VMs. */
#define MAX_TAKEN 1024

/* Persistent and owned; an earlier one only changes its owner. */
static int make_tap(const struct net_wish *wish, struct err *err)
{
	cleanup_fd int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	if (fd < 0)
		return err_set(err, -errno,
			       "Cannot open /dev/net/tun: %s; `volt doctor` "
			       "tells what to do",
			       err_name(errno));
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", wish->name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_set(err, -errno, "Cannot make tap %s: %s",
			       wish->name,
			       errno == EBUSY ? "a process is attached to it"
					      : err_name(errno));
	if (ioctl(fd, TUNSETOWNER, (unsigned long)wish->owner) < 0)
		return err_set(err, -errno, "Cannot give tap %s to user %u: %s",
			       wish->name, wish->owner, err_name(errno));
	if (ioctl(fd, TUNSETPERSIST, 1) < 0)
		return err_set(err, -errno, "Cannot keep tap %s: %s",
			       wish->name, err_name(errno));
	return 0;
}

/**
 * struct taken - the addresses of this host, and of one interface
 * @skip:	interface whose addresses are not collected but remembered
 */
struct taken {
	int skip;
	struct rtnl_addr own[8];
	size_t nr_own;
	struct net_cidr list[MAX_TAKEN];
	size_t nr;
};

static int collect_addr(const struct rtnl_addr *addr, void *arg)
{
	struct taken *t = arg;

	if (addr->index == t->skip) {
		if (t->nr_own < ARRAY_SIZE(t->own))
			t->own[t->nr_own++] = *addr;
	} else if (t->nr < MAX_TAKEN) {
		t->list[t->nr++] = (struct net_cidr){addr->addr, addr->prefix};
	}
	return 0;
}

static int check_taken(const struct taken *t, const struct net_cidr *cidr,
		       struct err *err)
{
	char a[NET_CIDR_TEXT_MAX], b[NET_CIDR_TEXT_MAX];

	for (size_t i = 0; i < t->nr; i++) {
		if (!net_overlap(&t->list[i], cidr))
			continue;
		net_format_cidr(cidr, a);
		net_format_cidr(&t->list[i], b);
		return err_set(err, -EADDRINUSE,
			       "%s overlaps with %s, which this host has "
			       "already",
			       a, b);
	}
	return 0;
}

static int choose_address(const struct taken *t, const struct net_wish *wish,
			  struct net_cidr *cidr, struct err *err)
{
	if (wish->has_address) {
		*cidr = wish->address;
		return check_taken(t, cidr, err);
	}
	if (t->nr_own > 0) {
		*cidr = (struct net_cidr){t->own[0].addr, t->own[0].prefix};
		return 0;
	}
	return net_pick_cidr(t->list, t->nr, cidr, err);
}

/* The one address; others that the tap had go. */
static int set_address(struct rtnl *nl, const struct taken *t, int index,
		       const struct net_cidr *cidr, struct err *err)
{
	const struct rtnl_addr addr = {index, cidr->addr, cidr->prefix};
	int r = 0;

	for (size_t i = 0; i < t->nr_own && r == 0; i++)
		if (t->own[i].addr != cidr->addr ||
		    t->own[i].prefix != cidr->prefix)
			r = rtnl_del_addr(nl, &t->own[i]);
	if (r == 0)
		r = rtnl_add_addr(nl, &addr);
	if (r < 0)
		return err_set(err, r, "Cannot set the address: %s",
			       err_name(r));
	return 0;
}

static int set_link(struct rtnl *nl, const struct rtnl_link *link,
		    const struct rtnl_change *change, struct err *err)
{
	int r = rtnl_set_link(nl, link->index, change);

	if (r < 0)
		return err_set(err, r, "Cannot set up %s%s: %s", link->name,
			       change->mtu ? " with that MTU" : "",
			       err_name(r));
	return 0;
}

static int write_mark(struct rtnl *nl, const struct rtnl_link *link,
		      const struct net_mark *mark, struct err *err)
{
	char text[RTNL_ALIAS_MAX];
	const struct rtnl_change change = {.alias = text};

	net_format_mark(mark, text, sizeof(text));
	return set_link(nl, link, &change, err);
}

/**
 * struct heir - another tap with NAT
 */
struct heir {
	int index;
	struct rtnl_link link;
};

static int find_heir(const struct rtnl_link *link, void *arg)
{
	struct heir *heir = arg;

	if (link->index != heir->index && net_parse_mark(link->alias).nat)
		heir->link = *link;
	return 0;
}

/* Forwarding was switched on for this tap: hand that on, or undo it. */
static int drop_forwarding(struct rtnl *nl, int index, struct err *err)
{
	struct heir heir = {.index = index};
	struct net_mark mark = {.ours = true, .nat = true, .forwarding = true};
	int r = rtnl_each_link(nl, find_heir, &heir);

	if (r < 0)
		return err_set(err, r, "Cannot list interfaces: %s",
			       err_name(r));
	if (heir.link.index)
		return write_mark(nl, &heir.link, &mark, err);
	return net_set_forwarding(false, err);
}

static int nat_on(struct rtnl *nl, const struct rtnl_link *link,
		  const struct net_cidr *cidr, struct err *err)
{
	struct net_mark mark = net_parse_mark(link->alias);
	int r = net_get_forwarding(err);

	if (r < 0)
		return r;
	mark.ours = mark.nat = true;
	mark.forwarding = mark.forwarding || r == 0;
	r = write_mark(nl, link, &mark, err);
	if (r == 0)
		r = net_set_nat(link->name, cidr, err);
	if (r == 0 && mark.forwarding)
		r = net_set_forwarding(true, err);
	return r;
}

static int nat_off(struct rtnl *nl, const struct rtnl_link *link,
		   struct err *err)
{
	const struct net_mark old = net_parse_mark(link->alias);
	const struct net_mark none = {.ours = true};
	int r = 0;

	if (old.nat)
		r = net_set_nat(link->name, NULL, err);
	if (r == 0 && old.forwarding)
		r = drop_forwarding(nl, link->index, err);
	if (r == 0)
		r = write_mark(nl, link, &none, err);
	return r;
}

/* All but the tap itself. */
static int dress(struct rtnl *nl, const struct net_wish *wish,
		 struct rtnl_link *link, struct net_cidr *address,
		 struct err *err)
{
	cleanup_free struct taken *taken = calloc(1, sizeof(*taken));
	const struct rtnl_change up = {.mtu = wish->mtu, .up = true};
	int r;

	if (!taken)
		return err_set(err, -ENOMEM, "Out of memory");
	taken->skip = link->index;
	r = rtnl_each_addr(nl, collect_addr, taken);
	if (r < 0)
		return err_set(err, r, "Cannot list addresses: %s",
			       err_name(r));
	r = choose_address(taken, wish, address, err);
	if (r == 0)
		r = set_link(nl, link, &up, err);
	if (r == 0)
		r = set_address(nl, taken, link->index, address, err);
	if (r < 0)
		return r;
	return wish->nat ? nat_on(nl, link, address, err)
			 : nat_off(nl, link, err);
}

static int refuse_foreign(const struct rtnl_link *link, struct err *err)
{
	if (net_parse_mark(link->alias).ours && link->is_tap)
		return 0;
	return err_set(err, -EEXIST,
		       "Interface %s was not made by `volt net add`: it is "
		       "left alone",
		       link->name);
}

/* The tap as @link, with its mark. @was_there: as before this call. */
static int ensure_tap(struct rtnl *nl, const struct net_wish *wish,
		      struct rtnl_link *link, bool was_there, struct err *err)
{
	const struct net_mark mark = {.ours = true};
	int r;

	if (was_there) {
		r = refuse_foreign(link, err);
		if (r < 0 || link->owner == wish->owner)
			return r;
		return make_tap(wish, err);
	}
	r = make_tap(wish, err);
	if (r < 0)
		return r;
	r = rtnl_get_link(nl, wish->name, link);
	if (r < 0)
		return err_set(err, r, "Tap %s is gone again: %s", wish->name,
			       err_name(r));
	r = write_mark(nl, link, &mark, err);
	/* Without a mark nobody would take it away later. */
	if (r < 0 && rtnl_del_link(nl, link->index) < 0)
		(void)err_prefix(err, "(%s stays behind) ", wish->name);
	return r;
}

/* After a failure that @err tells of. nft is asked to remove its table, but if
 * it was the one to fail there is none. */
static void take_back(struct rtnl *nl, const char *name, struct err *err)
{
	struct rtnl_link link;
	int r = rtnl_get_link(nl, name, &link);

	if (r == 0) {
		(void)nat_off(nl, &link, NULL);
		r = rtnl_del_link(nl, link.index);
	}
	if (r < 0 && r != -ENODEV)
		(void)err_prefix(err, "(%s stays behind) ", name);
}

int net_lock(int *lock, struct err *err)
{
	int r;

	*lock = open("/run/volt-net.lock",
		     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Root of a user namespace may not: the network's own file, then. */
	if (*lock < 0)
		*lock = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (*lock < 0)
		return err_set(err, -errno, "cannot lock the taps: %s",
			       err_name(errno));
	do
		r = flock(*lock, LOCK_EX) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r < 0 ? err_set(err, r, "cannot lock the taps: %s", err_name(r))
		     : 0;
}

int net_add_tap(struct rtnl *nl, const struct net_wish *wish,
		struct net_cidr *address, struct err *err)
{
	struct rtnl_link link;
	int r = rtnl_get_link(nl, wish->name, &link);
	bool was_there = r == 0;

	if (r < 0 && r != -ENODEV)
		return err_set(err, r, "Cannot look for %s: %s", wish->name,
			       err_name(r));
	r = ensure_tap(nl, wish, &link, was_there, err);
	if (r == 0)
		r = dress(nl, wish, &link, address, err);
	if (r < 0 && !was_there)
		take_back(nl, wish->name, err);
	return r;
}

int net_del_tap(struct rtnl *nl, const char *name, bool force, struct err *err)
{
	struct rtnl_link link;
	int r = rtnl_get_link(nl, name, &link);

	if (r < 0)
		return err_set(err, r, "Cannot look for %s: %s", name,
			       err_name(r));
	r = refuse_foreign(&link, err);
	if (r == 0 && link.carrier && !force)
		r = err_set(err, -EBUSY,
			    "%s is in use: a VM would lose its network. `sudo "
			    "volt net del --force %s` takes it all the same",
			    name, name);
	if (r == 0)
		r = nat_off(nl, &link, err);
	if (r < 0)
		return r;
	r = rtnl_del_link(nl, link.index);
	if (r < 0)
		return err_set(err, r, "Cannot delete %s: %s", name,
			       err_name(r));
	return 0;
}
