/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lock.h - volt-pager locks itself
 *
 * Theory of operation
 *
 * Behind serve_lock() the process opens, reaches and starts nothing: Landlock
 * denies every path, port and stranger, and a filter lets pass only what
 * serving needs; any other call ends the process, and so the VM. What the
 * filter permits is lock.c's table. The table of volt-vmm (sandbox/calls.h) is
 * not used: this is another program with another C library, and no instruction
 * of its filter shall be in a VM's process.
 *
 * A kernel without Landlock, or without seccomp, is refused: who wants to serve
 * there all the same runs a handler of his own.
 */
#pragma once

#include "base/err.h"

/* For good. Return: 0 or -errno with a sentence. */
int serve_lock(struct err *err) __must_check;
