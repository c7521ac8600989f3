// SPDX-License-Identifier: Apache-2.0
/*
 * slots_state.c - the machine's virtio devices in a snapshot
 *
 * {"slots": [{"kind", "transport", "limiters", "device"}]}, in the order of
 * their windows.
 * The devices' parts go by their ops->state and are loaded first; the
 * transports, which activate the devices, second (virtio/state.h).
 */
#include "base/fd.h"
#include "virtio/state.h"
#include "vm/slots.h"

#include <errno.h>
#include <stdlib.h>

struct slot_state {
	char *kind;
	struct virtio_state transport;
	unsigned int nr_limiters;
	struct rate_limiter_state limiters[SLOT_LIMITERS_MAX];
	struct schema_raw device;
};

struct slots_state {
	struct schema_list slots;
};

static const struct schema_item limiter_item = SCHEMA_STATE_ITEM(
	struct rate_limiter_state, &rate_limiter_state_schema);

static const struct schema_field slot_fields[] = {
	{SCHEMA_STATE("kind", SCHEMA_STRING, struct slot_state, kind)},
	SCHEMA_STATE_OBJECT(struct slot_state, transport, &virtio_state_schema),
	SCHEMA_STATE_COUNTED(SCHEMA_ARRAY, struct slot_state, limiters,
			     nr_limiters, .item = &limiter_item),
	{SCHEMA_STATE("device", SCHEMA_RAW, struct slot_state, device)},
};
static const struct schema_object slot_schema =
	SCHEMA_STATE_OF(struct slot_state, slot_fields);
static const struct schema_item slot_item =
	SCHEMA_STATE_ITEM(struct slot_state, &slot_schema);

static const struct schema_field slots_fields[] = {
	{SCHEMA_STATE("slots", SCHEMA_LIST, struct slots_state, slots),
	 .item = &slot_item},
};
static const struct schema_object slots_schema =
	SCHEMA_STATE_OF(struct slots_state, slots_fields);

static void save_device(struct virtio_dev *dev, struct buf *out)
{
	const struct schema_object *schema = dev->ops->state;
	cleanup_free void *state = NULL;

	if (!schema) {
		buf_add_str(out, "{}");
		return;
	}
	state = calloc(1, schema->size);
	if (!state) {
		out->failed = true;
		return;
	}
	virtio_dev_enter(dev);
	dev->ops->save(dev, state);
	virtio_dev_leave(dev);
	schema_encode(schema, state, out);
	schema_free(schema, state);
}

static void save_limiters(struct virtio_slot *slot, struct buf *out)
{
	buf_add_str(out, ",\"limiters\":[");
	for (unsigned int i = 0; i < slot->nr_limiters; i++) {
		struct rate_limiter_state state;

		virtio_dev_enter(slot->dev);
		rate_limiter_save(slot->limiter[i], &state);
		virtio_dev_leave(slot->dev);
		if (i > 0)
			buf_add(out, ",", 1);
		schema_encode(&rate_limiter_state_schema, &state, out);
	}
	buf_add(out, "]", 1);
}

void slots_save(struct virtio_slots *slots, struct buf *out)
{
	buf_add_str(out, "{\"slots\":[");
	for (unsigned int i = 0; i < slots->nr; i++) {
		struct virtio_slot *slot = &slots->slot[i];
		struct virtio_state transport = {0};

		virtio_mmio_save(slot->mmio, &transport);
		buf_addf(out, "%s{\"kind\":\"%s\",\"transport\":", i ? "," : "",
			 slot->kind->name);
		schema_encode(&virtio_state_schema, &transport, out);
		save_limiters(slot, out);
		buf_add_str(out, ",\"device\":");
		save_device(slot->dev, out);
		buf_add(out, "}", 1);
	}
	buf_add_str(out, "]}");
}

static int load_device(struct virtio_dev *dev, const struct schema_raw *text,
		       struct err *err)
{
	const struct schema_object *schema = dev->ops->state;
	cleanup_free void *state = NULL;
	struct schema_seen seen;
	int r;

	if (!schema)
		return 0;
	state = calloc(1, schema->size);
	if (!state)
		return err_set(err, -ENOMEM, "Out of memory");
	r = schema_decode_text(schema, text->text, text->len, state, &seen,
			       err);
	if (r == 0) {
		virtio_dev_enter(dev);
		r = dev->ops->load(dev, state, err);
		virtio_dev_leave(dev);
	}
	schema_free(schema, state);
	return r;
}

static int load_limiters(struct virtio_slot *slot,
			 const struct slot_state *state, struct err *err)
{
	if (state->nr_limiters != slot->nr_limiters)
		return err_set(
			err, -EINVAL, "%s: %u rate limiters instead of %u",
			slot->dev->name, state->nr_limiters, slot->nr_limiters);
	virtio_dev_enter(slot->dev);
	for (unsigned int i = 0; i < slot->nr_limiters; i++)
		rate_limiter_load(slot->limiter[i], &state->limiters[i]);
	virtio_dev_leave(slot->dev);
	return 0;
}

static int load_slot(struct virtio_slot *slot, const struct slot_state *state,
		     struct err *err)
{
	int r;

	if (strcmp(slot->kind->name, state->kind) != 0)
		return err_set(err, -EINVAL,
			       "a %s device where the configuration has a %s "
			       "device",
			       state->kind, slot->kind->name);
	r = load_device(slot->dev, &state->device, err);
	return r < 0 ? r : load_limiters(slot, state, err);
}

int slots_load(struct virtio_slots *slots, const struct schema_raw *text,
	       struct err *err)
{
	struct slots_state state = {0};
	const struct slot_state *states;
	struct schema_seen seen;
	int r = schema_decode_text(&slots_schema, text->text, text->len, &state,
				   &seen, err);

	if (r == 0 && state.slots.nr != slots->nr)
		r = err_set(err, -EINVAL,
			    "%zu devices, the configuration has %u",
			    state.slots.nr, slots->nr);
	states = state.slots.items;
	for (unsigned int i = 0; i < slots->nr && r == 0; i++)
		r = load_slot(&slots->slot[i], &states[i], err);
	/* A queue may be in memory that the last device has plugged. */
	for (unsigned int i = 0; i < slots->nr && r == 0; i++)
		r = virtio_mmio_load(slots->slot[i].mmio, &states[i].transport,
				     err);
	schema_free(&slots_schema, &state);
	return r;
}

int slots_drain(struct virtio_slots *slots, uint64_t deadline_ns)
{
	int r = 0;

	for (unsigned int i = 0; i < slots->nr && r == 0; i++)
		r = virtio_dev_drain(slots->slot[i].dev, deadline_ns);
	return r;
}
