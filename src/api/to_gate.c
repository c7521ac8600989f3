// SPDX-License-Identifier: Apache-2.0
/*
 * to_gate.c - what the guest process asks the gate for: the lock, and the files
 * of a snapshot (theory of operation: gate/gate.h, gate/save.h)
 */
#include "api/resource.h"

#include "base/fd.h"
#include "gate/save.h"
#include "sandbox/stage.h"
#include "vm/machine.h"

#include <errno.h>

/* ---- the lock ---- */

static int tell_vsock(struct api *api)
{
	const struct vsock_config *vsock = &api->vm->config.vsock;
	const struct wire_vsock head = {vsock->file.dev, vsock->file.ino};
	cleanup_buf struct buf text = {0};

	if (!vsock->present)
		return 0;
	buf_add(&text, &head, sizeof(head));
	buf_add_str(&text, vsock->uds_path);
	if (text.failed)
		return -ENOMEM;
	return gate_link_tell(&api->gate, WIRE_HANDOVER, WIRE_VSOCK, text.data,
			      text.len);
}

static int tell_drives(struct api *api)
{
	const struct vm_config *config = &api->vm->config;
	int r = 0;

	for (size_t i = 0; i < config->nr_drives && r == 0; i++) {
		const struct drive_config *d = &config->drives[i];

		r = gate_link_tell(&api->gate, WIRE_HANDOVER,
				   d->is_read_only ? WIRE_DRIVE_RO : WIRE_DRIVE,
				   d->drive_id, strlen(d->drive_id));
	}
	return r;
}

static int tell_base(struct api *api)
{
	const struct vm *vm = api->vm;
	const struct save_base base = {
		.base = vm->base,
		.size = vm->machine->board.mem.size,
		.tracked = vm->machine->board.mem.tracked,
	};

	return gate_link_tell(&api->gate, WIRE_HANDOVER, WIRE_SAVES, &base,
			      sizeof(base));
}

static int silent(int r, struct err *err)
{
	return err_set(err, r,
		       "The part of Volt that opens files does not answer: %s",
		       err_name(r));
}

int api_runs(struct vm *vm, void *ctx, struct err *err)
{
	struct api *api = ctx;
	int r = 0;

	(void)vm;
	if (api->gate.src.fd >= 0)
		r = gate_link_tell(&api->gate, WIRE_LOCKED, WIRE_RUNS, NULL, 0);
	return r < 0 ? silent(r, err) : 0;
}

static int tell_all(struct api *api, struct err *err)
{
	const struct sandbox *sandbox = api->vm->sandbox;
	bool waits = api->vm->waits || (sandbox && sandbox->early);
	struct wire_in *reply;
	int r = tell_base(api);

	if (r == 0)
		r = tell_vsock(api);
	if (r == 0)
		r = tell_drives(api);
	if (r < 0)
		return silent(r, err);
	r = gate_link_call(&api->gate, WIRE_LOCKED,
			   waits ? WIRE_WAITS : WIRE_RUNS, NULL, 0, &reply,
			   err);
	/* An early gate takes its list while this half goes on (open.c). */
	return r == 0 && waits && !api->vm->waits ? api_runs(api->vm, api, err)
						  : r;
}

int api_lock(struct vm *vm, void *ctx, struct err *err)
{
	struct api *api = ctx;
	int r = api->gate.src.fd >= 0 ? tell_all(api, err) : 0;

	if (r < 0)
		return r;
	/* What it listens at is the gate's to remove now. */
	vm->config.vsock.file = (struct file_id){0};
	api->opener.locked = true;
	return 0;
}

/* What a machine takes of the process is opened here, and KVM's part of it made
 * as far as it is known; the rest of what it opens later a request names. */
int api_lock_first(struct api *api, struct err *err)
{
	struct vm *vm = api->vm;

	vm_look_at_host(vm);
	vm_open_output(vm);
	vm_make_ahead(vm);
	api->opener.locked = true;
	return sandbox_lock(vm->sandbox, err);
}

/* ---- a snapshot ---- */

static int to_gate_begin(void *ctx, struct vm_files *files, struct err *err)
{
	struct api *api = ctx;
	struct save_place place;
	struct wire_in *reply;
	int r = gate_link_call(&api->gate, WIRE_NEED, PATH_PLACE, NULL, 0,
			       &reply, err);

	if (r < 0)
		return r;
	if (reply->nr_fds < SAVE_UNDER || reply->len != sizeof(place))
		return err_set(err, -EPROTO, "The gate gave no files");
	memcpy(&place, reply->tail, sizeof(place));
	files->label = place.label;
	files->state = fd_steal(&reply->fd[SAVE_STATE]);
	files->memory = fd_steal(&reply->fd[SAVE_MEMORY]);
	if (reply->nr_fds > SAVE_UNDER)
		files->under = fd_steal(&reply->fd[SAVE_UNDER]);
	return 0;
}

static int to_gate_commit(void *ctx, const struct memory_proof *proof,
			  struct err *err)
{
	struct api *api = ctx;
	const struct save_done done = {.proof = *proof};
	struct wire_in *reply;

	return gate_link_call(&api->gate, WIRE_SAVED, 0, &done, sizeof(done),
			      &reply, err);
}

/* A gate that does not read gives up at the answer. */
static void to_gate_give_up(void *ctx)
{
	struct api *api = ctx;

	(void)!gate_link_tell(&api->gate, WIRE_ABORTED, 0, NULL, 0);
}

struct vm_place api_place(struct api *api)
{
	return (struct vm_place){
		.begin = to_gate_begin,
		.commit = to_gate_commit,
		.abort = to_gate_give_up,
		.ctx = api,
	};
}
