/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_source.h - where the frames of a network device come from and go to
 *
 * Theory of operation
 *
 * The device is the guest's side: features, config space, life. Behind it is a
 * source, which moves frames between the queues and the host. There are four:
 *
 *   tap (net_tap.c)      each frame passes through this process: net_rx.c and
 *                        net_tx.c move it, and the source reads and writes it
 *   mmds (net_mmds.c)    the same, and the metadata service sees what the guest
 *                        sends first
 *   vhost (net_vhost.h)  the host kernel moves them all; the source only
 *                        starts and stops that
 *   stream (net_stream.h)  a socket, each frame behind its length
 *
 * The device asks none which one it is. All but the last are at a tap, whose
 * descriptor, or the socket, is net_dev.fd: it is readable when a frame waits
 * there.
 *
 * All functions run with the device's lock held, on the VMM thread unless said
 * otherwise.
 */
#pragma once

#include "base/err.h"

#include <sys/uio.h>

struct net_dev;

/**
 * struct net_source_ops - a source
 * @claim:	once, as the device is made; what the source cannot do is taken
 *		out of dev.offered. 0 or -errno with a sentence
 * @start:	the device begins to run: it was activated or resumed. 0 or
 *		-errno; a tap that was deleted is no failure but net_lost_tap().
 *		Any thread
 * @stop:	it does not run any more. May be called again. Any thread
 * @reset:	behind @stop: the next driver begins anew. Any thread
 * @kick:	the driver has added buffers
 * @read:	one packet into @iov, with its header: its bytes, 0 when the
 *		other end is gone, or -errno, -EAGAIN when there is none. NULL
 *		where no frame passes through this process, as @write
 * @write:	one packet: bytes that were taken, or -errno; 0: it ends in the
 *		source, whose own it is
 * @waits:	is there a packet that no descriptor tells of? May be NULL
 * @full:	@write must not be called now; @writable ends that. NULL: never
 * @writable:	net_dev.fd can be written, or has an error; with @full
 * @free:	behind @stop; also after @claim has failed, or was not called
 */
struct net_source_ops {
	int (*claim)(struct net_dev *n, struct err *err);
	int (*start)(struct net_dev *n);
	void (*stop)(struct net_dev *n);
	void (*reset)(struct net_dev *n);
	void (*kick)(struct net_dev *n);
	ssize_t (*read)(struct net_dev *n, const struct iovec *iov,
			unsigned int nr);
	ssize_t (*write)(struct net_dev *n, const struct iovec *iov,
			 unsigned int nr);
	bool (*waits)(const struct net_dev *n);
	bool (*full)(const struct net_dev *n);
	void (*writable)(struct net_dev *n);
	void (*free)(struct net_dev *n);
};

extern const struct net_source_ops net_source_tap;
extern const struct net_source_ops net_source_mmds;
extern const struct net_source_ops net_source_vhost;
extern const struct net_source_ops net_source_stream;
