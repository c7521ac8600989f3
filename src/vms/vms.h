/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vms.h - the VMs of a user that are kept on the disk
 *
 * Theory of operation
 *
 * A VM that runs in the background has a folder of its own in the folder of
 * all: $XDG_STATE_HOME/volt/vms (~/.local/state/volt/vms), root's
 * /var/lib/volt/vms, or what VOLT_STATE names.
 *
 *   lock	held (flock) as long as the VM has a holder: the process that
 *		made the folder, and those that it forks and does not exec
 *   record	what is known of the VM (vm_record.h); replaced as a whole
 *   log	what it said, and log.1 (vm_log.h)
 *
 * A lock goes with its holder, however that ends. So what a VM is, is asked of
 * the lock and of the record together:
 *
 *   held, not started	it starts
 *   held, started	it runs
 *   free, ended	it has ended, with a code
 *   free, not ended	its holder died: whoever finds that writes it down, or
 *			removes it, if nothing was to be kept
 *   free, no record	it was not finished, or not removed whole: whoever finds
 *			it removes it
 *
 * To find, make and remove is done under the lock of the folder of all, which
 * is never held for longer than that: of two that make the same name one is
 * told. The holder alone writes its record meanwhile, by a rename.
 *
 * The host's own crash, too: a record and the names in the folder of all are
 * on the disk before anybody is told, so that a VM which was seen to end has
 * ended with that code later, and one that was removed stays away. Log and
 * journal are not waited for, and may miss their last lines: nothing is decided
 * by them.
 *
 * The folder is of the user who asks, and nobody else writes there: any other
 * one is refused. No name in it is followed if it is a link.
 *
 * Context: one thread a struct vms.
 */
#pragma once

#include "vms/vm_record.h"

#define VMS_LOG "log"

enum vms_state {
	VMS_STARTS,
	VMS_RUNS,
	VMS_ENDED,
	VMS_DAMAGED, /* its record is none; nobody holds it */
};

/**
 * struct vms - the folder of all
 * @fd:		-1: there is none yet
 */
struct vms {
	char *path;
	int fd;
};

/**
 * struct vms_vm - one of them
 * @folder:	its own
 * @lock:	-1 but for its holder
 */
struct vms_vm {
	int folder;
	int lock;
	enum vms_state state;
	struct vm_record record;
};

#define VMS_VM_NONE ((struct vms_vm){.folder = -1, .lock = -1})

/**
 * vms_open() - find the folder of all
 * @make:	it is made if it is not there
 *
 * Return: 0; -EPERM when it is not to be believed; -errno; with a sentence.
 * vms_close() in any case.
 */
int vms_open(struct vms *vms, bool make, struct err *err) __must_check;

void vms_close(struct vms *vms);

/**
 * vms_create() - make a VM's folder, and hold it
 * @vm:		has its record, but for @format, @created and @holder
 *
 * Return: 0; -EEXIST when there is one of that name; -errno; with a sentence.
 * vms_release() in any case.
 */
int vms_create(struct vms *vms, struct vms_vm *vm,
	       struct err *err) __must_check;

/**
 * vms_find() - look at a VM, and write down the end of one whose holder died
 *
 * Return: 0; -ENOENT; -errno; with a sentence. vms_release() in any case.
 */
int vms_find(struct vms *vms, const char *name, struct vms_vm *vm,
	     struct err *err) __must_check;

/**
 * vms_each() - look at each, by name
 *
 * Return: 0, also when there is none; -errno with a sentence.
 */
int vms_each(struct vms *vms, void (*each)(void *ctx, const struct vms_vm *vm),
	     void *ctx, struct err *err) __must_check;

/**
 * vms_check_free() - is there none of this name?
 *
 * Return: 0, also when it cannot be told; -EEXIST with a sentence.
 */
int vms_check_free(const char *name, struct err *err) __must_check;

/* Of the holder, or under the lock of all: the record as it is now goes to the
 * disk. Return: 0; -errno with a sentence. */
int vms_save(const struct vms_vm *vm, struct err *err) __must_check;

/**
 * vms_remove() - remove a VM's folder: of its holder, or of one that ended
 *
 * Return: 0, also when it was gone already; -EBUSY when it lives; -errno; with
 * a sentence.
 */
int vms_remove(struct vms *vms, struct vms_vm *vm,
	       struct err *err) __must_check;

/* Nothing is held any more; twice is once. */
void vms_release(struct vms_vm *vm);

/* Milliseconds since 1970. */
uint64_t vms_now_ms(void);
