// SPDX-License-Identifier: Apache-2.0
/*
 * signals.c - what a signal does to volt-vmm (theory of operation: signals.h)
 */
#include "vmm/signals.h"

#include "base/log.h"
#include "base/metrics.h"
#include "dev/console.h"
#include "sandbox/seccomp.h"
#include "vm/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SIGNALS 32

/* si_code of a SIGSYS of seccomp's; not every C library has it. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* Handlers have no argument of ours: these are the signal flags that the
 * style allows at file scope. */
static struct {
	struct vm *vm;
	int pid; /* a locked process may not ask */
	struct loop_source wake;
	_Atomic uint32_t pending; /* bit per signal number below SIGNALS */
	metric_t count[SIGNALS];  /* by number */
	_Atomic int final;
} state = {.wake.fd = -1};

static const struct {
	int sig;
	int code;   /* exit code, or -1 when the process lives on */
	bool fault; /* may be raised by an instruction of ours */
	const char *name;
} signals_table[] = {
	{SIGTERM, EXIT_CODE_OK, false, "SIGTERM"},
	{SIGINT, EXIT_CODE_OK, false, "SIGINT"},
	{SIGHUP, EXIT_CODE_SIGHUP, false, "SIGHUP"},
	{SIGXCPU, EXIT_CODE_SIGXCPU, false, "SIGXCPU"},
	{SIGXFSZ, EXIT_CODE_SIGXFSZ, false, "SIGXFSZ"},
	{SIGPIPE, -1, false, "SIGPIPE"},
	{SIGBUS, EXIT_CODE_SIGBUS, true, "SIGBUS"},
	{SIGSEGV, EXIT_CODE_SIGSEGV, true, "SIGSEGV"},
	{SIGILL, EXIT_CODE_SIGILL, true, "SIGILL"},
	{SIGSYS, EXIT_CODE_BAD_SYSCALL, true, "SIGSYS"},
};

static size_t row_of(int sig)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(signals_table) - 1 && signals_table[i].sig != sig)
		i++;
	return i;
}

static void signals_put(const char *text)
{
	if (sink_write(&log_settings.out, text, strlen(text)) < 0)
		return; /* nowhere left to complain */
}

/* Only async-signal-safe calls from here to _exit(). */

/**
 * struct words - one line, put together without the C library's formatting
 */
struct words {
	char text[200];
	size_t len;
};

static void signals_add(struct words *w, const char *text)
{
	size_t n = strlen(text);

	if (n > sizeof(w->text) - w->len)
		n = sizeof(w->text) - w->len;
	memcpy(w->text + w->len, text, n);
	w->len += n;
}

static void add_number(struct words *w, uint64_t n)
{
	char digits[21] = "";
	char *at = digits + sizeof(digits) - 1;

	do
		*--at = (char)('0' + n % 10);
	while ((n /= 10) != 0);
	signals_add(w, at);
}

/* Firecracker's words first; si_errno is what the filter returned as its data:
 * see sandbox/calls.h. */
static void tell_bad_call(const siginfo_t *info)
{
	static const char *const threads[] = {
		[SANDBOX_VMM] = "the VMM thread",
		[SANDBOX_VCPU] = "a vCPU thread",
		[SANDBOX_PAGER] = "the pager thread",
		[SANDBOX_GATE] = "the gate",
		[SANDBOX_GATE_EARLY] = "the gate",
	};
	unsigned int nr = (unsigned int)info->si_syscall;
	size_t thread = (size_t)info->si_errno;
	const char *name = seccomp_call_name(nr);
	struct words w = {0};

	static_assert(ARRAY_SIZE(threads) == SANDBOX_NR_THREADS, "name each");
	signals_add(&w, "Shutting down VM after intercepting a bad syscall (");
	add_number(&w, nr);
	signals_add(&w, "): ");
	signals_add(&w, name ? name : "unknown");
	signals_add(&w, " on ");
	signals_add(&w,
		    thread < SANDBOX_NR_THREADS ? threads[thread] : "a thread");
	signals_add(&w, "\n");
	if (sink_write(&log_settings.out, w.text, w.len) < 0)
		return; /* nowhere left to complain */
}

/*
 * A whole line of metrics takes locks and memory, which the thread may have
 * held when it made the call: this one has the group that matters.
 */
static void count_bad_call(const struct metrics *metrics)
{
	struct timespec now = {0};
	struct words w = {0};

	if (!metrics || metrics->pending.len > 0)
		return; /* into the middle of another line */
	(void)clock_gettime(CLOCK_REALTIME, &now);
	signals_add(&w, "{\"utc_timestamp_ms\":");
	add_number(&w, (uint64_t)now.tv_sec * 1000 +
			       (uint64_t)now.tv_nsec / 1000000);
	signals_add(&w, ",\"seccomp\":{\"num_faults\":1}}\n");
	if (sink_write(&metrics->out, w.text, w.len) < 0)
		return;
}

static void die_of_bad_call(const siginfo_t *info)
{
	console_restore_tty();
	tell_bad_call(info);
	count_bad_call(state.vm->metrics);
	_exit(EXIT_CODE_BAD_SYSCALL);
}

static void die_of_fault(size_t row, const siginfo_t *info)
{
	const struct machine *m = state.vm->machine;
	const char *path = NULL, *unread = NULL;
	bool guests;
	gpa_t gpa;

	console_restore_tty();
	guests = m && gmem_owns(&m->board.mem, info->si_addr, &gpa);
	if (guests && signals_table[row].sig == SIGSEGV &&
	    board_has_lost_memory(&m->board)) {
		signals_put(UFFD_GONE "\n");
		_exit(EXIT_CODE_GENERIC);
	}
	if (guests && signals_table[row].sig == SIGBUS) {
		path = board_truncated_file(&m->board);
		unread = board_file_at(&m->board, gpa);
	}
	if (path) {
		signals_put(
			"A file that guest memory is mapped from was truncated "
			"while the VM ran: ");
		signals_put(path);
	} else if (unread) {
		signals_put("A page of guest memory cannot be read from ");
		signals_put(unread);
		signals_put(": is its disk in order, and not full?");
	} else {
		signals_put("Shutting down after a fault of our own: ");
		signals_put(signals_table[row].name);
	}
	signals_put("\n");
	_exit(signals_table[row].code);
}

/* What the process dies by at its end. */
static bool is_final(int sig)
{
	return sig == SIGTERM || sig == SIGINT;
}

/*
 * Until the end, which this signal has begun: a second one waits. A locked
 * process may not set what a signal does, so the kernel has done that
 * (SA_RESETHAND); but a mask it returns to from a handler.
 */
static void hold_finals(void *context)
{
	ucontext_t *at = context;

	(void)sigaddset(&at->uc_sigmask, SIGTERM);
	(void)sigaddset(&at->uc_sigmask, SIGINT);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	static const uint64_t one = 1;
	int saved = errno;
	size_t row = row_of(sig);
	bool sent = info->si_code <= 0;

	if (is_final(sig))
		hold_finals(context);
	metric_inc(&state.count[sig & (SIGNALS - 1)]);
	if (sig == SIGSYS && info->si_code == SYS_SECCOMP)
		die_of_bad_call(info);
	if (signals_table[row].fault && !sent)
		die_of_fault(row, info);
	/* The kernel's own SIGXFSZ, which looks as if we had sent it: the write
	 * has failed with EFBIG. */
	if (sig != SIGXFSZ || (sent && info->si_pid != state.pid))
		atomic_fetch_or(&state.pending, 1u << sig);
	if (write(state.wake.fd, &one, sizeof(one)) < 0)
		signals_put("signal lost\n");
	errno = saved;
}

static void on_wake(struct loop_source *src, uint32_t events)
{
	uint32_t pending;
	uint64_t n;

	(void)events;
	if (read(src->fd, &n, sizeof(n)) < 0)
		return;
	pending = atomic_exchange(&state.pending, 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals_table); i++) {
		int sig = signals_table[i].sig;

		if (!(pending & (1u << sig)))
			continue;
		if (signals_table[i].code < 0) {
			log_guest(LOG_ERROR, "Received signal %d", sig);
			continue;
		}
		log_error("Shutting down VM after intercepting signal %d", sig);
		if (is_final(sig))
			state.final = sig;
		vm_end(state.vm, signals_table[i].code);
	}
}

int signals_install(struct vm *vm, struct err *err)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
	};
	int r;

	state.vm = vm;
	state.pid = getpid();
	state.wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.cb = on_wake,
	};
	if (state.wake.fd < 0)
		return err_set(err, -errno, "eventfd failed: %s",
			       err_name(errno));
	r = loop_add(vm->loop, &state.wake);
	if (r < 0)
		return err_set(err, r, "Cannot watch signals: %s", err_name(r));
	(void)sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals_table); i++) {
		action.sa_flags = SA_SIGINFO | SA_RESTART;
		if (is_final(signals_table[i].sig))
			action.sa_flags |= (int)SA_RESETHAND;
		(void)sigaction(signals_table[i].sig, &action, NULL);
	}
	return 0;
}

int signals_final(void)
{
	return state.final;
}

void signals_die(int sig)
{
	sigset_t set;

	(void)raise(sig); /* held since the first one */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, sig);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

#define COUNT(name, sig, kind) {name, (sig) * sizeof(metric_t), kind}

/* Firecracker's names and kinds. */
static const struct metric metrics_of_signals[] = {
	COUNT("sigbus", SIGBUS, METRIC_STORED),
	COUNT("sigsegv", SIGSEGV, METRIC_STORED),
	COUNT("sigxfsz", SIGXFSZ, METRIC_STORED),
	COUNT("sigxcpu", SIGXCPU, METRIC_STORED),
	COUNT("sigpipe", SIGPIPE, METRIC_DELTA),
	COUNT("sighup", SIGHUP, METRIC_STORED),
	COUNT("sigill", SIGILL, METRIC_STORED),
};

/* One that was sent, as a test does; what a filter caught is written at once.
 */
static const struct metric metrics_of_seccomp[] = {
	COUNT("num_faults", SIGSYS, METRIC_STORED),
};

static const struct metric_group seccomp_group = {
	"seccomp",
	metrics_of_seccomp,
	ARRAY_SIZE(metrics_of_seccomp),
};

static const struct metric_group group = {
	"signals",
	metrics_of_signals,
	ARRAY_SIZE(metrics_of_signals),
};

int signals_add_counters(struct metrics *metrics)
{
	int r = metrics_add(metrics, &group, NULL, state.count);

	return r < 0 ? r
		     : metrics_add(metrics, &seccomp_group, NULL, state.count);
}
