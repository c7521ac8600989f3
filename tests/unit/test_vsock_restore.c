// SPDX-License-Identifier: Apache-2.0
/*
 * test_vsock_restore.c - the socket device of a VM that goes on from a
 * snapshot: the guest learns of it before anybody new reaches it
 *
 * The guest does what Linux does: it keeps some buffers in the event queue,
 * and gives one back once it has ended its connections.
 */
#include "unit.h"

#include "vsock_kit.h"

#define NR_EVENTS 8u

struct rig {
	struct vk vk;
	gpa_t events;
	int listener;
};

static void add_event_buffer(struct rig *rig)
{
	const struct kit_buf buf = {rig->events, 4, true};

	(void)kit_add(&rig->vk.k, VSOCK_EVENT, &buf, 1);
	kit_kick(&rig->vk.k, VSOCK_EVENT);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	vk_open_running(&rig->vk);
	rig->events = kit_alloc(&rig->vk.k, 4);
	rig->listener = vk_listen(&rig->vk, 52, 5);
	for (unsigned int i = 0; i < NR_EVENTS; i++)
		add_event_buffer(rig);
	vk_pump(&rig->vk);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	(void)close(rig->listener);
	vk_close(&rig->vk);
	free(rig);
	return 0;
}

static void resume(struct rig *rig)
{
	virtio_dev_resume(rig->vk.k.dev);
	vk_pump(&rig->vk);
}

/* The guest sees the event; its buffer is not given back yet. */
static bool see_reset(struct rig *rig)
{
	struct kit_used used;

	memset(kit_hva(&rig->vk.k, rig->events, 4), 0xff, 4);
	vk_pump(&rig->vk);
	if (!kit_used(&rig->vk.k, VSOCK_EVENT, &used))
		return false;
	assert_int_equal(used.len, 4);
	return true;
}

static int call(struct rig *rig, const char *line)
{
	int fd = vk_client(&rig->vk);

	vk_write(fd, line, strlen(line));
	return fd;
}

/* The guest accepts the next connection of the host. */
static void accept_call(struct rig *rig, int fd, uint32_t guest_port)
{
	struct vk_packet h;
	char text[32] = {0};

	assert_true(vk_recv(&rig->vk, &h));
	assert_int_equal(h.op, VSOCK_OP_REQUEST);
	assert_int_equal(h.dst_port, guest_port);
	vk_send(&rig->vk, VSOCK_OP_RESPONSE, guest_port, h.src_port);
	assert_true(recv(fd, text, sizeof(text), 0) > 3);
	assert_memory_equal(text, "OK ", 3);
}

/* No REQUEST overtakes the reset, whenever the client came. */
static void clients_wait_for_the_guest(void **state)
{
	struct rig *rig = *state;
	struct vk_packet h;
	int before, after;

	vk_restore(&rig->vk, NULL);
	before = call(rig, "CONNECT 7\n");
	vk_pump(&rig->vk);
	resume(rig);
	after = call(rig, "CONNECT 8\n");
	assert_false(vk_recv(&rig->vk, &h));
	assert_true(see_reset(rig));
	assert_false(vk_recv(&rig->vk, &h));
	/* A kick of another queue is no answer. */
	kit_kick(&rig->vk.k, VSOCK_RX);
	assert_false(vk_recv(&rig->vk, &h));
	add_event_buffer(rig);
	accept_call(rig, before, 7);
	accept_call(rig, after, 8);
	assert_false(vk_recv(&rig->vk, &h));
	(void)close(before);
	(void)close(after);
}

/* With EVENT_IDX the guest kicks only if it was asked to. */
static void the_guest_is_asked_to_kick(void **state)
{
	struct rig *rig = *state;
	const struct kit_queue *q = &rig->vk.k.queue[VSOCK_EVENT];

	vk_restore(&rig->vk, NULL);
	resume(rig);
	assert_true(see_reset(rig));
	assert_int_equal(
		kit_get16(&rig->vk.k, q->used + 4 + q->size * (gpa_t)8),
		q->avail_idx);
}

/* The guest's REQUEST was under way when it was saved. */
static void the_guests_own_waits_too(void **state)
{
	struct rig *rig = *state;
	struct vk_packet h = vk_packet(VSOCK_OP_REQUEST, 1000, 52);
	struct kit_used used;

	virtio_dev_pause(rig->vk.k.dev);
	vk_queue(&rig->vk, &h, NULL);
	vk_restore(&rig->vk, NULL);
	resume(rig);
	assert_false(vk_recv(&rig->vk, &h));
	assert_true(kit_used(&rig->vk.k, VSOCK_TX, &used));
	assert_true(see_reset(rig));
	add_event_buffer(rig);
	assert_true(vk_recv(&rig->vk, &h));
	assert_int_equal(h.op, VSOCK_OP_RESPONSE);
	(void)close(vk_accept(rig->listener));
}

/* A guest that gives no buffer back, and one that has none for the event. */
static void it_is_not_waited_for_without_end(void **state)
{
	struct rig *rig = *state;
	struct vk_packet h;
	int fd;

	vk_restore(&rig->vk, NULL);
	resume(rig);
	fd = call(rig, "CONNECT 7\n");
	assert_true(see_reset(rig));
	assert_false(vk_recv(&rig->vk, &h));
	assert_true(vk_dev(&rig->vk)->hold_until_ns - now_ns() <=
		    VSOCK_HOLD_NS);
	vk_dev(&rig->vk)->hold_until_ns = 1;
	assert_int_equal(loop_step(&rig->vk.k.loop, 5000), 0);
	accept_call(rig, fd, 7);
	(void)close(fd);
}

/* Saved before its driver was done, which has no buffer for the event. */
static void nor_for_a_driver_that_comes_later(void **state)
{
	struct rig *rig = *state;
	struct virtio_dev *dev = rig->vk.k.dev;
	struct vsock_state saved;
	struct err err;

	dev->ops->save(dev, &saved);
	virtio_dev_pause(dev);
	dev->active = false;
	assert_int_equal(dev->ops->load(dev, &saved, &err), 0);
	resume(rig);
	assert_true(vk_dev(&rig->vk)->hold_until_ns == UINT64_MAX);
	dev->active = true; /* DRIVER_OK */
	virtio_dev_schedule(dev);
	vk_pump(&rig->vk);
	assert_true(vk_dev(&rig->vk)->holding);
	assert_true(vk_dev(&rig->vk)->ticking);
	assert_true(vk_dev(&rig->vk)->hold_until_ns - now_ns() <=
		    VSOCK_HOLD_NS);
}

/* The time counts while the guest runs. */
static void a_pause_does_not_end_it(void **state)
{
	struct rig *rig = *state;
	struct vsock *v;
	struct vk_packet h;
	uint64_t until;
	int fd;

	vk_restore(&rig->vk, NULL);
	v = vk_dev(&rig->vk);
	resume(rig);
	fd = call(rig, "CONNECT 7\n");
	until = v->hold_until_ns;
	virtio_dev_pause(rig->vk.k.dev);
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_step(&rig->vk.k.loop, 60), 0);
	resume(rig);
	assert_true(v->holding);
	assert_true(v->hold_until_ns > until);
	assert_true(v->hold_until_ns - now_ns() <= VSOCK_HOLD_NS);
	assert_false(vk_recv(&rig->vk, &h));
	assert_true(v->ticking);
	assert_true(see_reset(rig));
	add_event_buffer(rig);
	accept_call(rig, fd, 7);
	(void)close(fd);
}

static void a_device_reset_ends_it(void **state)
{
	struct rig *rig = *state;
	struct vk_packet h;
	int fd;

	vk_restore(&rig->vk, NULL);
	resume(rig);
	fd = call(rig, "CONNECT 7\n");
	vk_start(&rig->vk, 0, VK_SIZE);
	accept_call(rig, fd, 7);
	assert_false(vk_recv(&rig->vk, &h));
	(void)close(fd);
}

/* Saved again before the guest took the event: it is owed another, and the
 * first buffer that comes back does not stand for both. */
static void saved_again_at_once(void **state)
{
	struct rig *rig = *state;
	struct vk_packet h;
	int fd;

	vk_restore(&rig->vk, NULL);
	resume(rig);
	vk_restore(&rig->vk, NULL);
	resume(rig);
	fd = call(rig, "CONNECT 7\n");
	assert_true(see_reset(rig));
	add_event_buffer(rig);
	assert_false(vk_recv(&rig->vk, &h));
	assert_true(see_reset(rig));
	add_event_buffer(rig);
	accept_call(rig, fd, 7);
	(void)close(fd);
}

/* ---- ports ---- */

static uint32_t next_port(struct rig *rig)
{
	struct vk_packet h;
	uint32_t port;
	int fd = vk_call(&rig->vk, 9, &port);

	vk_send(&rig->vk, VSOCK_OP_RST, 9, port);
	(void)close(fd);
	assert_false(vk_recv(&rig->vk, &h));
	return port;
}

static void take_reset(struct rig *rig)
{
	resume(rig);
	assert_true(see_reset(rig));
	add_event_buffer(rig);
}

/* The guest may still hold sockets with the ports of before. */
static void host_ports_go_on_counting(void **state)
{
	struct rig *rig = *state;
	uint32_t last = 0;

	for (int i = 0; i < 5; i++)
		last = next_port(rig);
	vk_restore(&rig->vk, NULL);
	take_reset(rig);
	assert_int_equal(next_port(rig), last + 1);
}

static void forget_port(struct vsock_state *state)
{
	state->next_port = 0;
}

/* A state of a format before 2.1 does not tell. */
static void ports_of_an_older_snapshot(void **state)
{
	struct rig *rig = *state;
	uint32_t last = next_port(rig);

	vk_restore(&rig->vk, forget_port);
	take_reset(rig);
	assert_true(next_port(rig) - last > 1u << 20);
}

static void last_port(struct vsock_state *state)
{
	state->next_port = VSOCK_LAST_PORT;
}

static void ports_begin_again_after_the_last(void **state)
{
	struct rig *rig = *state;

	vk_restore(&rig->vk, last_port);
	take_reset(rig);
	assert_int_equal(next_port(rig), 0x7fffffff);
	assert_int_equal(next_port(rig), 0x40000000);
}

static void ports_that_are_none(void **state)
{
	static const uint64_t bad[] = {1, 0x3fffffff, 0x80000000, UINT64_MAX};
	struct rig *rig = *state;
	struct vsock_state saved = {.guest_cid = VK_CID};
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		saved.next_port = bad[i];
		assert_int_equal(
			rig->vk.k.dev->ops->load(rig->vk.k.dev, &saved, &err),
			-EINVAL);
		assert_non_null(strstr(err.text, "port"));
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(clients_wait_for_the_guest),
		T(the_guest_is_asked_to_kick),
		T(the_guests_own_waits_too),
		T(it_is_not_waited_for_without_end),
		T(nor_for_a_driver_that_comes_later),
		T(a_pause_does_not_end_it),
		T(a_device_reset_ends_it),
		T(saved_again_at_once),
		T(host_ports_go_on_counting),
		T(ports_of_an_older_snapshot),
		T(ports_begin_again_after_the_last),
		T(ports_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
