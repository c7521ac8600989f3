// SPDX-License-Identifier: Apache-2.0
/*
 * ip_rules.c - which addresses may be reached (ip_rules.h)
 */
#include "base/ip_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_TEXT_MAX 64u /* longer than any */
#define SPACE         " "

/**
 * struct ip_rule - a word
 * @bits:	how many of @addr count
 * @port:	0: all, and what has none
 */
struct ip_rule {
	uint8_t addr[16];
	uint16_t port;
	uint8_t bits;
	bool v6;
	bool pass;
};

struct ip_rules {
	size_t nr;
	struct ip_rule rule[];
};

/* Digits up to the end. Return: false: none, or more than @max. */
static bool rule_number(const char *text, unsigned long max,
			unsigned long *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*value = strtoul(text, &end, 10);
	return *end == '\0' && *value <= max;
}

/* The part behind @mark, which it is cut off at. Return: NULL: none. */
static char *rule_cut(char *text, char mark)
{
	char *at = strchr(text, mark);

	if (!at)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* @text: a word, which is changed. */
static bool rule_parse(char *text, struct ip_rule *rule)
{
	const char *port = rule_cut(text, '@');
	const char *bits = rule_cut(text, '/');
	unsigned long value, most;

	*rule = (struct ip_rule){
		.pass = text[0] == '+',
		.v6 = strchr(text, ':') != NULL,
	};
	if (text[0] != '+' && text[0] != '-')
		return false;
	if (inet_pton(rule->v6 ? AF_INET6 : AF_INET, text + 1, rule->addr) != 1)
		return false;
	most = rule->v6 ? 128 : 32;
	value = most;
	if (bits && !rule_number(bits, most, &value))
		return false;
	rule->bits = (uint8_t)value;
	value = 0;
	if (port && (!rule_number(port, UINT16_MAX, &value) || value == 0))
		return false;
	rule->port = (uint16_t)value;
	return true;
}

static size_t rule_count(const char *text)
{
	size_t nr = 0;

	for (text += strspn(text, SPACE); *text; nr++) {
		text += strcspn(text, SPACE);
		text += strspn(text, SPACE);
	}
	return nr;
}

int ip_rules_new(const char *text, struct ip_rules **out, struct err *err)
{
	size_t nr = rule_count(text), i = 0;
	struct ip_rules *rules;

	if (nr > IP_RULES_MAX)
		return err_set(err, -E2BIG, "There are %zu rules, more than %u",
			       nr, IP_RULES_MAX);
	rules = malloc(sizeof(*rules) + nr * sizeof(rules->rule[0]));
	if (!rules)
		return err_set(err, -ENOMEM, "Out of memory");
	for (text += strspn(text, SPACE); *text; i++) {
		int len = (int)strcspn(text, SPACE);
		char word[RULE_TEXT_MAX];

		(void)snprintf(word, sizeof(word), "%.*s", len, text);
		if ((size_t)len >= sizeof(word) ||
		    !rule_parse(word, &rules->rule[i])) {
			free(rules);
			return err_set(err, -EINVAL,
				       "'%.*s' is no rule: + or -, an address, "
				       "/BITS, @PORT, as in -10.0.0.0/8",
				       len < 64 ? len : 64, text);
		}
		text += len;
		text += strspn(text, SPACE);
	}
	rules->nr = nr;
	*out = rules;
	return 0;
}

void ip_rules_free(struct ip_rules *rules)
{
	free(rules);
}

static bool rule_covers(const struct ip_rule *rule, const uint8_t *addr)
{
	size_t whole = rule->bits / 8;
	unsigned int left = rule->bits % 8;

	if (memcmp(rule->addr, addr, whole) != 0)
		return false;
	return left == 0 ||
	       (rule->addr[whole] ^ addr[whole]) >> (8 - left) == 0;
}

bool ip_rules_pass(const struct ip_rules *rules, const struct ip_packet *packet)
{
	for (size_t i = 0; i < rules->nr; i++) {
		const struct ip_rule *rule = &rules->rule[i];

		if (rule->v6 == packet->v6 &&
		    (rule->port == 0 || rule->port == packet->port) &&
		    rule_covers(rule, packet->to))
			return rule->pass;
	}
	return true;
}
