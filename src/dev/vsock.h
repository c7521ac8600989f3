/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vsock.h - virtio socket device (virtio 1.2, 5.10), Firecracker's on the host
 *
 * Theory of operation
 *
 * Stream sockets between the guest (its CID) and the host (CID 2) are Unix
 * sockets on the host:
 *
 *   guest to host	the guest connects to port P of CID 2, we connect to
 *			"<uds_path>_<P>"; nobody listens there: RST
 *   host to guest	a client connects to <uds_path> and sends
 *			"CONNECT <port>\n"; when the guest has accepted it gets
 *			"OK <host_port>\n", when not, the end of its stream
 *
 * Four parts: vsock.c has the queues for packets, vsock_events.c the one for
 * events, vsock_conn.c what one connection is and does, vsock_host.c the host's
 * sockets. All of it runs on the VMM thread with the device's lock held; only
 * reset() comes from a vCPU, and it just marks the connections stale for the
 * VMM thread to close.
 *
 * States of a connection, what they wait for, and for how long:
 *
 *   greeting	host client: its CONNECT line			30 s
 *   calling	host client: the guest's RESPONSE		2 s
 *   dialling	guest: room in the backlog of its listener, or	2 s
 *		the answer of the opener that calls it
 *		(restored: its taking the reset, too)
 *   open	both ends are there; either may be half closed	-
 *		and, once the host's end is gone for good: the
 *		guest's RST					2 s
 *   closing	over for the guest: an RST is owed to it, or	30 s without
 *		its last bytes are still owed to the host	progress
 *
 * Nothing is buffered without bound:
 *
 *  - Host to guest: bytes go straight from the host's socket into the guest's
 *    RX buffers (one readv for many buffers), never more than the guest's
 *    credit. Without an RX buffer, or without credit, the socket is not watched
 *    at all, so nothing spins; RX buffers and credit watch it again.
 *  - Guest to host: bytes go straight from the guest's memory into the host's
 *    socket. What that does not take waits in the connection's buffer, which
 *    exists only meanwhile and has exactly the size that the guest was told
 *    (buf_alloc); a guest that sends more breaks the rules and the connection.
 *  - Packets without data are not queued but owed: one bit each, per
 *    connection. RSTs for packets of no connection wait in a ring of fixed
 *    size; while it is full, no TX packet is taken (5.10.6.1.2).
 *  - At most VSOCK_CONNS_MAX connections, of whatever state, one descriptor
 *    each. When descriptors or memory are short, accept() is tried again later.
 *
 * An opener that calls the host's end later (-EINPROGRESS) answers by
 * vsock_dialed(). Until then the call is in flight, which is a state of its
 * connection: a pause moves its deadline and lets the answer in; after a reset,
 * or behind the deadline, the socket that comes is closed; in a snapshot there
 * is none of it, as connections do not survive a restore.
 *
 * Half close. A client's shutdown(SHUT_WR) becomes SHUTDOWN with the send flag,
 * its close both flags, behind all its bytes. The guest's flags become
 * shutdown() on the host's socket, behind all its bytes.
 *
 * Snapshot. Connections do not survive a restore: the guest gets the event
 * TRANSPORT_RESET, the listening socket goes on (5.10.6.7). Connections of the
 * VM that was saved are not touched. A guest ends all its connections when it
 * takes the event, and packets may overtake that: so until it has given the
 * event's buffer back no client is accepted and no connection of the guest is
 * made, for at most 2 s of its running; a device reset ends that, too. The
 * guest's programs may still hold what was cut: host ports go on counting where
 * they were.
 */
#pragma once

#include "base/metrics.h"
#include "host/path.h"
#include "virtio/device.h"

#define VSOCK_CID_HOST  2u
#define VSOCK_CONNS_MAX 1023u

/* What the guest may send without being told that it was passed on. */
#define VSOCK_BUF_BYTES 65536u

/* Firecracker's names. */
struct vsock_counters {
	metric_t activate_fails;
	metric_t cfg_fails;
	metric_t rx_queue_event_fails;
	metric_t tx_queue_event_fails;
	metric_t ev_queue_event_fails;
	metric_t muxer_event_fails;
	metric_t conn_event_fails;
	metric_t rx_queue_event_count;
	metric_t tx_queue_event_count;
	metric_t rx_bytes_count;
	metric_t tx_bytes_count;
	metric_t rx_packets_count;
	metric_t tx_packets_count;
	metric_t conns_added;
	metric_t conns_killed;
	metric_t conns_removed;
	metric_t killq_resync;
	metric_t tx_flush_fails;
	metric_t tx_write_fails;
	metric_t rx_read_fails;
};

extern const struct metric_group vsock_metric_group;

/**
 * struct vsock_state - saved, beside the state of all devices
 * @next_port:	the next host port for a client; 0: of a format before 2.1
 * @event_mark:	modulo 2^16
 */
struct vsock_state {
	uint64_t guest_cid;
	uint64_t next_port;
	uint64_t event_mark;
};

/**
 * struct vsock_params - what a device is made from
 * @uds_path:	prefix of the paths that the guest's connections go to; copied
 * @opener:	connects to them
 * @listen_fd:	a PATH_VSOCK; borrowed, stays open as long as the device. -1:
 *		vsock_set_path() comes before it is resumed
 */
struct vsock_params {
	const struct gmem *mem;
	struct loop *loop;
	uint32_t guest_cid;
	const struct path_opener *opener;
	const char *uds_path;
	int listen_fd;
};

/**
 * vsock_new() - make a device
 *
 * Return: 0 and *@out (ops->destroy() frees it), or -errno with a sentence.
 */
int vsock_new(struct virtio_dev **out, const struct vsock_params *params,
	      struct err *err) __must_check;

/**
 * vsock_set_path() - other sockets of the host
 * @listen_fd:	as in struct vsock_params
 *
 * The device is paused and has no connections. Return: 0 or -ENOMEM.
 */
int vsock_set_path(struct virtio_dev *dev, const char *uds_path,
		   int listen_fd) __must_check;

/* The device was restored and has not run: the guest looks at its CID when it
 * takes the event TRANSPORT_RESET. */
void vsock_set_cid(struct virtio_dev *dev, uint32_t guest_cid);

const struct vsock_counters *vsock_counters(struct virtio_dev *dev);

/**
 * vsock_dialed() - what came of a call that the opener took (-EINPROGRESS)
 * @port:	of the call: the index of its PATH_VSOCK_PEER
 * @rc:		0, or -errno
 * @fd:		taken over; -1 unless @rc is 0
 *
 * Context: the VMM thread.
 */
void vsock_dialed(struct virtio_dev *dev, uint32_t port, int rc, int fd);
