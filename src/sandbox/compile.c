// SPDX-License-Identifier: Apache-2.0
/*
 * compile.c - a BPF program from the table of calls (theory: calls.h)
 *
 * The call of the table's first row is looked for first: the kernel remembers
 * which calls pass whatever their arguments are, but KVM_RUN is an ioctl, and
 * the guest waits for it. All others are found by halving, because when it
 * loads a filter the kernel tries it with every number there is. Calls whose
 * arguments do not matter are compared with, one instruction each; the block of
 * another one is
 *
 *	jeq #nr, 0, next block
 *	ld  argument; test: next row, unless it passes      (each test)
 *	ret ALLOW                                           (each row)
 *	ret TRAP                                            (no row passed)
 *
 * and shorter where rows only compare one argument with values. Short is soon
 * loaded: every thread of every VM waits for that.
 */
#include "sandbox/calls.h"

#include <asm/unistd_64.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

/* The bit that marks a call of the x32 ABI. */
#define X32_BIT   0x40000000u

#define KNOWN_MAX 150 /* calls of one thread */
#define LEAF_MAX  8   /* of them are compared one by one */

struct program {
	struct sock_filter *out;
	unsigned int nr;
	bool full;
};

static unsigned int compile_put(struct program *p, uint16_t code, uint32_t k,
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
	(void)compile_put(p, BPF_RET | BPF_K, action, 0, 0);
}

static void compile_load(struct program *p, size_t offset)
{
	(void)compile_put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* The test at @from goes on here when it says @when, else behind itself: its
 * reach is a byte, which half of a program fits into. */
static void land(struct program *p, unsigned int from, bool when)
{
	unsigned int far = p->nr - from - 1;

	p->full |= far > UINT8_MAX;
	if (when)
		p->out[from].jt = (uint8_t)far;
	else
		p->out[from].jf = (uint8_t)far;
}

/* Return: the test, to land() where it fails. */
static unsigned int put_test(struct program *p, const struct sandbox_test *t)
{
	bool is = t->op == SANDBOX_IS;

	compile_load(p, offsetof(struct seccomp_data, args) +
				t->arg * sizeof(uint64_t));
	return compile_put(p, BPF_JMP | BPF_K | (is ? BPF_JEQ : BPF_JSET),
			   t->value, 0, 0);
}

static void compile_put_row(struct program *p, const struct sandbox_call *row)
{
	unsigned int tests[SANDBOX_TESTS_MAX];
	unsigned int nr = 0;

	while (nr < SANDBOX_TESTS_MAX && row->test[nr].op != SANDBOX_NO_TEST) {
		tests[nr] = put_test(p, &row->test[nr]);
		nr++;
	}
	put_return(p, SECCOMP_RET_ALLOW);
	while (nr-- > 0)
		land(p, tests[nr], row->test[nr].op != SANDBOX_IS);
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

	compile_load(p, offsetof(struct seccomp_data, args) +
				first->test[0].arg * sizeof(uint64_t));
	start = p->nr;
	for (; c < end; c++) {
		if (c->nr != first->nr || !is_for(c, on, build))
			continue;
		if (!is_single(c) || c->test[0].arg != first->test[0].arg)
			break;
		(void)compile_put(p, BPF_JMP | BPF_JEQ | BPF_K,
				  c->test[0].value, 0, 0);
	}
	(void)compile_put(p, BPF_JMP | BPF_JA, 1, 0, 0);
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
	unsigned int is_it =
		compile_put(p, BPF_JMP | BPF_JEQ | BPF_K, first->nr, 0, 0);

	while (c < end) {
		if (c->nr != first->nr || !is_for(c, on, build)) {
			c++;
		} else if (is_single(c)) {
			c = put_values(p, c, end, on, build);
		} else {
			compile_put_row(p, c);
			if (c->test[0].op == SANDBOX_NO_TEST)
				break; /* nothing is left to decide */
			c++;
		}
	}
	if (c == end)
		put_return(p, otherwise);
	land(p, is_it, false);
}

/* ---- which call is it ---- */

/**
 * struct known - a number that is not left to what all others get
 * @row:	the first that allows it; NULL: there is none, and it gets
 * @action
 */
struct known {
	unsigned int nr;
	const struct sandbox_call *row;
	uint32_t action;
};

struct tree {
	struct program *p;
	unsigned int on;
	enum sandbox_build build;
	uint32_t refused;   /* a call with a row, none of which passes */
	uint32_t otherwise; /* one that is not known */
};

/* Into its place by number; the first row of a number counts. */
static size_t compile_insert(struct known *known, size_t nr, struct known one)
{
	size_t at = nr;

	while (at > 0 && known[at - 1].nr > one.nr)
		at--;
	if (at > 0 && known[at - 1].nr == one.nr)
		return nr;
	memmove(&known[at + 1], &known[at], (nr - at) * sizeof(*known));
	known[at] = one;
	return nr + 1;
}

/* Before the tree; whatever it says is the last word. */
static bool is_asked_first(const struct tree *t, unsigned int nr)
{
	return sandbox_calls[0].nr == nr &&
	       is_for(&sandbox_calls[0], t->on, t->build);
}

static size_t list_known(const struct tree *t, struct known known[KNOWN_MAX])
{
	size_t nr = 0;

	for (size_t i = 0; i < sandbox_nr_calls && nr < KNOWN_MAX; i++) {
		const struct sandbox_call *c = &sandbox_calls[i];

		if (is_for(c, t->on, t->build) && !is_asked_first(t, c->nr))
			nr = compile_insert(known, nr,
					    (struct known){c->nr, c, 0});
	}
	for (size_t i = 0; i < sandbox_nr_killed && nr < KNOWN_MAX; i++)
		if (sandbox_killed[i].threads & t->on)
			nr = compile_insert(
				known, nr,
				(struct known){sandbox_killed[i].nr, NULL,
					       SECCOMP_RET_KILL_PROCESS});
	if (nr < KNOWN_MAX && t->build != SANDBOX_SANITIZED)
		nr = compile_insert(
			known, nr,
			(struct known){__NR_brk, NULL, SECCOMP_RET_ERRNO});
	t->p->full |= nr == KNOWN_MAX;
	return nr;
}

/* Does its number alone decide? */
static bool number_decides(const struct known *one)
{
	return !one->row || one->row->test[0].op == SANDBOX_NO_TEST;
}

static uint32_t plain_action(const struct known *one)
{
	return one->row ? SECCOMP_RET_ALLOW : one->action;
}

/* One comparison each, and one return for each action. */
static void put_plain(const struct tree *t, const struct known *known,
		      size_t nr)
{
	const uint32_t actions[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS,
				    SECCOMP_RET_ERRNO, t->refused};
	/* A build that refuses nothing has the last one before. */
	size_t nr_actions = ARRAY_SIZE(actions) - (t->refused == actions[0]);
	unsigned int from[ARRAY_SIZE(actions) + 1];
	struct program *p = t->p;

	for (size_t a = 0; a < nr_actions; a++) {
		from[a] = p->nr;
		for (size_t i = 0; i < nr; i++)
			if (number_decides(&known[i]) &&
			    plain_action(&known[i]) == actions[a])
				(void)compile_put(p, BPF_JMP | BPF_JEQ | BPF_K,
						  known[i].nr, 0, 0);
	}
	from[nr_actions] = p->nr;
	put_return(p, t->otherwise);
	for (size_t a = 0; a < nr_actions && !p->full; a++) {
		for (unsigned int at = from[a]; at < from[a + 1]; at++)
			p->out[at].jt = (uint8_t)(p->nr - at - 1);
		if (from[a] < from[a + 1])
			put_return(p, actions[a]);
	}
}

static void put_leaf(const struct tree *t, const struct known *known, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!number_decides(&known[i]))
			put_call(t->p, known[i].row, t->on, t->build,
				 t->refused);
	put_plain(t, known, nr);
}

/* As deep as a tree of a hundred numbers is. */
static void put_tree(const struct tree *t, const struct known *known, size_t nr)
{
	unsigned int from;

	if (nr <= LEAF_MAX) {
		put_leaf(t, known, nr);
		return;
	}
	from = compile_put(t->p, BPF_JMP | BPF_JGE | BPF_K, known[nr / 2].nr, 0,
			   0);
	put_tree(t, known, nr / 2);
	land(t->p, from, true);
	put_tree(t, known + nr / 2, nr - nr / 2);
}

/* The two other ABIs, and the number. */
static void put_begin(struct program *p)
{
	compile_load(p, offsetof(struct seccomp_data, arch));
	(void)compile_put(p, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1,
			  0);
	put_return(p, SECCOMP_RET_KILL_PROCESS);
	compile_load(p, offsetof(struct seccomp_data, nr));
	(void)compile_put(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	put_return(p, SECCOMP_RET_KILL_PROCESS);
}

static uint32_t compile_trap(enum sandbox_thread thread,
			     enum sandbox_build build)
{
	return build == SANDBOX_SANITIZED ? SECCOMP_RET_ALLOW
					  : SECCOMP_RET_TRAP | thread;
}

int sandbox_compile(enum sandbox_thread thread, enum sandbox_build build,
		    struct sock_filter out[static SANDBOX_FILTER_MAX])
{
	struct program p = {.out = out};
	const struct tree t = {
		.p = &p,
		.on = SANDBOX_ON(thread),
		.build = build,
		.refused = compile_trap(thread, build),
		.otherwise = compile_trap(thread, build),
	};
	struct known known[KNOWN_MAX];
	size_t nr_known = list_known(&t, known);

	put_begin(&p);
	if (is_asked_first(&t, sandbox_calls[0].nr))
		put_call(&p, &sandbox_calls[0], t.on, build, t.refused);
	put_tree(&t, known, nr_known);
	return p.full ? -E2BIG : (int)p.nr;
}

/* ---- from one filter to a narrower one ---- */

/* What @t->on makes of the call of @row. */
static struct known known_as(const struct tree *t,
			     const struct sandbox_call *row)
{
	struct known one = {row->nr, NULL, t->refused};

	for (size_t i = 0; i < sandbox_nr_calls && !one.row; i++)
		if (sandbox_calls[i].nr == row->nr &&
		    is_for(&sandbox_calls[i], t->on, t->build))
			one.row = &sandbox_calls[i];
	for (size_t i = 0; i < sandbox_nr_killed; i++)
		if (sandbox_killed[i].nr == row->nr &&
		    (sandbox_killed[i].threads & t->on))
			one.action = SECCOMP_RET_KILL_PROCESS;
	return one;
}

int sandbox_compile_late(enum sandbox_build build,
			 struct sock_filter out[static SANDBOX_FILTER_MAX])
{
	struct program p = {.out = out};
	const struct tree t = {
		.p = &p,
		.on = SANDBOX_ON(SANDBOX_GATE),
		.build = build,
		.refused = compile_trap(SANDBOX_GATE, build),
		.otherwise = SECCOMP_RET_ALLOW,
	};
	struct known known[KNOWN_MAX];
	size_t nr = 0;

	for (size_t i = 0; i < sandbox_nr_calls && nr < KNOWN_MAX; i++) {
		const struct sandbox_call *c = &sandbox_calls[i];

		if (is_for(c, SANDBOX_ON(SANDBOX_GATE_EARLY), build) &&
		    !is_for(c, t.on, build))
			nr = compile_insert(known, nr, known_as(&t, c));
	}
	p.full |= nr == KNOWN_MAX;
	put_begin(&p);
	put_tree(&t, known, nr);
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
