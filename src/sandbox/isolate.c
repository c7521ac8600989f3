// SPDX-License-Identifier: Apache-2.0
/*
 * isolate.c - namespaces with nothing in them, without root (isolate.h)
 */
#include "sandbox/isolate.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A thread that was joined counts until the kernel has put it away. */
#define TRIES  50
#define TRY_NS 1000000

static const struct {
	const char *name;
	int flag;
} parts[] = {
	[ISOLATE_USER] = {"user namespace", CLONE_NEWUSER},
	[ISOLATE_MOUNT] = {"mount namespace", CLONE_NEWNS},
	[ISOLATE_NET] = {"network namespace", CLONE_NEWNET},
	[ISOLATE_IPC] = {"IPC namespace", CLONE_NEWIPC},
};

const char *isolate_part_name(enum isolate_part part)
{
	return parts[part].name;
}

static int isolate_make(enum isolate_part part)
{
	return unshare(parts[part].flag) < 0 ? -errno : 0;
}

static int make_user(void)
{
	const struct timespec wait = {.tv_nsec = TRY_NS};
	int r = isolate_make(ISOLATE_USER);

	for (int i = 0; i < TRIES && r == -EINVAL; i++) {
		(void)nanosleep(&wait, NULL);
		r = isolate_make(ISOLATE_USER);
	}
	return r;
}

/*
 * The new root is mounted over the old one, the only directory that is sure to
 * be there; a path that ends with .. leads to what is mounted on top. No mount
 * of ours reaches the host, and none of its reaches us.
 */
static int empty_root(void)
{
	const unsigned long flags =
		MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/", "tmpfs", flags, "size=4k,nr_inodes=1,mode=555"))
		return -errno;
	return chdir("/..") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
			       umount2(".", MNT_DETACH) < 0 || chdir("/") < 0
		       ? -errno
		       : 0;
}

/* Permitted, effective, inheritable; the ambient ones go with these. */
static int give_up_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {
		{0}};

	return syscall(SYS_capset, &head, none) < 0 ? -errno : 0;
}

int isolate_process(struct isolation *done)
{
	done->rc[ISOLATE_USER] = make_user();
	for (enum isolate_part i = ISOLATE_MOUNT; i < ISOLATE_NR_PARTS; i++)
		done->rc[i] = isolate_make(i);
	if (done->rc[ISOLATE_MOUNT] == 0)
		done->rc[ISOLATE_MOUNT] = empty_root();
	return give_up_capabilities();
}
