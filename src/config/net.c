// SPDX-License-Identifier: Apache-2.0
/*
 * net.c - a network interface enters the configuration
 *
 * The sentences are Firecracker's, so that clients which match them keep
 * working; what a person can do about it follows.
 */
#include "base/ip_rules.h"
#include "base/mac.h"
#include "config/fields.h"
#include "config/override.h"
#include "config/parts.h"
#include "config/words.h"
#include "host/holder.h"
#include "host/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MTU_MIN   68
#define MTU_MAX   65535 /* all that 16 bits hold */
#define LEFT      "/dev/fd/"

#define CONFIG_OF struct net_config

static int parse_mac(const char *text, void *value, struct err *err)
{
	if (mac_parse(text, value))
		return 0;
	return err_set(err, -EINVAL, "The provided MAC address is invalid.");
}

static void show_mac(const void *value, struct buf *out)
{
	const uint8_t *mac = value;

	buf_addf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", mac[0], mac[1],
		 mac[2], mac[3], mac[4], mac[5]);
}

const struct schema_parser config_mac = {parse_mac, show_mac};

#define BY_VALUE "the value itself is there, or not"
#define LIMITER(member_)                                                    \
	OBJECT(member_, OPTIONAL, OPTIONAL, OPTIONAL, &config_rate_limiter, \
	       HAS(member_.present))

/* clang-format off */
static const struct schema_field net_fields[] = {
	TEXT(iface_id, MUST, MUST, MUST),
	TEXT(host_dev_name, MUST, NO, MUST),
	PARSED(guest_mac, OPTIONAL, NO, MUST, &config_mac, HAS(has_mac)),
	NUMBER(mtu, OPTIONAL, NO, MUST, &schema_u16, HAS(has_mtu)),
	LIMITER(rx_rate_limiter),
	LIMITER(tx_rate_limiter),
	BOOL(vhost, SCHEMA_EXTRA | SCHEMA_OMIT, NO, MUST),
	TEXT(egress, MAY_NULL | SCHEMA_EXTRA | SCHEMA_OMIT, NO,
	     MAY_NULL | SCHEMA_OMIT),
	BOOL(has_mac, NOT(BY_VALUE), NO, MUST),
	BOOL(has_mtu, NOT(BY_VALUE), NO, MUST),
	OURS(fd, "opened anew by host_dev_name"),
	OURS(vhost_fd, "opened anew"),
	OURS(pending, "over when the guest runs"),
};
/* clang-format on */

const struct schema_object config_net =
	CONFIG_OBJECT("NetworkInterfaceConfig", net_fields, SCHEMA_WHOLE);
const struct schema_object config_net_patch =
	CONFIG_OBJECT("NetworkInterfaceUpdateConfig", net_fields, SCHEMA_PATCH);

static void net_init(void *item)
{
	*(struct net_config *)item = (struct net_config){
		.fd = -1,
		.vhost_fd = -1,
	};
}

void net_config_free(struct net_config *net)
{
	fd_close(&net->fd);
	fd_close(&net->vhost_fd);
	schema_free(&config_net, net);
	net_init(net);
}

static void free_net(void *item)
{
	net_config_free(item);
}

struct net_config *vm_config_find_net(const struct vm_config *config,
				      const char *id)
{
	for (size_t i = 0; i < config->nr_nets; i++)
		if (strcmp(config->nets[i].iface_id, id) == 0)
			return &config->nets[i];
	return NULL;
}

static int net_check_egress(const struct net_config *net, struct err *err)
{
	struct ip_rules *rules;
	int r;

	if (!net->egress)
		return 0;
	if (!net_config_is_socket(net->host_dev_name))
		return err_set(err, -EINVAL,
			       "`egress` is of a socket; what a tap lets "
			       "through is this host's firewall");
	r = ip_rules_new(net->egress, &rules, err);
	if (r < 0)
		return err_prefix(err, "`egress`: ");
	ip_rules_free(rules);
	return 0;
}

static int net_check(const struct vm_config *config,
		     const struct net_config *net, struct err *err)
{
	const struct net_config *old =
		vm_config_find_net(config, net->iface_id);

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
	if (net->vhost && net_config_is_socket(net->host_dev_name))
		return err_set(err, -EINVAL,
			       "vhost needs a tap, and %s is a socket",
			       net->host_dev_name);
	if (net->vhost &&
	    (net->rx_rate_limiter.present || net->tx_rate_limiter.present))
		return err_set(err, -EINVAL,
			       "vhost and rate limiters do not go together: "
			       "the host kernel moves the frames, and limits "
			       "none");
	return net_check_egress(net, err);
}

static void net_find_holder(const struct vm_config *config, const char *name,
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
	holder_find(config->opener, "iff:", mark, text, size);
}

/* A person wants to know who has it. */
static void name_holder(const struct vm_config *config, const char *name,
			struct err *err)
{
	char holder[192];

	net_find_holder(config, name, holder, sizeof(holder));
	err_plain(err, "the tap %s is in use%s", name,
		  holder[0] ? holder : " by another process");
}

/* Only who starts this process has left it something. */
static enum path_role role_of(const struct vm_config *config, const char *name)
{
	if (!net_config_is_socket(name))
		return config->taps_are_there ? PATH_TAP_READY : PATH_TAP;
	return config->taps_are_there && strncmp(name, LEFT, strlen(LEFT)) == 0
		       ? PATH_FRAMES_LEFT
		       : PATH_FRAMES;
}

int net_config_attach(const struct vm_config *config, const char *name,
		      unsigned int index, struct err *err)
{
	int fd = path_open_nth(config->opener, role_of(config, name), name,
			       index, err);

	if (fd == -EBUSY && !net_config_is_socket(name))
		name_holder(config, name, err);
	return fd;
}

static int open_vhost(const struct vm_config *config, struct net_config *net,
		      struct err *err)
{
	net->vhost_fd = path_open(config->opener, PATH_VHOST_NET, NULL, err);
	return net->vhost_fd < 0 ? net->vhost_fd : 0;
}

/* A tap has one user, ourselves included: the same name keeps its tap. */
static int attach(const struct vm_config *config, struct net_config *net,
		  struct net_config *old, unsigned int index, struct err *err)
{
	if (net->pending)
		return 0;
	if (!old || *net->host_dev_name == '\0' ||
	    strcmp(old->host_dev_name, net->host_dev_name) != 0) {
		net->fd = net_config_attach(config, net->host_dev_name, index,
					    err);
		return net->fd < 0 ? net->fd : 0;
	}
	net->fd = fd_steal(&old->fd);
	return 0;
}

static struct net_config *net_append(struct vm_config *config)
{
	size_t bytes = (config->nr_nets + 1) * sizeof(*config->nets);
	struct net_config *nets = realloc(config->nets, bytes);

	if (!nets)
		return NULL;
	config->nets = nets;
	net_init(&nets[config->nr_nets]);
	return &nets[config->nr_nets++];
}

int vm_config_put_net(struct vm_config *config, struct net_config *net,
		      unsigned int index, struct err *err)
{
	struct net_config *place = vm_config_find_net(config, net->iface_id);
	int r;

	net->fd = -1;
	net->vhost_fd = -1;
	r = net_check(config, net, err);
	if (r == 0 && net->vhost)
		r = open_vhost(config, net, err);
	if (r == 0)
		r = attach(config, net, place, index, err);
	if (r < 0) {
		fd_close(&net->vhost_fd);
		return r;
	}
	if (!place)
		place = net_append(config);
	if (!place) {
		fd_close(&net->fd);
		fd_close(&net->vhost_fd);
		return err_set(err, -ENOMEM, "Out of memory");
	}
	net_config_free(place);
	*place = *net;
	net_init(net);
	return 0;
}

static const struct config_word net_word_list[] = {
	CONFIG_NET_WORDS(CONFIG_WORD_ROW)};
static const struct config_words net_words = {
	.flag = "net",
	.usage = CONFIG_NET_WORDS(CONFIG_WORD_USAGE),
	.object = &config_net,
	.words = net_word_list,
	.nr = ARRAY_SIZE(net_word_list),
};

int config_net_set(const char *text, unsigned int index,
		   struct vm_config *config, struct err *err)
{
	struct net_config net;
	int r;

	net_init(&net);
	if (asprintf(&net.iface_id, "net%u", index) < 0) {
		net.iface_id = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	r = config_words_parse(&net_words, text, &net, err);
	if (r == 0 && net.host_dev_name && *net.host_dev_name)
		r = vm_config_put_net(config, &net, 0, err);
	else if (r == 0)
		r = err_set(err, -EINVAL, "--net: no tap in '%s'; expected %s",
			    text, net_words.usage);
	net_config_free(&net);
	return r;
}

static int net_open_restored(struct vm_config *config, void *item,
			     unsigned int index,
			     const struct config_overrides *overrides,
			     struct err *err)
{
	struct net_config *net = item;
	const bool named =
		config_override_of(&config_part_nets, net, overrides) != NULL;

	/* One that an override names has its name already. */
	net->pending = overrides->lease && !named;
	/* Here that number is of something else, if of anything. */
	if (!net->pending && !named &&
	    strncmp(net->host_dev_name, LEFT, strlen(LEFT)) == 0)
		return err_set(err, -EINVAL,
			       "Interface %s was at a descriptor that its VM "
			       "was left: a restore has to name another socket "
			       "(`network_overrides`, --net ID=SOCKET)",
			       net->iface_id);
	return vm_config_put_net(config, net, index, err);
}

const struct config_part config_part_nets = {
	.key = "network-interfaces",
	.saved = "nets",
	.whole = &config_net,
	.offset = offsetof(struct vm_config, nets),
	.nr = offsetof(struct vm_config, nr_nets),
	.id = offsetof(struct net_config, iface_id),
	.host = offsetof(struct net_config, host_dev_name),
	.init = net_init,
	.open = net_open_restored,
	.close = free_net,
};
