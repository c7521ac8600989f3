/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resumed.h - a guest that was restored is told so
 *
 * By `volt restore`; where that left it paused, by `volt resume`; in a lease,
 * by `volt pool lease --agent`, which waits for it.
 *
 * The VM is volt-vmm itself, which this process becomes; so a process of its
 * own waits for the guest's agent, at the socket where `volt exec NAME` would
 * look for it, gives it the clock and random numbers of this host, and has it
 * run the image's hooks (agent/hooks.h). It ends with the VM, or after
 * RESUMED_MS: a guest without an agent has nobody who would hear it.
 */
#pragma once

#include "cli/guest.h"

#define RESUMED_MS 30000

/* Clock and random numbers of this host into @setup. Return: 0, or -errno with
 * a sentence. */
int resumed_fill(struct agent_setup *setup, struct err *err) __must_check;

/* Tell a guest that runs, whose vsock device is at @path; @met: it has an
 * agent. Return: 0, or -errno with a sentence. */
int resumed_tell(const char *path, bool *met, struct err *err) __must_check;

/* Fork who tells the guest of VM @name, when it is there; whose API is at
 * @socket. */
void resumed_tell_later(const char *name, const char *socket);
