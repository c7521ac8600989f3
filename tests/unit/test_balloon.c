// SPDX-License-Identifier: Apache-2.0
/*
 * test_balloon.c - the balloon: pages really go, and nothing else does (D11)
 */
#include "unit.h"

#include "virtio_kit.h"

#include "dev/balloon.h"

#include <stdio.h>
#include <sys/resource.h>

#define PATTERN 0x5a
#define BASE    0x800000u /* pages of the tests: from 8 MiB */

enum {
	INFLATE,
	DEFLATE,
	STATS,
	HINTING,
	REPORTING,
};

struct fixture {
	struct kit kit;
	struct balloon *balloon;
};

static int open_balloon(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct balloon_params params = {
		.target_pages = 512,
		.stats_s = 60,
		.deflate_on_oom = true,
		.hinting = true,
		.reporting = true,
	};
	struct err err = {0};

	if (!f)
		return -1;
	kit_open(&f->kit);
	params.mem = &f->kit.mem;
	params.loop = &f->kit.loop;
	if (balloon_new(&f->balloon, &params, &err) < 0)
		return -1;
	kit_attach(&f->kit, &f->balloon->dev);
	memset(kit_hva(&f->kit, BASE, KIT_RAM_BYTES - BASE), PATTERN,
	       KIT_RAM_BYTES - BASE);
	*state = f;
	return 0;
}

static int close_balloon(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

static void start(struct fixture *f)
{
	kit_start(&f->kit,
		  BALLOON_F_STATS | BALLOON_F_HINTING | BALLOON_F_REPORTING,
		  64);
	kit_pump(&f->kit);
}

/* Offer @bufs; true when they come back, unwritten. */
static bool give(struct fixture *f, unsigned int queue,
		 const struct kit_buf *bufs, unsigned int nr)
{
	struct kit_used used;
	uint16_t head = kit_add(&f->kit, queue, bufs, nr);

	kit_kick(&f->kit, queue);
	kit_pump(&f->kit);
	return kit_used(&f->kit, queue, &used) && used.head == head &&
	       used.len == 0;
}

static bool give_pfns(struct fixture *f, const uint32_t *pfn, unsigned int nr)
{
	struct kit_buf buf = {kit_alloc(&f->kit, nr * 4), nr * 4, false};

	memcpy(kit_hva(&f->kit, buf.gpa, nr * 4), pfn, nr * 4);
	return give(f, INFLATE, &buf, 1);
}

static bool all(struct fixture *f, gpa_t gpa, uint64_t len, uint8_t byte)
{
	const uint8_t *p = kit_hva(&f->kit, gpa, len);

	return p[0] == byte && memcmp(p, p + 1, len - 1) == 0;
}

static bool gone(struct fixture *f, uint32_t pfn)
{
	return all(f, (gpa_t)pfn << 12, PAGE_SIZE, 0);
}

static bool kept(struct fixture *f, uint32_t pfn)
{
	return all(f, (gpa_t)pfn << 12, PAGE_SIZE, PATTERN);
}

static void offers(void **state)
{
	struct fixture *f = *state;
	uint64_t offered = kit_offered(&f->kit);

	assert_true(offered & BALLOON_F_STATS);
	assert_true(offered & BALLOON_F_DEFLATE_ON_OOM);
	assert_true(offered & BALLOON_F_HINTING);
	assert_true(offered & BALLOON_F_REPORTING);
	assert_int_equal(kit_read(&f->kit, KIT_DEVICE_ID), 5);
	assert_int_equal(kit_config(&f->kit, 0, 4), 512);
}

static void inflate_up_down_scattered(void **state)
{
	static const uint32_t pfns[] = {
		0x900, 0x901, 0x902,               /* up */
		0x912, 0x911, 0x910,               /* down */
		0x920, 0x922, 0x924,               /* apart */
		0x930, 0x930, 0x931, 0x930, 0x932, /* again */
	};
	struct fixture *f = *state;

	start(f);
	assert_true(give_pfns(f, pfns, ARRAY_SIZE(pfns)));
	for (size_t i = 0; i < ARRAY_SIZE(pfns); i++)
		assert_true(gone(f, pfns[i]));
	assert_true(kept(f, 0x8ff) && kept(f, 0x903) && kept(f, 0x90f) &&
		    kept(f, 0x913) && kept(f, 0x921) && kept(f, 0x923) &&
		    kept(f, 0x925) && kept(f, 0x92f) && kept(f, 0x933));
	assert_int_equal(f->balloon->metrics.inflate_count, 1);
	assert_int_equal(f->balloon->metrics.event_fails, 0);
	/* The driver takes one back by using it. */
	memset(kit_hva(&f->kit, 0x900000, PAGE_SIZE), PATTERN, PAGE_SIZE);
	assert_true(kept(f, 0x900));
}

static long resident_pages(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long size, resident = -1;

	if (file && fscanf(file, "%ld %ld", &size, &resident) != 2)
		resident = -1;
	if (file)
		(void)fclose(file);
	return resident;
}

static void memory_goes_back_to_the_host(void **state)
{
	struct fixture *f = *state;
	uint32_t pfns[768];
	long before;

	start(f);
	for (uint32_t i = 0; i < ARRAY_SIZE(pfns); i++)
		pfns[i] = 0x900 + i;
	before = resident_pages();
	assert_true(give_pfns(f, pfns, ARRAY_SIZE(pfns)));
	assert_true(resident_pages() < before - 700);
}

static void test_d11_pages_that_are_not_ram(void **state)
{
	static const uint32_t bad[] = {
		KIT_RAM_BYTES >> 12,
		(KIT_RAM_BYTES >> 12) + 1,
		0xbffff,
		0xc0000,
		0xd0000,
		0xfee00,
		0xfffff,
		0x100000,
		0x7fffffff,
		0x80000000,
		0xfffffffe,
		0xffffffff,
	};
	struct fixture *f = *state;
	uint32_t pfns[2 * ARRAY_SIZE(bad)];
	gpa_t last = KIT_RAM_BYTES - PAGE_SIZE;

	start(f);
	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		pfns[2 * i] = bad[i];
		pfns[2 * i + 1] = 0x900 + i;
	}
	assert_true(give_pfns(f, pfns, ARRAY_SIZE(pfns)));
	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_true(gone(f, 0x900 + i));
	assert_int_equal(f->balloon->metrics.event_fails, ARRAY_SIZE(bad));
	pfns[0] = (uint32_t)(last >> 12);
	pfns[1] = pfns[0] + 1; /* not RAM, next to what is */
	assert_true(give_pfns(f, pfns, 2));
	assert_true(gone(f, pfns[0]) && kept(f, pfns[0] - 1));
}

static void test_d11_odd_requests(void **state)
{
	static const uint32_t lens[] = {0, 1, 2, 3, 5, 4097 * 4, 1 << 20};
	struct fixture *f = *state;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		struct kit_buf buf = {BASE, lens[i], false};

		assert_true(give(f, INFLATE, &buf, 1));
	}
	assert_int_equal(f->balloon->metrics.event_fails, ARRAY_SIZE(lens));
	assert_true(all(f, BASE, KIT_RAM_BYTES - BASE, PATTERN));
	/* One number over two buffers; a buffer to write instead. */
	{
		gpa_t at = kit_alloc(&f->kit, 4);
		struct kit_buf halves[2] = {{at, 1, false}, {at + 1, 3, false}};
		struct kit_buf write = {BASE, 4096, true};

		store_le32(kit_hva(&f->kit, at, 4), 0x940);
		assert_true(give(f, INFLATE, halves, 2));
		assert_true(gone(f, 0x940));
		assert_true(give(f, INFLATE, &write, 1));
		assert_true(kept(f, BASE >> 12));
	}
}

static void test_d11_config_space(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	start(f);
	kit_set_config(k, 4, UINT32_MAX, 4);
	assert_int_equal(kit_config(k, 4, 4), UINT32_MAX);
	kit_set_config(k, 0, 7, 4);
	kit_set_config(k, 8, 7, 4);
	kit_set_config(k, 4, 7, 8);
	kit_set_config(k, 4, 7, 1);
	assert_int_equal(kit_config(k, 0, 4), 512);
	assert_int_equal(kit_config(k, 4, 4), UINT32_MAX);
	assert_int_equal(kit_config(k, 8, 4), 0);
	assert_int_equal(f->balloon->metrics.cfg_fails, 4);
}

static void deflate_is_acknowledged(void **state)
{
	struct fixture *f = *state;
	struct kit_buf buf = {BASE, 1024, false};

	start(f);
	assert_true(give(f, DEFLATE, &buf, 1));
	assert_int_equal(f->balloon->metrics.deflate_count, 1);
	assert_true(all(f, BASE, KIT_RAM_BYTES - BASE, PATTERN));
}

static void target_reaches_the_driver(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	assert_int_equal(balloon_set_target(f->balloon, 1), -107);
	start(f);
	(void)kit_irqs(k);
	kit_write(k, KIT_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(balloon_set_target(f->balloon, 1024), 0);
	assert_int_equal(kit_irqs(k), 1);
	assert_int_equal(kit_read(k, KIT_INTERRUPT_STATUS), VIRTIO_INT_CONFIG);
	assert_int_equal(kit_config(k, 0, 4), 1024);
}

/* ---- statistics ---- */

static void put_stat(uint8_t *p, uint16_t tag, uint64_t value)
{
	store_le16(p, tag);
	store_le64(p + 2, value);
}

static struct balloon_stats read_stats(struct fixture *f)
{
	struct balloon_config_space space;
	struct balloon_hinting hinting;
	struct balloon_stats stats;

	balloon_read(f->balloon, &space, &stats, &hinting);
	return stats;
}

static void statistics_are_held_and_asked_for(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 40), 40, false};
	uint8_t *p = kit_hva(k, buf.gpa, 40);
	struct kit_used used;

	start(f);
	put_stat(p, 4, 111);
	put_stat(p + 10, 5, UINT64_MAX);
	put_stat(p + 20, 0xffff, 3); /* a tag of the future */
	put_stat(p + 30, 15, 5);
	(void)kit_add(k, STATS, &buf, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	assert_false(kit_used(k, STATS, &used));
	assert_int_equal(read_stats(f).seen, 1u << 4 | 1u << 5 | 1u << 15);
	assert_int_equal(read_stats(f).value[4], 111);
	assert_true(read_stats(f).value[5] == UINT64_MAX);
	f->balloon->timer.fired(&f->balloon->timer);
	assert_true(kit_used(k, STATS, &used));
	f->balloon->timer.fired(&f->balloon->timer);
	assert_false(kit_used(k, STATS, &used));
	put_stat(p, 4, 222);
	(void)kit_add(k, STATS, &buf, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	assert_int_equal(read_stats(f).value[4], 222);
	/* One too many: the older one comes back. */
	(void)kit_add(k, STATS, &buf, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	assert_true(kit_used(k, STATS, &used));
	assert_false(kit_used(k, STATS, &used));
}

static void test_d11_huge_statistics(void **state)
{
	struct fixture *f = *state;
	struct kit_buf bufs[63];
	struct kit_used used;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct kit_buf){0, KIT_RAM_BYTES, false};
	(void)kit_add(&f->kit, STATS, bufs, ARRAY_SIZE(bufs));
	kit_kick(&f->kit, STATS);
	kit_pump(&f->kit);
	assert_false(kit_used(&f->kit, STATS, &used));
	assert_true(f->balloon->holds_stats);
}

static void interval_is_polled(void **state)
{
	struct fixture *f = *state;

	assert_false(f->balloon->polling);
	start(f);
	assert_true(f->balloon->polling);
	balloon_set_stats_interval(f->balloon, 1);
	assert_true(f->balloon->polling);
	kit_write(&f->kit, KIT_STATUS, 0);
	f->balloon->timer.fired(&f->balloon->timer);
	assert_false(f->balloon->polling);
	start(f);
	assert_true(f->balloon->polling);
}

/* A snapshot finds the buffer in its queue, and so does what goes on. */
static void drain_puts_statistics_back(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 10), 10, false};
	struct virtq *q = &k->dev->queue[STATS];
	struct kit_used used;

	start(f);
	put_stat(kit_hva(k, buf.gpa, 10), 4, 7);
	(void)kit_add(k, STATS, &buf, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	virtio_dev_pause(k->dev);
	assert_int_equal(virtio_dev_drain(k->dev, 0), 0);
	assert_int_equal(q->next_avail, q->next_used);
	virtio_dev_resume(k->dev);
	kit_pump(k);
	assert_true(f->balloon->holds_stats);
	f->balloon->timer.fired(&f->balloon->timer);
	assert_true(kit_used(k, STATS, &used));
	assert_false(kit_used(k, STATS, &used));
}

/* A malformed chain behind the buffer that is held: each comes back once. */
static void drain_puts_back_what_is_held(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 10), 10, false};
	struct kit_buf bad = {KIT_RAM_BYTES, 10, false};
	struct kit_used used;
	uint16_t held;

	start(f);
	put_stat(kit_hva(k, buf.gpa, 10), 4, 7);
	held = kit_add(k, STATS, &buf, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	(void)kit_add(k, STATS, &bad, 1);
	kit_kick(k, STATS);
	kit_pump(k);
	assert_true(kit_used(k, STATS, &used));
	virtio_dev_pause(k->dev);
	assert_int_equal(virtio_dev_drain(k->dev, 0), 0);
	assert_true(kit_used(k, STATS, &used));
	assert_int_equal(used.head, held);
	virtio_dev_resume(k->dev);
	kit_pump(k);
	assert_false(kit_used(k, STATS, &used));
	assert_false(f->balloon->holds_stats);
	assert_true(k->dev->active);
}

/* No descriptor is left: what the device needs it has. */
static void polls_without_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 1; /* and that is in use */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	start(f);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(f->balloon->polling);
}

/* ---- ranges ---- */

static void reported_ranges_go(void **state)
{
	struct fixture *f = *state;
	struct kit_buf bufs[3] = {
		{0x900000, 0x10000, true},
		{0x920800, 0x2000, true}, /* one whole page in it */
		{0x930100, 0x200, true},  /* none */
	};

	start(f);
	assert_true(give(f, REPORTING, bufs, 3));
	for (uint32_t pfn = 0x900; pfn < 0x910; pfn++)
		assert_true(gone(f, pfn));
	assert_true(kept(f, 0x8ff) && kept(f, 0x910) && kept(f, 0x920) &&
		    gone(f, 0x921) && kept(f, 0x922) && kept(f, 0x930));
	assert_int_equal(f->balloon->metrics.free_page_report_freed, 0x11000);
	assert_int_equal(f->balloon->metrics.free_page_report_fails, 1);
}

static bool hint_cmd(struct fixture *f, uint32_t cmd)
{
	struct kit_buf buf = {kit_alloc(&f->kit, 4), 4, false};

	store_le32(kit_hva(&f->kit, buf.gpa, 4), cmd);
	return give(f, HINTING, &buf, 1);
}

static void hinting_runs(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf a = {0x900000, 0x1000, true};
	struct kit_buf b = {0x910000, 0x1000, true};

	start(f);
	assert_true(give(f, HINTING, &a, 1)); /* nobody asked */
	assert_true(kept(f, 0x900));
	assert_int_equal(balloon_start_hinting(f->balloon, true), 0);
	assert_int_equal(kit_config(k, 8, 4), 2);
	assert_true(hint_cmd(f, 99)); /* another run's */
	assert_true(give(f, HINTING, &a, 1));
	assert_true(kept(f, 0x900));
	assert_int_equal(f->balloon->metrics.free_page_hint_fails, 2);
	assert_true(hint_cmd(f, 2));
	assert_true(give(f, HINTING, &a, 1));
	assert_int_equal(f->balloon->metrics.free_page_hint_fails, 2);
	assert_int_equal(f->balloon->metrics.free_page_hint_count, 3);
	assert_true(hint_cmd(f, BALLOON_HINT_STOP));
	assert_int_equal(kit_config(k, 8, 4), BALLOON_HINT_DONE);
	assert_true(give(f, HINTING, &b, 1)); /* in use again */
	assert_int_equal(f->balloon->metrics.free_page_hint_fails, 3);
	assert_int_equal(balloon_start_hinting(f->balloon, false), 0);
	assert_int_equal(kit_config(k, 8, 4), 3);
	assert_true(hint_cmd(f, 3));
	assert_true(hint_cmd(f, BALLOON_HINT_STOP));
	assert_int_equal(kit_config(k, 8, 4), 3);
	assert_int_equal(balloon_stop_hinting(f->balloon), 0);
	assert_int_equal(kit_config(k, 8, 4), BALLOON_HINT_DONE);
	f->balloon->hinting.last_cmd = UINT32_MAX;
	assert_int_equal(balloon_start_hinting(f->balloon, false), 0);
	assert_int_equal(kit_config(k, 8, 4),
			 2); /* 0 and 1 mean other things */
}

/* Linux may take a page back and write to it at any moment of a run: before
 * the hint is looked at, and after it came back. */
static void what_is_written_after_a_hint_stays(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf a = {0x900000, 0x1000, true};
	struct kit_used used;

	start(f);
	assert_int_equal(balloon_start_hinting(f->balloon, true), 0);
	assert_true(hint_cmd(f, 2));
	memset(kit_hva(k, a.gpa, a.len), 0, a.len);
	(void)kit_add(k, HINTING, &a, 1);
	memset(kit_hva(k, a.gpa, a.len), PATTERN, a.len);
	kit_kick(k, HINTING);
	kit_pump(k);
	assert_true(kit_used(k, HINTING, &used));
	assert_true(kept(f, 0x900));
	assert_true(hint_cmd(f, BALLOON_HINT_STOP));
	assert_true(kept(f, 0x900));
	assert_int_equal(f->balloon->metrics.free_page_hint_freed, 0);
}

/* Parts of a 2 MiB page cannot go: they count as failed, and stay. */
static void huge_pages_go_whole(void **state)
{
	struct fixture *f = *state;
	struct kit_buf bufs[2] = {
		{0xe00000, 0x200000, true},
		{0xa00000, 0x1ff000, true}, /* one page short */
	};
	uint32_t pfns[513];

	f->kit.mem.pages = GMEM_PAGES_2M;
	start(f);
	assert_true(give_pfns(f, (uint32_t[]){0x900}, 1));
	assert_int_equal(f->balloon->metrics.event_fails, 1);
	assert_true(kept(f, 0x900));
	assert_false(gmem_was_discarded(&f->kit.mem, 0x900000));
	assert_true(give(f, REPORTING, bufs, 2));
	assert_true(all(f, 0xe00000, 0x200000, 0));
	assert_true(all(f, 0xa00000, 0x200000, PATTERN));
	assert_int_equal(f->balloon->metrics.free_page_report_freed, 0x200000);
	assert_int_equal(f->balloon->metrics.free_page_report_fails, 1);
	for (uint32_t i = 0; i < ARRAY_SIZE(pfns); i++)
		pfns[i] = 0xbff + i;
	assert_true(give_pfns(f, pfns, ARRAY_SIZE(pfns)));
	assert_true(all(f, 0xc00000, 0x200000, 0));
	assert_true(kept(f, 0xbff));
	assert_int_equal(f->balloon->metrics.event_fails, 2);
}

static void reset_forgets(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	start(f);
	kit_set_config(k, 4, 100, 4);
	assert_int_equal(balloon_start_hinting(f->balloon, true), 0);
	assert_true(hint_cmd(f, 2));
	kit_write(k, KIT_STATUS, 0);
	assert_int_equal(kit_config(k, 0, 4), 512);
	assert_int_equal(kit_config(k, 4, 4), 0);
	assert_int_equal(kit_config(k, 8, 4), 0);
	assert_false(f->balloon->hinting.has_guest_cmd);
	assert_int_equal(balloon_start_hinting(f->balloon, true), -107);
}

/* More pages than one wake-up does: all go, a part at a time. */
static void work_is_divided(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 4096 * 4), 4096 * 4, false};
	uint8_t *p = kit_hva(k, buf.gpa, buf.len);
	struct kit_used used;

	start(f);
	for (uint32_t i = 0; i < 4096; i++)
		store_le32(p + (size_t)i * 4, 0x900);
	for (unsigned int i = 0; i < 4; i++)
		(void)kit_add(k, INFLATE, &buf, 1);
	kit_kick(k, INFLATE);
	assert_int_equal(loop_step(&k->loop, 0), 0);
	assert_true(kit_used(k, INFLATE, &used));
	assert_false(kit_used(k, INFLATE, &used));
	kit_pump(k);
	for (unsigned int i = 1; i < 4; i++)
		assert_true(kit_used(k, INFLATE, &used));
}

/* A report of all RAM many times over: a bounded part of it at a time, and the
 * loop goes round in between. */
static void test_d11_reports_are_divided(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf bufs[16];
	struct kit_used used;
	uint64_t before = 0;
	unsigned int rounds = 0;

	start(f);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		bufs[i] = (struct kit_buf){BASE, KIT_RAM_BYTES - BASE, true};
	(void)kit_add(k, REPORTING, bufs, ARRAY_SIZE(bufs));
	(void)kit_add(k, REPORTING, bufs, 1);
	kit_kick(k, REPORTING);
	while (!kit_used(k, REPORTING, &used)) {
		uint64_t freed;

		assert_int_equal(loop_step(&k->loop, 0), 0);
		freed = f->balloon->metrics.free_page_report_freed;
		assert_true(freed - before <= MIB(8));
		assert_true(freed > before);
		before = freed;
		rounds++;
	}
	assert_true(rounds >= 8);
	/* Paused and saved in the middle: it begins anew, nothing is lost. */
	(void)kit_add(k, REPORTING, bufs, ARRAY_SIZE(bufs));
	kit_kick(k, REPORTING);
	assert_int_equal(loop_step(&k->loop, 0), 0);
	virtio_dev_pause(k->dev);
	assert_int_equal(virtio_dev_drain(k->dev, 0), 0);
	kit_pump(k);
	virtio_dev_resume(k->dev);
	kit_pump(k);
	assert_true(kit_used(k, REPORTING, &used));
	assert_true(kit_used(k, REPORTING, &used));
	assert_false(kit_used(k, REPORTING, &used));
	assert_int_equal(f->balloon->metrics.free_page_report_count, 3);
}

static void state_is_saved_and_loaded(void **state)
{
	struct fixture *f = *state;
	struct virtio_dev *dev = &f->balloon->dev;
	cleanup_buf struct buf first = {0}, second = {0};
	void *saved = calloc(1, dev->ops->state->size);
	struct err err = {0};

	assert_non_null(saved);
	start(f);
	kit_set_config(&f->kit, 4, 77, 4);
	assert_int_equal(balloon_set_target(f->balloon, 99), 0);
	assert_int_equal(balloon_start_hinting(f->balloon, true), 0);
	assert_true(hint_cmd(f, 2));
	dev->ops->save(dev, saved);
	schema_encode(dev->ops->state, saved, &first);
	kit_write(&f->kit, KIT_STATUS, 0);
	assert_int_equal(dev->ops->load(dev, saved, &err), 0);
	assert_int_equal(kit_config(&f->kit, 0, 4), 99);
	assert_int_equal(kit_config(&f->kit, 4, 4), 77);
	assert_int_equal(kit_config(&f->kit, 8, 4), 2);
	dev->ops->save(dev, saved);
	schema_encode(dev->ops->state, saved, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	free(saved);
}

#define balloon_test(name) \
	cmocka_unit_test_setup_teardown(name, open_balloon, close_balloon)

int main(void)
{
	const struct CMUnitTest tests[] = {
		balloon_test(offers),
		balloon_test(inflate_up_down_scattered),
		balloon_test(memory_goes_back_to_the_host),
		balloon_test(test_d11_pages_that_are_not_ram),
		balloon_test(test_d11_odd_requests),
		balloon_test(test_d11_config_space),
		balloon_test(deflate_is_acknowledged),
		balloon_test(target_reaches_the_driver),
		balloon_test(statistics_are_held_and_asked_for),
		balloon_test(test_d11_huge_statistics),
		balloon_test(interval_is_polled),
		balloon_test(drain_puts_statistics_back),
		balloon_test(drain_puts_back_what_is_held),
		balloon_test(polls_without_descriptors),
		balloon_test(reported_ranges_go),
		balloon_test(hinting_runs),
		balloon_test(what_is_written_after_a_hint_stays),
		balloon_test(huge_pages_go_whole),
		balloon_test(reset_forgets),
		balloon_test(work_is_divided),
		balloon_test(test_d11_reports_are_divided),
		balloon_test(state_is_saved_and_loaded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
