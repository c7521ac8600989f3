/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine.h - what a session does to the whole guest (session.h)
 */
#pragma once

#include "agent/wire.h"

/* Clock, name, random numbers and /etc/resolv.conf. Return: 0 or -errno. */
int machine_setup(const struct agent_setup *setup);

/**
 * machine_freeze() - each file system on a device, or thaw them
 *
 * What cannot be frozen (a tmpfs) is in memory, and passed over. Return: 0 or
 * the first -errno; false thaws them all, whatever happens.
 */
int machine_freeze(bool on);

/* Ask the first process for the end. */
void machine_ask_end(void);

/* End all processes, sync, restart. Of the first process alone. */
void machine_end(void) __attribute__((noreturn));
