// SPDX-License-Identifier: Apache-2.0
/*
 * vms.c - the VMs of a user that are kept on the disk (theory: vms.h)
 */
#include "vms/vms.h"

#include "vms/vms_folder.h"
#include "vms/vms_journal.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VMS_LOCK   "lock"
#define VMS_RECORD "record"
#define VMS_NEW    "record.new"
/* Of one whose holder died nobody knows more than that Volt did. */
#define VMS_DIED 125

uint64_t vms_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int vms_open(struct vms *vms, bool make, struct err *err)
{
	*vms = (struct vms){.fd = -1};
	vms->path = vms_folder_path();
	if (!vms->path)
		return err_set(err, -ENOENT,
			       "There is no place for what is known of VMs: "
			       "set HOME, XDG_STATE_HOME or VOLT_STATE");
	return vms_folder_open(vms->path, make, &vms->fd, err);
}

void vms_close(struct vms *vms)
{
	fd_close(&vms->fd);
	free(ptr_steal(vms->path));
}

void vms_release(struct vms_vm *vm)
{
	fd_close(&vm->lock);
	fd_close(&vm->folder);
	vm_record_free(&vm->record);
	vm->record = (struct vm_record){0};
}

static int vms_flock(int fd, int how)
{
	int r;

	do
		r = flock(fd, how) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r;
}

static int vms_lock_all(const struct vms *vms, struct err *err)
{
	int r = vms_flock(vms->fd, LOCK_EX);

	return r < 0 ? err_set(err, r, "Cannot lock %s: %s", vms->path,
			       err_name(r))
		     : 0;
}

static void vms_unlock_all(const struct vms *vms)
{
	(void)vms_flock(vms->fd, LOCK_UN);
}

int vms_save(const struct vms_vm *vm, struct err *err)
{
	cleanup_buf struct buf text = {0};
	cleanup_fd int fd = -1;
	int r = 0;

	vm_record_print(&vm->record, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	fd = openat(vm->folder, VMS_NEW,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		r = -errno;
	if (r == 0)
		r = fd_write_full(fd, text.data, text.len);
	if (r == 0 &&
	    (fdatasync(fd) < 0 ||
	     renameat(vm->folder, VMS_NEW, vm->folder, VMS_RECORD) < 0 ||
	     fsync(vm->folder) < 0))
		r = -errno;
	return r < 0 ? err_set(err, r, "Cannot write the record of VM %s: %s",
			       vm->record.name, err_name(r))
		     : 0;
}

/* Return: 0; -ENOENT; -EBADMSG for what is none; -errno. */
static int vms_read(int folder, struct vm_record *record)
{
	cleanup_fd int fd =
		openat(folder, VMS_RECORD,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *text = malloc(VM_RECORD_MAX);
	ssize_t n;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	if (!text)
		return -ENOMEM;
	n = pread(fd, text, VM_RECORD_MAX, 0);
	if (n < 0)
		return -errno;
	return vm_record_parse(text, (size_t)n, record, NULL) < 0 ? -EBADMSG
								  : 0;
}

/* Does somebody hold it? Only under the lock of all, so that those who look do
 * not see each other. */
static bool vms_is_held(int folder)
{
	cleanup_fd int lock = openat(
		folder, VMS_LOCK, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return lock >= 0 && vms_flock(lock, LOCK_EX | LOCK_NB) == -EWOULDBLOCK;
}

/* The record goes first: what is left behind by a kill is a folder without. */
static int vms_remove_folder(const struct vms *vms, int folder,
			     const char *name)
{
	int r;

	if (unlinkat(folder, VMS_RECORD, 0) < 0 && errno != ENOENT)
		return -errno;
	r = vms_folder_remove(vms->fd, folder, name);
	return r == 0 && fsync(vms->fd) < 0 ? -errno : r;
}

/* Its holder is gone without a word. Return: 0; -ENOENT when nothing was to be
 * kept; -errno. */
static int vms_bury(const struct vms *vms, struct vms_vm *vm)
{
	int r;

	vms_journal_add(vms->fd, "die", vm->record.name, VMS_DIED);
	if (vm->record.remove) {
		r = vms_remove_folder(vms, vm->folder, vm->record.name);
		return r < 0 ? r : -ENOENT;
	}
	vm->record.ended = vms_now_ms();
	vm->record.died = true;
	vm->record.code = VMS_DIED;
	return vms_save(vm, NULL);
}

/* Under the lock of all. Return: 0; -ENOENT; -errno. */
static int vms_look(const struct vms *vms, const char *name, struct vms_vm *vm)
{
	bool held;
	int r;

	*vm = VMS_VM_NONE;
	vm->folder = openat(vms->fd, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (vm->folder < 0)
		return -errno;
	held = vms_is_held(vm->folder);
	r = vms_read(vm->folder, &vm->record);
	if (r == -ENOENT && !held) {
		r = vms_remove_folder(vms, vm->folder, name);
		return r < 0 ? r : -ENOENT;
	}
	if (r == -EBADMSG || r == -ENOENT ||
	    (r == 0 && strcmp(vm->record.name, name) != 0)) {
		vm_record_free(&vm->record);
		vm->record = (struct vm_record){.name = strdup(name)};
		vm->state = held ? VMS_STARTS : VMS_DAMAGED;
		return vm->record.name ? 0 : -ENOMEM;
	}
	if (r < 0)
		return r;
	vm->state = !held                ? VMS_ENDED
		    : vm->record.started ? VMS_RUNS
					 : VMS_STARTS;
	return held || vm->record.ended ? 0 : vms_bury(vms, vm);
}

static int vms_no_vm(const char *name, int r, struct err *err)
{
	if (r == -ENOENT)
		return err_set(err, r,
			       "there is no VM %s in the background; `volt ps "
			       "-a` lists those there are",
			       name);
	return err_set(err, r, "Cannot look at VM %s: %s", name, err_name(r));
}

int vms_find(struct vms *vms, const char *name, struct vms_vm *vm,
	     struct err *err)
{
	int r;

	*vm = VMS_VM_NONE;
	if (vms->fd < 0 || !vm_record_is_name(name))
		return vms_no_vm(name, -ENOENT, err);
	r = vms_lock_all(vms, err);
	if (r < 0)
		return r;
	r = vms_look(vms, name, vm);
	vms_unlock_all(vms);
	return r < 0 ? vms_no_vm(name, r, err) : 0;
}

/* Is the name free? Return: 0; -EEXIST; -errno; with a sentence. */
static int vms_is_free(const struct vms *vms, const char *name, struct err *err)
{
	struct vms_vm other;
	int r = vms_look(vms, name, &other);

	if (r == -ENOENT)
		r = 0;
	else if (r < 0)
		r = vms_no_vm(name, r, err);
	else if (other.state == VMS_STARTS || other.state == VMS_RUNS)
		r = err_set(err, -EEXIST,
			    "a VM named %s runs already: `volt stop %s` ends "
			    "it, --name gives this one another",
			    name, name);
	else
		r = err_set(err, -EEXIST,
			    "a VM named %s has ended, and is kept: `volt rm "
			    "%s` removes it, --name gives this one another",
			    name, name);
	vms_release(&other);
	return r;
}

int vms_check_free(const char *name, struct err *err)
{
	struct vms vms;
	int r = 0;

	if (vms_open(&vms, false, NULL) == 0 && vms.fd >= 0 &&
	    vms_lock_all(&vms, NULL) == 0)
		r = vms_is_free(&vms, name, err);
	vms_close(&vms);
	return r == -EEXIST ? r : 0;
}

/* Return: 0 or -errno. */
static int vms_make(const struct vms *vms, struct vms_vm *vm)
{
	const char *name = vm->record.name;

	if (mkdirat(vms->fd, name, 0700) < 0 || fsync(vms->fd) < 0)
		return -errno;
	vm->folder = openat(vms->fd, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (vm->folder < 0)
		return -errno;
	vm->lock = openat(vm->folder, VMS_LOCK,
			  O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (vm->lock < 0)
		return -errno;
	return vms_flock(vm->lock, LOCK_EX | LOCK_NB);
}

int vms_create(struct vms *vms, struct vms_vm *vm, struct err *err)
{
	int r = vms_lock_all(vms, err);

	if (r < 0)
		return r;
	vm->record.format = VM_RECORD_FORMAT;
	vm->record.created = vms_now_ms();
	vm->record.holder = (uint64_t)getpid();
	vm->state = VMS_STARTS;
	r = vms_is_free(vms, vm->record.name, err);
	if (r == 0) {
		r = vms_make(vms, vm);
		if (r < 0)
			(void)err_set(err, r, "Cannot make %s/%s: %s",
				      vms->path, vm->record.name, err_name(r));
		else
			r = vms_save(vm, err);
		if (r < 0 && vm->folder >= 0)
			(void)vms_remove_folder(vms, vm->folder,
						vm->record.name);
	}
	vms_unlock_all(vms);
	return r;
}

int vms_remove(struct vms *vms, struct vms_vm *vm, struct err *err)
{
	const char *name = vm->record.name;
	struct vms_vm now = VMS_VM_NONE;
	int r = vms_lock_all(vms, err);

	if (r < 0)
		return r;
	if (vm->lock < 0)
		r = vms_look(vms, name, &now);
	if (r == 0 && vm->lock < 0 &&
	    (now.state == VMS_STARTS || now.state == VMS_RUNS))
		r = err_set(err, -EBUSY,
			    "VM %s runs: `volt stop %s` first, or `volt rm "
			    "-f %s`",
			    name, name, name);
	else if (r == 0)
		r = vms_remove_folder(
			vms, vm->lock < 0 ? now.folder : vm->folder, name);
	vms_release(&now);
	vms_unlock_all(vms);
	if (r == 0 || r == -ENOENT)
		return 0;
	return r == -EBUSY ? r
			   : err_set(err, r, "Cannot remove VM %s: %s", name,
				     err_name(r));
}

static int vms_is_entry(const struct dirent *entry)
{
	return vm_record_is_name(entry->d_name);
}

int vms_each(struct vms *vms, void (*each)(void *ctx, const struct vms_vm *vm),
	     void *ctx, struct err *err)
{
	struct dirent **list;
	int n;

	if (vms->fd < 0)
		return 0;
	n = scandirat(vms->fd, ".", &list, vms_is_entry, alphasort);
	if (n < 0)
		return err_set(err, -errno, "Cannot list %s: %s", vms->path,
			       err_name(errno));
	for (int i = 0; i < n; i++) {
		struct vms_vm vm;

		if (vms_find(vms, list[i]->d_name, &vm, NULL) == 0)
			each(ctx, &vm);
		vms_release(&vm);
		free(list[i]);
	}
	free(list);
	return 0;
}
