// SPDX-License-Identifier: Apache-2.0
/*
 * run_vm.c - a VM as a child of this process (run_vm.h)
 */
#include "cli/run_vm.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

bool run_vm_ended(struct run_vm *vm, int ms)
{
	struct pollfd p = {.fd = vm->pidfd, .events = POLLIN};
	int r;

	if (vm->pid == 0)
		return true;
	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0 || waitpid(vm->pid, &vm->status, 0) < 0)
		return false;
	vm->pid = 0;
	return true;
}

void run_vm_end(struct run_vm *vm)
{
	if (!run_vm_ended(vm, 0))
		(void)kill(vm->pid, SIGTERM);
	if (!run_vm_ended(vm, RUN_VM_TERM_MS)) {
		(void)kill(vm->pid, SIGKILL);
		(void)run_vm_ended(vm, -1);
	}
	fd_close(&vm->pidfd);
}

int run_vm_start(struct run_vm *vm, struct launch *launch,
		 const struct bounds *bounds, int out, void (*let_go)(void *),
		 void *ctx, const struct args_page *page)
{
	const pid_t self = getpid();
	int null, r;

	(void)fflush(NULL);
	vm->pid = fork();
	if (vm->pid < 0) {
		vm->pid = 0;
		return -errno;
	}
	if (vm->pid == 0) {
		if (let_go)
			let_go(ctx);
		null = open("/dev/null", O_RDONLY | O_CLOEXEC);
		(void)setsid();
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self || dup2(null, STDIN_FILENO) < 0 ||
		    (out >= 0 && dup2(out, STDOUT_FILENO) < 0))
			_exit(1);
		_exit(launch_exec(launch, bounds, page));
	}
	vm->pidfd = pidfd_open(vm->pid, 0);
	if (vm->pidfd >= 0)
		return 0;
	r = -errno;
	(void)kill(vm->pid, SIGKILL);
	(void)waitpid(vm->pid, NULL, 0);
	vm->pid = 0;
	return r;
}
