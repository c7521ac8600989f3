// SPDX-License-Identifier: Apache-2.0
/*
 * memory_hotplug.c - memory that may be plugged, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#include <errno.h>

#define CONFIG_OF     struct memory_hotplug_config

#define HOT_BLOCK_MIN 2u
#define HOT_SLOT_MIN  128u

/* clang-format off */
static const struct schema_field hotplug_fields[] = {
	NUMBER(total_size_mib, MUST, NO, MUST, &schema_u32),
	NUMBER(block_size_mib, MAY, NO, MUST, &schema_u32),
	NUMBER(slot_size_mib, MAY, NO, MUST, &schema_u32),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_memory_hotplug =
	CONFIG_OBJECT("MemoryHotplugConfig", hotplug_fields, SCHEMA_WHOLE);

int memory_hotplug_check(const struct memory_hotplug_config *config,
			 struct err *err)
{
	uint32_t block = config->block_size_mib, slot = config->slot_size_mib;

	if (block < HOT_BLOCK_MIN)
		return err_set(err, -EINVAL,
			       "Block size must not be lower than %u MiB",
			       HOT_BLOCK_MIN);
	if (block & (block - 1))
		return err_set(err, -EINVAL, "Block size must be a power of 2");
	if (slot < HOT_SLOT_MIN)
		return err_set(err, -EINVAL,
			       "Slot size must not be lower than %u MiB",
			       HOT_SLOT_MIN);
	if (slot % block != 0)
		return err_set(err, -EINVAL,
			       "Slot size must be a multiple of block size "
			       "(%u MiB)",
			       block);
	if (config->total_size_mib < slot)
		return err_set(err, -EINVAL,
			       "Total size must not be lower than slot size "
			       "(%u MiB)",
			       slot);
	if (config->total_size_mib % slot != 0)
		return err_set(err, -EINVAL,
			       "Total size must be a multiple of slot size "
			       "(%u MiB)",
			       slot);
	return 0;
}

static void hotplug_init(void *item)
{
	*(struct memory_hotplug_config *)item = (struct memory_hotplug_config){
		.block_size_mib = HOT_BLOCK_MIN,
		.slot_size_mib = HOT_SLOT_MIN,
	};
}

int memory_hotplug_set(uint64_t mib, struct vm_config *config, struct err *err)
{
	struct memory_hotplug_config *hot = &config->memory_hotplug;

	if (mib % HOT_SLOT_MIN != 0 || mib > UINT32_MAX)
		return err_set(err, -EINVAL,
			       "--hotplug-memory %llu (MiB) is not possible: "
			       "a multiple of %u MiB is, up to 4095 TiB",
			       (unsigned long long)mib, HOT_SLOT_MIN);
	hotplug_init(hot);
	hot->total_size_mib = (uint32_t)mib;
	hot->present = true;
	return 0;
}

const struct config_part config_part_memory_hotplug = {
	.key = "memory-hotplug",
	.saved = "memory_hotplug",
	.whole = &config_memory_hotplug,
	.offset = offsetof(struct vm_config, memory_hotplug),
	.present = offsetof(struct vm_config, memory_hotplug.present),
	.init = hotplug_init,
};
