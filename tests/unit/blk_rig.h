/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_rig.h - a block device on a scratch file, and a driver that asks it
 */
#pragma once

#include "unit.h"

#include "dev/blk.h"
#include "virtio_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* As the specification has them (virtio 1.2, 5.2). */
enum {
	T_IN = 0,
	T_OUT = 1,
	T_SCSI = 2,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_LIFETIME = 10,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
	T_SECURE_ERASE = 14,
};

enum {
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2,
	S_NONE = 0xee, /* what the driver put there */
};

#define F_RO           (1ull << 5)
#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

#define SECTOR         512u
#define DISK_SECTORS   128u
#define DISK_BYTES     65536u

enum engine {
	SYNC,
	ASYNC,
};

/**
 * struct rig - one device and its driver
 * @fd:		the disk
 * @header, @status, @data: guest memory of the next request
 */
struct rig {
	struct kit kit;
	struct blk *blk;
	int fd;
	gpa_t header;
	gpa_t status;
	gpa_t data;
};

/* An unlinked file of @bytes in @folder, no byte of it zero. */
static inline int scratch_file(const char *folder, size_t bytes)
{
	char path[128];
	uint8_t block[SECTOR];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/volt-blk-XXXXXX", folder);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 0; i < bytes; i += SECTOR) {
		memset(block, (int)(i / SECTOR % 255 + 1), SECTOR);
		assert_int_equal(pwrite(fd, block, SECTOR, (off_t)i), SECTOR);
	}
	return fd;
}

static inline struct blk_params rig_params(struct rig *rig, enum engine engine)
{
	struct blk_params params = {
		.id = "rootfs",
		.mem = &rig->kit.mem,
		.loop = &rig->kit.loop,
		.kind = engine == ASYNC ? BLOCK_ENGINE_ASYNC
					: BLOCK_ENGINE_SYNC,
	};

	return params;
}

static inline void rig_begin(struct rig *rig, int fd)
{
	memset(rig, 0, sizeof(*rig));
	rig->fd = fd;
	kit_open(&rig->kit);
}

/* The device that @params describe, on @fd; not started. */
static inline void rig_make(struct rig *rig, const struct blk_params *params)
{
	struct err err = {0};

	assert_int_equal(blk_new(&rig->blk, params, &err), 0);
	assert_true(blk_is_async(rig->blk) ==
		    (params->kind == BLOCK_ENGINE_ASYNC));
	kit_attach(&rig->kit, blk_dev(rig->blk));
	rig->header = kit_alloc(&rig->kit, 64);
	rig->status = kit_alloc(&rig->kit, 16);
	rig->data = kit_alloc(&rig->kit, DISK_BYTES + SECTOR);
}

/* A started one on a scratch file, with everything that it offers. */
static inline void rig_open(struct rig *rig, enum engine engine)
{
	struct blk_params params;

	rig_begin(rig, scratch_file(".", DISK_BYTES));
	params = rig_params(rig, engine);
	params.flush = true;
	assert_int_equal(block_file_init(&params.file, rig->fd), 0);
	rig_make(rig, &params);
	kit_start(&rig->kit, kit_offered(&rig->kit), 256);
}

static inline void rig_close(struct rig *rig)
{
	kit_close(&rig->kit);
	(void)close(rig->fd);
}

static inline void rig_put_header(struct rig *rig, uint32_t type,
				  uint64_t sector)
{
	uint8_t *p = kit_hva(&rig->kit, rig->header, 16);

	store_le32(p, type);
	store_le32(p + 4, 0);
	store_le64(p + 8, sector);
	*(uint8_t *)kit_hva(&rig->kit, rig->status, 1) = S_NONE;
}

static inline uint8_t rig_status(struct rig *rig)
{
	return *(uint8_t *)kit_hva(&rig->kit, rig->status, 1);
}

static inline uint8_t *rig_data(struct rig *rig)
{
	return kit_hva(&rig->kit, rig->data, DISK_BYTES);
}

/* Offer the chain and wait for it. Return: the used length. */
static inline uint32_t rig_run(struct rig *rig, const struct kit_buf *bufs,
			       unsigned int nr)
{
	struct kit_used used = {0};
	uint16_t head = kit_add(&rig->kit, 0, bufs, nr);

	kit_kick(&rig->kit, 0);
	assert_true(kit_wait_used(&rig->kit, 0, &used));
	assert_int_equal(used.head, head);
	return used.len;
}

/* Header, @len bytes of data, status; as Linux does. Return: the status. */
static inline uint8_t rig_request(struct rig *rig, uint32_t type,
				  uint64_t sector, uint32_t len)
{
	bool write = type == T_IN || type == T_GET_ID;
	const struct kit_buf bufs[] = {
		{rig->header, 16, false},
		{rig->data, len, write},
		{rig->status, 1, true},
	};

	rig_put_header(rig, type, sector);
	(void)rig_run(rig, bufs, 3);
	return rig_status(rig);
}

/* DISCARD or WRITE_ZEROES of one range. */
static inline uint8_t rig_range(struct rig *rig, uint32_t type, uint64_t sector,
				uint32_t sectors, uint32_t flags)
{
	uint8_t *p = rig_data(rig);

	store_le64(p, sector);
	store_le32(p + 8, sectors);
	store_le32(p + 12, flags);
	return rig_request(rig, type, 0, 16);
}

/* Is [@sector, +@nr) of the disk what scratch_file() wrote? */
static inline bool disk_is_original(int fd, uint64_t sector, uint64_t nr)
{
	uint8_t block[SECTOR];

	for (uint64_t i = sector; i < sector + nr; i++) {
		if (pread(fd, block, SECTOR, (off_t)(i * SECTOR)) != SECTOR)
			return false;
		for (unsigned int n = 0; n < SECTOR; n++)
			if (block[n] != i % 255 + 1)
				return false;
	}
	return true;
}

static inline bool disk_is_zero(int fd, uint64_t sector, uint64_t nr)
{
	uint8_t block[SECTOR];

	for (uint64_t i = sector; i < sector + nr; i++) {
		if (pread(fd, block, SECTOR, (off_t)(i * SECTOR)) != SECTOR)
			return false;
		for (unsigned int n = 0; n < SECTOR; n++)
			if (block[n])
				return false;
	}
	return true;
}

/* Every test that has both engines: the prestate is the engine. */
#define ENGINE(state) (*(state) ? ASYNC : SYNC)
#define BOTH(test)                               \
	{#test " sync", test, NULL, NULL, NULL}, \
		{#test " async", test, NULL, NULL, (void *)(uintptr_t)1}
