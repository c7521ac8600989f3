/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_image.h - `volt run IMAGE`: a command in a VM of its own
 *
 * Theory of operation
 *
 * This process stays, unlike that of `volt run` without an image, and has the
 * VM for a child (launch.h); the two ways to it are the vsock beside its API's
 * socket and its end.
 *
 *   warm      a guest of this image that has booted is restored, if there is
 *             one (warm.h). Else, or when it does not answer:
 *   boot      a kernel of the store with an initramfs of the agent's; the image
 *             is the first disk, read only. What the guest writes is in its
 *             memory and ends with it
 *   agent     asked for until it answers, or the VM has ended, or BOOT_MS
 *   keep      what has booted is saved for the next one
 *   command   guest.h; meanwhile the VM cannot be waited for: its end is the
 *             connection's
 *   end       the agent is asked to restart the machine, which ends the VM;
 *             one that does not is ended by SIGTERM, then SIGKILL
 *
 * The VM is a child (run_vm.h) and nothing of it stays: its sockets are
 * volt-vmm's to remove, its log the keeper's.
 *
 * The console goes to a log of bounded size (bounds.h) in the folder of the
 * sockets. When no agent came, its last lines are shown, made harmless: the
 * guest wrote them.
 * A signal before the command runs ends this process, and so all of it.
 */
#pragma once

#include "cli/background.h"
#include "cli/guest.h"
#include "cli/launch.h"
#include "cli/net_user.h"
#include "cli/run_vm.h"
#include "cli/warm.h"

/**
 * struct run_image - what the command line and the choice of kernel say
 * @launch:	begun, and filled but for the sockets
 * @bounds:	the log of the console is set here, unless one was given
 * @net:	started
 * @words:	of the command; not empty
 * @background:	who holds the VM, and writes down what it says; NULL: it is this
 *		terminal's
 * @warm:	@folder is NULL: there is and will be none
 * @restore:	the way of @warm, when that is there
 */
struct run_image {
	struct launch *launch;
	struct bounds *bounds;
	struct net_user *net;
	struct guest_options options;
	const char **words;
	struct background *background;
	struct warm warm;
	struct launch restore;
	char net_word[32];
	char vsock[GUEST_PATH_MAX + 16];
	char console[GUEST_PATH_MAX + 16];
};

/* The options for the sockets. Call it behind launch_begin(). */
void run_image_prepare(struct run_image *run);

/**
 * run_image_find_warm() - restore what has booted, or keep what boots
 * @args:	the command line
 *
 * Call it when the launch is complete. Return: 0, or -errno with a sentence.
 */
int run_image_find_warm(struct run_image *run, const struct args *args,
			struct err *err) __must_check;

void run_image_free(struct run_image *run);

/* Return: an exit code, as guest.h has them; what is wrong was said. */
int run_image_go(struct run_image *run, const struct args_page *page);
