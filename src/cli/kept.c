// SPDX-License-Identifier: Apache-2.0
/*
 * kept.c - what commands share about VMs in the background (kept.h)
 */
#include "cli/kept.h"

#include "cli/cli.h"

#include "base/fd.h"
#include "host/unix.h"
#include "vms/vm_log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#define KEPT_STEP_MS 20

int kept_open(struct kept *kept, const char *name, struct err *err)
{
	int r;

	kept->vm = VMS_VM_NONE;
	r = vms_open(&kept->vms, false, err);
	return r < 0 ? r : vms_find(&kept->vms, name, &kept->vm, err);
}

void kept_close(struct kept *kept)
{
	vms_release(&kept->vm);
	vms_close(&kept->vms);
}

bool kept_lives(const struct kept *kept)
{
	return kept->vm.state == VMS_STARTS || kept->vm.state == VMS_RUNS;
}

const char *kept_state(const struct vms_vm *vm)
{
	switch (vm->state) {
	case VMS_STARTS:
		return "starting";
	case VMS_RUNS:
		return "running";
	case VMS_ENDED:
		return vm->record.died ? "died" : "exited";
	default:
		return "damaged";
	}
}

int kept_dial(struct agent_client *client, const char *name, struct err *err)
{
	char socket[VMAPI_PATH_MAX], path[GUEST_PATH_MAX];
	int fd, r;

	*client = (struct agent_client){.fd = -1};
	r = vmapi_socket(name, socket, false, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s.ctl", socket);
	fd = unix_connect(path, AGENT_CLIENT_LIMIT_MS);
	if (fd < 0)
		return err_set(err, fd,
			       "the process that stays with VM %s does not "
			       "answer: %s",
			       name, err_name(fd));
	return agent_client_take(client, fd, AGENT_CLIENT_LIMIT_MS, err);
}

bool kept_ended(const char *name, int ms)
{
	const struct timespec step = {.tv_nsec = KEPT_STEP_MS * 1000000L};

	for (int waited = 0;; waited += KEPT_STEP_MS) {
		struct kept kept;
		int r = kept_open(&kept, name, NULL);
		bool lives = r == 0 && kept_lives(&kept);

		kept_close(&kept);
		if (!lives)
			return true;
		if (ms >= 0 && waited >= ms)
			return false;
		(void)nanosleep(&step, NULL);
	}
}

int kept_vmm(const char *name)
{
	struct api_client api;
	int pidfd;

	if (vmapi_open(&api, name, NULL) < 0)
		return -1;
	pidfd = pidfd_open(api.pid, 0);
	api_client_close(&api);
	return pidfd;
}

static void kept_print(void *ctx, const struct vms_vm *vm)
{
	const struct vm_record *record = &vm->record;
	char when[VM_LOG_TIME_MAX] = "-", code[16] = "-";
	char image[CLI_CLEAN_MAX], command[CLI_CLEAN_MAX];
	bool *any = ctx;

	if (!*any)
		(void)printf("\nIn the background:\n%-20s %-9s %4s %-24s %-20s "
			     "%s\n",
			     "NAME", "STATE", "CODE", "SINCE", "IMAGE",
			     "COMMAND");
	*any = true;
	if (vm->state == VMS_ENDED)
		(void)snprintf(code, sizeof(code), "%u",
			       (unsigned int)record->code);
	if (record->created)
		vm_log_time(record->ended     ? record->ended
			    : record->started ? record->started
					      : record->created,
			    when);
	(void)printf(
		"%-20s %-9s %4s %-24s %-20s %s\n", record->name, kept_state(vm),
		code, when,
		cli_clean(record->image ? record->image : "-", image),
		cli_clean(record->command ? record->command : "-", command));
}

int kept_print_all(struct err *err)
{
	struct vms vms;
	bool any = false;
	int r = vms_open(&vms, false, err);

	if (r == 0)
		r = vms_each(&vms, kept_print, &any, err);
	vms_close(&vms);
	return r;
}
