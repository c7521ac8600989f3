/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h - cmocka with what it wants included before it, in its order
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <sys/single_threaded.h>
#endif

/* Is this a build with a sanitizer, whose run-time makes calls of its own? */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#if defined(__GLIBC__) && !IS_SANITIZED && !defined(UNIT_THREADS)
/* TSan runs what meson.build calls threaded: no thread is to escape it. */
__attribute__((destructor)) static inline void unit_one_thread(void)
{
	if (__libc_single_threaded)
		return;
	(void)fputs("FAIL: starts threads, and is not of unit_threads in "
		    "tests/unit/meson.build\n",
		    stderr);
	_exit(1);
}
#endif

/* Does @deed(@arg) end the process by an assertion? It runs in a child. */
static inline bool unit_asserts(void (*deed)(void *arg), void *arg)
{
	const struct rlimit no_core = {0, 0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)close(STDERR_FILENO);
		deed(arg);
		_exit(0);
	}
	return child > 0 && waitpid(child, &status, 0) == child &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
