/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - the half of the process that clients speak to
 *
 * Theory of operation
 *
 *   client --- API socket --- gate --- wire (wire.h) --- guest process
 *
 * The guest process is the one that somebody started: its PID, its exit code,
 * its cgroup. It has KVM, the guest's memory and the devices. The gate is its
 * child. It frames HTTP (server.h), and once the guest runs it opens what a
 * client's request names, so that the guest process need not be able to open
 * anything. On the wire goes the request as it came: what it means, in which
 * order it is checked and what is answered is the guest process's business
 * alone.
 *
 * The gate is forked while the process has one thread and before it has opened
 * /dev/kvm, drives or taps, or has mapped the guest's memory. It closes every
 * descriptor but its own two, has /dev/null as 0 to 2, and keeps the working
 * directory, as clients' paths are relative to it. So it never holds a lock, a
 * tap or the VM, whenever it ends. The sockets are bound by the guest process,
 * as peers look at whose they are; with --sandbox-first the gate binds that of
 * the socket device, makes taps, opens /dev/kvm, and hands all of it over.
 *
 * Its end. It ignores the signals that a terminal or a service manager sends to
 * the group, and ends when the other end of the wire is closed, having sent the
 * answers that were on their way; the kernel kills it when the guest process
 * dies, whatever it does just then (PR_SET_PDEATHSIG, which a change of the
 * user would clear: there is none behind it). It removes the sockets' files,
 * then the guest process reaps it and ends. When the gate dies by itself, the
 * wire tells, and the guest process ends, too.
 *
 * A gate that is stopped, slow or out of memory costs the API: nobody waits for
 * it but who needs a descriptor from it (link.h).
 */
#pragma once

#include "base/fd.h"
#include "gate/link.h"
#include "gate/server.h"

/* Beyond what is allowed to be in bodies. */
#define GATE_ANSWER_MAX MIB(16)

/* A NOTE beside those of the server: a filter stopped the call with the number
 * -rc, and the gate ends. */
#define GATE_BAD_CALL SERVER_NR_NOTES

/**
 * struct gate_door - a socket that is bound and listens
 * @path:	owned; who removes it removes only @file
 */
struct gate_door {
	int fd;
	char *path;
	struct file_id file;
};

#define GATE_DOOR_NONE ((struct gate_door){.fd = -1})

/**
 * gate_door_open() - the API's socket
 *
 * Return: 0, or -errno with Firecracker's sentence, -EADDRINUSE when @path
 * exists; gate_door_close() in any case.
 */
int gate_door_open(struct gate_door *door, const char *path,
		   struct err *err) __must_check;

/* Closes; does not remove the file. */
void gate_door_close(struct gate_door *door);

struct allow;
struct sandbox;

/**
 * struct gate_params - what the gate is for
 * @sandbox:	whose filter the gate loads; NULL: none
 * @allow:	what it opens at all (host/allow.h); NULL: everything. Its
 *		descriptors are the gate's as the door is
 * @door:	the API's; none when its fd is -1
 * @payload_max:	largest body of a request, bytes
 * @answer_max:	longest body of an answer, bytes
 */
struct gate_params {
	const struct sandbox *sandbox;
	struct allow *allow;
	struct gate_door *door;
	uint64_t payload_max;
	uint64_t answer_max;
};

/**
 * gate_start() - fork the gate
 * @link:	to it, on @loop; gate_link_close() it
 *
 * The door is the gate's from here on, its file included, also when this fails.
 *
 * Return: 0 or -errno with a sentence. Context: the process has one thread.
 */
int gate_start(struct gate_link *link, struct loop *loop,
	       const struct gate_params *params,
	       const struct gate_link_ops *ops, void *ctx,
	       struct err *err) __must_check;
