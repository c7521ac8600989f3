/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - the least that runs a guest: the yardstick for volt-vmm's start
 *
 * Theory of operation: only the KVM calls that a VM with an interrupt
 * controller and a long-mode CPU cannot do without, in the order that is
 * cheap (memory slot, split irqchip, vCPU, CPUID, registers, run), and no
 * other work: no device but a port that prints and one that ends. What
 * volt-vmm needs beyond this is the price of being a VMM.
 *
 * Usage: probe [--timing] KERNEL [MIB]
 * The kernel is a static ELF64, entered in long mode with the first GiB
 * mapped and rsi = 0. With --timing the milestones go to stderr, in
 * microseconds since the process was started.
 */
#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	NR_CPUID = 128,
	PML4 = 0x1000,
	PDPT = 0x2000,
	PD = 0x3000,
	GDT = 0x500,
	PORT_SERIAL = 0x3f8,
	PORT_LSR = 0x3fd,
	PORT_KEYBOARD = 0x64,
	KEYBOARD_RESET = 0xfe,
};

struct milestone {
	const char *name;
	long us;
};

struct probe {
	uint8_t *ram;
	size_t ram_size;
	int kvm, vm, vcpu;
	struct kvm_run *run;
	uint64_t entry;
	struct milestone milestones[8];
	unsigned int nr_milestones;
};

static long now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void mark_milestone(struct probe *p, const char *name)
{
	struct milestone *m;

	if (p->nr_milestones == sizeof(p->milestones) / sizeof(*m))
		return;
	m = &p->milestones[p->nr_milestones++];
	m->name = name;
	m->us = now_us(CLOCK_MONOTONIC);
}

static int kvm_call(int fd, unsigned long request, void *arg, const char *name)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		err(1, "%s", name);
	return ret;
}

static void create_vm(struct probe *p)
{
	struct kvm_userspace_memory_region slot = {0};
	struct kvm_enable_cap cap = {.cap = KVM_CAP_SPLIT_IRQCHIP,
				     .args = {24}};

	p->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (p->kvm < 0)
		err(1, "/dev/kvm");
	p->vm = kvm_call(p->kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	p->ram = mmap(NULL, p->ram_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->ram == MAP_FAILED)
		err(1, "guest memory");
	slot.memory_size = p->ram_size;
	slot.userspace_addr = (uintptr_t)p->ram;
	kvm_call(p->vm, KVM_SET_USER_MEMORY_REGION, &slot, "memory slot");
	kvm_call(p->vm, KVM_ENABLE_CAP, &cap, "split irqchip");
	p->vcpu = kvm_call(p->vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
}

static void load_segment(struct probe *p, const uint8_t *file, size_t size,
			 const Elf64_Phdr *ph)
{
	if (ph->p_offset > size || ph->p_filesz > size - ph->p_offset ||
	    ph->p_paddr > p->ram_size ||
	    ph->p_memsz > p->ram_size - ph->p_paddr ||
	    ph->p_filesz > ph->p_memsz)
		errx(1, "kernel: a segment does not fit");
	memcpy(p->ram + ph->p_paddr, file + ph->p_offset, ph->p_filesz);
}

static void load_kernel(struct probe *p, const char *path)
{
	const Elf64_Ehdr *eh;
	const Elf64_Phdr *ph;
	const uint8_t *file;
	struct stat st;
	int fd, i;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		err(1, "%s", path);
	eh = (const void *)file;
	if ((size_t)st.st_size < sizeof(*eh) ||
	    memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_phoff % 8 ||
	    eh->e_phoff > (size_t)st.st_size ||
	    eh->e_phnum * sizeof(*ph) > (size_t)st.st_size - eh->e_phoff)
		errx(1, "%s: not an ELF64 file", path);
	ph = (const void *)(file + eh->e_phoff);
	for (i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD)
			load_segment(p, file, (size_t)st.st_size, &ph[i]);
	p->entry = eh->e_entry;
	close(fd);
}

static void set_cpuid(struct probe *p)
{
	static union {
		struct kvm_cpuid2 head;
		uint8_t room[sizeof(struct kvm_cpuid2) +
			     NR_CPUID * sizeof(struct kvm_cpuid_entry2)];
	} cpuid;

	cpuid.head.nent = NR_CPUID;
	kvm_call(p->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid, "supported CPUID");
	kvm_call(p->vcpu, KVM_SET_CPUID2, &cpuid, "KVM_SET_CPUID2");
}

static void set_tables(struct probe *p)
{
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffff,
				       0x00cf93000000ffff};
	uint64_t *pd = (uint64_t *)(void *)(p->ram + PD);
	uint64_t val = PDPT | 3;
	unsigned int i;

	memcpy(p->ram + GDT, gdt, sizeof(gdt));
	memcpy(p->ram + PML4, &val, 8);
	val = PD | 3;
	memcpy(p->ram + PDPT, &val, 8);
	for (i = 0; i < 512; i++)
		pd[i] = (uint64_t)i << 21 | 0x83;
}

static void set_registers(struct probe *p)
{
	struct kvm_segment code = {.limit = ~0U,
				   .selector = 0x10,
				   .type = 0xb,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.limit = ~0U,
				   .selector = 0x18,
				   .type = 3,
				   .present = 1,
				   .db = 1,
				   .s = 1,
				   .g = 1};
	struct kvm_sregs sregs;
	struct kvm_regs regs = {.rip = p->entry, .rflags = 2, .rsp = 0x8000};

	kvm_call(p->vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 31;
	sregs.cr0 = 0x80000001;
	sregs.cr3 = PML4;
	sregs.cr4 = 0x20;
	sregs.efer = 0x500;
	kvm_call(p->vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	kvm_call(p->vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void map_run(struct probe *p)
{
	int size = ioctl(p->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0)
		err(1, "KVM_GET_VCPU_MMAP_SIZE");
	p->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      p->vcpu, 0);
	if (p->run == MAP_FAILED)
		err(1, "vCPU mapping");
}

/* Return: whether the guest goes on. */
static bool handle_port(struct probe *p)
{
	uint8_t *data = (uint8_t *)p->run + p->run->io.data_offset;
	size_t len = (size_t)p->run->io.size * p->run->io.count;

	if (p->run->io.direction == KVM_EXIT_IO_IN) {
		memset(data, p->run->io.port == PORT_LSR ? 0x60 : 0xff, len);
		return true;
	}
	if (p->run->io.port == PORT_SERIAL) {
		if (write(STDOUT_FILENO, data, len) != (ssize_t)len)
			err(1, "standard output");
		mark_milestone(p, "output");
	}
	return p->run->io.port != PORT_KEYBOARD || *data != KEYBOARD_RESET;
}

static void run_guest(struct probe *p)
{
	bool first = true;

	for (;;) {
		kvm_call(p->vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (first)
			mark_milestone(p, "first exit");
		first = false;
		if (p->run->exit_reason == KVM_EXIT_SHUTDOWN)
			return;
		if (p->run->exit_reason == KVM_EXIT_MMIO)
			memset(p->run->mmio.data, 0xff, 8);
		else if (p->run->exit_reason != KVM_EXIT_IO)
			errx(1, "exit %u", p->run->exit_reason);
		else if (!handle_port(p))
			return;
	}
}

static void report(const struct probe *p, long start)
{
	unsigned int i;

	for (i = 0; i < p->nr_milestones; i++)
		fprintf(stderr, "%-12s %6ld us\n", p->milestones[i].name,
			p->milestones[i].us - start);
}

int main(int argc, char **argv)
{
	bool timing = argc > 1 && !strcmp(argv[1], "--timing");
	struct probe p = {.ram_size = 128U << 20};
	long start;

	/* /proc knows when a process was started only in clock ticks; the CPU
	 * time it has used tells as much, for it has not slept yet. */
	start = now_us(CLOCK_MONOTONIC) - now_us(CLOCK_PROCESS_CPUTIME_ID);
	mark_milestone(&p, "main");
	argv += timing ? 2 : 1;
	if (!argv[0])
		errx(2, "usage: probe [--timing] KERNEL [MIB]");
	if (argv[1])
		p.ram_size = strtoul(argv[1], NULL, 10) << 20;
	create_vm(&p);
	load_kernel(&p, argv[0]);
	set_tables(&p);
	set_cpuid(&p);
	set_registers(&p);
	map_run(&p);
	mark_milestone(&p, "kvm ready");
	run_guest(&p);
	mark_milestone(&p, "end");
	if (timing)
		report(&p, start);
	return 0;
}
