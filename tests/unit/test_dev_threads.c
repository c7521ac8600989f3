// SPDX-License-Identifier: Apache-2.0
/*
 * test_dev_threads.c - legacy devices under several vCPUs and the VMM thread
 *
 * T5 and T6 of the list of past bugs: random accesses of every device from
 * several threads at once while the console, Ctrl-Alt-Del, EOIs and other
 * devices' lines come from elsewhere. The wiring is the machine's: lines of the
 * serial port and the keyboard end in the IOAPIC, so the lock order is real.
 * ThreadSanitizer judges the locking, an alarm that nothing hangs, the cases
 * what must hold whatever the order was.
 */
#include "unit.h"

#include "boot/layout.h"
#include "dev/console.h"
#include "dev/i8042.h"
#include "dev/ioapic.h"
#include "dev/rtc.h"
#include "host/stream.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NR_VCPUS     4
#define ACCESSES     100000u
#define WATCHDOG_SEC 60

struct world {
	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct i8042 i8042;
	struct rtc rtc;
	_Atomic uint64_t messages;
	_Atomic uint64_t resets;
	_Atomic unsigned int running; /* vCPUs not done yet */
};

struct vcpu {
	struct world *w;
	pthread_t thread;
	unsigned int id;
	uint64_t seed;
};

static void on_msi(void *ctx, const struct msi *msi)
{
	struct world *w = ctx;

	(void)msi;
	atomic_fetch_add(&w->messages, 1);
}

static void on_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	(void)ctx;
	(void)gsi;
	(void)msi;
}

static void on_reset(void *ctx)
{
	struct world *w = ctx;

	atomic_fetch_add(&w->resets, 1);
}

static void line_set(void *ctx, unsigned int gsi, bool level)
{
	struct world *w = ctx;

	ioapic_set_level(&w->ioapic, gsi, level);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct msi_sink sink = {on_msi, on_route, w};
	struct irq_line irq = {line_set, w, LAYOUT_GSI_I8042};

	if (!w)
		return -1;
	(void)alarm(WATCHDOG_SEC);
	ioapic_init(&w->ioapic, &sink);
	i8042_init(&w->i8042, &irq, on_reset, w);
	irq.gsi = LAYOUT_GSI_SERIAL;
	serial_init(&w->serial, &irq);
	rtc_init(&w->rtc);
	*state = w;
	return bus_add(&w->mmio, LAYOUT_IOAPIC, LAYOUT_IOAPIC_BYTES,
		       &ioapic_bus_ops, &w->ioapic) |
	       bus_add(&w->pio, LAYOUT_I8042_DATA, 1, &i8042_data_ops,
		       &w->i8042) |
	       bus_add(&w->pio, LAYOUT_I8042_CMD, 1, &i8042_command_ops,
		       &w->i8042) |
	       bus_add(&w->pio, LAYOUT_SERIAL_PORT, LAYOUT_SERIAL_BYTES,
		       &serial_bus_ops, &w->serial) |
	       bus_add(&w->pio, LAYOUT_RTC_PORT, LAYOUT_RTC_BYTES, &rtc_bus_ops,
		       &w->rtc);
}

static int tear_down(void **state)
{
	struct world *w = *state;

	(void)alarm(0);
	rtc_fini(&w->rtc);
	serial_fini(&w->serial);
	i8042_fini(&w->i8042);
	ioapic_fini(&w->ioapic);
	free(w);
	return 0;
}

/* Good enough for which register comes next (xorshift64). */
static uint64_t dice(struct vcpu *v)
{
	v->seed ^= v->seed << 13;
	v->seed ^= v->seed >> 7;
	v->seed ^= v->seed << 17;
	return v->seed;
}

static void out(struct vcpu *v, uint64_t port, uint8_t byte)
{
	(void)bus_write(&v->w->pio, port, &byte, 1);
}

static void poke_ioapic(struct vcpu *v, uint64_t r)
{
	uint32_t select = 0x10 + (uint32_t)(r >> 8) % (2 * IOAPIC_PINS);
	uint32_t entry = (uint32_t)(r >> 16);

	(void)bus_write(&v->w->mmio, LAYOUT_IOAPIC, &select, 4);
	(void)bus_write(&v->w->mmio, LAYOUT_IOAPIC + 0x10, &entry, 4);
	(void)bus_read(&v->w->mmio, LAYOUT_IOAPIC + 0x10, &entry, 4);
}

static void *random_vcpu(void *arg)
{
	static const uint16_t ports[] = {
		LAYOUT_I8042_DATA,      LAYOUT_I8042_CMD,
		LAYOUT_RTC_PORT,        LAYOUT_RTC_PORT + 1,
		LAYOUT_SERIAL_PORT,     LAYOUT_SERIAL_PORT + 1,
		LAYOUT_SERIAL_PORT + 2, LAYOUT_SERIAL_PORT + 4,
		LAYOUT_SERIAL_PORT + 5, LAYOUT_SERIAL_PORT,
	};
	struct vcpu *v = arg;

	for (unsigned int i = 0; i < ACCESSES; i++) {
		uint64_t r = dice(v);
		uint16_t port = ports[(r >> 8) % ARRAY_SIZE(ports)];
		uint8_t byte;

		if (r % 8 == 0)
			poke_ioapic(v, r >> 8);
		else if (r % 8 == 1)
			ioapic_eoi(&v->w->ioapic, (uint8_t)(r >> 8));
		else if (r % 2)
			out(v, port, (uint8_t)(r >> 16));
		else
			(void)bus_read(&v->w->pio, port, &byte, 1);
	}
	atomic_fetch_sub(&v->w->running, 1);
	return NULL;
}

static void start(struct world *w, struct vcpu *v, unsigned int nr,
		  void *(*body)(void *arg))
{
	w->running = nr;
	for (unsigned int i = 0; i < nr; i++) {
		v[i].w = w;
		v[i].id = i;
		v[i].seed = 0x9e3779b97f4a7c15ull * (i + 1);
		assert_int_equal(
			pthread_create(&v[i].thread, NULL, body, &v[i]), 0);
	}
}

static void join(struct vcpu *v, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(pthread_join(v[i].thread, NULL), 0);
}

/* The VMM thread's part: console without a descriptor, keys, other lines. */
static void act_as_host(struct world *w, unsigned int round)
{
	static const uint8_t typed[64];
	const uint8_t *data;
	size_t len;

	len = serial_peek_output(&w->serial, &data);
	for (size_t i = 0; i < len; i++) /* reads what vCPUs do not write */
		w->messages += data[i] == 0xff;
	serial_take_output(&w->serial, len);
	assert_true(serial_put_input(&w->serial, typed, sizeof(typed)) <=
		    sizeof(typed));
	if (i8042_send_ctrl_alt_del(&w->i8042) < 0)
		(void)bus_read(&w->pio, LAYOUT_I8042_DATA, &(uint8_t){0}, 1);
	ioapic_set_level(&w->ioapic, 5 + round % 16, round & 16);
}

/* T5: any byte to any port, from all sides. */
static void random_accesses_from_all_sides(void **state)
{
	struct world *w = *state;
	struct serial_metrics *m = &w->serial.metrics;
	struct vcpu vcpu[NR_VCPUS];
	const uint8_t *data;
	size_t rest, taken = 0;

	start(w, vcpu, NR_VCPUS, random_vcpu);
	for (unsigned int i = 0; atomic_load(&w->running) > 0; i++)
		act_as_host(w, i);
	join(vcpu, NR_VCPUS);
	while ((rest = serial_peek_output(&w->serial, &data)) > 0) {
		serial_take_output(&w->serial, rest);
		taken += rest;
	}
	assert_true(taken <= m->write_count);
	assert_true(w->i8042.regs.nr_queued <= I8042_QUEUE);
	assert_true(w->serial.in_head - w->serial.in_tail <= SERIAL_IN_BYTES);
	assert_int_equal(w->resets, w->i8042.metrics.reset_count);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
		uint64_t e = w->ioapic.regs.entry[pin];

		if (e & 1u << 14) /* in service: only level pins are */
			assert_true(e & 1u << 15);
	}
}

static void *printing_vcpu(void *arg)
{
	struct vcpu *v = arg;

	for (unsigned int i = 0; i < ACCESSES; i++)
		out(v, LAYOUT_SERIAL_PORT, (uint8_t)(v->id << 6 | i % 64));
	atomic_fetch_sub(&v->w->running, 1);
	return NULL;
}

static size_t file_size(const char *path)
{
	FILE *f = fopen(path, "rb");
	long size;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	assert_true(size >= 0);
	(void)fclose(f);
	return (size_t)size;
}

/* Each vCPU's bytes are in the file in the order it wrote them; without drops
 * the file holds them all. */
static void check_order(const char *path, bool complete)
{
	unsigned int next[NR_VCPUS] = {0}, count[NR_VCPUS] = {0};
	FILE *f = fopen(path, "rb");
	int c;

	assert_non_null(f);
	while ((c = fgetc(f)) != EOF) {
		unsigned int id = (unsigned int)c >> 6;

		if (complete)
			assert_int_equal(c % 64, next[id]);
		next[id] = ((unsigned int)c + 1) % 64;
		count[id]++;
	}
	(void)fclose(f);
	for (unsigned int i = 0; complete && i < NR_VCPUS; i++)
		assert_int_equal(count[i], ACCESSES);
}

/* T6: the real console on its loop, vCPUs that print, nothing lost unseen. */
static void console_gets_every_byte_that_was_not_dropped(void **state)
{
	struct world *w = *state;
	struct serial_metrics *m = &w->serial.metrics;
	struct console_params params = {0};
	char path[] = "/tmp/volt-console-XXXXXX";
	struct vcpu vcpu[NR_VCPUS];
	static struct console con;
	struct err err = {0};
	struct loop loop;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(
		stream_open(&path_direct, PATH_SERIAL, path, &params.out, &err),
		0);
	assert_int_equal(console_init(&con, &loop, &w->serial, &params, &err),
			 0);
	start(w, vcpu, NR_VCPUS, printing_vcpu);
	while (atomic_load(&w->running) > 0)
		assert_int_equal(loop_step(&loop, 10), 0);
	join(vcpu, NR_VCPUS);
	console_fini(&con);
	loop_fini(&loop);
	assert_int_equal(m->write_count + m->missed_write_count,
			 NR_VCPUS * ACCESSES);
	assert_int_equal(file_size(path), m->write_count);
	check_order(path, m->missed_write_count == 0);
	(void)close(fd);
	(void)unlink(path);
}

static void on_kick(void *ctx)
{
	static const uint64_t one = 1;
	const int *wake = ctx;

	if (write(*wake, &one, sizeof(one)) < 0)
		return;
}

/* Reads whenever there is something, and checks that nothing is missing. */
static void *reading_vcpu(void *arg)
{
	struct vcpu *v = arg;
	uint8_t lsr = 0, byte, next = 0;

	for (unsigned int got = 0; got < ACCESSES;) {
		(void)bus_read(&v->w->pio, LAYOUT_SERIAL_PORT + 5, &lsr, 1);
		if (!(lsr & 1))
			continue;
		(void)bus_read(&v->w->pio, LAYOUT_SERIAL_PORT, &byte, 1);
		if (byte != next++)
			break;
		got++;
	}
	atomic_fetch_sub(&v->w->running, 1);
	return NULL;
}

/* A host that types faster than the guest reads sleeps until it is kicked. */
static void input_is_never_stuck(void **state)
{
	struct world *w = *state;
	int wake = eventfd(0, EFD_CLOEXEC);
	struct vcpu vcpu;
	static uint8_t typed[4096];
	unsigned int sent = 0;
	uint64_t n;

	assert_true(wake >= 0);
	serial_set_wake(&w->serial, on_kick, &wake);
	start(w, &vcpu, 1, reading_vcpu);
	while (sent < ACCESSES) {
		size_t want = sizeof(typed), put;

		if (want > ACCESSES - sent)
			want = ACCESSES - sent;
		for (size_t i = 0; i < want; i++)
			typed[i] = (uint8_t)(sent + i);
		put = serial_put_input(&w->serial, typed, want);
		sent += (unsigned int)put;
		if (put < want)
			assert_int_equal(read(wake, &n, sizeof(n)), sizeof(n));
	}
	join(&vcpu, 1);
	assert_int_equal(w->serial.metrics.read_count, ACCESSES);
	(void)close(wake);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(random_accesses_from_all_sides),
		CASE(console_gets_every_byte_that_was_not_dropped),
		CASE(input_is_never_stuck),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
