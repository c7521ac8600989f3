/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check.c - the guests' report, and the way out
 *
 * The report is one line per check, `ok <name>` or `FAIL <name> <detail>`,
 * and a last line `done <ok> <failed>`. A guest that dies on the way has no
 * last line, so the harness needs no timeout to tell a crash from a success.
 */
#include "guest.h"

static uint64_t nr_ok, nr_failed;

/**
 * check() - Report one condition.
 */
void check(bool ok, const char *name)
{
	if (ok) {
		nr_ok++;
		print("ok %s\n", name);
	} else {
		nr_failed++;
		print("FAIL %s\n", name);
	}
}

/**
 * check_info() - Report one condition, with two numbers when it fails.
 */
void check_info(const char *name, bool ok, uint64_t a, uint64_t b)
{
	if (ok) {
		check(true, name);
		return;
	}
	nr_failed++;
	print("FAIL %s 0x%lx 0x%lx\n", name, a, b);
}

/**
 * check_eq() - Report whether @got is @want.
 */
void check_eq(const char *name, uint64_t got, uint64_t want)
{
	if (got == want) {
		check(true, name);
		return;
	}
	nr_failed++;
	print("FAIL %s got 0x%lx want 0x%lx\n", name, got, want);
}

/**
 * guest_triple_fault() - End by an exception that nothing can take.
 */
void guest_triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none;

	asm volatile("cli; lidt %0; ud2" : : "m"(none));
	__builtin_unreachable();
}

/**
 * guest_reset() - Reset by the keyboard controller, else by a triple fault.
 *
 * The second way is for VMMs without the controller (QEMU's microvm).
 */
void guest_reset(void)
{
	out8(I8042_CMD, 0xfe);
	guest_triple_fault();
}

/**
 * guest_done() - Print the last line and reset.
 */
void guest_done(void)
{
	irq_disable();
	print("done %lu %lu\n", nr_ok, nr_failed);
	guest_reset();
}
