// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_ports.c - any port and MMIO accesses to all legacy devices of a machine
 *
 * The machine's own addresses, the real devices, interrupt lines into the real
 * IOAPIC. A step is a byte for what, one for the width, two for the port (or
 * the offset in an MMIO page) and eight of data; the buffer of an access is
 * exactly as long as the access, so that a byte too far is found. Judged after
 * each: what no device takes reads all ones, whatever else it is; the clock
 * shows a time of day; a VM ends only by a register that is there to end it.
 */
#include "dev_fuzz.h"

#include "base/log.h"
#include "boot/layout.h"
#include "dev/acpi_pm.h"
#include "dev/boot_timer.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "dev/serial.h"

#define STEP_BYTES 12u
#define S5 \
	(LAYOUT_ACPI_SLP_EN | LAYOUT_ACPI_S5_TYPE << LAYOUT_ACPI_SLP_TYPE_SHIFT)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct i8042 i8042;
	struct rtc rtc;
	struct acpi_pm acpi_pm;
	struct boot_timer boot_timer;
	unsigned int ends;
};

static time_t clock_now(time_t *out)
{
	(void)out;
	return 1760000000; /* a Thursday, 2025-10-09 08:53:20 */
}

static void on_end(void *ctx)
{
	struct world *w = ctx;

	w->ends++;
}

static void on_msi(void *ctx, const struct msi *msi)
{
	(void)ctx;
	fuzz_check((msi->addr & ~0xff004ull) == 0xfee00000);
}

static void on_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	(void)ctx;
	(void)msi;
	fuzz_check(gsi < IOAPIC_PINS);
}

static void line_set(void *ctx, unsigned int gsi, bool level)
{
	struct world *w = ctx;

	ioapic_set_level(&w->ioapic, gsi, level);
}

static void add(struct bus *bus, uint64_t base, uint64_t len,
		const struct bus_ops *ops, void *dev)
{
	fuzz_check(bus_add(bus, base, len, ops, dev) == 0);
}

static void build(struct world *w)
{
	const struct msi_sink sink = {on_msi, on_route, w};
	struct irq_line irq = {line_set, w, LAYOUT_GSI_I8042};

	ioapic_init(&w->ioapic, &sink);
	i8042_init(&w->i8042, &irq, on_end, w);
	irq.gsi = LAYOUT_GSI_SERIAL;
	serial_init(&w->serial, &irq);
	rtc_init(&w->rtc);
	w->rtc.clock = clock_now;
	boot_timer_init(&w->boot_timer, NULL, NULL);
	w->acpi_pm = (struct acpi_pm){
		.sleep_control_off = LAYOUT_ACPI_SLEEP_CTL - LAYOUT_ACPI_PORT,
		.reset_off = LAYOUT_ACPI_RESET - LAYOUT_ACPI_PORT,
		.reset_value = LAYOUT_ACPI_RESET_VALUE,
		.s5 = S5,
		.reset = on_end,
		.poweroff = on_end,
		.ctx = w,
	};
	add(&w->mmio, LAYOUT_IOAPIC, LAYOUT_IOAPIC_BYTES, &ioapic_bus_ops,
	    &w->ioapic);
	add(&w->mmio, LAYOUT_BOOT_TIMER, 4096, &boot_timer_bus_ops,
	    &w->boot_timer);
	add(&w->pio, LAYOUT_I8042_DATA, 1, &i8042_data_ops, &w->i8042);
	add(&w->pio, LAYOUT_I8042_CMD, 1, &i8042_command_ops, &w->i8042);
	add(&w->pio, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_BYTES, &serial_bus_ops,
	    &w->serial);
	add(&w->pio, LAYOUT_RTC_PORT, LAYOUT_RTC_BYTES, &rtc_bus_ops, &w->rtc);
	add(&w->pio, LAYOUT_ACPI_PORT, LAYOUT_ACPI_PORT_BYTES, &acpi_pm_bus_ops,
	    &w->acpi_pm);
}

/* Hours, minutes, weekday... in the form that register B asks for. */
static void judge_clock(const struct world *w, uint8_t v)
{
	static const struct {
		uint8_t index, bcd, binary;
	} times[] = {
		{0x00, 0x20, 20}, {0x02, 0x53, 53}, {0x04, 0x08, 8},
		{0x06, 0x05, 5},  {0x07, 0x09, 9},  {0x08, 0x10, 10},
		{0x09, 0x25, 25}, {0x32, 0x20, 20}, {0x0d, 0x80, 0x80},
		{0x0c, 0x00, 0},
	};
	const struct rtc_state *r = &w->rtc.regs;

	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (r->index == times[i].index)
			fuzz_check(v == (r->ram[0x0b] & 4 ? times[i].binary
							  : times[i].bcd));
	if (r->index == 0x0a)
		fuzz_check(!(v & 0x80)); /* never in an update */
}

/* Whether this write may end the VM. */
static bool is_end(const struct world *w, uint64_t port, uint8_t v)
{
	switch (port) {
	case LAYOUT_I8042_CMD:
		return v == 0xfe;
	case LAYOUT_I8042_DATA:
		return w->i8042.regs.pending == 0xd1 && !(v & 1);
	case LAYOUT_ACPI_RESET:
		return v == LAYOUT_ACPI_RESET_VALUE;
	case LAYOUT_ACPI_SLEEP_CTL:
		return (v & 0x3c) == S5;
	default:
		return false;
	}
}

static void step(struct world *w, uint8_t what, unsigned int len, uint64_t addr,
		 uint64_t v)
{
	const struct bus *bus = what & 2 ? &w->mmio : &w->pio;
	uint8_t *buf = malloc(len ? len : 1);
	unsigned int ends = w->ends;
	bool taken;

	fuzz_check(buf);
	memset(buf, 0xa5, len);
	memcpy(buf, &v, len < sizeof(v) ? len : sizeof(v));
	if (what & 1) {
		taken = bus_read(bus, addr, buf, len);
		for (unsigned int i = 0; !taken && i < len; i++)
			fuzz_check(buf[i] == 0xff);
		if (taken && bus == &w->pio && addr == LAYOUT_RTC_PORT + 1)
			judge_clock(w, buf[0]);
		fuzz_check(w->ends == ends);
	} else {
		bool end =
			bus == &w->pio && len == 1 && is_end(w, addr, buf[0]);

		taken = bus_write(bus, addr, buf, len);
		fuzz_check(w->ends == ends + end && (taken || !end));
	}
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script script = {data, size};
	struct world *w = calloc(1, sizeof(*w));

	fuzz_check(w);
	log_settings.level = LOG_OFF;
	build(w);
	while (script.left >= STEP_BYTES) {
		uint8_t what = fuzz_byte(&script), width = fuzz_byte(&script);
		uint64_t addr = fuzz_take(&script, 2);

		if (what & 2)
			addr += what & 4 ? LAYOUT_BOOT_TIMER : LAYOUT_IOAPIC;
		step(w, what, what & 8 ? width : 1u << width % 4, addr,
		     fuzz_take(&script, 8));
	}
	ioapic_fini(&w->ioapic);
	serial_fini(&w->serial);
	i8042_fini(&w->i8042);
	rtc_fini(&w->rtc);
	free(w);
	return 0;
}
