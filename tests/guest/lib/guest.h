/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guest.h - what every bare-metal guest shares
 *
 * A guest is one C file with guest_main(). It runs on the boot CPU with
 * interrupts off, the first 4 GiB identity-mapped, an interrupt table in
 * place, and the facts of the machine in `machine`.
 */
#pragma once

#include "io.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	COM1 = 0x3f8,
	I8042_DATA = 0x60,
	I8042_CMD = 0x64,
	CMOS_INDEX = 0x70,
	CMOS_DATA = 0x71,
};

#define LAPIC_BASE  0xfee00000ULL
#define IOAPIC_BASE 0xfec00000ULL
#define HOLE_START  0xc0000000ULL
#define HOLE_END    0x100000000ULL

/* Console (print.c) */
void put_char(char c);
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);

/* Checks (check.c): one line each, counted */
void check(bool ok, const char *name);
void check_eq(const char *name, uint64_t got, uint64_t want);
void check_info(const char *name, bool ok, uint64_t a, uint64_t b);
/* Prints `done <ok> <failed>` and resets the machine. */
_Noreturn void guest_done(void);
_Noreturn void guest_reset(void);
_Noreturn void guest_triple_fault(void);

/* The machine as the boot protocol and the firmware tables tell it (boot.c) */
#define E820_RAM 1

struct e820_range {
	uint64_t addr, size;
	uint32_t type;
};

struct machine {
	const char *protocol; /* "linux64" or "pvh" */
	char cmdline[4096];
	struct e820_range e820[64];
	unsigned int nr_e820;
	uint64_t rsdp;
	uint64_t initrd, initrd_size;
	uint64_t boot_params, start_info;
};

extern struct machine machine;

/* Is @word one of the command line's words? */
bool cmdline_has(const char *word);
/* The value of the word @key=..., or NULL; ends at the next space. */
const char *cmdline_get(const char *key);
bool cmdline_is(const char *key, const char *value);
uint64_t cmdline_num(const char *key, uint64_t missing);

/* ACPI (acpi.c) */
struct acpi_gas {
	uint8_t space, width, offset, access;
	uint64_t addr;
} __attribute__((packed));

struct acpi_ids {
	uint32_t id[64];
	unsigned int nr;
};

uint64_t acpi_find_table(const char *signature);
bool acpi_checksum(uint64_t table, uint64_t len);
bool acpi_read_gas(unsigned int fadt_offset, struct acpi_gas *gas);
void acpi_write_gas(const struct acpi_gas *gas, uint8_t val);
void acpi_list_cpus(struct acpi_ids *ids);
int acpi_s5_type(void);

/* MP table (mptable.c): 0 when there is none */
uint64_t mptable_find(void);
bool mptable_list_cpus(struct acpi_ids *ids);

/* Interrupts (idt.c) */
struct isr_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void isr_fn(struct isr_frame *frame);
void idt_init(void);
void idt_load(void);
void isr_set(uint8_t vector, isr_fn *fn);
/* Wait with interrupts on until *@count reaches @want, or some seconds. */
bool isr_wait(volatile uint32_t *count, uint32_t want);

/* Local APIC and IOAPIC (apic.c) */
enum {
	LAPIC_ID = 0x20,
	LAPIC_VERSION = 0x30,
	LAPIC_TPR = 0x80,
	LAPIC_EOI = 0xb0,
	LAPIC_SVR = 0xf0,
	LAPIC_ISR = 0x100,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_COUNT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define LVT_MASKED       (1U << 16)
#define LVT_PERIODIC     (1U << 17)
#define LVT_TSC_DEADLINE (2U << 17)
#define MSR_TSC_DEADLINE 0x6e0

#define REDIR_LEVEL      (1ULL << 15)
#define REDIR_MASKED     (1ULL << 16)
#define REDIR_REMOTE_IRR (1ULL << 14)
#define REDIR_STATUS     (1ULL << 12)

static inline uint32_t lapic_read(unsigned int reg)
{
	return read32(LAPIC_BASE + reg);
}

static inline void lapic_write(unsigned int reg, uint32_t val)
{
	write32(LAPIC_BASE + reg, val);
}

void lapic_init(void);
uint32_t lapic_id(void);
void lapic_eoi(void);
void lapic_ipi(uint32_t apic_id, uint32_t command);

uint32_t ioapic_read(uint8_t reg);
void ioapic_write(uint8_t reg, uint32_t val);
uint64_t ioapic_read_redir(unsigned int pin);
void ioapic_write_redir(unsigned int pin, uint64_t entry);

/* Memory above the identity map (paging.c): the page at @gpa, writable */
uint64_t page_map_window(uint64_t gpa);
/* A non-identity 4 KiB view: virtual address of two pages, @first, @second */
uint64_t page_map_pair(uint64_t first, uint64_t second);

/* Secondary CPUs (smp.c) */
#define SMP_MAX        64
#define SMP_TRAMPOLINE 0x8000

extern volatile uint32_t smp_arrivals;
extern volatile uint32_t smp_online;
/* LAPIC id by arrival number, set before smp_online counts the CPU */
extern volatile uint32_t smp_ids[SMP_MAX];
/* INIT, SIPI, SIPI to each of @ids but the caller; true when all came up. */
bool smp_start(const struct acpi_ids *ids);

void *memcpy(void *dst, const void *src, size_t len);
void *memset(void *dst, int c, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);

_Noreturn void guest_enter(uint64_t boot_params, uint64_t start_info);
void guest_main(void);
