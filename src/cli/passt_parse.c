// SPDX-License-Identifier: Apache-2.0
/*
 * passt_parse.c - ports of --publish (passt.h)
 */
#include "cli/passt.h"

#include "base/args.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Digits up to @end. */
static bool passt_number(const char *text, const char *end, uint16_t *port)
{
	uint64_t value;
	char digits[8];

	if (end - text >= (ptrdiff_t)sizeof(digits))
		return false;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)(end - text), text);
	if (!args_number(digits, 1, UINT16_MAX, &value))
		return false;
	*port = (uint16_t)value;
	return true;
}

static bool passt_take_port(const char *text, struct passt_port *port)
{
	const char *end = strchrnul(text, '/'), *colon, *guest;
	char address[INET_ADDRSTRLEN];

	*port = (struct passt_port){
		.text = text,
		.address.s_addr = htonl(INADDR_LOOPBACK),
		.udp = strcmp(end, "/udp") == 0,
	};
	if (*end && !port->udp && strcmp(end, "/tcp") != 0)
		return false;
	guest = memrchr(text, ':', (size_t)(end - text));
	if (!guest || !passt_number(guest + 1, end, &port->guest))
		return false;
	colon = memrchr(text, ':', (size_t)(guest - text));
	if (!passt_number(colon ? colon + 1 : text, guest, &port->host))
		return false;
	if (!colon)
		return true;
	if (colon - text >= (ptrdiff_t)sizeof(address))
		return false;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(colon - text),
		       text);
	return inet_pton(AF_INET, address, &port->address) == 1;
}

int passt_parse_port(const char *text, struct passt_port *port, struct err *err)
{
	if (passt_take_port(text, port))
		return 0;
	return err_set(err, -EINVAL,
		       "--publish takes [ADDRESS:]PORT:GUEST-PORT[/udp], as "
		       "8080:80 or 0.0.0.0:53:53/udp, not '%s'",
		       text);
}
