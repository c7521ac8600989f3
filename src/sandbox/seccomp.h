/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp.h - load the filter of a thread (which calls, and why: calls.h)
 */
#pragma once

#include "base/err.h"
#include "sandbox/calls.h"

/* As many instructions as the kernel takes. */
#define SECCOMP_CUSTOM_MAX 4096u

/**
 * struct seccomp_program - a filter of --seccomp-filter
 * @code:	owned; NULL and 0 when the file's is empty: then none is loaded
 */
struct seccomp_program {
	struct sock_filter *code;
	size_t nr;
};

/* Does this kernel have seccomp with filters? */
bool seccomp_available(void);

/**
 * seccomp_load() - the filter of the calling thread, for good
 * @has:	enum sandbox_has of its VM
 *
 * Needs no_new_privs. Return: 0 or -errno.
 */
int seccomp_load(enum sandbox_thread thread, unsigned int has) __must_check;

/* SANDBOX_GATE of a thread that has SANDBOX_GATE_EARLY. Return: 0 or -errno. */
int seccomp_load_late(void) __must_check;

/* The same with a client's own filter. Return: 0 or -errno. */
int seccomp_load_custom(const struct seccomp_program *program) __must_check;

/**
 * seccomp_call_name() - "openat" of 257
 *
 * Return: NULL when this build knows no such call. Context: signal handlers.
 */
const char *seccomp_call_name(unsigned int nr);
