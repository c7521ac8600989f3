/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.h - what commands share about VMs in the background (vms/vms.h)
 */
#pragma once

#include "cli/guest.h"

#include "vms/vms.h"

/**
 * struct kept - one of them
 */
struct kept {
	struct vms vms;
	struct vms_vm vm;
};

/* Return: 0; -ENOENT when there is none; -errno; with a sentence. kept_close()
 * in any case. */
int kept_open(struct kept *kept, const char *name,
	      struct err *err) __must_check;

void kept_close(struct kept *kept);

/* Does it start or run? */
bool kept_lives(const struct kept *kept);

/* "starting", "running", "exited", "died", "damaged". */
const char *kept_state(const struct vms_vm *vm);

/**
 * kept_dial() - connect to the process that stays with VM @name
 *
 * Return: 0, or as agent_client_open() with a sentence. agent_client_close() in
 * any case.
 */
int kept_dial(struct agent_client *client, const char *name,
	      struct err *err) __must_check;

/* Wait until VM @name has ended, and what is known of it is on the disk; one
 * that is not in the background has. @ms: -1: as long as it takes. */
bool kept_ended(const char *name, int ms);

/* Its volt-vmm. Return: a pidfd; -1: it cannot be found. */
int kept_vmm(const char *name);

/* The rows of `volt ps -a`. Return: 0, or -errno with a sentence. */
int kept_print_all(struct err *err) __must_check;
