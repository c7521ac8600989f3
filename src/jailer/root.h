/* SPDX-License-Identifier: Apache-2.0 */
/*
 * root.h - the directory that becomes the root of a jail
 *
 * Theory of operation
 *
 * BASE/PROGRAM/ID/root is filled from outside, through descriptors (place.h),
 * while it is root's alone: the program, dev, dev/net, run, the devices. Then
 * the process enters it (root_enter()): a mount namespace whose mounts follow
 * those of the host (MS_SLAVE: a launcher may still mount a drive into the
 * folder), a copy of the folder's tree as a mount of its own, pivot_root(), and
 * the old root is let go. Last the pid file, which is empty until then, is
 * written, and the folders are given to the jail's user (root_give()).
 */
#pragma once

#include "jailer/place.h"
#include "jailer/plan.h"

/**
 * struct root - the descriptors of its directories; -1: not open
 * @pid_fd:	the pid file, for writing
 * @path:	from outside, for messages
 * @pid_name:	of the pid file; owned, as @path
 */
struct root {
	struct place place;
	int base;
	int kind;
	int instance;
	int root;
	int dev;
	int net;
	int run;
	int pid_fd;
	char *path;
	char *pid_name;
};

/* Make it and what is in it. Return: 0 or -errno with a sentence; root_free()
 * it in any case. */
int root_make(struct root *root, const struct plan *plan,
	      struct err *err) __must_check;

/**
 * root_enter() - make it the root of this process
 *
 * The working directory is the new root then; what of the host was open stays
 * open. Return: 0 or -errno with a sentence.
 */
int root_enter(struct root *root, struct err *err) __must_check;

/**
 * root_give() - write the pid file, then give all to the jail's user
 * @pid:	of the program, as the caller sees it
 *
 * Return: 0 or -errno with a sentence.
 */
int root_give(struct root *root, pid_t pid, struct err *err) __must_check;

/* Remove what was made, as long as nobody runs in it. */
void root_undo(struct root *root);
void root_free(struct root *root);
