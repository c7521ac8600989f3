/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_fuzz.h - what the fuzz targets of the network device share
 *
 * Steps that a driver of any intent takes with a queue, in the first MiBs of a
 * small guest; the tap is a packet socket (unit/net_kit.h).
 */
#pragma once

#include "../unit/net_kit.h"
#include "dev_fuzz.h"

#include "base/log.h"

#define NET_FUZZ_STEPS 400u

/* Of a byte each a few features; the common ones as well. */
static inline uint64_t net_fuzz_features(struct fuzz_script *s)
{
	uint64_t low = fuzz_take(s, 3);
	uint8_t rest = fuzz_byte(s);

	return (low & 0xffffffu) | (uint64_t)(rest & 7) << 54 |
	       (rest & 8 ? VIRTIO_F_INDIRECT_DESC : 0) |
	       (rest & 16 ? VIRTIO_F_EVENT_IDX : 0);
}

/* Whatever is offered of the script's wish. */
static inline void net_fuzz_start(struct net_kit *f, struct fuzz_script *s)
{
	uint64_t features = net_fuzz_features(s) & kit_offered(&f->kit);

	/* New rings behind all that buffers reach: else a device that writes
	 * where it is told to would change them. */
	f->kit.next_gpa = MIB(2);
	memset(kit_hva(&f->kit, MIB(2), KIB(64)), 0, KIB(64));
	kit_start(&f->kit, features, (uint16_t)(1u << (1 + fuzz_byte(s) % 8)));
}

/* A descriptor: at, address, length, flags, next. */
static inline void net_fuzz_desc(struct net_kit *f, unsigned int queue,
				 struct fuzz_script *s)
{
	struct kit_queue *q = &f->kit.queue[queue];
	unsigned int at = fuzz_byte(s) & (q->size - 1u);
	gpa_t gpa = fuzz_take(s, 2) << 4;
	uint32_t len = (uint32_t)fuzz_take(s, 2);
	uint16_t flags = fuzz_byte(s);

	if (flags & 0x80) /* not RAM, or across its end */
		gpa = KIT_RAM_BYTES + (gpa << 12) - (len & 15);
	else if (flags & 0x40)
		len <<= 16;
	kit_desc(&f->kit, queue, at, gpa, len, flags & 7, fuzz_byte(s));
}

/* Bytes of the script into guest memory: address, length, bytes. */
static inline void net_fuzz_fill(struct net_kit *f, struct fuzz_script *s)
{
	gpa_t gpa = fuzz_take(s, 2) << 4;
	unsigned int len = fuzz_byte(s) & 63;
	uint8_t *p = kit_hva(&f->kit, gpa, 64);

	for (unsigned int i = 0; i < len; i++)
		p[i] = fuzz_byte(s);
}

static inline void net_fuzz_offer(struct net_kit *f, unsigned int queue,
				  struct fuzz_script *s)
{
	uint8_t head = fuzz_byte(s);

	/* Mostly heads that are there; a broken ring is the end of the run. */
	if (head < 0xf0)
		head &= (uint8_t)(f->kit.queue[queue].size - 1);
	kit_avail(&f->kit, queue, head);
}

static inline bool net_fuzz_broken(struct net_kit *f)
{
	return kit_read(&f->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

static inline void net_fuzz_open(struct net_kit *f)
{
	log_settings.level = LOG_OFF;
	memset(f, 0, sizeof(*f));
	net_kit_open(f);
}
