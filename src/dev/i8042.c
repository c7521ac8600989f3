// SPDX-License-Identifier: Apache-2.0
/*
 * i8042.c - keyboard controller (theory of operation: i8042.h)
 *
 * Command and status bits: IBM PS/2 Hardware Interface Technical Reference,
 * keyboard and auxiliary device controller.
 */
#include "dev/i8042.h"

#include <errno.h>

#define STATUS_OUT_FULL   0x01
#define STATUS_SYSTEM     0x04
#define STATUS_COMMAND    0x08
#define STATUS_UNLOCKED   0x10

#define CONTROL_IRQ       0x01
#define CONTROL_SYSTEM    0x04
#define CONTROL_KBD_OFF   0x10
#define CONTROL_AUX_OFF   0x20
#define CONTROL_TRANSLATE 0x40

#define CMD_READ_CONTROL  0x20
#define CMD_WRITE_CONTROL 0x60
#define CMD_AUX_OFF       0xa7
#define CMD_AUX_ON        0xa8
#define CMD_AUX_TEST      0xa9
#define CMD_SELF_TEST     0xaa
#define CMD_KBD_TEST      0xab
#define CMD_KBD_OFF       0xad
#define CMD_KBD_ON        0xae
#define CMD_READ_OUTPUT   0xd0
#define CMD_WRITE_OUTPUT  0xd1
#define CMD_WRITE_KBD_OUT 0xd2
#define CMD_WRITE_AUX_OUT 0xd3
#define CMD_WRITE_AUX     0xd4
#define CMD_RESET         0xfe

#define SELF_TEST_OK      0x55
#define OUTPUT_RESET      0x01 /* bit 0 of the output port low: reset */
#define OUTPUT_A20        0x02

#define KBD_LEDS          0xed
#define KBD_ECHO          0xee
#define KBD_SET           0xf0
#define KBD_IDENTIFY      0xf2
#define KBD_RATE          0xf3
#define KBD_RESET         0xff
#define KBD_ACK           0xfa
#define KBD_BAT_OK        0xaa

/* Linux takes only 1 to 0xf9 for a failure of the test. */
#define AUX_CLOCK_LOW 0x01
#define AUX_RESEND    0xfe

static const struct metric dev_i8042_metrics[] = {
	METRIC(struct i8042_metrics, error_count),
	METRIC(struct i8042_metrics, missed_read_count),
	METRIC(struct i8042_metrics, missed_write_count),
	METRIC(struct i8042_metrics, read_count),
	METRIC(struct i8042_metrics, reset_count),
	METRIC(struct i8042_metrics, write_count),
};

const struct metric_group i8042_metric_group = {
	"i8042",
	dev_i8042_metrics,
	ARRAY_SIZE(dev_i8042_metrics),
};

static void raise_if_wanted(struct i8042 *k)
{
	if (k->regs.nr_queued > 0 && (k->regs.control & CONTROL_IRQ))
		irq_line_pulse(&k->irq);
}

/* A byte beyond the queue is lost, as in the chip. */
static void i8042_put(struct i8042 *k, uint8_t byte)
{
	if (k->regs.nr_queued == I8042_QUEUE) {
		metric_inc(&k->metrics.error_count);
		return;
	}
	k->regs.queue[k->regs.nr_queued++] = byte;
	if (k->regs.nr_queued == 1)
		raise_if_wanted(k);
}

/* The controller's own answer: never lost, never behind another byte. */
static void i8042_answer(struct i8042 *k, uint8_t byte)
{
	k->regs.nr_queued = 0;
	i8042_put(k, byte);
}

static uint8_t i8042_take(struct i8042 *k)
{
	uint8_t byte = k->regs.queue[0];

	if (k->regs.nr_queued == 0) {
		metric_inc(&k->metrics.missed_read_count);
		return 0;
	}
	k->regs.nr_queued--;
	memmove(k->regs.queue, k->regs.queue + 1, k->regs.nr_queued);
	metric_inc(&k->metrics.read_count);
	raise_if_wanted(k);
	return byte;
}

static void keyboard_command(struct i8042 *k, uint8_t byte)
{
	if (k->regs.kbd_pending != 0) { /* the argument of LEDs, rate or set */
		k->regs.kbd_pending = 0;
		i8042_put(k, KBD_ACK);
		return;
	}
	switch (byte) {
	case KBD_ECHO:
		i8042_put(k, KBD_ECHO);
		return;
	case KBD_LEDS:
	case KBD_SET:
	case KBD_RATE:
		k->regs.kbd_pending = byte;
		break;
	default:
		break;
	}
	i8042_put(k, KBD_ACK);
	if (byte == KBD_IDENTIFY) { /* an MF2 keyboard */
		i8042_put(k, 0xab);
		i8042_put(k, 0x83);
	} else if (byte == KBD_RESET) {
		i8042_put(k, KBD_BAT_OK);
	}
}

/* Return: true when the guest pulled the reset line. */
static bool write_data(struct i8042 *k, uint8_t byte)
{
	uint8_t command = k->regs.pending;

	k->regs.pending = 0;
	switch (command) {
	case 0:
		keyboard_command(k, byte);
		break;
	case CMD_WRITE_CONTROL:
		k->regs.control = byte;
		raise_if_wanted(k);
		break;
	case CMD_WRITE_OUTPUT:
		k->regs.output = byte;
		return !(byte & OUTPUT_RESET);
	case CMD_WRITE_KBD_OUT:
		i8042_put(k, byte);
		break;
	case CMD_WRITE_AUX_OUT:
		i8042_answer(k, byte);
		break;
	case CMD_WRITE_AUX:
		i8042_answer(k, AUX_RESEND);
		break;
	default:
		break;
	}
	return false;
}

static bool write_command(struct i8042 *k, uint8_t byte)
{
	k->regs.pending = 0;
	switch (byte) {
	case CMD_READ_CONTROL:
		i8042_answer(k, k->regs.control);
		break;
	case CMD_SELF_TEST:
		k->regs.control |= CONTROL_SYSTEM;
		i8042_answer(k, SELF_TEST_OK);
		break;
	case CMD_KBD_TEST:
		i8042_answer(k, 0);
		break;
	case CMD_AUX_TEST:
		i8042_answer(k, AUX_CLOCK_LOW);
		break;
	case CMD_KBD_OFF:
		k->regs.control |= CONTROL_KBD_OFF;
		break;
	case CMD_KBD_ON:
		k->regs.control &= (uint8_t)~CONTROL_KBD_OFF;
		break;
	case CMD_READ_OUTPUT:
		i8042_answer(k, k->regs.output);
		break;
	case CMD_WRITE_CONTROL:
	case CMD_WRITE_OUTPUT:
	case CMD_WRITE_KBD_OUT:
	case CMD_WRITE_AUX_OUT:
	case CMD_WRITE_AUX:
		k->regs.pending = byte;
		break;
	case CMD_RESET:
		return true;
	case CMD_AUX_OFF:
	case CMD_AUX_ON:
		break;
	default:
		metric_inc(&k->metrics.missed_write_count);
		break;
	}
	return false;
}

static int write_port(struct i8042 *k, const void *data, unsigned int len,
		      bool (*handle)(struct i8042 *k, uint8_t byte))
{
	bool reset;

	if (len != 1) {
		metric_inc(&k->metrics.missed_write_count);
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&k->lock);
	metric_inc(&k->metrics.write_count);
	reset = handle(k, *(const uint8_t *)data);
	(void)pthread_mutex_unlock(&k->lock);
	if (reset) {
		metric_inc(&k->metrics.reset_count);
		k->reset(k->ctx);
	}
	return 0;
}

static int data_write(void *dev, uint64_t off, const void *data,
		      unsigned int len)
{
	(void)off;
	return write_port(dev, data, len, write_data);
}

static int command_write(void *dev, uint64_t off, const void *data,
			 unsigned int len)
{
	(void)off;
	return write_port(dev, data, len, write_command);
}

static int data_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct i8042 *k = dev;

	(void)off;
	if (len != 1) {
		metric_inc(&k->metrics.missed_read_count);
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&k->lock);
	*(uint8_t *)data = i8042_take(k);
	(void)pthread_mutex_unlock(&k->lock);
	return 0;
}

static int command_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct i8042 *k = dev;
	uint8_t status = STATUS_UNLOCKED;

	(void)off;
	if (len != 1) {
		metric_inc(&k->metrics.missed_read_count);
		return -EINVAL;
	}
	(void)pthread_mutex_lock(&k->lock);
	if (k->regs.nr_queued > 0)
		status |= STATUS_OUT_FULL;
	if (k->regs.control & CONTROL_SYSTEM)
		status |= STATUS_SYSTEM;
	if (k->regs.pending != 0)
		status |= STATUS_COMMAND;
	metric_inc(&k->metrics.read_count);
	(void)pthread_mutex_unlock(&k->lock);
	*(uint8_t *)data = status;
	return 0;
}

/* clang-format off */
static const struct schema_field i8042_state_fields[] = {
	SCHEMA_STATE_BITS(struct i8042_state, pending),
	SCHEMA_STATE_BITS(struct i8042_state, kbd_pending),
	SCHEMA_STATE_BITS(struct i8042_state, control),
	SCHEMA_STATE_BITS(struct i8042_state, output),
	SCHEMA_STATE_COUNTED(SCHEMA_HEX, struct i8042_state, queue, nr_queued),
};
/* clang-format on */

const struct schema_object i8042_state_schema =
	SCHEMA_STATE_OF(struct i8042_state, i8042_state_fields);

void i8042_save(struct i8042 *k, struct i8042_state *state)
{
	(void)pthread_mutex_lock(&k->lock);
	*state = k->regs;
	(void)pthread_mutex_unlock(&k->lock);
}

/* The registers take any value. The interrupt of a byte that waits has been
 * raised: the interrupt controller's state has it. */
int i8042_load(struct i8042 *k, const struct i8042_state *state,
	       struct err *err)
{
	if (state->nr_queued > I8042_QUEUE)
		return err_set(err, -EINVAL,
			       "%u bytes in a keyboard queue of %u",
			       state->nr_queued, I8042_QUEUE);
	(void)pthread_mutex_lock(&k->lock);
	k->regs = *state;
	(void)pthread_mutex_unlock(&k->lock);
	return 0;
}

const struct bus_ops i8042_data_ops = {data_read, data_write};
const struct bus_ops i8042_command_ops = {command_read, command_write};

void i8042_init(struct i8042 *k, const struct irq_line *irq,
		void (*reset)(void *ctx), void *ctx)
{
	k->irq = *irq;
	k->reset = reset;
	k->ctx = ctx;
	k->regs.control = CONTROL_IRQ | CONTROL_SYSTEM | CONTROL_AUX_OFF;
	k->regs.output = OUTPUT_RESET | OUTPUT_A20;
	(void)pthread_mutex_init(&k->lock, NULL);
}

void i8042_fini(struct i8042 *k)
{
	(void)pthread_mutex_destroy(&k->lock);
}

int i8042_send_ctrl_alt_del(struct i8042 *k)
{
	static const uint8_t set2[] = {0x14, 0x11, 0xe0, 0x71};
	static const uint8_t set1[] = {0x1d, 0x38, 0xe0, 0x53};
	const uint8_t *codes = set2;
	int r = 0;

	static_assert(sizeof(set1) == sizeof(set2), "same keys");
	(void)pthread_mutex_lock(&k->lock);
	if (k->regs.control & CONTROL_TRANSLATE)
		codes = set1;
	if (k->regs.nr_queued + sizeof(set2) > I8042_QUEUE)
		r = -ENOSPC;
	for (size_t i = 0; r == 0 && i < sizeof(set2); i++)
		i8042_put(k, codes[i]);
	(void)pthread_mutex_unlock(&k->lock);
	return r;
}
