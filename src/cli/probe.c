// SPDX-License-Identifier: Apache-2.0
/*
 * probe.c - a tiny guest that tells what KVM does with kernel code
 *
 * Theory of operation
 *
 * One VM without an interrupt chip, and in it one fresh vCPU per question, each
 * in long mode at CPL 0 with 2 MiB of identity-mapped memory. The code of a
 * question ends with `out PORT_DONE`; an exception on the way lands in a
 * handler that does `out PORT_FAULT` with its vector; an instruction that KVM
 * cannot emulate ends KVM_RUN with KVM_EXIT_INTERNAL_ERROR. So every end is
 * seen and no end needs a timeout; an interval timer still interrupts a vCPU
 * that would not come back.
 *
 * The rate: the guest asks (`in PORT_COUNT`) how often to run a loop of two
 * instructions, runs it, asks again. The time between two answers is the loop
 * and one exit; the count grows until the loop dominates. The host runs the
 * same two instructions, and only the ratio is judged: inside an emulated
 * machine both are slow.
 */
#include "cli/probe.h"

#include "base/fd.h"
#include "kvm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

/* Where things are in the guest; all below 2 MiB. */
#define PML4_AT      0x1000u
#define PDPT_AT      0x2000u
#define PD_AT        0x3000u
#define GDT_AT       0x4000u
#define IDTR_AT      0x4100u
#define IDT_AT       0x5000u
#define HANDLERS_AT  0x6000u
#define STACK_END    0x9000u
#define CODE_AT      0x10000u

#define NR_VECTORS   32u
#define HANDLER_SIZE 8u
#define VECTOR_BP    3u

#define PORT_DONE    0x10
#define PORT_FAULT   0x11
#define PORT_COUNT   0x12

#define PTE_TABLE    0x3ull  /* present, writable */
#define PTE_2M       0x83ull /* and a large page */
#define GATE_INTR    0x8eull /* present, 64-bit interrupt gate */

#define RUNS_MAX     8 /* interrupted KVM_RUN calls before a question is lost */
#define COUNT_FIRST  1000u
#define COUNT_LAST   (1u << 26)
#define COUNT_GROWTH 8u
#define LOOP_NS      500000u
#define ROUNDS       3
#define ROUNDS_MAX   15
#define ALARM_FIRST  10    /* seconds; far above what all questions take */
#define ALARM_EVERY  50000 /* microseconds */

const char *const probe_insn_names[PROBE_NR_INSNS] = {
	[PROBE_POPCNT] = "popcnt",
	[PROBE_CLAC_STAC] = "clac/stac",
	[PROBE_CMPXCHG16B] = "cmpxchg16b",
	[PROBE_INT3] = "int3",
	[PROBE_XSAVE_XRSTOR] = "xsave/xrstor",
};

const char *const probe_answer_names[PROBE_NR_ANSWERS] = {
	[PROBE_RUNS] = "runs",     [PROBE_REFUSED] = "refused",
	[PROBE_FAULTS] = "faults", [PROBE_LOST] = "lost",
	[PROBE_NO_CPU] = "no-cpu",
};

/* mov $STACK_END, %esp; lidt IDTR_AT */
#define CODE_START                                                        \
	0xbc, 0x00, 0x90, 0x00, 0x00, 0x0f, 0x01, 0x1c, 0x25, 0x00, 0x41, \
		0x00, 0x00
/* out %al, $PORT_DONE; jmp . */
#define CODE_END 0xe6, PORT_DONE, 0xeb, 0xfe

static const uint8_t code_popcnt[] = {
	CODE_START, 0xf3, 0x0f, 0xb8, 0xc0, /* popcnt %eax, %eax */
	CODE_END,
};

static const uint8_t code_clac_stac[] = {
	CODE_START, 0x0f, 0x01, 0xca, /* clac */
	0x0f,       0x01, 0xcb,       /* stac */
	CODE_END,
};

static const uint8_t code_cmpxchg16b[] = {
	CODE_START, 0x48, 0x0f, 0xc7, 0x0c,
	0x25,       0x00, 0x70, 0x00, 0x00, /* cmpxchg16b 0x7000 */
	CODE_END,
};

/* The handler of vector 3 is what has to be reached. */
static const uint8_t code_int3[] = {
	CODE_START,
	0xcc, /* int3 */
	CODE_END,
};

static const uint8_t code_xsave_xrstor[] = {
	CODE_START, 0x0f, 0x20, 0xe0,       /* mov %cr4, %rax */
	0x0d,       0x00, 0x06, 0x04, 0x00, /* or $0x40600, %eax: OSFXSR,
					     * OSXMMEXCPT, OSXSAVE */
	0x0f,       0x22, 0xe0,             /* mov %rax, %cr4 */
	0xb8,       0x01, 0x00, 0x00, 0x00, /* mov $1, %eax: x87 state */
	0x31,       0xd2,                   /* xor %edx, %edx */
	0x0f,       0xae, 0x24, 0x25, 0x00, 0x70,
	0x00,       0x00, /* xsave 0x7000 */
	0x0f,       0xae, 0x2c, 0x25, 0x00, 0x70,
	0x00,       0x00, /* xrstor 0x7000 */
	CODE_END,
};

static const uint8_t code_loop[] = {
	CODE_START, 0xe5, PORT_COUNT, /* again: in $PORT_COUNT, %eax */
	0xff,       0xc8,             /* loop: dec %eax */
	0x75,       0xfc,             /* jnz loop */
	0xeb,       0xf8,             /* jmp again */
};

#define LOOP_INSNS 2

/**
 * struct question - a piece of guest code
 * @leaf, @in_ecx, @bit:	where CPUID says that the CPU has it; @leaf 0:
 *				every CPU does
 * @vector:	the exception that is the good end, 0 for none
 */
struct question {
	const uint8_t *code;
	size_t size;
	uint32_t leaf;
	bool in_ecx;
	unsigned int bit;
	unsigned int vector;
};

#define CODE(name) code_##name, sizeof(code_##name)

static const struct question questions[PROBE_NR_INSNS] = {
	[PROBE_POPCNT] = {CODE(popcnt), 1, true, 23, 0},
	[PROBE_CLAC_STAC] = {CODE(clac_stac), 7, false, 20, 0},
	[PROBE_CMPXCHG16B] = {CODE(cmpxchg16b), 1, true, 13, 0},
	[PROBE_INT3] = {CODE(int3), 0, false, 0, VECTOR_BP},
	[PROBE_XSAVE_XRSTOR] = {CODE(xsave_xrstor), 1, true, 26, 0},
};

/**
 * struct bench - the VM that all questions share
 */
struct bench {
	struct kvm_vm vm;
	struct gmem mem;
	struct cpuid_table cpuid;
	unsigned int nr_vcpus;
};

static const struct cpuid_topology one_cpu = {
	.nr_vcpus = 1,
	.threads_per_core = 1,
};

/* CPU time, the guest's included: other processes do not count. */
static uint64_t probe_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int store64(struct gmem *mem, gpa_t gpa, uint64_t v)
{
	return gmem_write(mem, gpa, &v, sizeof(v));
}

/* Page tables and GDT, as kvm_vcpu_set_boot() expects them. */
static int fill_tables(struct gmem *mem)
{
	/* Selectors 0x10 and 0x18: flat 64-bit code, flat data. */
	static const uint64_t gdt[] = {0, 0, 0x00af9b000000ffffull,
				       0x00cf93000000ffffull};
	int r = store64(mem, PML4_AT, PDPT_AT | PTE_TABLE);

	if (r == 0)
		r = store64(mem, PDPT_AT, PD_AT | PTE_TABLE);
	if (r == 0)
		r = store64(mem, PD_AT, PTE_2M);
	if (r == 0)
		r = gmem_write(mem, GDT_AT, gdt, sizeof(gdt));
	return r;
}

/* Every exception names itself: mov $vector, %al; out %al, $PORT_FAULT; jmp .
 */
static int fill_handlers(struct gmem *mem)
{
	uint8_t idtr[10];
	int r;

	for (uint8_t i = 0; i < NR_VECTORS; i++) {
		uint8_t handler[HANDLER_SIZE] = {0xb0,       i,    0xe6,
						 PORT_FAULT, 0xeb, 0xfe};
		uint64_t at = HANDLERS_AT + (uint64_t)i * HANDLER_SIZE;
		uint64_t gate = (at & 0xffff) | 0x10ull << 16 |
				GATE_INTR << 40 | (at & 0xffff0000) << 32;

		r = gmem_write(mem, at, handler, sizeof(handler));
		if (r == 0)
			r = store64(mem, IDT_AT + i * 16ull, gate);
		if (r < 0)
			return r;
	}
	store_le16(idtr, NR_VECTORS * 16 - 1);
	store_le64(idtr + 2, IDT_AT);
	return gmem_write(mem, IDTR_AT, idtr, sizeof(idtr));
}

static void bench_free(struct bench *b)
{
	kvm_vm_fini(&b->vm);
	gmem_fini(&b->mem);
}

static int bench_fill(struct bench *b, struct kvm *kvm, struct err *err)
{
	int r = gmem_init(&b->mem, GMEM_MIN_BYTES, GMEM_PAGES_DEFAULT, err);

	if (r < 0)
		return r;
	r = fill_tables(&b->mem);
	if (r == 0)
		r = fill_handlers(&b->mem);
	if (r < 0)
		return err_set(err, r, "Cannot write the probe guest");
	r = kvm_vm_init(&b->vm, kvm, err);
	if (r == 0)
		r = kvm_vm_set_memory(&b->vm, &b->mem, err);
	if (r == 0)
		r = cpuid_read_supported(kvm, &b->cpuid, err);
	if (r < 0)
		return r;
	cpuid_prepare(&b->cpuid, false, &one_cpu);
	cpuid_set_vcpu(&b->cpuid, 0, &one_cpu);
	return 0;
}

static int bench_new(struct bench *b, struct kvm *kvm, struct err *err)
{
	int r;

	memset(b, 0, sizeof(*b));
	b->vm.fd = -1;
	r = bench_fill(b, kvm, err);
	if (r < 0)
		bench_free(b);
	return r;
}

/* A fresh vCPU at the start of @code. */
static int probe_load(struct bench *b, struct kvm_vcpu *vcpu,
		      const uint8_t *code, size_t size, struct err *err)
{
	const struct vcpu_boot boot = {
		.entry = VCPU_ENTRY_LONG64,
		.ip = CODE_AT,
		.cr3 = PML4_AT,
		.gdt = GDT_AT,
		.gdt_limit = 31,
	};
	int r = gmem_write(&b->mem, CODE_AT, code, size);

	if (r < 0)
		return err_set(err, r, "Cannot write the probe guest");
	r = kvm_vcpu_init(vcpu, &b->vm, b->nr_vcpus, err);
	if (r < 0)
		return r;
	b->nr_vcpus++;
	r = kvm_vcpu_set_cpuid(vcpu, &b->cpuid, err);
	if (r == 0)
		r = kvm_vcpu_set_boot(vcpu, &boot, err);
	if (r < 0)
		kvm_vcpu_fini(vcpu);
	return r;
}

static uint8_t *io_data(struct kvm_vcpu *vcpu)
{
	return (uint8_t *)vcpu->run + vcpu->run->io.data_offset;
}

/* A signal (the terminal's, a profiler's) may interrupt a run a few times; the
 * timer does so again and again until the question is given up. */
static int run_to_exit(struct kvm_vcpu *vcpu)
{
	int r = -EINTR;

	for (int i = 0; i < RUNS_MAX && r == -EINTR; i++) {
		r = kvm_vcpu_run(vcpu);
		if (r == 0 && vcpu->run->exit_reason == KVM_EXIT_INTR)
			r = -EINTR;
	}
	return r;
}

static enum probe_answer judge_exit(struct kvm_vcpu *vcpu,
				    const struct question *q)
{
	const struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		return PROBE_REFUSED;
	if (run->exit_reason == KVM_EXIT_SHUTDOWN)
		return PROBE_FAULTS;
	if (run->exit_reason != KVM_EXIT_IO ||
	    run->io.direction != KVM_EXIT_IO_OUT)
		return PROBE_LOST;
	if (run->io.port == PORT_DONE)
		return q->vector == 0 ? PROBE_RUNS : PROBE_LOST;
	if (run->io.port == PORT_FAULT)
		return *io_data(vcpu) == q->vector ? PROBE_RUNS : PROBE_FAULTS;
	return PROBE_LOST;
}

static bool cpu_has(const struct question *q)
{
	uint32_t eax, ebx, ecx, edx;

	if (q->leaf == 0)
		return true;
	host_cpuid(0, 0, &eax, &ebx, &ecx, &edx);
	if (eax < q->leaf)
		return false;
	host_cpuid(q->leaf, 0, &eax, &ebx, &ecx, &edx);
	return ((q->in_ecx ? ecx : ebx) >> q->bit) & 1;
}

static int probe_ask(struct bench *b, const struct question *q,
		     enum probe_answer *answer, struct err *err)
{
	struct kvm_vcpu vcpu;
	int r;

	if (!cpu_has(q)) {
		*answer = PROBE_NO_CPU;
		return 0;
	}
	r = probe_load(b, &vcpu, q->code, q->size, err);
	if (r < 0)
		return r;
	r = run_to_exit(&vcpu);
	if (r < 0)
		*answer = PROBE_LOST;
	else
		*answer = judge_exit(&vcpu, q);
	kvm_vcpu_fini(&vcpu);
	return 0;
}

static void host_loop(uint32_t count)
{
	__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(count) : : "cc");
}

/* Nanoseconds of one loop in the guest, which waits for its count. */
static int guest_loop(struct kvm_vcpu *vcpu, uint32_t count, uint64_t *ns,
		      struct err *err)
{
	const struct kvm_run *run = vcpu->run;
	uint64_t start;
	int r;

	memcpy(io_data(vcpu), &count, sizeof(count));
	start = probe_clock_ns();
	r = run_to_exit(vcpu);
	*ns = probe_clock_ns() - start;
	if (r < 0)
		return err_set(err, r, "KVM_RUN of the probe guest failed: %s",
			       err_name(r));
	if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT_COUNT)
		return err_set(err, -EIO,
			       "The probe guest ended with KVM exit %u",
			       run->exit_reason);
	return 0;
}

static double rate(uint32_t count, uint64_t ns)
{
	return (double)count * LOOP_INSNS * 1e9 / (double)(ns ? ns : 1);
}

static double host_rate(void)
{
	uint64_t ns = 0, start;
	uint32_t count;

	for (count = COUNT_FIRST;; count *= COUNT_GROWTH) {
		start = probe_clock_ns();
		host_loop(count);
		ns = probe_clock_ns() - start;
		if (ns >= LOOP_NS || count > COUNT_LAST / COUNT_GROWTH)
			return rate(count, ns);
	}
}

static int guest_rate(struct kvm_vcpu *vcpu, double *out, struct err *err)
{
	uint64_t ns;
	uint32_t count;
	int r = run_to_exit(vcpu); /* to the first question */

	if (r < 0)
		return err_set(err, r, "KVM_RUN of the probe guest failed: %s",
			       err_name(r));
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return err_set(err, -EIO,
			       "The probe guest ended with KVM exit %u",
			       vcpu->run->exit_reason);
	for (count = COUNT_FIRST;; count *= COUNT_GROWTH) {
		r = guest_loop(vcpu, count, &ns, err);
		if (r < 0)
			return r;
		if (ns >= LOOP_NS || count > COUNT_LAST / COUNT_GROWTH)
			break;
	}
	*out = rate(count, ns);
	return 0;
}

/* The best of some of each: what the CPU's caches held is chance. Whoever takes
 * the CPU away from this host, if that is a guest itself, makes a loop slow,
 * never fast: a guest that seems to be emulated is measured again. */
static int measure(struct bench *b, struct probe *probe, struct err *err)
{
	for (int i = 0;
	     i < ROUNDS ||
	     (i < ROUNDS_MAX &&
	      probe->host_rate > DOCTOR_EMULATED_RATIO * probe->guest_rate);
	     i++) {
		double guest = 0, host = host_rate();
		struct kvm_vcpu vcpu;
		int r = probe_load(b, &vcpu, code_loop, sizeof(code_loop), err);

		if (r < 0)
			return r;
		r = guest_rate(&vcpu, &guest, err);
		kvm_vcpu_fini(&vcpu);
		if (r < 0)
			return r;
		if (guest > probe->guest_rate)
			probe->guest_rate = guest;
		if (host > probe->host_rate)
			probe->host_rate = host;
	}
	return 0;
}

static int ask_all(struct bench *b, struct probe *probe, struct err *err)
{
	int r = measure(b, probe, err);

	for (size_t i = 0; i < PROBE_NR_INSNS && r == 0; i++)
		r = probe_ask(b, &questions[i], &probe->answer[i], err);
	return r;
}

/* Makes KVM_RUN return; nothing to do here. */
static void probe_on_alarm(int sig)
{
	(void)sig;
}

int probe_run(struct kvm *kvm, struct probe *probe, struct err *err)
{
	const struct itimerval on = {.it_value.tv_sec = ALARM_FIRST,
				     .it_interval.tv_usec = ALARM_EVERY};
	const struct itimerval off = {0};
	struct sigaction old, action = {.sa_handler = probe_on_alarm};
	cleanup_free struct bench *bench = malloc(sizeof(*bench));
	int r;

	memset(probe, 0, sizeof(*probe));
	if (!bench)
		return err_set(err, -ENOMEM, "No memory for the probe guest");
	r = bench_new(bench, kvm, err);
	if (r < 0)
		return r;
	(void)sigaction(SIGALRM, &action, &old);
	(void)setitimer(ITIMER_REAL, &on, NULL);
	r = ask_all(bench, probe, err);
	(void)setitimer(ITIMER_REAL, &off, NULL);
	(void)sigaction(SIGALRM, &old, NULL);
	bench_free(bench);
	return r;
}
