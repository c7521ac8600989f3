// SPDX-License-Identifier: Apache-2.0
/*
 * init.c - the first process of a guest whose way to /init is timed
 *
 * Theory of operation: its first act is the mark that bench/run waits for, so
 * that no shell's start is in the figure. Then it restarts the machine, which
 * ends the VM, or with the argument "stay" it waits for ever, for what KVM
 * counted until then. Freestanding, as src/kernel/guest/init.c is, and for its
 * reason: a C library's own start would be timed.
 */
#include <asm/unistd_64.h>
#include <linux/reboot.h>

static const char mark[] = "VOLT-INIT\n";

static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return r;
}

void begin(const long *stack);

/* @stack: the number of arguments, and pointers to them. */
void begin(const long *stack)
{
	const char *how = stack[0] > 1 ? (const char *)stack[2] : "";

	(void)call(__NR_write, 1, (long)mark, sizeof(mark) - 1, 0);
	while (how[0] == 's')
		(void)call(__NR_pause, 0, 0, 0, 0);
	(void)call(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		   LINUX_REBOOT_CMD_RESTART, 0);
}

__asm__(".globl _start\n"
	"_start:\n\t"
	"mov %rsp, %rdi\n\t"
	"call begin\n\t"
	"ud2\n");
