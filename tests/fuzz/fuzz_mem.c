// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mem.c - memory hot-plug under any driver
 *
 * A script asks for any blocks, in buffers of any form, and plays the API's
 * part and a snapshot's between them. What is plugged, what the config space
 * says and which slots KVM has must agree, RAM must stay, and what is not
 * plugged is not found.
 */
#include "dev_fuzz.h"

#include "../unit/virtio_kit.h"

#include "base/fd.h"
#include "base/log.h"
#include "dev/mem.h"

#define STEPS 200u

#define TOTAL MIB(512)
#define SLOT  MIB(128)
#define BLOCK MIB(2)

/* Behind all that a script can name, which ends at 8 MiB. */
#define KEPT       MIB(12)
#define KEPT_BYTES MIB(1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
	struct kit kit;
	struct mem_dev *dev;
	gpa_t base;
	bool slot[TOTAL / SLOT];
	bool full;
};

static int set_slot(void *ctx, uint64_t off, bool there)
{
	struct machine *m = ctx;

	fuzz_check(off % SLOT == 0 && off < TOTAL);
	fuzz_check(m->slot[off / SLOT] != there);
	if (there && m->full)
		return -ENOMEM;
	m->slot[off / SLOT] = there;
	return 0;
}

static void start(struct machine *m, struct fuzz_script *s)
{
	struct kit *k = &m->kit;
	uint64_t more = (uint64_t)(fuzz_byte(s) & 3) << 28;

	k->next_gpa = MIB(9);
	memset(kit_hva(k, MIB(9), MIB(1)), 0, MIB(1));
	kit_start(k, MEM_F_UNPLUGGED_INACCESSIBLE | more, 16);
}

/* Buffers below 8 MiB, in the region, or nowhere. */
static struct kit_buf any_buffer(const struct machine *m, struct fuzz_script *s)
{
	uint8_t kind = fuzz_byte(s);
	struct kit_buf buf = {
		.gpa = fuzz_take(s, 2) << 7,
		.len = fuzz_byte(s),
		.write = kind & 1,
	};

	if (kind & 2)
		buf.gpa += m->base;
	if (kind & 4)
		buf.gpa += KIT_RAM_BYTES;
	return buf;
}

static void fill(struct machine *m, struct fuzz_script *s, gpa_t at)
{
	uint8_t *p = kit_hva(&m->kit, at, 24);
	uint8_t odd;

	store_le16(p, fuzz_byte(s) % 5);
	store_le64(p + 8, m->base + fuzz_take(s, 2) * BLOCK);
	store_le16(p + 16, (uint16_t)fuzz_take(s, 2));
	odd = fuzz_byte(s);
	if (odd > 250)
		p[odd % 24] = fuzz_byte(s);
}

static void request(struct machine *m, struct fuzz_script *s, bool good)
{
	struct kit *k = &m->kit;
	unsigned int nr = good ? 2 : 1 + fuzz_byte(s) % 4;
	struct kit_buf bufs[4] = {{MIB(8), 24, false}, {MIB(8) + 64, 10, true}};
	struct kit_used used;

	fill(m, s, MIB(8));
	for (unsigned int i = 0; i < nr && !good; i++)
		bufs[i] = any_buffer(m, s);
	if (!good && bufs[0].gpa < MIB(8) - 24)
		fill(m, s, bufs[0].gpa);
	(void)kit_add(k, 0, bufs, nr);
	kit_kick(k, 0);
	kit_pump(k);
	while (kit_used(k, 0, &used))
		fuzz_check(used.head < k->queue[0].size &&
			   (used.len == 0 || used.len == 10));
}

/* What was saved is loaded: into what has been emptied, as another process. */
static void save_and_load(struct machine *m, struct fuzz_script *s)
{
	const struct virtio_dev_ops *ops = m->dev->dev.ops;
	const struct mem_slots slots = {set_slot, m};
	cleanup_free void *state = calloc(1, ops->state->size);
	uint64_t was = m->dev->space.plugged_size;
	struct err err;

	fuzz_check(state != NULL);
	ops->save(&m->dev->dev, state);
	ops->destroy(&m->dev->dev);
	fuzz_check(gmem_unplug(&m->kit.mem, m->base, TOTAL) == 0);
	memset(m->slot, 0, sizeof(m->slot));
	m->full = false;
	fuzz_check(mem_dev_new(&m->dev, &m->kit.mem, &m->kit.loop, &slots,
			       &err) == 0);
	kit_attach(&m->kit, &m->dev->dev);
	fuzz_check(ops->load(&m->dev->dev, state, &err) == 0);
	fuzz_check(m->dev->space.plugged_size == was);
	schema_free(ops->state, state);
	start(m, s);
}

static void step(struct machine *m, struct fuzz_script *s)
{
	uint8_t op = fuzz_byte(s);

	switch (op % 8) {
	case 0:
		start(m, s);
		break;
	case 1:
		kit_set_config(&m->kit, fuzz_byte(s) % 60, fuzz_take(s, 4),
			       1u << op % 4);
		break;
	case 2:
		(void)!mem_dev_request(m->dev, fuzz_take(s, 2) * MIB(1));
		break;
	case 3:
		save_and_load(m, s);
		break;
	case 4:
		m->full = op & 0x80;
		break;
	default:
		request(m, s, op % 8 != 5);
		break;
	}
}

static void check(const struct machine *m)
{
	const struct gmem_region *r = gmem_hot(&m->kit.mem);
	const struct mem_config_space *space = &m->dev->space;

	fuzz_check(space->plugged_size == gmem_plugged(r, m->base, TOTAL));
	fuzz_check(space->block_size == BLOCK && space->addr == m->base);
	fuzz_check(space->usable_region_size % SLOT == 0);
	fuzz_check(space->requested_size <= space->usable_region_size &&
		   space->usable_region_size <= TOTAL);
	for (uint64_t off = 0; off < TOTAL; off += SLOT)
		fuzz_check(m->slot[off / SLOT] ==
			   (gmem_plugged(r, m->base + off, SLOT) > 0));
	for (uint64_t off = 0; off < TOTAL; off += BLOCK)
		fuzz_check((gmem_find(&m->kit.mem, m->base + off, BLOCK) !=
			    NULL) ==
			   (gmem_plugged(r, m->base + off, BLOCK) == BLOCK));
}

static void make(struct machine *m)
{
	const struct mem_slots slots = {set_slot, m};
	struct gmem_spec spec = {
		.kind = GMEM_HOT,
		.size = TOTAL,
		.slot_bytes = SLOT,
		.block_bytes = BLOCK,
		.fd = -1,
	};
	struct err err;

	kit_open(&m->kit);
	m->base = spec.gpa = gmem_room(&m->kit.mem, GIB(1));
	fuzz_check(gmem_add(&m->kit.mem, &spec, &err) == 0);
	fuzz_check(mem_dev_new(&m->dev, &m->kit.mem, &m->kit.loop, &slots,
			       &err) == 0);
	kit_attach(&m->kit, &m->dev->dev);
	memset(kit_hva(&m->kit, KEPT, KEPT_BYTES), 0xa5, KEPT_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = {0};
	struct fuzz_script s = {data, size};
	const uint8_t *kept;

	log_settings.level = LOG_OFF;
	make(&m);
	start(&m, &s);
	for (unsigned int i = 0; i < STEPS && s.left > 0; i++) {
		step(&m, &s);
		check(&m);
	}
	kept = kit_hva(&m.kit, KEPT, KEPT_BYTES);
	fuzz_check(kept[0] == 0xa5 &&
		   memcmp(kept, kept + 1, KEPT_BYTES - 1) == 0);
	kit_close(&m.kit);
	return 0;
}
