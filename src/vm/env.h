/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.h - what the parts of a machine get from the VM around them
 *
 * A part never sees struct vm: it is given this, and what it is plugged into
 * (board.h). A part ends the VM by a reason; which exit code the process has
 * for it is the VM's business (vm.h).
 */
#pragma once

#include "config/config.h"
#include "host/handover.h"
#include "host/loop.h"
#include "kvm/ahead.h"
#include "vm/timeline.h"

struct metrics;
struct mmds;
struct sandbox;

enum vm_end_reason {
	VM_END_ASKED, /* by the guest, or by the person at the terminal */
	VM_END_HOST,  /* this process cannot go on: the log says why */
	VM_END_FILE_TRUNCATED,
	VM_END_TRIPLE_FAULT,
	VM_END_INTERNAL_ERROR,
	VM_END_MMIO_IN_RAM,
	VM_END_FAIL_ENTRY,
	VM_END_UNKNOWN_EXIT,
	VM_END_RUN_FAILED,
	VM_END_REASONS,
};

/**
 * struct vm_env - borrowed from the VM, which outlives its machine
 * @terminal:	where the person reads, or NULL
 * @output:	standard output; SINK_NONE: the console opens it
 * @metrics:	registry for the devices' counters, or NULL
 * @mmds:	the metadata service; NULL: the configuration has none
 * @sandbox:	has the threads' filters; NULL: there are none
 * @host:	what was opened before the process was locked
 * @ahead:	what of KVM was made then; may be none
 * @exit_code:	negative while the VM lives
 * @end:	ends the VM; the first call counts. Any thread
 */
struct vm_env {
	const struct vm_config *config;
	struct loop *loop;
	const struct sink *terminal;
	const struct sink *output;
	struct metrics *metrics;
	struct mmds *mmds;
	struct sandbox *sandbox;
	struct timeline *timeline;
	const struct handover *host;
	struct kvm_ahead *ahead;
	const _Atomic int *exit_code;
	void (*end)(void *ctx, enum vm_end_reason why);
	void *ctx;
};

static inline void env_end(const struct vm_env *env, enum vm_end_reason why)
{
	env->end(env->ctx, why);
}

/* Any thread. */
static inline bool env_ended(const struct vm_env *env)
{
	return atomic_load_explicit(env->exit_code, memory_order_relaxed) >= 0;
}

static inline void env_mark(const struct vm_env *env, enum timeline_point point)
{
	timeline_mark(env->timeline, point);
}
