// SPDX-License-Identifier: Apache-2.0
/*
 * compile.c - a BPF program from the table of calls (theory: calls.h)
 *
 * The program is a chain: one block a call, in the table's order, so that what
 * stands first is found first (the kernel itself remembers calls that pass
 * whatever their arguments are). A block is
 *
 *	jeq #nr, 1, 0
 *	ja  next block
 *	ld  argument; test; ja next row, unless it passes   (each test)
 *	ret ALLOW                                           (each row)
 *	ret TRAP                                            (no row passed)
 *
 * and shorter where rows only compare one argument with values.
 */
#include "sandbox/calls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

/* The bit that marks a call of the x32 ABI. */
#define X32_BIT 0x40000000u

struct program {
	struct sock_filter *out;
	unsigned int nr;
	bool full;
};

static unsigned int put(struct program *p, uint16_t code, uint32_t k,
			uint8_t yes, uint8_t no)
{
	if (p->nr == SANDBOX_FILTER_MAX) {
		p->full = true;
		return 0;
	}
	p->out[p->nr] = (struct sock_filter){code, yes, no, k};
	return p->nr++;
}

static void put_return(struct program *p, uint32_t action)
{
	(void)put(p, BPF_RET | BPF_K, action, 0, 0);
}

static void load(struct program *p, size_t offset)
{
	(void)put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* A jump whose target is not there yet; land() it. */
static unsigned int jump(struct program *p)
{
	return put(p, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void land(struct program *p, unsigned int from)
{
	p->out[from].k = p->nr - from - 1;
}

/* Return: the jump that is taken when the test fails. */
static unsigned int put_test(struct program *p, const struct sandbox_test *t)
{
	load(p,
	     offsetof(struct seccomp_data, args) + t->arg * sizeof(uint64_t));
	if (t->op == SANDBOX_IS)
		(void)put(p, BPF_JMP | BPF_JEQ | BPF_K, t->value, 1, 0);
	else
		(void)put(p, BPF_JMP | BPF_JSET | BPF_K, t->value, 0, 1);
	return jump(p);
}

static void put_row(struct program *p, const struct sandbox_call *row)
{
	unsigned int failed[SANDBOX_TESTS_MAX];
	unsigned int nr = 0;

	while (nr < SANDBOX_TESTS_MAX && row->test[nr].op != SANDBOX_NO_TEST) {
		failed[nr] = put_test(p, &row->test[nr]);
		nr++;
	}
	put_return(p, SECCOMP_RET_ALLOW);
	while (nr > 0)
		land(p, failed[--nr]);
}

static bool is_for(const struct sandbox_call *c, unsigned int threads,
		   enum sandbox_build build)
{
	return (c->threads & threads) && (c->builds & SANDBOX_ON(build));
}

/* No row before it allows the same call. */
static bool is_first(const struct sandbox_call *row, unsigned int threads,
		     enum sandbox_build build)
{
	for (const struct sandbox_call *c = sandbox_calls; c < row; c++)
		if (c->nr == row->nr && is_for(c, threads, build))
			return false;
	return true;
}

static bool is_single(const struct sandbox_call *c)
{
	return c->test[0].op == SANDBOX_IS && c->test[1].op == SANDBOX_NO_TEST;
}

/*
 * Rows that compare one argument with a value each, as ioctls do: it is loaded
 * once. Return: the first row that is none of them.
 */
static const struct sandbox_call *put_values(struct program *p,
					     const struct sandbox_call *first,
					     const struct sandbox_call *end,
					     unsigned int on,
					     enum sandbox_build build)
{
	const struct sandbox_call *c = first;
	unsigned int start;

	load(p, offsetof(struct seccomp_data, args) +
			first->test[0].arg * sizeof(uint64_t));
	start = p->nr;
	for (; c < end; c++) {
		if (c->nr != first->nr || !is_for(c, on, build))
			continue;
		if (!is_single(c) || c->test[0].arg != first->test[0].arg)
			break;
		(void)put(p, BPF_JMP | BPF_JEQ | BPF_K, c->test[0].value, 0, 0);
	}
	(void)put(p, BPF_JMP | BPF_JA, 1, 0, 0);
	for (unsigned int i = start; i < p->nr - 1; i++)
		p->out[i].jt = (uint8_t)(p->nr - i - 1);
	put_return(p, SECCOMP_RET_ALLOW);
	return c;
}

/* All rows of one call; the number is in the accumulator, and again after. */
static void put_call(struct program *p, const struct sandbox_call *first,
		     unsigned int on, enum sandbox_build build,
		     uint32_t otherwise)
{
	const struct sandbox_call *end = sandbox_calls + sandbox_nr_calls;
	const struct sandbox_call *c = first;
	unsigned int skip;

	(void)put(p, BPF_JMP | BPF_JEQ | BPF_K, first->nr, 1, 0);
	skip = jump(p);
	while (c < end) {
		if (c->nr != first->nr || !is_for(c, on, build)) {
			c++;
		} else if (is_single(c)) {
			c = put_values(p, c, end, on, build);
		} else {
			put_row(p, c);
			if (c->test[0].op == SANDBOX_NO_TEST)
				break; /* nothing is left to decide */
			c++;
		}
	}
	if (c == end)
		put_return(p, otherwise);
	land(p, skip);
}

/* One return for them all: fewer than a jump's reach. */
static void put_killed(struct program *p, unsigned int on)
{
	unsigned int start = p->nr;

	for (size_t i = 0; i < sandbox_nr_killed; i++)
		if (sandbox_killed[i].threads & on)
			(void)put(p, BPF_JMP | BPF_JEQ | BPF_K,
				  sandbox_killed[i].nr, 0, 0);
	(void)put(p, BPF_JMP | BPF_JA, 1, 0, 0);
	for (unsigned int i = start; i < p->nr - 1; i++)
		p->out[i].jt = (uint8_t)(p->nr - i - 1);
	put_return(p, SECCOMP_RET_KILL_PROCESS);
}

int sandbox_compile(enum sandbox_thread thread, enum sandbox_build build,
		    struct sock_filter out[static SANDBOX_FILTER_MAX])
{
	const uint32_t trap = SECCOMP_RET_TRAP | thread;
	const uint32_t otherwise =
		build == SANDBOX_SANITIZED || thread == SANDBOX_GATE
			? SECCOMP_RET_ALLOW
			: trap;
	const unsigned int on = SANDBOX_ON(thread);
	struct program p = {.out = out};

	load(&p, offsetof(struct seccomp_data, arch));
	(void)put(&p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	put_return(&p, SECCOMP_RET_KILL_PROCESS);
	load(&p, offsetof(struct seccomp_data, nr));
	(void)put(&p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	put_return(&p, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		if (is_for(&sandbox_calls[i], on, build) &&
		    is_first(&sandbox_calls[i], on, build))
			put_call(&p, &sandbox_calls[i], on, build,
				 build == SANDBOX_SANITIZED ? otherwise : trap);
	put_killed(&p, on);
	put_return(&p, otherwise);
	return p.full ? -E2BIG : (int)p.nr;
}

unsigned int sandbox_count_calls(unsigned int threads, enum sandbox_build build)
{
	unsigned int n = 0;

	for (size_t i = 0; i < sandbox_nr_calls; i++)
		n += is_for(&sandbox_calls[i], threads, build) &&
		     is_first(&sandbox_calls[i], threads, build);
	return n;
}
