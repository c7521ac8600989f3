/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_pids.h - a VM in a PID namespace of its own, without root
 *
 * Theory of operation
 *
 * A process cannot enter a PID namespace and start threads, so it is `volt`
 * that makes it, for --isolate, before volt-vmm is there:
 *
 *   volt        waits; what it is sent it sends on, and it ends as the VM does
 *     |- 1      volt-init: takes orphans, and is gone when volt is
 *     '- 2      volt-vmm, with the gate as its child
 *
 * Both children are of the new namespace. volt-vmm is the second process of it
 * and not the first, which no signal ends that it sends itself: an end by
 * SIGTERM or abort() is one as ever. When the first one ends the kernel kills
 * all the others, so nothing is left of a VM whose `volt` was killed.
 *
 * Inside no process of the host has a number: not to be signalled, looked at,
 * or waited for. From outside all is as without: `volt ps` and `volt stop` see
 * volt-vmm by its number there.
 *
 * Where this user may make no PID namespace he makes a user namespace for it,
 * in which he is who he was. A host may deny that as well.
 *
 * The terminal. In the foreground volt-vmm stays in this process's group, so
 * that keys reach it as they did; in the background it gets one of its own, as
 * inside the namespace the groups of outside are all the same number.
 *
 * Sources: pid_namespaces(7), user_namespaces(7), credentials(7).
 */
#pragma once

#include "base/err.h"

/**
 * own_pids_enter() - go on as the second process of a new PID namespace
 * @code:	in the process that was there before, when all is over: its exit
 *		code. It ends by the VM's signal, if that ended by one
 *
 * Call it when the process has one thread.
 *
 * Return: 1 in the new process, which becomes the VM; 0 in the old one at the
 * VM's end; -errno with a sentence when there is no such namespace to be had:
 * nothing has happened then.
 */
int own_pids_enter(int *code, struct err *err) __must_check;
