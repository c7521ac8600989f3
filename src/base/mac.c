// SPDX-License-Identifier: Apache-2.0
/*
 * mac.c - Ethernet addresses as text
 */
#include "base/mac.h"

#include <ctype.h>
#include <stdlib.h>

#define TEXT_LEN (3 * MAC_BYTES - 1)

bool mac_parse(const char *text, uint8_t mac[static MAC_BYTES])
{
	for (size_t i = 0; i < TEXT_LEN; i++)
		if (i % 3 == 2 ? text[i] != ':'
			       : !isxdigit((unsigned char)text[i]))
			return false;
	if (text[TEXT_LEN] != '\0')
		return false;
	for (size_t i = 0; i < MAC_BYTES; i++)
		mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
	return true;
}
