// SPDX-License-Identifier: Apache-2.0
/*
 * state.c - the common part of a virtio device in a snapshot (state.h)
 */
#include "virtio/state.h"

#include <errno.h>

static const struct schema_field queue_fields[] = {
	SCHEMA_STATE_UINT(struct virtq_state, size),
	SCHEMA_STATE_BOOL(struct virtq_state, ready),
	SCHEMA_STATE_BOOL(struct virtq_state, broken),
	SCHEMA_STATE_BITS(struct virtq_state, desc),
	SCHEMA_STATE_BITS(struct virtq_state, avail),
	SCHEMA_STATE_BITS(struct virtq_state, used),
	SCHEMA_STATE_UINT(struct virtq_state, next_avail),
	SCHEMA_STATE_UINT(struct virtq_state, next_used),
};

static const struct schema_object queue_schema =
	SCHEMA_STATE_OF(struct virtq_state, queue_fields);

static const struct schema_item queue_item =
	SCHEMA_STATE_ITEM(struct virtq_state, &queue_schema);

static const struct schema_field virtio_state_fields[] = {
	SCHEMA_STATE_BITS(struct virtio_state, features),
	SCHEMA_STATE_BITS(struct virtio_state, status),
	SCHEMA_STATE_BITS(struct virtio_state, isr),
	SCHEMA_STATE_UINT(struct virtio_state, generation),
	SCHEMA_STATE_UINT(struct virtio_state, window),
	SCHEMA_STATE_UINT(struct virtio_state, features_sel),
	SCHEMA_STATE_UINT(struct virtio_state, driver_features_sel),
	SCHEMA_STATE_UINT(struct virtio_state, queue_sel),
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct virtio_state, queue,
			     nr_queues, .item = &queue_item),
};

const struct schema_object virtio_state_schema =
	SCHEMA_STATE_OF(struct virtio_state, virtio_state_fields);

/* What is in flight is in no snapshot: the device is drained. */
static void save_queue(const struct virtq *q, struct virtq_state *state)
{
	assert(q->held == 0);
	*state = (struct virtq_state){
		.size = q->size,
		.ready = q->ready,
		.broken = q->broken,
		.desc = q->desc,
		.avail = q->avail,
		.used = q->used,
		.next_avail = q->next_avail,
		.next_used = q->next_used,
	};
}

void virtio_state_save(struct virtio_dev *dev, struct virtio_state *state)
{
	state->features = dev->acked;
	state->status = dev->status;
	state->isr = atomic_load_explicit(&dev->isr, memory_order_acquire);
	state->generation = dev->generation;
	state->nr_queues = dev->nr_queues;
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		save_queue(&dev->queue[i], &state->queue[i]);
}

static int load_queue(struct virtq *q, const struct virtq_state *state)
{
	q->size = state->size;
	q->desc = state->desc;
	q->avail = state->avail;
	q->used = state->used;
	q->next_avail = state->next_avail;
	q->next_used = state->next_used;
	q->published = state->next_used;
	q->broken = state->broken;
	return state->ready ? virtq_set_ready(q) : 0;
}

int virtio_state_load(struct virtio_dev *dev, const struct virtio_state *state,
		      struct err *err)
{
	if (state->nr_queues != dev->nr_queues)
		return err_set(err, -EINVAL, "%s: %u queues instead of %u",
			       dev->name, state->nr_queues, dev->nr_queues);
	if (state->status & VIRTIO_STATUS_FEATURES_OK &&
	    (state->features & ~dev->offered) != 0)
		return err_set(
			err, -EINVAL,
			"%s: the guest uses features (%#llx) that this "
			"host cannot give it",
			dev->name,
			(unsigned long long)(state->features & ~dev->offered));
	for (unsigned int i = 0; i < dev->nr_queues; i++)
		if (load_queue(&dev->queue[i], &state->queue[i]) < 0)
			return err_set(err, -EINVAL,
				       "%s: queue %u does not lie in RAM",
				       dev->name, i);
	atomic_store_explicit(&dev->isr, state->isr, memory_order_release);
	return virtio_dev_restore(dev, state->status, state->features,
				  state->generation, err);
}
