/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock_kit.h - the guest's side of the socket device for tests
 *
 * Packets by the specification's offsets (virtio 1.2, 5.10.6), over
 * virtio_kit.h. The host's side are real Unix sockets in a folder of the test's
 * own.
 */
#pragma once

#include "dev/vsock_priv.h"
#include "virtio/state.h"
#include "virtio_kit.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define VK_CID      3u
#define VK_SIZE     256u
#define VK_RX       4096u
#define VK_PACKET   (44u + 65536u)
#define VK_CREDIT   262144u
#define VK_PATH_MAX 96

struct vk_packet {
	uint64_t src_cid;
	uint64_t dst_cid;
	uint32_t src_port;
	uint32_t dst_port;
	uint32_t len;
	uint16_t type;
	uint16_t op;
	uint32_t flags;
	uint32_t buf_alloc;
	uint32_t fwd_cnt;
	const uint8_t *data;
};

/**
 * struct vk - a driver, and a folder for sockets
 * @rx:		guest address of each RX buffer, by head
 * @tx:		one packet; each is taken before the next is made
 * @rx_bytes:	of a buffer
 */
struct vk {
	struct kit k;
	char dir[VK_PATH_MAX];
	char path[VK_PATH_MAX];
	int listen_fd;
	gpa_t rx[VK_SIZE];
	uint32_t rx_bytes;
	gpa_t tx;
};

static inline struct vsock *vk_dev(struct vk *vk)
{
	return container_of(vk->k.dev, struct vsock, dev);
}

/* The loop until it is quiet; a device that spins does not get away. */
static inline void vk_pump(struct vk *vk)
{
	struct pollfd p = {.fd = vk->k.loop.epoll_fd, .events = POLLIN};
	int rounds = 0;

	while (poll(&p, 1, 0) > 0) {
		kit_must(loop_step(&vk->k.loop, 0) == 0);
		kit_must(rounds++ < 100000);
	}
}

static inline void vk_add_rx(struct vk *vk, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct kit_buf buf = {.len = vk->rx_bytes, .write = true};
		uint16_t head = vk->k.queue[VSOCK_RX].next_desc;

		buf.gpa = vk->rx[head];
		(void)kit_add(&vk->k, VSOCK_RX, &buf, 1);
	}
	kit_kick(&vk->k, VSOCK_RX);
}

static inline void vk_start(struct vk *vk, uint64_t features,
			    unsigned int nr_rx)
{
	kit_start(&vk->k, features, VK_SIZE);
	vk_add_rx(vk, nr_rx);
	vk_pump(vk);
}

static inline struct virtio_dev *vk_new_device(struct vk *vk)
{
	const struct vsock_params params = {
		.mem = &vk->k.mem,
		.loop = &vk->k.loop,
		.guest_cid = VK_CID,
		.opener = &path_direct,
		.uds_path = vk->path,
		.listen_fd = vk->listen_fd,
	};
	struct virtio_dev *dev;
	struct err err = {0};

	kit_must(vsock_new(&dev, &params, &err) == 0);
	return dev;
}

/* The device, not started. */
static inline void vk_open(struct vk *vk)
{
	memset(vk, 0, sizeof(*vk));
	kit_open(&vk->k);
	(void)snprintf(vk->dir, sizeof(vk->dir), "/tmp/volt-vsock-XXXXXX");
	kit_must(mkdtemp(vk->dir) != NULL);
	(void)snprintf(vk->path, sizeof(vk->path), "%.60s/v", vk->dir);
	vk->listen_fd = path_open(&path_direct, PATH_VSOCK, vk->path, NULL);
	kit_must(vk->listen_fd >= 0);
	kit_attach(&vk->k, vk_new_device(vk));
	vk->rx_bytes = VK_RX;
	vk->tx = kit_alloc(&vk->k, VK_PACKET);
	for (unsigned int i = 0; i < VK_SIZE; i++)
		vk->rx[i] = kit_alloc(&vk->k, VK_RX);
}

/* Ready for packets, with all RX buffers there. */
static inline void vk_open_running(struct vk *vk)
{
	vk_open(vk);
	vk_start(vk, VIRTIO_F_EVENT_IDX, VK_SIZE);
}

/*
 * Save, and go on from that in a device that was just made: what a restored VM
 * has, still paused. @edit may change the device's state in between.
 */
static inline void vk_restore(struct vk *vk,
			      void (*edit)(struct vsock_state *state))
{
	struct virtio_state transport = {0};
	struct vsock_state state = {0};
	struct err err = {0};

	virtio_dev_pause(vk->k.dev);
	vk->k.dev->ops->save(vk->k.dev, &state);
	virtio_mmio_save(&vk->k.mmio, &transport);
	vk->k.dev->ops->destroy(vk->k.dev);
	if (edit)
		edit(&state);
	kit_attach(&vk->k, vk_new_device(vk));
	kit_must(vk->k.dev->ops->load(vk->k.dev, &state, &err) == 0);
	kit_must(virtio_mmio_load(&vk->k.mmio, &transport, &err) == 0);
}

static inline void vk_path(struct vk *vk, uint32_t port, char *out)
{
	(void)snprintf(out, VK_PATH_MAX, "%.70s_%u", vk->path, port);
}

static inline void vk_close(struct vk *vk)
{
	char path[VK_PATH_MAX];

	kit_close(&vk->k);
	(void)close(vk->listen_fd);
	(void)unlink(vk->path);
	for (uint32_t port = 50; port < 60; port++) {
		vk_path(vk, port, path);
		(void)unlink(path);
	}
	(void)rmdir(vk->dir);
}

/* ---- packets ---- */

static inline void vk_put_header(uint8_t *p, const struct vk_packet *h)
{
	store_le64(p, h->src_cid);
	store_le64(p + 8, h->dst_cid);
	store_le32(p + 16, h->src_port);
	store_le32(p + 20, h->dst_port);
	store_le32(p + 24, h->len);
	store_le16(p + 28, h->type);
	store_le16(p + 30, h->op);
	store_le32(p + 32, h->flags);
	store_le32(p + 36, h->buf_alloc);
	store_le32(p + 40, h->fwd_cnt);
}

static inline struct vk_packet vk_packet(uint16_t op, uint32_t from,
					 uint32_t to)
{
	return (struct vk_packet){
		.src_cid = VK_CID,
		.dst_cid = 2,
		.src_port = from,
		.dst_port = to,
		.type = 1,
		.op = op,
		.buf_alloc = VK_CREDIT,
	};
}

/* @h with @h->len bytes of @data, not yet looked at by the device. */
static inline void vk_queue(struct vk *vk, const struct vk_packet *h,
			    const void *data)
{
	struct kit_buf buf[2] = {{vk->tx, 44, false},
				 {vk->tx + 44, h->len, false}};

	vk_put_header(kit_hva(&vk->k, vk->tx, 44), h);
	if (data)
		memcpy(kit_hva(&vk->k, vk->tx + 44, h->len), data, h->len);
	(void)kit_add(&vk->k, VSOCK_TX, buf, h->len > 0 ? 2 : 1);
	kit_kick(&vk->k, VSOCK_TX);
}

static inline void vk_send_packet(struct vk *vk, const struct vk_packet *h,
				  const void *data)
{
	struct kit_used used;

	vk_queue(vk, h, data);
	vk_pump(vk);
	kit_must(kit_used(&vk->k, VSOCK_TX, &used));
	kit_must(used.len == 0);
}

static inline void vk_send(struct vk *vk, uint16_t op, uint32_t from,
			   uint32_t to)
{
	const struct vk_packet h = vk_packet(op, from, to);

	vk_send_packet(vk, &h, NULL);
}

static inline void vk_shutdown(struct vk *vk, uint32_t from, uint32_t to,
			       uint32_t flags)
{
	struct vk_packet h = vk_packet(VSOCK_OP_SHUTDOWN, from, to);

	h.flags = flags;
	vk_send_packet(vk, &h, NULL);
}

static inline void vk_send_data(struct vk *vk, uint32_t from, uint32_t to,
				const void *data, uint32_t len)
{
	struct vk_packet h = vk_packet(VSOCK_OP_RW, from, to);

	h.len = len;
	vk_send_packet(vk, &h, data);
}

/* The next packet from the device, or zeros; its buffer is not given back. */
static inline bool vk_take(struct vk *vk, struct vk_packet *h)
{
	struct kit_used used;
	const uint8_t *p;

	*h = (struct vk_packet){.op = 0};
	vk_pump(vk);
	if (!kit_used(&vk->k, VSOCK_RX, &used))
		return false;
	kit_must(used.head < VK_SIZE && used.len >= 44 &&
		 used.len <= vk->rx_bytes);
	p = kit_hva(&vk->k, vk->rx[used.head], used.len);
	*h = (struct vk_packet){
		.src_cid = load_le64(p),
		.dst_cid = load_le64(p + 8),
		.src_port = load_le32(p + 16),
		.dst_port = load_le32(p + 20),
		.len = load_le32(p + 24),
		.type = load_le16(p + 28),
		.op = load_le16(p + 30),
		.flags = load_le32(p + 32),
		.buf_alloc = load_le32(p + 36),
		.fwd_cnt = load_le32(p + 40),
	};
	kit_must(h->src_cid == 2 && h->dst_cid == VK_CID);
	kit_must(used.len == 44 + h->len);
	h->data = p + 44; /* until the device reuses the buffer */
	return true;
}

/* And its buffer goes back. */
static inline bool vk_recv(struct vk *vk, struct vk_packet *h)
{
	if (!vk_take(vk, h))
		return false;
	vk_add_rx(vk, 1);
	return true;
}

/* ---- the host ---- */

static inline int vk_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	kit_must(fd >= 0);
	return fd;
}

static inline struct sockaddr_un vk_address(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	return addr;
}

/* A service of the host at @port. */
static inline int vk_listen(struct vk *vk, uint32_t port, int backlog)
{
	char path[VK_PATH_MAX];
	struct sockaddr_un addr;
	int fd = vk_socket();

	vk_path(vk, port, path);
	addr = vk_address(path);
	kit_must(bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	kit_must(listen(fd, backlog) == 0);
	return fd;
}

static inline int vk_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	kit_must(fd >= 0);
	return fd;
}

/* A client of the host, connected to the device's socket. */
static inline int vk_client(struct vk *vk)
{
	struct sockaddr_un addr = vk_address(vk->path);
	int fd = vk_socket();

	kit_must(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	return fd;
}

static inline void vk_write(int fd, const void *data, size_t len)
{
	kit_must(send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* True when the other end of @fd has closed, and nothing is left to read. */
static inline bool vk_at_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* A whole connection of the guest from @from to @to; its end on the host. */
static inline int vk_connect(struct vk *vk, int listener, uint32_t from,
			     uint32_t to)
{
	struct vk_packet h;

	vk_send(vk, VSOCK_OP_REQUEST, from, to);
	kit_must(vk_recv(vk, &h) && h.op == VSOCK_OP_RESPONSE);
	kit_must(h.src_port == to && h.dst_port == from);
	return vk_accept(listener);
}

/* A whole connection of the host to the guest's @port; our port in *@port. */
static inline int vk_call(struct vk *vk, uint32_t guest_port, uint32_t *port)
{
	struct vk_packet h;
	char text[32] = {0};
	char want[32];
	int fd = vk_client(vk);
	int n = snprintf(text, sizeof(text), "CONNECT %u\n", guest_port);

	vk_write(fd, text, (size_t)n);
	kit_must(vk_recv(vk, &h) && h.op == VSOCK_OP_REQUEST);
	kit_must(h.dst_port == guest_port);
	*port = h.src_port;
	vk_send(vk, VSOCK_OP_RESPONSE, guest_port, *port);
	n = snprintf(want, sizeof(want), "OK %u\n", *port);
	kit_must(recv(fd, text, sizeof(text), 0) == n);
	kit_must(memcmp(text, want, (size_t)n) == 0);
	return fd;
}
