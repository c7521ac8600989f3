// SPDX-License-Identifier: Apache-2.0
/*
 * vsock.c - virtio socket device: the queues (theory of operation: vsock.h)
 */
#include "dev/vsock_priv.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#define QUEUE_MAX 256u
#define TX_BUDGET 256u /* packets in one go; then others have their turn */

static struct vsock *to_vsock(struct virtio_dev *dev)
{
	return container_of(dev, struct vsock, dev);
}

void vsock_broken(struct vsock *v, const char *why)
{
	if (v->dev.active)
		virtio_dev_broken(&v->dev, why);
}

/* ---- to the guest ---- */

/* An RX buffer that holds nothing but a header is of no use to anybody. */
static bool fit_for_rx(const struct virtq_chain *chain)
{
	return chain->nr_out == 0 && chain->in_bytes > VSOCK_HEADER_BYTES;
}

/* The next RX buffer. False when there is none, and its kick is asked for. */
static bool rx_pop(struct vsock *v, struct virtq_chain *chain)
{
	struct virtq *q = vsock_rx(v);
	unsigned int looks = VSOCK_LOOKS_MAX;
	int r;

	do {
		while ((r = virtq_pop(q, v->rx_iov, VIRTQ_MAX_SIZE, chain)) >
		       0) {
			if (fit_for_rx(chain))
				return true;
			metric_inc(&v->counters.rx_queue_event_fails);
			virtq_push(q, chain->head, 0);
		}
	} while (r == 0 && virtq_enable_kicks(q) && --looks > 0);
	if (r < 0)
		vsock_broken(v, "RX queue");
	else if (looks == 0)
		virtio_dev_schedule(&v->dev); /* no kick will come for these */
	v->starved = true;
	return false;
}

bool vsock_send(struct vsock *v, const struct vsock_header *header)
{
	struct virtq_chain chain;

	if (!virtio_dev_running(&v->dev) || v->starved || !rx_pop(v, &chain))
		return false;
	(void)iov_write(chain.in, chain.nr_in, 0, header, sizeof(*header));
	virtq_push(vsock_rx(v), chain.head, sizeof(*header));
	metric_inc(&v->counters.rx_packets_count);
	return true;
}

/**
 * struct batch - RX buffers for one readv
 * @mark:	the queue's next_avail before the first of them
 */
struct batch {
	uint16_t mark;
	unsigned int nr;
	unsigned int nr_iov;
	unsigned int nr_data;
	uint32_t bytes;
};

static void batch_add(struct vsock *v, struct batch *b,
		      const struct virtq_chain *chain, uint32_t max)
{
	uint32_t space = chain->in_bytes - VSOCK_HEADER_BYTES;

	if (space > VSOCK_PACKET_MAX)
		space = VSOCK_PACKET_MAX;
	if (space > max - b->bytes)
		space = max - b->bytes;
	b->nr_data += (unsigned int)iov_slice(
		chain->in, chain->nr_in, VSOCK_HEADER_BYTES, space,
		v->data + b->nr_data, ARRAY_SIZE(v->data) - b->nr_data);
	v->chain[b->nr++] = (struct vsock_rx_chain){
		.head = chain->head,
		.after = vsock_rx(v)->next_avail,
		.nr_iov = chain->nr_in,
		.space = space,
		.iov = chain->in,
	};
	b->nr_iov += chain->nr_in;
	b->bytes += space;
}

static void batch_collect(struct vsock *v, struct batch *b, unsigned int nr,
			  uint32_t max)
{
	struct virtq *q = vsock_rx(v);
	struct virtq_chain chain;

	*b = (struct batch){.nr = 0};
	if (v->starved || !rx_pop(v, &chain))
		return;
	b->mark = (uint16_t)(q->next_avail - 1);
	batch_add(v, b, &chain, max);
	while (b->nr < nr && b->bytes < max && b->nr_iov <= VIRTQ_MAX_SIZE &&
	       virtq_has_work(q)) {
		uint16_t before = q->next_avail;

		if (virtq_pop(q, v->rx_iov + b->nr_iov, VIRTQ_MAX_SIZE,
			      &chain) <= 0)
			break;
		if (!fit_for_rx(&chain)) {
			virtq_rewind(q, before, 1);
			break;
		}
		batch_add(v, b, &chain, max);
	}
}

/* The first @n bytes of the batch are there: make packets of them. */
static void batch_deliver(struct vsock_conn *c, const struct batch *b,
			  uint32_t n)
{
	struct vsock *v = c->vsock;
	struct vsock_header header;
	unsigned int i;

	for (i = 0; i < b->nr && n > 0; i++) {
		const struct vsock_rx_chain *chain = &v->chain[i];
		uint32_t len = n < chain->space ? n : chain->space;

		vsock_conn_header(c, VSOCK_OP_RW, &header);
		header.len = len;
		(void)iov_write(chain->iov, chain->nr_iov, 0, &header,
				sizeof(header));
		virtq_push(vsock_rx(v), chain->head, VSOCK_HEADER_BYTES + len);
		n -= len;
	}
	virtq_rewind(vsock_rx(v), v->chain[i - 1].after, b->nr - i);
	c->batch = (uint8_t)(i < b->nr ? i + 1 : 2 * i);
	if (c->batch > VSOCK_BATCH_MAX)
		c->batch = VSOCK_BATCH_MAX;
	metric_add(&v->counters.rx_packets_count, i);
}

ssize_t vsock_send_data(struct vsock_conn *c, uint32_t max)
{
	struct vsock *v = c->vsock;
	struct batch b;
	ssize_t n;

	if (!virtio_dev_running(&v->dev))
		return -ENOBUFS;
	if (max > VSOCK_ROUND_BYTES)
		max = VSOCK_ROUND_BYTES;
	batch_collect(v, &b, c->batch, max);
	if (b.nr == 0)
		return -ENOBUFS;
	do
		n = fd_preadv(c->src.fd, v->data, (int)b.nr_data, -1);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		batch_deliver(c, &b, (uint32_t)n);
		metric_add(&v->counters.rx_bytes_count, (uint64_t)n);
		return n;
	}
	n = n < 0 ? -errno : 0;
	virtq_rewind(vsock_rx(v), b.mark, b.nr);
	return n;
}

/* ---- packets of no connection ---- */

static void send_resets(struct vsock *v)
{
	while (v->nr_resets > 0) {
		const struct vsock_reset *reset = &v->resets[v->first_reset];
		const struct vsock_header header = {
			.src_cid = VSOCK_CID_HOST,
			.dst_cid = v->cid,
			.src_port = reset->host_port,
			.dst_port = reset->guest_port,
			.type = reset->type,
			.op = VSOCK_OP_RST,
		};

		if (!vsock_send(v, &header))
			return;
		v->first_reset = (v->first_reset + 1) % VSOCK_RESETS_MAX;
		v->nr_resets--;
	}
}

/* The caller saw to it that there is room. */
static void vsock_refuse(struct vsock *v, const struct vsock_header *packet)
{
	unsigned int at = (v->first_reset + v->nr_resets) % VSOCK_RESETS_MAX;

	v->resets[at] = (struct vsock_reset){
		.guest_port = packet->src_port,
		.host_port = packet->dst_port,
		.type = packet->type,
	};
	v->nr_resets++;
	send_resets(v);
}

/* ---- from the guest ---- */

static void vsock_receive(struct vsock *v, const struct vsock_header *header,
			  const struct vsock_payload *payload)
{
	struct vsock_conn *c;

	if (header->dst_cid != VSOCK_CID_HOST || header->src_cid != v->cid)
		return; /* to nobody, or from somebody else */
	if (header->type != VSOCK_TYPE_STREAM) {
		/* 5.10.6.4: RST for what we do not know. */
		if (header->op != VSOCK_OP_RST)
			vsock_refuse(v, header);
		return;
	}
	c = vsock_conn_find(v, header->src_port, header->dst_port);
	if (c)
		vsock_conn_receive(c, header, payload);
	else if (header->op == VSOCK_OP_REQUEST) {
		if (!vsock_host_dial(v, header))
			vsock_refuse(v, header);
	} else if (header->op != VSOCK_OP_RST)
		vsock_refuse(v, header);
}

static void take_packet(struct vsock *v, const struct virtq_chain *chain)
{
	struct vsock_header header;
	struct vsock_payload payload = {chain->out, chain->nr_out, 0};

	metric_inc(&v->counters.tx_packets_count);
	if (chain->nr_in > 0 ||
	    iov_read(chain->out, chain->nr_out, 0, &header, sizeof(header)) !=
		    sizeof(header) ||
	    header.len > chain->out_bytes - VSOCK_HEADER_BYTES ||
	    header.len > VSOCK_PACKET_MAX) {
		metric_inc(&v->counters.tx_queue_event_fails);
		log_guest(LOG_WARN, "%s: a malformed packet was dropped",
			  v->dev.name);
		return;
	}
	payload.len = header.len;
	vsock_receive(v, &header, &payload);
}

static void run_tx(struct vsock *v)
{
	struct virtq *q = &v->dev.queue[VSOCK_TX];
	unsigned int budget = TX_BUDGET;
	uint64_t bytes = 0;

	virtq_disable_kicks(q);
	/* Without room for an RST nothing is taken; an RX kick goes on. */
	while (virtio_dev_running(&v->dev) && v->nr_resets < VSOCK_RESETS_MAX) {
		struct virtq_chain chain;
		int r;

		if (budget-- == 0 || bytes >= VSOCK_ROUND_BYTES) {
			virtio_dev_schedule(&v->dev);
			return;
		}
		r = virtq_pop(q, v->tx_iov, VIRTQ_MAX_SIZE, &chain);
		if (r < 0)
			vsock_broken(v, "TX queue");
		if (r < 0 || (r == 0 && !virtq_enable_kicks(q)))
			return;
		if (r == 0)
			continue;
		bytes += chain.out_bytes;
		take_packet(v, &chain);
		virtq_push(q, chain.head, 0);
	}
}

/* There are RX buffers again. */
static void run_rx(struct vsock *v)
{
	struct virtq *q = vsock_rx(v);

	if (!v->starved || !virtq_has_work(q))
		return;
	metric_inc(&v->counters.rx_queue_event_count);
	virtq_disable_kicks(q);
	v->starved = false;
	send_resets(v);
	while (!v->starved && !list_empty(&v->waiting)) {
		struct vsock_conn *c = container_of(v->waiting.next,
						    struct vsock_conn, waiting);

		list_del(&c->waiting);
		vsock_conn_settle(c);
	}
}

/* ---- the device ---- */

static struct vsock_conn *first_conn(struct vsock *v)
{
	return container_of(v->conns.next, struct vsock_conn, all);
}

static void drop_all(struct vsock *v)
{
	while (!list_empty(&v->conns))
		vsock_conn_free(first_conn(v));
	loop_del(v->dev.loop, &v->listener);
	v->nr_resets = 0;
	v->starved = false;
	v->accept_later = false;
	v->stale = false;
}

void vsock_leave(struct vsock *v)
{
	for (unsigned int i = 0; i < VSOCK_NR_QUEUES; i++)
		virtio_dev_publish(&v->dev, &v->dev.queue[i]);
	virtio_dev_leave(&v->dev);
}

/* The guest runs: from here on it is waited for so long. */
static void limit_hold(struct vsock *v)
{
	if (v->hold_until_ns == UINT64_MAX)
		v->hold_until_ns = now_ns() + VSOCK_HOLD_NS;
	vsock_start_tick(v);
}

static void vsock_kick(struct virtio_dev *dev)
{
	struct vsock *v = to_vsock(dev);

	if (v->stale)
		drop_all(v);
	/* A driver that was not there yet as the VM was saved. */
	if (v->holding)
		limit_hold(v);
	run_rx(v);
	vsock_run_events(v);
	if (virtq_has_work(&dev->queue[VSOCK_TX]))
		metric_inc(&v->counters.tx_queue_event_count);
	run_tx(v);
	for (unsigned int i = 0; i < VSOCK_NR_QUEUES; i++)
		virtio_dev_publish(dev, &dev->queue[i]);
	if (virtio_dev_running(dev))
		vsock_host_listen(v);
}

static int dev_vsock_reset(struct virtio_dev *dev)
{
	struct vsock *v = to_vsock(dev);

	v->stale = true;
	v->transport_reset = false;
	v->holding = false;
	v->event_mark = 0;
	return 0;
}

static void stopped(struct virtio_dev *dev)
{
	drop_all(to_vsock(dev));
}

static void vsock_pausing(struct virtio_dev *dev)
{
	to_vsock(dev)->paused_ns = now_ns();
}

/*
 * What a callback found paused was taken off the loop. Deadlines move by the
 * time of the pause: neither end could do anything about them meanwhile.
 */
static void vsock_resumed(struct virtio_dev *dev)
{
	struct vsock *v = to_vsock(dev);
	uint64_t pause_ns = v->paused_ns ? now_ns() - v->paused_ns : 0;
	struct list *next;

	v->paused_ns = 0;
	if (v->stale)
		drop_all(v);
	if (v->holding) {
		if (v->hold_until_ns != UINT64_MAX)
			v->hold_until_ns += pause_ns;
		limit_hold(v);
	}
	for (struct list *at = v->conns.next; at != &v->conns; at = next) {
		struct vsock_conn *c = container_of(at, struct vsock_conn, all);

		next = at->next;
		if (c->deadline_ns) {
			c->deadline_ns += pause_ns;
			vsock_start_tick(v);
		}
		vsock_conn_settle(c);
	}
	vsock_host_listen(v);
}

static void vsock_destroy(struct virtio_dev *dev)
{
	struct vsock *v = to_vsock(dev);

	drop_all(v);
	timer_stop(&v->tick);
	virtio_dev_fini(dev);
	free(v->uds_path);
	free(v);
}

/* ---- deadlines ---- */

void vsock_start_tick(struct vsock *v)
{
	if (v->ticking)
		return;
	v->ticking = true;
	timer_set(&v->tick, VSOCK_TICK_NS, VSOCK_TICK_NS);
}

static void on_tick(struct timer *timer)
{
	struct vsock *v = container_of(timer, struct vsock, tick);
	uint64_t now = now_ns();
	bool more = false;
	struct list *next;

	virtio_dev_enter(&v->dev);
	if (virtio_dev_running(&v->dev))
		vsock_check_hold(v, now);
	for (struct list *at = v->conns.next;
	     at != &v->conns && virtio_dev_running(&v->dev) && !v->stale;
	     at = next) {
		struct vsock_conn *c = container_of(at, struct vsock_conn, all);

		next = at->next;
		if (c->deadline_ns == 0)
			continue;
		more = true;
		if (now >= c->deadline_ns)
			vsock_conn_expire(c);
		else if (c->state == VSOCK_DIALLING)
			vsock_host_redial(c);
	}
	if (v->accept_later && virtio_dev_running(&v->dev)) {
		v->accept_later = false;
		vsock_host_listen(v);
	}
	if (!more && !v->accept_later && !v->holding) {
		v->ticking = false;
		timer_stop(timer);
	}
	vsock_leave(v);
}

/* ---- state and creation ---- */

static const struct schema_field vsock_state_fields[] = {
	{
		.name = "guest_cid",
		.type = SCHEMA_UINT,
		.flags = SCHEMA_REQUIRED,
		SCHEMA_AT(struct vsock_state, guest_cid),
		.range = &schema_u32,
	},
	{
		.name = "next_port",
		.type = SCHEMA_UINT,
		SCHEMA_AT(struct vsock_state, next_port),
		.range = &schema_u32,
	},
	{
		.name = "event_mark",
		.type = SCHEMA_UINT,
		SCHEMA_AT(struct vsock_state, event_mark),
		.range = &schema_u16,
	},
};

static const struct schema_object vsock_state_schema = {
	.name = "vsock",
	.fields = vsock_state_fields,
	.nr = ARRAY_SIZE(vsock_state_fields),
	.size = sizeof(struct vsock_state),
};

static void vsock_save(struct virtio_dev *dev, void *state)
{
	const struct vsock *v = to_vsock(dev);
	struct vsock_state *s = state;

	s->guest_cid = v->cid;
	s->next_port = v->next_port;
	s->event_mark = v->event_mark;
}

static int vsock_load(struct virtio_dev *dev, const void *state,
		      struct err *err)
{
	const struct vsock_state *s = state;
	struct vsock *v = to_vsock(dev);

	if (s->guest_cid != v->cid)
		return err_set(err, -EINVAL,
			       "vsock: the saved guest CID is not the "
			       "configured one");
	if (s->next_port != 0 &&
	    (s->next_port < VSOCK_FIRST_PORT || s->next_port > VSOCK_LAST_PORT))
		return err_set(err, -EINVAL,
			       "vsock: the next host port, %llu, is none",
			       (unsigned long long)s->next_port);
	/* Not told: likely ports that the guest has never seen. */
	v->next_port = s->next_port ? (uint32_t)s->next_port
				    : VSOCK_FIRST_PORT + VSOCK_FIRST_PORT / 2;
	v->event_mark = (uint16_t)s->event_mark;
	v->transport_reset = true;
	v->holding = true;
	v->hold_until_ns = UINT64_MAX;
	return 0;
}

static const struct virtio_dev_ops vsock_ops = {
	.id = 19,
	.kick = vsock_kick,
	.reset = dev_vsock_reset,
	.stopped = stopped,
	.pausing = vsock_pausing,
	.resumed = vsock_resumed,
	.destroy = vsock_destroy,
	.state = &vsock_state_schema,
	.save = vsock_save,
	.load = vsock_load,
};

#define COUNTER(name) METRIC(struct vsock_counters, name)

static const struct metric vsock_metrics[] = {
	COUNTER(activate_fails),       COUNTER(cfg_fails),
	COUNTER(rx_queue_event_fails), COUNTER(tx_queue_event_fails),
	COUNTER(ev_queue_event_fails), COUNTER(muxer_event_fails),
	COUNTER(conn_event_fails),     COUNTER(rx_queue_event_count),
	COUNTER(tx_queue_event_count), COUNTER(rx_bytes_count),
	COUNTER(tx_bytes_count),       COUNTER(rx_packets_count),
	COUNTER(tx_packets_count),     COUNTER(conns_added),
	COUNTER(conns_killed),         COUNTER(conns_removed),
	COUNTER(killq_resync),         COUNTER(tx_flush_fails),
	COUNTER(tx_write_fails),       COUNTER(rx_read_fails),
};

const struct metric_group vsock_metric_group = {"vsock", vsock_metrics,
						ARRAY_SIZE(vsock_metrics)};

const struct vsock_counters *vsock_counters(struct virtio_dev *dev)
{
	return &to_vsock(dev)->counters;
}

int vsock_set_path(struct virtio_dev *dev, const char *uds_path, int listen_fd)
{
	struct vsock *v = to_vsock(dev);
	char *copy = strdup(uds_path);

	if (!copy)
		return -ENOMEM;
	virtio_dev_enter(dev);
	free(v->uds_path);
	v->uds_path = copy;
	loop_del(dev->loop, &v->listener);
	vsock_host_init(v, listen_fd);
	virtio_dev_leave(dev);
	return 0;
}

void vsock_set_cid(struct virtio_dev *dev, uint32_t guest_cid)
{
	virtio_dev_enter(dev);
	to_vsock(dev)->cid = guest_cid;
	virtio_dev_config_changed(dev);
	virtio_dev_leave(dev);
}

void vsock_dialed(struct virtio_dev *dev, uint32_t port, int rc, int fd)
{
	struct vsock *v = to_vsock(dev);

	virtio_dev_enter(dev);
	vsock_host_answer(v, port, rc, fd);
	vsock_leave(v);
}

int vsock_new(struct virtio_dev **out, const struct vsock_params *params,
	      struct err *err)
{
	struct vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_set(err, -ENOMEM, "Out of memory");
	v->cid = params->guest_cid;
	v->opener = params->opener;
	v->next_port = VSOCK_FIRST_PORT;
	list_init(&v->conns);
	list_init(&v->waiting);
	timer_init(&v->tick, params->loop, on_tick);
	r = virtio_dev_init(&v->dev,
			    &(struct virtio_dev_params){
				    .ops = &vsock_ops,
				    .name = "vsock",
				    .mem = params->mem,
				    .loop = params->loop,
				    .nr_queues = VSOCK_NR_QUEUES,
				    .queue_max = QUEUE_MAX,
				    .config = &v->cid,
				    .config_bytes = sizeof(v->cid),
			    },
			    err);
	vsock_host_init(v, params->listen_fd);
	v->uds_path = strdup(params->uds_path);
	if (r == 0 && !v->uds_path)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r < 0) {
		vsock_destroy(&v->dev);
		return r;
	}
	*out = &v->dev;
	return 0;
}
