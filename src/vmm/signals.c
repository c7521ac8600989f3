// SPDX-License-Identifier: Apache-2.0
/*
 * signals.c - what a signal does to volt-vmm (theory of operation: signals.h)
 */
#include "vmm/signals.h"

#include "base/log.h"
#include "base/metrics.h"
#include "dev/console.h"
#include "vm/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SIGNALS 32

/* Handlers have no argument of ours: these are the signal flags that the
 * style allows at file scope. */
static struct {
	struct vm *vm;
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
} table[] = {
	{SIGTERM, VM_EXIT_OK, false, "SIGTERM"},
	{SIGINT, VM_EXIT_OK, false, "SIGINT"},
	{SIGHUP, VM_EXIT_SIGHUP, false, "SIGHUP"},
	{SIGXCPU, VM_EXIT_SIGXCPU, false, "SIGXCPU"},
	{SIGXFSZ, VM_EXIT_SIGXFSZ, false, "SIGXFSZ"},
	{SIGPIPE, -1, false, "SIGPIPE"},
	{SIGBUS, VM_EXIT_SIGBUS, true, "SIGBUS"},
	{SIGSEGV, VM_EXIT_SIGSEGV, true, "SIGSEGV"},
	{SIGILL, VM_EXIT_SIGILL, true, "SIGILL"},
	{SIGSYS, VM_EXIT_BAD_SYSCALL, true, "SIGSYS"},
};

static size_t row_of(int sig)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(table) - 1 && table[i].sig != sig)
		i++;
	return i;
}

static void put(const char *text)
{
	if (sink_write(&log_settings.out, text, strlen(text)) < 0)
		return; /* nowhere left to complain */
}

/* Only async-signal-safe calls from here to _exit(). */
static void die_of_fault(size_t row, const siginfo_t *info)
{
	const struct machine *m = state.vm->machine;
	const char *path = NULL;
	gpa_t gpa;

	console_restore_tty();
	if (m && table[row].sig == SIGBUS &&
	    gmem_owns(&m->mem, info->si_addr, &gpa))
		path = machine_truncated_file(m);
	if (path) {
		put("A file that guest memory is mapped from was truncated "
		    "while the VM ran: ");
		put(path);
	} else {
		put("Shutting down after a fault of our own: ");
		put(table[row].name);
	}
	put("\n");
	_exit(table[row].code);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	static const uint64_t one = 1;
	int saved = errno;
	size_t row = row_of(sig);
	bool sent = info->si_code <= 0;

	(void)context;
	metric_inc(&state.count[sig & (SIGNALS - 1)]);
	if (table[row].fault && !sent)
		die_of_fault(row, info);
	/* The kernel's own SIGXFSZ, which looks as if we had sent it: the write
	 * has failed with EFBIG. */
	if (sig != SIGXFSZ || (sent && info->si_pid != getpid()))
		atomic_fetch_or(&state.pending, 1u << sig);
	if (write(state.wake.fd, &one, sizeof(one)) < 0)
		put("signal lost\n");
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
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int sig = table[i].sig;

		if (!(pending & (1u << sig)))
			continue;
		if (table[i].code < 0) {
			log_guest(LOG_ERROR, "Received signal %d", sig);
			continue;
		}
		log_error("Shutting down VM after intercepting signal %d", sig);
		if (sig == SIGTERM || sig == SIGINT)
			state.final = sig;
		vm_end(state.vm, table[i].code);
	}
}

int signals_install(struct vm *vm, struct err *err)
{
	struct sigaction action = {
		.sa_sigaction = on_signal,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};
	int r;

	state.vm = vm;
	state.wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.kind = LOOP_SIGNAL,
		.cb = on_wake,
	};
	if (state.wake.fd < 0)
		return err_set(err, -errno, "eventfd failed: %s",
			       err_name(errno));
	r = loop_add(vm->loop, &state.wake);
	if (r < 0)
		return err_set(err, r, "Cannot watch signals: %s", err_name(r));
	(void)sigfillset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		(void)sigaction(table[i].sig, &action, NULL);
	return 0;
}

int signals_final(void)
{
	return state.final;
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

static const struct metric_group group = {
	"signals",
	metrics_of_signals,
	ARRAY_SIZE(metrics_of_signals),
};

int signals_add_counters(struct metrics *metrics)
{
	return metrics_add(metrics, &group, NULL, state.count);
}
