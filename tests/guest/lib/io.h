/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io.h - the instructions a bare-metal guest needs beyond C
 *
 * Only instructions that KVM's emulator knows: on a software-assisted host
 * all kernel-mode code of a guest runs there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline void out8(uint16_t port, uint8_t val)
{
	asm volatile("outb %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t val)
{
	asm volatile("outw %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline void out32(uint16_t port, uint32_t val)
{
	asm volatile("outl %0, %1" : : "a"(val), "Nd"(port) : "memory");
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t val;

	asm volatile("inb %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t val;

	asm volatile("inw %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t val;

	asm volatile("inl %1, %0" : "=a"(val) : "Nd"(port) : "memory");
	return val;
}

static inline uint8_t read8(uint64_t addr)
{
	uint8_t val;

	asm volatile("movb (%1), %0" : "=q"(val) : "r"(addr) : "memory");
	return val;
}

static inline uint16_t read16(uint64_t addr)
{
	uint16_t val;

	asm volatile("movw (%1), %0" : "=r"(val) : "r"(addr) : "memory");
	return val;
}

static inline uint32_t read32(uint64_t addr)
{
	uint32_t val;

	asm volatile("movl (%1), %0" : "=r"(val) : "r"(addr) : "memory");
	return val;
}

static inline uint64_t read64(uint64_t addr)
{
	uint64_t val;

	asm volatile("movq (%1), %0" : "=r"(val) : "r"(addr) : "memory");
	return val;
}

static inline void write8(uint64_t addr, uint8_t val)
{
	asm volatile("movb %0, (%1)" : : "q"(val), "r"(addr) : "memory");
}

static inline void write16(uint64_t addr, uint16_t val)
{
	asm volatile("movw %0, (%1)" : : "r"(val), "r"(addr) : "memory");
}

static inline void write32(uint64_t addr, uint32_t val)
{
	asm volatile("movl %0, (%1)" : : "r"(val), "r"(addr) : "memory");
}

static inline void write64(uint64_t addr, uint64_t val)
{
	asm volatile("movq %0, (%1)" : : "r"(val), "r"(addr) : "memory");
}

static inline uint64_t msr_read(uint32_t index)
{
	uint32_t lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(index) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void msr_write(uint32_t index, uint64_t val)
{
	asm volatile("wrmsr"
		     :
		     : "c"(index), "a"((uint32_t)val),
		       "d"((uint32_t)(val >> 32))
		     : "memory");
}

static inline uint64_t tsc_read(void)
{
	uint32_t lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_read(uint32_t leaf, uint32_t sub)
{
	struct cpuid r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(sub));
	return r;
}

static inline void cpu_pause(void)
{
	asm volatile("pause" : : : "memory");
}

static inline void irq_disable(void)
{
	asm volatile("cli" : : : "memory");
}

/* Let pending interrupts in: the first nop is the sti shadow, the second one
 * the place where they come. */
static inline void irq_window(void)
{
	asm volatile("sti; nop; pause; nop; cli" : : : "memory");
}

/* Sleep until an interrupt; the sti shadow closes the race with hlt. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

static inline uint32_t atomic_inc(volatile uint32_t *p)
{
	uint32_t one = 1;

	asm volatile("lock xaddl %0, %1" : "+r"(one), "+m"(*p) : : "memory");
	return one + 1;
}
