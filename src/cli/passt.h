/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passt.h - passt(1): a guest's network by sockets of this user
 *
 * Theory of operation
 *
 * passt takes a guest's frames from a socket and opens connections for them, as
 * this user, without any privilege. It is Debian's package. Volt gives it one
 * end of a socket pair and volt-vmm the other one; nothing has a name, so
 * nobody else connects.
 *
 *   ready   it has bound its ports and taken its sandbox; then the process that
 *           was started ends with 0, and another one stays
 *   end     the last copy of the other end is closed: volt-vmm has ended,
 *           however that was. So nobody has to know its pid
 *
 * The options are those that Debian 12's passt (2023-03-09) and later ones
 * have.
 */
#pragma once

#include "base/err.h"

#include <netinet/in.h>

#define PASST_PUBLISH_MAX 64u

/**
 * struct passt_port - a port of this host that leads to the guest's
 * @text:	as it was given, for sentences
 */
struct passt_port {
	const char *text;
	struct in_addr address;
	uint16_t host;
	uint16_t guest;
	bool udp;
};

/**
 * struct passt_wish - what it is to do
 * @guest, @gateway, @dns:	addresses of a /24
 * @host:	the gateway's address leads to this host's loopback
 * @dhcp:	nobody else tells the guest its address
 */
struct passt_wish {
	struct in_addr guest;
	struct in_addr gateway;
	struct in_addr dns;
	const struct passt_port *ports;
	size_t nr_ports;
	bool host;
	bool dhcp;
};

/* "[ADDRESS:]PORT:GUEST-PORT[/udp]", 127.0.0.1 without an address. Return: 0,
 * or -EINVAL with a sentence. */
int passt_parse_port(const char *text, struct passt_port *port,
		     struct err *err) __must_check;

/**
 * passt_start() - start it, and wait until it is ready
 *
 * Return: volt-vmm's end of its socket, close-on-exec; -EADDRINUSE, -ENOENT or
 * -errno with a sentence.
 */
int passt_start(const struct passt_wish *wish, struct err *err) __must_check;
