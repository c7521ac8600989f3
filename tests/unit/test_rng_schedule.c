// SPDX-License-Identifier: Apache-2.0
/*
 * test_rng_schedule.c - entropy device: whatever happens in whatever order, no
 * request is left behind, and no callback does more than its share
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/log.h"
#include "dev/rng.h"

#include <sys/random.h>

#define BUF_BYTES   100000u /* more than a request yields */
#define ROUND_BYTES (2 * RNG_REQUEST_MAX)

/* What a chain may be like. */
enum form {
	FORM_GOOD,
	FORM_READ_ONLY,
	FORM_MALFORMED,
};

/**
 * struct world - the device and its driver
 * @area:	where all requests write
 * @form, @len:	of a tag
 * @may_fail:	the host gave nothing since it was offered
 * @given:	bytes in this callback
 * @limit:	ops, their refill, bytes, their refill
 */
static struct world {
	struct driver d;
	struct rng *rng;
	gpa_t area;
	enum form form[DRIVER_TAGS];
	uint32_t len[DRIVER_TAGS];
	bool may_fail[DRIVER_TAGS];
	uint64_t given;
	uint64_t limit[4];
} w;

/* ---- the host ---- */

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags);

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags)
{
	(void)flags;
	if (schedule_once_in(40)) {
		errno = EINTR;
		return -1;
	}
	if (schedule_once_in(100)) {
		memset(w.may_fail, true, sizeof(w.may_fail));
		errno = EIO;
		return -1;
	}
	if (schedule_once_in(10))
		len = schedule_below(len) + 1;
	memset(buf, 0x5a, len < 64 ? len : 64);
	w.given += len;
	return (ssize_t)len;
}

/* ---- the device ---- */

static void make_device(void)
{
	struct err err;

	schedule_check(rng_new(&w.rng, &w.d.kit.mem, &w.d.kit.loop, &err) == 0);
	kit_attach(&w.d.kit, &w.rng->dev);
	token_bucket_init(&w.rng->limiter.ops, w.limit[0], 0, w.limit[1],
			  schedule.now);
	token_bucket_init(&w.rng->limiter.bandwidth, w.limit[2], 0, w.limit[3],
			  schedule.now);
}

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	w.area = kit_alloc(&w.d.kit, BUF_BYTES);
	driver_place(&w.d, 1);
	make_device();
	driver_start(&w.d, 0, NULL, 0);
}

static void close_world(void)
{
	kit_close(&w.d.kit);
}

/* ---- the driver ---- */

static void offer(void)
{
	uint16_t old = w.d.kit.queue[0].avail_idx;

	if (driver_broken(&w.d))
		return;
	for (uint64_t left = schedule_below(DRIVER_TAGS) + 1; left > 0;
	     left--) {
		unsigned int tag = driver_tag(&w.d, 0);
		struct kit_buf bufs[3];
		uint32_t len, cut;

		if (tag == DRIVER_TAGS)
			break;
		len = (uint32_t)schedule_below(schedule_once_in(4) ? BUF_BYTES
								   : 100) +
		      1;
		cut = (uint32_t)schedule_below(len);
		w.form[tag] = schedule_once_in(10)   ? FORM_READ_ONLY
			      : schedule_once_in(10) ? FORM_MALFORMED
						     : FORM_GOOD;
		w.len[tag] = len < RNG_REQUEST_MAX ? len : RNG_REQUEST_MAX;
		w.may_fail[tag] = false;
		bufs[0] = (struct kit_buf){w.area, 4, false};
		bufs[1] = (struct kit_buf){w.area, cut, true};
		bufs[2] = (struct kit_buf){w.area + cut, len - cut, true};
		if (w.form[tag] == FORM_MALFORMED)
			bufs[1] = (struct kit_buf){KIT_RAM_BYTES, 4, true};
		if (w.form[tag] == FORM_READ_ONLY)
			driver_offer(&w.d, 0, tag, bufs, 1);
		else
			driver_offer(&w.d, 0, tag, bufs + 1, 2);
	}
	driver_kick(&w.d, 0, old);
}

static void answer(unsigned int queue, unsigned int tag, uint32_t len)
{
	(void)queue;
	if (w.form[tag] != FORM_GOOD)
		schedule_check(len == 0);
	else if (w.may_fail[tag])
		schedule_check(len <= w.len[tag]);
	else
		schedule_check(len == w.len[tag]);
}

static void collect(void)
{
	driver_collect(&w.d, answer);
}

/* ---- what happens ---- */

static void one_callback(void)
{
	w.given = 0;
	schedule_check(loop_step(&w.d.kit.loop, 0) == 0);
	schedule_check(w.given <= ROUND_BYTES);
}

static void pump(void)
{
	driver_pump(&w.d, one_callback);
}

static void kick(void)
{
	kit_kick(&w.d.kit, 0);
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
}

static void save_and_load(void)
{
	driver_save_and_load(&w.d, make_device);
}

static void reset(void)
{
	kit_write(&w.d.kit, KIT_STATUS, 0);
	schedule_check(kit_read(&w.d.kit, KIT_STATUS) == 0);
	driver_start(&w.d, 0, NULL, 0);
}

static void break_ring(void)
{
	driver_break(&w.d, 0);
	resume_vm();
	pump();
	reset();
}

static void patch_limits(void)
{
	w.limit[0] = schedule_below(8);
	w.limit[1] = schedule_below(20);
	w.limit[2] = schedule_below(3) * (schedule_below(200000) + 200);
	w.limit[3] = schedule_below(20);
	virtio_dev_enter(&w.rng->dev);
	token_bucket_init(&w.rng->limiter.ops, w.limit[0], 0, w.limit[1],
			  schedule.now);
	token_bucket_init(&w.rng->limiter.bandwidth, w.limit[2], 0, w.limit[3],
			  schedule.now);
	rate_limiter_changed(&w.rng->limiter);
	virtio_dev_leave(&w.rng->dev);
}

static void short_time(void)
{
	schedule_advance(schedule_below(3 * NS_PER_MS));
}

static bool anything_out(void)
{
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		if (w.d.out[0][i])
			return true;
	return false;
}

static void settle(void)
{
	unsigned int left = 5000;

	resume_vm();
	if (driver_broken(&w.d))
		reset();
	pump();
	collect();
	while (anything_out()) {
		if (left-- == 0)
			schedule_failed("requests are left behind", __FILE__,
					__LINE__);
		schedule_advance(20 * NS_PER_MS);
		pump();
		collect();
	}
}

static const struct schedule_step steps[] = {
	{"offer", 30, offer},
	{"callback", 20, one_callback},
	{"pump", 5, pump},
	{"collect", 15, collect},
	{"short time", 8, short_time},
	{"kick", 1, kick},
	{"pause", 2, pause_vm},
	{"resume", 4, resume_vm},
	{"drain", 1, drain_vm},
	{"patch limits", 1, patch_limits},
	{"save and load", 1, save_and_load},
	{"reset", 1, reset},
	{"break the ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "rng",
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
