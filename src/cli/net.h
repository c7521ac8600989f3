/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - taps for people
 *
 * Theory of operation
 *
 * `volt net` keeps no file: a tap that it made carries its mark in the link's
 * alias, "volt net" and then what `volt net del` has to undo:
 *
 *   nat		there is an nftables table named volt_<tap>
 *   forwarding		IPv4 forwarding was off before this tap came
 *
 * The mark is written before what it stands for is done, so that an add that
 * was interrupted can be deleted or added again. When a tap with the
 * forwarding mark goes while other taps with NAT stay, one of those inherits
 * the mark; with the last one, forwarding is switched off again.
 */
#pragma once

#include "cli/rtnl.h"

/**
 * struct net_cidr - an IPv4 address in its network, host byte order
 */
struct net_cidr {
	uint32_t addr;
	unsigned int prefix;
};

/**
 * struct net_mark - what the alias of a tap says
 */
struct net_mark {
	bool ours;
	bool nat;
	bool forwarding;
};

/* "172.16.0.1/24": a host's address, prefix 8 to 30. Return: 0, or -EINVAL
 * with a sentence. */
int net_parse_cidr(const char *text, struct net_cidr *cidr,
		   struct err *err) __must_check;

/* At most 15 letters, digits, '-', '_', '.', the first one a letter: such a
 * name needs no quoting anywhere. Return: 0, or -EINVAL with a sentence. */
int net_check_name(const char *name, struct err *err) __must_check;

bool net_overlap(const struct net_cidr *a, const struct net_cidr *b);

/**
 * net_pick_cidr() - the first 172.16.N.1/24 that overlaps none of @taken
 *
 * Return: 0, or -EADDRNOTAVAIL with a sentence: all 256 are taken.
 */
int net_pick_cidr(const struct net_cidr *taken, size_t nr,
		  struct net_cidr *cidr, struct err *err) __must_check;

struct net_mark net_parse_mark(const char *alias);
void net_format_mark(const struct net_mark *mark, char *out, size_t size);

#define NET_CIDR_TEXT_MAX 20 /* 255.255.255.255/32 */

/* @out has NET_CIDR_TEXT_MAX bytes. */
void net_format_cidr(const struct net_cidr *cidr, char *out);

/**
 * net_set_nat() - let guests behind @tap out, in the name of this host
 * @cidr:	their network; NULL takes the table away, if there is one
 *
 * Runs nft(8). Nobody but this host reaches in.
 *
 * Return: 0, or -errno with a sentence.
 */
int net_set_nat(const char *tap, const struct net_cidr *cidr,
		struct err *err) __must_check;

/* IPv4 forwarding of this network namespace: is it on? Return: 1, 0, or -errno
 * with a sentence. */
int net_get_forwarding(struct err *err) __must_check;

/* Switch it. Return: 0, or -errno with a sentence. */
int net_set_forwarding(bool on, struct err *err) __must_check;

/**
 * struct net_wish - what `volt net add` is to make
 * @has_address:	else the address that the tap has, or a free one
 * @owner:		uid that may attach to it
 */
struct net_wish {
	const char *name;
	bool has_address;
	struct net_cidr address;
	bool nat;
	uint32_t owner;
	uint32_t mtu;
};

/**
 * net_lock() - one change of taps at a time
 * @lock:	receives a descriptor; closing it gives the lock back
 *
 * Looking for a free address and taking it are two steps: two that make taps
 * at once would take the same.
 *
 * Return: 0, or -errno with a sentence.
 */
int net_lock(int *lock, struct err *err) __must_check;

/**
 * net_add_tap() - make the tap, or make an earlier one as wished
 * @address:	receives its address
 *
 * Return: 0; -errno with a sentence, and a tap that was not there before is not
 * there now.
 */
int net_add_tap(struct rtnl *nl, const struct net_wish *wish,
		struct net_cidr *address, struct err *err) __must_check;

/**
 * net_del_tap() - take the tap and all that came with it away
 *
 * @force:	also when a process is attached to it
 *
 * Return: 0; -ENODEV when there is no such interface; -EBUSY when it is in use;
 * -errno; with a sentence.
 */
int net_del_tap(struct rtnl *nl, const char *name, bool force,
		struct err *err) __must_check;
