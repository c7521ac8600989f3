// SPDX-License-Identifier: Apache-2.0
/*
 * test_net_stream_schedule.c - network device at a stream socket: whatever
 * happens in whatever order, no frame is cut, forgotten or mixed with another
 *
 * Each frame has a number. What arrives comes in order, whole and once; what
 * does not arrive is in the device's counters, or a reset may have taken it
 * along. The socket gives and takes as little as it likes, and the peer goes
 * now and then; another one comes with the next life of the device.
 */
#include "unit.h"

#include "schedule.h"
#include "schedule_driver.h"

#include "base/fd.h"
#include "base/log.h"
#include "dev/net_stream.h"
#include "mmds/frame.h"
#include "net_kit.h"

#include <endian.h>

#define BUF_BYTES     2048u
#define FRAME_MIN     64u
#define FRAME_MAX     30000u /* fits all buffers of a driver together */
#define RX_NUMBERS    4096u  /* more than wait at a time */
#define LENGTH_BYTES  4u
#define LINK_UP       1u
#define PIPE_BYTES    (1u << 20)
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
 * struct world - the device, its driver, and the peer at the socket
 * @buf:	of a tag
 * @len:	of a frame to the guest, by its number
 * @bad:	chains that nothing can be received into, and came back
 * @dropped:	by devices before this one
 * @sinned:	the driver has offered such chains
 * @left:	buffers that still belong to the frame of @at bytes so far
 * @out:	of the peer's, not written yet
 * @in:		what came to it and is no whole frame yet
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
	size_t nr_out;
	size_t nr_in;
	uint8_t out[PIPE_BYTES];
	uint8_t in[2 * (FRAME_MAX + LENGTH_BYTES)];
} w;

/* ---- the host ---- */

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);

static bool fails(int why)
{
	if (!schedule_once_in(60))
		return false;
	errno = schedule_once_in(2) ? EINTR : why;
	return true;
}

/* A piece of it, sometimes. */
static struct iovec some_of(const struct msghdr *msg)
{
	struct iovec iov = msg->msg_iov[0];

	if (iov.iov_len > 1 && schedule_once_in(4))
		iov.iov_len = 1 + schedule_below(iov.iov_len);
	return iov;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov = some_of(msg);
	const struct msghdr less = {.msg_iov = &iov, .msg_iovlen = 1};

	schedule_check(fd == w.tap && msg->msg_iovlen == 1);
	return fails(ENOBUFS) ? -1 : __real_sendmsg(fd, &less, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct iovec iov = some_of(msg);
	struct msghdr less = {.msg_iov = &iov, .msg_iovlen = 1};

	schedule_check(fd == w.tap && msg->msg_iovlen == 1);
	return fails(EAGAIN) ? -1 : __real_recvmsg(fd, &less, flags);
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
		.name = "net stream",
		.mem = &w.d.kit.mem,
		.loop = &w.d.kit.loop,
		.fd = w.tap,
		.source = &net_source_stream,
		.vhost_fd = -1,
	};
	struct err err;

	schedule_check(net_new(&w.net, &params, &err) == 0);
	kit_attach(&w.d.kit, &w.net->dev);
	set_limits();
}

static void start_driver(void)
{
	static const uint64_t wishes[] = {NET_F_MRG_RXBUF};

	driver_start(&w.d, 0, wishes, ARRAY_SIZE(wishes));
	w.left = 0;
	w.sinned = false;
}

static void make_pair(void)
{
	int fd[2];

	schedule_check(socketpair(AF_UNIX,
				  SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
				  fd) == 0);
	w.tap = fd[0];
	w.peer = fd[1];
	w.nr_out = w.nr_in = 0;
}

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	w.tap = -1;
	kit_open(&w.d.kit);
	schedule.loop = &w.d.kit.loop;
	make_pair();
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

/* The peer takes what came, or less. */
static void take_all(size_t most)
{
	uint32_t len;
	ssize_t n;

	if (most > sizeof(w.in) - w.nr_in)
		most = sizeof(w.in) - w.nr_in;
	n = recv(w.peer, w.in + w.nr_in, most, MSG_DONTWAIT);
	if (n > 0)
		w.nr_in += (size_t)n;
	while (w.nr_in >= LENGTH_BYTES) {
		len = load_be32(w.in);
		schedule_check(len >= FRAME_MIN && len <= FRAME_MAX);
		if (w.nr_in < LENGTH_BYTES + len)
			break;
		check_frame(w.in + LENGTH_BYTES,
			    load_le32(w.in + LENGTH_BYTES + 14), &w.tx);
		w.nr_in -= LENGTH_BYTES + len;
		memmove(w.in, w.in + LENGTH_BYTES + len, w.nr_in);
	}
}

static void world_reads(void)
{
	take_all(schedule_below(sizeof(w.in)) + 1);
}

static void write_some(size_t most)
{
	ssize_t n;

	if (most > w.nr_out)
		most = w.nr_out;
	n = most > 0 ? send(w.peer, w.out, most, MSG_DONTWAIT | MSG_NOSIGNAL)
		     : 0;
	if (n <= 0)
		return;
	w.nr_out -= (size_t)n;
	memmove(w.out, w.out + n, w.nr_out);
}

/* Frames, of which the last is cut somewhere until the next time. */
static void world_sends(void)
{
	for (uint64_t left = schedule_below(8) + 1; left > 0; left--) {
		uint32_t len = FRAME_MIN, be;

		len += (uint32_t)schedule_below(
			schedule_once_in(5) ? FRAME_MAX - FRAME_MIN : 1400);
		if (w.nr_out + LENGTH_BYTES + len > sizeof(w.out))
			break;
		be = htobe32(len);
		memcpy(w.out + w.nr_out, &be, sizeof(be));
		put_frame(w.out + w.nr_out + LENGTH_BYTES, len, w.rx.number);
		w.nr_out += LENGTH_BYTES + len;
		w.len[w.rx.number % RX_NUMBERS] = len;
		w.rx.number++;
		w.rx.sent++;
	}
	write_some(schedule_below(w.nr_out + 1));
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
	schedule_check(hdr.flags == 0 && hdr.gso_type == 0);
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
		write_some(sizeof(w.out));
		take_all(sizeof(w.in));
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

/* The guest's frames come back, though nobody takes them, and its link is
 * down. */
static void peer_goes(void)
{
	fd_close(&w.peer);
	for (unsigned int i = 0; i < SETTLE_ROUNDS; i++) {
		mend();
		if (w.net->config.status & LINK_UP)
			send_frames();
		pump();
		collect();
		schedule_advance(20 * NS_PER_MS);
	}
	schedule_check(!(w.net->config.status & LINK_UP));
	for (unsigned int i = 0; i < DRIVER_TAGS; i++)
		schedule_check(!w.d.out[TX][i]);
}

/* Another life of the device, with another peer. */
static void next_life(void)
{
	settle();
	if (schedule_once_in(2))
		peer_goes();
	driver_drain(&w.d);
	w.dropped = counted_drops();
	fd_close(&w.peer);
	fd_close(&w.tap);
	make_pair();
	driver_save_and_load(&w.d, make_device);
	w.tx.sent = w.tx.arrived = w.tx.lost = w.tx.unsure = 0;
	w.tx.seen = w.tx.number - 1;
	driver_resume(&w.d);
}

static const struct schedule_step steps[] = {
	{"send", 20, send_frames},        {"world sends", 20, world_sends},
	{"world reads", 10, world_reads}, {"offer", 20, offer},
	{"callback", 20, one_callback},   {"pump", 5, pump},
	{"collect", 15, collect},         {"short time", 8, short_time},
	{"long time", 1, long_time},      {"kick", 1, kick},
	{"pause", 2, pause_vm},           {"resume", 4, resume_vm},
	{"drain", 1, drain_vm},           {"patch limits", 1, patch_limits},
	{"next life", 1, next_life},      {"reset", 1, reset},
	{"break a ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "net_stream",
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
