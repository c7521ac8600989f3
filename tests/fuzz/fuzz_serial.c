// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_serial.c - any accesses of a guest and of the console to a 16550A
 *
 * A step is three bytes: what, register (or amount), value. The console's side
 * does what console.c does: it looks at the output when it was kicked, and
 * offers input again only after a kick when some was refused. Judged after each
 * step:
 *
 * - both queues are bounded, and hold what was put in, in order, but for the
 *   FIFO's bytes that the guest clears;
 * - a byte of output is stored, dropped or limited, and counted as such;
 * - the interrupt line is high exactly when a cause is pending;
 * - nobody is forgotten: output waits only for a console that was kicked, and
 *   a console that was refused is kicked once half of the queue is free.
 */
#include "dev_fuzz.h"

#include "base/log.h"
#include "dev/serial.h"

#define STEP_BYTES 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Free-running indices, as in the device; bytes where the device has none. */
struct fifo {
	uint8_t byte[SERIAL_OUT_BYTES];
	unsigned int head, tail;
};

struct world {
	struct serial s;
	struct fuzz_line line;
	struct fifo out, in;
	bool kicked_out; /* and the console has not looked yet */
	bool kicked_in;
	bool busy;    /* the console left output behind: its sink was full */
	bool refused; /* the console holds input */
};

static unsigned int held(const struct fifo *f)
{
	return f->head - f->tail;
}

static void push(struct fifo *f, uint8_t v)
{
	f->byte[f->head++ % SERIAL_OUT_BYTES] = v;
}

static uint8_t pull(struct fifo *f)
{
	return f->byte[f->tail++ % SERIAL_OUT_BYTES];
}

static void on_kick(void *ctx)
{
	struct world *w = ctx;

	w->kicked_out = true;
	w->kicked_in = true;
}

/* ---- the guest ---- */

static void write_thr(struct world *w, uint8_t v)
{
	struct serial_metrics *m = &w->s.metrics;
	uint64_t written = m->write_count, missed = m->missed_write_count;
	uint64_t limited = m->rate_limiter_dropped_bytes;

	fuzz_check(serial_bus_ops.write(&w->s, 0, &v, 1) == 0);
	written = m->write_count - written;
	missed = m->missed_write_count - missed;
	limited = m->rate_limiter_dropped_bytes - limited;
	fuzz_check(written + missed + limited == 1);
	if (missed)
		fuzz_check(held(&w->out) == SERIAL_OUT_BYTES);
	if (written) {
		fuzz_check(held(&w->out) < SERIAL_OUT_BYTES);
		push(&w->out, v);
	}
}

static void loop_thr(struct world *w, uint8_t v)
{
	uint64_t overruns = w->s.metrics.error_count;

	fuzz_check(serial_bus_ops.write(&w->s, 0, &v, 1) == 0);
	if (w->s.metrics.error_count != overruns)
		fuzz_check(held(&w->in) == SERIAL_IN_BYTES);
	else
		push(&w->in, v);
}

static void guest_write(struct world *w, uint64_t reg, uint8_t v)
{
	if (reg == 0 && !(w->s.regs.lcr & 0x80)) {
		if (w->s.regs.mcr & 0x10)
			loop_thr(w, v);
		else
			write_thr(w, v);
		return;
	}
	if (reg == 2 && (v & 2))
		w->in.tail += w->s.in_fifo; /* judged before */
	fuzz_check(serial_bus_ops.write(&w->s, reg, &v, 1) == 0);
}

static void guest_read(struct world *w, uint64_t reg)
{
	uint8_t v = 0;

	fuzz_check(serial_bus_ops.read(&w->s, reg, &v, 1) == 0);
	if (reg == 0 && !(w->s.regs.lcr & 0x80))
		fuzz_check(v == (held(&w->in) > 0 ? pull(&w->in) : 0));
	else if (reg == 5)
		fuzz_check(v == (0x60 | (held(&w->in) > 0)));
}

/* ---- the console ---- */

/* A sink that takes at most @max bytes now. */
static void console_output(struct world *w, size_t max)
{
	const uint8_t *data;
	size_t len, room = max;

	if (!w->kicked_out && !w->busy)
		return;
	w->kicked_out = false;
	while ((len = serial_peek_output(&w->s, &data)) > 0 && room > 0) {
		len = len < room ? len : room;
		for (size_t i = 0; i < len; i++)
			fuzz_check(held(&w->out) > 0 &&
				   data[i] == pull(&w->out));
		serial_take_output(&w->s, len);
		room -= len;
	}
	w->busy = len > 0;
}

static void console_input(struct world *w, size_t len, uint8_t v)
{
	uint8_t data[1024];
	size_t n, room = SERIAL_IN_BYTES - held(&w->in);

	if (w->refused && !w->kicked_in)
		return;
	w->kicked_in = false;
	for (size_t i = 0; i < len; i++)
		data[i] = (uint8_t)(v + i);
	n = serial_put_input(&w->s, data, len);
	fuzz_check(n == (len < room ? len : room));
	for (size_t i = 0; i < n; i++)
		push(&w->in, data[i]);
	w->refused = n < len;
}

static void step(struct world *w, uint8_t what, uint8_t arg, uint8_t v)
{
	switch (what % 8) {
	case 0:
	case 1:
		guest_write(w, arg % 8, v);
		break;
	case 2:
	case 3:
		guest_read(w, arg % 8);
		break;
	case 4:
		fuzz_wrong_width(&serial_bus_ops, &w->s, arg % 8, v);
		break;
	case 5: /* string output and input: up to 8 KiB */
		for (unsigned int i = 0; i < v * 33u; i++)
			if (arg & 1)
				guest_read(w, 0);
			else
				guest_write(w, 0, (uint8_t)(arg + i));
		break;
	case 6:
		console_output(w, arg * 300u + 1);
		break;
	default:
		console_input(w, arg * 4u + 1, v);
		break;
	}
}

static void judge(const struct world *w)
{
	const struct serial *s = &w->s;
	bool rda = (s->regs.ier & 1) && held(&w->in) > 0;
	bool thre = (s->regs.ier & 2) && s->regs.thre_pending;

	fuzz_check(s->out_head - s->out_tail == held(&w->out));
	fuzz_check(s->in_head - s->in_tail == held(&w->in));
	fuzz_check(held(&w->out) <= SERIAL_OUT_BYTES);
	fuzz_check(held(&w->in) <= SERIAL_IN_BYTES);
	fuzz_check(s->in_fifo <= SERIAL_FIFO_BYTES &&
		   s->in_fifo <= held(&w->in));
	fuzz_check(w->line.high == (rda || thre));
	fuzz_check(held(&w->out) == 0 || w->kicked_out || w->busy);
	fuzz_check(!w->refused || w->kicked_in ||
		   held(&w->in) > SERIAL_IN_BYTES / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script script = {data, size};
	struct world *w = calloc(1, sizeof(*w));
	uint8_t limit = fuzz_byte(&script);
	struct irq_line irq;

	fuzz_check(w);
	log_settings.level = LOG_OFF;
	irq = fuzz_irq(&w->line);
	serial_init(&w->s, &irq);
	serial_set_wake(&w->s, on_kick, w);
	if (limit & 1)
		serial_set_limit(&w->s, limit, limit >> 4, UINT64_MAX);
	while (script.left >= STEP_BYTES) {
		uint8_t what = fuzz_byte(&script), arg = fuzz_byte(&script);

		step(w, what, arg, fuzz_byte(&script));
		judge(w);
	}
	serial_fini(&w->s);
	free(w);
	return 0;
}
