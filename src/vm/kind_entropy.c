// SPDX-License-Identifier: Apache-2.0
/*
 * kind_entropy.c - the entropy device of the configuration
 */
#include "dev/rng.h"
#include "vm/slots.h"

static size_t kind_entropy_count(const struct vm_config *config)
{
	return config->entropy.present;
}

static int kind_entropy_make(struct virtio_slots *slots, size_t i,
			     struct virtio_dev **out, struct err *err)
{
	const struct entropy_config *config =
		&slots->board->env.config->entropy;
	struct rng *rng;
	int r;

	(void)i;
	r = rng_new(&rng, &slots->board->mem, slots->board->env.loop, err);
	if (r < 0)
		return r;
	slots_add_limiter(slots, &rng->limiter, &config->rate_limiter);
	r = slots_add_counters(slots, &rng_metric_group, NULL, &rng->metrics,
			       err);
	if (r < 0) {
		rng->dev.ops->destroy(&rng->dev);
		return r;
	}
	*out = &rng->dev;
	return 0;
}

const struct virtio_kind virtio_kind_entropy = {
	.name = "entropy",
	.count = kind_entropy_count,
	.make = kind_entropy_make,
};
