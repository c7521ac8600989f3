/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - who outlives a VM, to write its console's log and remove its
 * cgroups (theory of operation: bounds.h)
 */
#pragma once

#include "cli/vm_cgroup.h"
#include "vms/console_log.h"

#include <sys/types.h>

/**
 * struct keeper - what it has to do
 * @console:	a pipe's end to read; -1: the console has no log
 * @temporary:	the log goes when the VM has gone
 */
struct keeper {
	int console;
	bool temporary;
	struct console_log log;
	struct vm_cgroup cgroup;
};

/**
 * keeper_start() - fork it; it goes on until this process has ended
 *
 * Return: its number, or -errno with a sentence.
 */
pid_t keeper_start(struct keeper *keeper, struct err *err) __must_check;
