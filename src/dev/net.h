/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net.h - virtio network device over a TAP (virtio 1.2, 5.1)
 *
 * Theory of operation
 *
 * Frames move between the guest's buffers and the tap in one system call each,
 * writev() and readv() on guest memory: payload is never copied here. Each
 * frame begins with a virtio-net header, which both sides speak, so checksums
 * and segmentation cross the host unfinished where the guest agreed to that.
 *
 * Sending (net_tx.c). The header is the guest's word: it is copied out once,
 * checked against what was negotiated and against the frame's length, and the
 * copy is what the tap gets. A frame that does not pass, or that the tap does
 * not take, is dropped and counted; its buffers go back to the guest at once.
 *
 * Receiving (net_rx.c). How long the next frame is cannot be known before it is
 * read. Chains are taken from the queue ahead until they could hold the longest
 * frame, or there are no more, and are kept from frame to frame; with MRG_RXBUF
 * a frame then uses as many of them as it needs, without it the first one.
 * Behind them lies memory of ours: a frame that reaches it did not fit. If more
 * buffers can come, what is there is kept and copied behind the rest when they
 * do: a slow driver loses nothing, and one whose whole ring is small waits for
 * nothing. Otherwise, and after NET_LATE_NS, it is dropped and counted.
 *
 * Nothing spins and nothing freezes: each state in which no frame is read has
 * its own way out, and only in ARMED does the loop watch the tap.
 *
 *   state     why no frame is read            what ends it
 *   IDLE      nobody has looked yet           a kick
 *   ARMED     the tap has none                the tap is readable
 *   STARVED   the guest has no buffers        a kick
 *   LATE      less than this frame needs      a kick; or NET_LATE_NS
 *   LIMITED   the rate limiter                its timer
 *   DOWN      reading failed                  a timer, NET_RETRY_NS
 *
 * A burst that ends while a frame is LATE has a kick of its own follow: the tap
 * need not have another frame.
 *
 * A frame that the limiter refuses has been read already: it waits in the
 * guest's buffers, not yet shown, until the limiter lets it pass. For a
 * snapshot it is let through, and the chains that are held go back to the
 * queue.
 *
 * Who moves frames, and what they are read from, is a source (net_source.h):
 * the tap as told above, the host kernel (net_vhost.h), or a socket
 * (net_stream.h), which may be full: then nothing is sent.
 *
 * There is no control queue: MAC filters and the like are not offered.
 *
 * Context: all of it runs under the device's lock; the loop's sources and
 * timers are touched on the VMM thread only.
 */
#pragma once

#include "base/metrics.h"
#include "dev/net_source.h"
#include "dev/net_vhost.h"
#include "host/rate_limiter.h"
#include "mmds/stack.h"
#include "virtio/device.h"

#define NET_HDR_BYTES  12u
#define NET_MAC_BYTES  6u
#define NET_MIN_FRAME  14u    /* an Ethernet header */
#define NET_MAX_FRAME  65550u /* 64 KiB behind an Ethernet header (5.1.6.3) */
#define NET_MAX_PACKET (NET_HDR_BYTES + NET_MAX_FRAME)
#define NET_RX_IOV     1024u /* what readv() takes */
#define NET_BURST      128u  /* frames before the loop has its turn */
#define NET_LATE_NS    1000000000u
#define NET_RETRY_NS   500000000u

enum net_queue {
	NET_QUEUE_RX,
	NET_QUEUE_TX,
	NET_NR_QUEUES,
};

/* Feature bits (5.1.3). */
#define NET_F_CSUM       (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU        (1ull << 3)
#define NET_F_MAC        (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_GUEST_TSO6 (1ull << 8)
#define NET_F_GUEST_ECN  (1ull << 9)
#define NET_F_GUEST_UFO  (1ull << 10)
#define NET_F_HOST_TSO4  (1ull << 11)
#define NET_F_HOST_TSO6  (1ull << 12)
#define NET_F_HOST_ECN   (1ull << 13)
#define NET_F_HOST_UFO   (1ull << 14)
#define NET_F_MRG_RXBUF  (1ull << 15)
#define NET_F_STATUS     (1ull << 16)
#define NET_F_GUEST_USO4 (1ull << 54)
#define NET_F_GUEST_USO6 (1ull << 55)
#define NET_F_HOST_USO   (1ull << 56)

/* struct virtio_net_hdr (5.1.6), little-endian. */
struct net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

static_assert(sizeof(struct net_hdr) == NET_HDR_BYTES, "virtio 1.2, 5.1.6");

#define NET_HDR_F_NEEDS_CSUM 1u
#define NET_HDR_F_DATA_VALID 2u

enum net_gso {
	NET_GSO_NONE = 0,
	NET_GSO_TCPV4 = 1,
	NET_GSO_UDP = 3,
	NET_GSO_TCPV6 = 4,
	NET_GSO_UDP_L4 = 5,
	NET_GSO_ECN = 0x80, /* a flag beside the TCP types */
};

/* struct virtio_net_config (5.1.4), as far as it is offered. */
struct net_config_space {
	uint8_t mac[NET_MAC_BYTES];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
};

/* Firecracker's `net` metrics. */
struct net_metrics {
	metric_t activate_fails;
	metric_t cfg_fails;
	metric_t mac_address_updates;
	metric_t no_rx_avail_buffer;
	metric_t no_tx_avail_buffer;
	metric_t event_fails;
	metric_t rx_queue_event_count;
	metric_t rx_event_rate_limiter_count;
	metric_t rx_rate_limiter_throttled;
	metric_t rx_tap_event_count;
	metric_t rx_bytes_count;
	metric_t rx_packets_count;
	metric_t rx_fails;
	metric_t rx_count;
	metric_t tap_read_fails;
	metric_t tap_write_fails;
	struct metric_agg tap_write_agg;
	metric_t tx_bytes_count;
	metric_t tx_malformed_frames;
	metric_t tx_fails;
	metric_t tx_count;
	metric_t tx_packets_count;
	metric_t tx_queue_event_count;
	metric_t tx_rate_limiter_event_count;
	metric_t tx_rate_limiter_throttled;
	metric_t tx_spoofed_mac_count;
	metric_t tx_remaining_reqs_count;
	metric_t tx_denied_count; /* ours */
};

/* Group `net`; the offsets count from struct net_metrics. */
extern const struct metric_group net_metric_group;

enum net_rx_state {
	NET_RX_IDLE,
	NET_RX_ARMED,
	NET_RX_STARVED,
	NET_RX_LATE,
	NET_RX_LIMITED,
	NET_RX_DOWN,
};

/**
 * struct net_rx_chain - a chain that waits for a frame
 * @at:		its place in the available ring, free-running
 */
struct net_rx_chain {
	uint16_t head;
	uint16_t at;
	uint16_t nr_iov;
	uint32_t bytes;
};

/**
 * struct net_rx - the receiving half
 * @bytes:	that the held chains can take
 * @chain:	held ones: @nr_chains from @first_chain on
 * @iov:	their buffers: @nr_iov from @first_iov on, and room for one more
 * @deferred:	bytes of a frame that lies in them and waits for the limiter
 * @late:	bytes of a frame that did not fit; the first @in_chains of them
 *		lie in the chains that were held, the rest in @beyond
 * @malformed:	of the queue's, how many are counted in the metrics
 */
struct net_rx {
	enum net_rx_state state;
	struct loop_source tap;
	struct timer timer;
	struct rate_limiter limiter;
	uint64_t bytes;
	unsigned int first_chain;
	unsigned int nr_chains;
	unsigned int first_iov;
	unsigned int nr_iov;
	uint32_t deferred;
	uint32_t late;
	uint32_t in_chains;
	uint64_t malformed;
	struct net_rx_chain chain[VIRTQ_MAX_SIZE];
	struct iovec iov[NET_RX_IOV];
	uint8_t beyond[NET_MAX_PACKET];
};

/**
 * struct net_tx - the sending half
 * @refused:	errno of the frame before, if the tap did not take it, else 0
 * @iov:	a chain's buffers from 1 on: our header may have to go before
 */
struct net_tx {
	struct rate_limiter limiter;
	uint64_t malformed;
	int refused;
	struct iovec iov[1 + VIRTQ_MAX_SIZE];
};

/**
 * struct net_mmds - of the source that has the metadata service
 * @service:	borrowed; NULL with another source
 * @stack:	of this interface; NULL with another source
 * @deadline_ns:	for which the timer is set; 0: it is not
 * @frame:	that the guest sent
 */
struct net_mmds {
	struct mmds *service;
	struct mmds_stack *stack;
	struct timer timer;
	uint64_t deadline_ns;
	uint8_t frame[MMDS_FRAME_MAX];
};

/**
 * struct net_dev - a network interface of the guest
 * @fd:		the tap; borrowed
 * @source:	moves the frames
 * @mmds:	of that source
 * @vhost:	of that source; its fd is -1 with another one
 * @rules:	for the stream's claim()
 * @stream:	of that source; NULL with another one
 * @has_mac:	@config.mac is what frames of the guest should come from
 */
struct net_dev {
	struct virtio_dev dev;
	struct net_config_space config;
	struct net_metrics metrics;
	int fd;
	const struct net_source_ops *source;
	struct net_vhost vhost;
	const char *rules;
	struct net_stream *stream;
	bool has_mac;
	bool has_mtu;
	struct net_rx rx;
	struct net_tx tx;
	struct net_mmds mmds;
};

/**
 * struct net_params - what a network device is made of
 * @name:	for the log
 * @fd:		a tap (host/tap.h), or any packet socket whose packets begin
 *		with the same header; or of a stream its socket; non-blocking;
 *		stays open as long as the device. -1: net_set_tap() comes before
 *		it is resumed
 * @source:	moves the frames
 * @mmds:	the metadata service, for its source; as long as the device
 * @vhost_fd:	/dev/vhost-net (PATH_VHOST_NET), as long as the device; or -1
 * @vhost_late:	see net_vhost.h
 * @uso:	the tap takes UDP segmentation
 * @rules:	of a stream: base/ip_rules.h; or NULL
 */
struct net_params {
	const char *name;
	const struct gmem *mem;
	struct loop *loop;
	int fd;
	const struct net_source_ops *source;
	struct mmds *mmds;
	int vhost_fd;
	bool vhost_late;
	bool has_mac;
	bool has_mtu;
	uint8_t mac[NET_MAC_BYTES];
	uint16_t mtu;
	bool uso;
	const char *rules;
};

/**
 * net_new() - make the device; ops->destroy() frees it
 *
 * Return: 0, or -errno with a sentence; nothing is left behind.
 */
int net_new(struct net_dev **out, const struct net_params *params,
	    struct err *err) __must_check;

/**
 * net_tap_fits() - can the device go on with another tap?
 * @fd:		of it, as in struct net_params
 *
 * Return: 0; -errno: it does not take what the driver was promised.
 */
int net_tap_fits(const struct net_dev *n, int fd) __must_check;

/**
 * net_set_tap() - it goes on with another tap
 * @fd:		one that fits, as in struct net_params
 *
 * The device is paused. Its link is up from here on.
 */
void net_set_tap(struct net_dev *n, int fd);

/* The device is paused, and was made with an address. A driver reads it when it
 * begins; the interrupt and the generation tell the one that runs. */
void net_set_mac(struct net_dev *n, const uint8_t mac[static NET_MAC_BYTES]);
