// SPDX-License-Identifier: Apache-2.0
/*
 * net_parse.c - names, addresses and marks of taps; no system call
 */
#include "cli/net.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MARK        "volt net"

#define PREFIX_MIN  8
#define PREFIX_MAX  30

#define PICK_BASE   0xac100001u /* 172.16.0.1 */
#define PICK_PREFIX 24
#define PICK_STEP   0x100u
#define PICK_NR     256u

static uint32_t mask_of(unsigned int prefix)
{
	return prefix ? ~0u << (32 - prefix) : 0;
}

static int bad_cidr(const char *text, struct err *err)
{
	return err_set(err, -EINVAL,
		       "'%s' is not an address with its network, such as "
		       "172.16.0.1/24",
		       text);
}

int net_parse_cidr(const char *text, struct net_cidr *cidr, struct err *err)
{
	const char *slash = strchr(text, '/');
	char host[INET_ADDRSTRLEN], *end;
	unsigned long prefix;
	struct in_addr in;
	uint32_t addr, mask;

	if (!slash || (size_t)(slash - text) >= sizeof(host) ||
	    !isdigit((unsigned char)slash[1]))
		return bad_cidr(text, err);
	(void)snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	prefix = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || inet_pton(AF_INET, host, &in) != 1)
		return bad_cidr(text, err);
	if (prefix < PREFIX_MIN || prefix > PREFIX_MAX)
		return err_set(err, -EINVAL,
			       "The network of '%s' has to be between /%d and "
			       "/%d",
			       text, PREFIX_MIN, PREFIX_MAX);
	addr = ntohl(in.s_addr);
	if (addr >> 24 == 0 || addr >> 24 == 127 || addr >> 28 >= 0xe)
		return err_set(err, -EINVAL,
			       "'%s' is no host's address: 0/8, 127/8, "
			       "multicast and what is above it are none",
			       text);
	mask = mask_of((unsigned int)prefix);
	if ((addr & ~mask) == 0 || (addr | mask) == ~0u)
		return err_set(err, -EINVAL,
			       "'%s' is the network itself or its broadcast "
			       "address; take a host's address in it",
			       text);
	cidr->addr = addr;
	cidr->prefix = (unsigned int)prefix;
	return 0;
}

int net_check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);
	bool good =
		len > 0 && len < IF_NAMESIZE && isalpha((unsigned char)name[0]);

	for (size_t i = 0; i < len && good; i++)
		good = isalnum((unsigned char)name[i]) ||
		       strchr("-_.", name[i]);
	if (!good)
		return err_set(err, -EINVAL,
			       "'%s' cannot name a tap: at most %d letters, "
			       "digits, '-', '_', '.', a letter first",
			       name, IF_NAMESIZE - 1);
	return 0;
}

bool net_overlap(const struct net_cidr *a, const struct net_cidr *b)
{
	uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

	return ((a->addr ^ b->addr) & mask) == 0;
}

static bool is_taken(const struct net_cidr *taken, size_t nr,
		     const struct net_cidr *cidr)
{
	for (size_t i = 0; i < nr; i++)
		if (net_overlap(&taken[i], cidr))
			return true;
	return false;
}

int net_pick_cidr(const struct net_cidr *taken, size_t nr,
		  struct net_cidr *cidr, struct err *err)
{
	for (uint32_t n = 0; n < PICK_NR; n++) {
		const struct net_cidr pick = {
			.addr = PICK_BASE + n * PICK_STEP,
			.prefix = PICK_PREFIX,
		};

		if (!is_taken(taken, nr, &pick)) {
			*cidr = pick;
			return 0;
		}
	}
	return err_set(err, -EADDRNOTAVAIL,
		       "No network 172.16.N.0/24 is free here; give one with "
		       "--address");
}

static bool net_parse_has_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (; *text; text += strcspn(text, " ")) {
		text += strspn(text, " ");
		if (strncmp(text, word, len) == 0 &&
		    (text[len] == ' ' || text[len] == '\0'))
			return true;
	}
	return false;
}

struct net_mark net_parse_mark(const char *alias)
{
	struct net_mark mark = {0};
	size_t len = strlen(MARK);

	if (strncmp(alias, MARK, len) != 0 ||
	    (alias[len] != ' ' && alias[len] != '\0'))
		return mark;
	mark.ours = true;
	mark.nat = net_parse_has_word(alias + len, "nat");
	mark.forwarding = net_parse_has_word(alias + len, "forwarding");
	return mark;
}

void net_format_mark(const struct net_mark *mark, char *out, size_t size)
{
	(void)snprintf(out, size, MARK "%s%s", mark->nat ? " nat" : "",
		       mark->forwarding ? " forwarding" : "");
}

void net_format_cidr(const struct net_cidr *cidr, char *out)
{
	(void)snprintf(out, NET_CIDR_TEXT_MAX, "%u.%u.%u.%u/%u",
		       cidr->addr >> 24, cidr->addr >> 16 & 0xff,
		       cidr->addr >> 8 & 0xff, cidr->addr & 0xff,
		       cidr->prefix & 0x3f);
}
