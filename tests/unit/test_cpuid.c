// SPDX-License-Identifier: Apache-2.0
/*
 * test_cpuid.c - topology leaves for every shape of machine, without KVM
 */
#include "unit.h"

#include "kvm/cpuid.h"

static void put(struct cpuid_table *t, uint32_t function, uint32_t index,
		uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	t->room[t->head.nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = function == 4 || function == 0xb
				 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX
				 : 0,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

/* A host with 64 threads and SMT, as KVM would list it. */
static void host(struct cpuid_table *t, bool amd)
{
	memset(t, 0, sizeof(*t));
	put(t, 0, 0, 0x16, amd ? 0x68747541 : 0x756e6547, 0, 0);
	put(t, 1, 0, 0, 0x3f400800, 1u << 21, 1u << 28);
	put(t, 4, 0, 0x7c004121, 0, 63, 0);  /* L1d, 2 threads share */
	put(t, 4, 3, 0x7c0fc163, 0, 999, 0); /* L3, 64 threads share */
	put(t, 6, 0, 0x77, 2, 9, 0);
	put(t, 0xa, 0, 0x07300404, 0, 0, 0x603);
	put(t, 0xb, 0, 1, 2, 0x100, 63);
	put(t, 0x80000000, 0, 0x80000008, 0, 0, 0);
	put(t, 0x80000001, 0, 0, 0, 0, 0);
	put(t, 0x80000008, 0, 0x3030, 0, 0x703f, 0);
}

static const struct cpuid_topology shapes[] = {
	{1, 1}, {2, 1}, {2, 2}, {3, 1}, {4, 1}, {4, 2}, {16, 2}, {32, 1},
};

static void every_vcpu_has_its_id(void **state)
{
	static struct cpuid_table t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		host(&t, i & 1);
		cpuid_prepare(&t, true, &shapes[i]);
		for (unsigned int id = 0; id < shapes[i].nr_vcpus; id++) {
			cpuid_set_vcpu(&t, id, &shapes[i]);
			assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 24, id);
			assert_int_equal(cpuid_find(&t, 1, 0)->ebx >> 16 & 0xff,
					 shapes[i].nr_vcpus);
			for (uint32_t level = 0; level < 3; level++)
				assert_int_equal(
					cpuid_find(&t, 0xb, level)->edx, id);
		}
	}
}

static void levels_count_threads_and_cores(void **state)
{
	static struct cpuid_table t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		const struct kvm_cpuid_entry2 *smt, *core;

		host(&t, false);
		cpuid_prepare(&t, true, &shapes[i]);
		smt = cpuid_find(&t, 0xb, 0);
		core = cpuid_find(&t, 0xb, 1);
		assert_int_equal(smt->ebx, shapes[i].threads_per_core);
		assert_int_equal(core->ebx, shapes[i].nr_vcpus);
		/* Enough id bits for all, and not one more. */
		assert_true(1u << core->eax >= shapes[i].nr_vcpus);
		assert_true(core->eax == 0 ||
			    1u << (core->eax - 1) < shapes[i].nr_vcpus);
		assert_true(1u << smt->eax == shapes[i].threads_per_core);
		assert_int_equal(smt->ecx, 0x100);
		assert_int_equal(core->ecx, 0x201);
		assert_int_equal(cpuid_find(&t, 0xb, 2)->ecx, 2);
	}
}

static void features_for_a_guest(void **state)
{
	static struct cpuid_table t;

	(void)state;
	host(&t, false);
	cpuid_prepare(&t, true, &shapes[0]);
	assert_true(cpuid_find(&t, 1, 0)->ecx & 1u << 31);
	assert_true(cpuid_find(&t, 1, 0)->ecx & 1u << 24);
	assert_false(cpuid_find(&t, 1, 0)->edx & 1u << 28); /* one thread */
	assert_int_equal(cpuid_find(&t, 6, 0)->eax, 4);
	assert_int_equal(cpuid_find(&t, 0xa, 0)->eax, 0);
	host(&t, false);
	cpuid_prepare(&t, false, &shapes[1]);
	assert_false(cpuid_find(&t, 1, 0)->ecx & 1u << 24);
	assert_true(cpuid_find(&t, 1, 0)->edx & 1u << 28);
}

/* KVM lists these leaves, as zeros; a list without them gets them too. */
static void cpu_has_the_hosts_name(void **state)
{
	static struct cpuid_table t;
	uint32_t want[4];

	(void)state;
	for (unsigned int listed = 0; listed < 2; listed++) {
		host(&t, false);
		if (listed)
			for (uint32_t leaf = 0x80000002; leaf <= 0x80000004;
			     leaf++)
				put(&t, leaf, 0, 0, 0, 0, 0);
		cpuid_prepare(&t, true, &shapes[0]);
		for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
			struct kvm_cpuid_entry2 *e = cpuid_find(&t, leaf, 0);

			host_cpuid(leaf, 0, &want[0], &want[1], &want[2],
				   &want[3]);
			assert_memory_equal(&e->eax, want, sizeof(want));
		}
	}
}

static void intel_caches_are_shared_as_asked(void **state)
{
	static const struct cpuid_topology eight = {8, 2};
	static struct cpuid_table t;

	(void)state;
	host(&t, false);
	cpuid_prepare(&t, true, &eight);
	/* L1: 2 threads; L3: 8 threads; 4 cores in the package. */
	assert_int_equal(cpuid_find(&t, 4, 0)->eax >> 14 & 0xfff, 1);
	assert_int_equal(cpuid_find(&t, 4, 3)->eax >> 14 & 0xfff, 7);
	assert_int_equal(cpuid_find(&t, 4, 0)->eax >> 26, 3);
	assert_int_equal(cpuid_find(&t, 4, 3)->ecx, 999);
}

static void amd_topology(void **state)
{
	static const struct cpuid_topology four = {4, 2};
	static struct cpuid_table t;

	(void)state;
	host(&t, true);
	cpuid_prepare(&t, true, &four);
	cpuid_set_vcpu(&t, 3, &four);
	assert_int_equal(cpuid_find(&t, 0x80000008, 0)->ecx, 0x2003);
	assert_true(cpuid_find(&t, 0x80000000, 0)->eax >= 0x8000001e);
	assert_int_equal(cpuid_find(&t, 0x8000001e, 0)->eax, 3);
	assert_int_equal(cpuid_find(&t, 0x8000001e, 0)->ebx, 0x101);
}

/* A host that lists more than the table holds must not write past it. */
static void full_table(void **state)
{
	static struct cpuid_table t;

	(void)state;
	host(&t, true);
	while (t.head.nent < CPUID_MAX_ENTRIES)
		put(&t, 0x100 + t.head.nent, 0, 0, 0, 0, 0);
	cpuid_prepare(&t, true, &shapes[3]);
	cpuid_set_vcpu(&t, 1, &shapes[3]);
	assert_true(t.head.nent <= CPUID_MAX_ENTRIES);
}

/* Of both makers' hosts, whatever else is said of the CPU stays. */
static void nested_is_hidden(void **state)
{
	static struct cpuid_table t;

	(void)state;
	for (int amd = 0; amd < 2; amd++) {
		host(&t, amd);
		cpuid_find(&t, 1, 0)->ecx |= 1u << 5 | 1u << 6;
		cpuid_find(&t, 0x80000001, 0)->ecx |= 1u << 2 | 1u << 3;
		put(&t, 0x8000000a, 0, 1, 8, 0, 0x1bcff);
		put(&t, 0x8000001f, 0, 7, 0, 0, 0);
		cpuid_prepare(&t, true, &shapes[0]);
		cpuid_hide_nested(&t);
		assert_false(cpuid_find(&t, 1, 0)->ecx & 1u << 5);
		assert_true(cpuid_find(&t, 1, 0)->ecx & 1u << 6);
		assert_false(cpuid_find(&t, 0x80000001, 0)->ecx & 1u << 2);
		assert_true(cpuid_find(&t, 0x80000001, 0)->ecx & 1u << 3);
		assert_null(cpuid_find(&t, 0x8000000a, 0));
		assert_int_equal(cpuid_find(&t, 0x8000001f, 0)->eax, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_vcpu_has_its_id),
		cmocka_unit_test(levels_count_threads_and_cores),
		cmocka_unit_test(features_for_a_guest),
		cmocka_unit_test(cpu_has_the_hosts_name),
		cmocka_unit_test(intel_caches_are_shared_as_asked),
		cmocka_unit_test(amd_topology),
		cmocka_unit_test(full_table),
		cmocka_unit_test(nested_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
