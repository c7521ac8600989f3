// SPDX-License-Identifier: Apache-2.0
/*
 * serial.c - 16550A UART (theory of operation: serial.h)
 */
#include "dev/serial.h"

#include "base/log.h"
#include "host/clock.h"

#include <errno.h>

#define REG_DATA  0 /* RBR, THR; DLL with DLAB */
#define REG_IER   1 /* DLM with DLAB */
#define REG_IIR   2 /* FCR on write */
#define REG_LCR   3
#define REG_MCR   4
#define REG_LSR   5
#define REG_MSR   6
#define REG_SCR   7

#define IER_RDA   0x01
#define IER_THRE  0x02
#define IER_MASK  0x0f
#define IIR_NONE  0x01
#define IIR_THRE  0x02
#define IIR_RDA   0x04
#define IIR_FIFO  0xc0
#define FCR_FIFO  0x01
#define FCR_CLEAR 0x02
#define FCR_KEPT  0xc9
#define LCR_DLAB  0x80
#define MCR_DTR   0x01
#define MCR_RTS   0x02
#define MCR_OUT1  0x04
#define MCR_OUT2  0x08
#define MCR_LOOP  0x10
#define MCR_MASK  0x1f
#define LSR_DR    0x01
#define LSR_EMPTY 0x60 /* THRE and TEMT */
#define MSR_CTS   0x10
#define MSR_DSR   0x20
#define MSR_RI    0x40
#define MSR_DCD   0x80

static const struct metric dev_serial_metrics[] = {
	METRIC(struct serial_metrics, error_count),
	METRIC(struct serial_metrics, flush_count),
	METRIC(struct serial_metrics, missed_read_count),
	METRIC(struct serial_metrics, missed_write_count),
	METRIC(struct serial_metrics, read_count),
	METRIC(struct serial_metrics, write_count),
	METRIC(struct serial_metrics, rate_limiter_dropped_bytes),
};

const struct metric_group serial_metric_group = {
	"uart",
	dev_serial_metrics,
	ARRAY_SIZE(dev_serial_metrics),
};

static unsigned int in_count(const struct serial *s)
{
	unsigned int n = s->in_head - s->in_tail;

	assert(n <= SERIAL_IN_BYTES);
	return n;
}

/* The guest looks at the receiver, or is called to. */
static void fill_fifo(struct serial *s)
{
	unsigned int n = in_count(s);

	s->in_fifo = n < SERIAL_FIFO_BYTES ? n : SERIAL_FIFO_BYTES;
}

static void clear_fifo(struct serial *s)
{
	s->in_tail += s->in_fifo;
	s->in_fifo = 0;
}

static bool rda(const struct serial *s)
{
	return (s->regs.ier & IER_RDA) && in_count(s) > 0;
}

static bool thre(const struct serial *s)
{
	return (s->regs.ier & IER_THRE) && s->regs.thre_pending;
}

/* @fresh: a cause arose just now and needs an edge of its own. */
static void update_irq(struct serial *s, bool fresh)
{
	bool high = rda(s) || thre(s);

	if (rda(s))
		fill_fifo(s);
	if (high && s->irq_high && fresh)
		irq_line_set(&s->irq, false);
	else if (high == s->irq_high)
		return;
	s->irq_high = high;
	irq_line_set(&s->irq, high);
}

/* Behind the lock, which the VMM thread takes first of all when it is woken. */
static void serial_unlock(struct serial *s)
{
	bool due = s->wake_due;

	s->wake_due = false;
	(void)pthread_mutex_unlock(&s->lock);
	if (due && s->wake)
		s->wake(s->wake_ctx);
}

static void put_output(struct serial *s, uint8_t byte)
{
	if (token_bucket_limits(&s->limit) &&
	    !token_bucket_take(&s->limit, 1, now_ns())) {
		metric_inc(&s->metrics.rate_limiter_dropped_bytes);
		return;
	}
	if (s->out_head - s->out_tail == SERIAL_OUT_BYTES) {
		metric_inc(&s->metrics.missed_write_count);
		log_guest(LOG_WARN, "Serial output is dropped: nobody reads "
				    "it fast enough");
		return;
	}
	s->out[s->out_head % SERIAL_OUT_BYTES] = byte;
	s->out_head++;
	metric_inc(&s->metrics.write_count);
	if (s->out_head - s->out_tail == 1)
		s->wake_due = true;
}

static bool put_input(struct serial *s, uint8_t byte)
{
	if (in_count(s) == SERIAL_IN_BYTES)
		return false;
	s->in[s->in_head % SERIAL_IN_BYTES] = byte;
	s->in_head++;
	return true;
}

static void write_thr(struct serial *s, uint8_t byte)
{
	s->regs.thre_pending = true; /* sent at once */
	if (s->regs.mcr & MCR_LOOP) {
		if (!put_input(s, byte))
			metric_inc(&s->metrics.error_count); /* overrun */
	} else {
		put_output(s, byte);
	}
	update_irq(s, true);
}

/* Input was taken: the console may have more. */
static void feed(struct serial *s)
{
	if (!s->starved || in_count(s) > SERIAL_IN_BYTES / 2)
		return;
	s->starved = false;
	s->wake_due = true;
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t byte = 0;

	if (in_count(s) > 0) {
		byte = s->in[s->in_tail % SERIAL_IN_BYTES];
		s->in_tail++;
		fill_fifo(s);
		metric_inc(&s->metrics.read_count);
	} else {
		metric_inc(&s->metrics.missed_read_count);
	}
	feed(s);
	update_irq(s, false);
	return byte;
}

static void write_ier(struct serial *s, uint8_t v)
{
	uint8_t was = s->regs.ier;

	s->regs.ier = v & IER_MASK;
	/* Enabling it with an empty transmitter raises it (data sheet 8.6). */
	if (!(was & IER_THRE) && (v & IER_THRE))
		s->regs.thre_pending = true;
	update_irq(s, true);
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t v = IIR_NONE;

	if (rda(s)) {
		fill_fifo(s);
		v = IIR_RDA;
	} else if (thre(s)) {
		v = IIR_THRE;
		s->regs.thre_pending = false; /* this read takes it */
		update_irq(s, false);
	}
	return v | (s->regs.fcr & FCR_FIFO ? IIR_FIFO : 0);
}

static uint8_t read_msr(const struct serial *s)
{
	uint8_t v = 0;

	if (!(s->regs.mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (s->regs.mcr & MCR_DTR)
		v |= MSR_DSR;
	if (s->regs.mcr & MCR_RTS)
		v |= MSR_CTS;
	if (s->regs.mcr & MCR_OUT1)
		v |= MSR_RI;
	if (s->regs.mcr & MCR_OUT2)
		v |= MSR_DCD;
	return v;
}

static uint8_t serial_read_reg(struct serial *s, uint64_t off)
{
	bool dlab = s->regs.lcr & LCR_DLAB;

	switch (off) {
	case REG_DATA:
		return dlab ? s->regs.dll : read_rbr(s);
	case REG_IER:
		return dlab ? s->regs.dlm : s->regs.ier;
	case REG_IIR:
		return read_iir(s);
	case REG_LCR:
		return s->regs.lcr;
	case REG_MCR:
		return s->regs.mcr;
	case REG_LSR:
		fill_fifo(s);
		return (uint8_t)(LSR_EMPTY | (in_count(s) > 0 ? LSR_DR : 0));
	case REG_MSR:
		return read_msr(s);
	default:
		return s->regs.scr;
	}
}

static void write_reg(struct serial *s, uint64_t off, uint8_t v)
{
	bool dlab = s->regs.lcr & LCR_DLAB;

	switch (off) {
	case REG_DATA:
		if (dlab)
			s->regs.dll = v;
		else
			write_thr(s, v);
		break;
	case REG_IER:
		if (dlab)
			s->regs.dlm = v;
		else
			write_ier(s, v);
		break;
	case REG_IIR:
		s->regs.fcr = v & FCR_KEPT;
		if (v & FCR_CLEAR)
			clear_fifo(s);
		feed(s);
		/* What comes into an empty FIFO is a cause of its own. */
		update_irq(s, v & FCR_CLEAR && in_count(s) > 0);
		break;
	case REG_LCR:
		s->regs.lcr = v;
		break;
	case REG_MCR:
		s->regs.mcr = v & MCR_MASK;
		break;
	case REG_SCR:
		s->regs.scr = v;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

/* Byte registers: a wider access is nobody's. */
static int serial_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct serial *s = dev;

	if (len != 1) {
		metric_inc(&s->metrics.missed_read_count);
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&s->lock);
	*(uint8_t *)data = serial_read_reg(s, off);
	serial_unlock(s);
	return 0;
}

static int serial_write(void *dev, uint64_t off, const void *data,
			unsigned int len)
{
	struct serial *s = dev;

	if (len != 1) {
		metric_inc(&s->metrics.missed_write_count);
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&s->lock);
	write_reg(s, off, *(const uint8_t *)data);
	serial_unlock(s);
	return 0;
}

/* clang-format off */
#define REG(member) \
	{ SCHEMA_STATE(#member, SCHEMA_BITS, struct serial_state, regs.member) }

static const struct schema_field serial_state_fields[] = {
	REG(ier), REG(lcr), REG(mcr), REG(scr), REG(fcr), REG(dll), REG(dlm),
	{ SCHEMA_STATE("thre_pending", SCHEMA_BOOL, struct serial_state,
		       regs.thre_pending) },
	SCHEMA_STATE_COUNTED(SCHEMA_HEX, struct serial_state, input, nr_input),
	SCHEMA_STATE_UINT(struct serial_state, limit_tokens),
	SCHEMA_STATE_UINT(struct serial_state, limit_burst),
};
/* clang-format on */

const struct schema_object serial_state_schema =
	SCHEMA_STATE_OF(struct serial_state, serial_state_fields);

void serial_save(struct serial *s, struct serial_state *state)
{
	(void)pthread_mutex_lock(&s->lock);
	state->regs = s->regs;
	state->nr_input = in_count(s);
	for (unsigned int i = 0; i < state->nr_input; i++)
		state->input[i] = s->in[(s->in_tail + i) % SERIAL_IN_BYTES];
	state->limit_tokens = s->limit.tokens;
	state->limit_burst = s->limit.burst;
	(void)pthread_mutex_unlock(&s->lock);
}

static bool regs_possible(const struct serial_regs *r)
{
	return (r->ier & ~IER_MASK) == 0 && (r->mcr & ~MCR_MASK) == 0 &&
	       (r->fcr & ~FCR_KEPT) == 0;
}

static uint64_t at_most(uint64_t v, uint64_t max)
{
	return v < max ? v : max;
}

int serial_load(struct serial *s, const struct serial_state *state,
		struct err *err)
{
	if (!regs_possible(&state->regs))
		return err_set(err, -EINVAL,
			       "registers cannot be ier %#x, mcr %#x, fcr %#x",
			       state->regs.ier, state->regs.mcr,
			       state->regs.fcr);
	if (state->nr_input > SERIAL_IN_BYTES)
		return err_set(err, -EINVAL, "%u bytes in a queue of %u",
			       state->nr_input, SERIAL_IN_BYTES);
	(void)pthread_mutex_lock(&s->lock);
	s->regs = state->regs;
	s->in_tail = 0;
	s->in_head = state->nr_input;
	s->in_fifo = 0;
	memcpy(s->in, state->input, state->nr_input);
	s->irq_high = rda(s) || thre(s);
	s->limit.tokens = at_most(state->limit_tokens, s->limit.size);
	s->limit.burst = at_most(state->limit_burst, s->limit.burst);
	(void)pthread_mutex_unlock(&s->lock);
	return 0;
}

const struct bus_ops serial_bus_ops = {serial_read, serial_write};

void serial_init(struct serial *s, const struct irq_line *irq)
{
	s->irq = *irq;
	s->regs.dll = 12; /* 9600 baud, as firmware leaves it */
	(void)pthread_mutex_init(&s->lock, NULL);
}

void serial_fini(struct serial *s)
{
	(void)pthread_mutex_destroy(&s->lock);
}

void serial_set_wake(struct serial *s, void (*wake_fn)(void *ctx), void *ctx)
{
	s->wake = wake_fn;
	s->wake_ctx = ctx;
}

void serial_set_limit(struct serial *s, uint64_t size, uint64_t burst,
		      uint64_t refill_ms)
{
	token_bucket_init(&s->limit, size, burst, refill_ms, now_ns());
}

size_t serial_peek_output(struct serial *s, const uint8_t **data)
{
	unsigned int at, n, to_end;

	(void)pthread_mutex_lock(&s->lock);
	at = s->out_tail % SERIAL_OUT_BYTES;
	n = s->out_head - s->out_tail;
	(void)pthread_mutex_unlock(&s->lock);
	to_end = SERIAL_OUT_BYTES - at;
	*data = &s->out[at];
	return n < to_end ? n : to_end;
}

void serial_take_output(struct serial *s, size_t len)
{
	(void)pthread_mutex_lock(&s->lock);
	assert(len <= s->out_head - s->out_tail);
	s->out_tail += (unsigned int)len;
	metric_inc(&s->metrics.flush_count);
	(void)pthread_mutex_unlock(&s->lock);
}

size_t serial_put_input(struct serial *s, const uint8_t *data, size_t len)
{
	size_t taken = 0;

	(void)pthread_mutex_lock(&s->lock);
	while (taken < len && put_input(s, data[taken]))
		taken++;
	s->starved = taken < len;
	if (taken > 0)
		update_irq(s, true);
	(void)pthread_mutex_unlock(&s->lock);
	return taken;
}
