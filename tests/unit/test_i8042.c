// SPDX-License-Identifier: Apache-2.0
/*
 * test_i8042.c - keyboard controller: commands, keys, reset
 *
 * A driver waits half a second for an answer that does not come, so every
 * command that Linux's sends is here, with what it takes for "no aux port".
 */
#include "unit.h"

#include "dev/i8042.h"
#include "irq_log.h"

#include <errno.h>
#include <string.h>

struct board {
	struct i8042 k;
	struct irq_log irq;
	int resets;
};

static void on_reset(void *ctx)
{
	struct board *b = ctx;

	b->resets++;
}

static int set_up(void **state)
{
	static struct board b;
	struct irq_line line;

	memset(&b, 0, sizeof(b));
	line = irq_log_line(&b.irq);
	i8042_init(&b.k, &line, on_reset, &b);
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	struct board *b = *state;

	i8042_fini(&b->k);
	return 0;
}

static void command(struct board *b, uint8_t v)
{
	assert_int_equal(i8042_command_ops.write(&b->k, 0, &v, 1), 0);
}

static void data(struct board *b, uint8_t v)
{
	assert_int_equal(i8042_data_ops.write(&b->k, 0, &v, 1), 0);
}

static uint8_t status(struct board *b)
{
	uint8_t v = 0;

	assert_int_equal(i8042_command_ops.read(&b->k, 0, &v, 1), 0);
	return v;
}

static uint8_t get(struct board *b)
{
	uint8_t v = 0;

	assert_int_equal(i8042_data_ops.read(&b->k, 0, &v, 1), 0);
	return v;
}

static void tests_as_a_pc_answers(void **state)
{
	struct board *b = *state;

	assert_int_equal(status(b) & 1, 0);
	command(b, 0xaa);
	assert_int_equal(status(b) & 1, 1);
	assert_int_equal(get(b), 0x55);
	command(b, 0xab);
	assert_int_equal(get(b), 0);
	command(b, 0x60);
	data(b, 0x47);
	command(b, 0x20);
	assert_int_equal(get(b), 0x47);
	data(b, 0xf2);
	assert_int_equal(get(b), 0xfa);
	assert_int_equal(get(b), 0xab);
	assert_int_equal(get(b), 0x83);
	data(b, 0xed);
	data(b, 0xff); /* LEDs, not a reset */
	assert_int_equal(get(b), 0xfa);
	assert_int_equal(get(b), 0xfa);
	assert_int_equal(status(b) & 1, 0);
}

static void one_interrupt_a_byte(void **state)
{
	struct board *b = *state;
	static const uint8_t want[] = {0x14, 0x11, 0xe0, 0x71};

	assert_int_equal(i8042_send_ctrl_alt_del(&b->k), 0);
	assert_int_equal(b->irq.rises, 1);
	for (size_t i = 0; i < sizeof(want); i++) {
		assert_int_equal(get(b), want[i]);
		assert_int_equal(b->irq.rises, i + 2 < 5 ? i + 2 : 4);
	}
	command(b, 0x60);
	data(b, 0x04); /* interrupts off */
	assert_int_equal(i8042_send_ctrl_alt_del(&b->k), 0);
	assert_int_equal(b->irq.rises, 4);
	command(b, 0x60);
	data(b, 0x05); /* and on, with a byte there */
	assert_int_equal(b->irq.rises, 5);
}

static void translated_keys(void **state)
{
	struct board *b = *state;

	command(b, 0x60);
	data(b, 0x45);
	assert_int_equal(i8042_send_ctrl_alt_del(&b->k), 0);
	assert_int_equal(get(b), 0x1d);
	assert_int_equal(get(b), 0x38);
	assert_int_equal(get(b), 0xe0);
	assert_int_equal(get(b), 0x53);
}

static void keys_nobody_reads_are_bounded(void **state)
{
	struct board *b = *state;

	for (unsigned int i = 0; i < I8042_QUEUE / 4; i++)
		assert_int_equal(i8042_send_ctrl_alt_del(&b->k), 0);
	assert_int_equal(i8042_send_ctrl_alt_del(&b->k), -ENOSPC);
	data(b, 0xf4); /* an ACK with no place is lost and counted */
	assert_int_equal(b->k.metrics.error_count, 1);
}

static void ways_to_reset(void **state)
{
	struct board *b = *state;

	command(b, 0xd1);
	data(b, 0x03); /* reset line high: nothing */
	assert_int_equal(b->resets, 0);
	command(b, 0xd1);
	data(b, 0x02);
	assert_int_equal(b->resets, 1);
	command(b, 0xfe);
	assert_int_equal(b->resets, 2);
	assert_int_equal(b->k.metrics.reset_count, 2);
}

/* What a driver reads for controller command @v; 0x100: it waits in vain. */
static unsigned int answer_to(struct board *b, uint8_t v)
{
	command(b, v);
	return status(b) & 1 ? get(b) : 0x100;
}

static void no_aux_port_and_no_time_out(void **state)
{
	struct board *b = *state;

	command(b, 0xd3);
	data(b, 0x5a);
	/* An answer, and not as one of the aux port: bit 5. The driver does
	 * not read it, and goes on. */
	assert_int_equal(status(b) & 0x21, 0x01);
	assert_int_equal(answer_to(b, 0xa9), 0x01);
	assert_int_equal(status(b) & 1, 0);
	for (uint8_t v = 0xa7; v <= 0xa8; v++) {
		command(b, v);
		assert_int_equal(answer_to(b, 0x20) & 0x20, 0x20);
	}
	command(b, 0xd4); /* to a device that is not there */
	data(b, 0xf2);
	assert_int_equal(status(b) & 1, 1);
	assert_int_equal(get(b), 0xfe);
	assert_int_equal(status(b) & 1, 0);
	assert_int_equal(b->k.metrics.missed_write_count, 0);
	assert_int_equal(b->k.metrics.error_count, 0);
}

/* Keys that nobody reads neither keep an answer away nor are taken for it. */
static void answers_come_first(void **state)
{
	static const struct {
		uint8_t command;
		uint8_t answer;
	} rows[] = {
		{0x20, 0x25}, {0xaa, 0x55}, {0xab, 0x00},
		{0xa9, 0x01}, {0xd0, 0x03},
	};
	struct board *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		while (i8042_send_ctrl_alt_del(&b->k) == 0)
			;
		assert_int_equal(answer_to(b, rows[i].command), rows[i].answer);
		assert_int_equal(status(b) & 1, 0);
	}
	assert_int_equal(b->k.metrics.error_count, 0);
}

/* What atkbd sends: an ACK each, arguments too, and no byte more. */
static void keyboard_answers_every_byte(void **state)
{
	static const uint8_t bytes[] = {0xf5, 0xed, 0x00, 0xf3, 0x00,
					0xf4, 0xf0, 0x02, 0xea, 0xf6};
	struct board *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		data(b, bytes[i]);
		assert_int_equal(get(b), 0xfa);
		assert_int_equal(status(b) & 1, 0);
	}
	data(b, 0xff);
	assert_int_equal(get(b), 0xfa);
	assert_int_equal(get(b), 0xaa);
	data(b, 0xee);
	assert_int_equal(get(b), 0xee);
	assert_int_equal(status(b) & 1, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tests_as_a_pc_answers),
		CASE(one_interrupt_a_byte),
		CASE(translated_keys),
		CASE(keys_nobody_reads_are_bounded),
		CASE(ways_to_reset),
		CASE(no_aux_port_and_no_time_out),
		CASE(answers_come_first),
		CASE(keyboard_answers_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
