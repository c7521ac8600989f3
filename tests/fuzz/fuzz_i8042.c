// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_i8042.c - any accesses of a guest to the keyboard controller, and
 * Ctrl-Alt-Del at any time
 *
 * A step is two bytes: what, value. Judged after each step:
 *
 * - the queue is bounded; a key sequence fits whole or is refused whole;
 * - the status register tells whether there is a byte, and the data port gives
 *   the oldest;
 * - a guest that waits for interrupts is never forgotten: there was an edge
 *   since the oldest byte became readable with interrupts on;
 * - the VM ends exactly when the reset line is pulled, and is counted.
 */
#include "dev_fuzz.h"

#include "dev/i8042.h"

#define CMD_WRITE_OUTPUT 0xd1
#define CMD_RESET        0xfe

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct i8042 k;
	struct fuzz_line line;
	uint64_t rises_seen; /* by a guest that reads a byte for an edge */
	uint64_t resets;
};

static void on_reset(void *ctx)
{
	struct world *w = ctx;

	w->resets++;
}

static void write_port(struct world *w, const struct bus_ops *ops, uint8_t v)
{
	bool pulled =
		ops == &i8042_command_ops
			? v == CMD_RESET
			: w->k.regs.pending == CMD_WRITE_OUTPUT && !(v & 1);
	uint64_t resets = w->resets;

	fuzz_check(ops->write(&w->k, 0, &v, 1) == 0);
	fuzz_check(w->resets == resets + pulled);
	fuzz_check(w->k.metrics.reset_count == w->resets);
}

static void read_data(struct world *w)
{
	const struct i8042_state before = w->k.regs;
	uint8_t v = 0;

	w->rises_seen = w->line.rises;
	fuzz_check(i8042_data_ops.read(&w->k, 0, &v, 1) == 0);
	if (before.nr_queued == 0) {
		fuzz_check(v == 0 && w->k.regs.nr_queued == 0);
		return;
	}
	fuzz_check(v == before.queue[0]);
	fuzz_check(w->k.regs.nr_queued == before.nr_queued - 1);
	fuzz_check(memcmp(w->k.regs.queue, before.queue + 1,
			  before.nr_queued - 1u) == 0);
}

static void read_status(struct world *w)
{
	uint8_t v = 0;

	fuzz_check(i8042_command_ops.read(&w->k, 0, &v, 1) == 0);
	fuzz_check((v & 1) == (w->k.regs.nr_queued > 0));
	fuzz_check(!(v & 0xe2)); /* never busy, no aux data, no error */
}

static void ctrl_alt_del(struct world *w)
{
	unsigned int before = w->k.regs.nr_queued;

	if (i8042_send_ctrl_alt_del(&w->k) == 0)
		fuzz_check(w->k.regs.nr_queued == before + 4);
	else
		fuzz_check(w->k.regs.nr_queued == before &&
			   before + 4 > I8042_QUEUE);
}

static void step(struct world *w, uint8_t what, uint8_t v)
{
	switch (what % 8) {
	case 0:
	case 1:
		write_port(w, &i8042_command_ops, v);
		break;
	case 2:
	case 3:
		write_port(w, &i8042_data_ops, v);
		break;
	case 4:
		read_data(w);
		break;
	case 5:
		read_status(w);
		break;
	case 6:
		fuzz_wrong_width(what & 8 ? &i8042_data_ops
					  : &i8042_command_ops,
				 &w->k, 0, v);
		break;
	default:
		ctrl_alt_del(w);
		break;
	}
}

static void judge(const struct world *w)
{
	const struct i8042_state *r = &w->k.regs;

	fuzz_check(r->nr_queued <= I8042_QUEUE);
	fuzz_check(!w->line.high);
	if (r->nr_queued > 0 && (r->control & 1))
		fuzz_check(w->line.rises > w->rises_seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script script = {data, size};
	struct world w = {0};
	const struct irq_line irq = fuzz_irq(&w.line);

	i8042_init(&w.k, &irq, on_reset, &w);
	while (script.left >= 2) {
		uint8_t what = fuzz_byte(&script);

		step(&w, what, fuzz_byte(&script));
		judge(&w);
	}
	i8042_fini(&w.k);
	return 0;
}
