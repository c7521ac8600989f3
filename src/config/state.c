// SPDX-License-Identifier: Apache-2.0
/*
 * state.c - the configuration in a snapshot (state.h)
 *
 * One JSON object with a member for each part and for each field of struct
 * vm_config that is none. Its schema is made from the list of parts when it is
 * needed: a part that is in the list is saved.
 */
#include "config/state.h"

#include "config/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/**
 * struct config_state - a configuration whose lists are schema's
 * @lists:	by number of the part
 */
struct config_state {
	struct vm_config config;
	struct schema_list lists[CONFIG_NR_PARTS];
};

#define REST_MAX 16

/**
 * struct description - the schema of a struct config_state
 */
struct description {
	struct schema_object object;
	struct schema_field fields[CONFIG_NR_PARTS + REST_MAX];
	struct schema_field one[CONFIG_NR_PARTS];
	struct schema_item items[CONFIG_NR_PARTS];
};

static void describe_list(struct description *d, size_t i)
{
	const struct config_part *part = config_parts[i];

	d->one[i] = (struct schema_field){
		.type = SCHEMA_OBJECT,
		.object = part->whole,
	};
	d->items[i] = (struct schema_item){&d->one[i], part->whole->size};
	d->fields[i] = (struct schema_field){
		.name = part->saved,
		.type = SCHEMA_LIST,
		.saved = part->newer ? 0 : SCHEMA_REQUIRED,
		.offset = (uint32_t)(offsetof(struct config_state, lists) +
				     i * sizeof(struct schema_list)),
		.size = sizeof(struct schema_list),
		.item = &d->items[i],
	};
}

static void describe_struct(struct description *d, size_t i)
{
	const struct config_part *part = config_parts[i];

	d->fields[i] = (struct schema_field){
		.name = part->saved,
		.type = SCHEMA_OBJECT,
		.saved = part->always ? SCHEMA_REQUIRED
				      : SCHEMA_NULL | SCHEMA_HAS,
		.offset = part->offset,
		.size = (uint32_t)part->whole->size,
		.has = part->present,
		.object = part->whole,
	};
}

static_assert(offsetof(struct config_state, config) == 0,
	      "offsets in one are offsets in the other");

static void state_describe(struct description *d)
{
	size_t nr = CONFIG_NR_PARTS;

	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		if (config_parts[i]->nr)
			describe_list(d, i);
		else
			describe_struct(d, i);
	}
	assert(config_rest.nr <= REST_MAX);
	for (size_t i = 0; i < config_rest.nr; i++)
		d->fields[nr++] = config_rest.fields[i];
	d->object = (struct schema_object){
		.name = "struct config_state",
		.fields = d->fields,
		.nr = nr,
		.size = sizeof(struct config_state),
		.view = SCHEMA_SAVED,
	};
}

/* ---- save ---- */

/* Copies of a list's items, of which only what they are on the host is owned:
 * absolute paths, for who restores works in another directory. Where this
 * process's own is gone they stay as they are. */
static char *state_from_anywhere(const struct vm_config *config,
				 const struct config_part *part, bool *failed)
{
	const char *here = config->folder;
	size_t bytes = part->whole->size, nr;
	const char *items = config_part_items(part, config, &nr);
	char *copies = calloc(nr + 1, bytes);

	*failed = *failed || !copies;
	for (size_t i = 0; copies && i < nr; i++) {
		char **path =
			(char **)(void *)(copies + i * bytes + part->host);
		bool whole;

		memcpy(copies + i * bytes, items + i * bytes, bytes);
		whole = !here || (*path)[0] == '/';
		if (asprintf(path, "%s%s%s", whole ? "" : here,
			     whole ? "" : "/", *path) < 0) {
			*path = NULL;
			*failed = true;
		}
	}
	return copies;
}

static void state_free_copies(const struct config_part *part, char *copies,
			      size_t nr)
{
	for (size_t i = 0; copies && i < nr; i++)
		free(*(char **)(void *)(copies + i * part->whole->size +
					part->host));
	free(copies);
}

static void state_encode(const struct vm_config *config, struct buf *out)
{
	struct config_state state = {.config = *config};
	struct description d;

	for (size_t i = 0; i < CONFIG_NR_PARTS; i++)
		if (config_parts[i]->nr)
			state.lists[i].items = config_part_items(
				config_parts[i], config, &state.lists[i].nr);
	state_describe(&d);
	schema_encode(&d.object, &state, out);
}

void config_state_encode(const struct vm_config *config, struct buf *out)
{
	char *drives =
		state_from_anywhere(config, &config_part_drives, &out->failed);
	char *pmems =
		state_from_anywhere(config, &config_part_pmems, &out->failed);
	struct vm_config copy = *config;

	copy.drives = (struct drive_config *)(void *)drives;
	copy.pmems = (struct pmem_config *)(void *)pmems;
	if (!out->failed)
		state_encode(&copy, out);
	state_free_copies(&config_part_drives, drives, config->nr_drives);
	state_free_copies(&config_part_pmems, pmems, config->nr_pmems);
}

/* ---- restore ---- */

static int state_override(struct config_state *s,
			  const struct config_overrides *o, struct err *err)
{
	int r = 0;

	/* From the last: of two mistakes the interface's is told. */
	for (size_t i = CONFIG_NR_PARTS; i-- > 0 && r == 0;)
		if (config_parts[i]->nr)
			r = config_override_list(config_parts[i],
						 s->lists[i].items,
						 s->lists[i].nr, o, err);
	return r < 0 ? r : config_override_vsock(&s->config.vsock, o, err);
}

/* What is only values. What the host told this process, when it did, stays. */
static void state_take_values(struct config_state *s, struct vm_config *to)
{
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];
		size_t bytes = part->whole->size;
		size_t nr;
		void *from, *place;

		if (part->nr ||
		    (part->host_own && config_part_is_set(part, to)))
			continue;
		from = config_part_items(part, &s->config, &nr);
		place = config_part_items(part, to, &nr);
		/* The strings change hands. */
		memcpy(place, from, bytes);
		memset(from, 0, bytes);
	}
	for (size_t i = 0; i < config_rest.nr; i++) {
		const struct schema_field *field = &config_rest.fields[i];

		if (!(field->saved & SCHEMA_ABSENT))
			memcpy((char *)to + field->offset,
			       (char *)&s->config + field->offset, field->size);
	}
	to->machine.present = true;
	to->boot_source.kernel_fd = -1;
	to->boot_source.initrd_fd = -1;
	to->vsock.fd = -1;
}

/* What was read makes sense. */
static int state_check(const struct vm_config *c, struct err *err)
{
	if (c->machine.vcpu_count < 1 ||
	    c->machine.vcpu_count > CONFIG_VCPUS_MAX)
		return err_set(err, -EINVAL, "%u vCPUs are not possible",
			       c->machine.vcpu_count);
	if (c->memory_hotplug.present &&
	    memory_hotplug_check(&c->memory_hotplug, err) < 0)
		return err->rc;
	/* Their numbers of pages are products that must not overflow. */
	if (c->balloon.present &&
	    c->balloon.amount_mib > c->machine.mem_size_mib)
		return err_set(err, -EINVAL,
			       "A balloon of %u MiB is larger than the memory",
			       c->balloon.amount_mib);
	return 0;
}

int config_state_read(struct config_state **state, struct vm_config *config,
		      const struct schema_raw *text,
		      const struct config_overrides *overrides, struct err *err)
{
	struct config_state *s = calloc(1, sizeof(*s));
	struct schema_seen seen;
	struct description d;
	int r;

	*state = s;
	if (!s)
		return err_set(err, -ENOMEM, "Out of memory");
	s->config.serial.fd = -1; /* in no text */
	state_describe(&d);
	r = schema_decode_text(&d.object, text->text, text->len, s, &seen, err);
	if (r == 0)
		r = state_check(&s->config, err);
	if (r == 0)
		r = state_override(s, overrides, err);
	if (r == 0)
		state_take_values(s, config);
	return r;
}

static int open_part(const struct config_part *part, struct vm_config *config,
		     const struct schema_list *list,
		     const struct config_overrides *overrides, struct err *err)
{
	size_t nr = list->nr;
	char *items =
		part->nr ? list->items : config_part_items(part, config, &nr);
	int r = 0;

	for (size_t i = 0; i < nr && r == 0; i++) {
		void *item = items + i * part->whole->size;

		r = part->open(config, item, (unsigned int)i, overrides, err);
	}
	return r;
}

int config_state_open(struct config_state *state, struct vm_config *config,
		      const struct config_overrides *overrides, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < CONFIG_NR_PARTS && r == 0; i++)
		if (config_parts[i]->open)
			r = open_part(config_parts[i], config, &state->lists[i],
				      overrides, err);
	return r;
}

void config_state_free(struct config_state *state)
{
	struct description d;

	if (!state)
		return;
	state_describe(&d);
	schema_free(&d.object, state);
	free(state);
}
