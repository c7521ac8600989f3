// SPDX-License-Identifier: Apache-2.0
/*
 * test_pmem_schedule.c - pmem device: whatever happens in whatever order, no
 * flush is left behind, and none is answered before what was stored is safe
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/log.h"
#include "dev/pmem.h"

#include <errno.h>
#include <sys/mman.h>

#define FILE_BYTES (MIB(1) + 5000)
#define WIRE       16u /* of a tag: the request, the answer 8 bytes behind it */
#define NO_FLUSH   5u
#define UNTOUCHED  0xffffffffu

/* What a chain may be like. */
enum form {
	FORM_FLUSH,
	FORM_UNKNOWN,
	FORM_SHORT,
	FORM_READ_ONLY_BUFFERS,
};

/**
 * struct world - the device, its driver, and what should be
 * @area:	of all requests
 * @stored:	counts up in the first bytes of the file
 * @safe:	what of it the last sync saw
 * @want:	of a tag: what was stored when it was offered
 * @judged:	of a tag: its answer came, and what was stored is safe
 * @may_fail:	of a tag: the host has failed since
 * @syncs:	in this callback
 * @owed:	chains came while the device worked: a kick is due, for those
 *		behind @owed_from
 * @limit:	ops, their refill, bytes, their refill
 */
static struct world {
	struct driver d;
	struct pmem *p;
	int fd;
	gpa_t area;
	gpa_t base;
	uint32_t stored;
	uint32_t safe;
	enum form form[DRIVER_TAGS];
	uint32_t want[DRIVER_TAGS];
	bool judged[DRIVER_TAGS];
	bool may_fail[DRIVER_TAGS];
	unsigned int syncs;
	bool owed;
	uint16_t owed_from;
	uint64_t limit[4];
} w;

/* ---- the host ---- */

static void offer_chains(void);

int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	schedule_check(fd == w.fd);
	if (schedule_once_in(20)) {
		errno = EINTR;
		return -1;
	}
	w.syncs++;
	if (schedule_once_in(30)) {
		memset(w.may_fail, true, sizeof(w.may_fail));
		errno = EIO;
		return -1;
	}
	schedule_check(pread(fd, &w.safe, sizeof(w.safe), 0) == sizeof(w.safe));
	return 0;
}

/* ---- the device ---- */

static void set_limits(void)
{
	token_bucket_init(&w.p->limiter.ops, w.limit[0], 0, w.limit[1],
			  schedule.now);
	token_bucket_init(&w.p->limiter.bandwidth, w.limit[2], 0, w.limit[3],
			  schedule.now);
}

static void make_device(void)
{
	const struct pmem_params params = {
		.id = "p",
		.mem = &w.d.kit.mem,
		.loop = &w.d.kit.loop,
		.region = gmem_device(&w.d.kit.mem, 0),
		.fd = w.fd,
		.file_bytes = FILE_BYTES,
	};
	struct err err;

	schedule_check(pmem_new(&w.p, &params, &err) == 0);
	kit_attach(&w.d.kit, &w.p->dev);
	set_limits();
}

static void open_world(void)
{
	struct gmem_spec spec = {
		.kind = GMEM_DEVICE,
		.size = MIB(2),
		.file_bytes = FILE_BYTES,
		.shared = true,
	};
	struct err err;

	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	w.fd = spec.fd = memfd_create("pmem", MFD_CLOEXEC);
	schedule_check(w.fd >= 0 && ftruncate(w.fd, FILE_BYTES) == 0);
	w.base = spec.gpa = gmem_room(&w.d.kit.mem, MIB(2));
	schedule_check(gmem_add(&w.d.kit.mem, &spec, &err) == 0);
	w.area = kit_alloc(&w.d.kit, (uint64_t)DRIVER_TAGS * WIRE);
	driver_place(&w.d, 1);
	make_device();
	driver_start(&w.d, 0, NULL, 0);
}

static void close_world(void)
{
	kit_close(&w.d.kit);
	(void)close(w.fd);
}

/* ---- the driver ---- */

static uint8_t *wire_of(unsigned int tag)
{
	return kit_hva(&w.d.kit, w.area + (gpa_t)tag * WIRE, WIRE);
}

static void store(void)
{
	w.stored++;
	schedule_check(gmem_write(&w.d.kit.mem, w.base, &w.stored,
				  sizeof(w.stored)) == 0);
}

static enum form any_form(void)
{
	return schedule_once_in(15)   ? FORM_UNKNOWN
	       : schedule_once_in(15) ? FORM_SHORT
	       : schedule_once_in(15) ? FORM_READ_ONLY_BUFFERS
				      : FORM_FLUSH;
}

static void offer_chains(void)
{
	for (uint64_t left = schedule_below(DRIVER_TAGS) + 1; left > 0;
	     left--) {
		unsigned int tag = driver_tag(&w.d, 0);
		gpa_t at = w.area + (gpa_t)tag * WIRE;
		struct kit_buf bufs[2] = {{at, 4, false}, {at + 8, 4, true}};

		if (tag == DRIVER_TAGS)
			break;
		store();
		w.form[tag] = any_form();
		w.want[tag] = w.stored;
		w.may_fail[tag] = false;
		w.judged[tag] = false;
		store_le32(wire_of(tag),
			   w.form[tag] == FORM_UNKNOWN ? NO_FLUSH : 0);
		store_le32(wire_of(tag) + 8, UNTOUCHED);
		if (w.form[tag] == FORM_SHORT)
			bufs[1].len = 3;
		if (w.form[tag] == FORM_READ_ONLY_BUFFERS)
			bufs[1].write = false;
		driver_offer(&w.d, 0, tag, bufs, 2);
	}
}

static void offer(void)
{
	uint16_t old = w.d.kit.queue[0].avail_idx;

	if (driver_broken(&w.d))
		return;
	offer_chains();
	driver_kick(&w.d, 0, old);
}

static void answer(unsigned int queue, unsigned int tag, uint32_t len)
{
	uint32_t got = load_le32(wire_of(tag) + 8);

	(void)queue;
	if (w.form[tag] == FORM_SHORT ||
	    w.form[tag] == FORM_READ_ONLY_BUFFERS) {
		schedule_check(len == 0 && got == UNTOUCHED);
		return;
	}
	schedule_check(len == 4);
	if (w.form[tag] == FORM_UNKNOWN)
		schedule_check(got == 1);
	else
		schedule_check(w.judged[tag] &&
			       (got == 0 || (got == 1 && w.may_fail[tag])));
}

/* As soon as it is there, whenever the driver looks. */
static void judge_answers(void)
{
	for (unsigned int tag = 0; tag < DRIVER_TAGS; tag++) {
		uint32_t got = load_le32(wire_of(tag) + 8);

		if (!w.d.out[0][tag] || w.judged[tag] || got == UNTOUCHED)
			continue;
		w.judged[tag] = true;
		if (got == 0)
			schedule_check(w.safe >= w.want[tag]);
	}
}

static void collect(void)
{
	driver_collect(&w.d, answer);
}

/* ---- what happens ---- */

/* It waits for the disk once, whatever was asked. */
static void one_callback(void)
{
	w.syncs = 0;
	schedule_check(loop_step(&w.d.kit.loop, 0) == 0);
	schedule_check(w.syncs <= 2); /* a kick, and the limiter's timer */
	if (w.owed && !driver_broken(&w.d))
		driver_kick(&w.d, 0, w.owed_from);
	w.owed = false;
	judge_answers();
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
	w.limit[2] = schedule_below(3) * (schedule_below(3 * FILE_BYTES) + 200);
	w.limit[3] = schedule_below(20);
	virtio_dev_enter(&w.p->dev);
	set_limits();
	rate_limiter_changed(&w.p->limiter);
	virtio_dev_leave(&w.p->dev);
}

static void let_pass(uint64_t ns)
{
	schedule_advance(ns);
	judge_answers();
}

static void short_time(void)
{
	let_pass(schedule_below(3 * NS_PER_MS));
}

static bool anything_out(void)
{
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		if (w.d.out[0][i])
			return true;
	return false;
}

/* A bucket may be so small that a flush takes it long; the limits go then. */
static void settle(void)
{
	unsigned int left = 2000;

	resume_vm();
	if (driver_broken(&w.d))
		reset();
	pump();
	collect();
	while (anything_out()) {
		if (left-- == 0)
			schedule_failed("flushes are left behind", __FILE__,
					__LINE__);
		let_pass(NS_PER_S);
		if (left == 1000) {
			memset(w.limit, 0, sizeof(w.limit));
			set_limits();
			rate_limiter_changed(&w.p->limiter);
		}
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
	{"store", 5, store},
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
	.name = "pmem",
	.steps = 50000,
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
