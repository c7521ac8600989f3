// SPDX-License-Identifier: Apache-2.0
/*
 * vm.c - the life of one microVM (state machine: vm.h)
 */
#include "vm/vm.h"

#include "base/log.h"
#include "sandbox/stage.h"
#include "vm/machine.h"

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
	vm->end = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.kind = LOOP_VCPU_EXIT,
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
	if (host->pagemap >= 0)
		return;
	host->pagemap = path_open(opener, PATH_PAGEMAP, NULL, NULL);
	(void)path_read_text(opener, PATH_BOOT_ID, host->boot_id,
			     sizeof(host->boot_id));
}

void vm_free(struct vm *vm)
{
	machine_free(vm->machine);
	vm->machine = NULL;
	loop_del(vm->loop, &vm->end);
	fd_close(&vm->end.fd);
	fd_close(&vm->handover.pagemap);
	vm_config_free(&vm->config);
}

int vm_start(struct vm *vm, struct err *err)
{
	int r;

	if (vm->state != VM_NOT_STARTED)
		return err_set(err, -EBUSY, "The microVM is already running");
	timeline_mark(&vm->timeline, TIMELINE_START);
	r = machine_new(&vm->machine, vm, NULL, err);
	if (r < 0)
		return r;
	r = machine_run(vm->machine, VCPUS_RUN, err);
	if (r < 0) {
		machine_free(vm->machine);
		vm->machine = NULL;
		if (vm->locked)
			vm_end(vm, VM_EXIT_GENERIC); /* it opens nothing more */
		return r;
	}
	vm->state = VM_RUNNING;
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
		virtio_pause(vm->machine);
	}
	vm->state = VM_PAUSED;
	return 0;
}

int vm_resume(struct vm *vm, struct err *err)
{
	if (vm->state == VM_NOT_STARTED)
		return not_started(err);
	if (vm->state == VM_PAUSED) {
		virtio_resume(vm->machine);
		vcpus_resume(&vm->machine->vcpus);
	}
	vm->state = VM_RUNNING;
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
