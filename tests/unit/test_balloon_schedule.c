// SPDX-License-Identifier: Apache-2.0
/*
 * test_balloon_schedule.c - the balloon: whatever happens in whatever order, no
 * request is left behind, and no page that the guest uses loses its bytes
 *
 * The guest has AREAS pieces of memory. A piece is in use, and holds its mark
 * in each page, or the device has it for a while and it reads zero when it
 * comes back. A hinted piece is in use all the time, as the guest may take it
 * back at any moment.
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/log.h"
#include "dev/balloon.h"

#include <sys/mman.h>

#define AREAS       8u
#define AREA_PAGES  16u
#define AREA_BYTES  (AREA_PAGES * PAGE_SIZE)
#define STATS_S     2u
#define STATS_BYTES 20u
#define REPORTS     3u /* buffers of one report */
/* The pages of a wake-up, and a round of a report begun with the last one. */
#define ROUND_BYTES (1024u * PAGE_SIZE + MIB(4))

enum {
	INFLATE,
	DEFLATE,
	STATS,
	HINTING,
	REPORTING,
	NR_QUEUES,
};

/* What a piece is. */
enum use {
	IN_USE,
	ON_ITS_WAY, /* in a request that is not back */
	GIVEN,      /* the balloon's */
};

struct area {
	enum use use;
	uint8_t mark;
};

/**
 * struct world - the device and its driver
 * @memory:	of the areas, and behind it what is free all the time
 * @numbers:	a page of numbers for each tag
 * @area, @area_of: which piece a tag is about
 * @polls:	answers to the statistics
 * @discarded:	bytes in this callback
 */
static struct world {
	struct driver d;
	struct balloon *balloon;
	gpa_t memory;
	gpa_t numbers[NR_QUEUES][DRIVER_TAGS];
	struct area area[AREAS];
	unsigned int area_of[NR_QUEUES][DRIVER_TAGS];
	uint64_t polls;
	uint64_t discarded;
} w;

int __real_madvise(void *p, size_t len, int advice);
int __wrap_madvise(void *p, size_t len, int advice);

int __wrap_madvise(void *p, size_t len, int advice)
{
	if (advice == MADV_DONTNEED)
		w.discarded += len;
	return __real_madvise(p, len, advice);
}

/* ---- pieces of memory ---- */

static gpa_t gpa_of(unsigned int area)
{
	return w.memory + area * AREA_BYTES;
}

static uint8_t *page_of(unsigned int area, unsigned int page)
{
	return kit_hva(&w.d.kit, gpa_of(area) + page * PAGE_SIZE, PAGE_SIZE);
}

static void use_area(unsigned int i)
{
	w.area[i].use = IN_USE;
	w.area[i].mark = (uint8_t)(schedule_below(255) + 1);
	for (unsigned int page = 0; page < AREA_PAGES; page++)
		*page_of(i, page) = w.area[i].mark;
}

static void check_areas(void)
{
	for (unsigned int i = 0; i < AREAS; i++)
		for (unsigned int page = 0;
		     w.area[i].use == IN_USE && page < AREA_PAGES; page++)
			schedule_check(*page_of(i, page) == w.area[i].mark);
}

static void check_zero(unsigned int area)
{
	for (unsigned int page = 0; page < AREA_PAGES; page++)
		schedule_check(*page_of(area, page) == 0);
}

static unsigned int any_area(enum use use)
{
	unsigned int from = (unsigned int)schedule_below(AREAS);

	for (unsigned int i = 0; i < AREAS; i++)
		if (w.area[(from + i) % AREAS].use == use)
			return (from + i) % AREAS;
	return AREAS;
}

/* ---- the device ---- */

static void make_device(void)
{
	struct balloon_params params = {
		.mem = &w.d.kit.mem,
		.loop = &w.d.kit.loop,
		.target_pages = 16,
		.stats_s = STATS_S,
		.hinting = true,
		.reporting = true,
	};
	struct err err;

	schedule_check(balloon_new(&w.balloon, &params, &err) == 0);
	kit_attach(&w.d.kit, &w.balloon->dev);
}

static void offer_stats(void)
{
	uint16_t old = w.d.kit.queue[STATS].avail_idx;
	struct kit_buf buf = {w.numbers[STATS][0], STATS_BYTES, false};

	if (!w.d.out[STATS][0] && !driver_broken(&w.d)) {
		driver_offer(&w.d, STATS, 0, &buf, 1);
		driver_kick(&w.d, STATS, old);
	}
}

/* A new driver has its memory whole, and one buffer of statistics. */
static void start_driver(void)
{
	driver_start(&w.d,
		     BALLOON_F_STATS | BALLOON_F_HINTING | BALLOON_F_REPORTING,
		     NULL, 0);
	for (unsigned int i = 0; i < AREAS; i++)
		if (w.area[i].use != IN_USE)
			use_area(i);
	offer_stats();
}

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	driver_place(&w.d, NR_QUEUES);
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		for (unsigned int k = 0; k < DRIVER_TAGS; k++)
			w.numbers[i][k] = kit_alloc(&w.d.kit, AREA_PAGES * 4);
	w.memory = align_down(w.d.kit.next_gpa + PAGE_SIZE, PAGE_SIZE);
	for (unsigned int i = 0; i < AREAS; i++)
		use_area(i);
	make_device();
	start_driver();
}

static void close_world(void)
{
	kit_close(&w.d.kit);
}

/* ---- the driver ---- */

/* A tag, and a piece of memory in @use. Return: false: one is missing. */
static bool choose(unsigned int queue, enum use use, unsigned int *tag,
		   unsigned int *area)
{
	*tag = driver_tag(&w.d, queue);
	*area = any_area(use);
	if (driver_broken(&w.d) || *tag == DRIVER_TAGS || *area == AREAS)
		return false;
	w.area_of[queue][*tag] = *area;
	return true;
}

static void send_numbers(unsigned int queue, unsigned int tag,
			 unsigned int area)
{
	uint16_t old = w.d.kit.queue[queue].avail_idx;
	gpa_t gpa = w.numbers[queue][tag];
	struct kit_buf buf = {gpa, AREA_PAGES * 4, false};
	uint8_t *p = kit_hva(&w.d.kit, gpa, buf.len);
	bool down = schedule_once_in(2);

	for (unsigned int i = 0; i < AREA_PAGES; i++)
		store_le32(p + (size_t)i * 4,
			   (uint32_t)(gpa_of(area) / PAGE_SIZE) +
				   (down ? AREA_PAGES - 1 - i : i));
	driver_offer(&w.d, queue, tag, &buf, 1);
	driver_kick(&w.d, queue, old);
}

static void inflate(void)
{
	unsigned int tag, area;

	if (!choose(INFLATE, IN_USE, &tag, &area))
		return;
	w.area[area].use = ON_ITS_WAY;
	send_numbers(INFLATE, tag, area);
}

static void deflate(void)
{
	unsigned int tag, area;

	if (!choose(DEFLATE, GIVEN, &tag, &area))
		return;
	w.area[area].use = ON_ITS_WAY;
	send_numbers(DEFLATE, tag, area);
}

/* One piece, and now and then so much more that a round does not do it. */
static void report(void)
{
	uint16_t old = w.d.kit.queue[REPORTING].avail_idx;
	uint32_t free = (uint32_t)(KIT_RAM_BYTES - gpa_of(AREAS));
	struct kit_buf bufs[REPORTS];
	unsigned int tag, area;

	if (!choose(REPORTING, IN_USE, &tag, &area))
		return;
	w.area[area].use = ON_ITS_WAY;
	if (schedule_once_in(2))
		free = PAGE_SIZE;
	for (unsigned int i = 0; i < REPORTS; i++)
		bufs[i] = (struct kit_buf){gpa_of(AREAS), free, true};
	bufs[schedule_below(REPORTS)] =
		(struct kit_buf){gpa_of(area), AREA_BYTES, true};
	driver_offer(&w.d, REPORTING, tag, bufs, REPORTS);
	driver_kick(&w.d, REPORTING, old);
}

/* The number of the run, then a range of it, or the end: as the driver likes.
 * The piece goes on being used. */
static void hint(void)
{
	uint16_t old = w.d.kit.queue[HINTING].avail_idx;
	uint64_t what = schedule_below(4);
	struct kit_buf buf;
	unsigned int tag, area;

	if (!choose(HINTING, IN_USE, &tag, &area))
		return;
	buf = (struct kit_buf){w.numbers[HINTING][tag], 4, false};
	store_le32(kit_hva(&w.d.kit, buf.gpa, 4),
		   what == 0 ? 0 : (uint32_t)kit_config(&w.d.kit, 8, 4));
	if (what > 1)
		buf = (struct kit_buf){gpa_of(area), AREA_BYTES, true};
	driver_offer(&w.d, HINTING, tag, &buf, 1);
	if (schedule_once_in(2))
		use_area(area);
	driver_kick(&w.d, HINTING, old);
}

static void write_area(void)
{
	unsigned int area = any_area(IN_USE);

	if (area < AREAS)
		use_area(area);
}

static void malformed(void)
{
	unsigned int queue = schedule_once_in(2) ? DEFLATE : STATS;
	uint16_t old = w.d.kit.queue[queue].avail_idx;
	struct kit_buf buf = {KIT_RAM_BYTES, 4, false};
	unsigned int tag = driver_tag(&w.d, queue);

	if (driver_broken(&w.d) || tag == DRIVER_TAGS || tag == 0)
		return;
	w.area_of[queue][tag] = AREAS;
	driver_offer(&w.d, queue, tag, &buf, 1);
	driver_kick(&w.d, queue, old);
}

static void answer(unsigned int queue, unsigned int tag, uint32_t len)
{
	unsigned int area = w.area_of[queue][tag];

	schedule_check(len == 0);
	switch (queue) {
	case INFLATE:
		check_zero(area);
		w.area[area].use = GIVEN;
		break;
	case DEFLATE:
		if (area < AREAS)
			use_area(area);
		break;
	case REPORTING:
		check_zero(area);
		use_area(area);
		break;
	case STATS:
		w.polls += tag == 0;
		break;
	default:
		break;
	}
}

static void collect(void)
{
	driver_collect(&w.d, answer);
	offer_stats();
}

/* ---- what happens ---- */

static void one_callback(void)
{
	w.discarded = 0;
	schedule_check(loop_step(&w.d.kit.loop, 0) == 0);
	schedule_check(w.discarded <= ROUND_BYTES);
	check_areas();
}

static void pump(void)
{
	driver_pump(&w.d, one_callback);
}

static void kick(void)
{
	kit_kick(&w.d.kit, (unsigned int)schedule_below(NR_QUEUES));
}

static void pause_vm(void)
{
	driver_pause(&w.d);
}

static void resume_vm(void)
{
	driver_resume(&w.d);
}

static void drain_vm(void)
{
	driver_drain(&w.d);
	check_areas();
}

static void save_and_load(void)
{
	driver_save_and_load(&w.d, make_device);
}

static void reset(void)
{
	kit_write(&w.d.kit, KIT_STATUS, 0);
	schedule_check(kit_read(&w.d.kit, KIT_STATUS) == 0);
	start_driver();
}

static void break_ring(void)
{
	driver_break(&w.d, (unsigned int)schedule_below(NR_QUEUES));
	resume_vm();
	pump();
	reset();
}

static void set_target(void)
{
	uint32_t pages = (uint32_t)schedule_below(4096);

	if (balloon_set_target(w.balloon, pages) == 0)
		schedule_check(kit_config(&w.d.kit, 0, 4) == pages);
}

static void set_interval(void)
{
	balloon_set_stats_interval(w.balloon,
				   (uint16_t)(schedule_below(STATS_S) + 1));
}

static void start_hinting(void)
{
	(void)!balloon_start_hinting(w.balloon, schedule_once_in(2));
}

static void stop_hinting(void)
{
	(void)!balloon_stop_hinting(w.balloon);
}

static void short_time(void)
{
	schedule_advance(schedule_below(500 * NS_PER_MS));
}

static bool anything_out(void)
{
	for (unsigned int i = 0; i < NR_QUEUES; i++)
		for (unsigned int k = 0; k < DRIVER_TAGS; k++)
			if (i != STATS && w.d.out[i][k])
				return true;
	return false;
}

/* Nothing waits but the statistics, and those come with the next poll. */
static void settle(void)
{
	uint64_t polls;

	resume_vm();
	if (driver_broken(&w.d))
		reset();
	pump();
	collect();
	pump();
	if (anything_out())
		schedule_failed("requests are left behind", __FILE__, __LINE__);
	polls = w.polls;
	for (unsigned int i = 0; i < 2; i++) {
		schedule_advance(STATS_S * NS_PER_S);
		collect();
		pump();
	}
	schedule_check(w.polls >= polls + 2);
	check_areas();
}

static const struct schedule_step steps[] = {
	{"inflate", 10, inflate},
	{"deflate", 10, deflate},
	{"report", 10, report},
	{"hint", 10, hint},
	{"write", 10, write_area},
	{"malformed", 2, malformed},
	{"callback", 20, one_callback},
	{"pump", 5, pump},
	{"collect", 15, collect},
	{"short time", 5, short_time},
	{"kick", 1, kick},
	{"pause", 2, pause_vm},
	{"resume", 4, resume_vm},
	{"drain", 1, drain_vm},
	{"target", 1, set_target},
	{"interval", 1, set_interval},
	{"start hinting", 3, start_hinting},
	{"stop hinting", 1, stop_hinting},
	{"save and load", 1, save_and_load},
	{"reset", 1, reset},
	{"break a ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "balloon",
	.steps = 100000,
	.step = steps,
	.nr = ARRAY_SIZE(steps),
	.open = open_world,
	.settle = settle,
	.close = close_world,
};

int main(void)
{
	return schedule_main(&plan);
}
