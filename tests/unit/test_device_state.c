// SPDX-License-Identifier: Apache-2.0
/*
 * test_device_state.c - chips through JSON into other chips, and values that
 * no chip can have
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>

#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "irq_log.h"

/* Encode @from, decode it into @to (zeroed), and see that nothing was lost. */
static void through_json(const struct schema_object *schema, const void *from,
			 void *to)
{
	cleanup_buf struct buf text = {0};
	struct schema_seen seen;
	struct err err;

	schema_encode(schema, from, &text);
	assert_false(text.failed);
	if (schema_decode_text(schema, text.data, text.len, to, &seen, &err) <
	    0)
		fail_msg("%s", err.text);
	assert_memory_equal(from, to, schema->size);
}

static void out(const struct bus_ops *ops, void *dev, uint64_t reg, uint8_t v)
{
	assert_int_equal(ops->write(dev, reg, &v, 1), 0);
}

static uint8_t in(const struct bus_ops *ops, void *dev, uint64_t reg)
{
	uint8_t v = 0;

	assert_int_equal(ops->read(dev, reg, &v, 1), 0);
	return v;
}

static struct serial *new_serial(struct irq_log *log)
{
	struct serial *s = calloc(1, sizeof(*s));
	struct irq_line line = irq_log_line(log);

	assert_non_null(s);
	serial_init(s, &line);
	return s;
}

static void serial_goes_on(void **state)
{
	struct serial_state *saved = calloc(1, sizeof(*saved));
	struct serial_state *loaded = calloc(1, sizeof(*saved));
	struct irq_log log[2] = {0};
	struct serial *a = new_serial(&log[0]), *b = new_serial(&log[1]);
	const uint8_t *data;
	struct err err;

	(void)state;
	assert_true(saved && loaded);
	out(&serial_bus_ops, a, 3, 0x80); /* DLAB */
	out(&serial_bus_ops, a, 0, 1);
	out(&serial_bus_ops, a, 3, 0x03);
	out(&serial_bus_ops, a, 7, 0x5a);
	out(&serial_bus_ops, a, 1, 0x01); /* receive interrupt */
	out(&serial_bus_ops, a, 0, 'x');  /* output: not the copy's */
	assert_int_equal(serial_put_input(a, (const uint8_t *)"gone", 4), 4);
	for (int i = 0; i < 4; i++)
		in(&serial_bus_ops, a, 0);
	assert_int_equal(serial_put_input(a, (const uint8_t *)"hi", 2), 2);
	serial_save(a, saved);
	through_json(&serial_state_schema, saved, loaded);
	assert_int_equal(serial_load(b, loaded, &err), 0);
	assert_int_equal(serial_peek_output(b, &data), 0);
	assert_int_equal(log[1].rises, 0); /* it has been raised before */
	assert_int_equal(in(&serial_bus_ops, b, 2), 0x04);
	assert_int_equal(in(&serial_bus_ops, b, 0), 'h');
	assert_int_equal(in(&serial_bus_ops, b, 0), 'i');
	assert_int_equal(in(&serial_bus_ops, b, 7), 0x5a);
	assert_int_equal(in(&serial_bus_ops, b, 3), 0x03);
	assert_int_equal(serial_put_input(b, (const uint8_t *)"!", 1), 1);
	assert_int_equal(log[1].rises, 1);
	serial_fini(a);
	serial_fini(b);
	free(a);
	free(b);
	free(saved);
	free(loaded);
}

static void serial_refuses(void **state)
{
	struct serial_state *s = calloc(1, sizeof(*s));
	struct irq_log log = {0};
	struct serial *a = new_serial(&log);
	struct err err;

	(void)state;
	assert_non_null(s);
	s->regs.ier = 0x10;
	assert_int_equal(serial_load(a, s, &err), -EINVAL);
	s->regs = (struct serial_regs){.mcr = 0x20};
	assert_int_equal(serial_load(a, s, &err), -EINVAL);
	s->regs = (struct serial_regs){.fcr = 0x02};
	assert_int_equal(serial_load(a, s, &err), -EINVAL);
	s->regs = (struct serial_regs){0};
	s->nr_input = SERIAL_IN_BYTES + 1;
	assert_int_equal(serial_load(a, s, &err), -EINVAL);
	s->nr_input = SERIAL_IN_BYTES;
	s->limit_tokens = UINT64_MAX; /* more than the bucket holds */
	assert_int_equal(serial_load(a, s, &err), 0);
	assert_int_equal(a->limit.tokens, 0);
	assert_int_equal(serial_put_input(a, (const uint8_t *)"!", 1), 0);
	serial_fini(a);
	free(a);
	free(s);
}

static void no_reset(void *ctx)
{
	(void)ctx;
	fail();
}

static void i8042_goes_on(void **state)
{
	struct irq_log log[2] = {0};
	struct i8042 a = {0}, b = {0};
	struct irq_line line[2] = {irq_log_line(&log[0]),
				   irq_log_line(&log[1])};
	struct i8042_state saved, loaded = {0};
	struct err err;

	(void)state;
	i8042_init(&a, &line[0], no_reset, NULL);
	i8042_init(&b, &line[1], no_reset, NULL);
	assert_int_equal(i8042_send_ctrl_alt_del(&a), 0);
	out(&i8042_command_ops, &a, 0, 0x60); /* waits for its byte */
	i8042_save(&a, &saved);
	through_json(&i8042_state_schema, &saved, &loaded);
	assert_int_equal(i8042_load(&b, &loaded, &err), 0);
	assert_int_equal(log[1].rises, 0);
	assert_int_equal(in(&i8042_command_ops, &b, 0) & 0x09, 0x09);
	assert_int_equal(in(&i8042_data_ops, &b, 0), 0x14);
	assert_int_equal(in(&i8042_data_ops, &b, 0), 0x11);
	out(&i8042_data_ops, &b, 0, 0x41);
	assert_int_equal(b.regs.control, 0x41);
	loaded.nr_queued = I8042_QUEUE + 1;
	assert_int_equal(i8042_load(&b, &loaded, &err), -EINVAL);
	i8042_fini(&a);
	i8042_fini(&b);
}

static void rtc_goes_on(void **state)
{
	struct rtc a = {0}, b = {0};
	struct rtc_state saved, loaded = {0};
	struct err err;

	(void)state;
	rtc_init(&a);
	rtc_init(&b);
	out(&rtc_bus_ops, &a, 0, 0x7f);
	out(&rtc_bus_ops, &a, 1, 0xab);
	rtc_save(&a, &saved);
	through_json(&rtc_state_schema, &saved, &loaded);
	assert_int_equal(rtc_load(&b, &loaded, &err), 0);
	assert_int_equal(in(&rtc_bus_ops, &b, 1), 0xab);
	loaded.ram[0x0a] = 0xa6; /* an update that would never end */
	assert_int_equal(rtc_load(&b, &loaded, &err), 0);
	out(&rtc_bus_ops, &b, 0, 0x0a);
	assert_int_equal(in(&rtc_bus_ops, &b, 1), 0x26);
	loaded.index = RTC_BYTES;
	assert_int_equal(rtc_load(&b, &loaded, &err), -EINVAL);
	rtc_fini(&a);
	rtc_fini(&b);
}

/* Where an IOAPIC's messages and routes end up. */
struct irq_sink {
	unsigned int sent;
	uint32_t routes;
	struct msi route[IOAPIC_PINS];
};

static void on_send(void *ctx, const struct msi *msi)
{
	struct irq_sink *s = ctx;

	(void)msi;
	s->sent++;
}

static void on_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	struct irq_sink *s = ctx;

	s->routes &= ~(1u << gsi);
	if (msi) {
		s->routes |= 1u << gsi;
		s->route[gsi] = *msi;
	}
}

static void put(struct ioapic *io, uint8_t reg, uint32_t v)
{
	uint32_t select = reg;

	assert_int_equal(ioapic_bus_ops.write(io, 0, &select, 4), 0);
	assert_int_equal(ioapic_bus_ops.write(io, 0x10, &v, 4), 0);
}

static void ioapic_goes_on(void **state)
{
	struct irq_sink sink[2] = {0};
	const struct msi_sink to[2] = {{on_send, on_route, &sink[0]},
				       {on_send, on_route, &sink[1]}};
	struct ioapic a = {0}, b = {0};
	struct ioapic_state saved, loaded = {0};
	struct err err;

	(void)state;
	ioapic_init(&a, &to[0]);
	ioapic_init(&b, &to[1]);
	put(&a, 0x10 + 2 * 4, 0x34);        /* pin 4: edge */
	put(&a, 0x10 + 2 * 9, 0x8000 | 65); /* pin 9: level */
	ioapic_set_level(&a, 4, true);
	ioapic_set_level(&a, 9, true);
	assert_int_equal(sink[0].sent, 2);
	memset(&saved, 0, sizeof(saved));
	ioapic_save(&a, &saved);
	through_json(&ioapic_state_schema, &saved, &loaded);
	assert_int_equal(ioapic_load(&b, &loaded, &err), 0);
	assert_int_equal(sink[1].sent, 0); /* delivered before */
	assert_int_equal(sink[1].routes, 1u << 4 | 1u << 9);
	assert_int_equal(sink[1].route[4].data, sink[0].route[4].data);
	ioapic_set_level(&b, 4, true); /* it was high: no edge */
	assert_int_equal(sink[1].sent, 0);
	ioapic_eoi(&b, 65); /* the line is still high */
	assert_int_equal(sink[1].sent, 1);
	ioapic_set_level(&b, 4, false);
	ioapic_set_level(&b, 4, true);
	assert_int_equal(sink[1].sent, 2);
	ioapic_fini(&a);
	ioapic_fini(&b);
}

static void ioapic_refuses(void **state)
{
	static const uint64_t bad[] = {
		1ull << 17, /* reserved */
		1ull << 55,
		1ull << 12 /* delivery status */,
		1ull << 14 /* remote IRR of an edge */,
	};
	const struct msi_sink none = {on_send, on_route, &(struct irq_sink){0}};
	struct ioapic_state s;
	struct ioapic io = {0};
	struct err err;

	(void)state;
	ioapic_init(&io, &none);
	ioapic_save(&io, &s);
	assert_int_equal(ioapic_load(&io, &s, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		s.entry[IOAPIC_PINS - 1] = bad[i];
		assert_int_equal(ioapic_load(&io, &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, "entry 23"));
	}
	s.entry[IOAPIC_PINS - 1] = 0;
	s.level = 1u << IOAPIC_PINS;
	assert_int_equal(ioapic_load(&io, &s, &err), -EINVAL);
	s.level = 0;
	s.id = 16;
	assert_int_equal(ioapic_load(&io, &s, &err), -EINVAL);
	ioapic_fini(&io);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serial_goes_on),
		cmocka_unit_test(serial_refuses),
		cmocka_unit_test(i8042_goes_on),
		cmocka_unit_test(rtc_goes_on),
		cmocka_unit_test(ioapic_goes_on),
		cmocka_unit_test(ioapic_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
