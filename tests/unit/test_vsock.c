// SPDX-License-Identifier: Apache-2.0
/*
 * test_vsock.c - the socket device: connections from both sides, their ends,
 * credit, the life of the device
 */
#include "unit.h"

#include "vsock_kit.h"

#include <signal.h>

static int setup(void **state)
{
	struct vk *vk = malloc(sizeof(*vk));

	vk_open_running(vk);
	*state = vk;
	return 0;
}

static int teardown(void **state)
{
	struct vk *vk = *state;

	vk_close(vk);
	free(vk);
	return 0;
}

static unsigned int nr_conns(struct vk *vk)
{
	return vk_dev(vk)->nr_conns;
}

/* Return: connections with a deadline of at least @from: it is @ns now. */
static unsigned int move_deadlines(struct vk *vk, uint64_t from, uint64_t ns)
{
	struct vsock *v = vk_dev(vk);
	unsigned int nr = 0;

	for (struct list *at = v->conns.next; at != &v->conns; at = at->next) {
		struct vsock_conn *c = container_of(at, struct vsock_conn, all);

		if (c->deadline_ns < from)
			continue;
		c->deadline_ns = ns;
		nr++;
	}
	return nr;
}

/* Have every deadline pass now. */
static void let_time_pass(struct vk *vk)
{
	assert_true(move_deadlines(vk, 1, 1) > 0);
	while (move_deadlines(vk, 1, 1) > 0)
		assert_int_equal(loop_step(&vk->k.loop, 5000), 0);
	vk_pump(vk);
}

static void assert_reads(int fd, const void *want, size_t len)
{
	char data[256];

	assert_true(len <= sizeof(data));
	assert_int_equal(recv(fd, data, sizeof(data), 0), len);
	assert_memory_equal(data, want, len);
}

/* ---- connections ---- */

static void guest_to_host(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1000, 52);

	vk_send_data(vk, 1000, 52, "hello", 5);
	assert_reads(fd, "hello", 5);
	vk_write(fd, "world!", 6);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.type, 1);
	assert_int_equal(h.src_port, 52);
	assert_int_equal(h.dst_port, 1000);
	assert_int_equal(h.len, 6);
	assert_int_equal(h.buf_alloc, VSOCK_BUF_BYTES);
	assert_int_equal(h.fwd_cnt, 5);
	assert_memory_equal(h.data, "world!", 6);
	/* The guest closes: its RST at once, and the end for the host. */
	vk_shutdown(vk, 1000, 52, 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_true(vk_at_end(fd));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	(void)close(listener);
}

static void nobody_listens(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;

	vk_send(vk, VSOCK_OP_REQUEST, 1000, 53);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(h.src_port, 53);
	assert_int_equal(h.dst_port, 1000);
	assert_int_equal(nr_conns(vk), 0);
}

static void host_to_guest(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;
	uint32_t port, second;
	int fd = vk_call(vk, 77, &port);
	int other = vk_call(vk, 77, &second);

	assert_int_equal(port, 1u << 30);
	assert_int_equal(second, (1u << 30) + 1);
	vk_write(fd, "abc", 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 3);
	assert_int_equal(h.src_port, port);
	vk_send_data(vk, 77, port, "xyz", 3);
	assert_reads(fd, "xyz", 3);
	(void)close(other);
	(void)close(fd);
}

static void guest_refuses(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;
	int fd = vk_client(vk);

	vk_write(fd, "CONNECT 5\n", 10);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	vk_send(vk, VSOCK_OP_RST, 5, h.src_port);
	assert_true(vk_at_end(fd));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
}

static void connect_line_byte_by_byte(void **state)
{
	static const char line[] = "CONNECT 4294967295\nrest";
	struct vk *vk = *state;
	struct vk_packet h;
	int fd = vk_client(vk);

	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		vk_write(fd, &line[i], 1);
		vk_pump(vk);
	}
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	assert_int_equal(h.dst_port, UINT32_MAX);
	assert_false(vk_recv(vk, &h));
	vk_send(vk, VSOCK_OP_RESPONSE, UINT32_MAX, 1u << 30);
	assert_reads(fd, "OK 1073741824\n", 14);
	/* What came behind the line belongs to the stream. */
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.len, 4);
	assert_memory_equal(h.data, "rest", 4);
	(void)close(fd);
}

static void connect_lines(void **state)
{
	static const struct {
		const char *line;
		bool good;
		uint32_t port;
	} cases[] = {
		{"CONNECT 52\n", true, 52},
		{"connect 52\n", true, 52},
		{"CoNnEcT \t 52 \r\n", true, 52},
		{"CONNECT 52 more\n", true, 52},
		{"CONNECT 0\n", true, 0},
		{"CONNECT 4294967295\n", true, UINT32_MAX},
		{"CONNECT 4294967296\n", false, 0},
		{"CONNECT 99999999999999999999\n", false, 0},
		{"CONNECT -1\n", false, 0},
		{"CONNECT 0x10\n", false, 0},
		{"CONNECT 52x\n", false, 0},
		{"CONNECT \n", false, 0},
		{"CONNECT\n", false, 0},
		{"CONNECT52\n", false, 0},
		{"CONNEC 52\n", false, 0},
		{" CONNECT 52\n", false, 0},
		{"\n", false, 0},
		{"GET / HTTP/1.1\n", false, 0},
		{"CONNECT \xff\xfe\n", false, 0},
	};
	struct vk *vk = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vk_packet h;
		int fd = vk_client(vk);

		vk_write(fd, cases[i].line, strlen(cases[i].line));
		vk_pump(vk);
		assert_int_equal(vk_recv(vk, &h), cases[i].good);
		if (cases[i].good) {
			assert_int_equal(h.dst_port, cases[i].port);
			vk_send(vk, VSOCK_OP_RST, h.dst_port, h.src_port);
		}
		assert_true(vk_at_end(fd));
		(void)close(fd);
		vk_pump(vk);
		assert_int_equal(nr_conns(vk), 0);
	}
}

static void connect_line_too_long(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;
	static char junk[100000];
	int fd = vk_client(vk);

	memset(junk, 'C', sizeof(junk));
	vk_write(fd, junk, sizeof(junk));
	vk_pump(vk);
	assert_true(vk_at_end(fd));
	assert_false(vk_recv(vk, &h));
	(void)close(fd);
	/* One that leaves in the middle. */
	fd = vk_client(vk);
	vk_write(fd, "CONN", 4);
	vk_pump(vk);
	assert_int_equal(nr_conns(vk), 1);
	(void)close(fd);
	vk_pump(vk);
	assert_int_equal(nr_conns(vk), 0);
}

static void deadlines(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;
	int silent = vk_client(vk);
	int caller = vk_client(vk);

	vk_pump(vk);
	vk_write(caller, "CONNECT 9\n", 10);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	assert_int_equal(nr_conns(vk), 2);
	let_time_pass(vk);
	assert_true(vk_at_end(silent));
	assert_true(vk_at_end(caller));
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(h.dst_port, 9);
	assert_int_equal(nr_conns(vk), 0);
	(void)close(silent);
	(void)close(caller);
}

static void caller_leaves_before_the_answer(void **state)
{
	struct vk *vk = *state;
	struct vk_packet h;
	int fd = vk_client(vk);

	vk_write(fd, "CONNECT 9\n", 10);
	assert_true(vk_recv(vk, &h));
	(void)close(fd);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	/* The answer that comes too late is for nobody. */
	vk_send(vk, VSOCK_OP_RESPONSE, 9, h.src_port);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(nr_conns(vk), 0);
}

/* A backlog that is full is no reason to refuse. */
static void listener_is_slow(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 0);
	struct vk_packet h;
	int first, second;

	vk_send(vk, VSOCK_OP_REQUEST, 1, 52);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RESPONSE);
	vk_send(vk, VSOCK_OP_REQUEST, 2, 52);
	assert_false(vk_recv(vk, &h));
	assert_int_equal(nr_conns(vk), 2);
	first = vk_accept(listener);
	assert_int_equal(loop_step(&vk->k.loop, 5000), 0);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RESPONSE);
	assert_int_equal(h.dst_port, 2);
	second = vk_accept(listener);
	/* Nobody takes the fourth, for too long: RST. */
	vk_send(vk, VSOCK_OP_REQUEST, 3, 52);
	assert_true(vk_recv(vk, &h));
	vk_send(vk, VSOCK_OP_REQUEST, 4, 52);
	assert_false(vk_recv(vk, &h));
	let_time_pass(vk);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(h.dst_port, 4);
	(void)close(first);
	(void)close(second);
	(void)close(listener);
}

/* ---- ends ---- */

static void host_closes_half(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_write(fd, "last", 4);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.len, 4);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 2);
	assert_false(vk_recv(vk, &h));
	/* The other half lives. */
	vk_send_data(vk, 1, 52, "answer", 6);
	assert_reads(fd, "answer", 6);
	vk_shutdown(vk, 1, 52, 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_true(vk_at_end(fd));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	(void)close(listener);
}

static void guest_closes_half(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_send_data(vk, 1, 52, "last", 4);
	vk_shutdown(vk, 1, 52, 2);
	assert_reads(fd, "last", 4);
	assert_true(vk_at_end(fd));
	vk_write(fd, "answer", 6);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.len, 6);
	/* Data behind its own end breaks the rules. */
	vk_send_data(vk, 1, 52, "x", 1);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	(void)close(listener);
}

static void guest_stops_reading(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_shutdown(vk, 1, 52, 1);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	vk_send_data(vk, 1, 52, "still", 5);
	assert_reads(fd, "still", 5);
	/* The host's end is noticed although nothing is read. */
	(void)close(fd);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	(void)close(listener);
}

static void host_dies(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_write(fd, "bye", 3);
	(void)close(fd);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.len, 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	vk_send_data(vk, 1, 52, "to nobody", 9);
	assert_false(vk_recv(vk, &h));
	/* A guest that says nothing is told. */
	let_time_pass(vk);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(nr_conns(vk), 0);
	(void)close(listener);
}

/* It answers and dies without having read: the answer must get through. */
static void host_dies_with_unread_data(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_send_data(vk, 1, 52, "unread", 6);
	vk_write(fd, "error", 5);
	(void)close(fd);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_memory_equal(h.data, "error", 5);
	assert_true(vk_recv(vk, &h));
	assert_true(h.op == VSOCK_OP_RST || h.op == VSOCK_OP_SHUTDOWN);
	(void)close(listener);
}

/* The guest still sends when the host is gone, and has not been told. */
static void host_dies_while_guest_sends(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h = vk_packet(VSOCK_OP_RW, 1, 52);
	struct kit_used used;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_write(fd, "answer", 6);
	(void)close(fd);
	h.len = 4;
	vk_queue(vk, &h, "more");
	/* The kick is served before the socket's event. */
	vk->k.dev->ops->kick(vk->k.dev);
	assert_true(kit_used(&vk->k, VSOCK_TX, &used));
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 1);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RW);
	assert_int_equal(h.len, 6);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, 3);
	vk_send(vk, VSOCK_OP_RST, 1, 52);
	assert_int_equal(nr_conns(vk), 0);
	(void)close(listener);
}

static void guest_resets(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h;
	int fd = vk_connect(vk, listener, 1, 52);

	vk_send(vk, VSOCK_OP_RST, 1, 52);
	assert_true(vk_at_end(fd));
	assert_false(vk_recv(vk, &h));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	(void)close(listener);
}

/* What the guest sent before it closed arrives, however slow the host is. */
static void guest_closes_with_data_on_the_way(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	static uint8_t block[4096];
	size_t sent = 0, got = 0;
	struct vk_packet h;

	memset(block, 0x5a, sizeof(block));
	while (vk_dev(vk)->conns.next == &vk_dev(vk)->conns ||
	       container_of(vk_dev(vk)->conns.next, struct vsock_conn, all)
			       ->used < 32768) {
		vk_send_data(vk, 1, 52, block, sizeof(block));
		sent += sizeof(block);
		while (vk_recv(vk, &h))
			assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
	}
	vk_shutdown(vk, 1, 52, 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(nr_conns(vk), 1); /* lingers */
	/* Its ports are free again. */
	vk_send(vk, VSOCK_OP_REQUEST, 1, 52);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RESPONSE);
	for (;;) {
		ssize_t n = recv(fd, block, sizeof(block), 0);

		if (n == 0)
			break;
		if (n < 0)
			assert_int_equal(errno, EAGAIN);
		else
			got += (size_t)n;
		vk_pump(vk);
	}
	assert_int_equal(got, sent);
	assert_int_equal(nr_conns(vk), 1);
	(void)close(fd);
	(void)close(listener);
}

static void lingering_ends(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	static const uint8_t block[4096];
	struct vk_packet h;

	while (container_of(vk_dev(vk)->conns.next, struct vsock_conn, all)
		       ->used == 0) {
		vk_send_data(vk, 1, 52, block, sizeof(block));
		while (vk_recv(vk, &h))
			;
	}
	vk_shutdown(vk, 1, 52, 3);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(nr_conns(vk), 1);
	let_time_pass(vk);
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	(void)close(listener);
}

/* Deadlines stand still with the VM: the host has its 30 s all the same. */
static void a_pause_takes_no_time_away(void **state)
{
	const struct timespec moment = {.tv_nsec = 20000000};
	struct vk *vk = *state;
	int waiting = vk_client(vk);
	struct vsock_conn *c;
	uint64_t deadline, left;

	vk_pump(vk);
	c = container_of(vk_dev(vk)->conns.next, struct vsock_conn, all);
	for (int i = 0; i < 3; i++) {
		deadline = c->deadline_ns;
		left = deadline - now_ns();
		virtio_dev_pause(vk->k.dev);
		(void)nanosleep(&moment, NULL);
		virtio_dev_resume(vk->k.dev);
		assert_true((int64_t)(c->deadline_ns - deadline) >= 20000000);
		assert_true(c->deadline_ns - now_ns() <= left);
	}
	assert_true(vk_dev(vk)->ticking);
	(void)close(waiting);
}

/* ---- credit ---- */

static void guest_asks_for_credit(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	struct vk_packet h;

	vk_send_data(vk, 1, 52, "12345", 5);
	assert_false(vk_recv(vk, &h));
	vk_send(vk, VSOCK_OP_CREDIT_REQUEST, 1, 52);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(h.fwd_cnt, 5);
	assert_int_equal(h.buf_alloc, VSOCK_BUF_BYTES);
	(void)close(fd);
	(void)close(listener);
}

/* Exactly what it was told fits; one byte more ends the connection. */
static void guest_exceeds_its_credit(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	uint8_t *block = calloc(1, VSOCK_BUF_BYTES);
	struct vsock_conn *c =
		container_of(vk_dev(vk)->conns.next, struct vsock_conn, all);
	struct vk_packet h;
	uint32_t sent = 0, told = 0;

	while (told + VSOCK_BUF_BYTES != sent) {
		uint32_t n = told + VSOCK_BUF_BYTES - sent;

		vk_send_data(vk, 1, 52, block, n);
		sent += n;
		while (vk_recv(vk, &h)) {
			assert_int_equal(h.op, VSOCK_OP_CREDIT_UPDATE);
			told = h.fwd_cnt;
		}
	}
	vk_send(vk, VSOCK_OP_CREDIT_REQUEST, 1, 52);
	assert_true(vk_recv(vk, &h));
	if (h.fwd_cnt != told)
		vk_send_data(vk, 1, 52, block, h.fwd_cnt - told);
	assert_int_equal(c->used, VSOCK_BUF_BYTES);
	assert_int_equal(nr_conns(vk), 1);
	vk_send_data(vk, 1, 52, block, 1);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(nr_conns(vk), 0);
	free(block);
	(void)close(fd);
	(void)close(listener);
}

static void host_stays_within_the_guests_credit(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	struct vk_packet h = vk_packet(VSOCK_OP_REQUEST, 1, 52);
	static uint8_t block[100000];
	uint32_t got = 0, fwd = 0;
	int fd;

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)(i * 7 + (i >> 8));
	h.buf_alloc = 1000;
	vk_send_packet(vk, &h, NULL);
	assert_true(vk_recv(vk, &h));
	fd = vk_accept(listener);
	vk_write(fd, block, sizeof(block));
	while (got < sizeof(block)) {
		struct vk_packet update =
			vk_packet(VSOCK_OP_CREDIT_UPDATE, 1, 52);
		bool asked = false;

		while (vk_recv(vk, &h)) {
			if (h.op == VSOCK_OP_CREDIT_REQUEST) {
				assert_false(asked);
				asked = true;
				continue;
			}
			assert_memory_equal(h.data, block + got, h.len);
			got += h.len;
		}
		assert_true(got - fwd <= 1000);
		assert_true(asked);
		fwd = got;
		update.buf_alloc = 1000;
		update.fwd_cnt = fwd;
		vk_send_packet(vk, &update, NULL);
	}
	(void)close(fd);
	(void)close(listener);
}

/* ---- the device ---- */

static void config_is_the_cid(void **state)
{
	struct vk *vk = *state;

	assert_int_equal(kit_read(&vk->k, KIT_DEVICE_ID), 19);
	assert_int_equal(kit_config(&vk->k, 0, 8), VK_CID);
	assert_int_equal(kit_config(&vk->k, 0, 4), VK_CID);
	assert_int_equal(kit_config(&vk->k, 8, 4), 0);
	kit_set_config(&vk->k, 0, 99, 8);
	assert_int_equal(kit_config(&vk->k, 0, 8), VK_CID);
}

static void reset_ends_all_connections(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	uint32_t port;
	int client = vk_call(vk, 7, &port);
	int early = vk_client(vk);
	struct vk_packet h;

	vk_pump(vk);
	kit_write(&vk->k, KIT_STATUS, 0);
	vk_pump(vk);
	assert_true(vk_at_end(fd));
	assert_true(vk_at_end(client));
	assert_true(vk_at_end(early));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(early);
	/* Without a driver, clients wait; the next one serves them. */
	early = vk_client(vk);
	vk_write(early, "CONNECT 8\n", 10);
	vk_pump(vk);
	assert_int_equal(nr_conns(vk), 0);
	vk_start(vk, 0, VK_SIZE);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	assert_int_equal(h.dst_port, 8);
	(void)close(vk_connect(vk, listener, 1, 52));
	(void)close(early);
	(void)close(fd);
	(void)close(client);
	(void)close(listener);
}

/* Reset and ready again before the VMM thread looks. */
static void reset_and_restart_at_once(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);

	vk_write(fd, "old", 3);
	vk_start(vk, VIRTIO_F_EVENT_IDX, VK_SIZE);
	assert_true(vk_at_end(fd));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	fd = vk_connect(vk, listener, 1, 52);
	(void)close(fd);
	(void)close(listener);
}

static void broken_ring_ends_all_connections(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);

	kit_avail(&vk->k, VSOCK_TX, 9999);
	kit_kick(&vk->k, VSOCK_TX);
	vk_pump(vk);
	assert_true(kit_read(&vk->k, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
	assert_true(vk_at_end(fd));
	assert_int_equal(nr_conns(vk), 0);
	(void)close(fd);
	vk_start(vk, 0, VK_SIZE);
	(void)close(vk_connect(vk, listener, 1, 52));
	(void)close(listener);
}

static void nothing_moves_while_paused(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	int early = vk_client(vk);
	struct vk_packet h = vk_packet(VSOCK_OP_RW, 1, 52);
	struct kit_used used;
	char byte;

	virtio_dev_pause(vk->k.dev);
	vk_write(fd, "to the guest", 12);
	vk_write(early, "CONNECT 8\n", 10);
	h.len = 4;
	vk_queue(vk, &h, "data");
	vk_pump(vk);
	assert_false(vk_take(vk, &h));
	assert_false(kit_used(&vk->k, VSOCK_TX, &used));
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	virtio_dev_resume(vk->k.dev);
	vk_pump(vk);
	assert_true(kit_used(&vk->k, VSOCK_TX, &used));
	assert_reads(fd, "data", 4);
	assert_true(vk_recv(vk, &h));
	assert_true(vk_recv(vk, &h));
	assert_false(vk_recv(vk, &h));
	(void)close(early);
	(void)close(fd);
	(void)close(listener);
}

/* Restored: the guest is told that its connections are gone. */
static void restore_resets_the_transport(void **state)
{
	struct vk *vk = *state;
	const struct virtio_dev_ops *ops = vk->k.dev->ops;
	struct vsock_state saved = {0};
	struct kit_buf buf = {.len = 4, .write = true};
	struct kit_used used;
	struct err err = {0};

	ops->save(vk->k.dev, &saved);
	assert_int_equal(saved.guest_cid, VK_CID);
	saved.guest_cid++;
	assert_int_equal(ops->load(vk->k.dev, &saved, &err), -EINVAL);
	assert_non_null(strstr(err.text, "CID"));
	saved.guest_cid = VK_CID;
	assert_int_equal(ops->load(vk->k.dev, &saved, &err), 0);
	virtio_dev_schedule(vk->k.dev);
	vk_pump(vk);
	/* The event waits for a buffer, and for one that it fits into. */
	buf.gpa = kit_alloc(&vk->k, 4);
	buf.len = 2;
	(void)kit_add(&vk->k, VSOCK_EVENT, &buf, 1);
	kit_kick(&vk->k, VSOCK_EVENT);
	vk_pump(vk);
	assert_true(kit_used(&vk->k, VSOCK_EVENT, &used));
	assert_int_equal(
		metric_read(&vk_dev(vk)->counters.ev_queue_event_fails), 1);
	buf.len = 4;
	memset(kit_hva(&vk->k, buf.gpa, 4), 0xff, 4);
	(void)kit_add(&vk->k, VSOCK_EVENT, &buf, 1);
	kit_kick(&vk->k, VSOCK_EVENT);
	vk_pump(vk);
	assert_true(kit_used(&vk->k, VSOCK_EVENT, &used));
	assert_int_equal(used.len, 4);
	assert_int_equal(load_le32(kit_hva(&vk->k, buf.gpa, 4)), 0);
	/* Once. */
	(void)kit_add(&vk->k, VSOCK_EVENT, &buf, 1);
	kit_kick(&vk->k, VSOCK_EVENT);
	vk_pump(vk);
	assert_false(kit_used(&vk->k, VSOCK_EVENT, &used));
}

#define LISTEN(path) path_open(&path_direct, PATH_VSOCK, path, NULL)

static void listening_errors(void **state)
{
	struct vk *vk = *state;
	char path[200];
	struct stat st;

	assert_int_equal(LISTEN(vk->path), -EADDRINUSE);
	assert_int_equal(LISTEN(""), -EINVAL);
	(void)snprintf(path, sizeof(path), "%s/no/v", vk->dir);
	assert_int_equal(LISTEN(path), -ENOENT);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(LISTEN(path), -ENAMETOOLONG);
	assert_int_equal(lstat(vk->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(guest_to_host),
		T(nobody_listens),
		T(host_to_guest),
		T(guest_refuses),
		T(connect_line_byte_by_byte),
		T(connect_lines),
		T(connect_line_too_long),
		T(deadlines),
		T(caller_leaves_before_the_answer),
		T(listener_is_slow),
		T(host_closes_half),
		T(guest_closes_half),
		T(guest_stops_reading),
		T(host_dies),
		T(host_dies_with_unread_data),
		T(host_dies_while_guest_sends),
		T(guest_resets),
		T(guest_closes_with_data_on_the_way),
		T(lingering_ends),
		T(a_pause_takes_no_time_away),
		T(guest_asks_for_credit),
		T(guest_exceeds_its_credit),
		T(host_stays_within_the_guests_credit),
		T(config_is_the_cid),
		T(reset_ends_all_connections),
		T(reset_and_restart_at_once),
		T(broken_ring_ends_all_connections),
		T(nothing_moves_while_paused),
		T(restore_resets_the_transport),
		T(listening_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
