// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.c - save a VM and go on from what was saved (snapshot.h)
 */
#include "vm/snapshot.h"

#include "base/log.h"
#include "base/pages.h"
#include "host/timer.h"
#include "vm/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define DRAIN_NS   5000000000ull
#define READ_TRIES 5

/* ---- saving ---- */

/**
 * struct saving - a snapshot on its way
 * @kind:	of the memory file
 * @base:	what it needs to be whole; 0: nothing
 * @stored:	bytes of a diff that were there before
 * @devices, @config:	what @s refers to
 */
struct saving {
	struct vm *vm;
	uint64_t id;
	enum memory_kind kind;
	bool checksum;
	uint64_t base;
	uint64_t stored;
	struct phases *phases;
	struct snapshot_files files;
	struct snapshot *s;
	struct buf devices;
	struct buf config;
};

static int collect(struct saving *saving, struct err *err)
{
	struct vm *vm = saving->vm;
	struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	saving->s = s;
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	snapshot_describe(s, saving->id);
	if (saving->base != 0) {
		s->storage = SNAPSHOT_DIFF;
		snapshot_id_text(saving->base, s->base);
	}
	r = machine_save(vm->machine, s, &saving->devices, err);
	phases_end(saving->phases, "vCPU, IRQ chip and device state");
	if (r < 0)
		return r;
	config_state_encode(&vm->config, &saving->config);
	s->config =
		(struct schema_raw){saving->config.data, saving->config.len};
	return saving->config.failed ? err_set(err, -ENOMEM, "Out of memory")
				     : 0;
}

static int write_state(struct saving *saving, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	snapshot_encode(saving->s, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_write_full(saving->files.state.fd, text.data, text.len);
	phases_end(saving->phases, "state JSON + CRC");
	return r < 0 ? err_set(err, r, "Cannot write the state: %s",
			       err_name(r))
		     : 0;
}

static void saving_end(struct saving *saving)
{
	snapshot_files_end(&saving->files);
	buf_free(&saving->devices);
	buf_free(&saving->config);
	free(saving->s);
}

/**
 * struct there - what is in the place that a diff goes to
 * @fd:		the memory file, as large as it has to be; -1: there is none
 * @id:		whose it is; 0: not known
 * @base:	what it differs from itself; 0: nothing, or not known
 */
struct there {
	int fd;
	uint64_t id;
	uint64_t base;
};

static void look_at_state(struct there *there, const char *path)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_reader reader;
	struct err err;

	if (s && snapshot_read_state(&reader, path, &err) == 0) {
		if (snapshot_decode(reader.text, reader.len, s, &err) == 0) {
			there->id = s->head.id;
			there->base = snapshot_base(s);
		}
		snapshot_reader_end(&reader);
	}
	free(s);
}

/* The memory file itself tells, or else the state beside it. */
static void look(struct there *there, const struct snapshot_paths *paths,
		 uint64_t size)
{
	struct stat st;

	*there = (struct there){
		.fd = open(paths->memory,
			   O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
	};
	if (there->fd < 0)
		return;
	if (fstat(there->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != size)
		fd_close(&there->fd);
	else if (snapshot_memory_id(there->fd, &there->id))
		(void)snapshot_memory_base(there->fd, &there->base);
	else
		look_at_state(there, paths->state);
}

/*
 * A diff that finds a memory file in its place goes on top of it, and needs
 * then what that file needs.
 */
static int begin_diff(struct saving *saving, const struct snapshot_paths *paths,
		      struct err *err)
{
	const struct vm *vm = saving->vm;
	const struct gmem *mem = &vm->machine->mem;
	int to = saving->files.memory.fd;
	struct there there;
	int r = 0;

	if (vm->base_id == 0)
		return 0; /* it will be whole, whatever is there */
	look(&there, paths, mem->size);
	if (there.fd < 0)
		saving->base = vm->base_id;
	else if ((mem->dirty && there.id != 0 && there.id != vm->base_id) ||
		 (!mem->dirty && there.base != 0 && there.base != vm->base_id))
		r = err_set(err, -EINVAL,
			    "%s is of snapshot %016llx, from which this VM "
			    "does not differ by what it has noted; a diff on "
			    "top of it would be a mix: choose another name",
			    paths->memory, (unsigned long long)there.id);
	else
		saving->base = there.base;
	if (r == 0 && there.fd >= 0)
		r = memory_copy(there.fd, to, mem->size, err);
	fd_close(&there.fd);
	saving->files.base = saving->base;
	saving->stored = memory_stored(to, mem->size);
	return r;
}

/* From the file, which the page cache has still got: what is in it was partly
 * copied by the kernel. */
static int add_checksum(struct saving *saving, struct err *err)
{
	uint64_t crc;
	int r = memory_crc(saving->files.memory.fd,
			   saving->vm->machine->mem.size, saving->base != 0,
			   &crc, err);

	if (r == 0)
		snapshot_id_text(crc, saving->s->memory_crc);
	phases_end(saving->phases, "guest memory CRC");
	return r;
}

/* A diff is lost where more comes of a page than the page: some file systems
 * keep no holes, or only large ones. */
static int check_holes(struct saving *saving, const struct memory_stats *stats,
		       struct err *err)
{
	uint64_t now = memory_stored(saving->files.memory.fd,
				     saving->vm->machine->mem.size);

	if (saving->base == 0 || now <= saving->stored + stats->written)
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "This file system does not keep the holes of a diff: "
		       "take a full snapshot, or another place");
}

static int write_memory(struct saving *saving, struct err *err)
{
	struct machine *m = saving->vm->machine;
	struct memory_stats stats;
	int r = memory_write(&m->mem, saving->files.memory.fd, saving->kind,
			     &stats, err);

	phases_end(saving->phases, "guest memory dump");
	if (r == 0 && atomic_load(&m->uffd.lost))
		r = err_set(err, -EIO, UFFD_GONE);
	if (r < 0)
		return r;
	log_info("Guest memory: %llu KiB written, %llu KiB copied, of %llu KiB",
		 (unsigned long long)(stats.written >> 10),
		 (unsigned long long)(stats.copied >> 10),
		 (unsigned long long)(m->mem.size >> 10));
	r = check_holes(saving, &stats, err);
	return r == 0 && saving->checksum ? add_checksum(saving, err) : r;
}

static int note_dirty(struct machine *m, struct err *err)
{
	int r = m->mem.dirty ? kvm_vm_note_dirty(&m->kvm_vm, &m->mem) : 0;

	return r < 0 ? err_set(err, r, "KVM does not tell dirty pages: %s",
			       err_name(r))
		     : 0;
}

static int save(struct vm *vm, const struct snapshot_paths *paths,
		const struct vm_save *how, struct phases *phases,
		struct err *err)
{
	struct gmem *mem = &vm->machine->mem;
	struct saving saving = {
		.vm = vm,
		.kind = how->kind,
		.checksum = how->checksum,
		.phases = phases,
	};
	int r;

	if (how->kind == MEMORY_DIFF && mem->dirty && vm->base_id != 0)
		saving.kind = MEMORY_DIRTY;
	if (getrandom(&saving.id, sizeof(saving.id), 0) != sizeof(saving.id))
		return err_set(err, -EIO, "No random numbers");
	r = snapshot_files_begin(&saving.files, paths, saving.id, err);
	if (r == 0 && how->kind == MEMORY_DIFF)
		r = begin_diff(&saving, paths, err);
	if (r == 0)
		r = collect(&saving, err);
	if (r == 0)
		r = note_dirty(vm->machine, err);
	if (r == 0)
		r = write_memory(&saving, err);
	if (r == 0)
		r = write_state(&saving, err);
	if (r == 0) {
		r = snapshot_files_commit(&saving.files, err);
		phases_end(phases, "sync and rename");
	}
	if (r == 0 && mem->dirty) {
		gmem_clean(mem);
		vm->base_id = saving.id;
	}
	saving_end(&saving);
	return r;
}

/* A file that may not grow further is an error, not the end of the process. */
static int save_without_signal(struct vm *vm,
			       const struct snapshot_paths *paths,
			       const struct vm_save *how, struct phases *phases,
			       struct err *err)
{
	const struct timespec now = {0};
	sigset_t fsize, old;
	int r;

	(void)sigemptyset(&fsize);
	(void)sigaddset(&fsize, SIGXFSZ);
	(void)pthread_sigmask(SIG_BLOCK, &fsize, &old);
	r = save(vm, paths, how, phases, err);
	if (r < 0)
		(void)sigtimedwait(&fsize, NULL, &now);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int vm_snapshot(struct vm *vm, const struct snapshot_paths *paths,
		const struct vm_save *how, struct phases *phases,
		struct err *err)
{
	int r;

	phases_begin(phases, "Snapshot create");
	if (vm->state == VM_NOT_STARTED)
		return err_set(err, -EINVAL,
			       "The microVM has not been started");
	if (vm->state != VM_PAUSED)
		return err_set(err, -EBUSY,
			       "Cannot save the microVM state: Operation not "
			       "allowed: save/restore unavailable while "
			       "running");
	if (virtio_drain(vm->machine, now_ns() + DRAIN_NS) < 0)
		return err_set(err, -ETIME,
			       "Cannot save the microVM state: a device still "
			       "has requests in flight after %u s",
			       (unsigned int)(DRAIN_NS / 1000000000));
	phases_end(phases, "drain in-flight I/O");
	r = save_without_signal(vm, paths, how, phases, err);
	if (r == 0)
		phases_log(phases);
	return r;
}

/* ---- restoring ---- */

#define FROM_SNAPSHOT "Failed to restore from snapshot: "
#define FROM_STATE    "Failed to get snapshot state from file: "
#define FROM_UFFD                                                        \
	"Failed to load guest memory: Error creating guest memory from " \
	"uffd: "
#define FROM_FILE                                                        \
	"Failed to load guest memory: Error creating guest memory from " \
	"file: "

/*
 * A diff's memory is whole once another program merged it into that of its
 * base, which then still has the base's name on it, or none where it was
 * copied. What Volt puts into a directory is a diff, whatever lost the name.
 */
static int open_memory(struct snapshot_reader *reader,
		       const struct vm_restore *how, const struct snapshot *s,
		       struct err *err)
{
	uint64_t base = snapshot_base(s);
	uint64_t id = how->in_directory ? s->head.id : 0;
	int r = snapshot_open_memory(reader, &how->paths, s->head.id, base,
				     err);

	if (r < 0 || base == 0)
		return r;
	(void)snapshot_memory_id(reader->memory_fd, &id);
	if (id != s->head.id)
		return 0;
	return err_set(err, -EINVAL,
		       "%s holds only what changed since snapshot %s: merge "
		       "the two first (volt snapshot merge)",
		       how->paths.memory, s->base);
}

/* One look at both files. */
static int read_once(struct snapshot_reader *reader,
		     const struct vm_restore *how, struct snapshot *s,
		     struct err *err)
{
	int r = snapshot_read_state(reader, how->paths.state, err);

	if (r == 0) {
		r = snapshot_decode(reader->text, reader->len, s, err);
		if (r < 0)
			err_prefix_api(err,
				       "Failed to load snapshot state from "
				       "file: ");
	}
	if (r < 0) {
		err_prefix_api(err, FROM_STATE);
		return r;
	}
	if (how->uffd_path)
		return 0;
	r = open_memory(reader, how, s, err);
	if (r < 0)
		err_prefix_api(err, FROM_FILE);
	return r;
}

/* Somebody may put a new snapshot there meanwhile. */
static int read_files(struct snapshot_reader *reader,
		      const struct vm_restore *how, struct snapshot *s,
		      struct err *err)
{
	int r = -ESTALE;

	for (int i = 0; i < READ_TRIES && r == -ESTALE; i++) {
		if (i > 0) {
			snapshot_reader_end(reader);
			memset(s, 0, sizeof(*s));
		}
		r = read_once(reader, how, s, err);
	}
	return r;
}

static int run(struct vm *vm, bool resume, struct err *err)
{
	int r = machine_run(vm->machine, VCPUS_PAUSE, err);

	if (r < 0)
		return r;
	vm->state = VM_PAUSED;
	return resume ? vm_resume(vm, err) : 0;
}

/* Before anything else is opened, as Firecracker does. */
static int dial(const struct vm_restore *how, struct machine_source *source,
		struct err *err)
{
	if (!how->uffd_path)
		return 0;
	source->uffd_sock = uffd_dial(how->uffd_path, UFFD_RESTORE_MS, err);
	if (source->uffd_sock >= 0)
		return 0;
	return err_prefix_api(err, FROM_UFFD);
}

/* What the request says of memory. */
static int set_memory(struct machine_config *machine,
		      const struct vm_restore *how, struct err *err)
{
	if (how->has_huge_pages && how->huge_pages == HUGE_PAGES_2M &&
	    !how->uffd_path)
		return err_set(err, -EINVAL,
			       FROM_FILE "2 MiB pages cannot be mapped from a "
					 "file: use a Uffd back end");
	if (how->has_huge_pages)
		machine->huge_pages = how->huge_pages;
	if (machine->huge_pages == HUGE_PAGES_2M && !how->uffd_path) {
		log_warn("2 MiB pages cannot be mapped from a file: the guest "
			 "gets ordinary ones");
		machine->huge_pages = HUGE_PAGES_NONE;
	}
	if (how->track_dirty_pages)
		machine->track_dirty_pages = true;
	return 0;
}

static int build(struct vm *vm, const struct vm_restore *how,
		 struct machine_source *source, struct err *err)
{
	const struct snapshot *s = source->snapshot;
	int r = dial(how, source, err);

	if (r < 0)
		return r;
	r = config_state_load(&vm->config, &s->config, &how->overrides, err);
	if (r < 0) {
		err_prefix_api(err, FROM_STATE);
		return r;
	}
	r = set_memory(&vm->config.machine, how, err);
	phases_end(source->phases, "configuration and back ends");
	if (r == 0)
		r = machine_new(&vm->machine, vm, source, err);
	vm->base_id = s->head.id;
	if (r == 0)
		r = run(vm, how->resume, err);
	phases_end(source->phases, "vCPU threads");
	return r;
}

static int restore(struct vm *vm, const struct vm_restore *how,
		   struct snapshot *s, struct snapshot_reader *reader,
		   struct phases *phases, struct err *err)
{
	struct machine_source source = {
		.snapshot = s,
		.memory_fd = -1,
		.memory_path = how->paths.memory,
		.uffd = how->uffd_path != NULL,
		.uffd_sock = -1,
		.advance_clock = how->advance_clock,
		.phases = phases,
	};
	int r = read_files(reader, how, s, err);

	phases_end(phases, "state load + JSON parse + CRC verify");
	if (r < 0)
		return r;
	source.memory_fd = fd_steal(&reader->memory_fd);
	r = build(vm, how, &source, err);
	fd_close(&source.memory_fd);
	fd_close(&source.uffd_sock);
	return r;
}

int vm_restore(struct vm *vm, const struct vm_restore *how,
	       struct phases *phases, struct err *err)
{
	struct snapshot *s =
		pages_new(sizeof(*s), offsetof(struct snapshot, vcpus[1]));
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	int r;

	phases_begin(phases, "Snapshot restore");
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	timeline_mark(&vm->timeline, TIMELINE_START);
	r = restore(vm, how, s, &reader, phases, err);
	if (r < 0)
		err_prefix_api(err, FROM_SNAPSHOT);
	else
		phases_log(phases);
	snapshot_reader_end(&reader);
	pages_free(s, sizeof(*s));
	return r;
}

int vm_snapshot_version(const char *path, char version[static 96],
			struct err *err)
{
	struct snapshot_reader reader;
	struct snapshot_head head;
	size_t covered;
	int r = snapshot_read_state(&reader, path, err);

	if (r == 0)
		r = snapshot_read_head(reader.text, reader.len, &head, &covered,
				       err);
	if (r == 0)
		r = snapshot_check_crc(&head, reader.text + covered,
				       reader.len - covered, err);
	if (r == 0)
		(void)snprintf(version, 96, "%s", head.version);
	snapshot_reader_end(&reader);
	return r;
}
