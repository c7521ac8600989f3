/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netbench.c - guest: many frames one way, for bench/lib/network.py
 *
 * Command line: `mode=send` or `mode=receive`, `count=` frames, `size=` bytes
 * of each that is sent. It prints "go" before the first and "end" after the
 * last frame, and does nothing else between the two.
 */
#include "net.h"

enum {
	SIZE = 256,
	BATCH = 32,
	BUFFER = 2048,
};

static struct virtio *net;
static uint64_t memory;

/* Frames of an unknown type to everybody: a host drops them. */
static void make_frame(uint64_t addr)
{
	uint8_t *frame = (uint8_t *)addr + NET_HDR;

	memset(frame, 0xff, 6);
	memset(frame + 6, 0x02, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

static void send(uint64_t count, uint32_t size)
{
	struct virtq *q = &net->queue[NET_TX];
	struct virtq_used used;
	uint64_t sent = 0, done = 0;
	unsigned int i;

	make_frame(memory);
	for (i = 0; i < SIZE; i++)
		virtq_put(q->desc, i, memory, NET_HDR + size, 0, 0);
	print("go\n");
	while (done < count) {
		for (i = 0; i < BATCH && sent < count && sent - done < SIZE;
		     i++)
			virtq_offer(q, (uint16_t)(sent++ % SIZE));
		virtq_kick(q);
		do {
			if (!virtq_wait(q, &used))
				return;
			done++;
		} while (read16(q->used + 2) != q->used_idx);
	}
}

static void receive(uint64_t count)
{
	struct virtq *q = &net->queue[NET_RX];
	struct virtq_used used;
	uint64_t got = 0;
	unsigned int i;

	for (i = 0; i < SIZE; i++) {
		virtq_put(q->desc, i, memory + i * BUFFER, BUFFER, VIRTQ_WRITE,
			  0);
		virtq_offer(q, (uint16_t)i);
	}
	virtq_kick(q);
	print("go\n");
	while (got < count && virtq_wait(q, &used)) {
		virtq_offer(q, (uint16_t)used.head);
		if (++got % BATCH == 0)
			virtq_kick(q);
	}
}

void guest_main(void)
{
	uint64_t count = cmdline_num("count", 1000);

	net = virtio_find(VIRTIO_NET, 0);
	check(net, "found");
	if (!net)
		return;
	memory = virtio_alloc(SIZE * BUFFER);
	check(virtio_start(net, NET_F_MRG_RXBUF, SIZE), "start");
	/* Nobody takes interrupts here; used rings are looked at. */
	write16(net->queue[NET_TX].avail, 1);
	write16(net->queue[NET_RX].avail, 1);
	if (cmdline_is("mode", "send"))
		send(count, (uint32_t)cmdline_num("size", 1514));
	else
		receive(count);
	print("end\n");
}
