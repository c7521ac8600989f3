/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devices.c - guest: every virtio device that there is, started and at rest
 *
 * Each gets its queues with all the features that it offers, each queue that
 * the device fills gets buffers, and one request is made to those that answer
 * by themselves. Then `ready`, and after a byte of input the same requests
 * again: a clone's devices go on with the rings as they were. If the byte is
 * an `r`, from `ready` on again; if it is an `i`, it tells who it is, as the
 * devices have it: address, CID, sectors, and how often each has changed, the
 * VM generation ID, and eight random bytes.
 */
#include "blk.h"

enum { PAGE = 4096, SIZE = 16, RX_BUFFERS = 3 };

static struct virtio *net, *blk, *rng, *balloon, *vsock;
static volatile struct blk_request *request;
static uint64_t data;

static struct virtio *start(uint32_t id, const char *name)
{
	struct virtio *v = virtio_find(id, 0);

	check(v && virtio_start(v, ~0ULL, SIZE), name);
	return v;
}

/* Buffers that the device may write when it has something to say. */
static void offer(struct virtio *v, unsigned int queue)
{
	for (unsigned int i = 0; i < RX_BUFFERS; i++) {
		struct virtio_buf buf = {virtio_alloc(PAGE), PAGE, true};

		virtq_add(&v->queue[queue], &buf, 1);
	}
	virtq_kick(&v->queue[queue]);
}

static bool ask(struct virtio *v, const struct virtio_buf *bufs,
		unsigned int nr)
{
	struct virtq *q = &v->queue[0];
	struct virtq_used used;
	uint16_t head = virtq_add(q, bufs, nr);

	virtq_kick(q);
	return virtq_wait(q, &used) && used.head == head;
}

static void requests(void)
{
	const struct virtio_buf page = {data, PAGE, true};
	const struct virtio_buf numbers = {data, 4, false};
	struct virtio_buf bufs[3];

	blk_fill(request, BLK_IN, 1);
	check(ask(blk, bufs, blk_chain(bufs, request, data, SECTOR, true)) &&
		      request->status == BLK_OK,
	      "block-read");
	check(ask(rng, &page, 1), "random-bytes");
	write32(data, (uint32_t)(virtio_alloc(PAGE) / PAGE));
	check(ask(balloon, &numbers, 1), "a-page-for-the-balloon");
}

static uint32_t generation(const struct virtio *v)
{
	return virtio_read(v, VIRTIO_R_CONFIG_GENERATION);
}

enum { GENERATION_ID = 0xe0000 };

static void identity(void)
{
	const struct virtio_buf page = {data, PAGE, true};
	const uint64_t mac = net->base + VIRTIO_R_CONFIG;

	print("mac %x:%x:%x:%x:%x:%x", read8(mac), read8(mac + 1),
	      read8(mac + 2), read8(mac + 3), read8(mac + 4), read8(mac + 5));
	print(" cid %u sectors %u changed %u %u %u",
	      virtio_read(vsock, VIRTIO_R_CONFIG),
	      virtio_read(blk, VIRTIO_R_CONFIG), generation(net),
	      generation(vsock), generation(blk));
	(void)ask(rng, &page, 1);
	print(" genid %lx random %lx\n", read64(GENERATION_ID), read64(data));
}

static char next_byte(void)
{
	while (!(in8(COM1 + 5) & 1))
		cpu_pause();
	return (char)in8(COM1);
}

void guest_main(void)
{
	char byte;

	net = start(VIRTIO_NET, "net");
	blk = start(VIRTIO_BLOCK, "block");
	rng = start(VIRTIO_ENTROPY, "entropy");
	balloon = start(VIRTIO_BALLOON, "balloon");
	vsock = start(VIRTIO_VSOCK, "vsock");
	if (!net || !blk || !rng || !balloon || !vsock)
		return;
	request = (volatile struct blk_request *)virtio_alloc(PAGE);
	data = virtio_alloc(PAGE);
	offer(net, 0);
	offer(vsock, 0);
	offer(vsock, 2);
	do {
		requests();
		print("ready\n");
		while ((byte = next_byte()) == 'i')
			identity();
	} while (byte == 'r');
	requests();
}
