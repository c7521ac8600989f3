// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - the life of one microVM (state machine: vm.h)
 */
#include "vm/vm.h"

#include "base/log.h"
#include "config/override.h"
#include "config/parts.h"
#include "config/pmem.h"
#include "host/stream.h"
#include "mem/changed.h"
#include "sandbox/stage.h"
#include "vm/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void on_end(struct loop_source *src, uint32_t events)
{
	struct vm *vm = container_of(src, struct vm, end);

	(void)events;
	loop_quit(vm->loop);
}

int vm_init(struct vm *vm, struct loop *loop)
{
	int r;

	/* The caller zeroed it; the first mark of the timeline may be there. */
	vm_config_init(&vm->config);
	vm->loop = loop;
	vm->exit_code = -1;
	vm->handover.pagemap = -1;
	vm->handover.smaps = -1;
	vm->ahead = KVM_AHEAD_NONE;
	vm->end = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.cb = on_end,
	};
	if (vm->end.fd < 0)
		return -errno;
	r = loop_add(loop, &vm->end);
	if (r < 0)
		fd_close(&vm->end.fd);
	return r;
}

void vm_look_at_host(struct vm *vm)
{
	const struct path_opener *opener = vm->config.opener;
	struct handover *host = &vm->handover;

	if (!vm->config.folder)
		vm->config.folder = getcwd(NULL, 0);
	if (host->pagemap >= 0 || host->boot_id[0])
		return;
	host->pagemap = path_open(opener, PATH_PAGEMAP, NULL, NULL);
	host->smaps = path_open(opener, PATH_SMAPS, NULL, NULL);
	(void)path_read_text(opener, PATH_BOOT_ID, host->boot_id,
			     sizeof(host->boot_id));
}

/* Where there is none the start says why. */
void vm_make_ahead(struct vm *vm)
{
	int fd = path_open(vm->config.opener, PATH_KVM, NULL, NULL);

	if (kvm_ahead_make(&vm->ahead, fd, NULL) < 0)
		log_debug("No VM is made ahead");
}

/* What is plugged, and RAM. */
static uint64_t vm_guest_bytes(const struct gmem *mem)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < mem->nr_image; i++) {
		const struct gmem_region *r = &mem->region[i];

		bytes += r->kind == GMEM_HOT ? gmem_plugged(r, r->gpa, r->size)
					     : r->size;
	}
	return bytes;
}

int vm_guest_usage(const struct vm *vm, uint64_t *size, struct usage *usage)
{
	const struct machine *m = vm->machine;

	if (!m)
		return -ENOENT;
	*size = vm_guest_bytes(&m->board.mem);
	return usage_of_guest(&m->board.mem, m->pagemap, usage);
}

int vm_changed(struct vm *vm, struct vm_changed *changed)
{
	struct machine *m = vm->machine;
	int r = 0;

	if (!m)
		return -ENOENT;
	*changed = (struct vm_changed){
		.since = vm->base.label.moment,
		.tracked = m->board.mem.tracked,
	};
	if (changed->since == 0)
		return 0;
	if (!changed->tracked)
		return gmem_changed(&m->board.mem, m->pagemap, &changed->bytes);
	r = kvm_vm_note_dirty(&m->board.kvm_vm, &m->board.mem);
	if (r == 0)
		changed->bytes = gmem_dirty_bytes(&m->board.mem);
	return r;
}

int vm_pager_usage(struct vm *vm, struct usage *usage)
{
	struct machine *m = vm->machine;

	return m ? pager_usage(&m->board.pager, usage) : -ENOENT;
}

int vm_pager_served(struct vm *vm, struct served *served)
{
	struct machine *m = vm->machine;

	return m ? pager_served(&m->board.pager, served) : -ENOENT;
}

int vm_process_usage(const struct vm *vm, struct usage *usage)
{
	return usage_of_process(vm->handover.smaps, usage);
}

void vm_open_output(struct vm *vm)
{
	stream_borrow(vm->config.opener, STDOUT_FILENO, &vm->output);
}

void vm_fini(struct vm *vm)
{
	machine_free(vm->machine);
	vm->machine = NULL;
	if (vm->metrics)
		metrics_remove(vm->metrics, &vm->mmds.metrics);
	mmds_fini(&vm->mmds);
	sink_close(&vm->output);
	loop_del(vm->loop, &vm->end);
	fd_close(&vm->end.fd);
	fd_close(&vm->handover.pagemap);
	fd_close(&vm->handover.smaps);
	kvm_ahead_fini(&vm->ahead);
	vm_config_fini(&vm->config);
}

static void end_for(void *ctx, enum vm_end_reason why)
{
	static const enum exit_code codes[] = {
		[VM_END_ASKED] = EXIT_CODE_OK,
		[VM_END_HOST] = EXIT_CODE_GENERIC,
		[VM_END_FILE_TRUNCATED] = EXIT_CODE_SIGBUS,
		[VM_END_TRIPLE_FAULT] = EXIT_CODE_TRIPLE_FAULT,
		[VM_END_INTERNAL_ERROR] = EXIT_CODE_INTERNAL_ERROR,
		[VM_END_MMIO_IN_RAM] = EXIT_CODE_MMIO_IN_RAM,
		[VM_END_FAIL_ENTRY] = EXIT_CODE_FAIL_ENTRY,
		[VM_END_UNKNOWN_EXIT] = EXIT_CODE_UNKNOWN,
		[VM_END_RUN_FAILED] = EXIT_CODE_RUN_FAILED,
	};
	static_assert(ARRAY_SIZE(codes) == VM_END_REASONS, "a code for each");

	vm_end(ctx, (int)codes[why]);
}

/* The metadata service becomes what the configuration says. */
static int set_up_mmds(struct vm *vm, struct err *err)
{
	const struct mmds_config *config = &vm->config.mmds;
	struct mmds *mmds = &vm->mmds;
	int r;

	if (!config->present)
		return 0;
	mmds->version = config->version == CONFIG_MMDS_V2 ? MMDS_V2 : MMDS_V1;
	mmds->imds_compat = config->imds_compat;
	memcpy(mmds->address, config->ipv4_address, sizeof(mmds->address));
	r = mmds_tokens_init(&mmds->tokens);
	metrics_remove(vm->metrics,
		       &mmds->metrics); /* of a start that failed */
	if (r == 0)
		r = metrics_add(vm->metrics, &mmds_metric_group, NULL,
				&mmds->metrics);
	return r < 0 ? err_set(err, r, "Cannot make the metadata service: %s",
			       err_name(r))
		     : 0;
}

int vm_new_machine(struct vm *vm, struct machine **out, struct err *err)
{
	const struct vm_env env = {
		.config = &vm->config,
		.loop = vm->loop,
		.terminal = vm->terminal,
		.output = &vm->output,
		.metrics = vm->metrics,
		.mmds = vm->config.mmds.present ? &vm->mmds : NULL,
		.sandbox = vm->sandbox,
		.timeline = &vm->timeline,
		.host = &vm->handover,
		.ahead = &vm->ahead,
		.exit_code = &vm->exit_code,
		.end = end_for,
		.ctx = vm,
	};

	int r = set_up_mmds(vm, err);

	if (r == 0)
		r = pmems_ready(&vm->config, err);
	vm_look_at_host(vm);
	return r < 0 ? r : machine_new(out, &env, err);
}

/* The gate is told first: from then on it opens only what a client named. */
static int lock(struct vm *vm, struct err *err)
{
	struct pager *pager = &vm->machine->board.pager;
	int r = vm->lock ? vm->lock(vm, vm->lock_ctx, err) : 0;

	vm->locked = r == 0;
	if (sandbox_isolates(vm->sandbox)) /* it takes one thread only */
		pager_unwatch(pager);
	if (r == 0)
		r = sandbox_lock(vm->sandbox, err);
	if (r < 0)
		return r;
	r = pager_watch_again(pager);
	return r < 0 ? err_set(err, r, "Cannot watch the memory's handler: %s",
			       err_name(r))
		     : 0;
}

/* Of the VM, what the threads' filters are made for. */
static unsigned int what_it_has(const struct vm *vm)
{
	const struct vm_config *c = &vm->config;
	unsigned int has =
		vm->machine->chipset.console.raw ? SANDBOX_HAS_TTY : 0;

	if (vm->machine->board.kvm_vm.rings.on)
		has |= SANDBOX_HAS_RING;
	if (c->memory_hotplug.present)
		has |= SANDBOX_HAS_MEMORY;
	for (size_t i = 0; i < c->nr_nets; i++)
		has |= c->nets[i].vhost ? SANDBOX_HAS_TAP | SANDBOX_HAS_VHOST
		       : net_config_is_socket(c->nets[i].host_dev_name)
			       ? 0
			       : SANDBOX_HAS_TAP;
	return has;
}

int vm_run(struct vm *vm, bool paused, struct err *err)
{
	struct machine *m = vm->machine;
	int r = console_start_input(&m->chipset.console, err);

	if (vm->sandbox)
		vm->sandbox->has = what_it_has(vm);
	if (r == 0)
		r = lock(vm, err);
	return r < 0 ? r
		     : vcpus_start(&m->vcpus, paused ? VCPUS_PAUSE : VCPUS_RUN,
				   err);
}

/* Return: as vm_start(). */
static int boot(struct vm *vm, struct err *err)
{
	struct machine *m = NULL;
	int r = vm_new_machine(vm, &m, err);

	if (r == 0)
		r = boot_machine(m, err);
	if (r < 0) {
		machine_free(m);
		return r;
	}
	timeline_mark(&vm->timeline, TIMELINE_VCPUS_READY);
	vm->machine = m;
	return 0;
}

void vm_set_state(struct vm *vm, enum vm_state state)
{
	if (vm->state == state)
		return;
	vm->state = state;
	if (vm->changed)
		vm->changed(vm);
}

int vm_start(struct vm *vm, struct err *err)
{
	int r;

	if (vm->state != VM_NOT_STARTED)
		return err_set(err, -EBUSY, "The microVM is already running");
	timeline_mark(&vm->timeline, TIMELINE_START);
	r = boot(vm, err);
	if (r < 0)
		return r;
	r = vm_run(vm, false, err);
	if (r < 0) {
		machine_free(vm->machine);
		vm->machine = NULL;
		if (vm->locked)
			vm_end(vm,
			       EXIT_CODE_GENERIC); /* it opens nothing more */
		return r;
	}
	vm_set_state(vm, VM_RUNNING);
	return 0;
}

static int not_started(struct err *err)
{
	return err_set(err, -EINVAL, "The microVM has not been started");
}

int vm_pause(struct vm *vm, struct err *err)
{
	if (vm->state == VM_NOT_STARTED)
		return not_started(err);
	if (vm->state == VM_RUNNING) {
		if (vcpus_pause(&vm->machine->vcpus) < 0)
			return err_set(
				err, -ETIME,
				"A vCPU cannot be paused: it has been "
				"waiting for the host for %u s, as it does "
				"when a page of guest memory does not come",
				(unsigned int)(VCPUS_PAUSE_NS / 1000000000));
		slots_pause(&vm->machine->slots);
	}
	vm_set_state(vm, VM_PAUSED);
	return 0;
}

int vm_resume(struct vm *vm, struct err *err)
{
	if (vm->state == VM_NOT_STARTED)
		return not_started(err);
	if (vm->waits) {
		int r = config_missing(&vm->config, NULL, NULL, err);

		if (r == 0 && vm->runs)
			r = vm->runs(vm, vm->lock_ctx, err);
		if (r < 0)
			return r;
		vm->waits = false;
	}
	if (vm->state == VM_PAUSED) {
		slots_resume(&vm->machine->slots);
		vcpus_resume(&vm->machine->vcpus);
	}
	vm_set_state(vm, VM_RUNNING);
	return 0;
}

int vm_send_ctrl_alt_del(struct vm *vm, struct err *err)
{
	if (vm->state == VM_NOT_STARTED)
		return not_started(err);
	return machine_send_ctrl_alt_del(vm->machine, err);
}

void vm_end(struct vm *vm, int code)
{
	static const uint64_t one = 1;
	int alive = -1;

	if (!atomic_compare_exchange_strong(&vm->exit_code, &alive, code))
		return;
	timeline_mark(&vm->timeline, TIMELINE_END);
	/* Fails only when the counter is full: then it is readable anyway. */
	if (write(vm->end.fd, &one, sizeof(one)) < 0)
		log_error("Cannot wake the VMM thread: %s", err_name(errno));
}
