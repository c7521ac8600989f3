/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pmem.h - virtio pmem device (virtio 1.2, 5.19): a file that is memory
 *
 * Theory of operation
 *
 * The file is mapped shared, as a region of guest memory of its own
 * (GMEM_DEVICE, mem/gmem.h), so what the guest stores is in the host's page
 * cache at once and in the file some time later. The config space tells where
 * the region lies; there is no other way to the data. What the queue is for is
 * the moment at which all of it is on the disk:
 *
 *   FLUSH   4 bytes to read (0), 4 to write: 0 when all that was stored before
 *           is in the file to stay, 1 when the host failed
 *
 * The flush is an fdatasync() on the VMM thread, as the block device's with the
 * engine Sync: the kernel knows which pages the guest has written. All requests
 * of a kick share one, which begins when the last of them was taken; the next
 * kick does the rest. Anything else comes back unread, or with 1.
 *
 * A flush may write all of the file, so for the rate limiter that is its size
 * in bytes, and one operation.
 *
 * A guest that may only read has the region without write access, in KVM and in
 * this process: no driver can be told so (there is no bit for it), so its
 * stores go nowhere (vm/exits.h), and its flushes succeed.
 *
 * State: where the region is, and how long the file. Its contents are the
 * file's: a snapshot has none of them.
 */
#pragma once

#include "base/metrics.h"
#include "host/rate_limiter.h"
#include "virtio/device.h"

/* Firecracker's `pmem` metrics, and those of the limiter as its block has them.
 */
struct pmem_metrics {
	metric_t activate_fails;
	metric_t cfg_fails;
	metric_t event_fails;
	metric_t queue_event_count;
	metric_t flush_count;
	metric_t rate_limiter_throttled_events;
	metric_t rate_limiter_event_count;
};

extern const struct metric_group pmem_metric_group;

/* The config space (5.19.4), little-endian like the host. */
struct pmem_config_space {
	uint64_t start;
	uint64_t size;
};

/**
 * struct pmem_params - what the device is made of
 * @id:		in the log
 * @region:	GMEM_DEVICE, of @mem
 * @fd:		its file, borrowed
 * @file_bytes:	of it
 */
struct pmem_params {
	const char *id;
	const struct gmem *mem;
	struct loop *loop;
	const struct gmem_region *region;
	int fd;
	uint64_t file_bytes;
};

/* A flush whose answer is due: where its bytes go. */
struct pmem_flush {
	uint16_t head;
	uint8_t *answer[4];
};

/**
 * struct pmem - the device
 * @limiter:	set it before the guest runs
 * @flush:	of this kick
 */
struct pmem {
	struct virtio_dev dev;
	struct pmem_metrics metrics;
	struct rate_limiter limiter;
	struct pmem_config_space space;
	int fd;
	uint64_t file_bytes;
	bool read_only;
	unsigned int nr_flushes;
	struct pmem_flush flush[VIRTQ_MAX_SIZE];
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/* Return: 0 and *@out, or -errno with a sentence. dev.ops->destroy() frees. */
int pmem_new(struct pmem **out, const struct pmem_params *params,
	     struct err *err) __must_check;
