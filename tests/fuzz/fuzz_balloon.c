// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_balloon.c - balloon and entropy under any driver
 *
 * A script writes rings, page numbers, ranges and the config space, and plays
 * the API's part between them. What lies outside the pages that a script names
 * must stay; what is answered is what was offered.
 */
#include "dev_fuzz.h"

#include "../unit/virtio_kit.h"

#include "base/log.h"
#include "dev/balloon.h"
#include "dev/rng.h"

#define STEPS 200u

/* Behind all that a script can name, which ends at 8 MiB. */
#define KEPT       MIB(12)
#define KEPT_BYTES MIB(1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
	struct kit balloon;
	struct kit rng;
	struct balloon *dev;
};

static void request(struct kit *k, struct fuzz_script *s)
{
	unsigned int queue = fuzz_byte(s) % k->dev->nr_queues;
	unsigned int nr = 1 + fuzz_byte(s) % 4;
	struct kit_buf bufs[4];
	struct kit_used used;

	for (unsigned int i = 0; i < nr; i++) {
		uint8_t kind = fuzz_byte(s);

		bufs[i].gpa = fuzz_take(s, 2) << 7; /* below 8 MiB */
		bufs[i].len = (uint32_t)fuzz_take(s, 2);
		bufs[i].write = kind & 1;
		if (kind & 2)
			bufs[i].gpa += KIT_RAM_BYTES;
	}
	/* Page numbers below 8 MiB: high bytes 0 but where kind says so. */
	for (unsigned int i = 0; i < nr; i++) {
		gpa_t at = bufs[i].gpa;

		for (unsigned int n = 0; n < 8 && at < MIB(8) - 4; n++) {
			uint32_t pfn = (uint32_t)fuzz_take(s, 2) & 0x7ff;

			if (fuzz_byte(s) > 250)
				pfn = ~pfn;
			store_le32(kit_hva(k, at, 4), pfn);
			at += 4;
		}
	}
	(void)kit_add(k, queue, bufs, nr);
	kit_kick(k, queue);
	kit_pump(k);
	while (kit_used(k, queue, &used))
		fuzz_check(used.head < k->queue[queue].size);
}

static void start(struct kit *k, struct fuzz_script *s)
{
	uint64_t features = fuzz_byte(s) & 0x3f;

	k->next_gpa = MIB(9);
	memset(kit_hva(k, MIB(9), MIB(1)), 0, MIB(1));
	kit_start(k, features & kit_offered(k), 16);
}

static void api(struct balloon *b, struct fuzz_script *s)
{
	struct balloon_config_space space;
	struct balloon_hinting hinting;
	struct balloon_stats stats;

	switch (fuzz_byte(s) % 5) {
	case 0:
		(void)!balloon_set_target(b, (uint32_t)fuzz_take(s, 4));
		break;
	case 1:
		(void)!balloon_start_hinting(b, fuzz_byte(s) & 1);
		break;
	case 2:
		(void)!balloon_stop_hinting(b);
		break;
	case 3:
		b->timer.fired(&b->timer);
		break;
	default:
		balloon_set_stats_interval(b, 1);
		balloon_read(b, &space, &stats, &hinting);
		fuzz_check(stats.seen < 1u << BALLOON_STATS);
		break;
	}
}

static void pause_and_go_on(struct kit *k)
{
	virtio_dev_pause(k->dev);
	fuzz_check(virtio_dev_drain(k->dev, 0) == 0);
	for (unsigned int i = 0; i < k->dev->nr_queues; i++)
		fuzz_check(k->dev->queue[i].next_avail ==
				   k->dev->queue[i].next_used ||
			   k->dev->queue[i].broken);
	virtio_dev_resume(k->dev);
	kit_pump(k);
}

static void step(struct machine *m, struct fuzz_script *s)
{
	uint8_t op = fuzz_byte(s);
	struct kit *k = op & 0x80 ? &m->rng : &m->balloon;

	switch (op % 8) {
	case 0:
		start(k, s);
		break;
	case 1:
		kit_set_config(k, fuzz_byte(s) % 24, fuzz_take(s, 4),
			       1u << op % 4);
		break;
	case 2:
		api(m->dev, s);
		break;
	case 3:
		pause_and_go_on(k);
		break;
	default:
		request(k, s);
		break;
	}
}

static void make(struct machine *m)
{
	struct balloon_params params = {
		.stats_s = 1000,
		.hinting = true,
		.reporting = true,
	};
	struct err err = {0};
	struct rng *rng;

	log_settings.level = LOG_OFF;
	kit_open(&m->balloon);
	kit_open(&m->rng);
	params.mem = &m->balloon.mem;
	params.loop = &m->balloon.loop;
	fuzz_check(balloon_new(&m->dev, &params, &err) == 0);
	fuzz_check(rng_new(&rng, &m->rng.mem, &m->rng.loop, &err) == 0);
	kit_attach(&m->balloon, &m->dev->dev);
	kit_attach(&m->rng, &rng->dev);
	memset(kit_hva(&m->balloon, KEPT, KEPT_BYTES), 0xa5, KEPT_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine m;
	struct fuzz_script s = {data, size};
	const uint8_t *kept;

	if (!m.dev)
		make(&m);
	start(&m.balloon, &s);
	start(&m.rng, &s);
	for (unsigned int i = 0; i < STEPS && s.left > 0; i++)
		step(&m, &s);
	kept = kit_hva(&m.balloon, KEPT, KEPT_BYTES);
	fuzz_check(kept[0] == 0xa5);
	fuzz_check(memcmp(kept, kept + 1, KEPT_BYTES - 1) == 0);
	return 0;
}
