/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ip_rules.h - which addresses may be reached
 *
 * As text, words between spaces: '+' lets through, '-' does not; then an
 * address, of IPv4 or IPv6, or the first of a network with "/BITS"; then maybe
 * "@PORT": of TCP and UDP to that port alone.
 *
 *   +10.0.2.3@53 -10.0.2.0/24 -127.0.0.0/8 -::/0
 *
 * The first word that fits decides; what none fits is let through.
 */
#pragma once

#include "base/err.h"

#define IP_RULES_MAX 4096u

struct ip_rules;

/**
 * struct ip_packet - what the rules look at
 * @to:		4 bytes, or 16 with @v6
 * @port:	the destination's; 0: it has none
 */
struct ip_packet {
	const uint8_t *to;
	uint16_t port;
	bool v6;
};

/**
 * ip_rules_new() - the rules that @text says
 *
 * Return: 0; -EINVAL, -E2BIG or -ENOMEM with a sentence.
 */
int ip_rules_new(const char *text, struct ip_rules **out,
		 struct err *err) __must_check;
void ip_rules_free(struct ip_rules *rules);

bool ip_rules_pass(const struct ip_rules *rules,
		   const struct ip_packet *packet);
