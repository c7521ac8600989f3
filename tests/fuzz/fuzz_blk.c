// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_blk.c - any driver asks a block device
 *
 * Two kinds of steps. Requests whose framing is right and whose contents are
 * anything: a model of the specification's rules says what the status and the
 * disk have to be. Descriptors and heads that are anything: no chain comes back
 * that was not offered. Always: the file keeps its size, and the loop has
 * nothing to do in the end.
 */
#include "dev_fuzz.h"

#include "../unit/virtio_kit.h"
#include "base/log.h"
#include "dev/blk.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define STEPS   200u
#define SECTOR  512u
#define SECTORS 64u
#define BYTES   32768u

/* Guest memory: what anything may write over lies below the rings. */
#define HEADER_AT 0x1000u
#define DATA_AT   0x10000u
#define RINGS_AT  MIB(2)

enum {
	T_IN = 0,
	T_OUT = 1,
	T_FLUSH = 4,
	T_GET_ID = 8,
	T_DISCARD = 11,
	T_WRITE_ZEROES = 13,
	S_OK = 0,
	S_IOERR = 1,
	S_UNSUPP = 2,
};

#define F_FLUSH        (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/**
 * struct world - the device and what it has to be like
 * @disk:	the model's
 * @offered, @used: chains since the last start
 */
struct world {
	struct kit kit;
	struct blk *blk;
	int fd;
	uint64_t features;
	bool read_only;
	uint64_t offered;
	uint64_t used;
	uint8_t disk[BYTES];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start(struct world *w, struct fuzz_script *s)
{
	uint64_t wish = fuzz_take(s, 2) | fuzz_take(s, 1) << 24;

	w->kit.next_gpa = RINGS_AT;
	memset(kit_hva(&w->kit, RINGS_AT, KIB(64)), 0, KIB(64));
	w->features = kit_offered(&w->kit) & wish;
	kit_start(&w->kit, w->features, (uint16_t)(16u << fuzz_byte(s) % 5));
	w->offered = 0;
	w->used = 0;
}

static void open_world(struct world *w, struct fuzz_script *s)
{
	uint8_t how = fuzz_byte(s);
	struct blk_params params = {
		.id = "fuzz",
		.mem = &w->kit.mem,
		.loop = &w->kit.loop,
		.read_only = (how & 6) == 6,
		.flush = how & 8,
		.kind = how & 1 ? BLOCK_ENGINE_ASYNC : BLOCK_ENGINE_SYNC,
	};
	struct err err;

	log_settings.level = LOG_OFF;
	memset(w, 0, sizeof(*w));
	kit_open(&w->kit);
	w->fd = memfd_create("disk", MFD_CLOEXEC);
	for (unsigned int i = 0; i < BYTES; i++)
		w->disk[i] = (uint8_t)(i / SECTOR + 1);
	fuzz_check(pwrite(w->fd, w->disk, BYTES, 0) == BYTES);
	fuzz_check(block_file_init(&params.file, w->fd) == 0);
	fuzz_check(blk_new(&w->blk, &params, &err) == 0);
	w->read_only = params.read_only;
	kit_attach(&w->kit, blk_dev(w->blk));
	start(w, s);
}

static void close_world(struct world *w)
{
	struct stat st;

	fuzz_check(fstat(w->fd, &st) == 0 && st.st_size == BYTES);
	kit_close(&w->kit);
	(void)close(w->fd);
}

static bool broken(struct world *w)
{
	return kit_read(&w->kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET;
}

/* ---- requests that are framed right ---- */

/**
 * struct request - as the model sees it
 * @len:	of data, in the direction that fits the type
 */
struct request {
	uint32_t type;
	uint64_t sector;
	uint32_t len;
};

/* Numbers near the edges, mostly. */
static uint64_t edgy(struct fuzz_script *s, uint64_t edge)
{
	uint8_t how = fuzz_byte(s);

	switch (how & 7) {
	case 0:
		return edge + (uint64_t)(how >> 3) - 8;
	case 1:
		return UINT64_MAX - (how >> 3);
	case 2:
		return (1ull << 55) - (how >> 3) + 8;
	case 3:
		return fuzz_take(s, 8);
	default:
		return fuzz_byte(s) % edge;
	}
}

static bool on_disk(uint64_t sector, uint64_t sectors)
{
	return sector <= SECTORS && sectors <= SECTORS - sector;
}

static uint8_t expect_transfer(struct world *w, const struct request *r,
			       uint8_t *data)
{
	uint8_t *at;

	if (r->len == 0 || r->len % SECTOR != 0 ||
	    !on_disk(r->sector, r->len / SECTOR))
		return S_IOERR;
	at = w->disk + r->sector * SECTOR;
	if (r->type == T_IN) {
		fuzz_check(memcmp(data, at, r->len) == 0);
		return S_OK;
	}
	if (w->read_only)
		return S_IOERR;
	memcpy(at, data, r->len);
	return S_OK;
}

static uint8_t expect_range(struct world *w, const struct request *r,
			    const uint8_t *data)
{
	bool zero = r->type == T_WRITE_ZEROES;
	uint64_t sector = load_le64(data);
	uint32_t sectors = load_le32(data + 8), flags = load_le32(data + 12);

	if (!(w->features & (zero ? F_WRITE_ZEROES : F_DISCARD)))
		return S_UNSUPP;
	if (r->len != 16)
		return S_IOERR;
	if ((flags & ~(zero ? 1u : 0u)) != 0)
		return S_UNSUPP;
	if (sectors == 0 || !on_disk(sector, sectors))
		return S_IOERR;
	memset(w->disk + sector * SECTOR, 0, (size_t)sectors * SECTOR);
	return S_OK;
}

static uint8_t expect(struct world *w, const struct request *r, uint8_t *data)
{
	switch (r->type) {
	case T_IN:
	case T_OUT:
		return expect_transfer(w, r, data);
	case T_DISCARD:
	case T_WRITE_ZEROES:
		return expect_range(w, r, data);
	case T_FLUSH:
		return w->features & F_FLUSH ? S_OK : S_UNSUPP;
	case T_GET_ID:
		return r->len >= 20 ? S_OK : S_IOERR;
	default:
		return S_UNSUPP;
	}
}

/* [@gpa, +@len) as up to @max buffers. */
static unsigned int cut(struct kit_buf *bufs, unsigned int max, gpa_t gpa,
			uint32_t len, bool write, struct fuzz_script *s)
{
	unsigned int nr = 0;

	while (len > 0) {
		uint32_t n = nr + 1 == max ? len : (uint32_t)fuzz_take(s, 2);

		n = n == 0 || n > len ? len : n;
		bufs[nr++] = (struct kit_buf){gpa, n, write};
		gpa += n;
		len -= n;
	}
	return nr;
}

static void make_data(struct world *w, struct fuzz_script *s,
		      const struct request *r)
{
	uint8_t *data = kit_hva(&w->kit, DATA_AT, BYTES + SECTOR);

	memset(data, fuzz_byte(s), BYTES);
	store_le64(data, edgy(s, SECTORS));
	store_le32(data + 8,
		   r->len & 1 ? fuzz_byte(s) : (uint32_t)edgy(s, SECTORS));
	store_le32(data + 12, fuzz_byte(s) & 3);
}

static void request(struct world *w, struct fuzz_script *s)
{
	static const uint32_t types[] = {T_IN,           T_OUT,     T_FLUSH,
					 T_GET_ID,       T_DISCARD, T_DISCARD,
					 T_WRITE_ZEROES, UINT32_MAX};
	uint8_t pick = fuzz_byte(s);
	struct request r = {
		.type = pick & 8 ? fuzz_byte(s) : types[pick & 7],
		.sector = edgy(s, SECTORS),
	};
	uint8_t *header = kit_hva(&w->kit, HEADER_AT, 16);
	struct kit_used used;
	struct kit_buf bufs[12];
	unsigned int nr;
	bool in;

	r.len = pick & 16 ? (uint32_t)fuzz_take(s, 2) % (BYTES + 1)
			  : fuzz_byte(s) % (SECTORS + 1) * SECTOR;
	if ((r.type == T_DISCARD || r.type == T_WRITE_ZEROES) && !(pick & 16))
		r.len = 16;
	in = r.type == T_IN || r.type == T_GET_ID;
	make_data(w, s, &r);
	store_le32(header, r.type);
	store_le64(header + 8, r.sector);
	nr = cut(bufs, 4, HEADER_AT, 16, false, s);
	/* The status byte is the last one, in a buffer of its own or not. */
	if (in && pick & 32) {
		nr += cut(bufs + nr, 6, DATA_AT, r.len + 1, true, s);
	} else {
		nr += cut(bufs + nr, 6, DATA_AT, r.len, in, s);
		bufs[nr++] = (struct kit_buf){DATA_AT + r.len, 1, true};
	}
	(void)kit_add(&w->kit, 0, bufs, nr);
	w->offered++;
	kit_kick(&w->kit, 0);
	fuzz_check(kit_wait_used(&w->kit, 0, &used));
	w->used++;
	fuzz_check(*(uint8_t *)kit_hva(&w->kit, DATA_AT + r.len, 1) ==
		   expect(w, &r, kit_hva(&w->kit, DATA_AT, BYTES)));
}

static void compare_disk(struct world *w)
{
	uint8_t block[SECTOR];

	for (unsigned int i = 0; i < SECTORS; i++) {
		fuzz_check(pread(w->fd, block, SECTOR, (off_t)i * SECTOR) ==
			   SECTOR);
		fuzz_check(memcmp(block, w->disk + (size_t)i * SECTOR,
				  SECTOR) == 0);
	}
}

/* ---- anything ---- */

static void reap(struct world *w)
{
	struct kit_used used;

	while (kit_used(&w->kit, 0, &used)) {
		fuzz_check(used.head < w->kit.queue[0].size);
		w->used++;
	}
	fuzz_check(w->used <= w->offered);
}

static void raw_desc(struct world *w, struct fuzz_script *s)
{
	unsigned int at = fuzz_byte(s) & (w->kit.queue[0].size - 1u);
	gpa_t gpa = fuzz_take(s, 2) << 4;
	uint32_t len = (uint32_t)fuzz_take(s, 2);
	uint16_t flags = fuzz_byte(s);

	if (flags & 0x80)
		gpa = KIT_RAM_BYTES + (gpa << 12) - (len & 15);
	kit_desc(&w->kit, 0, at, gpa, len, flags & 7, fuzz_byte(s));
}

/* Some steps of a driver of any intent, then a reset. */
static void anything(struct world *w, struct fuzz_script *s)
{
	for (unsigned int n = fuzz_byte(s) & 31; n > 0 && s->left > 0; n--) {
		uint8_t pick = fuzz_byte(s);
		uint8_t *p = kit_hva(&w->kit, (pick >> 3) * 64ull, 64);

		switch (pick & 7) {
		case 0 ... 2:
			raw_desc(w, s);
			break;
		case 3:
			for (unsigned int i = 0; i < 16; i++)
				p[i] = fuzz_byte(s);
			break;
		case 4 ... 5:
			kit_avail(&w->kit, 0, fuzz_byte(s));
			w->offered++;
			break;
		default:
			kit_kick(&w->kit, 0);
			kit_pump(&w->kit);
			break;
		}
	}
	kit_kick(&w->kit, 0);
	kit_pump(&w->kit);
	if (fuzz_byte(s) & 1 && !broken(w))
		reap(w);
	kit_write(&w->kit, KIT_STATUS, 0);
	kit_pump(&w->kit);
	fuzz_check(pread(w->fd, w->disk, BYTES, 0) == BYTES);
	start(w, s);
}

static void step(struct world *w, struct fuzz_script *s)
{
	switch (fuzz_byte(s) & 15) {
	case 0 ... 10:
		request(w, s);
		break;
	case 11 ... 12:
		anything(w, s);
		break;
	case 13:
		virtio_dev_pause(blk_dev(w->blk));
		fuzz_check(virtio_dev_drain(blk_dev(w->blk),
					    now_ns() + 20000000000ull) == 0);
		virtio_dev_resume(blk_dev(w->blk));
		break;
	case 14:
		start(w, s);
		break;
	default:
		compare_disk(w);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script s = {data, size};
	struct world *w = malloc(sizeof(*w));

	fuzz_check(w);
	open_world(w, &s);
	for (unsigned int i = 0; i < STEPS && s.left > 0; i++)
		step(w, &s);
	kit_pump(&w->kit);
	compare_disk(w);
	close_world(w);
	free(w);
	return 0;
}
