/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limiter.h - token buckets and rate limiters, as parts of other objects
 */
#pragma once

#include "base/schema.h"
#include "config/config.h"

/* struct token_bucket_config */
extern const struct schema_object schema_token_bucket;

/* struct rate_limiter_config */
extern const struct schema_object schema_rate_limiter;
