// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtq_flips.c - a driver that takes back what it made available
 *
 * A device that found its ring empty asks for a kick and looks once more. Here
 * the driver is always in time (the linker's --wrap): a chain is there at the
 * second look and gone at the next first one. Whatever it does, one call of
 * the device ends, and the event loop has its turn.
 */
#include "unit.h"

#include "blk_rig.h"
#include "dev/balloon.h"
#include "dev/rng.h"
#include "vsock_kit.h"

/* More looks than any device may take in one go. */
#define LOOKS_MAX 1024u

bool __real_virtq_enable_kicks(struct virtq *q);
bool __wrap_virtq_enable_kicks(struct virtq *q);

static struct flips {
	bool on;
	unsigned int looks;
} flips;

bool __wrap_virtq_enable_kicks(struct virtq *q)
{
	uint8_t *idx = q->hva_avail + 2;
	bool more;

	if (!flips.on)
		return __real_virtq_enable_kicks(q);
	if (++flips.looks > LOOKS_MAX) {
		print_error("a device looks without end\n");
		abort();
	}
	store_le16(idx, (uint16_t)(load_le16(idx) + 1));
	more = __real_virtq_enable_kicks(q);
	store_le16(idx, (uint16_t)(load_le16(idx) - 1));
	return more;
}

/* One round of the loop: it ends, and another one was asked for. */
static void one_round(struct kit *k)
{
	flips = (struct flips){.on = true};
	for (unsigned int i = 0; i < k->dev->nr_queues; i++)
		kit_kick(k, i);
	assert_int_equal(loop_step(&k->loop, 0), 0);
	assert_true(flips.looks > 1);
	flips.looks = 0;
	assert_int_equal(loop_step(&k->loop, 0), 0);
	assert_true(flips.looks > 1);
	/* A driver that comes to its senses is served. */
	flips.on = false;
	kit_pump(k);
}

static void test_rng(void **state)
{
	struct err err = {0};
	struct kit_used used;
	struct kit_buf buf = {.len = 64, .write = true};
	struct rng *rng;
	struct kit k;

	(void)state;
	kit_open(&k);
	assert_int_equal(rng_new(&rng, &k.mem, &k.loop, &err), 0);
	kit_attach(&k, &rng->dev);
	kit_start(&k, kit_offered(&k), 16);
	one_round(&k);
	buf.gpa = kit_alloc(&k, buf.len);
	(void)kit_add(&k, 0, &buf, 1);
	kit_kick(&k, 0);
	assert_true(kit_wait_used(&k, 0, &used));
	assert_int_equal(used.len, buf.len);
	kit_close(&k);
}

static void test_balloon(void **state)
{
	struct balloon_params params = {.target_pages = 16};
	struct err err = {0};
	struct kit_used used;
	struct kit_buf buf = {.len = 4};
	struct balloon *balloon;
	struct kit k;

	(void)state;
	kit_open(&k);
	params.mem = &k.mem;
	params.loop = &k.loop;
	assert_int_equal(balloon_new(&balloon, &params, &err), 0);
	kit_attach(&k, &balloon->dev);
	kit_start(&k, kit_offered(&k), 16);
	one_round(&k);
	buf.gpa = kit_alloc(&k, buf.len);
	(void)kit_add(&k, 1, &buf, 1);
	kit_kick(&k, 1);
	assert_true(kit_wait_used(&k, 1, &used));
	kit_close(&k);
}

static void test_block(void **state)
{
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	one_round(&rig.kit);
	assert_int_equal(rig_request(&rig, T_IN, 3, SECTOR), S_OK);
	rig_close(&rig);
}

/* A packet of no connection is owed an RST: the RX ring is looked at. */
static void test_vsock_rx(void **state)
{
	const struct vk_packet h = vk_packet(VSOCK_OP_RW, 1000, 50);
	struct kit_used used;
	static struct vk vk;

	(void)state;
	vk_open(&vk);
	vk_start(&vk, VIRTIO_F_EVENT_IDX, 0);
	vk_queue(&vk, &h, NULL);
	one_round(&vk.k);
	assert_false(kit_used(&vk.k, VSOCK_RX, &used));
	vk_add_rx(&vk, 1);
	assert_true(kit_wait_used(&vk.k, VSOCK_RX, &used));
	assert_int_equal(used.len, 44);
	vk_close(&vk);
}

static void test_vsock_event(void **state)
{
	const struct vsock_state saved = {.guest_cid = VK_CID};
	struct err err = {0};
	struct kit_buf buf = {.len = 4, .write = true};
	struct kit_used used;
	static struct vk vk;

	(void)state;
	vk_open_running(&vk);
	assert_int_equal(vk.k.dev->ops->load(vk.k.dev, &saved, &err), 0);
	one_round(&vk.k);
	buf.gpa = kit_alloc(&vk.k, buf.len);
	(void)kit_add(&vk.k, VSOCK_EVENT, &buf, 1);
	kit_kick(&vk.k, VSOCK_EVENT);
	assert_true(kit_wait_used(&vk.k, VSOCK_EVENT, &used));
	assert_int_equal(used.len, 4);
	vk_close(&vk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rng),
		cmocka_unit_test(test_balloon),
		BOTH(test_block),
		cmocka_unit_test(test_vsock_rx),
		cmocka_unit_test(test_vsock_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
