/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.c - guest: known values in every class of register, checked after
 *
 * Fills them, says `ready`, and waits for a byte of input in a loop that keeps
 * the general registers. In between a test saves it and restores it elsewhere.
 * An interrupt that was sent to itself with interrupts off waits all the time,
 * and a timer is armed: each comes exactly once, and not before.
 */
#include "guest.h"

enum { PENDING_VECTOR = 0x51, TIMER_VECTOR = 0x52 };

#define LAPIC_IRR 0x200

static const struct {
	uint32_t index;
	uint64_t value;
	const char *name;
} msrs[] = {
	{0x174, 0x10, "sysenter-cs"},
	{0x175, 0xffffffff81001000, "sysenter-esp"},
	{0x176, 0xffffffff81002000, "sysenter-eip"},
	{0xc0000081, 0x0023001000000000, "star"},
	{0xc0000082, 0xffffffff81003000, "lstar"},
	{0xc0000083, 0xffffffff81004000, "cstar"},
	{0xc0000084, 0x47700, "sfmask"},
	{0xc0000100, 0x123456000, "fs-base"},
	{0xc0000101, 0x234567000, "gs-base"},
	{0xc0000102, 0xffff888012345000, "kernel-gs-base"},
	{0x277, 0x0007010600070106, "pat"},
	{0x400, ~0ull, "mc0-ctl"},
	{0x47c, ~0ull, "mc31-ctl"},
};

static volatile uint32_t pending, timers;
static uint8_t fx_before[512] __attribute__((aligned(16)));
static uint8_t fx_after[512] __attribute__((aligned(16)));

static void write_msr(uint32_t index, uint64_t value)
{
	asm volatile("wrmsr"
		     :
		     : "c"(index), "a"((uint32_t)value),
		       "d"((uint32_t)(value >> 32)));
}

static uint64_t read_msr(uint32_t index)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void on_pending(struct isr_frame *frame)
{
	(void)frame;
	pending++;
	lapic_eoi();
}

static void on_timer(struct isr_frame *frame)
{
	(void)frame;
	timers++;
	lapic_eoi();
}

#define SET(reg, value) \
	asm volatile("mov %0, %%" reg : : "r"((uint64_t)(value)))
#define GET(reg)                                              \
	({                                                    \
		uint64_t v_;                                  \
		asm volatile("mov %%" reg ", %0" : "=r"(v_)); \
		v_;                                           \
	})

static void fill(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		write_msr(msrs[i].index, msrs[i].value);
	SET("cr2", 0xdead000);
	SET("db0", 0x1000);
	SET("db1", 0x2000);
	SET("db2", 0x3000);
	SET("db3", 0x4000);
	SET("cr4", GET("cr4") | 1 << 9); /* OSFXSR */
	asm volatile("fxsave %0" : "=m"(fx_before));
	for (unsigned int i = 0; i < 16 * 16; i++)
		fx_before[160 + i] = (uint8_t)(i * 37 + 1);
	fx_before[24] = 0xa0; /* MXCSR: flush to zero, exceptions masked */
	fx_before[25] = 0x9f;
	asm volatile("fxrstor %0" : : "m"(fx_before));
	asm volatile("fxsave %0" : "=m"(fx_before));
}

/* Until a byte comes. Return: registers that have changed. */
static uint64_t wait_in_registers(void)
{
	uint64_t bad;

	asm volatile("push %%rbp\n"
		     "mov $0x1111111111111111, %%rbx\n"
		     "mov $0x2222222222222222, %%rcx\n"
		     "mov $0x3333333333333333, %%rsi\n"
		     "mov $0x4444444444444444, %%rdi\n"
		     "mov $0x5555555555555555, %%rbp\n"
		     "mov %%rbx, %%r8\n"
		     "mov %%rcx, %%r9\n"
		     "mov %%rsi, %%r10\n"
		     "mov %%rdi, %%r11\n"
		     "mov %%rbp, %%r12\n"
		     "lea 1(%%rbx), %%r13\n"
		     "lea 1(%%rcx), %%r14\n"
		     "lea 1(%%rsi), %%r15\n"
		     "mov $0x3fd, %%edx\n"
		     "1: inb %%dx, %%al\n"
		     "test $1, %%al\n"
		     "jz 1b\n"
		     "sub %%rbx, %%r8\n"
		     "sub %%rcx, %%r9\n"
		     "sub %%rsi, %%r10\n"
		     "sub %%rdi, %%r11\n"
		     "sub %%rbp, %%r12\n"
		     "sub %%rbx, %%r13\n"
		     "sub %%rcx, %%r14\n"
		     "sub %%rsi, %%r15\n"
		     "dec %%r13\n"
		     "dec %%r14\n"
		     "dec %%r15\n"
		     "mov $0x1111111111111111, %%rax\n"
		     "sub %%rax, %%rbx\n"
		     "mov $0x5555555555555555, %%rax\n"
		     "sub %%rax, %%rbp\n"
		     "mov %%r8, %%rax\n"
		     "or %%r9, %%rax\n"
		     "or %%r10, %%rax\n"
		     "or %%r11, %%rax\n"
		     "or %%r12, %%rax\n"
		     "or %%r13, %%rax\n"
		     "or %%r14, %%rax\n"
		     "or %%r15, %%rax\n"
		     "or %%rbx, %%rax\n"
		     "or %%rbp, %%rax\n"
		     "pop %%rbp\n"
		     : "=a"(bad)
		     :
		     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
		       "r11", "r12", "r13", "r14", "r15", "memory", "cc");
	return bad;
}

static void check_registers(void)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(msrs); i++)
		check_eq(msrs[i].name, read_msr(msrs[i].index), msrs[i].value);
	check_eq("cr2", GET("cr2"), 0xdead000);
	check_eq("dr0", GET("db0"), 0x1000);
	check_eq("dr1", GET("db1"), 0x2000);
	check_eq("dr2", GET("db2"), 0x3000);
	check_eq("dr3", GET("db3"), 0x4000);
	asm volatile("fxsave %0" : "=m"(fx_after));
	check(memcmp(fx_before, fx_after, 416) == 0, "fpu-and-xmm");
}

static void check_interrupts(void)
{
	check_eq("irr-of-self-ipi", lapic_read(LAPIC_IRR + 0x20) & 0x20000,
		 0x20000);
	check_eq("timer-vector", lapic_read(LAPIC_LVT_TIMER), TIMER_VECTOR);
	check_eq("not-before-sti", pending, 0);
	check(isr_wait(&pending, 1), "self-ipi-comes");
	check(isr_wait(&timers, 1), "timer-comes");
	check_eq("self-ipi-once", pending, 1);
	check_eq("timer-once", timers, 1);
}

void guest_main(void)
{
	uint64_t before, bad;

	lapic_init();
	isr_set(PENDING_VECTOR, on_pending);
	isr_set(TIMER_VECTOR, on_timer);
	fill();
	lapic_ipi(lapic_id(), PENDING_VECTOR);
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb);
	lapic_write(LAPIC_LVT_TIMER, TIMER_VECTOR);
	lapic_write(LAPIC_TIMER_INIT, 2000000000); /* two seconds */
	print("ready\n");
	before = read_tsc();
	bad = wait_in_registers();
	check_eq("general-registers", bad, 0);
	check(read_tsc() > before, "tsc-goes-on");
	check(read_tsc() - before < 1ull << 40, "tsc-does-not-jump");
	check_registers();
	check_interrupts();
}
