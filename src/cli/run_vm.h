/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_vm.h - a VM as a child of this process
 *
 * It is a session of its own, so that keys of this terminal are not its, and
 * ends with this process, however that ends (PR_SET_PDEATHSIG).
 */
#pragma once

#include "cli/launch.h"

/**
 * struct run_vm - the child
 * @pid:	0: it has ended, and @status is how
 */
struct run_vm {
	pid_t pid;
	int pidfd;
	int status;
};

#define RUN_VM_TERM_MS 5000

/**
 * run_vm_start() - fork, and have the child become volt-vmm
 * @out:	its standard output, or -1: this process's
 * @let_go:	called in the child, with @ctx, to close what is not the VM's;
 *		may be NULL
 *
 * Return: 0 or -errno.
 */
int run_vm_start(struct run_vm *vm, struct launch *launch,
		 const struct bounds *bounds, int out, void (*let_go)(void *),
		 void *ctx, const struct args_page *page) __must_check;

/* Has it ended within @ms? -1: wait as long as it takes. */
bool run_vm_ended(struct run_vm *vm, int ms);

/* SIGTERM, then SIGKILL, unless it has ended. */
void run_vm_end(struct run_vm *vm);
