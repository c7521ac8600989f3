// SPDX-License-Identifier: Apache-2.0
/*
 * limiter.c - token buckets and rate limiters, as parts of other objects
 */
#include "api/limiter.h"

static const struct schema_field bucket_fields[] = {
	{
		.name = "size",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct token_bucket_config, size),
		.range = &schema_u64,
	},
	{
		.name = "one_time_burst",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct token_bucket_config, one_time_burst),
		.has = offsetof(struct token_bucket_config, has_one_time_burst),
		.range = &schema_u64,
	},
	{
		.name = "refill_time",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct token_bucket_config, refill_time),
		.range = &schema_u64,
	},
};

const struct schema_object schema_token_bucket = {
	.name = "TokenBucketConfig",
	.fields = bucket_fields,
	.nr = ARRAY_SIZE(bucket_fields),
	.size = sizeof(struct token_bucket_config),
	.open = true,
};

static const struct schema_field limiter_fields[] = {
	{
		.name = "bandwidth",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct rate_limiter_config, bandwidth),
		.has = offsetof(struct rate_limiter_config, bandwidth.present),
		.object = &schema_token_bucket,
	},
	{
		.name = "ops",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_NULL | SCHEMA_HAS,
		SCHEMA_AT(struct rate_limiter_config, ops),
		.has = offsetof(struct rate_limiter_config, ops.present),
		.object = &schema_token_bucket,
	},
};

const struct schema_object schema_rate_limiter = {
	.name = "RateLimiterConfig",
	.fields = limiter_fields,
	.nr = ARRAY_SIZE(limiter_fields),
	.size = sizeof(struct rate_limiter_config),
};
