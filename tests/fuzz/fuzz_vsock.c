// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_vsock.c - the socket device between a hostile guest and a hostile host
 *
 * The input is a script of what both do: packets of any kind, RX buffers of any
 * shape, CONNECT lines, bytes, ends, resets, pauses, deadlines. After each step
 * the loop becomes quiet (vsock_kit.h ends a device that spins), and what the
 * guest gets is well-formed.
 */
#include "../unit/vsock_kit.h"

#include "base/log.h"
#include "dev_fuzz.h"

#define FDS_MAX   16u
#define STEPS_MAX 200u

struct world {
	struct vk vk;
	int listener;
	int fd[FDS_MAX];
	unsigned int nr_fds;
	gpa_t room;
};

static uint32_t take32(struct fuzz_script *s)
{
	static const uint32_t values[] = {
		0,     1,     44,         4096,       65535,
		65536, 65537, 0x7fffffff, 0x80000000, UINT32_MAX};
	uint8_t first = fuzz_byte(s);

	if (first < ARRAY_SIZE(values))
		return values[first];
	return first * 257u + fuzz_byte(s);
}

static uint32_t some_port(struct fuzz_script *s)
{
	uint8_t b = fuzz_byte(s);

	return b & 0x80 ? VSOCK_FIRST_PORT + (b & 3u) : 50u + (b & 3u);
}

static struct vk_packet some_packet(struct fuzz_script *s)
{
	struct vk_packet h =
		vk_packet(fuzz_byte(s) % 10, some_port(s), some_port(s));
	uint8_t odd = fuzz_byte(s);

	h.buf_alloc = take32(s);
	h.fwd_cnt = take32(s);
	h.flags = fuzz_byte(s);
	if (odd & 1)
		h.type = fuzz_byte(s);
	if (odd & 2)
		h.dst_cid = fuzz_byte(s);
	if (odd & 4)
		h.src_cid = fuzz_byte(s);
	if (odd & 8)
		h.len = take32(s);
	return h;
}

/* A packet in a chain of up to four buffers, of any kind. */
static void send_packet(struct world *w, struct fuzz_script *s)
{
	struct vk_packet h = some_packet(s);
	struct kit_buf buf[4];
	unsigned int nr = 1 + fuzz_byte(s) % 4;
	uint32_t at = 0;
	struct kit_used used;

	if (h.len == 0)
		h.len = take32(s) % 65537;
	vk_put_header(kit_hva(&w->vk.k, w->room, 44), &h);
	for (unsigned int i = 0; i < nr; i++) {
		uint32_t len = i + 1 == nr ? 44 + h.len - at : fuzz_byte(s);

		if (len > VK_PACKET)
			len = VK_PACKET;
		buf[i] = (struct kit_buf){w->room + at, len, false};
		at += len;
	}
	if (fuzz_byte(s) == 1)
		buf[nr - 1].write = true;
	(void)kit_add(&w->vk.k, VSOCK_TX, buf, nr);
	kit_kick(&w->vk.k, VSOCK_TX);
	vk_pump(&w->vk);
	while (kit_used(&w->vk.k, VSOCK_TX, &used))
		;
}

static void add_rx(struct world *w, struct fuzz_script *s)
{
	uint8_t kind = fuzz_byte(s);

	w->vk.rx_bytes = kind & 0x80 ? VK_RX : kind;
	vk_add_rx(&w->vk, 1 + fuzz_byte(s) % 8);
	w->vk.rx_bytes = VK_RX;
}

/* What the device sends is well-formed; a REQUEST may be accepted. */
static void read_rx(struct world *w, struct fuzz_script *s)
{
	struct kit_used used;

	while (kit_used(&w->vk.k, VSOCK_RX, &used)) {
		const uint8_t *p;

		kit_must(used.head < VK_SIZE && used.len <= VK_RX);
		if (used.len == 0)
			continue; /* it was too small */
		kit_must(used.len >= 44);
		p = kit_hva(&w->vk.k, w->vk.rx[used.head], used.len);
		kit_must(load_le64(p) == 2 && load_le64(p + 8) == VK_CID);
		kit_must(load_le32(p + 24) == used.len - 44);
		kit_must(load_le16(p + 30) >= 1 && load_le16(p + 30) <= 7);
		if (load_le16(p + 30) == VSOCK_OP_REQUEST && fuzz_byte(s) & 1) {
			const struct vk_packet h =
				vk_packet(VSOCK_OP_RESPONSE, load_le32(p + 20),
					  load_le32(p + 16));

			vk_queue(&w->vk, &h, NULL);
		}
	}
}

static void add_fd(struct world *w, int fd)
{
	if (fd >= 0 && w->nr_fds == FDS_MAX)
		(void)close(w->fd[--w->nr_fds]);
	if (fd >= 0)
		w->fd[w->nr_fds++] = fd;
}

static void host_acts(struct world *w, struct fuzz_script *s)
{
	static uint8_t block[65536];
	uint8_t act = fuzz_byte(s);
	unsigned int i = w->nr_fds ? fuzz_byte(s) % w->nr_fds : 0;

	if (w->nr_fds == 0)
		return;
	switch (act % 4) {
	case 0:
		(void)!send(w->fd[i], block, take32(s) % sizeof(block),
			    MSG_NOSIGNAL);
		break;
	case 1:
		(void)!recv(w->fd[i], block, 1 + take32(s) % 65535, 0);
		break;
	case 2:
		(void)shutdown(w->fd[i], fuzz_byte(s) % 3);
		break;
	default:
		(void)close(w->fd[i]);
		w->fd[i] = w->fd[--w->nr_fds];
		break;
	}
}

static void host_calls(struct world *w, struct fuzz_script *s)
{
	int fd = vk_client(&w->vk);
	unsigned int port = some_port(s);
	char line[32];
	int n = snprintf(line, sizeof(line), "CONNECT %u\n", port);

	for (uint8_t spoil = fuzz_byte(s); spoil & 1; spoil >>= 1)
		line[fuzz_byte(s) % n] = (char)fuzz_byte(s);
	(void)!send(fd, line, (size_t)n, MSG_NOSIGNAL);
	add_fd(w, fd);
}

static void expire_one(struct world *w)
{
	struct vsock *v = vk_dev(&w->vk);
	struct list *at = v->conns.next;

	if (at == &v->conns || !virtio_dev_running(&v->dev))
		return;
	virtio_dev_enter(&v->dev);
	vsock_conn_expire(container_of(at, struct vsock_conn, all));
	vsock_leave(v);
}

static void restart(struct world *w, struct fuzz_script *s)
{
	struct vsock_state state = {.guest_cid = VK_CID};
	struct err err = {0};

	if (fuzz_byte(s) & 1)
		kit_must(w->vk.k.dev->ops->load(w->vk.k.dev, &state, &err) ==
			 0);
	vk_start(&w->vk, fuzz_byte(s) & 1 ? VIRTIO_F_EVENT_IDX : 0, 4);
}

static void step(struct world *w, struct fuzz_script *s)
{
	switch (fuzz_byte(s) % 12) {
	case 0:
	case 1:
	case 2:
		send_packet(w, s);
		break;
	case 3:
		add_rx(w, s);
		break;
	case 4:
		read_rx(w, s);
		break;
	case 5:
		host_calls(w, s);
		break;
	case 6:
		add_fd(w, accept4(w->listener, NULL, NULL, SOCK_NONBLOCK));
		break;
	case 7:
	case 8:
		host_acts(w, s);
		break;
	case 9:
		expire_one(w);
		break;
	case 10:
		virtio_dev_pause(w->vk.k.dev);
		host_acts(w, s);
		vk_pump(&w->vk);
		virtio_dev_resume(w->vk.k.dev);
		break;
	default:
		restart(w, s);
		break;
	}
	vk_pump(&w->vk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {data, size};
	struct world w = {.nr_fds = 0};
	struct vsock *v;
	unsigned int nr = 0;

	log_settings.level = LOG_OFF;
	vk_open(&w.vk);
	w.room = kit_alloc(&w.vk.k, VK_PACKET);
	(void)kit_alloc(&w.vk.k, 65536);
	w.listener = vk_listen(&w.vk, 52, 4);
	vk_start(&w.vk, VIRTIO_F_EVENT_IDX, 4);
	v = vk_dev(&w.vk);
	for (unsigned int i = 0; i < STEPS_MAX && s.left > 0; i++)
		step(&w, &s);
	for (struct list *at = v->conns.next; at != &v->conns; at = at->next)
		nr++;
	kit_must(nr == v->nr_conns);
	while (w.nr_fds > 0)
		(void)close(w.fd[--w.nr_fds]);
	(void)close(w.listener);
	vk_close(&w.vk);
	return 0;
}
