// SPDX-License-Identifier: Apache-2.0
/*
 * config_net.c - a network interface enters the configuration
 *
 * The sentences are Firecracker's, so that clients which match them keep
 * working; what a person can do about it follows.
 */
#include "dev/net_vhost.h"
#include "host/tap.h"
#include "vm/config.h"
#include "vm/holder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTU_MIN 68
#define MTU_MAX 65535 /* all that 16 bits hold */

static struct net_config *find(const struct vm_config *config, const char *id)
{
	for (size_t i = 0; i < config->nr_nets; i++)
		if (strcmp(config->nets[i].iface_id, id) == 0)
			return &config->nets[i];
	return NULL;
}

static int check(const struct vm_config *config, const struct net_config *net,
		 struct err *err)
{
	const struct net_config *old = find(config, net->iface_id);

	for (size_t i = 0; i < config->nr_nets; i++) {
		const struct net_config *other = &config->nets[i];
		const uint8_t *mac = other->guest_mac;

		if (other == old || !net->has_mac || !other->has_mac ||
		    memcmp(mac, net->guest_mac, sizeof(net->guest_mac)) != 0)
			continue;
		return err_set(err, -EADDRINUSE,
			       "The MAC address is already in use: "
			       "%02x:%02x:%02x:%02x:%02x:%02x",
			       mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	}
	if (net->has_mtu && net->mtu < MTU_MIN)
		return err_set(err, -ERANGE,
			       "Could not create the network device: MTU %u is "
			       "out of range [%d, %d]",
			       net->mtu, MTU_MIN, MTU_MAX);
	if (net->vhost &&
	    (net->rx_rate_limiter.present || net->tx_rate_limiter.present))
		return err_set(err, -EINVAL,
			       "vhost and rate limiters do not go together: "
			       "the host kernel moves the frames, and limits "
			       "none");
	return 0;
}

static void find_holder(const struct vm_config *config, const char *name,
			char *text, size_t size)
{
	char mark[TAP_NAME_MAX + 3];

	for (size_t i = 0; i < config->nr_nets; i++) {
		const struct net_config *net = &config->nets[i];

		if (strcmp(net->host_dev_name, name) == 0) {
			(void)snprintf(text, size,
				       " by interface %.64s of this VM",
				       net->iface_id);
			return;
		}
	}
	/* As the tun driver has it in fdinfo. */
	(void)snprintf(mark, sizeof(mark), "\t%s\n", name);
	holder_find("iff:", mark, text, size);
}

/* What a person can do about it. */
static void explain(const struct vm_config *config, const char *name, int r,
		    struct err *err)
{
	char holder[192];

	switch (r) {
	case -ENAMETOOLONG:
		err_plain(err, "'%s' names no tap: at most %d characters", name,
			  TAP_NAME_MAX);
		break;
	case -ENODEV:
		err_plain(err,
			  "there is no tap %s: `sudo volt net add %s` "
			  "makes one, `volt net list` lists those that are "
			  "there",
			  name, name);
		break;
	case -ENETDOWN:
		err_plain(err, "the tap %s is down: `sudo ip link set %s up`",
			  name, name);
		break;
	case -EBUSY:
		find_holder(config, name, holder, sizeof(holder));
		err_plain(err, "the tap %s is in use%s", name,
			  holder[0] ? holder : " by another process");
		break;
	case -EPERM:
		err_plain(err,
			  "the tap %s is another user's: `sudo volt net "
			  "add %s` makes it yours",
			  name, name);
		break;
	case -EINVAL:
		err_plain(err,
			  "%s is no tap, or one with several queues: `sudo "
			  "volt net add NAME` makes one",
			  name);
		break;
	default:
		break;
	}
}

/* Firecracker's words, and a person's. */
static int open_failed(const struct vm_config *config, const char *name, int r,
		       const struct err *why, struct err *err)
{
	static const char prefix[] =
		"Could not create the network device: Open tap device failed:";

	switch (r) {
	case -ENAMETOOLONG:
		err_set(err, r, "%s Invalid interface name", prefix);
		break;
	case -EBUSY:
	case -EINVAL:
	case -EPERM:
	case -ENODEV:
	case -ENETDOWN:
		err_set(err, r,
			"%s Error while creating ifreq structure: %s (os "
			"error %d). Invalid TUN/TAP Backend provided by %s. "
			"Check our documentation on setting up the network "
			"devices.%s",
			prefix, err_name(r), -r, name,
			r == -EPERM    ? " `volt net add` makes a tap for "
					 "this user."
			: r == -EINVAL ? " It is no TAP, or one with several "
					 "queues."
				       : "");
		break;
	default:
		err_set(err, r, "%s %s; `volt doctor` tells what to do", prefix,
			why->text);
	}
	explain(config, name, r, err);
	return r;
}

static int open_tap(const struct vm_config *config, struct net_config *net,
		    struct err *err)
{
	struct err why = {0};
	int fd = config->taps_are_there ? tap_look(net->host_dev_name) : 0;

	if (fd == 0)
		fd = tap_open(net->host_dev_name, &why);
	if (fd < 0)
		return open_failed(config, net->host_dev_name, fd, &why, err);
	net->fd = fd;
	return 0;
}

static int open_vhost(struct net_config *net, struct err *err)
{
	int fd = net_vhost_open(err);

	if (fd < 0)
		return fd;
	net->vhost_fd = fd;
	return 0;
}

/* A tap has one user, ourselves included: the same name keeps its tap. */
static int attach(const struct vm_config *config, struct net_config *net,
		  struct net_config *old, struct err *err)
{
	if (!old || *net->host_dev_name == '\0' ||
	    strcmp(old->host_dev_name, net->host_dev_name) != 0)
		return open_tap(config, net, err);
	net->fd = fd_steal(&old->fd);
	return 0;
}

static struct net_config *append(struct vm_config *config)
{
	size_t bytes = (config->nr_nets + 1) * sizeof(*config->nets);
	struct net_config *nets = realloc(config->nets, bytes);

	if (!nets)
		return NULL;
	config->nets = nets;
	nets[config->nr_nets] = (struct net_config){
		.fd = -1,
		.vhost_fd = -1,
	};
	return &nets[config->nr_nets++];
}

int vm_config_put_net(struct vm_config *config, struct net_config *net,
		      struct err *err)
{
	struct net_config *place = find(config, net->iface_id);
	int r;

	net->fd = -1;
	net->vhost_fd = -1;
	r = check(config, net, err);
	if (r == 0 && net->vhost)
		r = open_vhost(net, err);
	if (r == 0)
		r = attach(config, net, place, err);
	if (r < 0) {
		fd_close(&net->vhost_fd);
		return r;
	}
	if (!place)
		place = append(config);
	if (!place) {
		fd_close(&net->fd);
		fd_close(&net->vhost_fd);
		return err_set(err, -ENOMEM, "Out of memory");
	}
	net_config_free(place);
	*place = *net;
	*net = (struct net_config){.fd = -1, .vhost_fd = -1};
	return 0;
}
