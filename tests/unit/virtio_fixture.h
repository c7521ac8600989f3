/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio_fixture.h - the echo device on the kit, as a cmocka fixture
 */
#pragma once

#include "virtio_echo.h"
#include "virtio_kit.h"

struct fixture {
	struct kit kit;
	struct echo *echo;
};

static inline int open_echo(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	kit_open(&f->kit);
	f->echo = echo_new(&f->kit.mem, &f->kit.loop);
	kit_attach(&f->kit, &f->echo->dev);
	*state = f;
	return 0;
}

static inline int close_echo(void **state)
{
	struct fixture *f = *state;

	kit_close(&f->kit);
	free(f);
	return 0;
}

#define echo_test(name) \
	cmocka_unit_test_setup_teardown(name, open_echo, close_echo)

/* Kick and run; then what came back. Return: false when nothing did. */
static inline bool serve(struct kit *k, unsigned int queue,
			 struct kit_used *used)
{
	kit_kick(k, queue);
	kit_pump(k);
	return kit_used(k, queue, used);
}

/* "abc" there, "abc" back. */
static inline bool round_trip(struct kit *k, unsigned int queue, bool indirect)
{
	struct kit_buf bufs[2] = {
		{kit_alloc(k, 3), 3, false},
		{kit_alloc(k, 8), 8, true},
	};
	struct kit_used used;
	uint16_t head;

	memcpy(kit_hva(k, bufs[0].gpa, 3), "abc", 3);
	head = indirect ? kit_add_indirect(k, queue, bufs, 2)
			: kit_add(k, queue, bufs, 2);
	return serve(k, queue, &used) && used.head == head && used.len == 3 &&
	       memcmp(kit_hva(k, bufs[1].gpa, 4), "abc\0", 4) == 0 &&
	       !kit_used(k, queue, &used);
}

/* True when the device asks for a reset, and works after it. */
static inline bool broken_until_reset(struct kit *k, uint64_t features)
{
	if (!(kit_read(k, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET) ||
	    !(kit_read(k, KIT_INTERRUPT_STATUS) & VIRTIO_INT_CONFIG))
		return false;
	kit_start(k, features, 16);
	return kit_read(k, KIT_STATUS) == 0xf && round_trip(k, 0, false);
}
