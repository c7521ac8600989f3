/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ticker.c - guest: prints a counter for ever, asleep in between
 *
 * Ten lines a second by the LAPIC timer (`period=<ms>`), so that a test sees
 * whether the guest lives, pauses and resumes, at little cost. With
 * `cpus` the secondary CPUs are up and halted as well; `read-at=<MiB>`
 * `read=<MiB>` first reads that much of the guest's own image, with `wait`
 * only after a byte of input.
 */
#include "guest.h"

enum { TICK_VECTOR = 0x40 };

static volatile uint32_t ticks;

static void tick(struct isr_frame *frame)
{
	(void)frame;
	ticks++;
	lapic_eoi();
}

static void start_timer(void)
{
	/* KVM's APIC bus runs at 1 GHz; divide by 1 */
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | TICK_VECTOR);
	lapic_write(LAPIC_TIMER_INIT,
		    (uint32_t)(cmdline_num("period", 100) * 1000000));
}

/* One word of every page: they become resident without being written. */
static void read_image(void)
{
	uint64_t gpa = cmdline_num("read-at", 0) << 20;
	uint64_t end = gpa + (cmdline_num("read", 0) << 20);

	if (cmdline_has("wait")) {
		print("waiting\n");
		while (!(in8(COM1 + 5) & 1))
			cpu_pause();
	}
	for (; gpa < end; gpa += 4096)
		(void)read64(gpa);
}

void guest_main(void)
{
	static struct acpi_ids ids;
	uint64_t count = 0;

	read_image();
	lapic_init();
	if (cmdline_has("cpus")) {
		acpi_list_cpus(&ids);
		check(smp_start(&ids), "cpus-online");
	}
	isr_set(TICK_VECTOR, tick);
	start_timer();
	for (;;) {
		print("tick %lu\n", count++);
		irq_wait();
	}
}
