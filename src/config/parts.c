// SPDX-License-Identifier: Apache-2.0
/*
 * parts.c - what a configuration consists of (parts.h)
 */
#include "config/parts.h"

#include "config/fields.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define CONFIG_OF           struct vm_config

#define PART_POINTER(name_) &config_part_##name_,

const struct config_part *const config_parts[CONFIG_NR_PARTS] = {
	CONFIG_PARTS(PART_POINTER)};

static const struct schema_name irqchip_names[] = {
	CONFIG_IRQCHIPS(CONFIG_NAME_AND_VALUE)};
static const struct schema_enum irqchips = SCHEMA_NAMES(irqchip_names);

#define BY_FLAG "an option of the command line, which no client sets"

/* clang-format off */
static const struct schema_field rest_fields[] = {
	CHOICE(irqchip, NOT(BY_FLAG), NO, MUST, &irqchips),
	BOOL(boot_timer, NOT(BY_FLAG), NO, MUST),
	OURS(entry, "a restored kernel has been entered already"),
	OURS(nested, "such a VM is not saved"),
	OURS(lock_drives, "who restores decides"),
	OURS(taps_are_there, "who restores decides"),
	OURS(opener, "of this process"),
	OURS(id, "of this process: --id"),
	OURS(folder, "of this process: saved paths are absolute"),
};
/* clang-format on */

const struct schema_object config_rest =
	CONFIG_OBJECT("struct vm_config", rest_fields, SCHEMA_SAVED);

int vm_config_check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);

	if (len < 1 || len > CONFIG_ID_MAX)
		return err_set(err, -EINVAL,
			       "Invalid instance ID: its length is %zu, not 1 "
			       "to %u.",
			       len, CONFIG_ID_MAX);
	for (; *id; id++)
		if (!isalnum((unsigned char)*id) && *id != '-')
			return err_set(err, -EINVAL,
				       "Invalid instance ID: '%c' is no "
				       "letter, digit or '-'.",
				       *id);
	return 0;
}

static size_t list_length(const struct config_part *part,
			  const struct vm_config *config)
{
	size_t nr;

	memcpy(&nr, (const char *)config + part->nr, sizeof(nr));
	return nr;
}

void *config_part_items(const struct config_part *part,
			const struct vm_config *config, size_t *nr)
{
	char *place = (char *)(uintptr_t)config + part->offset;
	void *items;

	if (!part->nr) {
		*nr = 1;
		return place;
	}
	*nr = list_length(part, config);
	memcpy(&items, place, sizeof(items));
	return items;
}

bool config_part_is_set(const struct config_part *part,
			const struct vm_config *config)
{
	if (part->nr)
		return list_length(part, config) > 0;
	return *(const bool *)((const char *)config + part->present);
}

void config_part_show(const struct config_part *part,
		      const struct vm_config *config, struct buf *out)
{
	size_t nr;
	const char *items = config_part_items(part, config, &nr);

	if (!part->nr) {
		if (part->always || config_part_is_set(part, config))
			schema_encode(part->whole, items, out);
		else
			buf_add_str(out, "null");
		return;
	}
	buf_add(out, "[", 1);
	for (size_t i = 0; i < nr; i++) {
		if (i > 0)
			buf_add(out, ",", 1);
		schema_encode(part->whole, items + i * part->whole->size, out);
	}
	buf_add(out, "]", 1);
}

void vm_config_init(struct vm_config *config)
{
	size_t nr;

	memset(config, 0, sizeof(*config));
	config->opener = &path_direct;
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++) {
		const struct config_part *part = config_parts[i];

		if (part->init && !part->nr)
			part->init(config_part_items(part, config, &nr));
	}
}

static void close_part(const struct config_part *part, struct vm_config *config)
{
	size_t nr;
	char *items = config_part_items(part, config, &nr);

	for (size_t i = 0; part->close && i < nr; i++)
		part->close(items + i * part->whole->size);
	if (part->nr)
		free(items);
}

void vm_config_fini(struct vm_config *config)
{
	for (size_t i = 0; i < CONFIG_NR_PARTS; i++)
		close_part(config_parts[i], config);
	free(config->folder);
	free(config->id);
	vm_config_init(config);
}
