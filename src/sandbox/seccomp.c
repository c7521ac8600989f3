// SPDX-License-Identifier: Apache-2.0
/*
 * seccomp.c - load the filter of a thread (seccomp.h)
 */
#include "sandbox/seccomp.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_BUILD 2
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_BUILD 2
#endif
#endif
#ifndef SANDBOX_BUILD
#ifdef __GLIBC__
#define SANDBOX_BUILD 1
#else
#define SANDBOX_BUILD 0
#endif
#endif
static_assert(SANDBOX_MUSL == 0 && SANDBOX_GLIBC == 1 && SANDBOX_SANITIZED == 2,
	      "numbers that the preprocessor knows");

/* Both are made by the build. */
#include "sandbox/call_names.h"
#include "sandbox/filters.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const struct sock_filter *code;
	size_t nr;
} filters[] = {
	[SANDBOX_VMM] = {filter_vmm, ARRAY_SIZE(filter_vmm)},
	[SANDBOX_VCPU] = {filter_vcpu, ARRAY_SIZE(filter_vcpu)},
	[SANDBOX_PAGER] = {filter_pager, ARRAY_SIZE(filter_pager)},
	[SANDBOX_GATE] = {filter_gate, ARRAY_SIZE(filter_gate)},
	[SANDBOX_GATE_EARLY] = {filter_early, ARRAY_SIZE(filter_early)},
};

bool seccomp_available(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int install(struct sock_filter *code, size_t nr)
{
	const struct sock_fprog program = {
		.len = (unsigned short)nr,
		.filter = code,
	};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
		       ? -errno
		       : 0;
}

/* The table has one of these for a number that is known only now. */
static uint32_t resolve(uint32_t k)
{
	return k == SANDBOX_OWN_PID ? (uint32_t)getpid()
				    : (uint32_t)syscall(SYS_gettid);
}

int seccomp_load(enum sandbox_thread thread, unsigned int has)
{
	struct sock_filter code[SANDBOX_FILTER_MAX];

	memcpy(code, filters[thread].code,
	       filters[thread].nr * sizeof(code[0]));
	for (size_t i = 0; i < ARRAY_SIZE(filter_places); i++) {
		struct sock_filter *at = &code[filter_places[i].at];

		if (filter_places[i].thread != thread)
			continue;
		if (!filter_places[i].has)
			at->k = resolve(at->k);
		else if (!(filter_places[i].has & has))
			at->jt = at->jf; /* the request passes no more */
	}
	return install(code, filters[thread].nr);
}

int seccomp_load_late(void)
{
	struct sock_filter code[ARRAY_SIZE(filter_late)];

	memcpy(code, filter_late, sizeof(code));
	return install(code, ARRAY_SIZE(code));
}

int seccomp_load_custom(const struct seccomp_program *program)
{
	if (program->nr == 0)
		return 0;
	return program->nr > SECCOMP_CUSTOM_MAX
		       ? -E2BIG
		       : install(program->code, program->nr);
}

const char *seccomp_call_name(unsigned int nr)
{
	const char *name = call_names;

	for (; nr > 0; nr--) {
		name += strlen(name) + 1;
		if (name >= call_names + sizeof(call_names) - 1)
			return NULL;
	}
	return *name ? name : NULL;
}
