// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - volt-vmm: one microVM, one process
 *
 * Theory of operation
 *
 * Everything hangs off one object, struct vmm, and happens on one thread, the
 * VMM thread, but for the guest's CPUs. The order is main() and vmm_run():
 *
 *   the early stage of the sandbox; the arguments; the loop and struct vm
 *   signals, log, API object
 *   what the sandbox is to be; the API's socket, and the gate is forked
 *   configuration, from a file or flags
 *   start or restore, if there is something; else a client of the API does it
 *   the loop, until the VM has ended; then all of it in reverse
 *
 * Only this file prints to stderr and chooses the exit code.
 */
#include "api/api.h"
#include "base/clean.h"
#include "base/log.h"
#include "dev/console.h"
#include "host/allow.h"
#include "host/core_sched.h"
#include "host/notify.h"
#include "host/stream.h"
#include "host/timer.h"
#include "sandbox/stage.h"
#include "vm/machine.h"
#include "vm/restore.h"
#include "vmm/ask.h"
#include "vmm/options.h"
#include "vmm/signals.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* For a jailer: this program closes what it is left (host/handover.h). */
HANDOVER_NOTE;

/**
 * struct vmm - the whole process
 * @terminal:	stderr, from the early stage to the end
 * @allow:	of --allow, until the gate has it
 */
struct vmm {
	struct options opts;
	struct sink terminal;
	struct loop loop;
	struct timer limit; /* of --timeout */
	struct notify notify;
	struct vm vm;
	struct metrics metrics;
	struct api *api;
	struct sandbox sandbox;
	struct allow allow;
};

/* Firecracker's clients use none of these flags. */
static bool for_person(const struct options *o)
{
	return o->kernel || o->restore || o->snapshot;
}

/* The reader of stderr may have stopped reading: never block on it. */
static void put_stderr(const struct vmm *v, const char *text, size_t n)
{
	struct sink out = v->terminal;

	if (out.kind == SINK_NONE)
		stream_borrow(&path_direct, STDERR_FILENO, &out);
	sink_write_last(&out, text, n);
	if (v->terminal.kind == SINK_NONE)
		sink_close(&out);
}

static void say(const struct vmm *v, const char *text)
{
	char line[2 * ERR_TEXT_MAX] = "volt-vmm: ";
	size_t n = strlen(line);

	n += clean_text(line + n, sizeof(line) - 1 - n, text, strlen(text));
	line[n++] = '\n';
	put_stderr(v, line, n);
}

/*
 * One sentence, where its reader looks: on the terminal for a person, in the
 * log for a client, once where that is the same place.
 */
static int vmm_complain(const struct vmm *v, const struct err *err, int code)
{
	say(v, for_person(&v->opts) ? err_for_person(err) : err->text);
	if (log_settings.moved)
		log_error("%s", err->text);
	return code;
}

static int describe_snapshot(const struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;
	const char *path = o->describe_snapshot;
	char version[96];

	if (vm_snapshot_version(path, version, err) < 0)
		return vmm_complain(v, err, EXIT_CODE_GENERIC);
	(void)printf("v%s\n", version);
	return EXIT_CODE_OK;
}

static int print_and_exit(const struct vmm *v, struct err *err)
{
	const struct options *opts = &v->opts;

	switch (opts->action) {
	case OPTIONS_HELP:
		return options_print_help() < 0 ? EXIT_CODE_GENERIC
						: EXIT_CODE_OK;
	case OPTIONS_VERSION:
		options_print_version();
		return EXIT_CODE_OK;
	case OPTIONS_SNAPSHOT_VERSION:
		(void)printf("v%s\n", SNAPSHOT_VERSION);
		return EXIT_CODE_OK;
	case OPTIONS_DESCRIBE_SNAPSHOT:
		return describe_snapshot(v, err);
	default:
		if (ask_for_snapshot(opts->api_sock, opts->snapshot, err) < 0)
			return vmm_complain(v, err, EXIT_CODE_GENERIC);
		return EXIT_CODE_OK;
	}
}

/* Has all that was printed arrived? */
static int flush(const struct vmm *v, int code)
{
	char text[96];

	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	(void)snprintf(text, sizeof(text),
		       "Cannot write to standard output: %s", err_name(errno));
	say(v, text);
	return EXIT_CODE_GENERIC;
}

/* A client that was given no flag at all still expects the API. */
static const char *api_path(const struct options *opts)
{
	if (opts->no_api)
		return NULL;
	if (opts->api_sock)
		return opts->api_sock;
	return opts->kernel || opts->restore ? NULL : OPTIONS_API_SOCK_DEFAULT;
}

/* By the flags alone: a vsock of a config file or snapshot calls
 * vm->meet_vsock. */
static bool needs_gate(const struct options *o)
{
	return api_path(o) || o->vsock;
}

static_assert(ALLOW_MAX == ARGS_LIST_MAX, "--allow");

/* What --allow names has to be there, also when no gate is for it. */
static int check_allow(struct vmm *v, struct err *err)
{
	const struct arg_list *allow = &v->opts.allow;
	int r = allow->nr == 0
			? 0
			: allow_open(&v->allow, allow->text, allow->nr, err);

	allow_close(&v->allow);
	return r;
}

static int open_gate(struct vmm *v, struct err *err)
{
	const struct arg_list *allow = &v->opts.allow;
	int r;

	if (allow->nr > 0) {
		r = allow_open(&v->allow, allow->text, allow->nr, err);
		if (r < 0)
			return r;
	}
	v->sandbox.has_gate = true;
	return api_open_gate(v->api, api_path(&v->opts),
			     allow->nr > 0 ? &v->allow : NULL, err);
}

/* vm->meet_vsock of a VM that needs no gate for anything else. */
static int gate_for_vsock(struct vm *vm, struct err *err)
{
	return open_gate(container_of(vm, struct vmm, vm), err);
}

/* The command line wins over the host's file, and that over the default. */
static int choose_sandbox(struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;
	struct sandbox *s = &v->sandbox;
	int r;

	*s = (struct sandbox){.mode = SANDBOX_STRICT, .min_abi = 1};
	v->vm.sandbox = s;
	r = sandbox_read_host(s, SANDBOX_HOST_FILE, err);
	if (r < 0)
		return r;
	if (o->has_sandbox)
		s->mode = o->sandbox;
	if (o->sandbox_min_abi)
		s->min_abi = (unsigned int)o->sandbox_min_abi;
	s->isolate = o->isolate;
	if (s->isolate && s->mode == SANDBOX_OFF)
		return err_set(
			err, -EINVAL,
			"--isolate is a part of the sandbox, and that is "
			"off");
	return 0;
}

/* As choose_sandbox(): what is wrong goes to the log, which is open by now. */
static int prepare_sandbox(struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;
	struct sandbox *s = &v->sandbox;
	int r = 0;

	s->first = o->sandbox_first;
	/* What is started at once has no request before its guest runs. */
	s->early = o->api_sock && !o->seccomp_filter && !o->kernel &&
		   !o->config_file && (!o->restore || o->paused);
	if (o->no_seccomp) {
		s->filters = SANDBOX_FILTERS_NONE;
	} else if (o->seccomp_filter) {
		s->filters = SANDBOX_FILTERS_CUSTOM;
		r = filter_file_read(&s->custom, o->seccomp_filter, err);
		if (r < 0)
			(void)err_prefix(err, "Seccomp error: ");
	}
	return r < 0 ? r : sandbox_check(s, err);
}

static void log_sandbox(const struct sandbox *s)
{
	char gap[SANDBOX_GAP_MAX];

	if (s->mode == SANDBOX_OFF)
		return;
	log_info("Sandbox: %s, Landlock ABI %u, seccomp filters: %s%s",
		 sandbox_mode_name(s->mode), s->abi, sandbox_filters_name(s),
		 s->isolate ? ", namespaces of its own" : "");
	for (unsigned int i = 0; sandbox_gap(s, i, gap) > 0; i++)
		log_at(s->mode == SANDBOX_STRICT ? LOG_INFO : LOG_WARN,
		       "Not in the sandbox: %s", gap);
}

static int new_api(struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;
	const struct api_settings settings = {
		.id = o->id,
		.payload_max = o->payload_max,
		.mmds_size_limit = o->mmds_size_limit,
		.has_start_time_us = o->has_start_time_us,
		.has_start_time_cpu_us = o->has_start_time_cpu_us,
		.start_time_us = o->start_time_us,
		.start_time_cpu_us = o->start_time_cpu_us,
		.parent_cpu_time_us = o->parent_cpu_time_us,
	};
	int r;

	v->vm.metrics = &v->metrics;
	v->api = api_new(&v->vm, &v->metrics, &settings);
	if (!v->api || signals_add_counters(&v->metrics) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	r = api_logger_setup(v->api, o->log_path, o->level, o->module,
			     o->show_level, o->show_log_origin, err);
	if (r < 0)
		return r;
	log_info("Running Firecracker-compatible Volt v%s", VOLT_VERSION);
	return o->metrics_path ? api_metrics_setup(v->api, o->metrics_path, err)
			       : 0;
}

/* Return: an exit code; EXIT_CODE_OK to go on to the loop. */
static int configure(struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;

	v->vm.config.lock_drives = o->lock_drives;
	v->vm.config.taps_are_there = o->kernel || o->restore;
	if (o->metadata && api_mmds_setup(v->api, o->metadata, err) < 0)
		return EXIT_CODE_GENERIC;
	if (o->config_file && config_file_load(o->config_file, v->api, err) < 0)
		return EXIT_CODE_GENERIC;
	if (options_apply(o, &v->vm.config, err) < 0)
		return EXIT_CODE_GENERIC;
	return EXIT_CODE_OK;
}

static int restore(struct vmm *v, struct err *err)
{
	struct option_restore o = {0};
	int r = option_restore_fill(&v->opts, &o, err);

	if (r == 0)
		r = api_restore(v->api, v->opts.restore,
				v->opts.snapshot_memory, &o.how, err);
	option_restore_free(&o);
	return r < 0 ? EXIT_CODE_GENERIC : EXIT_CODE_OK;
}

/* Return: an exit code; EXIT_CODE_OK to go on to the loop. */
static int start(struct vmm *v, struct err *err)
{
	const struct options *o = &v->opts;

	if (o->restore)
		return restore(v, err);
	if (o->sandbox_first && api_lock_first(v->api, err) < 0)
		return EXIT_CODE_GENERIC;
	if (!o->config_file && !o->kernel)
		return EXIT_CODE_OK; /* the API will */
	if (api_vm_start(v->api, err) < 0) {
		if (o->config_file)
			log_error("Could not Start MicroVM from one single "
				  "json: %s",
				  err->text);
		return EXIT_CODE_GENERIC;
	}
	if (o->config_file)
		log_info("Successfully started microvm that was configured "
			 "from one single json");
	return EXIT_CODE_OK;
}

static void print_timing(const struct vmm *v)
{
	char text[1024];
	size_t n;

	if (!v->vm.machine)
		return;
	n = timeline_format(&v->vm.timeline, v->vm.machine->board.kvm.stats.ns,
			    v->vm.machine->board.kvm.stats.calls, text,
			    sizeof(text));
	put_stderr(v, text, n);
	if (v->vm.restore_steps.nr == 0)
		return;
	n = steps_format(&v->vm.restore_steps, text, sizeof(text));
	put_stderr(v, text, n);
}

static void out_of_time(struct timer *timer)
{
	struct vmm *v = container_of(timer, struct vmm, limit);

	log_error("The time limit of %llu s is over: the VM ends",
		  (unsigned long long)v->opts.timeout_s);
	vm_end(&v->vm, EXIT_CODE_TIMEOUT);
}

static void start_limit(struct vmm *v)
{
	timer_init(&v->limit, &v->loop, out_of_time);
	if (v->opts.timeout_s)
		timer_set(&v->limit, v->opts.timeout_s * 1000000000u, 0);
}

/* Before threads and the gate: they have the cookie, too. */
static int separate_cores(const struct vmm *v, struct err *err)
{
	bool needed;
	int r;

	if (!v->opts.core_sched)
		return 0;
	r = core_sched_start(&needed, err);
	if (r == 0 && !needed)
		log_info("Core scheduling: not needed, SMT is off");
	return r;
}

/* What `systemctl status` shows of the VM. */
static void tell_state(struct vm *vm)
{
	struct vmm *v = container_of(vm, struct vmm, vm);
	const struct machine_config *m = &vm->config.machine;
	char text[NOTIFY_STATUS_MAX];

	(void)snprintf(text, sizeof(text), "%s: %u CPU%s, %llu MiB",
		       vm->state == VM_PAUSED ? "Paused" : "Running",
		       m->vcpu_count, m->vcpu_count == 1 ? "" : "s",
		       (unsigned long long)m->mem_size_mib);
	notify_ready(&v->notify, text);
}

/* A manager that cannot be told of the VM is no reason not to have it. */
static void meet_manager(struct vmm *v)
{
	struct err err;

	if (notify_open(&v->notify, &v->loop, &err) < 0)
		log_warn("%s", err.text);
	v->vm.changed = tell_state;
}

static void tell_end(struct vmm *v, int code)
{
	int sig = signals_final();
	char text[NOTIFY_STATUS_MAX];

	if (sig != 0)
		(void)snprintf(text, sizeof(text), "Ended by signal %d", sig);
	else
		(void)snprintf(text, sizeof(text), "Ended, exit code %d", code);
	notify_stopping(&v->notify, text);
}

/* vmm_complain() for those who look at the service, too. */
static int vmm_refuse(struct vmm *v, const struct err *err, int code)
{
	notify_stopping(&v->notify, err->text);
	return vmm_complain(v, err, code);
}

static int vmm_run(struct vmm *v, struct err *err)
{
	int code = EXIT_CODE_GENERIC;
	int r;

	if (signals_install(&v->vm, err) < 0 || new_api(v, err) < 0)
		return vmm_refuse(v, err,
				  err->rc == -EINVAL ? EXIT_CODE_BAD_CONFIG
						     : code);
	meet_manager(v);
	if (separate_cores(v, err) < 0 || choose_sandbox(v, err) < 0 ||
	    prepare_sandbox(v, err) < 0)
		return vmm_refuse(v, err, code);
	if (!needs_gate(&v->opts)) {
		v->vm.meet_vsock = gate_for_vsock;
		if (check_allow(v, err) < 0)
			return vmm_refuse(v, err, code);
	} else if (open_gate(v, err) < 0) {
		return vmm_refuse(v, err, code);
	}
	log_sandbox(&v->sandbox);
	code = configure(v, err);
	if (code == EXIT_CODE_OK)
		code = start(v, err);
	if (code != EXIT_CODE_OK)
		return vmm_refuse(v, err, code);
	if (v->vm.state == VM_NOT_STARTED)
		notify_status(&v->notify, "Waiting for a client of the API");
	start_limit(v);
	r = loop_run(&v->loop);
	timer_stop(&v->limit);
	if (r < 0) {
		log_error("The event loop failed: %s%s", err_name(r),
			  r == -ENOSYS ? "; it needs Linux 5.11 or later" : "");
		return EXIT_CODE_UNEXPECTED;
	}
	return v->vm.exit_code < 0 ? EXIT_CODE_OK : v->vm.exit_code;
}

/* A person has read why already. */
static void log_end(const struct options *o, int code)
{
	if (code == EXIT_CODE_OK)
		log_info("Firecracker exiting successfully. exit_code=0");
	else if (!for_person(o) || log_settings.moved)
		log_error("Firecracker exiting with error. exit_code=%d", code);
	log_finish();
}

/* After all is restored and closed: log the end, die by the signal that came.
 */
static int leave(const struct options *o, int code)
{
	int sig = signals_final();

	log_end(o, code);
	if (sig != 0)
		signals_die(sig);
	return code;
}

int main(int argc, char **argv)
{
	static struct vmm v = {.notify.fd = -1};
	struct handover left;
	struct err err = {0};
	int code, early;

	timeline_mark(&v.vm.timeline, TIMELINE_PROCESS);
	if (stream_fill_standard() < 0)
		return EXIT_CODE_GENERIC; /* and nowhere to say why */
	handover_take(&left);
	early = sandbox_early(argc, argv, (int[]){left.pagemap, left.smaps},
			      &err);
	stream_borrow(&path_direct, STDERR_FILENO, &v.terminal);
	v.vm.terminal = &v.terminal;
	log_name_thread("firecracker"); /* what clients look for */
	if (early < 0)
		return vmm_complain(&v, &err, EXIT_CODE_GENERIC);
	if (options_parse(&v.opts, argc, argv, &err) < 0) {
		say(&v, options_for_person(argc, argv) ? err_for_person(&err)
						       : err.text);
		return EXIT_CODE_BAD_ARGUMENTS;
	}
	if (v.opts.action != OPTIONS_RUN)
		return flush(&v, print_and_exit(&v, &err));
	log_settings.out = v.terminal;
	log_settings.out.owned = false;
	log_set_id(v.opts.id);
	if (loop_init(&v.loop) < 0 || vm_init(&v.vm, &v.loop) < 0) {
		err_set(&err, -ENOMEM, "Cannot create the event loop");
		return vmm_complain(&v, &err, EXIT_CODE_GENERIC);
	}
	v.vm.handover = left;
	code = vmm_run(&v, &err);
	tell_end(&v, code);
	api_close_gate(v.api);
	api_free(v.api);
	if (v.opts.timing)
		print_timing(&v);
	vm_fini(&v.vm);
	notify_close(&v.notify);
	sandbox_free(&v.sandbox);
	loop_fini(&v.loop);
	return leave(&v.opts, code);
}
