// SPDX-License-Identifier: Apache-2.0
/*
 * blk_request.c - block requests of the driver, from a chain to an operation
 */
#include "dev/blk_priv.h"

#include "base/iov.h"

#include <errno.h>

/* Request types (5.2.6). */
#define T_IN           0u
#define T_OUT          1u
#define T_FLUSH        4u
#define T_GET_ID       8u
#define T_DISCARD      11u
#define T_WRITE_ZEROES 13u

#define HEADER_BYTES   16u
#define RANGE_BYTES    16u
#define RANGE_F_UNMAP  1u

/**
 * struct header - of a request, copied out of guest memory
 */
struct header {
	uint32_t type;
	uint64_t sector;
};

static bool blk_request_read_header(const struct virtq_chain *c,
				    struct header *header)
{
	uint8_t bytes[HEADER_BYTES];

	if (iov_read(c->out, c->nr_out, 0, bytes, sizeof(bytes)) !=
	    sizeof(bytes))
		return false;
	header->type = load_le32(bytes);
	header->sector = load_le64(bytes + 8);
	return true;
}

static bool on_disk(const struct blk *blk, uint64_t sector, uint64_t sectors)
{
	return range_fits(sector, sectors, blk->file.sectors);
}

/* The data of a transfer, [@off, +@len) of @iov, into the slot's buffers. */
static bool set_buffers(struct blk_slot *slot, const struct iovec *iov,
			size_t nr, uint64_t off, uint32_t len)
{
	size_t max = nr <= BLK_FEW ? BLK_FEW : BLK_SEG_MAX;

	slot->io.iov = nr <= BLK_FEW ? slot->few : slot->many;
	slot->io.nr_iov =
		(unsigned int)iov_slice(iov, nr, off, len, slot->io.iov, max);
	slot->io.left = len;
	slot->total = len;
	return iov_bytes(slot->io.iov, slot->io.nr_iov) == len;
}

static int set_transfer(const struct blk *blk, const struct virtq_chain *c,
			const struct header *header, struct blk_slot *slot)
{
	bool read = header->type == T_IN;
	uint32_t in = c->in_bytes - 1, out = c->out_bytes - HEADER_BYTES;
	uint32_t len = read ? in : out;

	if ((read ? out : in) != 0 || len == 0 ||
	    len % BLOCK_SECTOR_BYTES != 0 ||
	    !on_disk(blk, header->sector, len / BLOCK_SECTOR_BYTES) ||
	    (!read && blk->read_only))
		return -EINVAL;
	slot->io.kind = read ? BLOCK_IO_READ : BLOCK_IO_WRITE;
	slot->io.off = header->sector * BLOCK_SECTOR_BYTES;
	slot->bytes = read ? len : 0;
	return set_buffers(slot, read ? c->in : c->out,
			   read ? c->nr_in : c->nr_out, read ? 0 : HEADER_BYTES,
			   len)
		       ? 0
		       : -EINVAL;
}

/* DISCARD and WRITE_ZEROES: one range, as we told the driver. */
static int set_range(const struct blk *blk, const struct virtq_chain *c,
		     const struct header *header, struct blk_slot *slot)
{
	bool zero = header->type == T_WRITE_ZEROES;
	uint8_t bytes[RANGE_BYTES];
	uint64_t sector;
	uint32_t sectors, flags;

	if (!virtio_dev_has(&blk->dev,
			    zero ? BLK_F_WRITE_ZEROES : BLK_F_DISCARD))
		return -EOPNOTSUPP;
	if (c->out_bytes != HEADER_BYTES + RANGE_BYTES ||
	    iov_read(c->out, c->nr_out, HEADER_BYTES, bytes, sizeof(bytes)) !=
		    sizeof(bytes))
		return -EINVAL;
	sector = load_le64(bytes);
	sectors = load_le32(bytes + 8);
	flags = load_le32(bytes + 12);
	if ((flags & ~(zero ? RANGE_F_UNMAP : 0u)) != 0)
		return -EOPNOTSUPP;
	if (sectors == 0 || sectors > (zero ? BLK_ZERO_MAX : BLK_DISCARD_MAX) ||
	    !on_disk(blk, sector, sectors))
		return -EINVAL;
	slot->io.kind = !zero                   ? BLOCK_IO_DISCARD
			: flags & RANGE_F_UNMAP ? BLOCK_IO_UNMAP
						: BLOCK_IO_ZERO;
	slot->io.off = sector * BLOCK_SECTOR_BYTES;
	slot->io.left = (uint64_t)sectors * BLOCK_SECTOR_BYTES;
	return 0;
}

uint64_t blk_cost(const struct blk_slot *slot)
{
	return slot->io.kind == BLOCK_IO_ZERO ? slot->io.left : slot->total;
}

/* The last writable byte; NULL when there is none. */
static uint8_t *blk_request_status_of(const struct virtq_chain *c)
{
	const struct iovec *last;

	if (c->nr_in == 0)
		return NULL;
	last = &c->in[c->nr_in - 1];
	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

int blk_parse(struct blk *blk, const struct virtq_chain *c,
	      struct blk_slot *slot)
{
	struct header header;
	int r;

	slot->io = (struct block_io){.stable = blk->write_through};
	slot->head = c->head;
	slot->status = blk_request_status_of(c);
	slot->bytes = 0;
	slot->total = 0;
	if (!slot->status || !blk_request_read_header(c, &header))
		return -EINVAL;
	switch (header.type) {
	case T_IN:
	case T_OUT:
		r = set_transfer(blk, c, &header, slot);
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		r = set_range(blk, c, &header, slot);
		break;
	case T_FLUSH:
		slot->io.kind = BLOCK_IO_FLUSH;
		r = virtio_dev_has(&blk->dev, BLK_F_FLUSH) ? 0 : -EOPNOTSUPP;
		break;
	case T_GET_ID:
		if (c->in_bytes <= BLK_ID_BYTES)
			return -EINVAL;
		slot->bytes = (uint32_t)iov_write(c->in, c->nr_in, 0, blk->id,
						  BLK_ID_BYTES);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
	return r < 0 ? r : 1;
}
