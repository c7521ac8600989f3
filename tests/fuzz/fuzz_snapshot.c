// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_snapshot.c - state.json of a hostile snapshot, its CRC put right
 *
 * The text is decoded as a restore does it, and what it says of the chips is
 * loaded into chips, which then answer a few accesses.
 */
#include "api_fuzz.h"

#include "base/crc64.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "snapshot/state.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fix_crc(char *text, size_t len)
{
	struct snapshot_head head;
	char digits[17];
	size_t covered;

	if (snapshot_read_head(text, len, &head, &covered, NULL) < 0)
		return;
	(void)snprintf(
		digits, sizeof(digits), "%016llx",
		(unsigned long long)crc64(0, text + covered, len - covered));
	memcpy(text + 10, digits, 16);
}

static bool take(const struct snapshot_device *d, const char *name,
		 const struct schema_object *schema, void *state)
{
	struct schema_seen seen;

	return strcmp(d->name, name) == 0 &&
	       schema_decode_text(schema, d->state.text, d->state.len, state,
				  &seen, NULL) == 0;
}

static void ignore_msi(void *ctx, const struct msi *msi)
{
	(void)ctx;
	(void)msi;
}

static void ignore_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	(void)ctx;
	(void)msi;
	fuzz_check(gsi < IOAPIC_PINS);
}

static void ignore_reset(void *ctx)
{
	(void)ctx;
}

static void try_ioapic(const struct ioapic_state *state)
{
	const struct msi_sink sink = {ignore_msi, ignore_route, NULL};
	struct ioapic io = {0};

	ioapic_init(&io, &sink);
	if (ioapic_load(&io, state, NULL) == 0)
		for (unsigned int i = 0; i < 32; i++) {
			ioapic_set_level(&io, i, true);
			ioapic_eoi(&io, (uint8_t)i);
		}
	ioapic_fini(&io);
}

static void try_serial(const struct serial_state *state)
{
	const struct irq_line none = {0};
	struct serial *s = calloc(1, sizeof(*s));
	uint8_t byte = 0;

	fuzz_check(s != NULL);
	serial_init(s, &none);
	if (serial_load(s, state, NULL) == 0)
		for (unsigned int i = 0; i < 32; i++)
			(void)serial_bus_ops.read(s, i % 8, &byte, 1);
	serial_fini(s);
	free(s);
}

static void try_ports(const struct i8042_state *i8042,
		      const struct rtc_state *rtc)
{
	const struct irq_line none = {0};
	struct i8042 k = {0};
	struct rtc r = {0};
	uint8_t byte = 0;

	i8042_init(&k, &none, ignore_reset, NULL);
	rtc_init(&r);
	if (i8042 && i8042_load(&k, i8042, NULL) == 0)
		for (unsigned int i = 0; i < 2 * I8042_QUEUE; i++)
			(void)i8042_data_ops.read(&k, 0, &byte, 1);
	if (rtc && rtc_load(&r, rtc, NULL) == 0)
		(void)rtc_bus_ops.read(&r, 1, &byte, 1);
	i8042_fini(&k);
	rtc_fini(&r);
}

static void try_device(const struct snapshot_device *d)
{
	static struct serial_state serial;
	struct ioapic_state ioapic = {0};
	struct i8042_state i8042 = {0};
	struct rtc_state rtc = {0};

	memset(&serial, 0, sizeof(serial));
	if (take(d, "ioapic", &ioapic_state_schema, &ioapic))
		try_ioapic(&ioapic);
	if (take(d, "serial", &serial_state_schema, &serial))
		try_serial(&serial);
	if (take(d, "i8042", &i8042_state_schema, &i8042))
		try_ports(&i8042, NULL);
	if (take(d, "rtc", &rtc_state_schema, &rtc))
		try_ports(NULL, &rtc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct snapshot *s = calloc(1, sizeof(*s));
	struct err err = {0};

	fuzz_check(s != NULL);
	fix_crc(text, size);
	if (snapshot_decode(text, size, s, &err) < 0) {
		fuzz_check(err.rc < 0 && err.text[0] != '\0');
	} else {
		fuzz_check(s->nr_vcpus <= SNAPSHOT_VCPUS_MAX);
		for (unsigned int i = 0; i < s->nr_devices; i++)
			try_device(&s->devices[i]);
	}
	free(s);
	free(text);
	return 0;
}
