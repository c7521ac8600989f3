/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - what a signal does to volt-vmm
 *
 * Theory of operation
 *
 * Two kinds of signal end the process, each with Firecracker's exit code:
 *
 * - Sent by somebody (SIGTERM, SIGINT, SIGHUP, or any other by kill): the
 *   handler notes the number and wakes the loop, and the VMM thread ends the VM
 *   in order: terminal restored, last metrics line, socket removed. SIGTERM and
 *   SIGINT then end the process by that very signal, as a client that sent it
 *   expects to see; a second one waits until then.
 * - Raised by a fault of ours (SIGBUS, SIGSEGV, SIGILL, SIGSYS): nothing can be
 *   trusted. The handler writes one line, restores the terminal and leaves with
 *   _exit(). That of a SIGSYS by which a seccomp filter stops a call names call
 *   and thread, and a line of metrics counts it. A SIGBUS inside guest memory
 *   names the file that was truncated; a SIGSEGV there is the end of a VM whose
 *   memory's handler is gone (pager/uffd.h).
 *
 * - SIGABRT: an assertion found our own state wrong, and libc has said on
 * stderr which; or somebody sent it. The process ends by that signal, with the
 * core that a debugger wants. A console that made the terminal raw has a
 * handler that gives it back.
 *
 * SIGPIPE and the kernel's own SIGXFSZ end nothing: the write that caused them
 * fails with an error that its caller handles.
 */
#pragma once

#include "vm/vm.h"

/* Handlers and the loop source behind them. Once per process, for as long as it
 * lives: a signal that comes after the VM's end changes nothing any more.
 * Return: 0 or -errno with a sentence. */
int signals_install(struct vm *vm, struct err *err) __must_check;

/* Return: the signal that asked for the end and should be died by, or 0. */
int signals_final(void);

/* Die by that signal: its action is the default by now. Returns only if the
 * process outlives it, as the first of a pid namespace does. */
void signals_die(int sig);

/* Show how often each came. @metrics may be NULL. Return: 0 or -ENOMEM. */
int signals_add_counters(struct metrics *metrics) __must_check;
