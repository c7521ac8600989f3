// SPDX-License-Identifier: Apache-2.0
/*
 * test_vsock_schedule.c - socket device: whatever happens in whatever order, no
 * connection is forgotten or cut without a reason, and no byte is lost
 *
 * The guest, and what is right: vsock_world.h. Here are the host's programs,
 * real sockets with little room, and what happens to the device.
 */
#include "unit.h"

#include "vsock_world.h"

/* ---- the host ---- */

static void client_connects(void)
{
	struct sockaddr_un addr = vk_address(w.vk.path);

	for (unsigned int i = 0; i < CALLERS; i++) {
		struct caller *k = &w.caller[i];

		if (k->fd >= 0)
			continue;
		k->fd = __real_socket(
			AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		schedule_check(k->fd >= 0 &&
			       connect(k->fd, (struct sockaddr *)&addr,
				       sizeof(addr)) == 0);
		k->said = k->got = 0;
		k->excused = false;
		k->age_ns = 0;
		return;
	}
}

static const char line[] = "CONNECT 9\n";
#define LINE_LEN (sizeof(line) - 1)

static void caller_says(struct caller *k, uint32_t max)
{
	uint32_t left = LINE_LEN - k->said;
	ssize_t n = send(k->fd, line + k->said, max < left ? max : left,
			 MSG_NOSIGNAL);

	if (n > 0)
		k->said += (uint32_t)n;
	if (k->said == LINE_LEN)
		k->age_ns = 0;
}

static void client_says(void)
{
	struct caller *k = &w.caller[schedule_below(CALLERS)];

	if (k->fd >= 0 && k->said < LINE_LEN)
		caller_says(k, (uint32_t)schedule_below(LINE_LEN) + 1);
}

/* It has "OK <port>": from now on the host's end of that connection. */
static void caller_accepted(struct caller *k)
{
	struct conn *c =
		find(GUEST_PORT, (uint32_t)strtoul(k->text + 3, NULL, 10));

	schedule_check(strncmp(k->text, "OK ", 3) == 0);
	if (c && c->fd < 0 && !c->host_known) {
		c->fd = k->fd;
		c->host_known = true;
	} else {
		/* Cut by a restore meanwhile, and forgotten by the guest. */
		schedule_check(k->excused);
		(void)close(k->fd);
	}
	k->fd = -1;
}

/* Without an answer it has 30 s for its line, and the guest 2 s to answer. */
static void caller_at_end(struct caller *k)
{
	uint64_t limit = k->said < LINE_LEN ? 30 * NS_PER_S : 2 * NS_PER_S;

	schedule_check(k->excused || k->age_ns >= limit);
	(void)close(k->fd);
	k->fd = -1;
}

static void caller_reads(struct caller *k)
{
	while (k->fd >= 0) {
		ssize_t n = recv(k->fd, k->text + k->got, 1, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			caller_at_end(k);
			return;
		}
		schedule_check(k->got < sizeof(k->text) - 1);
		if (k->text[k->got++] == '\n')
			caller_accepted(k);
	}
}

static void client_leaves(void)
{
	struct caller *k = &w.caller[schedule_below(CALLERS)];

	if (k->fd < 0)
		return;
	(void)close(k->fd);
	k->fd = -1;
	if (k->said < LINE_LEN)
		return;
	/* The guest may have accepted it: nobody will say which it was. */
	for (unsigned int i = 0; i < CONNS; i++)
		if (!w.conn[i].host_known && w.conn[i].host_port != HOST_PORT)
			w.conn[i].excused = true;
	for (unsigned int i = 0; i < CALLERS; i++)
		w.caller[i].excused |= w.caller[i].said == LINE_LEN;
}

static void host_accepts(void)
{
	for (unsigned int i = 0; i < STRANGERS; i++)
		if (w.stranger[i] < 0) {
			w.stranger[i] =
				__real_accept4(w.listener, NULL, NULL,
					       SOCK_NONBLOCK | SOCK_CLOEXEC);
			return;
		}
}

/* Whose is it? */
static void stranger_reads(int *fd)
{
	uint8_t id[4];
	struct conn *c;
	ssize_t n;

	if (*fd < 0)
		return;
	n = recv(*fd, id, sizeof(id), MSG_PEEK);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && n < 4)
		return;
	c = n == 4 ? find(load_le32(id), HOST_PORT) : NULL;
	if (c && !c->host_known) {
		c->fd = *fd;
		c->host_known = true;
		c->idle_ns = 0;
	} else {
		(void)close(*fd);
	}
	*fd = -1;
}

static void host_close(struct conn *c)
{
	(void)close(c->fd);
	c->fd = -1;
	c->ended = true;
	maybe_free(c);
}

static void conn_at_end(struct conn *c)
{
	bool in_time = c->idle_ns < 30 * NS_PER_S;

	/* The guest closed it, and all that it sent is there. */
	schedule_check(c->excused || c->guest == G_CLOSING ||
		       c->guest == G_DONE);
	schedule_check(c->excused || !in_time || c->host_got == c->guest_sent);
	host_close(c);
}

static void conn_reads(struct conn *c, size_t max)
{
	uint8_t data[2048];
	ssize_t n;

	if (c->fd < 0)
		return;
	n = recv(c->fd, data, max < sizeof(data) ? max : sizeof(data), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		conn_at_end(c);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		schedule_check(data[i] ==
			       byte_of(c, true, c->host_got + (uint32_t)i));
	c->host_got += (uint32_t)n;
	c->idle_ns = 0;
	schedule_check(c->host_got <= c->guest_sent);
}

static void host_reads(void)
{
	conn_reads(&w.conn[schedule_below(CONNS)], schedule_below(4096) + 1);
	caller_reads(&w.caller[schedule_below(CALLERS)]);
	stranger_reads(&w.stranger[schedule_below(STRANGERS)]);
}

static void host_writes(void)
{
	struct conn *c = &w.conn[schedule_below(CONNS)];
	uint8_t data[2048];
	size_t len = schedule_below(sizeof(data)) + 1;
	ssize_t n;

	if (c->guest == G_NONE || c->fd < 0 || c->ended)
		return;
	for (size_t i = 0; i < len; i++)
		data[i] = byte_of(c, false, c->host_sent + (uint32_t)i);
	n = send(c->fd, data, len, MSG_NOSIGNAL);
	if (n > 0)
		c->host_sent += (uint32_t)n;
}

/* For writing, or for good; what the guest sent then is lost with reason. */
static void host_closes(void)
{
	struct conn *c = &w.conn[schedule_below(CONNS)];

	if (c->guest == G_NONE || c->fd < 0)
		return;
	c->ended = true;
	if (schedule_once_in(2)) {
		(void)shutdown(c->fd, SHUT_WR);
		return;
	}
	/* Unread bytes make it a reset, which may overtake its own. */
	c->excused = true;
	host_close(c);
}

/* ---- the device ---- */

static void one_callback(void)
{
	schedule_check(loop_step(&w.vk.k.loop, 0) == 0);
}

static void pump(void)
{
	struct pollfd p = {.fd = w.vk.k.loop.epoll_fd, .events = POLLIN};
	unsigned int left = 20000;

	while (poll(&p, 1, 0) > 0) {
		schedule_check(left-- > 0); /* it spins */
		one_callback();
	}
}

static void kick(void)
{
	kit_kick(&w.vk.k, VSOCK_TX);
}

static void advance(uint64_t ns)
{
	if (!w.vk.k.dev->paused) {
		for (unsigned int i = 0; i < CONNS; i++)
			w.conn[i].idle_ns += ns;
		for (unsigned int i = 0; i < CALLERS; i++)
			w.caller[i].age_ns += ns;
		w.ran_ns += ns;
		if (w.ran_ns >= 2 * NS_PER_S)
			w.hold = false;
	}
	schedule_advance(ns);
}

static void short_time(void)
{
	advance(schedule_below(100 * NS_PER_MS));
}

static void long_time(void)
{
	advance(schedule_below(4 * NS_PER_S));
}

static void pause_vm(void)
{
	if (!w.vk.k.dev->paused)
		virtio_dev_pause(w.vk.k.dev);
}

static void resume_vm(void)
{
	if (w.vk.k.dev->paused)
		virtio_dev_resume(w.vk.k.dev);
}

static void run_out(void)
{
	w.no_fds = !w.no_fds;
	w.no_watch = w.no_fds && schedule_once_in(4);
}

/* What the device has put into a used ring and the guest has not seen. */
static uint16_t unseen(unsigned int i)
{
	const struct kit_queue *q = &w.vk.k.queue[i];

	return (uint16_t)(kit_get16(&w.vk.k, q->used + 2) - q->used_idx);
}

static void save_and_load(void)
{
	bool active = w.vk.k.dev->active;

	if (w.no_fds)
		run_out();
	vk_restore(&w.vk, NULL);
	excuse_all();
	if (!active)
		return;
	w.old_packets = unseen(VSOCK_RX);
	w.resets_due = unseen(VSOCK_EVENT) + w.events_seen + 1u;
	w.hold = true;
	w.ran_ns = 0;
}

/* Rings at their place, the positions from 0; the guest knows nothing. */
static void start_driver(void)
{
	w.features = VIRTIO_F_VERSION_1;
	if (schedule_once_in(2))
		w.features |= VIRTIO_F_EVENT_IDX;
	schedule_check(kit_negotiate(&w.vk.k, w.features));
	for (unsigned int i = 0; i < VSOCK_NR_QUEUES; i++) {
		w.vk.k.queue[i] = w.queue[i];
		memset(kit_hva(&w.vk.k, w.queue[i].avail, 6 + SIZE * 2), 0,
		       6 + SIZE * 2);
		memset(kit_hva(&w.vk.k, w.queue[i].used, 6 + SIZE * 8), 0,
		       6 + SIZE * 8);
		schedule_check(kit_place_queue(&w.vk.k, i));
	}
	kit_add_status(&w.vk.k, VIRTIO_STATUS_DRIVER_OK);
	w.rx_out = w.tx_out = w.nr_say = 0;
	w.resets_due = w.events_seen = w.old_packets = 0;
	w.events_held = 0;
	w.hold = false;
	for (unsigned int i = 0; i < EVENTS; i++)
		add(VSOCK_EVENT, w.event, 4, true);
	refill();
}

static void reset(void)
{
	resume_vm(); /* only a guest that runs does this */
	(void)kit_irqs(&w.vk.k);
	excuse_all();
	for (unsigned int i = 0; i < CONNS; i++) {
		struct conn *c = &w.conn[i];

		if (c->guest == G_NONE)
			continue;
		c->guest = G_DONE;
		maybe_free(c);
	}
	start_driver();
	(void)kit_irqs(&w.vk.k);
}

static void break_ring(void)
{
	const struct kit_queue *q =
		&w.vk.k.queue[schedule_below(VSOCK_NR_QUEUES)];

	kit_put16(&w.vk.k, q->avail + 2, (uint16_t)(q->avail_idx + SIZE + 1));
	kick();
	resume_vm();
	pump();
	reset();
}

/* ---- the plan ---- */

static void open_world(void)
{
	memset(&w, 0, sizeof(w));
	log_settings.level = LOG_OFF;
	vk_open(&w.vk);
	schedule.loop = &w.vk.k.loop;
	w.listener = vk_listen(&w.vk, HOST_PORT, BACKLOG);
	for (unsigned int i = 0; i < CONNS; i++)
		w.conn[i].fd = -1;
	for (unsigned int i = 0; i < CALLERS; i++)
		w.caller[i].fd = -1;
	for (unsigned int i = 0; i < STRANGERS; i++)
		w.stranger[i] = -1;
	for (unsigned int i = 0; i < VSOCK_NR_QUEUES; i++) {
		w.queue[i].size = SIZE;
		w.queue[i].desc = kit_alloc(&w.vk.k, SIZE * 16);
		w.queue[i].avail = kit_alloc(&w.vk.k, 6 + SIZE * 2);
		w.queue[i].used = kit_alloc(&w.vk.k, 6 + SIZE * 8);
	}
	for (unsigned int i = 0; i < SIZE; i++) {
		w.rx[i] = kit_alloc(&w.vk.k, RX_LEN);
		w.tx[i] = kit_alloc(&w.vk.k, 44 + TX_LEN);
	}
	w.event = kit_alloc(&w.vk.k, 4);
	w.next_guest_port = 1000;
	w.lazy = schedule_once_in(5);
	start_driver();
}

static bool conn_quiet(const struct conn *c)
{
	switch (c->guest) {
	case G_CALLING:
		return c->excused; /* its REQUEST went with the saved VM */
	case G_OPEN:
		return c->excused ||
		       (c->host_sent == c->guest_got &&
			(c->host_got == c->guest_sent || !c->host_known));
	case G_CLOSING:
		return c->excused;
	case G_DONE:
		return c->fd < 0;
	default:
		return true;
	}
}

static bool quiet(void)
{
	for (unsigned int i = 0; i < CONNS; i++)
		if (!conn_quiet(&w.conn[i]))
			return false;
	for (unsigned int i = 0; i < CALLERS; i++)
		if (w.caller[i].fd >= 0 && w.caller[i].said == LINE_LEN)
			return false;
	return w.tx_out == 0 && w.nr_say == 0 && (w.resets_due == 0 || w.lazy);
}

/* For whoever looks into a failure. */
static void tell_what_is_left(void)
{
	for (unsigned int i = 0; i < CONNS; i++) {
		const struct conn *c = &w.conn[i];

		if (!conn_quiet(c))
			(void)fprintf(stderr,
				      "guest %u state %d, host %u fd %d, "
				      "to host %u of %u, to guest %u of %u\n",
				      c->guest_port, c->guest, c->host_port,
				      c->fd, c->host_got, c->guest_sent,
				      c->guest_got, c->host_sent);
	}
	for (unsigned int i = 0; i < CALLERS; i++)
		if (w.caller[i].fd >= 0)
			(void)fprintf(stderr, "caller %u said %u\n", i,
				      w.caller[i].said);
	(void)fprintf(stderr, "%u in TX, %u to say, %u resets due\n", w.tx_out,
		      w.nr_say, w.resets_due);
}

static void everybody_works(void)
{
	pump();
	look();
	give_events_back();
	refill();
	host_accepts();
	for (unsigned int i = 0; i < STRANGERS; i++)
		stranger_reads(&w.stranger[i]);
	for (unsigned int i = 0; i < CALLERS; i++)
		caller_reads(&w.caller[i]);
	for (unsigned int i = 0; i < CONNS; i++)
		conn_reads(&w.conn[i], 4096);
}

static void settle(void)
{
	unsigned int left = 600;

	if (w.no_fds)
		run_out();
	resume_vm();
	if (broken())
		reset();
	do {
		if (left-- == 0) {
			tell_what_is_left();
			schedule_failed("something is left behind", __FILE__,
					__LINE__);
		}
		everybody_works();
		advance(20 * NS_PER_MS);
	} while (!quiet());
	/* What its end was, nobody can tell any more. */
	for (unsigned int i = 0; i < CONNS; i++) {
		struct conn *c = &w.conn[i];

		if (c->guest == G_HELD || (c->excused && c->fd < 0)) {
			if (c->guest == G_OPEN || c->guest == G_CALLING)
				say_of(c, VSOCK_OP_RST, 0);
			c->guest = G_DONE;
			maybe_free(c);
		}
	}
}

/* All leave: the device has no connection left. */
static void close_world(void)
{
	excuse_all();
	for (unsigned int i = 0; i < CALLERS; i++)
		if (w.caller[i].fd >= 0)
			(void)close(w.caller[i].fd);
	for (unsigned int i = 0; i < CONNS; i++)
		if (w.conn[i].fd >= 0)
			(void)close(w.conn[i].fd);
	for (unsigned int i = 0; i < STRANGERS; i++)
		if (w.stranger[i] >= 0)
			(void)close(w.stranger[i]);
	(void)close(w.listener);
	for (int i = 0; i < 100 && vk_dev(&w.vk)->nr_conns > 0; i++) {
		pump();
		look();
		refill();
		schedule_advance(NS_PER_S);
	}
	schedule_check(vk_dev(&w.vk)->nr_conns == 0);
	vk_close(&w.vk);
}

static const struct schedule_step steps[] = {
	{"callback", 20, one_callback},
	{"pump", 10, pump},
	{"guest looks", 20, look},
	{"refill", 15, refill},
	{"events back", 5, give_events_back},
	{"guest calls", 4, guest_calls},
	{"guest sends", 30, guest_sends},
	{"guest closes", 3, guest_closes},
	{"guest resets", 1, guest_resets},
	{"guest drops", 2, guest_drops_held},
	{"client connects", 4, client_connects},
	{"client says", 10, client_says},
	{"client leaves", 1, client_leaves},
	{"host accepts", 8, host_accepts},
	{"host reads", 20, host_reads},
	{"host writes", 15, host_writes},
	{"host closes", 2, host_closes},
	{"short time", 6, short_time},
	{"long time", 2, long_time},
	{"kick", 1, kick},
	{"pause", 2, pause_vm},
	{"resume", 4, resume_vm},
	{"run out", 2, run_out},
	{"save and load", 1, save_and_load},
	{"reset", 1, reset},
	{"break a ring", 1, break_ring},
};

static const struct schedule_plan plan = {
	.name = "vsock",
	.steps = 60000,
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
