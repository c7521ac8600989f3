// SPDX-License-Identifier: Apache-2.0
/*
 * test_serial.c - 16550A: registers, queues, interrupts
 */
#include "unit.h"

#include "dev/serial.h"
#include "irq_log.h"

#include <stdlib.h>
#include <string.h>

struct port {
	struct serial *s;
	struct irq_log irq;
	int kicks;
};

static void on_kick(void *ctx)
{
	struct port *p = ctx;

	/* Who is woken takes it first of all. */
	assert_int_equal(pthread_mutex_trylock(&p->s->lock), 0);
	(void)pthread_mutex_unlock(&p->s->lock);
	p->kicks++;
}

static int set_up(void **state)
{
	static struct port p;
	struct irq_line line;

	memset(&p, 0, sizeof(p));
	p.s = calloc(1, sizeof(*p.s));
	line = irq_log_line(&p.irq);
	serial_init(p.s, &line);
	serial_set_wake(p.s, on_kick, &p);
	*state = &p;
	return p.s ? 0 : -1;
}

static int tear_down(void **state)
{
	struct port *p = *state;

	serial_fini(p->s);
	free(p->s);
	return 0;
}

static void out(struct port *p, unsigned int reg, uint8_t v)
{
	assert_int_equal(serial_bus_ops.write(p->s, reg, &v, 1), 0);
}

static uint8_t in(struct port *p, unsigned int reg)
{
	uint8_t v = 0;

	assert_int_equal(serial_bus_ops.read(p->s, reg, &v, 1), 0);
	return v;
}

static void registers(void **state)
{
	struct port *p = *state;

	out(p, 7, 0x5a);
	assert_int_equal(in(p, 7), 0x5a);
	out(p, 1, 0xff);
	assert_int_equal(in(p, 1), 0x0f); /* upper IER bits do not exist */
	out(p, 3, 0x80);
	out(p, 0, 0x34);
	out(p, 1, 0x12);
	assert_int_equal(in(p, 0), 0x34);
	assert_int_equal(in(p, 1), 0x12);
	out(p, 3, 0x03);
	assert_int_equal(in(p, 1), 0x0f); /* DLAB off: IER again */
	assert_int_equal(in(p, 5), 0x60);
	assert_int_equal(in(p, 6), 0xb0);
	out(p, 2, 0x01);
	assert_int_equal(in(p, 2) & 0xc0, 0xc0);
	out(p, 5, 0xff); /* read-only */
	assert_int_equal(in(p, 5), 0x60);
}

static void loopback(void **state)
{
	struct port *p = *state;
	const uint8_t *data;

	out(p, 4, 0x1a); /* loop, RTS, OUT2: how Linux tells a UART */
	assert_int_equal(in(p, 6) & 0xf0, 0x90);
	out(p, 0, 'x');
	assert_int_equal(in(p, 5) & 1, 1);
	assert_int_equal(in(p, 0), 'x');
	assert_int_equal(serial_peek_output(p->s, &data), 0);
}

static void one_kick_a_burst(void **state)
{
	struct port *p = *state;
	const uint8_t *data;

	out(p, 0, 'a');
	out(p, 0, 'b');
	assert_int_equal(p->kicks, 1);
	assert_int_equal(serial_peek_output(p->s, &data), 2);
	assert_memory_equal(data, "ab", 2);
	serial_take_output(p->s, 2);
	out(p, 0, 'c');
	assert_int_equal(p->kicks, 2);
}

/* D14: nobody reads; the guest prints on, drops are counted. */
static void full_output_drops_and_counts(void **state)
{
	struct port *p = *state;
	const uint8_t *data;

	for (unsigned int i = 0; i < SERIAL_OUT_BYTES + 100; i++)
		out(p, 0, (uint8_t)i);
	assert_int_equal(p->s->metrics.write_count, SERIAL_OUT_BYTES);
	assert_int_equal(p->s->metrics.missed_write_count, 100);
	assert_int_equal(serial_peek_output(p->s, &data), SERIAL_OUT_BYTES);
	serial_take_output(p->s, 10);
	out(p, 0, 'z'); /* wraps: two pieces now */
	assert_int_equal(serial_peek_output(p->s, &data),
			 SERIAL_OUT_BYTES - 10);
	serial_take_output(p->s, SERIAL_OUT_BYTES - 10);
	assert_int_equal(serial_peek_output(p->s, &data), 1);
	assert_int_equal(data[0], 'z');
}

/* D13: input beyond the queue is refused, not stored. */
static void full_input_is_refused(void **state)
{
	static uint8_t much[SERIAL_IN_BYTES + 1];
	struct port *p = *state;

	assert_int_equal(serial_put_input(p->s, much, sizeof(much)),
			 SERIAL_IN_BYTES);
	assert_int_equal(serial_put_input(p->s, much, 1), 0);
	assert_int_equal(p->kicks, 0);
	for (unsigned int i = 0; i < SERIAL_IN_BYTES; i++)
		(void)in(p, 0);
	assert_int_equal(p->kicks, 1); /* there is room: once */
	assert_int_equal(in(p, 5) & 1, 0);
	(void)in(p, 0);
	assert_int_equal(p->s->metrics.missed_read_count, 1);
}

static uint8_t numbered[SERIAL_IN_BYTES + 1];

/* All that the queue takes, byte after byte another. */
static void type_much(struct port *p)
{
	for (unsigned int i = 0; i < sizeof(numbered); i++)
		numbered[i] = (uint8_t)(i * 7);
	assert_int_equal(serial_put_input(p->s, numbered, sizeof(numbered)),
			 SERIAL_IN_BYTES);
}

/* A 16550A has 16 bytes to lose, and those only once. */
static void clearing_the_fifo_clears_no_more(void **state)
{
	struct port *p = *state;
	unsigned int at = 16;

	type_much(p);
	out(p, 2, 0x03); /* nobody has seen any of it */
	assert_int_equal(in(p, 0), numbered[0]);
	out(p, 2, 0x03); /* what came behind the one that was read */
	at = 17;
	/* As Linux opens a port. */
	out(p, 2, 0x01);
	out(p, 2, 0x07);
	out(p, 2, 0x00);
	out(p, 2, 0x01);
	for (; in(p, 5) & 1; at++)
		assert_int_equal(in(p, 0), numbered[at]);
	assert_int_equal(at, SERIAL_IN_BYTES);
	/* Empty is empty. */
	(void)serial_put_input(p->s, numbered, 3);
	assert_int_equal(in(p, 5) & 1, 1);
	out(p, 2, 0x03);
	assert_int_equal(in(p, 5) & 1, 0);
}

/* An edge for what is there after it, and room for what is not. */
static void a_cleared_fifo_fills_again(void **state)
{
	struct port *p = *state;
	unsigned int rises;

	out(p, 1, 0x01);
	type_much(p);
	rises = p->irq.rises;
	for (unsigned int i = 0; i < SERIAL_IN_BYTES / 16; i++) {
		assert_int_equal(p->kicks, i * 16 >= SERIAL_IN_BYTES / 2);
		assert_true(p->irq.high);
		assert_int_equal(p->irq.rises, rises + i);
		out(p, 2, 0x03);
	}
	assert_false(p->irq.high);
	assert_int_equal(serial_put_input(p->s, numbered, 1), 1);
	assert_true(p->irq.high);
}

static void interrupt_causes(void **state)
{
	struct port *p = *state;

	assert_int_equal(in(p, 2), 0x01); /* none */
	out(p, 1, 0x02);                  /* transmitter empty: at once */
	assert_int_equal(p->irq.rises, 1);
	assert_int_equal(in(p, 2), 0x02);
	assert_false(p->irq.high); /* the read took it */
	out(p, 0, 'a');
	assert_int_equal(p->irq.rises, 2);
	out(p, 0, 'b'); /* a new cause while high: a new edge */
	assert_int_equal(p->irq.rises, 3);
	out(p, 1, 0x03);
	(void)serial_put_input(p->s, (const uint8_t *)"q", 1);
	assert_int_equal(in(p, 2), 0x04); /* data comes first */
	assert_int_equal(in(p, 0), 'q');
	assert_int_equal(in(p, 2), 0x02);
	assert_int_equal(in(p, 2), 0x01);
	assert_false(p->irq.high);
	out(p, 1, 0);
	(void)serial_put_input(p->s, (const uint8_t *)"q", 1);
	assert_false(p->irq.high);
	out(p, 1, 0x01); /* enabled with data there */
	assert_true(p->irq.high);
	out(p, 2, 0x03); /* FIFO cleared */
	assert_false(p->irq.high);
}

static void wide_accesses_are_nobodys(void **state)
{
	struct port *p = *state;
	uint32_t v = 0;

	assert_true(serial_bus_ops.read(p->s, 0, &v, 4) < 0);
	assert_true(serial_bus_ops.write(p->s, 0, &v, 2) < 0);
	assert_int_equal(p->s->metrics.missed_write_count, 1);
}

static void rate_limit_drops(void **state)
{
	struct port *p = *state;

	serial_set_limit(p->s, 10, 5, UINT64_MAX);
	for (int i = 0; i < 100; i++)
		out(p, 0, 'x');
	assert_int_equal(p->s->metrics.write_count, 15);
	assert_int_equal(p->s->metrics.rate_limiter_dropped_bytes, 85);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(registers),
		CASE(loopback),
		CASE(one_kick_a_burst),
		CASE(full_output_drops_and_counts),
		CASE(full_input_is_refused),
		CASE(clearing_the_fifo_clears_no_more),
		CASE(a_cleared_fifo_fills_again),
		CASE(interrupt_causes),
		CASE(wide_accesses_are_nobodys),
		CASE(rate_limit_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
