// SPDX-License-Identifier: Apache-2.0
/*
 * save.c - save a VM (theory of operation: save.h)
 */
#include "vm/save.h"

#include "base/log.h"
#include "config/state.h"
#include "host/clock.h"
#include "image/copy.h"
#include "vm/machine.h"
#include "vm/overlay.h"
#include "vm/template.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_NS  5000000000ull
#define HOT_PAGES 8

static int save_machine(struct machine *m, struct snapshot *s, struct buf *text,
			struct err *err)
{
	struct msr_list list;
	int r = msrs_list(&m->board.kvm, &list, err);

	if (r == 0)
		r = template_list_msrs(&m->board.env.config->cpu, &list, err);
	for (unsigned int i = 0; i < m->vcpus.nr && r == 0; i++)
		r = vcpu_state_get(&m->vcpus.vcpu[i].kvm, &list, &s->vcpus[i],
				   err);
	s->nr_vcpus = m->vcpus.nr;
	s->memory_bytes = m->board.mem.size;
	if (r == 0)
		r = vm_state_get(&m->board.kvm_vm, &s->vm, err);
	if (r < 0)
		return r;
	chipset_save(&m->chipset, s, text);
	return text->failed ? err_set(err, -ENOMEM, "Out of memory") : 0;
}

/**
 * struct saving - a snapshot on its way
 * @who:	of what comes out
 * @kind:	of the memory file
 * @stored:	bytes of a diff that were there before
 * @devices, @config:	what @s refers to
 */
struct saving {
	struct vm *vm;
	struct snapshot_identity who;
	enum memory_kind kind;
	bool checksum;
	uint64_t stored;
	struct steps *steps;
	struct vm_files files;
	struct snapshot *s;
	struct buf devices;
	struct buf config;
};

static int save_collect(struct saving *saving, struct err *err)
{
	struct vm *vm = saving->vm;
	struct snapshot *s = calloc(1, sizeof(*s));
	int r;

	saving->s = s;
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	snapshot_describe(s, saving->who.label.id, vm->machine->boot_id,
			  vm->machine->kernel);
	r = save_machine(vm->machine, s, &saving->devices, err);
	steps_end(saving->steps, "vCPU, IRQ chip and device state");
	if (r < 0)
		return r;
	config_state_encode(&vm->config, &saving->config);
	s->config =
		(struct schema_raw){saving->config.data, saving->config.len};
	return saving->config.failed ? err_set(err, -ENOMEM, "Out of memory")
				     : 0;
}

static int save_write_state(struct saving *saving, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r;

	snapshot_set_identity(saving->s, &saving->who);
	snapshot_encode(saving->s, &text);
	if (text.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_write_full(saving->files.state, text.data, text.len);
	steps_end(saving->steps, "state JSON + CRC");
	return r < 0 ? err_set(err, r, "Cannot write the state: %s",
			       err_name(r))
		     : 0;
}

static void saving_end(struct saving *saving)
{
	fd_close(&saving->files.state);
	fd_close(&saving->files.memory);
	fd_close(&saving->files.under);
	buf_free(&saving->devices);
	buf_free(&saving->config);
	free(saving->s);
}

/* A diff may go on top of something. */
static int begin_diff(struct saving *saving, struct err *err)
{
	uint64_t size = saving->who.size;
	int to = saving->files.memory;
	int r = 0;

	if (saving->files.under >= 0)
		r = memory_copy(saving->files.under, to, size, err);
	if (saving->who.label.base != 0)
		saving->stored = memory_stored(to, size);
	return r;
}

/* Read the file back, from the page cache: the kernel copied part of it from
 * another file, so we have not seen all bytes. */
static int add_checksum(struct saving *saving, struct err *err)
{
	uint64_t crc;
	int r = memory_crc(&(struct image_layer){.fd = saving->files.memory},
			   saving->vm->machine->board.mem.size,
			   saving->who.label.base != 0, &crc, err);

	if (r == 0)
		snapshot_id_text(crc, saving->s->memory_crc);
	steps_end(saving->steps, "guest memory CRC");
	return r;
}

/* A diff is lost where more comes of a page than the page: some file systems
 * keep no holes, or only large ones. */
static int check_holes(struct saving *saving, const struct memory_stats *stats,
		       struct err *err)
{
	uint64_t now = memory_stored(saving->files.memory,
				     saving->vm->machine->board.mem.size);

	if (saving->who.label.base == 0 ||
	    now <= saving->stored + stats->written)
		return 0;
	return err_set(err, -EOPNOTSUPP,
		       "This file system does not keep the holes of a diff: "
		       "take a full snapshot, or another place");
}

/* Pages that no other VM has, and no other moment of this one: numbers in the
 * memory file. Return: how many. */
static unsigned int hot_pages(struct saving *saving,
			      uint64_t page[static HOT_PAGES])
{
	struct machine *m = saving->vm->machine;
	unsigned int nr = 0;
	uint64_t gpa;

	page[nr++] = gmem_page(&m->board.mem, m->chipset.vmgenid.gpa);
	for (unsigned int i = 0; i < m->vcpus.nr && nr < HOT_PAGES; i++)
		if (kvm_vcpu_translate(&m->vcpus.vcpu[i].kvm,
				       saving->s->vcpus[i].regs.rsp, &gpa))
			page[nr++] = gmem_page(&m->board.mem, gpa);
	return nr;
}

static int prove_memory(struct saving *saving, const struct memory_stats *stats,
			struct err *err)
{
	uint64_t hot[HOT_PAGES];
	const struct memory_prove from = {
		.fd = saving->files.memory,
		.size = saving->who.size,
		.diff = saving->who.label.base != 0,
		.fresh = &stats->fresh,
		.hot = hot,
		.nr_hot = hot_pages(saving, hot),
		.base = &saving->vm->base.proof,
	};
	int r = memory_prove(&from, &saving->who.proof);

	return r < 0 ? err_set(err, r, "Cannot read the memory file: %s",
			       err_name(r))
		     : 0;
}

/* Without pagemap a save is slow, and a diff holds all pages: log why. */
static void warn_of_pagemap(const struct machine *m, enum memory_kind kind)
{
	struct err why = {0};

	if (m->pagemap >= 0 || kind == MEMORY_DIRTY)
		return;
	(void)path_say(PATH_PAGEMAP, NULL, m->pagemap, "", &why);
	log_warn("%s: all count as written", why.text);
}

/* What a diff differs from, where this VM has that mapped. */
static const struct image *image_below(const struct saving *saving)
{
	const struct vm *vm = saving->vm;
	const struct pager *pager = &vm->machine->board.pager;
	uint64_t base = saving->who.label.base;

	return base != 0 && base == vm->mapped && pager->kind == PAGER_FILE
		       ? &pager->image
		       : NULL;
}

static int save_write_memory(struct saving *saving, struct err *err)
{
	struct machine *m = saving->vm->machine;
	struct memory_stats stats;
	int r;

	warn_of_pagemap(m, saving->kind);
	r = memory_write(&m->board.mem, m->pagemap, saving->files.memory,
			 saving->kind, image_below(saving), &stats, err);

	steps_end(saving->steps, "guest memory dump");
	if (r == 0 && pager_is_lost(&m->board.pager))
		r = err_set(err, -EIO, UFFD_GONE);
	if (r < 0)
		return r;
	log_info("Guest memory: %llu KiB written, %llu KiB copied, %llu KiB "
		 "as in the base, of %llu KiB",
		 (unsigned long long)(stats.written >> 10),
		 (unsigned long long)(stats.copied >> 10),
		 (unsigned long long)(stats.same * (PAGE_SIZE >> 10)),
		 (unsigned long long)(m->board.mem.size >> 10));
	r = check_holes(saving, &stats, err);
	if (r == 0)
		r = prove_memory(saving, &stats, err);
	return r == 0 && saving->checksum ? add_checksum(saving, err) : r;
}

static int note_dirty(struct machine *m, struct err *err)
{
	int r = m->board.mem.tracked
			? kvm_vm_note_dirty(&m->board.kvm_vm, &m->board.mem)
			: 0;

	return r < 0 ? err_set(err, r, "KVM does not tell dirty pages: %s",
			       err_name(r))
		     : 0;
}

/* Open the files, and learn their label. */
static int vm_save_begin(struct saving *saving, const struct vm_place *place,
			 struct err *err)
{
	int r = place->begin(place->ctx, &saving->files, err);

	saving->who.label = saving->files.label;
	saving->who.size = saving->vm->machine->board.mem.size;
	return r;
}

/* The next diff is against this snapshot, where dirty pages are tracked. */
static void move_base(struct saving *saving)
{
	struct vm *vm = saving->vm;

	if (vm->machine->board.mem.tracked) {
		gmem_clean(&vm->machine->board.mem);
		vm->base = saving->who;
	}
}

static int save_finish(struct saving *saving, const struct vm_place *place,
		       struct err *err)
{
	const struct vm_files *files = &saving->files;
	/* Content and size, which is all that a reader goes by. */
	int r = fdatasync(files->memory) < 0 || fdatasync(files->state) < 0
			? -errno
			: 0;

	if (r < 0) {
		place->abort(place->ctx);
		return err_set(err, r, "Cannot store the snapshot: %s",
			       err_name(r));
	}
	r = place->commit(place->ctx, &saving->who.proof, err);
	steps_end(saving->steps, "sync and rename");
	if (r == 0)
		move_base(saving);
	else if (r == -ETIMEDOUT) /* the next diff is whole */
		saving->vm->base = (struct snapshot_identity){0};
	return r;
}

static int write_files(struct saving *saving, bool diff, struct err *err)
{
	int r = diff ? begin_diff(saving, err) : 0;

	if (r == 0)
		r = save_collect(saving, err);
	if (r == 0)
		r = note_dirty(saving->vm->machine, err);
	if (r == 0)
		r = save_write_memory(saving, err);
	return r == 0 ? save_write_state(saving, err) : r;
}

static int save_all(struct vm *vm, const struct vm_place *place,
		    const struct vm_save *how, struct steps *steps,
		    struct err *err)
{
	struct saving saving = {
		.vm = vm,
		.kind = how->kind,
		.checksum = how->checksum,
		.steps = steps,
		.files = {.state = -1, .memory = -1, .under = -1},
	};
	int r;

	if (how->kind == MEMORY_DIFF && vm->machine->board.mem.tracked &&
	    vm->base.label.moment != 0)
		saving.kind = MEMORY_DIRTY;
	r = vm_save_begin(&saving, place, err);
	if (r < 0)
		return r;
	r = write_files(&saving, how->kind == MEMORY_DIFF, err);
	if (r == 0)
		r = save_finish(&saving, place, err);
	else
		place->abort(place->ctx);
	saving_end(&saving);
	return r;
}

int vm_snapshot(struct vm *vm, const struct vm_place *place,
		const struct vm_save *how, struct steps *steps, struct err *err)
{
	const struct drive_config *drive;
	int r;

	steps_begin(steps, "Snapshot create");
	if (vm->state == VM_NOT_STARTED)
		return err_set(err, -EINVAL,
			       "The microVM has not been started");
	if (vm->state != VM_PAUSED)
		return err_set(err, -EBUSY,
			       "Cannot save the microVM state: Operation not "
			       "allowed: save/restore unavailable while "
			       "running");
	if (vm->config.nested)
		return err_set(err, -EOPNOTSUPP,
			       "Cannot save the microVM state: it was started "
			       "with --nested, and the state of its own guests "
			       "would be lost");
	drive = overlay_find(&vm->config);
	if (drive)
		return err_set(err, -EOPNOTSUPP,
			       "Cannot save the microVM state: drive %s is a "
			       "private copy (overlay), which ends with this "
			       "VM; a PATCH of its path_on_host gives it a "
			       "file that lasts",
			       drive->drive_id);
	if (slots_drain(&vm->machine->slots, now_ns() + DRAIN_NS) < 0)
		return err_set(err, -ETIME,
			       "Cannot save the microVM state: a device still "
			       "has requests in flight after %u s",
			       (unsigned int)(DRAIN_NS / 1000000000));
	steps_end(steps, "drain in-flight I/O");
	r = save_all(vm, place, how, steps, err);
	if (r == 0)
		steps_log(steps);
	return r;
}
