// SPDX-License-Identifier: Apache-2.0
/*
 * steps.c - count a VMM's instructions up to its first KVM_RUN
 *
 * Theory of operation: the command runs under ptrace(2), one instruction after
 * the other, in all of its threads; a process that it forks runs free. Each
 * stop is an instruction of user space. When a thread is about to ask for
 * KVM_RUN the command is killed. Addresses are not random, so that two runs
 * differ by little more than who waits for whom. Slow (some 100,000
 * instructions a second), but it needs no counters of the processor, which a
 * virtual host seldom has, and knows every instruction, the C library's too.
 *
 * Usage: steps COMMAND [ARGUMENT...]
 * Prints one line: the number. Nothing from standard input reaches the command.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define KVM_RUN_NR 0xae80u

static _Noreturn void run_command(char **argv)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0)
		err(2, "/dev/null");
	(void)personality(ADDR_NO_RANDOMIZE);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		err(2, "ptrace");
	execvp(argv[0], argv);
	err(2, "%s", argv[0]);
}

/* Is @thread in front of that call, or of one that says the same? */
static bool wants_to_run(pid_t thread)
{
	struct user_regs_struct regs;

	return ptrace(PTRACE_GETREGS, thread, NULL, &regs) == 0 &&
	       regs.rax == SYS_ioctl && regs.rsi == KVM_RUN_NR;
}

/* A thread that has ended meanwhile is nobody's loss. */
static void step(pid_t thread, int sig)
{
	(void)ptrace(PTRACE_SINGLESTEP, thread, NULL, (void *)(intptr_t)sig);
}

static uint64_t count(pid_t command)
{
	uint64_t steps = 0;
	int status;

	for (;;) {
		pid_t thread = waitpid(-1, &status, __WALL);

		if (thread < 0)
			err(2, "wait");
		if (!WIFSTOPPED(status)) {
			if (thread == command)
				errx(2, "the command ended before KVM_RUN");
			continue;
		}
		if (WSTOPSIG(status) == SIGTRAP && status >> 16 == 0) {
			steps++;
			if (wants_to_run(thread))
				return steps;
		}
		/* A new thread begins with a SIGSTOP of ours. */
		step(thread,
		     WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP
			     ? 0
			     : WSTOPSIG(status));
	}
}

int main(int argc, char **argv)
{
	pid_t command;
	int status;

	if (argc < 2)
		errx(2, "usage: steps COMMAND...");
	command = fork();
	if (command < 0)
		err(2, "fork");
	if (command == 0)
		run_command(argv + 1);
	if (waitpid(command, &status, 0) != command || !WIFSTOPPED(status))
		errx(2, "%s: not started", argv[1]);
	if (ptrace(PTRACE_SETOPTIONS, command, NULL,
		   (void *)(intptr_t)(PTRACE_O_TRACECLONE |
				      PTRACE_O_EXITKILL)) < 0)
		err(2, "ptrace");
	step(command, 0);
	printf("%llu\n", (unsigned long long)count(command));
	fflush(stdout);
	kill(command, SIGKILL);
	return 0;
}
