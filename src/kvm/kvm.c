// SPDX-License-Identifier: Apache-2.0
/*
 * kvm.c - /dev/kvm and the VM (theory of operation: kvm.h)
 */
#include "kvm/kvm.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CREATE_VM_TRIES 5
/* Three pages for the task state of real mode on VT-x, below the BIOS area
 * and outside RAM; api.rst KVM_SET_TSS_ADDR. AMD's KVM takes it and needs none:
 * asking the CPU which it is would cost more than the call. */
#define TSS_ADDR 0xfffbd000ul

static uint64_t kvm_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int kvm_call(struct kvm *kvm, int fd, unsigned long request, void *arg)
{
	uint64_t start = kvm_clock_ns();
	int r = ioctl(fd, request, arg);

	if (r < 0)
		r = -errno;
	atomic_fetch_add_explicit(&kvm->stats.ns, kvm_clock_ns() - start,
				  memory_order_relaxed);
	atomic_fetch_add_explicit(&kvm->stats.calls, 1, memory_order_relaxed);
	return r;
}

int kvm_cap(struct kvm *kvm, int cap)
{
	int r = kvm_call(kvm, kvm->fd, KVM_CHECK_EXTENSION,
			 (void *)(uintptr_t)cap);

	return r < 0 ? 0 : r;
}

static int kvm_check_host(struct kvm *kvm, struct err *err)
{
	static const struct {
		int cap;
		const char *name;
	} needed[] = {
		{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
		{KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
	};
	int r = kvm_call(kvm, kvm->fd, KVM_GET_API_VERSION, NULL);

	if (r != KVM_API_VERSION)
		return err_set(err, -ENOTSUP,
			       "/dev/kvm speaks API version %d; Volt needs %d",
			       r, KVM_API_VERSION);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (kvm_cap(kvm, needed[i].cap) == 0)
			return err_set(err, -ENOTSUP,
				       "This kernel's KVM lacks %s; Linux 4.11 "
				       "or later has it",
				       needed[i].name);
	r = kvm_call(kvm, kvm->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	if (r < (int)sizeof(struct kvm_run))
		return err_set(err, r < 0 ? r : -ENOTSUP,
			       "KVM_GET_VCPU_MMAP_SIZE failed: %s",
			       err_name(r));
	kvm->run_size = (size_t)r;
	kvm->has_tsc_deadline = kvm_cap(kvm, KVM_CAP_TSC_DEADLINE_TIMER) != 0;
	return 0;
}

int kvm_open(struct kvm *kvm, int fd, struct err *err)
{
	int r;

	memset(kvm, 0, sizeof(*kvm));
	kvm->fd = fd;
	if (fd < 0)
		return fd;
	r = kvm_check_host(kvm, err);
	if (r < 0)
		kvm_close(kvm);
	return r;
}

void kvm_close(struct kvm *kvm)
{
	fd_close(&kvm->fd);
}

void kvm_vm_clear(struct kvm_vm *vm, struct kvm *kvm)
{
	memset(vm, 0, sizeof(*vm));
	vm->kvm = kvm;
	vm->fd = -1;
	kvm_rings_init(&vm->rings);
}

int kvm_vm_init(struct kvm_vm *vm, struct kvm *kvm, struct err *err)
{
	int r = -EINTR;

	kvm_vm_clear(vm, kvm);
	for (int i = 0; i < CREATE_VM_TRIES && r == -EINTR; i++)
		r = kvm_call(kvm, kvm->fd, KVM_CREATE_VM, NULL);
	if (r < 0)
		return err_set(err, r, "KVM_CREATE_VM failed: %s", err_name(r));
	vm->fd = r;
	return 0;
}

void kvm_first_close(struct kvm_first *first, const struct kvm *kvm)
{
	if (!first->run)
		return;
	(void)munmap(first->run, kvm->run_size);
	fd_close(&first->fd);
	*first = (struct kvm_first){0};
}

void kvm_vm_fini(struct kvm_vm *vm)
{
	kvm_first_close(&vm->first, vm->kvm);
	fd_close(&vm->fd);
}

/* ---- memory ---- */

int kvm_vm_set_slot(struct kvm_vm *vm, const struct gmem_region *region,
		    uint64_t off, bool there)
{
	struct kvm_userspace_memory_region slot = {
		.slot = region->slot + (unsigned int)(off / region->slot_bytes),
		.flags = (region->dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0u) |
			 (region->read_only ? KVM_MEM_READONLY : 0u),
		.guest_phys_addr = region->gpa + off,
		.memory_size = there ? region->slot_bytes : 0,
		.userspace_addr = (uintptr_t)region->hva + off,
	};
	int r = kvm_call(vm->kvm, vm->fd, KVM_SET_USER_MEMORY_REGION, &slot);

	return r < 0 ? r : 0;
}

int kvm_vm_set_memory(struct kvm_vm *vm, const struct gmem *mem,
		      struct err *err)
{
	int r = kvm_call(vm->kvm, vm->fd, KVM_SET_TSS_ADDR, (void *)TSS_ADDR);

	if (r < 0)
		return err_set(err, r, "KVM_SET_TSS_ADDR failed: %s",
			       err_name(r));
	for (unsigned int i = 0; i < mem->nr_regions; i++) {
		const struct gmem_region *region = &mem->region[i];

		if (region->kind == GMEM_HOT)
			continue;
		r = kvm_vm_set_slot(vm, region, 0, true);
		if (r < 0)
			return err_set(err, r,
				       "KVM does not take %llu MiB of memory "
				       "at 0x%llx: %s",
				       (unsigned long long)(region->size >> 20),
				       (unsigned long long)region->gpa,
				       err_name(r));
	}
	return 0;
}

int kvm_vm_use_rings(struct kvm_vm *vm, struct err *err)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DIRTY_LOG_RING,
		.args = {KVM_RING_BYTES},
	};
	int r;

	if (kvm_cap(vm->kvm, KVM_CAP_DIRTY_LOG_RING) < (int)KVM_RING_BYTES)
		return err_set(err, -ENOTSUP,
			       "This host's KVM has no dirty ring "
			       "(KVM_CAP_DIRTY_LOG_RING, Linux 5.11): leave "
			       "out dirty_ring");
	r = kvm_call(vm->kvm, vm->fd, KVM_ENABLE_CAP, &cap);
	if (r < 0)
		return err_set(err, r, "KVM does not enable its dirty ring: %s",
			       err_name(r));
	vm->rings.on = true;
	return 0;
}

/* Also what another thread has just taken is reset, or a vCPU would find its
 * ring as full as it was. */
static int note_rings(struct kvm_vm *vm, const struct gmem *mem)
{
	int r;

	kvm_rings_take(&vm->rings, mem);
	r = kvm_call(vm->kvm, vm->fd, KVM_RESET_DIRTY_RINGS, NULL);
	return r < 0 ? r : 0;
}

/* A slot without a plugged block is not there. */
static bool slot_is_there(const struct gmem_region *region, uint64_t off)
{
	return region->kind != GMEM_HOT ||
	       gmem_plugged(region, region->gpa + off, region->slot_bytes) > 0;
}

/* Whole words of 64 pages: slots are MiBs. */
static int note_log(struct kvm_vm *vm, const struct gmem_region *region)
{
	int r = 0;

	for (uint64_t off = 0; off < region->size && r == 0;
	     off += region->slot_bytes) {
		cleanup_free uint64_t *bits = calloc(
			region->slot_bytes / PAGE_SIZE / 64, sizeof(*bits));
		struct kvm_dirty_log log = {
			.slot = region->slot +
				(unsigned int)(off / region->slot_bytes),
			.dirty_bitmap = bits,
		};

		if (!bits)
			return -ENOMEM;
		if (!slot_is_there(region, off))
			continue;
		r = kvm_call(vm->kvm, vm->fd, KVM_GET_DIRTY_LOG, &log);
		if (r == 0)
			gmem_mark_bits(region, off, region->slot_bytes, bits);
	}
	return r;
}

int kvm_vm_note_dirty(struct kvm_vm *vm, const struct gmem *mem)
{
	int r = 0;

	if (vm->rings.on)
		return note_rings(vm, mem);
	for (unsigned int i = 0; i < mem->nr_image && r == 0; i++)
		r = note_log(vm, &mem->region[i]);
	return r;
}
