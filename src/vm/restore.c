// SPDX-License-Identifier: Apache-2.0
/*
 * restore.c - a VM goes on from what was saved (restore.h)
 */
#include "vm/restore.h"

#include "base/log.h"
#include "base/pages.h"
#include "snapshot/chain.h"
#include "snapshot/hot.h"
#include "vm/machine.h"
#include "vm/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FROM_SNAPSHOT "Failed to restore from snapshot: "
#define FROM_STATE    "Failed to get snapshot state from file: "
#define FROM_UFFD                                                        \
	"Failed to load guest memory: Error creating guest memory from " \
	"uffd: "
#define FROM_FILE                                                        \
	"Failed to load guest memory: Error creating guest memory from " \
	"file: "

/* ---- the machine ---- */

/**
 * struct machine_source - what a machine is restored from
 * @image:	its memory, taken over by the machine
 * @uffd:	a handler serves the memory
 * @uffd_sock:	the connection to it (PATH_UFFD_HANDLER), taken over likewise
 * @hot:	pages that the guest will want soon, of mapped memory: so many
 *		as @hot_pages
 * @advance_clock:	by the real time since the snapshot
 */
struct machine_source {
	struct snapshot *snapshot;
	struct image image;
	bool uffd;
	int uffd_sock;
	struct workset hot;
	size_t hot_pages;
	bool advance_clock;
	struct steps *steps;
};

/* The guest cannot go on; machine_free() releases threads that are blocked on a
 * missing page. */
static void handler_gone(void *ctx)
{
	struct machine *m = ctx;

	if (!env_ended(&m->board.env))
		log_error(UFFD_GONE);
	env_end(&m->board.env, VM_END_HOST);
}

/* Before those who wait read zeros that are none: no vCPU shall act on one. */
static void handler_lost(void *ctx)
{
	struct machine *m = ctx;

	handler_gone(m);
	vcpus_stop(&m->vcpus);
}

static int memory_by_uffd(struct machine *m, struct machine_source *src,
			  struct err *err)
{
	const struct vm_env *env = &m->board.env;
	const struct vm_config *c = env->config;
	cleanup_fd int dev = path_open(c->opener, PATH_USERFAULTFD, NULL, NULL);
	const struct pager_server server = {
		.dev = dev,
		.sock = &src->uffd_sock,
		.loop = env->loop,
		.sandbox = env->sandbox,
		.gone = handler_gone,
		.lost = handler_lost,
		.ctx = m,
	};
	struct gmem_spec hot;
	bool has_hot = board_hot(c, &hot);
	int r = pager_serve(&m->board.pager, &m->board.mem,
			    MIB(c->machine.mem_size_mib), has_hot ? &hot : NULL,
			    board_pages_of(c->machine.huge_pages), &server,
			    err);

	if (r < 0)
		err_prefix_api(err, FROM_UFFD);
	return r;
}

static int memory_from_file(struct machine *m, struct machine_source *src,
			    struct err *err)
{
	const struct machine_config *machine = &m->board.env.config->machine;
	struct gmem_spec hot;
	bool has_hot = board_hot(m->board.env.config, &hot);
	int r = pager_map(&m->board.pager, &m->board.mem, has_hot ? &hot : NULL,
			  board_pages_of(machine->huge_pages), &src->image,
			  err);

	if (r < 0)
		return err_prefix_api(err, FROM_FILE);
	if (pager_expect(&m->board.pager, &m->board.mem, &src->hot,
			 src->hot_pages) < 0)
		log_warn("No memory to read the working set ahead");
	return 0;
}

/* What this host cannot do it says before anything is made. */
static int restore_check_source(struct machine *m, const struct snapshot *s,
				struct err *err)
{
	const struct vm_config *c = m->board.env.config;
	bool same = snapshot_same_host(s, m->boot_id);
	uint64_t hot_mib = 0;
	int r = 0;

	if (c->memory_hotplug.present)
		hot_mib = c->memory_hotplug.total_size_mib;
	if (s->nr_vcpus != c->machine.vcpu_count ||
	    s->memory_bytes % MIB(1) != 0 || /* no product that overflows */
	    s->memory_bytes / MIB(1) < hot_mib ||
	    s->memory_bytes / MIB(1) - hot_mib != c->machine.mem_size_mib ||
	    s->vm.has_chips != (c->irqchip == IRQCHIP_FULL))
		return err_set(err, -EINVAL,
			       "The parts of the snapshot do not belong "
			       "together");
	for (unsigned int i = 0; i < s->nr_vcpus && r == 0; i++)
		r = vcpu_state_check(&m->board.kvm, &s->vcpus[i], same || i > 0,
				     err);
	return r;
}

static int set_vcpus(struct machine *m, const struct snapshot *s,
		     struct err *err)
{
	int r = vcpus_create(&m->vcpus, &m->board.kvm_vm, s->nr_vcpus, err);

	for (unsigned int i = 0; i < s->nr_vcpus && r == 0; i++)
		r = vcpu_state_set(&m->vcpus.vcpu[i].kvm, &s->vcpus[i], err);
	return r;
}

/* Chips behind the vCPUs, devices behind the chips, irqfds behind the devices:
 * whatever is delivered finds its receiver set. The clock is last. */
static int restore_machine(struct machine *m, struct machine_source *src,
			   struct err *err)
{
	struct snapshot *s = src->snapshot;
	struct steps *steps = src->steps;
	uint64_t gap_ns;
	int r = board_open_kvm(&m->board, err);

	if (r == 0)
		r = restore_check_source(m, s, err);
	if (r < 0)
		return r;
	steps_end(steps, "checks against this host");
	r = src->uffd ? memory_by_uffd(m, src, err)
		      : memory_from_file(m, src, err);
	if (r == 0)
		r = board_add_pmems(&m->board, err);
	steps_end(steps, "memory mmap");
	if (r == 0)
		r = board_make_vm(&m->board, err);
	steps_end(steps, "KVM VM create");
	if (r == 0)
		r = board_give_memory(&m->board, err);
	steps_end(steps, "memory register with KVM");
	if (r == 0)
		r = kvm_irqchip_init(&m->board.kvm_vm, !s->vm.has_chips, err);
	if (r == 0)
		r = chipset_add(&m->chipset, err);
	if (r < 0)
		return r;
	slots_pause(&m->slots);
	steps_end(steps, "devices create");
	gap_ns = src->advance_clock ? vm_state_gap(&s->vm) : 0;
	for (unsigned int i = 0; i < s->nr_vcpus; i++)
		vcpu_state_advance(&s->vcpus[i], gap_ns);
	r = set_vcpus(m, s, err);
	steps_end(steps, "vCPU create and state restore");
	if (r == 0)
		r = vm_state_set_chips(&m->board.kvm_vm, &s->vm, err);
	if (r == 0)
		r = chipset_load(&m->chipset, s, err);
	if (r == 0)
		r = slots_connect(&m->slots, err);
	if (r == 0 && kvm_routes_commit(&m->board.kvm_vm) < 0)
		r = err_set(err, -EIO, "KVM_SET_GSI_ROUTING failed");
	steps_end(steps, "IRQ chip and device restore");
	if (r == 0)
		r = vm_state_set_clock(&m->board.kvm_vm, &s->vm, gap_ns, err);
	if (r == 0) /* touches a page, and so does the ID */
		r = vmclock_renew(&m->chipset.vmclock, err);
	if (r == 0)
		r = vmgenid_renew(&m->chipset.vmgenid, err);
	r = pager_settle(&m->board.pager, r, err);
	steps_end(steps, "clock restore");
	return r;
}

/* ---- the VM ---- */

static int read_files(struct snapshot_reader *reader,
		      const struct vm_restore *how, struct snapshot *s,
		      struct image *image, struct err *err)
{
	int r = snapshot_find(reader, &how->paths, !how->uffd_path, s, err);

	if (r == 0 && !how->uffd_path)
		r = snapshot_chain_image(&how->paths, reader, s, image, err);
	if (r < 0)
		err_prefix_api(err, reader->stage < SNAPSHOT_STATE_RIGHT
					    ? FROM_STATE
					    : FROM_FILE);
	return r;
}

static int restore_run(struct vm *vm, const struct vm_restore *how,
		       struct err *err)
{
	bool resume = how->resume;
	int r;

	vm->waits = !resume;
	/* It writes the guest's clock, and a handler may take its time. */
	vm->machine->vcpus.ahead =
		vm->waits && how->overrides.lease && !how->uffd_path;
	r = vm_run(vm, true, err);

	if (r < 0)
		return r;
	vm_set_state(vm, VM_PAUSED);
	return resume ? vm_resume(vm, err) : 0;
}

/* Before anything else is opened, as Firecracker does. */
static int restore_dial(const struct vm *vm, const struct vm_restore *how,
			struct machine_source *source, struct err *err)
{
	if (!how->uffd_path)
		return 0;
	source->uffd_sock = path_open(vm->config.opener, PATH_UFFD_HANDLER,
				      how->uffd_path, err);
	if (source->uffd_sock >= 0)
		return 0;
	return err_prefix_api(err, FROM_UFFD);
}

/* What the request says of memory. */
static int restore_set_memory(struct machine_config *machine,
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
	machine->dirty_ring = how->dirty_ring;
	return 0;
}

/* Who speaks for the socket device is there before anything is opened. */
static int restore_configure(struct vm *vm, const struct vm_restore *how,
			     const struct snapshot *s, struct err *err)
{
	struct config_state *state;
	int r = config_state_read(&state, &vm->config, &s->config,
				  &how->overrides, err);

	if (r == 0 && vm->config.vsock.present && vm->meet_vsock)
		r = vm->meet_vsock(vm, err);
	if (r == 0)
		r = config_state_open(state, &vm->config, &how->overrides, err);
	if (r == 0)
		r = overlay_fill(&vm->config, err);
	config_state_free(state);
	return r < 0 ? err_prefix_api(err, FROM_STATE) : 0;
}

static int make_machine(struct vm *vm, struct machine_source *source,
			struct err *err)
{
	struct machine *m = NULL;
	int r = vm_new_machine(vm, &m, err);

	if (r == 0)
		r = restore_machine(m, source, err);
	if (r < 0) {
		machine_free(m);
		return r;
	}
	timeline_mark(&vm->timeline, TIMELINE_VCPUS_READY);
	vm->machine = m;
	return 0;
}

static int build(struct vm *vm, const struct vm_restore *how,
		 struct machine_source *source, struct err *err)
{
	const struct snapshot *s = source->snapshot;
	int r = restore_dial(vm, how, source, err);

	if (r == 0)
		r = restore_configure(vm, how, s, err);
	if (r < 0)
		return r;
	r = restore_set_memory(&vm->config.machine, how, err);
	steps_end(source->steps, "configuration and back ends");
	if (r == 0)
		r = make_machine(vm, source, err);
	snapshot_identity_of(s, &vm->base);
	vm->mapped = vm->base.label.moment;
	if (r == 0)
		r = restore_run(vm, how, err);
	steps_end(source->steps, "vCPU threads");
	return r;
}

/* It is a hint: a restore does without. */
static void read_hot(struct machine_source *src, const struct vm_restore *how)
{
	struct err err = {0};

	src->hot_pages = how->hot_pages;
	if (src->uffd || how->hot_pages == 0 || src->snapshot->moment == 0)
		return;
	if (snapshot_hot(&how->paths, src->snapshot->moment, &src->hot, &err) <
	    0)
		log_warn("%s: it is not used", err_for_person(&err));
	else if (src->hot.nr == 0 &&
		 workset_of_diff(&src->hot, &src->image) < 0)
		log_warn("No memory for a working set");
	if (src->hot.nr > 0)
		log_info("Working set: %zu pages, of which %zu are read ahead",
			 src->hot.nr,
			 src->hot.nr < how->hot_pages ? src->hot.nr
						      : how->hot_pages);
}

static int restore_all(struct vm *vm, const struct vm_restore *how,
		       struct snapshot *s, struct snapshot_reader *reader,
		       struct steps *steps, struct err *err)
{
	struct machine_source source = {
		.snapshot = s,
		.uffd = how->uffd_path != NULL,
		.uffd_sock = -1,
		.advance_clock = how->advance_clock,
		.steps = steps,
	};
	int r = read_files(reader, how, s, &source.image, err);

	if (r == 0)
		read_hot(&source, how);
	steps_end(steps, "state load + JSON parse + CRC verify");
	if (r == 0)
		r = build(vm, how, &source, err);
	image_fini(&source.image);
	workset_fini(&source.hot);
	fd_close(&source.uffd_sock);
	return r;
}

int vm_restore(struct vm *vm, const struct vm_restore *how, struct steps *steps,
	       struct err *err)
{
	struct snapshot *s =
		pages_new(sizeof(*s), offsetof(struct snapshot, vcpus[1]));
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	int r;

	steps_begin(steps, "Snapshot restore");
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	timeline_mark(&vm->timeline, TIMELINE_START);
	r = restore_all(vm, how, s, &reader, steps, err);
	if (r < 0)
		err_prefix_api(err, FROM_SNAPSHOT);
	else
		steps_log(steps);
	snapshot_reader_end(&reader);
	pages_free(s, sizeof(*s));
	return r;
}

int vm_snapshot_version(const char *path, char version[static 96],
			struct err *err)
{
	struct snapshot_reader reader;
	struct snapshot_head head;
	int r = snapshot_read_state(&reader, path, err);

	if (r == 0)
		r = snapshot_check_state(&reader, &head, err);
	if (r == 0)
		(void)snprintf(version, 96, "%s", head.version);
	snapshot_reader_end(&reader);
	return r;
}
