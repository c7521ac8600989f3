// SPDX-License-Identifier: Apache-2.0
/*
 * root.c - the directory that becomes the root of a jail (root.h)
 */
#include "jailer/root.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COPY_BYTES MIB(16)

/* <linux/mount.h>, which C libraries declare as they like. */
#define TREE_CLONE      1u
#define TREE_RECURSIVE  0x8000u
#define TREE_CLOEXEC    ((unsigned int)O_CLOEXEC)
#define MOVE_FROM_EMPTY 0x04u

/* Documentation/admin-guide/devices.txt */
#define MISC_MAJOR    10
#define KVM_MINOR     232
#define TUN_MINOR     200
#define MEM_MAJOR     1
#define URANDOM_MINOR 9

static int root_fail(struct err *err, int rc, const char *what)
{
	return err_set(err, rc, "%s: %s (os error %d)", what, err_name(rc),
		       -rc);
}

/* ---- the program ---- */

static int copy_bytes(int from, int to)
{
	off_t at = 0;
	ssize_t n;

	do {
		n = sendfile(to, from, &at, COPY_BYTES);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -errno : 0;
}

/*
 * A copy, no link: two VMs of one file would share its pages. It stays root's,
 * and whoever the jail's user is can read it: else the kernel would keep the
 * process' own /proc from it.
 */
static int copy_program(struct root *root, const struct plan *plan,
			struct err *err)
{
	const char *why = NULL;
	struct stat st;
	int r = fstat(plan->exec_fd, &st) < 0 ? -errno : 0;
	cleanup_fd int fd =
		r < 0 ? -1
		      : place_file(&root->place, root->root, plan->exec_name,
				   (st.st_mode & 0755) | 0555, &why);

	if (r == 0)
		r = fd < 0 ? fd : copy_bytes(plan->exec_fd, fd);
	if (r == 0)
		return 0;
	if (why)
		return err_set(err, r, "Failed to copy %s to %s/%s: %s",
			       plan->exec_path, root->path, plan->exec_name,
			       why);
	return err_set(err, r, "Failed to copy %s to %s/%s: %s (os error %d)",
		       plan->exec_path, root->path, plan->exec_name,
		       err_name(r), -r);
}

/* ---- the folders ---- */

/* Devices and programs must work there. */
static int check_mount(const struct root *root, struct err *err)
{
	struct statvfs fs;

	if (fstatvfs(root->root, &fs) < 0)
		return root_fail(err, -errno, root->path);
	if (fs.f_flag & (ST_NODEV | ST_NOEXEC | ST_RDONLY))
		return err_set(err, -EPERM,
			       "%s is on a file system that is mounted with "
			       "%s: a jail there cannot work",
			       root->path,
			       fs.f_flag & ST_NODEV    ? "nodev"
			       : fs.f_flag & ST_NOEXEC ? "noexec"
						       : "ro");
	return 0;
}

/*
 * A jail that was used, or is: said before anything of it changes. Only for
 * that: whoever puts the device there later is found out by mknodat().
 */
static int check_unused(const struct root *root, struct err *err)
{
	struct stat st;

	if (fstatat(root->instance, "root/dev/net/tun", &st,
		    AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return root_fail(
		err, -EEXIST,
		"Failed to create /dev/net/tun via mknod inside the jail");
}

static int set_paths(struct root *root, const struct plan *plan)
{
	if (asprintf(&root->path, "%s/%s/%s/root",
		     strcmp(plan->base, "/") == 0 ? "" : plan->base,
		     plan->exec_name, plan->id) < 0)
		root->path = NULL;
	if (asprintf(&root->pid_name, "%s.pid", plan->exec_name) < 0)
		root->pid_name = NULL;
	return root->path && root->pid_name ? 0 : -ENOMEM;
}

static int root_make_folders(struct root *root, const struct plan *plan,
			     struct err *err)
{
	struct place *p = &root->place;

	root->base = open(plan->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root->base < 0)
		return err_set(err, -errno,
			       "Failed to open directory %s: %s (os error %d)",
			       plan->base, err_name(errno), errno);
	root->kind = place_open(p, root->base, plan->exec_name, root->path,
				true, err);
	if (root->kind < 0)
		return root->kind;
	root->instance =
		place_open(p, root->kind, plan->id, root->path, false, err);
	if (root->instance < 0)
		return root->instance;
	if (check_unused(root, err) < 0)
		return err->rc;
	root->root = place_take(p, root->instance, "root", root->path, err);
	return root->root < 0 ? root->root : check_mount(root, err);
}

/* ---- what is in them ---- */

/* The minor number of /dev/userfaultfd, which the kernel chose. */
static bool find_misc(const char *name, unsigned int *minor)
{
	FILE *f = fopen("/proc/misc", "re");
	bool found = false;
	char line[128], *word;

	while (f && !found && fgets(line, sizeof(line), f)) {
		*minor = (unsigned int)strtoul(line, &word, 10);
		line[strcspn(line, "\n")] = '\0';
		found = *word == ' ' && strcmp(word + 1, name) == 0;
	}
	if (f)
		(void)fclose(f);
	return found;
}

static int make_devices(struct root *root, struct err *err)
{
	struct place *p = &root->place;
	unsigned int minor;
	int r = place_device(p, root->net, "tun",
			     makedev(MISC_MAJOR, TUN_MINOR), "/dev/net/tun",
			     err);

	if (r == 0)
		r = place_device(p, root->dev, "kvm",
				 makedev(MISC_MAJOR, KVM_MINOR), "/dev/kvm",
				 err);
	if (r == 0)
		r = place_device(p, root->dev, "urandom",
				 makedev(MEM_MAJOR, URANDOM_MINOR),
				 "/dev/urandom", err);
	if (r == 0 && find_misc("userfaultfd", &minor))
		r = place_device(p, root->dev, "userfaultfd",
				 makedev(MISC_MAJOR, minor), "/dev/userfaultfd",
				 err);
	return r;
}

/* Empty, for whoever will know the number. */
static int make_pid_file(struct root *root, struct err *err)
{
	const char *why = NULL;
	int r;

	r = root->pid_fd = place_file(&root->place, root->root, root->pid_name,
				      0644, &why);
	if (r >= 0)
		return 0;
	if (why)
		return err_set(err, r, "Failed to open file /%s: %s",
			       root->pid_name, why);
	return err_set(err, r, "Failed to open file /%s: %s (os error %d)",
		       root->pid_name, err_name(r), -r);
}

int root_make(struct root *root, const struct plan *plan, struct err *err)
{
	struct place *p = &root->place;
	int r;

	*root = (struct root){
		.place = {.us = geteuid(), .uid = plan->uid, .gid = plan->gid},
		.base = -1,
		.kind = -1,
		.instance = -1,
		.root = -1,
		.dev = -1,
		.net = -1,
		.run = -1,
		.pid_fd = -1,
	};
	if (set_paths(root, plan) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	r = root_make_folders(root, plan, err);
	if (r == 0)
		r = copy_program(root, plan, err);
	if (r < 0)
		return r;
	root->dev = place_take(p, root->root, "dev", "/dev", err);
	if (root->dev < 0)
		return root->dev;
	root->net = place_take(p, root->dev, "net", "/dev/net", err);
	if (root->net < 0)
		return root->net;
	root->run = place_take(p, root->root, "run", "/run", err);
	if (root->run < 0)
		return root->run;
	r = make_devices(root, err);
	return r < 0 ? r : make_pid_file(root, err);
}

/* ---- entering ---- */

/* A mount of its own of the working directory, at the same place. */
static int mount_itself(void)
{
	cleanup_fd int tree =
		(int)syscall(SYS_open_tree, AT_FDCWD, ".",
			     TREE_CLONE | TREE_RECURSIVE | TREE_CLOEXEC);

	if (tree < 0 ||
	    syscall(SYS_move_mount, tree, "", AT_FDCWD, ".", MOVE_FROM_EMPTY) <
		    0 ||
	    fchdir(tree) < 0)
		return -errno;
	return 0;
}

int root_enter(struct root *root, struct err *err)
{
	int r;

	if (fchdir(root->root) < 0)
		return root_fail(err, -errno,
				 "Failed to change current directory");
	if (unshare(CLONE_NEWNS) < 0)
		return root_fail(err, -errno,
				 "Failed to unshare into new mount namespace");
	if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return root_fail(
			err, -errno,
			"Failed to change the propagation type to slave");
	r = mount_itself();
	if (r < 0)
		return root_fail(
			err, r, "Failed to bind mount the jail root directory");
	/* The old root lies on top of the new one then: pivot_root(2). */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return root_fail(err, -errno, "Failed to pivot root");
	if (umount2(".", MNT_DETACH) < 0)
		return root_fail(err, -errno,
				 "Failed to unmount the old jail root");
	if (chroot(".") < 0 || chdir("/") < 0)
		return root_fail(err, -errno,
				 "Failed to chdir into chroot directory");
	return 0;
}

/* ---- giving ---- */

static int write_pid(const struct root *root, pid_t pid, struct err *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", pid);
	int r = fd_write_full(root->pid_fd, text, (size_t)n);

	if (r < 0)
		return err_set(err, r,
			       "Failed to write to /%s: %s (os error %d)",
			       root->pid_name, err_name(r), -r);
	return 0;
}

int root_give(struct root *root, pid_t pid, struct err *err)
{
	const struct {
		int fd;
		const char *path;
	} folders[] = {
		{root->net, "/dev/net"},
		{root->dev, "/dev"},
		{root->run, "/run"},
		{root->root, "/"},
	};
	int r = write_pid(root, pid, err);

	/* The deepest first: their parents are still root's alone. */
	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0; i++)
		r = place_give(&root->place, folders[i].fd, folders[i].path,
			       err);
	return r;
}

void root_undo(struct root *root)
{
	place_undo(&root->place);
}

void root_free(struct root *root)
{
	int *const fds[] = {&root->base, &root->kind,  &root->instance,
			    &root->root, &root->dev,   &root->net,
			    &root->run,  &root->pid_fd};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fd_close(fds[i]);
	free(root->path);
	free(root->pid_name);
	root->path = NULL;
	root->pid_name = NULL;
}
