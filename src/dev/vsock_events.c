// SPDX-License-Identifier: Apache-2.0
/*
 * vsock_events.c - the event queue of the socket device (theory of operation:
 * vsock.h)
 */
#include "dev/vsock_priv.h"

#define EVENT_TRANSPORT_RESET 0u

void vsock_run_events(struct vsock *v)
{
	struct virtq *q = &v->dev.queue[VSOCK_EVENT];
	unsigned int looks = VSOCK_LOOKS_MAX;
	uint8_t event[4];

	store_le32(event, EVENT_TRANSPORT_RESET);
	while (v->transport_reset) {
		struct virtq_chain chain;
		size_t n;
		int r;

		if (looks-- == 0) {
			virtio_dev_kick(&v->dev);
			return;
		}
		r = virtq_pop(q, v->rx_iov, VIRTQ_MAX_SIZE, &chain);
		if (r < 0)
			vsock_broken(v, "event queue");
		if (r < 0 || (r == 0 && !virtq_enable_kicks(q)))
			return;
		if (r == 0)
			continue;
		n = iov_write(chain.in, chain.nr_in, 0, event, sizeof(event));
		virtq_push(q, chain.head, (uint32_t)n);
		v->transport_reset = n != sizeof(event);
	}
}
