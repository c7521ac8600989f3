// SPDX-License-Identifier: Apache-2.0
/*
 * path_rules.c - the table of roles: flags, types, sentences (path_rules.h)
 *
 * The sentences for the API are Firecracker's, byte for byte, where it has one:
 * clients match them. O_CLOEXEC, O_NOCTTY and O_NONBLOCK are set for all.
 */
#include "host/path_rules.h"

#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>

#define IN_USE " (this host has it mounted, as swap, or in another device)"
#define BACKING                                                            \
	"Virtio backend error: Error manipulating the backing file: {os} " \
	"{path}"

static const struct path_sentence say_kernel[] = {
	{-EINVAL,
	 "The kernel file cannot be opened: it is neither a regular file nor "
	 "a directory",
	 "Cannot open the kernel {path}: it is no regular file"},
	{0, "The kernel file cannot be opened: {os}",
	 "Cannot open the kernel {path}: {why}{hint}"},
};

#define INITRD                                                             \
	"The initrd file cannot be opened due to invalid path or invalid " \
	"permissions. "

static const struct path_sentence say_initrd[] = {
	{-EINVAL, INITRD "It is neither a regular file nor a directory",
	 "Cannot open the initrd {path}: it is no regular file"},
	{0, INITRD "{os}", "Cannot open the initrd {path}: {why}{hint}"},
};

static const struct path_sentence say_disk[] = {
	{-EBUSY, BACKING IN_USE,
	 "Cannot open the disk {path}: {why}" IN_USE "{hint}"},
	{0, BACKING, "Cannot open the disk {path}: {why}{hint}"},
};

static const struct path_sentence say_pmem[] = {
	{0, "Error accessing backing file: {os}",
	 "Cannot open the file {path}: {why}{hint}"},
};

static const struct path_sentence say_log[] = {
	{0, "Failed to open target file: {os}",
	 "cannot write the log to {path}: {why}"},
};

static const struct path_sentence say_metrics[] = {
	{0, "Cannot initialize the metrics system due to bad user input: {os}",
	 "cannot write the metrics to {path}: {why}"},
};

static const struct path_sentence say_serial[] = {
	{0, "Cannot open the serial output {path}: {why}", NULL},
};

static const struct path_sentence say_metadata[] = {
	{-EFBIG,
	 "Unable to open or read from the mmds content file {path}: it is "
	 "larger than 4 MiB",
	 NULL},
	{0, "Unable to open or read from the mmds content file {path}: {why}",
	 NULL},
};

static const struct path_sentence say_config[] = {
	{-EFBIG, "The configuration file {path} is larger than 4 MiB", NULL},
	{0, "Unable to open or read from the configuration file {path}: {why}",
	 NULL},
};

static const struct path_sentence say_filter[] = {
	{0, "Filter file open error: {os}", NULL},
};

static const struct path_sentence say_host_rules[] = {
	{0, "Cannot read {path}: {why}", NULL},
};

static const struct path_sentence say_state[] = {
	{-EINVAL, "{path} is not the state of a snapshot: it is no file", NULL},
	{0, "Failed to open snapshot file: {os}",
	 "Cannot read {path}: {why}{hint}"},
};

static const struct path_sentence say_memory[] = {
	{0, "Failed to load guest memory: {os}",
	 "Cannot read {path}: {why}{hint}"},
};

static const struct path_sentence say_open[] = {
	{0, "Cannot open {path}: {why}", NULL},
};

#define NAMELESS "No private copy of a drive can be made in {path}: "

static const struct path_sentence say_overlay[] = {
	{-EOPNOTSUPP,
	 NAMELESS "its file system has no files without a name; ext4, XFS, "
		  "btrfs and tmpfs do",
	 NULL},
	{0, NAMELESS "{os}", NAMELESS "{why}{hint}"},
};

#define TAP_FAILED \
	"Could not create the network device: Open tap device failed: "
#define TAP_BACKEND                                                       \
	TAP_FAILED "Error while creating ifreq structure: {os}. Invalid " \
		   "TUN/TAP Backend provided by {path}. Check our "       \
		   "documentation on setting up the network devices."

static const struct path_sentence say_tap[] = {
	{-ENAMETOOLONG, TAP_FAILED "Invalid interface name",
	 "'{path}' names no tap: at most 15 characters"},
	{-ENODEV, TAP_BACKEND,
	 "there is no tap {path}: `sudo volt net add {path}` makes one, `volt "
	 "net list` lists those that are there"},
	{-ENETDOWN, TAP_BACKEND,
	 "the tap {path} is down: `sudo ip link set {path} up`"},
	{-EBUSY, TAP_BACKEND, "the tap {path} is in use by another process"},
	{-EPERM, TAP_BACKEND " `volt net add` makes a tap for this user.",
	 "the tap {path} is another user's: `sudo volt net add {path}` makes "
	 "it yours"},
	{-EINVAL, TAP_BACKEND " It is no TAP, or one with several queues.",
	 "{path} is no tap, or one with several queues: `sudo volt net add "
	 "NAME` makes one"},
	{0,
	 TAP_FAILED "Cannot open the tap {path} (/dev/net/tun): {why}; `volt "
		    "doctor` tells what to do",
	 NULL},
};

#define API_FAILED "Failed to open the API socket at: {path}. "

static const struct path_sentence say_api[] = {
	{-EINVAL, API_FAILED "A path has 1 to 107 characters.", NULL},
	{-ENAMETOOLONG, API_FAILED "A path has 1 to 107 characters.", NULL},
	{-EADDRINUSE, API_FAILED "Check that it is not already used.", NULL},
	{0, API_FAILED "{why}", NULL},
};

static_assert(UNIX_PATH_MAX == 107, "what the sentences say");

#define VSOCK_FAILED                                                         \
	"Cannot create backend for vsock device: Error binding to the host-" \
	"side Unix socket: "

static const struct path_sentence say_vsock[] = {
	{-ENAMETOOLONG, VSOCK_FAILED "path must be shorter than SUN_LEN", NULL},
	{-EINVAL, VSOCK_FAILED "the path is empty", NULL},
	{0, VSOCK_FAILED "{os}", "cannot listen at {path}: {why}"},
};

static const struct path_sentence say_handler[] = {
	{-ETIMEDOUT,
	 "The process that serves the guest's memory did not accept the "
	 "connection within 30 s",
	 NULL},
	{0, "Failed to connect to UDS Unix stream: {os}", NULL},
};

static_assert(PATH_UFFD_MS == 30000, "what the sentence says");

#define FRAMES_FAILED \
	"Could not create the network device: no frames from {path}: "

static const struct path_sentence say_frames[] = {
	{-EINVAL, FRAMES_FAILED "it is no connected stream socket", NULL},
	{0, FRAMES_FAILED "{os}", "cannot connect to {path}: {why}{hint}"},
};

static const struct path_sentence say_kvm[] = {
	{-ENOENT,
	 "There is no /dev/kvm: this host offers no hardware virtualisation "
	 "to programs; `volt doctor` tells what to do",
	 NULL},
	{-EACCES,
	 "No permission to open /dev/kvm: add this user to the group that "
	 "owns it (usually `usermod -aG kvm USER`) and log in again",
	 NULL},
	{-EPERM,
	 "No permission to open /dev/kvm: add this user to the group that "
	 "owns it (usually `usermod -aG kvm USER`) and log in again",
	 NULL},
	{0, "Cannot open /dev/kvm: {why}", NULL},
};

static const struct path_sentence say_vhost[] = {
	{0,
	 "vhost needs /dev/vhost-net, which cannot be opened: {why}. Load the "
	 "module vhost_net, or leave vhost out: Volt then moves the frames "
	 "itself",
	 NULL},
};

static const struct path_sentence say_pagemap[] = {
	{0,
	 "Cannot open /proc/self/pagemap, which tells the pages that the "
	 "guest has written: {why}",
	 NULL},
};

/* Firecracker opens a directory as a kernel, too; the loader says what is wrong
 * with it. */
#define IMAGE .types = PATH_REG | PATH_DIR, .wrong = -EINVAL

#define DISK                                                                   \
	.types = PATH_REG | PATH_BLK, .wrong = -ENOTBLK, .wrong_dir = -EISDIR, \
	.unset_nonblock = true, .no_kernels = true, .claimed = true,           \
	.say = say_disk

/* A block device has no size to map by. */
#define PMEM                                                       \
	.types = PATH_REG, .wrong = -EINVAL, .wrong_dir = -EISDIR, \
	.no_kernels = true, .say = say_pmem

#define APPEND .flags = O_RDWR | O_APPEND | O_CREAT, .mode = 0644

const struct path_rule path_rules[PATH_NR] = {
	[PATH_KERNEL] = {.flags = O_RDONLY, IMAGE, .say = say_kernel},
	[PATH_INITRD] = {.flags = O_RDONLY, IMAGE, .say = say_initrd},
	/* Without O_NONBLOCK afterwards: io_uring would answer EAGAIN. */
	[PATH_DISK] = {.flags = O_RDWR, DISK},
	[PATH_DISK_RO] = {.flags = O_RDONLY, DISK},
	[PATH_PMEM] = {.flags = O_RDWR, PMEM},
	[PATH_PMEM_RO] = {.flags = O_RDONLY, PMEM},
	/* For both directions: a FIFO then needs no reader. */
	[PATH_LOG] = {APPEND, .say = say_log},
	[PATH_METRICS] = {APPEND, .say = say_metrics},
	[PATH_SERIAL] = {.flags = O_WRONLY | O_APPEND | O_CREAT,
			 .mode = 0600,
			 .lone_fifo = true,
			 .say = say_serial},
	[PATH_CONFIG] = {.flags = O_RDONLY,
			 .may_wait = true,
			 .say = say_config},
	[PATH_METADATA] = {.flags = O_RDONLY,
			   .may_wait = true,
			   .say = say_metadata},
	[PATH_FILTER] = {.flags = O_RDONLY,
			 .may_wait = true,
			 .say = say_filter},
	[PATH_HOST_RULES] = {.flags = O_RDONLY, .say = say_host_rules},
	[PATH_STATE] = {.flags = O_RDONLY,
			.types = PATH_REG,
			.wrong = -EINVAL,
			.wrong_dir = -EINVAL,
			.say = say_state},
	[PATH_MEMORY] = {.flags = O_RDONLY,
			 .types = PATH_REG,
			 .wrong = -EINVAL,
			 .say = say_memory},
	[PATH_PLACE] = {.flags = O_RDONLY | O_DIRECTORY,
			.makes = true,
			.say = say_open},
	[PATH_PARENT] = {.flags = O_PATH | O_DIRECTORY,
			 .makes = true,
			 .say = say_open},
	[PATH_FOLDER] = {.flags = O_PATH | O_DIRECTORY, .say = say_open},
	[PATH_OVERLAY] = {.flags = O_RDWR | O_TMPFILE,
			  .mode = 0600,
			  .types = PATH_REG,
			  .unset_nonblock = true,
			  .say = say_overlay},
	[PATH_TAP] = {.how = PATH_TAP_BY_NAME, .flags = O_RDWR, .say = say_tap},
	[PATH_TAP_READY] = {.how = PATH_TAP_BY_NAME,
			    .flags = O_RDWR,
			    .say = say_tap},
	[PATH_API] = {.how = PATH_LISTEN,
		      .backlog = 4096, /* the kernel has its own limit */
		      .say = say_api},
	[PATH_VSOCK] = {.how = PATH_LISTEN, .backlog = 1024, .say = say_vsock},
	[PATH_VSOCK_PEER] = {.how = PATH_CONNECT,
			     .limit_ms = UNIX_NOWAIT,
			     .say = say_open},
	[PATH_UFFD_HANDLER] = {.how = PATH_CONNECT,
			       .limit_ms = PATH_UFFD_MS,
			       .say = say_handler},
	[PATH_FRAMES] = {.how = PATH_CONNECT,
			 .limit_ms = UNIX_NOWAIT,
			 .say = say_frames},
	[PATH_FRAMES_LEFT] = {.how = PATH_CONNECTED, .say = say_frames},
	[PATH_KVM] = {.fixed = "/dev/kvm", .flags = O_RDWR, .say = say_kvm},
	[PATH_VHOST_NET] = {.fixed = "/dev/vhost-net",
			    .flags = O_RDWR,
			    .say = say_vhost},
	[PATH_USERFAULTFD] = {.fixed = "/dev/userfaultfd",
			      .flags = O_RDWR,
			      .say = say_open},
	[PATH_PAGEMAP] = {.fixed = "/proc/self/pagemap",
			  .flags = O_RDONLY,
			  .say = say_pagemap},
	[PATH_SMAPS] = {.fixed = "/proc/self/smaps_rollup",
			.flags = O_RDONLY,
			.say = say_open},
	[PATH_HUGE_POLICY] = {.fixed = "/sys/kernel/mm/"
				       "transparent_hugepage/enabled",
			      .flags = O_RDONLY,
			      .say = say_open},
	[PATH_BOOT_ID] = {.fixed = "/proc/sys/kernel/random/boot_id",
			  .flags = O_RDONLY,
			  .say = say_open},
	[PATH_NULL] = {.fixed = "/dev/null",
		       .flags = O_RDWR,
		       .may_wait = true,
		       .say = say_open},
	[PATH_TTY] = {.fixed = "/dev/tty", .flags = O_WRONLY, .say = say_open},
	[PATH_OUR_STREAM] = {.flags = O_WRONLY, .say = say_open},
	[PATH_PROC_DIR] = {.flags = O_RDONLY | O_DIRECTORY, .say = say_open},
};
