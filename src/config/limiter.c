// SPDX-License-Identifier: Apache-2.0
/*
 * limiter.c - token buckets and rate limiters, as parts of other structs
 */
#include "config/fields.h"
#include "config/parts.h"

#define BY_PARENT "the struct around it shows it by being there"

/* clang-format off */
#define CONFIG_OF struct token_bucket_config
static const struct schema_field bucket_fields[] = {
	NUMBER(size, MUST, MUST, MUST, &schema_u64),
	NUMBER(one_time_burst, OPTIONAL, OPTIONAL, MUST, &schema_u64,
	       HAS(has_one_time_burst)),
	NUMBER(refill_time, MUST, MUST, MUST, &schema_u64),
	BOOL(has_one_time_burst, NOT("one_time_burst is there"), NO, MUST),
	OURS(present, BY_PARENT),
};

const struct schema_object config_token_bucket = CONFIG_OBJECT(
	"TokenBucketConfig", bucket_fields, SCHEMA_WHOLE, .open = true);

#undef CONFIG_OF
#define CONFIG_OF struct rate_limiter_config
static const struct schema_field limiter_fields[] = {
	OBJECT(bandwidth, OPTIONAL, OPTIONAL, OPTIONAL, &config_token_bucket,
	       HAS(bandwidth.present)),
	OBJECT(ops, OPTIONAL, OPTIONAL, OPTIONAL, &config_token_bucket,
	       HAS(ops.present)),
	OURS(present, BY_PARENT),
};
/* clang-format on */

const struct schema_object config_rate_limiter =
	CONFIG_OBJECT("RateLimiterConfig", limiter_fields, SCHEMA_WHOLE);

static void update_bucket(struct token_bucket_config *to,
			  const struct token_bucket_config *from)
{
	if (!from->present)
		return;
	*to = *from;
	to->present = from->size != 0 && from->refill_time != 0;
	to->has_one_time_burst = from->one_time_burst != 0;
}

void rate_limiter_config_update(struct rate_limiter_config *to,
				const struct rate_limiter_config *from)
{
	update_bucket(&to->bandwidth, &from->bandwidth);
	update_bucket(&to->ops, &from->ops);
	to->present = to->bandwidth.present || to->ops.present;
}
