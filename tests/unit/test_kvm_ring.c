// SPDX-License-Identifier: Apache-2.0
/*
 * test_kvm_ring.c - what is taken out of a dirty ring, of entries that are not
 * KVM's
 */
#include "unit.h"

#include "kvm/ring.h"

#include <stdlib.h>

/* More than fits below the gap: two slots. */
#define SIZE (GMEM_HOLE_START + MIB(16))

static void put(struct kvm_ring *ring, uint32_t at, uint32_t slot,
		uint64_t page)
{
	ring->entry[at % KVM_RING_ENTRIES] = (struct kvm_dirty_gfn){
		.flags = KVM_DIRTY_GFN_F_DIRTY,
		.slot = slot,
		.offset = page,
	};
}

static void begin(struct gmem *mem, struct kvm_ring *ring)
{
	struct err err;

	assert_int_equal(gmem_init(mem, SIZE, GMEM_PAGES_DEFAULT, &err), 0);
	assert_int_equal(gmem_track(mem), 0);
	*ring = (struct kvm_ring){
		.entry = calloc(KVM_RING_ENTRIES, sizeof(*ring->entry)),
	};
	assert_non_null(ring->entry);
}

static void end(struct gmem *mem, struct kvm_ring *ring)
{
	free(ring->entry);
	gmem_fini(mem);
}

static uint64_t marked(const struct gmem *mem)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < mem->nr_regions; i++)
		for (uint64_t at = 0; at < mem->region[i].size; at += PAGE_SIZE)
			nr += gmem_is_dirty(mem, mem->region[i].gpa + at);
	return nr;
}

static void pages_of_both_slots_are_noted(void **state)
{
	struct gmem mem;
	struct kvm_ring ring;

	(void)state;
	begin(&mem, &ring);
	assert_int_equal(kvm_ring_take(&ring, &mem), 0);
	put(&ring, 0, 0, 7);
	put(&ring, 1, 1, 4095);
	put(&ring, 2, 0, 7);
	assert_int_equal(kvm_ring_take(&ring, &mem), 3);
	assert_true(gmem_is_dirty(&mem, 7 * PAGE_SIZE));
	assert_true(gmem_is_dirty(&mem, GMEM_HOLE_END + 4095 * PAGE_SIZE));
	assert_int_equal(marked(&mem), 2);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(ring.entry[i].flags, KVM_DIRTY_GFN_F_RESET);
	/* KVM has not freed them yet: nothing is told twice. */
	assert_int_equal(kvm_ring_take(&ring, &mem), 0);
	end(&mem, &ring);
}

static void what_names_no_page_is_passed_over(void **state)
{
	struct gmem mem;
	struct kvm_ring ring;

	(void)state;
	begin(&mem, &ring);
	put(&ring, 0, 2, 0);
	put(&ring, 1, 1 << 16, 0); /* of system management mode */
	put(&ring, 2, 1, 4096);
	put(&ring, 3, 0, GMEM_HOLE_START / PAGE_SIZE);
	put(&ring, 4, 0, UINT64_MAX);
	put(&ring, 5, 0, 1);
	assert_int_equal(kvm_ring_take(&ring, &mem), 6);
	assert_int_equal(marked(&mem), 1);
	end(&mem, &ring);
}

static void it_goes_round(void **state)
{
	struct gmem mem;
	struct kvm_ring ring;

	(void)state;
	begin(&mem, &ring);
	ring.next = UINT32_MAX - 1; /* the count wraps, too */
	for (uint32_t i = 0; i < 5; i++)
		put(&ring, ring.next + i, 0, 100 + i);
	assert_int_equal(kvm_ring_take(&ring, &mem), 5);
	assert_int_equal(ring.next, 3);
	assert_int_equal(marked(&mem), 5);
	end(&mem, &ring);
}

/* None is left in reserve: KVM went on where it should have stopped. */
static void an_overrun_is_told(void **state)
{
	struct gmem mem;
	struct kvm_ring ring;

	(void)state;
	begin(&mem, &ring);
	for (uint32_t i = 0; i < KVM_RING_ENTRIES; i++)
		put(&ring, i, 0, i);
	assert_int_equal(kvm_ring_take(&ring, &mem), KVM_RING_ENTRIES);
	assert_int_equal(kvm_ring_take(&ring, &mem), 0);
	end(&mem, &ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_both_slots_are_noted),
		cmocka_unit_test(what_names_no_page_is_passed_over),
		cmocka_unit_test(it_goes_round),
		cmocka_unit_test(an_overrun_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
