// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtio_mmio.c - the transport against drivers that mean harm
 *
 * The names are those of known bugs of other hypervisors, by number: T1 to T4.
 */
#include "unit.h"

#include "virtio/state.h"
#include "virtio_fixture.h"

#include <errno.h>

static void test_registers_that_identify(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	assert_int_equal(kit_read(k, KIT_MAGIC), 0x74726976);
	assert_int_equal(kit_read(k, KIT_VERSION), 2);
	assert_int_equal(kit_read(k, KIT_DEVICE_ID), ECHO_ID);
	assert_int_equal(kit_read(k, 0x0b0), UINT32_MAX); /* no shared memory */
	assert_int_equal(kit_read(k, 0x0bc), UINT32_MAX);
	assert_int_equal(kit_offered(k), ECHO_FEATURES | VIRTIO_F_VERSION_1 |
						 VIRTIO_F_INDIRECT_DESC |
						 VIRTIO_F_EVENT_IDX);
	kit_write(k, KIT_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(kit_read(k, KIT_DEVICE_FEATURES), 0);
	kit_write(k, KIT_DEVICE_FEATURES_SEL, UINT32_MAX);
	assert_int_equal(kit_read(k, KIT_DEVICE_FEATURES), 0);
}

static void test_t1_queues_that_are_not_there(void **state)
{
	static const uint32_t sel[] = {
		ECHO_QUEUES, ECHO_QUEUES + 1, 5,          255,        0x7fff,
		0xffff,      0x80000000,      0x80000001, UINT32_MAX,
	};
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	kit_start(k, 0, 16);
	for (size_t i = 0; i < ARRAY_SIZE(sel); i++) {
		kit_write(k, KIT_QUEUE_SEL, sel[i]);
		assert_int_equal(kit_read(k, KIT_QUEUE_NUM_MAX), 0);
		assert_int_equal(kit_read(k, KIT_QUEUE_READY), 0);
		kit_write(k, KIT_QUEUE_NOTIFY, sel[i]);
		for (uint64_t reg = 0; reg < 0x100; reg += 4) {
			(void)kit_read(k, reg);
			if (reg != KIT_STATUS && reg != KIT_QUEUE_SEL)
				kit_write(k, reg, 0x5a5a5a5a);
		}
		kit_pump(k);
	}
	assert_true(round_trip(k, 0, false));
}

/* Every place and width, near the ends of 32 and 64 bits, too. */
static void test_t2_config_space(void **state)
{
	static const uint64_t far[] = {
		0xfff,           0x1000,         UINT32_MAX - 8, UINT32_MAX,
		UINT64_MAX - 64, UINT64_MAX - 8, UINT64_MAX - 1, UINT64_MAX,
	};
	static const unsigned int widths[] = {1, 2, 4, 8};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint8_t before[8];

	kit_start(k, 0, 16);
	memcpy(before, f->echo->config, sizeof(before));
	for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
		unsigned int width = widths[w];

		for (uint64_t off = 0; off < 0x40; off++) {
			uint64_t want = 0;

			if (off + width <= sizeof(before))
				memcpy(&want, before + off, width);
			assert_true(kit_config(k, off, width) == want);
			/* What lies beyond, or partly, is not written. */
			if (off + width > sizeof(before) || off + width <= 4)
				kit_set_config(k, off, 0, width);
		}
		for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
			assert_true(kit_config(k, far[i] - KIT_CONFIG, width) ==
					    0 ||
				    far[i] < KIT_CONFIG);
			kit_set_config(k, far[i] - KIT_CONFIG, 0, width);
		}
	}
	assert_memory_equal(f->echo->config, before, sizeof(before));
	kit_set_config(k, 4, 0x11223344, 4);
	assert_int_equal(kit_config(k, 4, 4), 0x11223344);
}

/* Registers are 4 bytes wide and nothing else. */
static void test_t2_widths(void **state)
{
	static const unsigned int widths[] = {1, 2, 8};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint8_t data[8];

	kit_start(k, 0, 16);
	for (uint64_t off = 0; off < KIT_CONFIG; off++) {
		for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
			memset(data, 0, sizeof(data));
			assert_int_not_equal(
				virtio_mmio_bus_ops.write(&k->mmio, off, data,
							  widths[w]),
				0);
			assert_int_not_equal(
				virtio_mmio_bus_ops.read(&k->mmio, off, data,
							 widths[w]),
				0);
		}
		if (off % 4 != 0)
			assert_int_not_equal(virtio_mmio_bus_ops.write(
						     &k->mmio, off, data, 4),
					     0);
	}
	assert_int_equal(kit_read(k, KIT_STATUS), 0xf);
	assert_true(round_trip(k, 1, false));
}

/**
 * struct model - what the specification says that the device is
 * @status, @features: as the driver may read or has written them
 */
struct model {
	uint32_t status;
	uint64_t features;
	uint64_t offered;
};

static bool model_accepts(const struct model *m)
{
	return !(m->features & ~m->offered) && m->features & VIRTIO_F_VERSION_1;
}

/* The ladder of 3.1.1: each rung stands on those below it. */
static bool model_ladder(uint32_t status)
{
	static const uint32_t rungs[] = {1, 2, 8, 4};
	bool gap = false;

	for (size_t i = 0; i < ARRAY_SIZE(rungs); i++) {
		if (!(status & rungs[i]))
			gap = true;
		else if (gap)
			return false;
	}
	return true;
}

static void model_write_status(struct model *m, uint32_t v)
{
	if (v > 255)
		return;
	if (v == 0) {
		m->status = 0;
		m->features = 0;
		return;
	}
	v &= 1 | 2 | 4 | 8 | 64 | 128;
	if ((v | m->status) & 64 || (m->status & ~v) || !model_ladder(v))
		return;
	if (v & ~m->status & 8 && !model_accepts(m))
		v &= ~(4u | 8u);
	m->status = v;
}

static void model_write_features(struct model *m, uint32_t sel, uint32_t v)
{
	if (sel > 1 || !(m->status & 2) || m->status & 8)
		return;
	m->features &= ~(0xffffffffull << sel * 32);
	m->features |= (uint64_t)v << sel * 32;
}

static uint32_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* A random walk over status and features; kicks on the way. */
static void test_t3_random_walk(void **state)
{
	static const uint32_t v[] = {0,  1,  3,   7,   11,  15,    0x1f,
				     79, 64, 128, 143, 255, 0x10f, UINT32_MAX};
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct model m = {.offered = kit_offered(k)};
	const uint32_t features[] = {
		(uint32_t)m.offered, 0,
		ECHO_FEATURES,       2,
		UINT32_MAX,          (uint32_t)(VIRTIO_F_VERSION_1 >> 32),
	};
	unsigned int ran = 0;
	uint64_t seed = 42;

	for (unsigned int i = 0; i < 200000; i++) {
		uint32_t r = random_next(&seed), sel = r >> 8 & 3;

		if (r % 16 < 9) {
			uint32_t s = v[random_next(&seed) % ARRAY_SIZE(v)];

			/* Some resets, and many steps up the ladder. */
			if (s == 0 && r & 0x10000)
				continue;
			kit_write(k, KIT_STATUS, s);
			model_write_status(&m, s);
		} else if (r % 16 < 14) {
			uint32_t x = features[random_next(&seed) %
					      ARRAY_SIZE(features)];

			kit_write(k, KIT_DRIVER_FEATURES_SEL, sel);
			kit_write(k, KIT_DRIVER_FEATURES, x);
			model_write_features(&m, sel, x);
		} else {
			kit_write(k, KIT_QUEUE_NOTIFY, sel);
			kit_pump(k);
		}
		assert_int_equal(kit_read(k, KIT_STATUS), m.status);
		assert_int_equal(k->dev->active, (m.status & 4) != 0);
		ran += m.status & 4 ? 1 : 0;
	}
	assert_true(ran > 1000);
	assert_int_equal(f->echo->nr_chains, 0);
}

/* Kicked before it is ready, with a ring full of work. */
static void test_t3_queue_not_ready(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct kit_used used;

	assert_true(kit_negotiate(k, VIRTIO_F_VERSION_1));
	assert_true(kit_add_queue(k, 0, 16));
	(void)kit_add(k, 0, &buf, 1);
	kit_kick(k, 0);
	kit_pump(k);
	assert_false(kit_used(k, 0, &used));
	kit_write(k, KIT_QUEUE_READY, 0);
	kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
	kit_kick(k, 0);
	kit_pump(k);
	assert_int_equal(kit_read(k, KIT_STATUS), 0xf);
	assert_false(kit_used(k, 0, &used));
}

static void test_t4_features_not_offered(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint64_t offered = kit_offered(k);

	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t features = 1ull << bit | VIRTIO_F_VERSION_1;

		assert_int_equal(kit_negotiate(k, features),
				 (features & ~offered) == 0);
		kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
		assert_int_equal(k->dev->active, (features & ~offered) == 0);
	}
	assert_false(kit_negotiate(k, 0)); /* a legacy driver */
	assert_false(kit_negotiate(k, offered & ~VIRTIO_F_VERSION_1));
	assert_true(kit_negotiate(k, offered));
}

static uint32_t register_of(struct virtio_mmio *m, uint64_t reg)
{
	uint8_t data[4];

	assert_int_equal(virtio_mmio_bus_ops.read(m, reg, data, 4), 0);
	return load_le32(data);
}

static void set_status_of(struct virtio_mmio *m, uint8_t status)
{
	const uint8_t data[4] = {status};

	assert_int_equal(virtio_mmio_bus_ops.write(m, KIT_STATUS, data, 4), 0);
}

/* Whoever comes second, by the other window, finds no device until a reset. */
static void test_two_windows(void **state)
{
	struct fixture *f = *state;
	struct virtio_dev *dev = f->kit.dev;
	struct virtio_mmio pair[2];

	virtio_mmio_init_pair(pair, dev);
	for (unsigned int i = 0; i < 4; i++) {
		struct virtio_mmio *mine = &pair[i & 1],
				   *other = &pair[!(i & 1)];

		assert_int_equal(register_of(mine, KIT_DEVICE_ID),
				 dev->ops->id);
		assert_int_equal(register_of(other, KIT_DEVICE_ID),
				 dev->ops->id);
		set_status_of(mine, VIRTIO_STATUS_ACKNOWLEDGE);
		assert_int_equal(register_of(mine, KIT_DEVICE_ID),
				 dev->ops->id);
		assert_int_equal(register_of(other, KIT_DEVICE_ID), 0);
		/* It is the owner's, whatever comes by the other window. */
		set_status_of(other,
			      VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
		assert_int_equal(register_of(mine, KIT_DEVICE_ID),
				 dev->ops->id);
		assert_int_equal(register_of(other, KIT_DEVICE_ID), 0);
		set_status_of(i < 2 ? mine : other, 0);
	}
}

/* The window that the driver uses, and what it selected there, is saved. */
static void test_two_windows_saved(void **state)
{
	struct fixture *f = *state;
	struct virtio_state saved = {0};
	struct virtio_mmio pair[2];
	const uint8_t one[4] = {1};
	struct err err = {0};

	virtio_mmio_init_pair(pair, f->kit.dev);
	set_status_of(&pair[1], VIRTIO_STATUS_ACKNOWLEDGE);
	assert_int_equal(
		virtio_mmio_bus_ops.write(&pair[1], KIT_QUEUE_SEL, one, 4), 0);
	virtio_mmio_save(pair, &saved);
	assert_int_equal(saved.window, 1);
	assert_int_equal(saved.queue_sel, 1);

	set_status_of(&pair[0], 0);
	virtio_mmio_init_pair(pair, f->kit.dev);
	assert_int_equal(virtio_mmio_load(pair, &saved, &err), 0);
	assert_true(virtio_mmio_hidden(&pair[0]));
	assert_false(virtio_mmio_hidden(&pair[1]));
	assert_int_equal(pair[1].queue_sel, 1);

	saved.window = 2;
	assert_int_equal(virtio_mmio_load(pair, &saved, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no window 2"));
}

static void count_notify(void *ctx, const struct virtio_mmio *m)
{
	unsigned int *calls = ctx;

	assert_non_null(m->dev);
	(*calls)++;
}

/* The machine hears of the first kick of each window, and the device of all. */
static void test_first_notify_is_told_once(void **state)
{
	struct fixture *f = *state;
	const uint8_t queue[4] = {0};
	struct virtio_mmio pair[2];
	unsigned int calls[2] = {0};

	virtio_mmio_init_pair(pair, f->kit.dev);
	for (unsigned int i = 0; i < 2; i++) {
		pair[i].first_notify = count_notify;
		pair[i].ctx = &calls[i];
	}
	for (unsigned int n = 0; n < 6; n++) {
		uint64_t kicks = 0;

		assert_int_equal(virtio_mmio_bus_ops.write(&pair[n > 2],
							   KIT_QUEUE_NOTIFY,
							   queue, 4),
				 0);
		assert_int_equal(calls[0], 1);
		assert_int_equal(calls[1], n > 2);
		assert_int_equal(read(f->kit.dev->kick_fd, &kicks, 8), 8);
		assert_int_equal(kicks, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		echo_test(test_registers_that_identify),
		echo_test(test_t1_queues_that_are_not_there),
		echo_test(test_t2_config_space),
		echo_test(test_t2_widths),
		echo_test(test_t3_random_walk),
		echo_test(test_t3_queue_not_ready),
		echo_test(test_t4_features_not_offered),
		echo_test(test_two_windows),
		echo_test(test_two_windows_saved),
		echo_test(test_first_notify_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
