// SPDX-License-Identifier: Apache-2.0
/*
 * kind_balloon.c - the balloon of the configuration
 */
#include "dev/balloon.h"
#include "vm/slots.h"

static size_t kind_balloon_count(const struct vm_config *config)
{
	return config->balloon.present;
}

static int kind_balloon_make(struct virtio_slots *slots, size_t i,
			     struct virtio_dev **out, struct err *err)
{
	const struct balloon_config *config =
		&slots->board->env.config->balloon;
	const struct balloon_params params = {
		.mem = &slots->board->mem,
		.loop = slots->board->env.loop,
		.target_pages = config->amount_mib * BALLOON_PAGES_MIB,
		.stats_s = config->stats_polling_interval_s,
		.deflate_on_oom = config->deflate_on_oom,
		.hinting = config->free_page_hinting,
		.reporting = config->free_page_reporting,
	};
	struct balloon *balloon;
	int r;

	(void)i;
	r = balloon_new(&balloon, &params, err);
	if (r < 0)
		return r;
	r = slots_add_counters(slots, &balloon_metric_group, NULL,
			       &balloon->metrics, err);
	if (r < 0) {
		balloon->dev.ops->destroy(&balloon->dev);
		return r;
	}
	*out = &balloon->dev;
	return 0;
}

const struct virtio_kind virtio_kind_balloon = {
	.name = "balloon",
	.count = kind_balloon_count,
	.make = kind_balloon_make,
};
