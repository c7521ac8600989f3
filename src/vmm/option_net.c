// SPDX-License-Identifier: Apache-2.0
/*
 * option_net.c - --net tap=NAME[,mac=MAC][,mtu=N][,vhost]
 */
#include "base/mac.h"
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int bad(struct err *err, const char *what, const char *word)
{
	return err_set(err, -EINVAL,
		       "--net: %s '%s'; expected "
		       "tap=NAME[,mac=06:00:00:00:00:01][,mtu=1500][,vhost]",
		       what, word);
}

static int set_mtu(struct net_config *net, const char *text, struct err *err)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || !isdigit((unsigned char)*text) || *end || n > UINT16_MAX)
		return bad(err, "no MTU:", text);
	net->has_mtu = true;
	net->mtu = (uint16_t)n;
	return 0;
}

static int set_word(struct net_config *net, const char *word, struct err *err)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value++ - word) : strlen(word);

	if (!value) {
		net->vhost = strcmp(word, "vhost") == 0;
		return net->vhost ? 0 : bad(err, "unknown word", word);
	}
	if (len == 3 && memcmp(word, "tap", 3) == 0) {
		free(net->host_dev_name);
		net->host_dev_name = strdup(value);
		return net->host_dev_name
			       ? 0
			       : err_set(err, -ENOMEM, "Out of memory");
	}
	if (len == 3 && memcmp(word, "mac", 3) == 0) {
		net->has_mac = mac_parse(value, net->guest_mac);
		return net->has_mac ? 0 : bad(err, "no MAC address:", value);
	}
	if (len == 3 && memcmp(word, "mtu", 3) == 0)
		return set_mtu(net, value, err);
	return bad(err, "unknown word", word);
}

static int parse(struct net_config *net, const char *text, struct err *err)
{
	cleanup_free char *words = strdup(text);
	char *save = NULL;
	int r = words ? 0 : err_set(err, -ENOMEM, "Out of memory");

	for (char *word = words ? strtok_r(words, ",", &save) : NULL;
	     word && r == 0; word = strtok_r(NULL, ",", &save))
		r = option_key_again(text, (size_t)(word - words))
			    ? err_set(err, -EINVAL,
				      "--net %s: '%.*s' is given twice", text,
				      (int)strcspn(word, "="), word)
			    : set_word(net, word, err);
	if (r == 0 && (!net->host_dev_name || !*net->host_dev_name))
		r = bad(err, "no tap in", text);
	return r;
}

int option_net_apply(const char *text, unsigned int index,
		     struct vm_config *config, struct err *err)
{
	struct net_config net = {.fd = -1, .vhost_fd = -1};
	char id[16];
	int r;

	(void)snprintf(id, sizeof(id), "net%u", index);
	net.iface_id = strdup(id);
	r = net.iface_id ? parse(&net, text, err)
			 : err_set(err, -ENOMEM, "Out of memory");
	if (r == 0)
		r = vm_config_put_net(config, &net, 0, err);
	net_config_free(&net);
	return r;
}
