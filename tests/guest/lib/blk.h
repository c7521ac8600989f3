/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk.h - requests to a virtio block device (virtio 1.2, 5.2)
 */
#pragma once

#include "virtio.h"

#define SECTOR 512u

enum {
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_SCSI = 2,
	BLK_FLUSH = 4,
	BLK_GET_ID = 8,
	BLK_DISCARD = 11,
	BLK_WRITE_ZEROES = 13,
};

enum {
	BLK_OK = 0,
	BLK_IOERR = 1,
	BLK_UNSUPP = 2,
	BLK_NOTHING = 0xee, /* what the driver put there */
};

#define BLK_F_RO           (1ULL << 5)
#define BLK_F_FLUSH        (1ULL << 9)
#define BLK_F_DISCARD      (1ULL << 13)
#define BLK_F_WRITE_ZEROES (1ULL << 14)

/* Header and status of a request, in memory of the guest's. */
struct blk_request {
	uint32_t type;
	uint32_t reserved;
	uint64_t sector;
	uint8_t status;
} __attribute__((aligned(32)));

static inline void blk_fill(volatile struct blk_request *r, uint32_t type,
			    uint64_t sector)
{
	r->type = type;
	r->reserved = 0;
	r->sector = sector;
	r->status = BLK_NOTHING;
}

static inline uint64_t blk_capacity(const struct virtio *v)
{
	return (uint64_t)virtio_read(v, VIRTIO_R_CONFIG + 4) << 32 |
	       virtio_read(v, VIRTIO_R_CONFIG);
}

/* Header, @len bytes at @addr (none for 0), status: as Linux does. */
static inline unsigned int blk_chain(struct virtio_buf bufs[3],
				     volatile struct blk_request *r,
				     uint64_t addr, uint32_t len, bool write)
{
	unsigned int nr = 0;

	bufs[nr++] = (struct virtio_buf){(uint64_t)r, 16, false};
	if (len)
		bufs[nr++] = (struct virtio_buf){addr, len, write};
	bufs[nr++] = (struct virtio_buf){(uint64_t)&r->status, 1, true};
	return nr;
}
