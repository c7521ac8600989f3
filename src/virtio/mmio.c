// SPDX-License-Identifier: Apache-2.0
/*
 * mmio.c - virtio over MMIO (theory of operation: mmio.h)
 */
#include "virtio/mmio.h"

#include <errno.h>

#define MAGIC     0x74726976u /* "virt" */
#define VERSION   2u
#define VENDOR_ID 0x746c6f56u /* "Volt" */

/* Registers (virtio 1.2, table 4.1). */
enum {
	R_MAGIC = 0x000,
	R_VERSION = 0x004,
	R_DEVICE_ID = 0x008,
	R_VENDOR_ID = 0x00c,
	R_DEVICE_FEATURES = 0x010,
	R_DEVICE_FEATURES_SEL = 0x014,
	R_DRIVER_FEATURES = 0x020,
	R_DRIVER_FEATURES_SEL = 0x024,
	R_QUEUE_SEL = 0x030,
	R_QUEUE_NUM_MAX = 0x034,
	R_QUEUE_NUM = 0x038,
	R_QUEUE_READY = 0x044,
	R_QUEUE_NOTIFY = VIRTIO_MMIO_NOTIFY,
	R_INTERRUPT_STATUS = 0x060,
	R_INTERRUPT_ACK = 0x064,
	R_STATUS = 0x070,
	R_QUEUE_DESC_LOW = 0x080,
	R_QUEUE_DESC_HIGH = 0x084,
	R_QUEUE_AVAIL_LOW = 0x090,
	R_QUEUE_AVAIL_HIGH = 0x094,
	R_QUEUE_USED_LOW = 0x0a0,
	R_QUEUE_USED_HIGH = 0x0a4,
	R_SHM_LEN_LOW = 0x0b0,
	R_SHM_BASE_HIGH = 0x0bc,
	R_CONFIG_GENERATION = 0x0fc,
};

void virtio_mmio_init_pair(struct virtio_mmio pair[2], struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < 2; i++)
		pair[i] = (struct virtio_mmio){
			.dev = dev,
			.other = &pair[!i],
		};
}

bool virtio_mmio_hidden(const struct virtio_mmio *m)
{
	return m->dev->status != 0 && m->other && m->other->owner;
}

/* The selected queue, or NULL: the driver may select what is not there. */
static struct virtq *selected(struct virtio_mmio *m)
{
	return m->queue_sel < m->dev->nr_queues ? &m->dev->queue[m->queue_sel]
						: NULL;
}

static uint32_t read_locked(struct virtio_mmio *m, uint64_t reg)
{
	struct virtio_dev *dev = m->dev;
	const struct virtq *q = selected(m);

	switch (reg) {
	case R_DEVICE_ID:
		return virtio_mmio_hidden(m) ? 0 : dev->ops->id;
	case R_DEVICE_FEATURES:
		return m->features_sel > 1 ? 0
					   : (uint32_t)(dev->offered >>
							m->features_sel * 32);
	case R_QUEUE_NUM_MAX:
		return q ? q->max : 0;
	case R_QUEUE_READY:
		return q && q->ready;
	case R_CONFIG_GENERATION:
		return dev->generation;
	case R_SHM_LEN_LOW ... R_SHM_BASE_HIGH:
		return UINT32_MAX; /* 4.2.2: no shared memory */
	default:
		return 0;
	}
}

static uint32_t read_register(struct virtio_mmio *m, uint64_t reg)
{
	uint32_t v;

	switch (reg) {
	case R_MAGIC:
		return MAGIC;
	case R_VERSION:
		return VERSION;
	case R_VENDOR_ID:
		return VENDOR_ID;
	case R_INTERRUPT_STATUS:
		return virtio_dev_isr(m->dev);
	case R_STATUS:
		return virtio_dev_status(m->dev);
	default:
		virtio_dev_enter(m->dev);
		v = read_locked(m, reg);
		virtio_dev_leave(m->dev);
		return v;
	}
}

static void set_low(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & ~(gpa_t)UINT32_MAX) | v;
}

static void set_high(gpa_t *gpa, uint32_t v)
{
	*gpa = (*gpa & UINT32_MAX) | (gpa_t)v << 32;
}

static void set_ready(struct virtio_mmio *m, struct virtq *q, uint32_t v)
{
	if (v != 1) {
		q->ready = false;
		return;
	}
	if (!q->ready && virtq_set_ready(q) < 0)
		virtio_dev_broken(m->dev, "a queue that is not in RAM");
}

/*
 * Queues are set up between FEATURES_OK and DRIVER_OK, each until it is ready;
 * QueueReady 0 takes one back within that time.
 */
static void write_queue(struct virtio_mmio *m, uint64_t reg, uint32_t v)
{
	const uint8_t when = m->dev->status & (VIRTIO_STATUS_FEATURES_OK |
					       VIRTIO_STATUS_DRIVER_OK |
					       VIRTIO_STATUS_NEEDS_RESET);
	struct virtq *q = selected(m);

	if (!q || when != VIRTIO_STATUS_FEATURES_OK ||
	    (q->ready && reg != R_QUEUE_READY))
		return;
	switch (reg) {
	case R_QUEUE_NUM:
		q->size = v > UINT16_MAX ? 0 : (uint16_t)v;
		break;
	case R_QUEUE_READY:
		set_ready(m, q, v);
		break;
	case R_QUEUE_DESC_LOW:
		set_low(&q->desc, v);
		break;
	case R_QUEUE_DESC_HIGH:
		set_high(&q->desc, v);
		break;
	case R_QUEUE_AVAIL_LOW:
		set_low(&q->avail, v);
		break;
	case R_QUEUE_AVAIL_HIGH:
		set_high(&q->avail, v);
		break;
	case R_QUEUE_USED_LOW:
		set_low(&q->used, v);
		break;
	case R_QUEUE_USED_HIGH:
		set_high(&q->used, v);
		break;
	default:
		break;
	}
}

static void write_locked(struct virtio_mmio *m, uint64_t reg, uint32_t v)
{
	switch (reg) {
	case R_DEVICE_FEATURES_SEL:
		m->features_sel = v;
		break;
	case R_DRIVER_FEATURES:
		virtio_dev_set_features(m->dev, m->driver_features_sel, v);
		break;
	case R_DRIVER_FEATURES_SEL:
		m->driver_features_sel = v;
		break;
	case R_QUEUE_SEL:
		m->queue_sel = v;
		break;
	default:
		write_queue(m, reg, v);
		break;
	}
}

static void write_status(struct virtio_mmio *m, uint8_t v)
{
	virtio_dev_enter(m->dev);
	if (m->other && m->dev->status == 0) {
		m->owner = true;
		m->other->owner = false;
	}
	virtio_dev_leave(m->dev);
	virtio_dev_set_status(m->dev, v);
}

static void write_register(struct virtio_mmio *m, uint64_t reg, uint32_t v)
{
	switch (reg) {
	case R_QUEUE_NOTIFY:
		if (v < m->dev->nr_queues)
			virtio_dev_schedule(m->dev);
		if (m->first_notify && !atomic_exchange(&m->notified, true))
			m->first_notify(m->ctx, m);
		break;
	case R_INTERRUPT_ACK:
		atomic_fetch_and_explicit(&m->dev->isr, ~v,
					  memory_order_acq_rel);
		break;
	case R_STATUS:
		/* The register is 32 bits wide, the status 8. */
		if (v <= UINT8_MAX)
			write_status(m, (uint8_t)v);
		break;
	default:
		virtio_dev_enter(m->dev);
		write_locked(m, reg, v);
		virtio_dev_leave(m->dev);
		break;
	}
}

static int mmio_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct virtio_mmio *m = dev;

	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_dev_read_config(m->dev, off - VIRTIO_MMIO_CONFIG, data,
				       len);
		return 0;
	}
	if (len != 4 || !is_aligned(off, 4))
		return -EINVAL;
	store_le32(data, read_register(m, off));
	return 0;
}

static int mmio_write(void *dev, uint64_t off, const void *data,
		      unsigned int len)
{
	struct virtio_mmio *m = dev;

	if (off >= VIRTIO_MMIO_CONFIG) {
		virtio_dev_write_config(m->dev, off - VIRTIO_MMIO_CONFIG, data,
					len);
		return 0;
	}
	if (len != 4 || !is_aligned(off, 4))
		return -EINVAL;
	write_register(m, off, load_le32(data));
	return 0;
}

const struct bus_ops virtio_mmio_bus_ops = {
	.read = mmio_read,
	.write = mmio_write,
};

void virtio_mmio_save(struct virtio_mmio *m, struct virtio_state *state)
{
	struct virtio_dev *dev = m->dev;

	virtio_dev_enter(dev);
	if (virtio_mmio_hidden(m)) {
		state->window = 1;
		m = m->other;
	}
	state->features_sel = m->features_sel;
	state->driver_features_sel = m->driver_features_sel;
	state->queue_sel = m->queue_sel;
	virtio_state_save(dev, state);
	virtio_dev_leave(dev);
}

static int load_window(struct virtio_mmio *m, const struct virtio_state *state,
		       struct err *err)
{
	if (state->window > (m->other ? 1 : 0))
		return err_set(err, -EINVAL, "%s: there is no window %u",
			       m->dev->name, state->window);
	if (state->window == 1)
		m = m->other;
	m->owner = true;
	m->features_sel = state->features_sel;
	m->driver_features_sel = state->driver_features_sel;
	m->queue_sel = state->queue_sel;
	return 0;
}

int virtio_mmio_load(struct virtio_mmio *m, const struct virtio_state *state,
		     struct err *err)
{
	struct virtio_dev *dev = m->dev;
	int r;

	virtio_dev_enter(dev);
	r = load_window(m, state, err);
	if (r == 0)
		r = virtio_state_load(dev, state, err);
	virtio_dev_leave(dev);
	return r;
}
