// SPDX-License-Identifier: Apache-2.0
/*
 * vsock_events.c - the event queue of the socket device, and what waits for it
 * (theory of operation: vsock.h)
 *
 * A driver gives the buffer of an event back to the queue once it has done what
 * the event says. So the available index tells that it has taken the reset:
 * @event_mark is what that index will be then. The index lies in guest memory
 * and goes into a snapshot with it, and the mark with the device: a VM that is
 * saved again before its guest took a reset owes it two.
 */
#include "dev/vsock_priv.h"

#define EVENT_TRANSPORT_RESET 0u

static struct virtq *event_queue(struct vsock *v)
{
	return &v->dev.queue[VSOCK_EVENT];
}

/* Events whose buffers the guest has not given back; none if it talks rubbish.
 */
static uint16_t events_out(struct vsock *v)
{
	const struct virtq *q = event_queue(v);
	uint16_t nr = (uint16_t)(v->event_mark - virtq_avail_index(q));

	return nr <= q->size ? nr : 0;
}

/* Before the guest can see the event. */
static void move_mark(struct vsock *v)
{
	uint16_t out = events_out(v);

	v->event_mark = (uint16_t)(virtq_avail_index(event_queue(v)) + out + 1);
}

static bool reset_taken(struct vsock *v)
{
	if (v->transport_reset)
		return false;
	virtq_watch(event_queue(v));
	return events_out(v) == 0;
}

static void end_hold(struct vsock *v)
{
	struct list *next;

	v->holding = false;
	for (struct list *at = v->conns.next; at != &v->conns; at = next) {
		struct vsock_conn *c = container_of(at, struct vsock_conn, all);

		next = at->next;
		if (c->state != VSOCK_DIALLING)
			continue;
		vsock_conn_deadline(c, VSOCK_ANSWER_NS);
		vsock_host_redial(c);
	}
	vsock_host_listen(v);
}

void vsock_check_hold(struct vsock *v, uint64_t now)
{
	if (v->holding && (now >= v->hold_until_ns || reset_taken(v)))
		end_hold(v);
}

void vsock_run_events(struct vsock *v)
{
	struct virtq *q = event_queue(v);
	unsigned int looks = VSOCK_LOOKS_MAX;
	uint8_t event[4];

	store_le32(event, EVENT_TRANSPORT_RESET);
	while (v->transport_reset) {
		struct virtq_chain chain;
		size_t n;
		int r;

		if (looks-- == 0) {
			virtio_dev_schedule(&v->dev);
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
		if (v->transport_reset)
			metric_inc(&v->counters.ev_queue_event_fails);
		else
			move_mark(v);
	}
	vsock_check_hold(v, 0);
}
