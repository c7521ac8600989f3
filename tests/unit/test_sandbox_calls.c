// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox_calls.c - the filters as the kernel runs them, against the table
 *
 * Every number of a system call on every thread, every row with arguments that
 * it allows and with each of its tests failing, and the two other ABIs of x86.
 */
#include "unit.h"

#include "sandbox_child.h"

#include <linux/audit.h>
#include <setjmp.h>
#include <sys/mman.h>

#define NR_MAX 600

#if IS_SANITIZED
#define BUILD SANDBOX_SANITIZED /* it traps nothing (sandbox/calls.h) */
#elif defined(__GLIBC__)
#define BUILD SANDBOX_GLIBC
#else
#define BUILD SANDBOX_MUSL
#endif

/* So many calls may the guest process make, whichever thread. */
#ifdef __GLIBC__
#define UNION_MAX 36 /* raise() of glibc asks who it is */
#else
#define UNION_MAX 35
#endif

static const unsigned int guest_process = SANDBOX_ON(SANDBOX_VMM) |
					  SANDBOX_ON(SANDBOX_VCPU) |
					  SANDBOX_ON(SANDBOX_PAGER);

/**
 * struct call - a system call with its arguments
 */
struct call {
	long nr;
	unsigned long arg[6];
};

static bool is_listed(enum sandbox_thread thread, unsigned int nr)
{
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		if (sandbox_calls[i].nr == nr &&
		    (sandbox_calls[i].threads & SANDBOX_ON(thread)) &&
		    (sandbox_calls[i].builds & SANDBOX_ON(BUILD)))
			return true;
	return false;
}

static bool is_killed(unsigned int threads, unsigned int nr)
{
	for (size_t i = 0; i < sandbox_nr_killed; i++)
		if (sandbox_killed[i].nr == nr &&
		    (sandbox_killed[i].threads & threads))
			return true;
	return false;
}

static int do_call(const void *what)
{
	const struct call *c = what;

	(void)syscall(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3],
		      c->arg[4], c->arg[5]);
	return FATE_DONE;
}

static int fate_of(enum sandbox_thread thread, const struct call *call)
{
	const struct child child = {
		.thread = thread,
		.abi = 1,
		.deed = do_call,
		.what = call,
	};

	return child_fate(&child);
}

/* ---- every number ---- */

/* A trap that is survived: many numbers in one child. */
static volatile sig_atomic_t traps;

/* By no return, which is a system call that the gate has no row for. */
static sigjmp_buf back;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	(void)context;
	traps++;
	siglongjmp(back, 1);
}

/* Return: how often it trapped. */
static int traps_of(const struct call *c)
{
	traps = 0;
	if (sigsetjmp(back, 1) == 0)
		(void)do_call(c);
	return traps;
}

/* uretprobe and uprobe: newer kernels look at them before any filter, and send
 * SIGILL to whoever is not their own trampoline. */
static bool is_kernels_own(unsigned int nr)
{
	return nr == 335 || nr == 336;
}

/* Return: FATE_DONE when each number that nobody listed or kills trapped. */
static int try_unlisted(const void *what)
{
	enum sandbox_thread thread = *(const enum sandbox_thread *)what;

	for (unsigned int nr = 0; nr <= NR_MAX; nr++) {
		if (is_listed(thread, nr) ||
		    is_killed(SANDBOX_ON(thread), nr) || is_kernels_own(nr) ||
		    nr == SYS_brk)
			continue;
		if (traps_of(&(struct call){nr, {-1ul}}) != 1)
			return 1;
	}
	return FATE_DONE;
}

/* The handler is set before the lock: nothing sets one afterwards. */
static void set_handler(void)
{
	struct sigaction action = {
		.sa_sigaction = on_trap,
		.sa_flags = SA_SIGINFO,
	};

	(void)sigaction(SIGSYS, &action, NULL);
}

static void *lock_and_do(void *arg)
{
	const struct child *c = arg;

	(void)child_main(arg);
	return (void *)(uintptr_t)c->abi;
}

/* As child_fate(), whose handler is another: how a process ends whose threads
 * are locked as @thread by @act. */
static int fate_by(enum sandbox_thread thread, void *(*act)(void *), void *arg)
{
	pid_t pid = fork();
	pthread_t other;
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		set_handler();
		if (thread == SANDBOX_VMM || thread == SANDBOX_GATE)
			(void)act(arg);
		must(pthread_create(&other, NULL, act, arg) == 0);
		for (;;)
			(void)pause();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : FATE_OTHER;
}

static int fate_with_handler(struct child *c)
{
	return fate_by(c->thread, lock_and_do, c);
}

static void test_every_number(void **state)
{
	(void)state;
	if (BUILD == SANDBOX_SANITIZED)
		skip();
	for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS; t++) {
		struct child child = {
			.thread = t,
			.abi = 1,
			.deed = try_unlisted,
			.what = &t,
		};

		assert_int_equal(fate_with_handler(&child), FATE_DONE);
	}
}

static void test_every_killed_number(void **state)
{
	(void)state;
	for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS; t++) {
		for (size_t i = 0; i < sandbox_nr_killed; i++) {
			struct call call = {sandbox_killed[i].nr, {0}};

			if (sandbox_killed[i].threads & SANDBOX_ON(t))
				assert_int_equal(fate_of(t, &call),
						 FATE_KILLED);
		}
	}
}

/* The numbers of x32, and a call by the gate of i386. */
static void test_other_abis(void **state)
{
	(void)state;
	for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS; t++) {
		for (long nr = 0; nr < 8; nr++) {
			struct call call = {0x40000000 | nr, {0}};

			assert_int_equal(fate_of(t, &call), FATE_KILLED);
		}
	}
}

static int getpid_of_i386(const void *what)
{
	long r = 20;

	(void)what;
	__asm__ volatile("int $0x80"
			 : "+a"(r)
			 :
			 : "memory", "r8", "r9", "r10", "r11");
	return FATE_DONE;
}

static void test_i386(void **state)
{
	struct child child = {.abi = 1, .deed = getpid_of_i386};

	(void)state;
	for (child.thread = 0; child.thread < SANDBOX_NR_THREADS;
	     child.thread++) {
		int fate = child_fate(&child);

		/* A kernel without the gate: a fault, before any filter. */
		assert_true(fate == FATE_KILLED || fate == FATE_OTHER);
	}
}

/* ---- every row ---- */

/* Arguments that a row allows and that do nothing. */
static struct call allowed_call(const struct sandbox_call *row)
{
	struct call c = {row->nr, {(unsigned long)-1, 0, 0, 0, 0, 0}};

	if (row->nr == SYS_mmap || row->nr == SYS_munmap ||
	    row->nr == SYS_madvise || row->nr == SYS_mprotect)
		c.arg[0] = 0;
	if (row->nr == SYS_futex)
		c.arg[1] = 0x7f; /* no such operation */
	if (row->nr == SYS_poll || row->nr == SYS_getrandom)
		c.arg[0] = 0;
	for (size_t i = 0; i < SANDBOX_TESTS_MAX; i++) {
		const struct sandbox_test *t = &row->test[i];

		if (t->op == SANDBOX_IS)
			c.arg[t->arg] = t->value;
	}
	return c;
}

/* These end the thread, or return where a signal came from. */
static bool does_not_return(unsigned int nr)
{
	return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn;
}

static void resolve(struct call *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->arg); i++) {
		if (c->arg[i] == SANDBOX_OWN_PID)
			c->arg[i] = (unsigned long)getpid();
		if (c->arg[i] == SANDBOX_OWN_TID)
			c->arg[i] = (unsigned long)syscall(SYS_gettid);
	}
}

/* All rows of a thread in one child, which lives on. */
static int make_allowed_calls(const void *what)
{
	const struct call *c = what;

	for (; c->nr >= 0; c++) {
		if (traps_of(c))
			return 1 + (int)(c->nr & 0x7f);
	}
	return FATE_DONE;
}

/**
 * struct rows - the calls of a thread's rows, which it resolves before the lock
 */
struct rows {
	struct call call[200];
	enum sandbox_thread thread;
};

static void *lock_and_call(void *arg)
{
	struct rows *rows = arg;
	struct child child = {
		.thread = rows->thread,
		.abi = 1,
		.deed = make_allowed_calls,
		.what = rows->call,
	};

	for (struct call *c = rows->call; c->nr >= 0; c++)
		resolve(c);
	return child_main(&child);
}

static int fate_of_rows(struct rows *rows)
{
	return fate_by(rows->thread, lock_and_call, rows);
}

static void test_every_row_allows(void **state)
{
	(void)state;
	for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS; t++) {
		static struct rows rows;
		size_t nr = 0;

		rows.thread = t;
		for (size_t i = 0; i < sandbox_nr_calls; i++) {
			const struct sandbox_call *row = &sandbox_calls[i];

			if ((row->threads & SANDBOX_ON(t)) &&
			    (row->builds & SANDBOX_ON(BUILD)) &&
			    !does_not_return(row->nr))
				rows.call[nr++] = allowed_call(row);
		}
		assert_true(nr < ARRAY_SIZE(rows.call));
		rows.call[nr].nr = -1;
		assert_int_equal(fate_of_rows(&rows), FATE_DONE);
	}
}

/* Does another row allow what this one's test refuses? */
static bool allowed_elsewhere(enum sandbox_thread t, const struct call *c)
{
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *row = &sandbox_calls[i];
		bool all = true;

		if (row->nr != (unsigned int)c->nr ||
		    !(row->threads & SANDBOX_ON(t)) ||
		    !(row->builds & SANDBOX_ON(BUILD)))
			continue;
		for (size_t k = 0; k < SANDBOX_TESTS_MAX; k++) {
			const struct sandbox_test *test = &row->test[k];
			uint32_t arg = (uint32_t)c->arg[test->arg];

			if (test->op == SANDBOX_IS)
				all &= arg == test->value;
			if (test->op == SANDBOX_NONE_OF)
				all &= !(arg & test->value);
		}
		if (all)
			return true;
	}
	return false;
}

/* Each test of each row refuses the argument that it is there for, as it is
 * in the low half, whatever the high one has. */
static void test_every_test_refuses(void **state)
{
	unsigned int tried = 0;

	(void)state;
	if (BUILD == SANDBOX_SANITIZED)
		skip();
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *row = &sandbox_calls[i];

		for (size_t k = 0; k < SANDBOX_TESTS_MAX; k++) {
			const struct sandbox_test *test = &row->test[k];
			struct call c = allowed_call(row);

			if (test->op == SANDBOX_NO_TEST ||
			    !(row->builds & SANDBOX_ON(BUILD)))
				continue;
			c.arg[test->arg] ^= test->op == SANDBOX_IS
						    ? 0x10000001u
						    : test->value;
			c.arg[test->arg] |= 1ul << 40;
			for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS;
			     t++) {
				if (!(row->threads & SANDBOX_ON(t)) ||
				    allowed_elsewhere(t, &c))
					continue;
				assert_int_equal(fate_of(t, &c), FATE_TRAPPED);
				tried++;
			}
		}
	}
	assert_true(tried > 50);
}

/* Rows of what this VM has not. */
static void test_rows_of_what_is_not_there(void **state)
{
	unsigned int tried = 0;

	(void)state;
	if (BUILD == SANDBOX_SANITIZED)
		skip();
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *row = &sandbox_calls[i];
		const struct call call = allowed_call(row);
		struct child child = {
			.abi = 1,
			.has_not = row->has,
			.deed = do_call,
			.what = &call,
		};

		for (; row->has && child.thread < SANDBOX_NR_THREADS;
		     child.thread++) {
			if (!(row->threads & SANDBOX_ON(child.thread)))
				continue;
			assert_int_equal(child_fate(&child), FATE_TRAPPED);
			tried++;
		}
	}
	assert_true(tried >= 20);
}

/* ---- the heap ---- */

#define BLOCKS 3000

static int fill_heap(const void *what)
{
	char **block = calloc(BLOCKS, sizeof(*block));

	(void)what;
	must(block && syscall(SYS_brk, 0L) == 0);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < BLOCKS; i++) {
			size_t size = 1 + i * 7919 % 20000;

			block[i] = malloc(size);
			must(block[i] != NULL);
			memset(block[i], (int)i, size);
		}
		for (size_t i = 0; i < BLOCKS; i++) {
			must(block[i][0] == (char)i);
			free(block[i]);
		}
	}
	free(block);
	return FATE_DONE;
}

/* The C library's heap grows and shrinks without brk(). */
static void test_heap(void **state)
{
	struct child child = {.abi = 1, .deed = fill_heap};

	(void)state;
	if (BUILD == SANDBOX_SANITIZED)
		skip();
	for (child.thread = 0; child.thread < SANDBOX_NR_THREADS;
	     child.thread++)
		assert_int_equal(child_fate(&child), FATE_DONE);
}

/* ---- the table itself ---- */

static bool same_tests(const struct sandbox_call *a,
		       const struct sandbox_call *b)
{
	return memcmp(a->test, b->test, sizeof(a->test)) == 0;
}

/* A row that another one makes needless is a mistake. */
static void test_no_row_twice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *a = &sandbox_calls[i];

		assert_true(strlen(a->why) > 2 && a->threads && a->builds);
		for (size_t k = 0; k < i; k++) {
			const struct sandbox_call *b = &sandbox_calls[k];

			if (a->nr != b->nr || !(a->threads & b->threads) ||
			    !(a->builds & b->builds))
				continue;
			assert_true(a->test[0].op && b->test[0].op);
			assert_false(same_tests(a, b));
		}
	}
}

static void test_nothing_executable_or_hidden(void **state)
{
	static const unsigned int nowhere[] = {
		SYS_splice,
		SYS_tee,
		SYS_vmsplice,
		SYS_sendfile,
		SYS_prctl,
		SYS_rt_sigaction,
		SYS_dup,
		SYS_dup2,
		SYS_dup3,
		SYS_io_uring_setup,
		SYS_io_uring_register,
		SYS_brk,
	};

	(void)state;
	for (size_t i = 0; i < sandbox_nr_calls; i++) {
		const struct sandbox_call *row = &sandbox_calls[i];

		if (!(row->threads & guest_process))
			continue;
		assert_false(is_killed(guest_process, row->nr));
		for (size_t k = 0; k < ARRAY_SIZE(nowhere); k++)
			assert_int_not_equal(row->nr, nowhere[k]);
		if (row->nr == SYS_mmap || row->nr == SYS_mprotect) {
			assert_int_equal(row->test[0].op, SANDBOX_NONE_OF);
			assert_int_equal(row->test[0].arg, 2);
			assert_int_equal(row->test[0].value, PROT_EXEC);
		}
		if (row->nr == SYS_ioctl)
			assert_int_equal(row->test[0].op, SANDBOX_IS);
	}
}

static void test_union_is_small(void **state)
{
	(void)state;
	assert_true(sandbox_count_calls(guest_process, BUILD) <= UNION_MAX);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(seccomp_call_name(SYS_read), "read");
	assert_string_equal(seccomp_call_name(SYS_openat), "openat");
	assert_string_equal(seccomp_call_name(SYS_io_uring_setup),
			    "io_uring_setup");
	assert_null(seccomp_call_name(350)); /* no call has this number */
	assert_null(seccomp_call_name(10000));
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		assert_string_equal(seccomp_call_name(sandbox_calls[i].nr),
				    sandbox_calls[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_number),
		cmocka_unit_test(test_every_killed_number),
		cmocka_unit_test(test_other_abis),
		cmocka_unit_test(test_i386),
		cmocka_unit_test(test_every_row_allows),
		cmocka_unit_test(test_every_test_refuses),
		cmocka_unit_test(test_rows_of_what_is_not_there),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_no_row_twice),
		cmocka_unit_test(test_nothing_executable_or_hidden),
		cmocka_unit_test(test_union_is_small),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
