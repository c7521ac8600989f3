/* SPDX-License-Identifier: Apache-2.0 */
/*
 * initramfs.h - the modules that a root needs, in a small initramfs
 *
 * Theory of operation
 *
 * A distribution's kernel has virtio_blk, often the file system too, as
 * modules: it cannot mount a root from a disk of Volt's by itself. Of the
 * modules that the store has of it (module.h), those that this root and these
 * devices need go into an archive of some hundred KiB, with a first process
 * that loads them, mounts the root and becomes its init (guest/init.c).
 *
 * It is made once for each kernel, file system and set of devices, and kept in
 * the store of the user who runs it: initramfs/KEY.SHA256. KEY is the digest of
 * all that goes into it, so one that is out of date is not found; SHA256 is its
 * own, and is compared at each use: one that was damaged is made again. `volt
 * kernel gc` removes them all.
 *
 * Of an image the first process is another: the agent (agent/boot.h), which
 * needs an archive with every kernel, and two modules more.
 */
#pragma once

#include "kernel/rootfs.h"
#include "store/store_write.h"

/**
 * struct initramfs_wish - what it is for
 * @rootfs:	of the root; ROOTFS_PARTITIONS, ROOTFS_UNKNOWN: any
 * @net, @vsock, @pmem, @hotplug: the VM has such a device; @hotplug: virtio-mem
 * @agent:	the first process is volt-agent
 */
struct initramfs_wish {
	enum rootfs_kind rootfs;
	bool net;
	bool vsock;
	bool pmem;
	bool hotplug;
	bool agent;
};

/**
 * initramfs_make() - the archive itself
 * @modules:	of the kernel; which are chosen is changed
 */
void initramfs_make(struct modules *modules, const struct initramfs_wish *wish,
		    struct buf *out);

/**
 * initramfs_find() - is there one for this kernel and wish?
 * @record:	of a kernel that has modules
 * @mine:	the store that keeps it
 * @path:	of the file; to be freed
 */
bool initramfs_find(const struct record *record, const struct store *mine,
		    const struct initramfs_wish *wish, char **path);

/**
 * initramfs_put() - make it, and keep it
 * @modules:	of the kernel
 *
 * Return: 0 and @path, to be freed; or -errno with a sentence.
 */
int initramfs_put(const struct record *record, struct modules *modules,
		  struct store *mine, const struct initramfs_wish *wish,
		  char **path, struct err *err) __must_check;
