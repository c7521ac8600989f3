/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - the guest's first interface, as the kernel's command line says
 *
 * volt.net=ADDRESS/BITS,GATEWAY: IPv4, static. Who starts the VM knows what is
 * at the other end, so nobody has to ask around for it.
 */
#pragma once

#include "base/err.h"

/* Waits for the interface, which a driver has just made. Return: 0, or -errno
 * with a sentence. */
int agent_net_up(const char *word, struct err *err) __must_check;
