// SPDX-License-Identifier: Apache-2.0
/*
 * entropy.c - the entropy device, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#define CONFIG_OF struct entropy_config

/* clang-format off */
static const struct schema_field entropy_fields[] = {
	OBJECT(rate_limiter, OPTIONAL, NO, OPTIONAL, &config_rate_limiter,
	       HAS(rate_limiter.present)),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_entropy =
	CONFIG_OBJECT("EntropyDeviceConfig", entropy_fields, SCHEMA_WHOLE);

const struct config_part config_part_entropy = {
	.key = "entropy",
	.saved = "entropy",
	.whole = &config_entropy,
	.offset = offsetof(struct vm_config, entropy),
	.present = offsetof(struct vm_config, entropy.present),
};
