// SPDX-License-Identifier: Apache-2.0
/*
 * test_i8042.c - keyboard controller: commands, keys, reset
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

	i8042_free(&b->k);
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
	command(b, 0x20); /* an answer with no place is lost and counted */
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(tests_as_a_pc_answers),
		CASE(one_interrupt_a_byte),
		CASE(translated_keys),
		CASE(keys_nobody_reads_are_bounded),
		CASE(ways_to_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
