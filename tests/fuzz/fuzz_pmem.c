// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_pmem.c - files that are memory, under any driver
 *
 * A script offers chains of any form, whose buffers may lie in RAM, in the file
 * that the guest may write, in one that it may only read, or nowhere. The file
 * that may only be read stays as it was, as RAM that no buffer names does, and
 * each chain comes back once.
 */
#include "dev_fuzz.h"

#include "../unit/virtio_kit.h"

#include "base/fd.h"
#include "base/log.h"
#include "dev/pmem.h"

#include <sys/mman.h>

#define STEPS      200u
#define FILE_BYTES (MIB(1) + 100)

/* Behind all that a script can name, which ends at 8 MiB. */
#define KEPT       MIB(12)
#define KEPT_BYTES MIB(1)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct machine {
	struct kit kit;
	struct pmem *dev;
	int fd[2]; /* the second to read only */
	unsigned int out;
};

static void start(struct machine *m, struct fuzz_script *s)
{
	struct kit *k = &m->kit;
	uint64_t more = (uint64_t)(fuzz_byte(s) & 3) << 28;

	k->next_gpa = MIB(9);
	memset(kit_hva(k, MIB(9), MIB(1)), 0, MIB(1));
	kit_start(k, more, 16);
	m->out = 0;
}

static struct kit_buf any_buffer(const struct machine *m, struct fuzz_script *s)
{
	uint8_t kind = fuzz_byte(s);
	struct kit_buf buf = {
		.gpa = fuzz_take(s, 2) << 7,
		.len = fuzz_byte(s),
		.write = kind & 1,
	};

	if (kind & 6)
		buf.gpa += gmem_device(&m->kit.mem, kind & 2 ? 0 : 1)->gpa;
	if (kind & 8)
		buf.gpa += GIB(1);
	return buf;
}

static void collect(struct machine *m)
{
	struct kit_used used;

	while (kit_used(&m->kit, 0, &used)) {
		fuzz_check(used.head < m->kit.queue[0].size);
		fuzz_check(used.len == 0 || used.len == 4);
		fuzz_check(m->out-- > 0);
	}
}

static void request(struct machine *m, struct fuzz_script *s, bool good)
{
	struct kit *k = &m->kit;
	unsigned int nr = good ? 2 : 1 + fuzz_byte(s) % 4;
	struct kit_buf bufs[4] = {{MIB(8), 4, false}, {MIB(8) + 64, 4, true}};

	store_le32(kit_hva(k, MIB(8), 4), fuzz_byte(s) % 3);
	for (unsigned int i = 0; i < nr && !good; i++)
		bufs[i] = any_buffer(m, s);
	(void)kit_add(k, 0, bufs, nr);
	m->out++;
	kit_kick(k, 0);
	kit_pump(k);
	collect(m);
}

static void make_device(struct machine *m)
{
	const struct pmem_params params = {
		.id = "p",
		.mem = &m->kit.mem,
		.loop = &m->kit.loop,
		.region = gmem_device(&m->kit.mem, 0),
		.fd = m->fd[0],
		.file_bytes = FILE_BYTES,
	};
	struct err err;

	fuzz_check(pmem_new(&m->dev, &params, &err) == 0);
	kit_attach(&m->kit, &m->dev->dev);
}

/* What a state may say is judged; what was saved is loaded. */
static void save_and_load(struct machine *m, struct fuzz_script *s)
{
	const struct virtio_dev_ops *ops = m->dev->dev.ops;
	cleanup_free uint8_t *state = calloc(1, ops->state->size);
	uint8_t at = fuzz_byte(s), flip = fuzz_byte(s);
	struct err err;

	fuzz_check(state != NULL);
	ops->save(&m->dev->dev, state);
	ops->destroy(&m->dev->dev);
	make_device(m);
	state[at % ops->state->size] ^= flip;
	fuzz_check((ops->load(&m->dev->dev, state, &err) == 0) == (flip == 0));
	start(m, s);
}

static void limit(struct machine *m, struct fuzz_script *s)
{
	token_bucket_init(&m->dev->limiter.ops, fuzz_byte(s) % 4, 0,
			  fuzz_byte(s) % 2, 0);
	rate_limiter_changed(&m->dev->limiter);
	kit_pump(&m->kit);
	collect(m);
}

static void step(struct machine *m, struct fuzz_script *s)
{
	uint8_t op = fuzz_byte(s);

	switch (op % 8) {
	case 0:
		start(m, s);
		break;
	case 1:
		kit_set_config(&m->kit, fuzz_byte(s) % 16, fuzz_take(s, 4),
			       1u << op % 4);
		break;
	case 2:
		save_and_load(m, s);
		break;
	case 3:
		limit(m, s);
		break;
	default:
		/* A queue that waits takes no more than it has room for. */
		if (m->out > 2)
			start(m, s);
		request(m, s, op % 8 != 4);
		break;
	}
}

static void add_file(struct machine *m, unsigned int i)
{
	struct gmem_spec spec = {
		.kind = GMEM_DEVICE,
		.gpa = gmem_room(&m->kit.mem, MIB(2)),
		.size = MIB(2),
		.file_bytes = FILE_BYTES,
		.shared = true,
		.read_only = i == 1,
	};
	struct err err;

	m->fd[i] = spec.fd = memfd_create("pmem", MFD_CLOEXEC);
	fuzz_check(m->fd[i] >= 0 && ftruncate(m->fd[i], FILE_BYTES) == 0);
	fuzz_check(gmem_add(&m->kit.mem, &spec, &err) == 0);
}

static void check_untouched(struct machine *m)
{
	const uint8_t *kept = kit_hva(&m->kit, KEPT, KEPT_BYTES);
	const struct gmem_region *r = gmem_device(&m->kit.mem, 1);
	const uint8_t *zeros = gmem_find_const(&m->kit.mem, r->gpa, MIB(2));

	fuzz_check(kept[0] == 0xa5 &&
		   memcmp(kept, kept + 1, KEPT_BYTES - 1) == 0);
	fuzz_check(zeros && zeros[0] == 0 &&
		   memcmp(zeros, zeros + 1, MIB(2) - 1) == 0);
	fuzz_check(m->dev->space.start == gmem_device(&m->kit.mem, 0)->gpa &&
		   m->dev->space.size == MIB(2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = {0};
	struct fuzz_script s = {data, size};

	log_settings.level = LOG_OFF;
	kit_open(&m.kit);
	add_file(&m, 0);
	add_file(&m, 1);
	make_device(&m);
	memset(kit_hva(&m.kit, KEPT, KEPT_BYTES), 0xa5, KEPT_BYTES);
	start(&m, &s);
	for (unsigned int i = 0; i < STEPS && s.left > 0; i++)
		step(&m, &s);
	check_untouched(&m);
	kit_close(&m.kit);
	fd_close(&m.fd[0]);
	fd_close(&m.fd[1]);
	return 0;
}
