/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot.h - from the initramfs to the image's root, with a layer to write to
 *
 * Theory of operation
 *
 * The kernel starts the agent as /init of a small initramfs. It loads the
 * modules that the file /load names, mounts the image read-only from root=, and
 * over it an overlay whose writable layer is a tmpfs, or the file system of
 * volt.layer=. What the guest changes is there, the image stays as it is.
 * Then this is the root, and the agent stays what it is: the process 1, whose
 * own file was in the initramfs and is gone.
 *
 * Words of the kernel's command line: root=, rootfstype=, volt.layer=; and
 * volt.net= (net.h).
 */
#pragma once

#include "base/err.h"

/* Return: 0, or -errno with a sentence. */
int boot_mount(struct err *err) __must_check;

/* /dev/pts, /dev/shm, /run, links of /dev; lo is up, and what volt.net= says.
 * What cannot be had stays missing. */
void boot_settle(void);

/* lo, and what volt.net= says; again is no harm. */
void boot_net_up(void);
