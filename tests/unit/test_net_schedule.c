// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_schedule.c - network device: whatever happens in whatever order, no
 * frame is forgotten, and none is lost that is not counted
 *
 * Each frame has a number. What arrives comes in order, whole and once; what
 * does not arrive was refused by the tap, or is in the device's counters. The
 * tap is a socket, which fails and fills up now and then.
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/log.h"
#include "net_kit.h"

#define BUF_BYTES     2048u
#define FRAME_MIN     64u
#define FRAME_MAX     30000u /* fits all buffers of a driver together */
#define RX_NUMBERS    4096u  /* more than wait at a time */
#define SETTLE_ROUNDS 500u
#define RX            NET_QUEUE_RX
#define TX            NET_QUEUE_TX

/* What a chain of the receive queue may be like. */
enum form {
	FORM_GOOD,
	FORM_READ_ONLY,
	FORM_MALFORMED,
};

/**
 * struct frames - of one direction, since the last settle()
 * @number:	of the next; never 0
 * @seen:	of the last that arrived
 * @unsure:	that a reset may have taken along
 */
struct frames {
	uint32_t number;
	uint32_t seen;
	uint64_t sent;
	uint64_t arrived;
	uint64_t lost;
	uint64_t unsure;
};

/**
 * struct world - the device, its driver, and the world behind the tap
 * @buf:	of a tag
 * @len:	of a frame to the guest, by its number
 * @bad:	chains that nothing can be received into, and came back
 * @dropped:	by devices before this one
 * @sinned:	the driver has offered such chains
 * @left:	buffers that still belong to the frame of @at bytes so far
 */
static struct world {
	struct driver d;
	struct net_dev *net;
	int tap;
	int peer;
	gpa_t buf[NET_NR_QUEUES][DRIVER_TAGS];
	enum form form[DRIVER_TAGS];
	struct frames tx;
	struct frames rx;
	uint32_t len[RX_NUMBERS];
	uint64_t bad;
	uint64_t dropped;
	bool sinned;
	unsigned int left;
	uint32_t at;
	uint64_t limit[2][4];
} w;

static uint8_t packet[NET_HDR_BYTES + FRAME_MAX];

/* ---- the host ---- */

ssize_t __real_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __real_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);
ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

static bool fails(void)
{
	static const int why[] = {EINTR, EINTR, EIO, ENOBUFS};

	if (!schedule_once_in(60))
		return false;
	errno = why[schedule_below(ARRAY_SIZE(why))];
	return true;
}

ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off)
{
	return fails() ? -1 : __real_fd_preadv(fd, iov, nr, off);
}

ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags)
{
	ssize_t n = fails() ? -1 : __real_fd_pwritev(fd, iov, nr, off, flags);

	w.tx.lost += n < 0 && errno != EINTR;
	return n;
}

int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	if (fd == w.tap && op != EPOLL_CTL_DEL && schedule_once_in(40)) {
		errno = ENOMEM;
		return -1;
	}
	return __real_epoll_ctl(epfd, op, fd, event);
}

/* ---- the device ---- */

static void set_limits(void)
{
	struct rate_limiter *limiter[] = {&w.net->rx.limiter,
					  &w.net->tx.limiter};

	for (unsigned int i = 0; i < 2; i++) {
		token_bucket_init(&limiter[i]->ops, w.limit[i][0], 0,
				  w.limit[i][1], schedule.now);
		token_bucket_init(&limiter[i]->bandwidth, w.limit[i][2], 0,
				  w.limit[i][3], schedule.now);
	}
}

static void make_device(void)
{
	const struct net_params params = {
		.name = "net schedule",
		.mem = &w.d.kit.mem,
		.loop = &w.d.kit.loop,
		.fd = w.tap,
		.source = &net_source_tap,
		.vhost_fd = -1,
	};
	struct err err;

	schedule_check(net_new(&w.net, &params, &err) == 0);
	kit_attach(&w.d.kit, &w.net->dev);
	set_limits();
}

static void start_driver(void)
{
	static const uint64_t wishes[] = {
		NET_F_MRG_RXBUF,
		NET_F_GUEST_CSUM | NET_F_GUEST_TSO4 | NET_F_GUEST_TSO6,
	};

	driver_start(&w.d, 0, wishes, ARRAY_SIZE(wishes));
	w.left = 0;
	w.sinned = false;
}

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	w.tap = -1;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	net_kit_pair(&w.tap, &w.peer);
	w.tx.number = w.rx.number = 1;
	driver_place(&w.d, NET_NR_QUEUES);
	for (unsigned int i = 0; i < NET_NR_QUEUES; i++)
		for (unsigned int k = 0; k < DRIVER_TAGS; k++)
			w.buf[i][k] = kit_alloc(&w.d.kit, BUF_BYTES);
	make_device();
	start_driver();
}

static void close_world(void)
{
	kit_close(&w.d.kit);
	(void)close(w.tap);
	(void)close(w.peer);
}

/* Frames to the guest that the device has counted as dropped. */
static uint64_t counted_drops(void)
{
	const struct net_metrics *m = &w.net->metrics;

	return w.dropped + m->rx_fails - m->tap_read_fails;
}

/* ---- frames ---- */

static void put_frame(uint8_t *p, uint32_t len, uint32_t number)
{
	net_kit_frame(p, len, (uint8_t)number);
	store_le32(p + 14, number);
}

static void check_frame(const uint8_t *p, uint32_t number, struct frames *f)
{
	schedule_check(load_le32(p + 14) == number);
	schedule_check(number > f->seen && number < f->number);
	f->seen = number;
	f->arrived++;
	schedule_note(number);
}

/* Two buffers a frame, cut somewhere. */
static void send_frames(void)
{
	uint16_t old = w.d.kit.queue[TX].avail_idx;

	if (driver_broken(&w.d))
		return;
	for (uint64_t left = schedule_below(DRIVER_TAGS) + 1; left > 0;
	     left--) {
		unsigned int tag = driver_tag(&w.d, TX);
		uint32_t len = FRAME_MIN + (uint32_t)schedule_below(1400);
		uint32_t cut = (uint32_t)schedule_below(len);
		struct kit_buf bufs[2];
		uint8_t *p;

		if (tag == DRIVER_TAGS)
			break;
		p = kit_hva(&w.d.kit, w.buf[TX][tag], BUF_BYTES);
		memset(p, 0, NET_HDR_BYTES);
		put_frame(p + NET_HDR_BYTES, len, w.tx.number++);
		w.tx.sent++;
		bufs[0] = (struct kit_buf){w.buf[TX][tag], cut, false};
		bufs[1] = (struct kit_buf){w.buf[TX][tag] + cut,
					   NET_HDR_BYTES + len - cut, false};
		driver_offer(&w.d, TX, tag, bufs, 2);
	}
	driver_kick(&w.d, TX, old);
}

/* The world takes what came. */
static void world_reads(void)
{
	ssize_t n;

	while ((n = recv(w.peer, packet, sizeof(packet), MSG_DONTWAIT)) > 0)
		check_frame(packet + NET_HDR_BYTES,
			    load_le32(packet + NET_HDR_BYTES + 14), &w.tx);
}

static void world_sends(void)
{
	for (uint64_t left = schedule_below(8) + 1; left > 0; left--) {
		struct net_hdr hdr = {
			.flags = schedule_once_in(2) ? NET_HDR_F_DATA_VALID : 0,
		};
		uint32_t len = FRAME_MIN;

		len += (uint32_t)schedule_below(
			schedule_once_in(5) ? FRAME_MAX - FRAME_MIN : 1400);
		memcpy(packet, &hdr, sizeof(hdr));
		put_frame(packet + NET_HDR_BYTES, len, w.rx.number);
		if (send(w.peer, packet, NET_HDR_BYTES + len, MSG_DONTWAIT) < 0)
			return; /* full */
		w.len[w.rx.number % RX_NUMBERS] = len;
		w.rx.number++;
		w.rx.sent++;
	}
}

/* ---- the driver ---- */

static void offer_some(uint64_t left)
{
	uint16_t old = w.d.kit.queue[RX].avail_idx;
	unsigned int tag;

	if (driver_broken(&w.d))
		return;
	while (left-- > 0 && (tag = driver_tag(&w.d, RX)) < DRIVER_TAGS) {
		struct kit_buf buf = {w.buf[RX][tag], BUF_BYTES, true};

		w.form[tag] = schedule_once_in(40)   ? FORM_READ_ONLY
			      : schedule_once_in(40) ? FORM_MALFORMED
						     : FORM_GOOD;
		w.sinned |= w.form[tag] != FORM_GOOD;
		if (w.form[tag] == FORM_READ_ONLY)
			buf.write = false;
		else if (w.form[tag] == FORM_MALFORMED)
			buf.gpa = KIT_RAM_BYTES;
		driver_offer(&w.d, RX, tag, &buf, 1);
	}
	driver_kick(&w.d, RX, old);
}

static void offer(void)
{
	offer_some(schedule_below(DRIVER_TAGS) + 1);
}

static void first_buffer(const uint8_t *p)
{
	uint32_t number = load_le32(p + NET_HDR_BYTES + 14);
	struct net_hdr hdr;

	memcpy(&hdr, p, sizeof(hdr));
	schedule_check(hdr.num_buffers > 0);
	schedule_check(hdr.num_buffers == 1 || w.d.features & NET_F_MRG_RXBUF);
	schedule_check(hdr.flags == 0 || w.d.features & NET_F_GUEST_CSUM);
	check_frame(p + NET_HDR_BYTES, number, &w.rx);
	w.left = hdr.num_buffers;
	w.at = 0;
}

static void answer(unsigned int queue, unsigned int tag, uint32_t len)
{
	const uint8_t *p = kit_hva(&w.d.kit, w.buf[RX][tag], BUF_BYTES);

	if (queue == TX || w.form[tag] != FORM_GOOD) {
		schedule_check(len == 0);
		w.bad += queue == RX;
		return;
	}
	schedule_check(len > 0 && len <= BUF_BYTES);
	if (w.left == 0)
		first_buffer(p);
	w.at += len;
	schedule_check(p[len - 1] == (uint8_t)w.rx.seen);
	if (--w.left == 0)
		schedule_check(w.at ==
			       NET_HDR_BYTES + w.len[w.rx.seen % RX_NUMBERS]);
}

static void collect(void)
{
	driver_collect(&w.d, answer);
}

/* ---- what happens ---- */

static void one_callback(void)
{
	schedule_check(loop_step(&w.d.kit.loop, 0) == 0);
}

static void pump(void)
{
	driver_pump(&w.d, one_callback);
}

static void kick(void)
{
	kit_kick(&w.d.kit, (unsigned int)schedule_below(NET_NR_QUEUES));
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
	driver_drain(&w.d);
	w.dropped = counted_drops();
	driver_save_and_load(&w.d, make_device);
}

/* What the driver has not taken yet is its own; a frame that waits in the
 * device goes. */
static void reset(void)
{
	driver_look(&w.d, answer);
	kit_write(&w.d.kit, KIT_STATUS, 0);
	schedule_check(kit_read(&w.d.kit, KIT_STATUS) == 0);
	w.rx.unsure++;
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		w.tx.unsure += w.d.out[TX][i];
	start_driver();
}

static void break_ring(void)
{
	driver_break(&w.d, (unsigned int)schedule_below(NET_NR_QUEUES));
	resume_vm();
	pump();
	reset();
}

static void patch_limits(void)
{
	uint64_t *limit = w.limit[schedule_below(2)];

	limit[0] = schedule_below(8);
	limit[1] = schedule_below(20);
	limit[2] = schedule_below(3) * (schedule_below(30000) + 2000);
	limit[3] = schedule_below(20);
	virtio_dev_enter(&w.net->dev);
	set_limits();
	rate_limiter_changed(&w.net->rx.limiter);
	rate_limiter_changed(&w.net->tx.limiter);
	virtio_dev_leave(&w.net->dev);
}

static void short_time(void)
{
	schedule_advance(schedule_below(3 * NS_PER_MS));
}

static void long_time(void)
{
	schedule_advance(schedule_below(3 * NS_PER_S));
}

/* Frames of @f that nobody accounts for. */
static uint64_t missing(const struct frames *f)
{
	schedule_check(f->sent >= f->arrived + f->lost);
	return f->sent - f->arrived - f->lost;
}

static bool all_here(void)
{
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		if (w.d.out[TX][i])
			return false;
	w.rx.lost = counted_drops() - w.bad;
	return missing(&w.rx) == 0 && missing(&w.tx) == 0;
}

/* Only a driver that offered such chains since its start finds its queue
 * broken: virtq_rewind() meets them again. */
static void mend(void)
{
	if (!driver_broken(&w.d))
		return;
	schedule_check(w.sinned);
	reset();
}

/* Time for all limits and timers, and buffers for all frames. */
static void settle(void)
{
	resume_vm();
	for (unsigned int i = 0; i < SETTLE_ROUNDS; i++) {
		mend();
		pump();
		collect();
		world_reads();
		if (all_here())
			break;
		offer_some(DRIVER_TAGS);
		pump();
		schedule_advance(20 * NS_PER_MS);
	}
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		schedule_check(!w.d.out[TX][i]);
	schedule_check(missing(&w.tx) <= w.tx.unsure);
	schedule_check(missing(&w.rx) <= w.rx.unsure);
	w.dropped -= counted_drops();
	w.bad = 0;
	w.rx.sent = w.rx.arrived = w.rx.lost = w.rx.unsure = 0;
	w.tx.sent = w.tx.arrived = w.tx.lost = w.tx.unsure = 0;
}

/* Frames that are dropped for nothing but their length, about a burst of them,
 * and then one that may need more than the driver has offered. */
static void world_floods(void)
{
	uint64_t runts = NET_BURST - 4 + schedule_below(8);

	pump();
	while (runts-- > 0 && send(w.peer, "runt", 4, MSG_DONTWAIT) == 4)
		w.rx.sent++;
	world_sends();
	pump();
	if (schedule_once_in(2))
		settle();
}

static const struct schedule_step steps[] = {
	{"send", 20, send_frames},
	{"world sends", 20, world_sends},
	{"world reads", 10, world_reads},
	{"world floods", 1, world_floods},
	{"offer", 20, offer},
	{"callback", 20, one_callback},
	{"pump", 5, pump},
	{"collect", 15, collect},
	{"short time", 8, short_time},
	{"long time", 1, long_time},
	{"kick", 1, kick},
	{"pause", 2, pause_vm},
	{"resume", 4, resume_vm},
	{"drain", 1, drain_vm},
	{"patch limits", 1, patch_limits},
	{"save and load", 1, save_and_load},
	{"reset", 1, reset},
	{"break a ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "net",
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
