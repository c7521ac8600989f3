// SPDX-License-Identifier: Apache-2.0
/*
 * test_virtio_device.c - what all devices share: life, interrupts, threads
 */
#include "unit.h"

#include "virtio_fixture.h"

#include "virtio/state.h"

static void both_queues_direct_and_indirect(void **state)
{
	struct fixture *f = *state;

	kit_start(&f->kit, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, 8);
	for (unsigned int i = 0; i < 100; i++)
		assert_true(round_trip(&f->kit, i & 1, i & 2));
	assert_int_equal(f->echo->nr_chains, 100);
}

static void interrupt_and_acknowledge(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	kit_start(k, 0, 16);
	kit_pump(k);
	assert_int_equal(kit_irqs(k), 0);
	assert_true(round_trip(k, 0, false));
	assert_int_equal(kit_irqs(k), 1);
	assert_int_equal(kit_read(k, KIT_INTERRUPT_STATUS), VIRTIO_INT_QUEUE);
	virtio_dev_repeat_interrupt(k->dev);
	assert_int_equal(kit_irqs(k), 1);
	kit_write(k, KIT_INTERRUPT_ACK, VIRTIO_INT_CONFIG);
	assert_int_equal(kit_read(k, KIT_INTERRUPT_STATUS), VIRTIO_INT_QUEUE);
	kit_write(k, KIT_INTERRUPT_ACK, UINT32_MAX);
	assert_int_equal(kit_read(k, KIT_INTERRUPT_STATUS), 0);
	virtio_dev_repeat_interrupt(k->dev);
	assert_int_equal(kit_irqs(k), 0);
}

static void no_interrupt_when_not_wanted(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	kit_start(k, 0, 16);
	kit_put16(k, k->queue[0].avail, 1);
	assert_true(round_trip(k, 0, false));
	assert_int_equal(kit_irqs(k), 0);
	kit_put16(k, k->queue[0].avail, 0);
	assert_true(round_trip(k, 0, false));
	assert_int_equal(kit_irqs(k), 1);
}

/* used_event: an interrupt when the used index passes it, wherever it wraps. */
static void event_idx_decides(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_queue *q = &k->queue[0];

	kit_start(k, VIRTIO_F_EVENT_IDX, 16);
	for (unsigned int i = 0; i < 70000; i++) {
		uint16_t idx = q->used_idx, want = 0;

		if (i % 3 == 0)
			want = 1;
		kit_put16(k, q->avail + 4 + q->size * 2u,
			  (uint16_t)(want ? idx : idx + 1000));
		k->next_gpa = 0x100000;
		assert_true(round_trip(k, 0, false));
		assert_int_equal(kit_irqs(k), want);
		/* and we ask for a kick with the next chain */
		assert_int_equal(kit_get16(k, q->used + 4 + q->size * 8u),
				 q->avail_idx);
	}
}

static void config_changes(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	uint32_t generation = kit_read(k, KIT_CONFIG_GENERATION);

	virtio_dev_enter(k->dev);
	virtio_dev_config_changed(k->dev);
	virtio_dev_leave(k->dev);
	assert_int_not_equal(kit_read(k, KIT_CONFIG_GENERATION), generation);
	assert_int_equal(kit_irqs(k), 0); /* nobody listens yet */
	kit_start(k, 0, 16);
	virtio_dev_enter(k->dev);
	virtio_dev_config_changed(k->dev);
	virtio_dev_leave(k->dev);
	assert_int_equal(kit_irqs(k), 1);
	assert_int_equal(kit_read(k, KIT_INTERRUPT_STATUS), VIRTIO_INT_CONFIG);
}

static void activation_fails(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;

	f->echo->activate_result = -12;
	kit_start(k, 0, 16);
	assert_int_equal(kit_read(k, KIT_STATUS), 0x4f);
	assert_false(k->dev->active);
	f->echo->activate_result = 0;
	assert_true(broken_until_reset(k, 0));
}

/* Work that came before DRIVER_OK, and during a pause, is not forgotten. */
static void nothing_waits_unseen(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct kit_used used;

	assert_true(kit_negotiate(k, VIRTIO_F_VERSION_1));
	assert_true(kit_add_queue(k, 0, 16));
	(void)kit_add(k, 0, &buf, 1);
	kit_add_status(k, VIRTIO_STATUS_DRIVER_OK);
	kit_pump(k);
	assert_true(kit_used(k, 0, &used));
	virtio_dev_pause(k->dev);
	(void)kit_add(k, 0, &buf, 1);
	kit_kick(k, 0);
	kit_pump(k);
	assert_false(kit_used(k, 0, &used));
	virtio_dev_resume(k->dev);
	kit_pump(k);
	assert_true(kit_used(k, 0, &used));
}

static void push_once_more(void *queue)
{
	virtq_push(queue, 0, 0);
}

static void put_back_once_more(void *queue)
{
	virtq_unpop(queue);
}

static void put_all_back_once_more(void *queue)
{
	virtq_rewind(queue, 0, 2);
}

static void save_with_a_request_in_flight(void *kit)
{
	struct virtio_state saved = {0};

	virtio_mmio_save(&((struct kit *)kit)->mmio, &saved);
}

/* A defect of a device ends the process before the guest's memory is wrong. */
static void each_chain_goes_back_once(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct virtq *q = &k->dev->queue[0];
	struct virtq_chain chain;

	kit_start(k, 0, 16);
	(void)kit_add(k, 0, &buf, 1);
	assert_true(unit_asserts(push_once_more, q));
	assert_true(unit_asserts(put_back_once_more, q));
	assert_false(unit_asserts(save_with_a_request_in_flight, k));
	assert_int_equal(virtq_pop(q, f->echo->iov, 16, &chain), 1);
	assert_false(unit_asserts(push_once_more, q));
	assert_true(unit_asserts(put_all_back_once_more, q));
	assert_true(unit_asserts(save_with_a_request_in_flight, k));
	virtq_push(q, chain.head, 0);
	assert_true(unit_asserts(push_once_more, q));
}

static void unpop_gives_it_again(void **state)
{
	struct fixture *f = *state;
	struct kit *k = &f->kit;
	struct kit_buf buf = {kit_alloc(k, 8), 8, true};
	struct virtq *q = &k->dev->queue[0];
	struct virtq_chain chain, again;

	kit_start(k, 0, 16);
	kit_desc(k, 0, 9, UINT64_MAX, 1, 0, 0);
	kit_avail(k, 0, 9); /* malformed: on the way */
	(void)kit_add(k, 0, &buf, 1);
	assert_int_equal(virtq_pop(q, f->echo->iov, 16, &chain), 1);
	virtq_unpop(q);
	assert_int_equal(virtq_pop(q, f->echo->iov, 16, &again), 1);
	assert_int_equal(chain.head, again.head);
	assert_int_equal(q->malformed, 1);
	virtq_push(q, again.head, 0);
	assert_true(virtq_publish(q));
	assert_int_equal(virtq_pop(q, f->echo->iov, 16, &again), 0);
}

/* ---- T6: several threads ---- */

struct threads {
	struct kit *kit;
	_Atomic bool stop;
	_Atomic unsigned int rounds;
};

/* A vCPU that resets and starts the device again and again. */
static void *resetting_vcpu(void *arg)
{
	struct threads *t = arg;
	struct kit *k = t->kit;

	while (!atomic_load(&t->stop)) {
		k->next_gpa = PAGE_SIZE;
		kit_start(k, VIRTIO_F_INDIRECT_DESC, 16);
		for (unsigned int i = 0; i < 8; i++)
			kit_kick(k, i & 1);
		atomic_fetch_add(&t->rounds, 1);
	}
	return NULL;
}

/* Another one, that reads and writes what it likes, but no status. */
static void *meddling_vcpu(void *arg)
{
	struct threads *t = arg;
	struct virtio_mmio *mmio = &t->kit->mmio;
	uint32_t data = 0;

	for (uint64_t i = 0; !atomic_load(&t->stop); i++) {
		uint64_t reg = i * 4 % 0x110;

		data = (uint32_t)i;
		(void)virtio_mmio_bus_ops.read(mmio, reg, &data, 4);
		/* The selectors belong to the other one's start. */
		if (reg == KIT_QUEUE_NOTIFY || reg == KIT_INTERRUPT_ACK ||
		    reg > 0x0b0)
			(void)virtio_mmio_bus_ops.write(mmio, reg, &data, 4);
	}
	return NULL;
}

static void test_t6_reset_pause_notify(void **state)
{
	struct fixture *f = *state;
	struct threads t = {.kit = &f->kit};
	pthread_t vcpu[2];

	(void)alarm(60); /* a deadlock ends the test */
	assert_int_equal(pthread_create(&vcpu[0], NULL, resetting_vcpu, &t), 0);
	assert_int_equal(pthread_create(&vcpu[1], NULL, meddling_vcpu, &t), 0);
	while (atomic_load(&t.rounds) < 300) {
		assert_int_equal(loop_step(&f->kit.loop, 1), 0);
		virtio_dev_pause(f->kit.dev);
		assert_int_equal(loop_step(&f->kit.loop, 0), 0);
		assert_int_equal(virtio_dev_drain(f->kit.dev, 0), 0);
		virtio_dev_resume(f->kit.dev);
	}
	atomic_store(&t.stop, true);
	assert_int_equal(pthread_join(vcpu[0], NULL), 0);
	assert_int_equal(pthread_join(vcpu[1], NULL), 0);
	(void)alarm(0);
	kit_start(&f->kit, 0, 16);
	assert_true(round_trip(&f->kit, 0, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		echo_test(both_queues_direct_and_indirect),
		echo_test(interrupt_and_acknowledge),
		echo_test(no_interrupt_when_not_wanted),
		echo_test(event_idx_decides),
		echo_test(config_changes),
		echo_test(activation_fails),
		echo_test(nothing_waits_unseen),
		echo_test(each_chain_goes_back_once),
		echo_test(unpop_gives_it_again),
		echo_test(test_t6_reset_pause_notify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
