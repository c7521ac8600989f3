// SPDX-License-Identifier: Apache-2.0
/*
 * lock.c - volt-pager locks itself (theory of operation: lock.h)
 */
#include "serve/lock.h"

#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A sanitizer's run-time makes what calls it likes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOCK_FILTERS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LOCK_FILTERS 0
#endif
#endif
#ifndef LOCK_FILTERS
#define LOCK_FILTERS 1
#endif

/**
 * struct lock_call - a call that is permitted
 * @arg:	1 or 2: this argument has to be @value (@mask 0), or to have no
 *		bit of @mask; 0: any arguments
 */
struct lock_call {
	unsigned int nr;
	unsigned int arg;
	uint32_t value;
	uint32_t mask;
};

static const struct lock_call lock_calls[] = {
	/* What the guest waits for. */
	{__NR_ioctl, 1, (uint32_t)UFFDIO_COPY, 0},
	{__NR_ioctl, 1, (uint32_t)UFFDIO_ZEROPAGE, 0},
	{__NR_ioctl, 1, (uint32_t)UFFDIO_WAKE, 0},
	{__NR_read, 0, 0, 0},    /* of the userfaultfd */
	{__NR_preadv2, 0, 0, 0}, /* of memory files */
	{__NR_poll, 0, 0, 0},
	/* The VMM's message. */
	{__NR_recvmsg, 0, 0, 0},
	{__NR_fcntl, 1, F_SETFL, 0},
	/* A record, a sentence, the figures. */
	{__NR_pwritev2, 0, 0, 0},
	{__NR_ftruncate, 0, 0, 0},
	{__NR_write, 0, 0, 0},
	/* Memory; nothing is made executable. */
	{__NR_mmap, 2, 0, PROT_EXEC},
	{__NR_mprotect, 2, 0, PROT_EXEC},
	{__NR_munmap, 0, 0, 0},
	{__NR_mremap, 0, 0, 0},
	{__NR_madvise, 0, 0, 0},
	{__NR_brk, 0, 0, 0},
	/* The C library, and the end. */
	{__NR_clock_gettime, 0, 0, 0},
	{__NR_fstat, 0, 0, 0},
	{__NR_futex, 0, 0, 0},
	{__NR_getrandom, 0, 0, 0}, /* glibc's malloc() */
	{__NR_rt_sigprocmask, 0, 0, 0},
	{__NR_rt_sigreturn, 0, 0, 0},
	{__NR_restart_syscall, 0, 0, 0},
	{__NR_close, 0, 0, 0},
	{__NR_exit_group, 0, 0, 0},
};

#define LOCK_HEAD 3u
/* A call takes five instructions at most. */
#define LOCK_MAX  (LOCK_HEAD + 5 * ARRAY_SIZE(lock_calls) + 1)
#define LOCK_NR   ((uint32_t)offsetof(struct seccomp_data, nr))
#define LOCK_ARCH ((uint32_t)offsetof(struct seccomp_data, arch))
/* The lower half: each argument above is an int to the kernel. */
#define LOCK_ARG(n) \
	((uint32_t)(offsetof(struct seccomp_data, args) + (size_t)8 * (n)))

static size_t lock_put(struct sock_filter *to, const struct lock_call *call)
{
	const struct sock_filter allow =
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	size_t n = 0;

	to[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					       call->nr, 0, call->arg ? 4 : 1);
	if (call->arg == 0) {
		to[n++] = allow;
		return n;
	}
	to[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       LOCK_ARG(call->arg));
	to[n++] =
		call->mask
			? (struct sock_filter)BPF_JUMP(
				  BPF_JMP | BPF_JSET | BPF_K, call->mask, 1, 0)
			: (struct sock_filter)BPF_JUMP(
				  BPF_JMP | BPF_JEQ | BPF_K, call->value, 0, 1);
	to[n++] = allow;
	/* The next row looks at the number again. */
	to[n++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOCK_NR);
	return n;
}

static int lock_filter(void)
{
	struct sock_filter code[LOCK_MAX] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOCK_ARCH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	size_t n = LOCK_HEAD;
	struct sock_fprog program = {.filter = code};

	code[n++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOCK_NR);
	for (size_t i = 0; i < ARRAY_SIZE(lock_calls); i++)
		n += lock_put(code + n, &lock_calls[i]);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						 SECCOMP_RET_KILL_PROCESS);
	program.len = (unsigned short)n;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
		       ? -errno
		       : 0;
}

static int lock_all(void)
{
	unsigned int abi = landlock_abi();
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	if (abi == 0)
		return -EOPNOTSUPP;
	r = landlock_lock(abi, true);
	return r == 0 && LOCK_FILTERS ? lock_filter() : r;
}

int serve_lock(struct err *err)
{
	int r = lock_all();

	return r < 0 ? err_set(err, r,
			       "This host cannot lock volt-pager (%s): it needs "
			       "Landlock and seccomp",
			       err_name(r))
		     : 0;
}
