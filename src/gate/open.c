// SPDX-License-Identifier: Apache-2.0
/*
 * open.c - the gate opens what a request names, and calls the socket device's
 * peers (theory of operation: need.h, gate.h)
 */
#include "gate/gate_priv.h"

#include "host/clock.h"
#include "host/path_rules.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <stdio.h>

/* A guest that connects as fast as it can is not slowed down by this. */
#define DIALS_MAX   1000u
#define DIALS_NS    100000000ull
#define DIAL_SUFFIX sizeof("_4294967295")

/* ---- what the guest process tells before the lock ---- */

/* Without memory for what it is told the gate does not lock. */
static int take_vsock(struct gate *gate)
{
	const struct wire_in *in = &gate->in;
	struct wire_vsock head;

	if (gate->vsock.known || in->len <= sizeof(head) ||
	    memchr(in->tail + sizeof(head), '\0', in->len - sizeof(head)))
		return -EPROTO;
	memcpy(&head, in->tail, sizeof(head));
	gate->vsock.known = true;
	free(gate->vsock.path);
	gate->vsock.path =
		strndup(in->tail + sizeof(head), in->len - sizeof(head));
	/* One that the gate has bound it knows. */
	if (gate->vsock.file.ino == 0)
		gate->vsock.file = (struct file_id){head.dev, head.ino};
	if (!gate->vsock.path)
		gate->told = -ENOMEM;
	return 0;
}

static void take_drive(struct gate *gate, bool read_only)
{
	struct gate_drive *drives =
		realloc(gate->drives, (gate->nr_drives + 1) * sizeof(*drives));
	char *id = strndup(gate->in.tail, gate->in.len);

	if (drives)
		gate->drives = drives;
	if (!drives || !id) {
		free(id);
		gate->told = -ENOMEM;
		return;
	}
	drives[gate->nr_drives++] = (struct gate_drive){id, read_only};
}

void gate_forget(struct gate *gate)
{
	for (size_t i = 0; i < gate->nr_drives; i++)
		free(gate->drives[i].id);
	free(gate->drives);
	gate->drives = NULL;
	gate->nr_drives = 0;
	free(gate->vsock.path);
	gate->vsock.path = NULL;
	gate->vsock.known = false;
	gate->told = 0;
}

/* The directory of a socket. What is not there gets no right. */
static int folder_of(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	cleanup_free char *dir = NULL;

	if (!path)
		return -1;
	if (!slash)
		return path_open(&path_direct, PATH_FOLDER, ".", NULL);
	dir = strndup(path, (size_t)(slash - path) + 1);
	return dir ? path_open(&path_direct, PATH_FOLDER, dir, NULL) : -ENOMEM;
}

/* The kernel's part of --allow. The sockets' files are the gate's to remove,
 * and the peers of the socket device beside its own to call. */
static int lock_paths(const struct gate *gate)
{
	const struct allow *allow = gate->params->allow;
	cleanup_fd int door = -1, vsock = -1;
	struct landlock_rule rules[ALLOW_MAX + 2];
	unsigned int nr = 0;

	if (!allow)
		return 0;
	for (; nr < allow->nr; nr++)
		rules[nr] = (struct landlock_rule){
			allow->dirs[nr].fd,
			allow->dirs[nr].read_only
				? LANDLOCK_READ
				: LANDLOCK_READ | LANDLOCK_WRITE,
		};
	door = folder_of(gate->params->door->path);
	vsock = folder_of(gate->vsock.path);
	rules[nr++] = (struct landlock_rule){door, LANDLOCK_REMOVE_FILE};
	rules[nr++] = (struct landlock_rule){
		vsock,
		LANDLOCK_REMOVE_FILE | LANDLOCK_RESOLVE_UNIX,
	};
	return sandbox_gate_paths(gate->params->sandbox, rules, nr);
}

int gate_lock(struct gate *gate)
{
	int r = lock_paths(gate);

	if (r == 0)
		r = sandbox_gate_runs(gate->params->sandbox);
	gate->locked = r == 0;
	gate->lock_due = false;
	return r;
}

/* Nobody waits for the lock of a gate that waited, and it takes the CPU that
 * the guest may need for its first instruction: it is due at the next message
 * that is not the answer to the request that let the guest run, or behind that.
 * A gate that cannot lock ends, and the VM with it. */
static int lock_leased(struct gate *gate)
{
	gate->waits = false;
	gate->locked = true;
	gate->lock_due = true;
	return 0;
}

int gate_take_locked(struct gate *gate)
{
	struct gate_reply *reply = &gate->reply;
	uint32_t value = gate->in.m.value;
	int r = gate->told;

	if (gate->locked || value > WIRE_WAITS)
		return -EPROTO;
	if (gate->waits)
		return value == WIRE_RUNS ? lock_leased(gate) : -EPROTO;
	if (r == 0 && value == WIRE_RUNS)
		r = gate_lock(gate);
	gate->waits = r == 0 && value == WIRE_WAITS;
	reply->m = (struct wire_message){
		.kind = WIRE_DONE,
		.serial = gate->in.m.serial,
		.rc = r,
	};
	if (r < 0)
		reply->len = (size_t)snprintf(reply->text, sizeof(reply->text),
					      "Cannot lock the half of the "
					      "process that opens files: %s",
					      err_name(r));
	gate_send_reply(gate);
	return 0;
}

int gate_take_handover(struct gate *gate)
{
	if (gate->locked || gate->waits)
		return -EPROTO;
	switch (gate->in.m.value) {
	case WIRE_VSOCK:
		return take_vsock(gate);
	case WIRE_DRIVE:
	case WIRE_DRIVE_RO:
		take_drive(gate, gate->in.m.value == WIRE_DRIVE_RO);
		return 0;
	case WIRE_SAVES:
		gate_forget(gate);
		return gate_take_base(gate);
	default:
		return -EPROTO;
	}
}

/* ---- needs ---- */

/* The guest process is locked, and its guest does not run yet. */
static bool is_early(const struct gate *gate)
{
	const struct sandbox *sandbox = gate->params->sandbox;

	return sandbox && sandbox->first && !gate->locked && !gate->waits;
}

/* A drive that was told, by its id of @len bytes; or NULL. */
static const struct gate_drive *find_drive(const struct gate *gate,
					   const char *id, size_t len)
{
	for (size_t i = 0; i < gate->nr_drives; i++) {
		const struct gate_drive *drive = &gate->drives[i];

		if (strlen(drive->id) == len && memcmp(drive->id, id, len) == 0)
			return drive;
	}
	return NULL;
}

/* What is written to is read as well, where a lease has it copied. */
static bool is_of_leased(const struct gate *gate, enum path_role role,
			 unsigned int index)
{
	cleanup_buf struct buf id = {0};
	const struct gate_drive *drive;
	bool copied;

	if (lease_drive(&gate->request, index, &id, &copied) < 0)
		return false;
	drive = find_drive(gate, id.data, id.len);
	if (!drive)
		return false;
	return drive->read_only ? role == PATH_DISK_RO
				: role != PATH_DISK_RO || copied;
}

/* The drive that the request is about is opened as it was told to be; before
 * the lock it has not been told. */
static bool is_of_drive(const struct gate *gate, enum path_role role,
			unsigned int index)
{
	const struct need_request *want = &gate->request;
	const struct gate_drive *drive;

	if ((role != PATH_DISK && role != PATH_DISK_RO &&
	     role != PATH_OVERLAY) ||
	    (!gate->locked && !gate->waits))
		return true;
	if (gate->waits && lease_is(want))
		return is_of_leased(gate, role, index);
	drive = find_drive(gate, want->second, want->second_len);
	return drive && drive->read_only == (role == PATH_DISK_RO);
}

/* Of a lease: has the gate the calls that make one? Its filter may be another's
 * (--seccomp-filter). */
static bool gate_may_make(const struct gate *gate, enum path_role role)
{
	const struct sandbox *sandbox = gate->params->sandbox;

	return (role != PATH_TAP && role != PATH_VSOCK) || !sandbox ||
	       sandbox->mode == SANDBOX_OFF || sandbox->early;
}

static int find_path(struct gate *gate, enum path_role role, unsigned int index,
		     struct buf *path)
{
	const struct need_request *request = &gate->request;
	int r;

	if (gate->waits && lease_is(request))
		return gate_may_make(gate, role)
			       ? lease_path(request, role, index, path)
			       : -EACCES;
	if (gate->locked || gate->waits)
		return need_path(request, NEED_RUNNING, role, path);
	r = load_path(&gate->load, request, role, index, path);
	return r == -EACCES ? need_path(request, NEED_EARLY, role, path) : r;
}

static void unbind_vsock(struct gate *gate)
{
	if (gate->vsock.path)
		file_unlink_own(gate->vsock.path, gate->vsock.file);
	free(gate->vsock.path);
	gate->vsock.path = NULL;
	gate->vsock.file = (struct file_id){0};
}

/* The socket device's listener: its file is the gate's to remove, and goes when
 * another takes its place. A lease that fails takes nothing away. */
static int bind_vsock(struct gate *gate, struct buf *path)
{
	int fd;

	if (!gate->waits)
		unbind_vsock(gate);
	fd = path_open(&path_direct, PATH_VSOCK, path->data, NULL);
	if (fd < 0)
		return fd;
	unbind_vsock(gate);
	gate->vsock.file = file_id_of(path->data);
	gate->vsock.path = ptr_steal(path->data);
	*path = (struct buf){0};
	return fd;
}

/* --allow is about files; devices of the host, taps and sockets are none. */
static const struct path_opener *
opener_of(const struct gate *gate, enum path_role role, const char *path)
{
	return path && path_is_file(role) ? gate_files(gate) : &path_direct;
}

static int open_path(struct gate *gate, enum path_role role, unsigned int index,
		     struct buf *path)
{
	const struct path_opener *opener = opener_of(gate, role, path->data);
	int fd = role == PATH_VSOCK
			 ? bind_vsock(gate, path)
			 : path_open_nth(opener, role, path->data, index, NULL);
	int r = fd;

	if (fd >= 0 && role == PATH_STATE)
		r = load_take_state(&gate->load, fd);
	if (fd >= 0 && r < 0)
		fd_close(&fd);
	return r < 0 ? r : fd;
}

static int open_need(struct gate *gate, enum path_role role, unsigned int index)
{
	cleanup_buf struct buf path = {0};
	int r;

	if (role >= PATH_NR || !is_of_drive(gate, role, index))
		return -EACCES;
	r = find_path(gate, role, index, &path);
	if (r < 0)
		return r;
	return open_path(gate, role, index, &path);
}

static void take_open(struct gate *gate, struct gate_reply *reply)
{
	uint32_t value = gate->in.m.value;
	int fd = open_need(gate, value & NEED_ROLE_MASK,
			   value >> NEED_ROLE_BITS);

	reply->m.rc = fd < 0 ? fd : 0;
	reply->fd[0] = fd;
	reply->nr_fds = fd >= 0;
	if (gate_refused(gate, fd)) {
		reply->len = strlen(gate_refused(gate, fd));
		memcpy(reply->text, gate_refused(gate, fd), reply->len);
	}
}

int gate_take_need(struct gate *gate)
{
	struct gate_reply *reply = &gate->reply;

	if (!gate_in_progress(gate) ||
	    (!gate->locked && !gate->waits && !is_early(gate)) ||
	    ++gate->nr_needs > NEEDS_MAX ||
	    need_read(&gate->request, gate->raw, gate->raw_len) < 0)
		return -EPROTO;
	if (gate->params->allow)
		gate->params->allow->why = (struct err){0};
	if (gate->in.m.value == PATH_PLACE)
		return gate_take_save(gate);
	reply->m = (struct wire_message){
		.kind = WIRE_DESCRIPTOR,
		.serial = gate->in.m.serial,
	};
	take_open(gate, reply);
	gate_send_reply(gate);
	return 0;
}

/* ---- dials ---- */

/* So many in so long; what is too much may be tried again. */
static bool may_dial(struct gate *gate)
{
	uint64_t now = now_ns();

	if (now - gate->dials_since_ns >= DIALS_NS) {
		gate->dials_since_ns = now;
		gate->nr_dials = 0;
	}
	return gate->nr_dials++ < DIALS_MAX;
}

static int open_dial(struct gate *gate, uint32_t port)
{
	size_t size = strlen(gate->vsock.path) + DIAL_SUFFIX;
	cleanup_free char *path = malloc(size);

	if (!path)
		return -ENOMEM;
	(void)snprintf(path, size, "%s_%u", gate->vsock.path, port);
	return path_open_nth(&path_direct, PATH_VSOCK_PEER, path, port, NULL);
}

int gate_take_dial(struct gate *gate)
{
	struct gate_reply *reply = &gate->reply;
	uint32_t port = gate->in.m.value;
	int fd;

	if (!gate->vsock.known || !gate->locked)
		return -EPROTO;
	fd = may_dial(gate) ? open_dial(gate, port) : -EAGAIN;
	reply->m = (struct wire_message){
		.kind = WIRE_DIALED,
		.value = port,
		.rc = fd < 0 ? fd : 0,
	};
	reply->fd[0] = fd;
	reply->nr_fds = fd >= 0;
	gate_send_reply(gate);
	return 0;
}
