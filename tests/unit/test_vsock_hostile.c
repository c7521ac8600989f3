// SPDX-License-Identifier: Apache-2.0
/*
 * test_vsock_hostile.c - the socket device against hostile guests and hosts:
 * limits, starvation, malformed packets, random interleavings, resets by
 * another thread
 */
#include "unit.h"

#include "vsock_kit.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/resource.h>

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

static void allow_many_fds(void)
{
	struct rlimit limit;

	kit_must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
	kit_must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static int next_fd(void)
{
	int fd = dup(0);

	kit_must(fd >= 0);
	(void)close(fd);
	return fd;
}

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	kit_must(dir != NULL);
	while (readdir(dir))
		nr++;
	(void)closedir(dir);
	return nr;
}

/* The number of packets from the device with @op, and of others. */
static unsigned int count_packets(struct vk *vk, uint16_t op,
				  unsigned int *others)
{
	struct vk_packet h;
	unsigned int nr = 0;

	*others = 0;
	while (vk_recv(vk, &h)) {
		if (h.op == op)
			nr++;
		else
			++*others;
	}
	return nr;
}

/* ---- limits ---- */

static void test_d8_ten_thousand_ports(void **state)
{
	struct vk *vk = *state;
	unsigned int accepted = 0, refused = 0, before;
	int listener;
	struct vk_packet h;
	int fd;

	allow_many_fds();
	listener = vk_listen(vk, 52, 4096);
	before = count_fds();
	for (uint32_t port = 1; port <= 10000; port++) {
		vk_send(vk, VSOCK_OP_REQUEST, port, 52);
		assert_true(vk_recv(vk, &h));
		assert_int_equal(h.dst_port, port);
		if (h.op == VSOCK_OP_RESPONSE)
			accepted++;
		else
			refused++;
	}
	assert_int_equal(accepted, 1023);
	assert_int_equal(refused, 10000 - 1023);
	assert_int_equal(count_fds(), before + 1023);
	/* A client of the host is refused, too: it sees its end. */
	fd = vk_client(vk);
	vk_pump(vk);
	assert_true(vk_at_end(fd));
	(void)close(fd);
	/* One goes, one may come. */
	vk_send(vk, VSOCK_OP_RST, 500, 52);
	vk_send(vk, VSOCK_OP_REQUEST, 20000, 52);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RESPONSE);
	for (uint32_t port = 1; port <= 1023; port++)
		vk_send(vk, VSOCK_OP_RST, port, 52);
	vk_send(vk, VSOCK_OP_RST, 20000, 52);
	assert_int_equal(vk_dev(vk)->nr_conns, 0);
	assert_int_equal(count_fds(), before);
	(void)close(listener);
}

/* A storm of clients that all leave at once. */
static void connect_storm(void **state)
{
	struct vk *vk = *state;
	unsigned int others;
	int fds[200];

	allow_many_fds();
	for (int round = 0; round < 5; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
			fds[i] = vk_client(vk);
			vk_write(fds[i], "CONNECT 7\n", 10);
		}
		assert_int_equal(count_packets(vk, VSOCK_OP_REQUEST, &others),
				 ARRAY_SIZE(fds));
		for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
			(void)close(fds[i]);
		assert_int_equal(count_packets(vk, VSOCK_OP_RST, &others),
				 ARRAY_SIZE(fds));
		assert_int_equal(others, 0);
		assert_int_equal(vk_dev(vk)->nr_conns, 0);
	}
}

/* Descriptors run out: nothing spins, nothing is lost. */
static void no_descriptors(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_client(vk);
	struct rlimit limit, few;
	struct vk_packet h;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = (rlim_t)next_fd();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	vk_write(fd, "CONNECT 7\n", 10);
	vk_pump(vk);
	assert_int_equal(vk_dev(vk)->nr_conns, 0);
	vk_send(vk, VSOCK_OP_REQUEST, 1, 52);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RST);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (vk_dev(vk)->nr_conns == 0)
		assert_int_equal(loop_step(&vk->k.loop, 5000), 0);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	(void)close(fd);
	(void)close(listener);
}

/* The same while the VM pauses and goes on: the listener is not forgotten. */
static void no_descriptors_and_a_pause(void **state)
{
	struct vk *vk = *state;
	int fd = vk_client(vk);
	struct rlimit limit, few;
	struct vk_packet h;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = limit;
	few.rlim_cur = (rlim_t)next_fd();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	vk_write(fd, "CONNECT 7\n", 10);
	vk_pump(vk);
	virtio_dev_pause(vk->k.dev);
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_step(&vk->k.loop, 60), 0);
	virtio_dev_resume(vk->k.dev);
	vk_pump(vk);
	assert_int_equal(vk_dev(vk)->nr_conns, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (vk_dev(vk)->nr_conns == 0)
		assert_int_equal(loop_step(&vk->k.loop, 5000), 0);
	assert_true(vk_recv(vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	(void)close(fd);
}

/* ---- the VMM thread ---- */

#define NR_TALKERS 40u

static uint64_t bytes_to_host(struct vk *vk)
{
	return vk_dev(vk)->counters.tx_bytes_count;
}

/* A guest that has much to send: the loop gets its turns in between. */
static void one_turn_sends_a_bounded_number_of_bytes(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, NR_TALKERS);
	gpa_t room = kit_alloc(&vk->k, VK_PACKET * NR_TALKERS);
	int fds[NR_TALKERS];
	uint64_t most = 0, before;

	for (uint32_t i = 0; i < NR_TALKERS; i++)
		fds[i] = vk_connect(vk, listener, i, 52);
	for (uint32_t i = 0; i < NR_TALKERS; i++) {
		struct vk_packet h = vk_packet(VSOCK_OP_RW, i, 52);
		struct kit_buf buf = {room + i * VK_PACKET, VK_PACKET, false};

		h.len = VK_PACKET - 44;
		vk_put_header(kit_hva(&vk->k, buf.gpa, 44), &h);
		(void)kit_add(&vk->k, VSOCK_TX, &buf, 1);
	}
	kit_kick(&vk->k, VSOCK_TX);
	do {
		before = bytes_to_host(vk);
		assert_int_equal(loop_step(&vk->k.loop, 0), 0);
		if (bytes_to_host(vk) - before > most)
			most = bytes_to_host(vk) - before;
	} while (bytes_to_host(vk) > before);
	assert_true(most > 0 && most <= VSOCK_ROUND_BYTES + VK_PACKET);
	assert_int_equal(bytes_to_host(vk), NR_TALKERS * (VK_PACKET - 44));
	for (uint32_t i = 0; i < NR_TALKERS; i++)
		(void)close(fds[i]);
	(void)close(listener);
}

/* ---- starvation ---- */

/* No RX buffers while the host floods: the loop is silent (vk_pump ends). */
static void test_d2_no_rx_buffers(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 100);
	static uint8_t block[65536];
	unsigned int got[8] = {0};
	struct vk_packet h;
	int fds[8];

	for (uint32_t i = 0; i < 8; i++)
		fds[i] = vk_connect(vk, listener, 100 + i, 52);
	/* Use up all buffers, and give none back. */
	for (unsigned int i = 0; i < 16; i++) {
		vk_write(fds[i % 8], block, sizeof(block));
		vk_pump(vk);
	}
	for (unsigned int i = 0; i < VK_SIZE; i++) {
		assert_true(vk_take(vk, &h));
		assert_int_equal(h.op, VSOCK_OP_RW);
		got[h.dst_port - 100] += h.len;
	}
	assert_false(vk_take(vk, &h));
	/* Data, a client, a leaver: all wait, and nothing spins. */
	for (unsigned int i = 0; i < 4; i++)
		vk_write(fds[i], block, sizeof(block));
	(void)close(fds[7]);
	fds[7] = vk_client(vk);
	vk_write(fds[7], "CONNECT 9\n", 10);
	vk_pump(vk);
	for (int i = 0; i < 3; i++) {
		struct pollfd p = {.fd = vk->k.loop.epoll_fd, .events = POLLIN};

		/* But for the tick that guards the client's deadline. */
		assert_int_equal(loop_step(&vk->k.loop, 1000), 0);
		assert_int_equal(poll(&p, 1, 0), 0);
	}
	/* Buffers come back one by one: everything arrives. */
	for (;;) {
		vk_add_rx(vk, 1);
		if (!vk_take(vk, &h))
			break;
		if (h.op == VSOCK_OP_RW) {
			struct vk_packet update = vk_packet(
				VSOCK_OP_CREDIT_UPDATE, h.dst_port, 52);

			got[h.dst_port - 100] += h.len;
			update.fwd_cnt = got[h.dst_port - 100];
			vk_send_packet(vk, &update, NULL);
		}
	}
	for (unsigned int i = 0; i < 7; i++)
		assert_int_equal(got[i], sizeof(block) * (i < 4 ? 3 : 2));
	for (unsigned int i = 0; i < 8; i++)
		(void)close(fds[i]);
	(void)close(listener);
}

/*
 * V16: a guest that only submits. Answers need RX buffers: without, the device
 * takes what its ring of resets holds and then no more.
 */
static void test_v16_submits_without_reaping(void **state)
{
	struct vk *vk = *state;
	unsigned int resets = 0, others, taken = 0;
	struct kit_used used;
	struct vk_packet h = vk_packet(VSOCK_OP_RW, 1, 1);
	const unsigned int many = IS_SANITIZED ? 20000 : 200000;

	for (unsigned int i = 0; i < VK_SIZE; i++) {
		vk_send(vk, VSOCK_OP_RW, i, 1);
		assert_true(vk_take(vk, &h));
		resets += h.op == VSOCK_OP_RST;
	}
	assert_int_equal(resets, VK_SIZE);
	h = vk_packet(VSOCK_OP_RW, 1, 1);
	for (unsigned int i = 0; i < 200; i++)
		vk_queue(vk, &h, NULL);
	vk_pump(vk);
	while (kit_used(&vk->k, VSOCK_TX, &used))
		taken++;
	assert_int_equal(taken, VSOCK_RESETS_MAX);
	vk_add_rx(vk, VK_SIZE);
	resets = count_packets(vk, VSOCK_OP_RST, &others);
	assert_int_equal(resets, 200);
	while (kit_used(&vk->k, VSOCK_TX, &used))
		taken++;
	assert_int_equal(taken, 200);
	for (unsigned int i = 0; i < many; i++) {
		vk_send(vk, VSOCK_OP_CREDIT_REQUEST, i, i);
		if (i % 200 == 0)
			resets += count_packets(vk, VSOCK_OP_RST, &others);
	}
	resets += count_packets(vk, VSOCK_OP_RST, &others);
	assert_int_equal(resets, many + 200);
	assert_int_equal(vk_dev(vk)->nr_conns, 0);
}

/* ---- malformed ---- */

static void malformed_packets(void **state)
{
	static const struct {
		uint32_t first; /* bytes of the first buffer */
		uint32_t second;
		uint32_t len;
		bool write;
		bool refused; /* dropped without a word */
	} cases[] = {
		{44, 0, 0, false, false},
		{43, 0, 0, false, true},
		{1, 0, 0, false, true},
		{44, 0, 1, false, true},
		{44, 10, 10, false, false},
		{44, 10, 9, false, false},
		{44, 10, 11, false, true},
		{44, 10, UINT32_MAX, false, true},
		{44, 10, UINT32_MAX - 43, false, true},
		{44, 70000, 65537, false, true},
		{44, 70000, 65536, false, false},
		{54, 0, 10, false, false},
		{20, 24, 0, false, false},
		{44, 10, 10, true, true},
		{44, 10, 0, true, true},
	};
	struct vk *vk = *state;
	gpa_t room = kit_alloc(&vk->k, 100000);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* To nobody: what is well-formed is answered by RST. */
		struct vk_packet h = vk_packet(VSOCK_OP_RW, 9, 9);
		struct kit_buf buf[2] = {
			{room, cases[i].first, false},
			{room + cases[i].first, cases[i].second,
			 cases[i].write},
		};
		struct kit_used used;

		h.len = cases[i].len;
		vk_put_header(kit_hva(&vk->k, room, 44), &h);
		(void)kit_add(&vk->k, VSOCK_TX, buf, cases[i].second ? 2 : 1);
		kit_kick(&vk->k, VSOCK_TX);
		vk_pump(vk);
		assert_true(kit_used(&vk->k, VSOCK_TX, &used));
		assert_int_equal(vk_recv(vk, &h), !cases[i].refused);
	}
}

static void headers_nobody_knows(void **state)
{
	static const struct {
		uint64_t src, dst;
		uint16_t type, op;
		bool answered;
	} cases[] = {
		{VK_CID, 2, 1, VSOCK_OP_RW, true},
		{VK_CID, 2, 1, VSOCK_OP_RST, false},
		{VK_CID, 2, 1, VSOCK_OP_SHUTDOWN, true},
		{VK_CID, 2, 1, 0, true},
		{VK_CID, 2, 1, 8, true},
		{VK_CID, 2, 1, 0xffff, true},
		{VK_CID, 2, 0, VSOCK_OP_REQUEST, true},
		{VK_CID, 2, 2, VSOCK_OP_REQUEST, true},
		{VK_CID, 2, 2, VSOCK_OP_RST, false},
		{VK_CID, 2, 0xffff, 0xffff, true},
		{VK_CID + 1, 2, 1, VSOCK_OP_REQUEST, false},
		{2, 2, 1, VSOCK_OP_REQUEST, false},
		{VK_CID, VK_CID, 1, VSOCK_OP_REQUEST, false},
		{VK_CID, 1, 1, VSOCK_OP_REQUEST, false},
		{VK_CID, 0x100000002ull, 1, VSOCK_OP_REQUEST, false},
		{0x100000000ull + VK_CID, 2, 1, VSOCK_OP_REQUEST, false},
		{UINT64_MAX, UINT64_MAX, 1, VSOCK_OP_REQUEST, false},
	};
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vk_packet h = vk_packet(cases[i].op, 1, 52);

		h.src_cid = cases[i].src;
		h.dst_cid = cases[i].dst;
		h.type = cases[i].type;
		vk_send_packet(vk, &h, NULL);
		assert_int_equal(vk_recv(vk, &h), cases[i].answered);
		if (cases[i].answered) {
			assert_int_equal(h.op, VSOCK_OP_RST);
			assert_int_equal(h.type, cases[i].type);
		}
		assert_int_equal(vk_dev(vk)->nr_conns, 0);
	}
	(void)close(listener);
}

/* What each operation does to an open connection that does not expect it. */
static void operations_out_of_order(void **state)
{
	static const uint16_t ops[] = {0, VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE,
				       8, 0xffff};
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 100);
	struct vk_packet h;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		int fd = vk_connect(vk, listener, 1, 52);

		vk_send(vk, ops[i], 1, 52);
		assert_true(vk_recv(vk, &h));
		assert_int_equal(h.op, VSOCK_OP_RST);
		assert_true(vk_at_end(fd));
		assert_int_equal(vk_dev(vk)->nr_conns, 0);
		(void)close(fd);
	}
	/* Before the guest has accepted, only RESPONSE and RST are. */
	for (uint16_t op = 0; op < 9; op++) {
		int fd;

		if (op == VSOCK_OP_RESPONSE || op == VSOCK_OP_RST)
			continue;
		fd = vk_client(vk);
		vk_write(fd, "CONNECT 6\n", 10);
		assert_true(vk_recv(vk, &h));
		vk_send(vk, op, 6, h.src_port);
		assert_true(vk_recv(vk, &h));
		assert_int_equal(h.op, VSOCK_OP_RST);
		assert_true(vk_at_end(fd));
		(void)close(fd);
	}
	(void)close(listener);
}

/* RX buffers of every useless kind; header and data in single bytes. */
static void odd_rx_buffers(void **state)
{
	struct vk *vk = *state;
	gpa_t room = kit_alloc(&vk->k, 4096);
	struct kit_buf pieces[60];
	struct kit_buf bad[] = {
		{room, 44, true},
		{room, 10, true},
		{room, 4096, false},
	};
	int listener = vk_listen(vk, 52, 5);
	struct kit_used used;
	struct vk_packet h;
	const uint8_t *p;
	int fd;

	/* A driver that starts with no buffers of the usual kind. */
	vk_start(vk, VIRTIO_F_EVENT_IDX, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		(void)kit_add(&vk->k, VSOCK_RX, &bad[i], 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct kit_buf){room + 60 - i, 1, true};
	(void)kit_add(&vk->k, VSOCK_RX, pieces, ARRAY_SIZE(pieces));
	kit_kick(&vk->k, VSOCK_RX);
	vk_send(vk, VSOCK_OP_REQUEST, 1, 52);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(kit_used(&vk->k, VSOCK_RX, &used));
		assert_int_equal(used.len, 0);
	}
	assert_true(kit_used(&vk->k, VSOCK_RX, &used));
	assert_int_equal(used.len, 44);
	fd = vk_accept(listener);
	/* 16 bytes of data a buffer, behind a useless one. */
	vk_write(fd, "0123456789abcdefGHI", 19);
	(void)kit_add(&vk->k, VSOCK_RX, pieces, ARRAY_SIZE(pieces));
	(void)kit_add(&vk->k, VSOCK_RX, &bad[0], 1);
	kit_kick(&vk->k, VSOCK_RX);
	vk_pump(vk);
	assert_true(kit_used(&vk->k, VSOCK_RX, &used));
	assert_int_equal(used.len, 60);
	p = kit_hva(&vk->k, room, 61);
	for (unsigned int i = 0; i < 16; i++)
		assert_int_equal(p[60 - 44 - i], "0123456789abcdef"[i]);
	vk_add_rx(vk, 1);
	vk_pump(vk);
	assert_true(kit_used(&vk->k, VSOCK_RX, &used));
	assert_int_equal(used.len, 0);
	assert_true(vk_take(vk, &h));
	assert_int_equal(h.len, 3);
	assert_memory_equal(h.data, "GHI", 3);
	(void)close(fd);
	(void)close(listener);
}

/* V6: what is not RAM is refused with the whole chain, header or data. */
static void test_v6_buffers_outside_ram(void **state)
{
	static const uint64_t bad[] = {KIT_RAM_BYTES - 1, KIT_RAM_BYTES,
				       GMEM_HOLE_START,   0xd0000000,
				       UINT64_MAX - 43,   UINT64_MAX};
	struct vk *vk = *state;
	struct kit_used used;
	struct vk_packet h;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		gpa_t gpa = bad[i / 2];
		struct kit_buf buf[2] = {{vk->tx, 44, false}, {gpa, 44, false}};

		h = vk_packet(VSOCK_OP_RW, 9, 9);
		h.len = 44;
		vk_put_header(kit_hva(&vk->k, vk->tx, 44), &h);
		(void)kit_add(&vk->k, VSOCK_TX, i & 1 ? buf : buf + 1,
			      i & 1 ? 2 : 1);
		kit_kick(&vk->k, VSOCK_TX);
		vk_pump(vk);
		assert_true(kit_used(&vk->k, VSOCK_TX, &used));
		assert_int_equal(used.len, 0);
		assert_false(vk_recv(vk, &h));
	}
	vk_send(vk, VSOCK_OP_RW, 9, 9);
	assert_true(vk_recv(vk, &h));
}

/* ---- random interleavings ---- */

#define NR_STREAMS 6
#define STREAM_END 300000u

/**
 * struct stream - one connection of the random test
 * @to_host, @to_guest: bytes sent so far by each end
 * @host_got, @guest_got: bytes received
 * @known_fwd:	the device's fwd_cnt as the guest knows it
 * @told_fwd:	the guest's fwd_cnt as the device was told
 * @guest_alloc: the guest's buffer
 */
struct stream {
	int fd;
	uint32_t port;
	uint32_t to_host, host_got;
	uint32_t to_guest, guest_got;
	uint32_t known_fwd;
	uint32_t told_fwd;
	uint32_t guest_alloc;
	bool host_end, guest_end;
};

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state =
		random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((random_state >> 33) % limit);
}

static uint8_t byte_at(const struct stream *s, bool to_host, uint32_t at)
{
	return (uint8_t)(at * 31 + (at >> 9) + s->port * 7 + to_host);
}

static void guest_writes(struct vk *vk, struct stream *s)
{
	static uint8_t block[65536];
	uint32_t room = VSOCK_BUF_BYTES - (s->to_host - s->known_fwd);
	uint32_t left = STREAM_END - s->to_host;
	uint32_t n = 1 + random_below(random_below(2) ? 65536 : 300);
	struct vk_packet h = vk_packet(VSOCK_OP_RW, s->port, 52);

	n = n < room ? n : room;
	n = n < left ? n : left;
	for (uint32_t i = 0; i < n; i++)
		block[i] = byte_at(s, true, s->to_host + i);
	h.len = n;
	h.buf_alloc = s->guest_alloc;
	h.fwd_cnt = s->told_fwd;
	if (n > 0)
		vk_send_packet(vk, &h, block);
	else
		vk_send(vk, VSOCK_OP_RST, 0x7777, 52); /* of no connection */
	s->to_host += n;
}

static void host_writes(struct stream *s)
{
	static uint8_t block[65536];
	uint32_t left = STREAM_END - s->to_guest;
	uint32_t n = 1 + random_below(random_below(2) ? 65536 : 300);
	ssize_t done;

	n = n < left ? n : left;
	for (uint32_t i = 0; i < n; i++)
		block[i] = byte_at(s, false, s->to_guest + i);
	done = n ? send(s->fd, block, n, MSG_NOSIGNAL) : 0;
	if (done > 0)
		s->to_guest += (uint32_t)done;
}

static void host_reads(struct stream *s)
{
	static uint8_t block[65536];
	ssize_t n = recv(s->fd, block, 1 + random_below(65536), 0);

	if (n == 0)
		s->host_end = true;
	for (ssize_t i = 0; i < n; i++)
		kit_must(block[i] ==
			 byte_at(s, true, s->host_got + (uint32_t)i));
	if (n > 0)
		s->host_got += (uint32_t)n;
}

static void guest_reads_one(struct stream *streams, const struct vk_packet *h)
{
	struct stream *s = NULL;

	for (unsigned int i = 0; i < NR_STREAMS; i++)
		if (streams[i].port == h->dst_port)
			s = &streams[i];
	kit_must(s != NULL && h->op != VSOCK_OP_RST);
	/* Never ahead of what came, never ahead of what was sent. */
	kit_must((int32_t)(h->fwd_cnt - s->known_fwd) >= 0);
	kit_must((int32_t)(s->to_host - h->fwd_cnt) >= 0);
	s->known_fwd = h->fwd_cnt;
	if (h->op == VSOCK_OP_SHUTDOWN && h->flags & 2)
		s->guest_end = true;
	for (uint32_t i = 0; i < h->len; i++)
		kit_must(h->data[i] == byte_at(s, false, s->guest_got + i));
	kit_must(h->len == 0 || !s->guest_end);
	s->guest_got += h->len;
	kit_must(s->guest_got - s->told_fwd <= s->guest_alloc);
}

static void guest_reads(struct vk *vk, struct stream *streams)
{
	struct vk_packet h;

	for (uint32_t nr = random_below(40); nr > 0 && vk_take(vk, &h); nr--) {
		guest_reads_one(streams, &h);
		vk_add_rx(vk, 1);
	}
}

static void guest_gives_credit(struct vk *vk, struct stream *s)
{
	struct vk_packet h = vk_packet(VSOCK_OP_CREDIT_UPDATE, s->port, 52);

	s->told_fwd = s->guest_got;
	h.buf_alloc = s->guest_alloc;
	h.fwd_cnt = s->told_fwd;
	if (random_below(4) == 0)
		h.op = VSOCK_OP_CREDIT_REQUEST;
	vk_send_packet(vk, &h, NULL);
}

static bool all_there(const struct stream *streams)
{
	for (unsigned int i = 0; i < NR_STREAMS; i++)
		if (streams[i].host_got < STREAM_END ||
		    streams[i].guest_got < STREAM_END)
			return false;
	return true;
}

static void random_walk(struct vk *vk, struct stream *streams)
{
	while (!all_there(streams)) {
		struct stream *s = &streams[random_below(NR_STREAMS)];

		switch (random_below(6)) {
		case 0:
			guest_writes(vk, s);
			break;
		case 1:
			host_writes(s);
			break;
		case 2:
			host_reads(s);
			break;
		case 3:
			guest_gives_credit(vk, s);
			break;
		default:
			guest_reads(vk, streams);
			break;
		}
	}
}

/*
 * Both directions of several connections in any order: every byte arrives once,
 * in order, and nobody is ever sent more than it has room for. The socket takes
 * parts of packets (D9), buffers wrap, RX buffers may hold a byte of data.
 */
static void test_d9_streams_survive_any_interleaving(void **state)
{
	struct vk *vk = *state;

	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct stream streams[NR_STREAMS] = {{0}};
		int listener = vk_listen(vk, 52, 100);
		char path[VK_PATH_MAX];

		random_state = seed;
		vk->rx_bytes = seed & 1 ? VK_RX : 45 + random_below(500);
		vk_start(vk, seed & 2 ? VIRTIO_F_EVENT_IDX : 0,
			 1 + random_below(VK_SIZE));
		for (unsigned int i = 0; i < NR_STREAMS; i++) {
			struct vk_packet h =
				vk_packet(VSOCK_OP_REQUEST, 1000 + i, 52);

			streams[i].port = 1000 + i;
			streams[i].guest_alloc = 1 + random_below(300000);
			h.buf_alloc = streams[i].guest_alloc;
			vk_send_packet(vk, &h, NULL);
			assert_true(vk_recv(vk, &h));
			assert_int_equal(h.op, VSOCK_OP_RESPONSE);
			streams[i].fd = vk_accept(listener);
		}
		random_walk(vk, streams);
		for (unsigned int i = 0; i < NR_STREAMS; i++) {
			assert_int_equal(shutdown(streams[i].fd, SHUT_WR), 0);
			vk_shutdown(vk, streams[i].port, 52, 2);
		}
		for (unsigned int i = 0; i < NR_STREAMS; i++) {
			while (!streams[i].guest_end) {
				guest_gives_credit(vk, &streams[i]);
				guest_reads(vk, streams);
			}
			while (!streams[i].host_end)
				host_reads(&streams[i]);
			assert_int_equal(streams[i].host_got, STREAM_END);
			assert_int_equal(streams[i].guest_got, STREAM_END);
			(void)close(streams[i].fd);
		}
		(void)close(listener);
		vk_path(vk, 52, path);
		(void)unlink(path);
	}
}

/* A guest that lies about its credit gets what it asked for, or nothing. */
static void lies_about_credit(void **state)
{
	static const struct {
		uint32_t alloc, fwd;
	} lies[] = {{0, 0},          {UINT32_MAX, 0}, {UINT32_MAX, UINT32_MAX},
		    {1, UINT32_MAX}, {0, 1},          {100, 1u << 31},
		    {5, 0},          {4, 0}};
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 5);
	int fd = vk_connect(vk, listener, 1, 52);
	struct vk_packet h;
	unsigned int got = 0;

	vk_write(fd, "x", 1);
	for (size_t i = 0; i < 1000; i++) {
		h = vk_packet(VSOCK_OP_CREDIT_UPDATE, 1, 52);
		h.buf_alloc = lies[i % ARRAY_SIZE(lies)].alloc;
		h.fwd_cnt = lies[i % ARRAY_SIZE(lies)].fwd;
		vk_send_packet(vk, &h, NULL);
		vk_write(fd, "0123456789", 10);
		while (vk_recv(vk, &h)) {
			assert_true(h.op == VSOCK_OP_RW ||
				    h.op == VSOCK_OP_CREDIT_REQUEST);
			got += h.len;
		}
	}
	assert_true(got <= 10001);
	assert_int_equal(vk_dev(vk)->nr_conns, 1);
	(void)close(fd);
	(void)close(listener);
}

/* ---- another thread ---- */

/* Resets and restarts as a vCPU does, by registers only. */
static void *reset_again_and_again(void *arg)
{
	struct vk *vk = arg;

	for (int i = 0; i < 300; i++) {
		kit_must(kit_negotiate(&vk->k, VIRTIO_F_VERSION_1));
		for (unsigned int q = 0; q < VSOCK_NR_QUEUES; q++)
			kit_must(kit_place_queue(&vk->k, q));
		kit_add_status(&vk->k, VIRTIO_STATUS_DRIVER_OK);
		for (int n = i % 7; n > 0; n--)
			kit_kick(&vk->k, VSOCK_TX);
		(void)kit_config(&vk->k, 0, 8);
	}
	kit_write(&vk->k, KIT_STATUS, 0);
	return NULL;
}

/*
 * T6, V15: the guest resets from a vCPU while the VMM thread moves data. Each
 * restart finds the same REQUESTs in the ring.
 */
static void resets_from_a_vcpu(void **state)
{
	struct vk *vk = *state;
	int listener = vk_listen(vk, 52, 1000);
	gpa_t room = kit_alloc(&vk->k, 16 * 44);
	char byte[64] = "some bytes to be moved";
	pthread_t thread;
	int fds[16];

	kit_write(&vk->k, KIT_STATUS, 0);
	vk_pump(vk);
	vk_start(vk, 0, 200);
	for (uint32_t i = 0; i < 16; i++) {
		struct vk_packet h = vk_packet(VSOCK_OP_REQUEST, i, 52);
		struct kit_buf buf = {room + i * 44, 44, false};

		vk_put_header(kit_hva(&vk->k, buf.gpa, 44), &h);
		(void)kit_add(&vk->k, VSOCK_TX, &buf, 1);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = vk_client(vk);
	assert_int_equal(
		pthread_create(&thread, NULL, reset_again_and_again, vk), 0);
	while (pthread_tryjoin_np(thread, NULL) != 0) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

		assert_int_equal(loop_step(&vk->k.loop, 1), 0);
		if (fd >= 0) {
			(void)!send(fd, byte, sizeof(byte), MSG_NOSIGNAL);
			(void)close(fd);
		}
	}
	vk_pump(vk);
	assert_int_equal(vk_dev(vk)->nr_conns, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	(void)close(listener);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_d8_ten_thousand_ports),
		T(connect_storm),
		T(no_descriptors),
		T(no_descriptors_and_a_pause),
		T(one_turn_sends_a_bounded_number_of_bytes),
		T(test_d2_no_rx_buffers),
		T(test_v16_submits_without_reaping),
		T(malformed_packets),
		T(headers_nobody_knows),
		T(operations_out_of_order),
		T(odd_rx_buffers),
		T(test_v6_buffers_outside_ram),
		T(test_d9_streams_survive_any_interleaving),
		T(lies_about_credit),
		T(resets_from_a_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
