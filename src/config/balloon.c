// SPDX-License-Identifier: Apache-2.0
/*
 * balloon.c - the memory balloon, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#define CONFIG_OF struct balloon_config

/* clang-format off */
static const struct schema_field balloon_fields[] = {
	NUMBER(amount_mib, MUST, MUST, MUST, &schema_u32),
	BOOL(deflate_on_oom, MUST, NO, MUST),
	NUMBER(stats_polling_interval_s, MAY, NO, MUST, &schema_u16),
	BOOL(free_page_hinting, MAY, NO, MUST),
	BOOL(free_page_reporting, MAY, NO, MUST),
	OURS(present, "the part is set, and saved"),
};

/* PATCH has a path of its own for it. */
static const struct schema_field stats_fields[] = {
	NUMBER(stats_polling_interval_s, NO, MUST, NO, &schema_u16),
};
/* clang-format on */

const struct schema_object config_balloon =
	CONFIG_OBJECT("BalloonDeviceConfig", balloon_fields, SCHEMA_WHOLE);
const struct schema_object config_balloon_patch =
	CONFIG_OBJECT("BalloonUpdateConfig", balloon_fields, SCHEMA_PATCH);
const struct schema_object config_balloon_stats_patch =
	CONFIG_OBJECT("BalloonUpdateStatsConfig", stats_fields, SCHEMA_PATCH);

const struct config_part config_part_balloon = {
	.key = "balloon",
	.saved = "balloon",
	.whole = &config_balloon,
	.offset = offsetof(struct vm_config, balloon),
	.present = offsetof(struct vm_config, balloon.present),
};
