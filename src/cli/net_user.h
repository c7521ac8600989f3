/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_user.h - `volt run --net user`: a network for guests that nobody knows
 *
 * Theory of operation
 *
 * passt (passt.h) opens the guest's connections as this user, on this host. So
 * the guest would reach whatever this host may reach, the host itself included.
 * What it may not reach is decided by volt-vmm, which sees each frame first:
 * `egress` of the interface (base/ip_rules.h). The rules, the first that fits:
 *
 *   DNS       the address that passt answers for with this host's resolver,
 *             wherever that is, on loopback as well; port 53 alone
 *   gateway   where ports are published: connections from this host's loopback
 *             come from there, and answers go back. `host`: it is this host
 *   private   with `public`: no address of a private network
 *   the rest of the guest's network, loopback, 0.0.0.0/8, multicast and
 *             broadcast; without `link-local` 169.254.0.0/16, where clouds have
 *             their metadata; without `host` each address that is this host's
 *   IPv6      nothing: the guest has IPv4 only
 *
 * This host's addresses are read when the VM starts. The guest's network is a
 * 10.0.N.0/24 in which this host has no address: N is 2, or the next.
 *
 *   parse    the words, before anything is looked for; addresses are chosen
 *   start    passt runs; volt-vmm's word is known, with the descriptor that it
 *            is left
 *
 * Without a word an IMAGE has this network; but where this host has no route
 * of its own, there is none to give, and it has no interface.
 */
#pragma once

#include "cli/passt.h"

#include "base/args.h"
#include "base/buf.h"

#define NET_USER_USAGE "user[,WORDS]|none|tap=NAME[,WORDS]|socket=PATH[,WORDS]"
#define NET_USER_HELP                                                           \
	"the guest's network: `user` (the default with an IMAGE, by passt, "    \
	"without root), whose guest reaches neither this host nor link-local "  \
	"addresses, unless its words host, link-local say so, nor with public " \
	"a private network; `none`, for what is not trusted; or an interface "  \
	"with the words of `volt-vmm --net`, on a tap "

/**
 * struct net_user - zeroed at first, but @fd is -1
 * @on:		the VM has such a network
 * @asked:	--net says so
 * @own:	rules about this host's addresses
 * @word:	behind --net of volt-vmm, once it is started
 * @fd:		that @word names
 */
struct net_user {
	bool on;
	bool asked;
	bool host;
	bool link_local;
	bool public_only;
	bool has_route;
	struct passt_wish wish;
	struct passt_port ports[PASST_PUBLISH_MAX];
	struct buf own;
	struct buf word;
	int fd;
};

/**
 * net_user_parse() - what --net and --publish say
 * @nets:	words of other networks stay; `none` leaves none
 * @image:	the VM runs one
 *
 * Return: 0; -EINVAL or -errno with a sentence.
 */
int net_user_parse(struct net_user *net, struct arg_list *nets,
		   const struct arg_list *publish, bool image,
		   struct err *err) __must_check;

/* Of the kernel's command line, for the agent: " volt.net=..."; or "". */
void net_user_cmdline(const struct net_user *net, char *text, size_t size);

/* The guest's resolver, a line of resolv.conf. */
void net_user_dns(const struct net_user *net, char *text, size_t size);

/**
 * net_user_start() - passt runs, if there is such a network
 * @args:	the word of --net there becomes volt-vmm's, or goes
 *
 * Return: 0; -errno with a sentence.
 */
int net_user_start(struct net_user *net, struct args *args,
		   struct err *err) __must_check;

/* volt-vmm has its own of what was left to it. */
void net_user_close(struct net_user *net);
void net_user_free(struct net_user *net);
