/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mac.h - Ethernet addresses as text
 */
#pragma once

#include "base/bits.h"

#define MAC_BYTES 6u

/* "06:00:ac:10:00:02", any case. Return: false, @mac untouched, for others. */
bool mac_parse(const char *text, uint8_t mac[static MAC_BYTES]);
