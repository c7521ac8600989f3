// SPDX-License-Identifier: Apache-2.0
/*
 * kind_pmem.c - the files of the configuration that are memory of the guest
 */
#include "dev/pmem.h"
#include "vm/slots.h"

static size_t kind_pmem_count(const struct vm_config *config)
{
	return config->nr_pmems;
}

static int kind_pmem_make(struct virtio_slots *slots, size_t i,
			  struct virtio_dev **out, struct err *err)
{
	struct board *board = slots->board;
	const struct pmem_config *config = &board->env.config->pmems[i];
	const struct pmem_params params = {
		.id = config->id,
		.mem = &board->mem,
		.loop = board->env.loop,
		.region = gmem_device(&board->mem, i),
		.fd = config->fd,
		.file_bytes = config->size,
	};
	struct pmem *p;
	int r;

	assert(params.region);
	r = pmem_new(&p, &params, err);
	if (r < 0)
		return r;
	slots_add_limiter(slots, &p->limiter, &config->limits);
	r = slots_add_counters(slots, &pmem_metric_group, config->id,
			       &p->metrics, err);
	if (r < 0) {
		p->dev.ops->destroy(&p->dev);
		return r;
	}
	*out = &p->dev;
	return 0;
}

const struct virtio_kind virtio_kind_pmem = {
	.name = "pmem",
	.count = kind_pmem_count,
	.make = kind_pmem_make,
};
