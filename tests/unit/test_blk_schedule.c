// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_schedule.c - block device: whatever happens in whatever order, no
 * request is left behind, none is done twice and none wrong
 *
 * The driver is a legal one and does no more than it has to: it kicks only when
 * the device asks for it, and looks at the used ring only when interrupted. So
 * what the device forgets stays forgotten. Each of its requests (a tag) has its
 * own sectors and memory, and a model says what is in them. The engine is ours:
 * calls are done when the schedule says so, in any order, in parts, with
 * errors, or not at all for a while.
 */
#include "unit.h"

#include "blk_fake.h"

#include "base/log.h"
#include "dev/blk.h"
#include "virtio/state.h"
#include "virtio_kit.h"

#include <sys/mman.h>

#define TAGS      40u
#define EACH      16u /* sectors of a tag */
#define SECTOR    512u
#define SECTORS   (TAGS * EACH)
#define TAG_LEN   (EACH * SECTOR)
#define SIZE      256u /* of the queue */
#define DESCS     4u   /* of a chain */
#define UNKNOWN   (-1) /* what is in a sector */

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2,
	S_NONE = 0xee,
};

#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* What a chain may be like. */
enum form {
	FORM_GOOD,
	FORM_NO_STATUS,
	FORM_MALFORMED,
};

/**
 * struct tag - a request of the driver
 * @out:	in the ring, not back yet
 * @may_fail:	the engine failed a call of it, or the file changed meanwhile
 * @crossed:	the file changed meanwhile
 * @unmap:	WRITE_ZEROES: the flag
 * @epoch:	limits that it was offered under
 * @base:	of its header, table, status and data
 */
struct tag {
	bool out;
	bool may_fail;
	bool crossed;
	bool unmap;
	enum form form;
	uint32_t type;
	uint32_t sector;
	uint32_t sectors;
	uint8_t byte;
	uint64_t epoch;
	gpa_t base;
};

#define AT_TABLE  16u
#define AT_RANGE  96u
#define AT_STATUS 112u
#define AT_DATA   128u

/**
 * struct world - the device, its driver, and what they should be like
 * @file, @shadow: two disks, and what is in their sectors
 * @at:		the one that is in use
 * @no_holes:	nothing can be punched
 * @quiet:	the driver adds nothing
 * @settling:	the device may begin calls though it is paused
 * @queue:	at which addresses a restart puts the rings
 * @limit:	bytes, in ms; operations, in ms
 * @epoch, @since: of these limits
 * @ops, @bytes: done of what was offered under them
 */
static struct world {
	struct kit kit;
	struct blk *blk;
	struct block_file file[2];
	int16_t shadow[2][SECTORS];
	unsigned int at;
	bool no_holes;
	bool quiet;
	bool settling;
	struct kit_queue queue;
	uint64_t features;
	struct tag tag[TAGS];
	struct limit {
		uint64_t size;
		uint64_t ms;
	} limit[2];
	uint64_t epoch;
	uint64_t since;
	uint64_t ops;
	uint64_t bytes;
} w;

/* ---- what the engine asks ---- */

static void offer(void);

/* A failed call fails its request. */
static void fake_hurt(const struct block_call *call)
{
	for (unsigned int i = 0; i < TAGS; i++)
		if (w.tag[i].out &&
		    (call->kind == BLOCK_CALL_SYNC || call->off / TAG_LEN == i))
			w.tag[i].may_fail = true;
}

static void fake_meanwhile(void)
{
	/* Another CPU does not wait for us. */
	if (schedule_once_in(10) && !w.kit.dev->paused)
		offer();
	/* Nor the clock, where the disk is slow. */
	if (schedule_once_in(4))
		schedule.now += schedule_below(20 * NS_PER_MS);
}

static bool fake_may_begin(void)
{
	return !w.kit.dev->paused || w.settling;
}

static bool fake_has_holes(void)
{
	return !w.no_holes;
}

bool __real_virtq_enable_kicks(struct virtq *q);
bool __wrap_virtq_enable_kicks(struct virtq *q);

/* The driver adds something just before it could know that we want a kick. */
bool __wrap_virtq_enable_kicks(struct virtq *q)
{
	if (schedule_once_in(4))
		offer();
	return __real_virtq_enable_kicks(q);
}

/* ---- the device ---- */

static void make_device(void)
{
	struct blk_params params = {
		.id = "schedule",
		.mem = &w.kit.mem,
		.loop = &w.kit.loop,
		.file = w.file[w.at],
		.flush = true,
		.engine = fake_new(),
	};
	struct err err;

	schedule_check(blk_new(&w.blk, &params, &err) == 0);
	kit_attach(&w.kit, blk_dev(w.blk));
}

/* Rings at their place, the positions from 0. */
static void start_driver(void)
{
	static const uint64_t wishes[] = {VIRTIO_F_EVENT_IDX, F_FLUSH,
					  F_DISCARD, F_WRITE_ZEROES};
	uint64_t offered = kit_offered(&w.kit);

	w.features = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC;
	for (size_t i = 0; i < ARRAY_SIZE(wishes); i++)
		if (!schedule_once_in(3))
			w.features |= offered & wishes[i];
	schedule_check(kit_negotiate(&w.kit, w.features));
	w.kit.queue[0] = w.queue;
	memset(kit_hva(&w.kit, w.queue.avail, 6 + SIZE * 2), 0, 6 + SIZE * 2);
	memset(kit_hva(&w.kit, w.queue.used, 6 + SIZE * 8), 0, 6 + SIZE * 8);
	schedule_check(kit_place_queue(&w.kit, 0));
	kit_add_status(&w.kit, VIRTIO_STATUS_DRIVER_OK);
	for (unsigned int i = 0; i < TAGS; i++)
		w.tag[i].out = false;
}

static void new_file(struct block_file *file, unsigned int i, uint64_t sectors)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	schedule_check(fd >= 0 &&
		       ftruncate(fd, (off_t)(sectors * SECTOR)) == 0);
	schedule_check(block_file_init(file, fd) == 0);
	memset(w.shadow[i], 0, sizeof(w.shadow[i]));
}

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	kit_open(&w.kit);
	schedule.loop = &w.kit.loop;
	new_file(&w.file[0], 0, SECTORS);
	new_file(&w.file[1], 1, SECTORS / 2);
	w.no_holes = schedule_once_in(3);
	w.queue = (struct kit_queue){.size = SIZE};
	w.queue.desc = kit_alloc(&w.kit, SIZE * 16);
	w.queue.avail = kit_alloc(&w.kit, 6 + SIZE * 2);
	w.queue.used = kit_alloc(&w.kit, 6 + SIZE * 8);
	for (unsigned int i = 0; i < TAGS; i++)
		w.tag[i].base = kit_alloc(&w.kit, AT_DATA + TAG_LEN);
	make_device();
	start_driver();
}

static void close_world(void)
{
	kit_close(&w.kit);
	(void)close(w.file[0].fd);
	(void)close(w.file[1].fd);
}

static bool broken(void)
{
	return kit_read(&w.kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

/* ---- the driver: requests ---- */

static uint8_t *tag_mem(const struct tag *t, unsigned int at, uint64_t len)
{
	return kit_hva(&w.kit, t->base + at, len);
}

/* The buffers of a tag's chain. Return: how many. */
static unsigned int buffers(const struct tag *t, struct kit_buf *bufs)
{
	uint32_t len = t->sectors * SECTOR, cut = 0;
	bool in = t->type == T_IN || t->type == T_GET_ID;
	unsigned int nr = 0;

	bufs[nr++] = (struct kit_buf){t->base, 16, false};
	if (t->type == T_DISCARD || t->type == T_WRITE_ZEROES) {
		bufs[nr++] = (struct kit_buf){t->base + AT_RANGE, 16, false};
	} else if (t->type != T_FLUSH) {
		cut = (uint32_t)schedule_below(len);
		if (t->type == T_GET_ID)
			len = 20, cut = 0;
		if (cut > 0)
			bufs[nr++] =
				(struct kit_buf){t->base + AT_DATA, cut, in};
		bufs[nr++] = (struct kit_buf){t->base + AT_DATA + cut,
					      len - cut, in};
	}
	if (t->form != FORM_NO_STATUS)
		bufs[nr++] = (struct kit_buf){t->base + AT_STATUS, 1, true};
	if (t->form == FORM_MALFORMED)
		bufs[schedule_below(nr)].gpa = KIT_RAM_BYTES;
	return nr;
}

static void put_chain(unsigned int i)
{
	const struct tag *t = &w.tag[i];
	bool indirect = schedule_once_in(2);
	unsigned int first = i * DESCS;
	struct kit_buf bufs[DESCS];
	unsigned int nr = buffers(t, bufs);
	uint8_t *table = indirect ? tag_mem(t, AT_TABLE, 16 * DESCS)
				  : kit_hva(&w.kit, w.queue.desc, SIZE * 16);

	for (unsigned int n = 0; n < nr; n++) {
		unsigned int at = indirect ? n : first + n;

		kit_put_desc(table, at, bufs[n].gpa, bufs[n].len,
			     (uint16_t)((bufs[n].write ? KIT_WRITE : 0) |
					(n + 1 < nr ? KIT_NEXT : 0)),
			     (uint16_t)(at + 1));
	}
	if (indirect)
		kit_desc(&w.kit, 0, first, t->base + AT_TABLE, nr * 16,
			 KIT_INDIRECT, 0);
	kit_avail(&w.kit, 0, (uint16_t)first);
}

static void choose_request(unsigned int i)
{
	static const uint32_t types[] = {
		T_IN,  T_IN,    T_IN,     T_OUT,          T_OUT,
		T_OUT, T_FLUSH, T_GET_ID, T_WRITE_ZEROES, T_DISCARD};
	struct tag *t = &w.tag[i];
	uint8_t *p = tag_mem(t, 0, AT_DATA);

	t->type = types[schedule_below(ARRAY_SIZE(types))];
	t->sectors = (uint32_t)schedule_below(EACH) + 1;
	t->sector = i * EACH + (uint32_t)schedule_below(EACH - t->sectors + 1);
	t->byte = (uint8_t)schedule_random();
	t->unmap = t->type == T_WRITE_ZEROES && schedule_once_in(2);
	t->form = schedule_once_in(20)   ? FORM_MALFORMED
		  : schedule_once_in(20) ? FORM_NO_STATUS
					 : FORM_GOOD;
	/* Of what is read the last byte would be the status. */
	if (t->form == FORM_NO_STATUS &&
	    (t->type == T_IN || t->type == T_GET_ID))
		t->form = FORM_GOOD;
	store_le32(p, t->type);
	store_le32(p + 4, 0);
	store_le64(p + 8, t->sector);
	store_le64(p + AT_RANGE, t->sector);
	store_le32(p + AT_RANGE + 8, t->sectors);
	store_le32(p + AT_RANGE + 12, t->unmap);
	p[AT_STATUS] = S_NONE;
	memset(tag_mem(t, AT_DATA, TAG_LEN), t->byte, TAG_LEN);
}

/* 2.7.7.2, 2.7.10: does the device want to know? */
static bool wants_kick(uint16_t old)
{
	uint16_t new = w.kit.queue[0].avail_idx, event;

	if (!(w.features & VIRTIO_F_EVENT_IDX))
		return !(kit_get16(&w.kit, w.queue.used) & 1);
	event = kit_get16(&w.kit, w.queue.used + 4 + SIZE * 8);
	return (uint16_t)(new - event - 1) < (uint16_t)(new - old);
}

static void offer(void)
{
	uint16_t old = w.kit.queue[0].avail_idx;

	if (!w.kit.dev->active || w.quiet)
		return; /* not by the register: also with the lock held */
	for (uint64_t left = schedule_below(12) + 1; left > 0; left--) {
		unsigned int i = (unsigned int)schedule_below(TAGS);
		struct tag *t = &w.tag[i];

		if (t->out)
			continue;
		choose_request(i);
		t->out = true;
		t->epoch = w.epoch;
		t->may_fail = false;
		t->crossed = false;
		put_chain(i);
	}
	if (w.kit.queue[0].avail_idx != old && wants_kick(old))
		kit_kick(&w.kit, 0);
}

/* ---- the driver: answers ---- */

static bool negotiated(const struct tag *t)
{
	switch (t->type) {
	case T_FLUSH:
		return w.features & F_FLUSH;
	case T_DISCARD:
		return w.features & F_DISCARD;
	case T_WRITE_ZEROES:
		return w.features & F_WRITE_ZEROES;
	default:
		return true;
	}
}

static bool on_disk(const struct tag *t)
{
	return t->type == T_FLUSH || t->type == T_GET_ID ||
	       t->sector + t->sectors <= w.file[w.at].sectors;
}

static void set_shadow(const struct tag *t, unsigned int at, int16_t what)
{
	for (uint32_t i = 0; i < t->sectors; i++)
		w.shadow[at][t->sector + i] = what;
}

/* It changes the disk. */
static bool changes(const struct tag *t)
{
	return t->form == FORM_GOOD &&
	       (t->type == T_OUT || t->type == T_WRITE_ZEROES ||
		t->type == T_DISCARD);
}

/* Nobody knows what it did to the disks. */
static void forget(const struct tag *t)
{
	if (!changes(t))
		return;
	set_shadow(t, 0, UNKNOWN);
	set_shadow(t, 1, UNKNOWN);
}

static void check_read(const struct tag *t)
{
	const uint8_t *data = tag_mem(t, AT_DATA, TAG_LEN);

	for (uint32_t i = 0; i < t->sectors * SECTOR && !t->crossed; i++) {
		int16_t is = w.shadow[w.at][t->sector + i / SECTOR];

		schedule_check(is == UNKNOWN || data[i] == is);
	}
	for (uint32_t i = t->sectors * SECTOR; i < TAG_LEN; i++)
		schedule_check(data[i] == t->byte);
}

static void check_done(const struct tag *t, uint32_t len)
{
	uint32_t bytes = t->type == T_IN       ? t->sectors * SECTOR
			 : t->type == T_GET_ID ? 20
					       : 0;

	schedule_check(len == bytes + 1);
	if (t->type == T_IN)
		check_read(t);
	if (!changes(t))
		return;
	set_shadow(t, w.at,
		   t->type == T_OUT       ? t->byte
		   : t->type == T_DISCARD ? UNKNOWN
					  : 0);
	if (t->crossed)
		forget(t);
}

/* No more is done than a bucket, what flowed in, and one request too large. */
static void check_limit(const struct limit *l, uint64_t done, uint64_t largest)
{
	uint64_t flowed = (schedule.now - w.since) / 1000 * l->size;

	if (l->size > 0 && l->ms > 0)
		schedule_check(done <= l->size + flowed / (l->ms * 1000) +
					       largest + l->size / 1000 + 1);
}

static void count_answer(const struct tag *t, uint8_t status)
{
	bool written = t->type == T_WRITE_ZEROES &&
		       (!t->unmap || (w.no_holes && !t->crossed));

	if (t->epoch != w.epoch || t->form == FORM_MALFORMED)
		return;
	w.ops++;
	if (status == S_OK && (t->type == T_IN || t->type == T_OUT || written))
		w.bytes += t->sectors * SECTOR;
	/* Of zeroes it is known late what they cost: all slots may have some.
	 */
	check_limit(&w.limit[0], w.bytes,
		    (w.no_holes ? FAKE_SLOTS : 1) * TAG_LEN);
	check_limit(&w.limit[1], w.ops, 0);
}

static void check_answer(struct tag *t, uint32_t len)
{
	uint8_t status = *tag_mem(t, AT_STATUS, 1);

	schedule_check(t->out);
	t->out = false;
	count_answer(t, status);
	schedule_note(len);
	schedule_note(status);
	if (t->form != FORM_GOOD) {
		schedule_check(len == 0 && status == S_NONE);
		return;
	}
	if (status == S_OK) {
		schedule_check(negotiated(t));
		schedule_check(on_disk(t) || t->crossed);
		check_done(t, len);
		return;
	}
	schedule_check(len == 1);
	if (!negotiated(t))
		schedule_check(status == S_UNSUPP);
	else
		schedule_check(status == S_IOERR &&
			       (t->may_fail || t->crossed || !on_disk(t)));
	forget(t); /* it may be done in part */
}

/* What an interrupt makes a driver do. */
static void collect(void)
{
	struct kit_used used;

	if (kit_irqs(&w.kit) == 0)
		return;
	kit_write(&w.kit, KIT_INTERRUPT_ACK,
		  kit_read(&w.kit, KIT_INTERRUPT_STATUS));
	while (kit_used(&w.kit, 0, &used)) {
		schedule_check(used.head % DESCS == 0 &&
			       used.head / DESCS < TAGS);
		schedule_note(used.head);
		check_answer(&w.tag[used.head / DESCS], used.len);
		/* used_event: tell me of the next one. */
		kit_put16(&w.kit, w.queue.avail + 4 + SIZE * 2,
			  w.kit.queue[0].used_idx);
	}
}

/* ---- what happens ---- */

/* One step of the loop calls the kick's and the engine's source at most. */
static void one_callback(void)
{
	fake->cost = 0;
	schedule_check(loop_step(&w.kit.loop, 0) == 0);
	schedule_check(fake->cost <= 2 * 2 * FAKE_PIECE);
}

/* The loop comes to rest, and nothing is held that nobody would show. */
static void pump(void)
{
	struct pollfd p = {.fd = w.kit.loop.epoll_fd, .events = POLLIN};
	const struct virtq *q = &w.kit.dev->queue[0];
	unsigned int left = 10000;

	while (poll(&p, 1, 0) > 0) {
		schedule_check(left-- > 0);
		one_callback();
	}
	schedule_check(!virtio_dev_running(w.kit.dev) ||
		       q->published == q->next_used);
}

static void kick(void)
{
	kit_kick(&w.kit, 0);
}

static void complete_one(void)
{
	struct op *op = any_op(OP_BEGUN);

	if (!op || fake->hung)
		return;
	complete(op);
	set_readable(fake);
}

static void complete_all(void)
{
	while (!fake->hung && any_op(OP_BEGUN))
		complete_one();
}

static void hang(void)
{
	fake->hung = !fake->hung;
}

static void pause_vm(void)
{
	if (!w.kit.dev->paused)
		virtio_dev_pause(w.kit.dev);
}

static void resume_vm(void)
{
	if (w.kit.dev->paused)
		virtio_dev_resume(w.kit.dev);
}

/* A snapshot's: nothing touches guest memory from here on. */
static int drain(void)
{
	int r;

	pause_vm();
	w.settling = true;
	r = virtio_dev_drain(w.kit.dev, schedule.now + 5 * NS_PER_S);
	w.settling = false;
	schedule_check(r == 0 || r == -ETIME);
	schedule_check(r < 0 || (!any_op(OP_ADDED) && !any_op(OP_BEGUN) &&
				 !any_op(OP_DONE)));
	return r;
}

static void drain_vm(void)
{
	(void)drain();
}

static void patch_file(void)
{
	unsigned int to = (unsigned int)schedule_below(2);
	int r;

	w.settling = true;
	r = blk_set_file(w.blk, &w.file[to]);
	w.settling = false;
	schedule_check(r == 0 || r == -ETIME);
	if (r < 0)
		return;
	schedule_check(!any_op(OP_ADDED) && !any_op(OP_BEGUN));
	for (unsigned int i = 0; i < TAGS; i++)
		w.tag[i].crossed |= w.tag[i].out;
	w.at = to;
}

static void set_limits(void)
{
	struct rate_limiter *l = blk_limiter(w.blk);

	token_bucket_init(&l->bandwidth, w.limit[0].size, 0, w.limit[0].ms,
			  schedule.now);
	token_bucket_init(&l->ops, w.limit[1].size, 0, w.limit[1].ms,
			  schedule.now);
}

static void patch_limits(void)
{
	w.limit[0].size = schedule_below(3) * (schedule_below(30000) + 200);
	w.limit[0].ms = schedule_below(20);
	w.limit[1].size = schedule_below(8);
	w.limit[1].ms = schedule_below(20);
	w.epoch++;
	w.since = schedule.now;
	w.ops = 0;
	w.bytes = 0;
	virtio_dev_enter(w.kit.dev);
	set_limits();
	rate_limiter_changed(blk_limiter(w.blk));
	virtio_dev_leave(w.kit.dev);
}

static void short_time(void)
{
	schedule_advance(schedule_below(3 * NS_PER_MS));
}

static void long_time(void)
{
	schedule_advance(schedule_below(3 * NS_PER_S));
}

/* Into a snapshot and out of it, in a new process as it were. */
static void save_and_load(void)
{
	struct virtio_state transport = {0};
	struct rate_limiter_state limits;
	uint64_t device[4] = {0};
	const struct virtio_dev_ops *ops = w.kit.dev->ops;
	struct err err;

	if (drain() < 0 || w.kit.dev->resetting)
		return;
	virtio_mmio_save(&w.kit.mmio, &transport);
	schedule_check(ops->state->size <= sizeof(device));
	ops->save(w.kit.dev, device);
	rate_limiter_save(blk_limiter(w.blk), &limits);
	ops->destroy(w.kit.dev);
	make_device();
	set_limits();
	schedule_check(ops->load(w.kit.dev, device, &err) == 0);
	rate_limiter_load(blk_limiter(w.blk), &limits);
	schedule_check(virtio_mmio_load(&w.kit.mmio, &transport, &err) == 0);
	if (schedule_once_in(2))
		virtio_dev_resume(w.kit.dev);
}

/* A reset may have to wait for the host. */
static void reset(void)
{
	unsigned int left = 1000;

	kit_write(&w.kit, KIT_STATUS, 0);
	while (kit_read(&w.kit, KIT_STATUS) != 0) {
		schedule_check(left-- > 0);
		fake->hung = false;
		complete_all();
		pump();
	}
	schedule_check(!any_op(OP_ADDED) && !any_op(OP_BEGUN) &&
		       !any_op(OP_DONE));
	for (unsigned int i = 0; i < TAGS; i++)
		if (w.tag[i].out)
			forget(&w.tag[i]);
	(void)kit_irqs(&w.kit);
	start_driver();
}

/* An index that makes no sense: nothing moves until a reset. */
static void break_ring(void)
{
	kit_put16(&w.kit, w.queue.avail + 2,
		  (uint16_t)(w.kit.queue[0].avail_idx + SIZE + 1));
	kick();
	resume_vm();
	pump();
	reset();
}

static bool anything_out(void)
{
	for (unsigned int i = 0; i < TAGS; i++)
		if (w.tag[i].out)
			return true;
	return false;
}

static void settle(void)
{
	unsigned int left = 5000;

	w.quiet = true;
	fake->hung = false;
	resume_vm();
	if (broken())
		reset();
	pump();
	collect();
	while (anything_out()) {
		if (left-- == 0)
			schedule_failed("requests are left behind", __FILE__,
					__LINE__);
		complete_all();
		pump();
		collect();
		schedule_advance(20 * NS_PER_MS);
	}
	w.quiet = false;
	schedule_check(!any_op(OP_ADDED) && !any_op(OP_BEGUN) &&
		       !any_op(OP_DONE));
}

static const struct schedule_step steps[] = {
	{"offer", 30, offer},
	{"callback", 20, one_callback},
	{"pump", 5, pump},
	{"complete one", 20, complete_one},
	{"complete all", 3, complete_all},
	{"collect", 15, collect},
	{"short time", 8, short_time},
	{"long time", 1, long_time},
	{"hang", 1, hang},
	{"kick", 1, kick},
	{"pause", 2, pause_vm},
	{"resume", 4, resume_vm},
	{"drain", 1, drain_vm},
	{"patch file", 2, patch_file},
	{"patch limits", 1, patch_limits},
	{"save and load", 1, save_and_load},
	{"reset", 1, reset},
	{"break the ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "blk",
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
