/* SPDX-License-Identifier: Apache-2.0 */
/*
 * schedule_driver.h - a legal driver that does no more than it has to
 *
 * It kicks only when the device asks for it and looks at the used rings only
 * when it is interrupted, so what the device forgets stays forgotten. Each of
 * its requests is a tag: DRIVER_DESCS descriptors of its own, so that any order
 * of answers is fine. Rings stay where they are over resets; with schedule.h.
 */
#pragma once

#include "schedule.h"
#include "virtio/state.h"
#include "virtio_kit.h"

#define DRIVER_SIZE  64u /* of each queue */
#define DRIVER_DESCS 4u  /* of a tag */
#define DRIVER_TAGS  (DRIVER_SIZE / DRIVER_DESCS)

#define NS_PER_MS    1000000ull
#define NS_PER_S     1000000000ull

/**
 * struct driver - the driver's side of one device
 * @place:	where the rings are
 * @out:	a tag of a queue is with the device
 */
struct driver {
	struct kit kit;
	struct kit_queue place[VIRTIO_QUEUES_MAX];
	uint64_t features;
	bool out[VIRTIO_QUEUES_MAX][DRIVER_TAGS];
};

/* After kit_open(). */
static inline void driver_place(struct driver *d, unsigned int nr_queues)
{
	for (unsigned int i = 0; i < nr_queues; i++) {
		d->place[i].size = DRIVER_SIZE;
		d->place[i].desc = kit_alloc(&d->kit, DRIVER_SIZE * 16);
		d->place[i].avail = kit_alloc(&d->kit, 6 + DRIVER_SIZE * 2);
		d->place[i].used = kit_alloc(&d->kit, 6 + DRIVER_SIZE * 8);
	}
}

/* From reset to DRIVER_OK, some of @wishes taken. */
static inline void driver_start(struct driver *d, uint64_t always,
				const uint64_t *wishes, size_t nr)
{
	uint64_t offered = kit_offered(&d->kit);

	d->features = VIRTIO_F_VERSION_1 | (offered & always);
	if (!schedule_once_in(3))
		d->features |= VIRTIO_F_EVENT_IDX;
	for (size_t i = 0; i < nr; i++)
		if (!schedule_once_in(3))
			d->features |= offered & wishes[i];
	schedule_check(kit_negotiate(&d->kit, d->features));
	for (unsigned int i = 0; i < d->kit.dev->nr_queues; i++) {
		d->kit.queue[i] = d->place[i];
		memset(kit_hva(&d->kit, d->place[i].avail, 6), 0,
		       6 + DRIVER_SIZE * 2);
		memset(kit_hva(&d->kit, d->place[i].used, 6), 0,
		       6 + DRIVER_SIZE * 8);
		schedule_check(kit_place_queue(&d->kit, i));
	}
	memset(d->out, 0, sizeof(d->out));
	(void)kit_irqs(&d->kit);
	kit_add_status(&d->kit, VIRTIO_STATUS_DRIVER_OK);
}

static inline bool driver_broken(struct driver *d)
{
	return kit_read(&d->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

/* 2.7.7.2, 2.7.10: does the device want to know of what came since @old? */
static inline bool driver_wants_kick(struct driver *d, unsigned int queue,
				     uint16_t old)
{
	const struct kit_queue *q = &d->kit.queue[queue];
	uint16_t event;

	if (!(d->features & VIRTIO_F_EVENT_IDX))
		return !(kit_get16(&d->kit, q->used) & 1);
	event = kit_get16(&d->kit, q->used + 4 + DRIVER_SIZE * 8);
	return (uint16_t)(q->avail_idx - event - 1) <
	       (uint16_t)(q->avail_idx - old);
}

/* A tag of @queue that the driver has. Return: DRIVER_TAGS: none. */
static inline unsigned int driver_tag(const struct driver *d,
				      unsigned int queue)
{
	unsigned int from = (unsigned int)schedule_below(DRIVER_TAGS);

	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		if (!d->out[queue][(from + i) % DRIVER_TAGS])
			return (from + i) % DRIVER_TAGS;
	return DRIVER_TAGS;
}

/* Make @tag available, without a kick. */
static inline void driver_offer(struct driver *d, unsigned int queue,
				unsigned int tag, const struct kit_buf *bufs,
				unsigned int nr)
{
	unsigned int first = tag * DRIVER_DESCS;

	schedule_check(nr > 0 && nr <= DRIVER_DESCS && !d->out[queue][tag]);
	for (unsigned int i = 0; i < nr; i++)
		kit_desc(&d->kit, queue, first + i, bufs[i].gpa, bufs[i].len,
			 (uint16_t)((bufs[i].write ? KIT_WRITE : 0) |
				    (i + 1 < nr ? KIT_NEXT : 0)),
			 (uint16_t)(first + i + 1));
	d->out[queue][tag] = true;
	kit_avail(&d->kit, queue, (uint16_t)first);
}

/* Kick for what was offered since @old, if the device wants it. */
static inline void driver_kick(struct driver *d, unsigned int queue,
			       uint16_t old)
{
	if (d->kit.queue[queue].avail_idx != old &&
	    driver_wants_kick(d, queue, old))
		kit_kick(&d->kit, queue);
}

/* What to do with a chain that is back. */
typedef void driver_answer_fn(unsigned int queue, unsigned int tag,
			      uint32_t len);

static inline void driver_look(struct driver *d, driver_answer_fn *answer)
{
	struct kit_used used;

	for (unsigned int i = 0; i < d->kit.dev->nr_queues; i++) {
		while (kit_used(&d->kit, i, &used)) {
			unsigned int tag = used.head / DRIVER_DESCS;

			schedule_check(used.head % DRIVER_DESCS == 0 &&
				       tag < DRIVER_TAGS && d->out[i][tag]);
			d->out[i][tag] = false;
			schedule_note(used.head);
			schedule_note(used.len);
			answer(i, tag, used.len);
			/* used_event: tell me of the next one. */
			kit_put16(&d->kit,
				  d->place[i].avail + 4 + DRIVER_SIZE * 2,
				  d->kit.queue[i].used_idx);
		}
	}
}

/* What an interrupt makes a driver do. */
static inline void driver_collect(struct driver *d, driver_answer_fn *answer)
{
	if (kit_irqs(&d->kit) == 0)
		return;
	kit_write(&d->kit, KIT_INTERRUPT_ACK,
		  kit_read(&d->kit, KIT_INTERRUPT_STATUS));
	driver_look(d, answer);
}

/* The loop comes to rest; @one is a step of it. */
static inline void driver_pump(struct driver *d, void (*one)(void))
{
	struct pollfd p = {.fd = d->kit.loop.epoll_fd, .events = POLLIN};
	unsigned int left = 10000;

	while (poll(&p, 1, 0) > 0) {
		schedule_check(left-- > 0);
		one();
	}
}

static inline void driver_pause(struct driver *d)
{
	if (!d->kit.dev->paused)
		virtio_dev_pause(d->kit.dev);
}

static inline void driver_resume(struct driver *d)
{
	if (d->kit.dev->paused)
		virtio_dev_resume(d->kit.dev);
}

/* Devices here always have drained at once. */
static inline void driver_drain(struct driver *d)
{
	driver_pause(d);
	schedule_check(virtio_dev_drain(d->kit.dev, schedule.now) == 0);
}

/* Into a snapshot and out of it: @again makes the same device anew. */
static inline void driver_save_and_load(struct driver *d, void (*again)(void))
{
	const struct virtio_dev_ops *ops = d->kit.dev->ops;
	struct virtio_state transport = {0};
	uint64_t device[8] = {0};
	struct err err;

	driver_drain(d);
	virtio_mmio_save(&d->kit.mmio, &transport);
	schedule_check(!ops->state || ops->state->size <= sizeof(device));
	if (ops->state)
		ops->save(d->kit.dev, device);
	ops->destroy(d->kit.dev);
	again();
	if (ops->state) {
		schedule_check(ops->load(d->kit.dev, device, &err) == 0);
		schema_free(ops->state, device);
	}
	schedule_check(virtio_mmio_load(&d->kit.mmio, &transport, &err) == 0);
	if (schedule_once_in(2))
		driver_resume(d);
}

/* An index that makes no sense. */
static inline void driver_break(struct driver *d, unsigned int queue)
{
	kit_put16(&d->kit, d->place[queue].avail + 2,
		  (uint16_t)(d->kit.queue[queue].avail_idx + DRIVER_SIZE + 1));
	kit_kick(&d->kit, queue);
}
