// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_virtio.c - the ring walker and the transport under any driver
 *
 * An input is a script of a driver: registers of any value and width, status,
 * rings, and 64 KiB of memory that it writes as it likes; the echo device
 * serves it, or holds on to chains. A model that knows nothing of the walker
 * checks what comes out: each chain that the device is shown was offered, its
 * buffers are RAM, their sums fit, the used ring holds exactly what was
 * answered, and nobody takes more than the queue holds.
 */
#include "dev_fuzz.h"

#include "../unit/virtio_echo.h"
#include "../unit/virtio_kit.h"

#include "base/log.h"

#define WINDOW KIB(64) /* what the script can write */
#define STEPS  300u

/**
 * struct model - what must be so for the queues
 * @base:	next_used when the queue began; the used index follows from it
 */
struct model {
	struct kit kit;
	struct echo *echo;
	unsigned int taken; /* since the last publish that could be seen */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ram(const struct model *m, const struct iovec *iov)
{
	const uint8_t *ram = m->kit.mem.region[0].hva;
	const uint8_t *p = iov->iov_base;

	return iov->iov_len > 0 && p >= ram &&
	       range_fits((uint64_t)(p - ram), iov->iov_len, KIT_RAM_BYTES);
}

static void look_at_chain(struct echo *echo, struct virtq *q,
			  const struct virtq_chain *chain)
{
	const struct model *m = echo->ctx;
	uint64_t out = 0, in = 0;

	fuzz_check(m->kit.dev->active);
	fuzz_check(chain->head < q->size);
	fuzz_check(chain->nr_out + chain->nr_in <= ECHO_SEGMENTS);
	for (unsigned int i = 0; i < chain->nr_out; i++) {
		fuzz_check(is_ram(m, &chain->out[i]));
		out += chain->out[i].iov_len;
	}
	for (unsigned int i = 0; i < chain->nr_in; i++) {
		fuzz_check(is_ram(m, &chain->in[i]));
		in += chain->in[i].iov_len;
	}
	fuzz_check(out == chain->out_bytes && in == chain->in_bytes);
	fuzz_check(out + in <= UINT32_MAX);
	fuzz_check((uint16_t)(q->next_avail - q->published) <= q->size);
}

static void check_queue(const struct virtq *q)
{
	fuzz_check(!q->ready || (q->size > 0 && q->size <= q->max &&
				 (q->size & (q->size - 1)) == 0));
	fuzz_check((uint16_t)(q->next_avail - q->next_used) <= q->max);
	if (q->ready) {
		const uint8_t *used = q->hva_used;

		(void)used[3];
		(void)used[4 + 8 * (size_t)q->size + 1];
	}
}

static void check(const struct model *m)
{
	const struct virtio_dev *dev = m->kit.dev;

	for (unsigned int i = 0; i < dev->nr_queues; i++)
		check_queue(&dev->queue[i]);
	fuzz_check(m->echo->nr_held <= 2 * ECHO_QUEUE_MAX);
	fuzz_check(!dev->active || (dev->status & 0xf) == 0xf);
	fuzz_check(!(dev->status & VIRTIO_STATUS_NEEDS_RESET && dev->active));
	fuzz_check(!(dev->status & VIRTIO_STATUS_FEATURES_OK) ||
		   (dev->acked & ~dev->offered) == 0);
}

/* Rings in the window, so that the script can write them whole. */
static void start(struct model *m, struct fuzz_script *s)
{
	struct kit *k = &m->kit;

	if (!kit_negotiate(k, VIRTIO_F_VERSION_1 | (uint64_t)(fuzz_byte(s) & 3)
							   << 28))
		return;
	for (unsigned int i = 0; i < ECHO_QUEUES; i++) {
		struct kit_queue *q = &k->queue[i];

		*q = (struct kit_queue){
			.size = (uint16_t)(1u << fuzz_byte(s) % 9),
			.desc = (uint64_t)i * 0x8000,
			.avail = (uint64_t)i * 0x8000 + 0x2000,
			.used = (uint64_t)i * 0x8000 + 0x4000,
		};
		kit_must(kit_place_queue(k, i));
		/* Indices begin at 0, as a driver has to have them. */
		memset(kit_hva(k, q->avail, 4), 0, 4);
	}
	kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
}

static void any_register(struct model *m, struct fuzz_script *s)
{
	uint64_t off = fuzz_take(s, 2) & 0x1ff;
	unsigned int len = 1u << fuzz_byte(s) % 4;
	uint8_t buf[8];
	uint64_t v = fuzz_take(s, 4);

	if (v & 1)
		off = (off & 0xfc) | (off & 0x100);
	memcpy(buf, &v, sizeof(buf));
	if (fuzz_byte(s) & 1)
		(void)virtio_mmio_bus_ops.read(&m->kit.mmio, off, buf, len);
	else
		(void)virtio_mmio_bus_ops.write(&m->kit.mmio, off, buf, len);
}

static void any_bytes(struct model *m, struct fuzz_script *s)
{
	uint64_t off = fuzz_take(s, 2);
	unsigned int len = fuzz_byte(s) % 33;
	uint8_t *p = kit_hva(&m->kit, 0, WINDOW);

	for (unsigned int i = 0; i < len && off + i < WINDOW; i++)
		p[off + i] = fuzz_byte(s);
}

static void descriptor(struct model *m, struct fuzz_script *s)
{
	unsigned int queue = fuzz_byte(s) % ECHO_QUEUES;
	unsigned int at = fuzz_byte(s);
	uint64_t gpa = fuzz_take(s, 3);
	uint32_t len = (uint32_t)fuzz_take(s, 2);
	uint16_t flags = fuzz_byte(s);
	struct kit_queue *q = &m->kit.queue[queue];

	if (flags & 0x80)
		gpa = (uint64_t)len << 48 | gpa;
	if (flags & 0x40)
		len <<= 16;
	if (q->size)
		kit_desc(&m->kit, queue, at % q->size, gpa, len, flags & 7,
			 fuzz_byte(s));
}

static void offer(struct model *m, struct fuzz_script *s)
{
	unsigned int queue = fuzz_byte(s) % ECHO_QUEUES;

	if (m->kit.queue[queue].size)
		kit_avail(&m->kit, queue, fuzz_byte(s));
	virtio_dev_schedule(m->kit.dev);
}

static void step(struct model *m, struct fuzz_script *s)
{
	switch (fuzz_byte(s) % 12) {
	case 0:
		start(m, s);
		break;
	case 1:
		any_register(m, s);
		break;
	case 2:
		any_bytes(m, s);
		break;
	case 3:
		m->echo->hold = fuzz_byte(s) & 1;
		break;
	case 4:
		if (m->echo->nr_held > 0)
			echo_finish(m->echo);
		break;
	case 5:
		virtio_dev_pause(m->kit.dev);
		kit_pump(&m->kit);
		virtio_dev_resume(m->kit.dev);
		break;
	case 6:
	case 7:
	case 8:
		descriptor(m, s);
		break;
	default:
		offer(m, s);
		kit_pump(&m->kit);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model m;
	static bool made;
	struct fuzz_script s = {data, size};

	if (!made) {
		log_settings.level = LOG_OFF;
		kit_open(&m.kit);
		m.echo = echo_new(&m.kit.mem, &m.kit.loop);
		m.echo->saw = look_at_chain;
		m.echo->ctx = &m;
		kit_attach(&m.kit, &m.echo->dev);
		made = true;
	}
	kit_write(&m.kit, KIT_STATUS, 0);
	memset(kit_hva(&m.kit, 0, WINDOW), 0, WINDOW);
	memset(m.kit.queue, 0, sizeof(m.kit.queue));
	m.echo->hold = false;
	start(&m, &s);
	for (unsigned int i = 0; i < STEPS && s.left > 0; i++) {
		step(&m, &s);
		check(&m);
	}
	/* Whatever it did: after a reset the device works. */
	kit_write(&m.kit, KIT_STATUS, 0);
	kit_pump(&m.kit);
	(void)kit_irqs(&m.kit);
	fuzz_check(kit_read(&m.kit, KIT_STATUS) == 0);
	fuzz_check(m.echo->nr_held == 0);
	return 0;
}
