// SPDX-License-Identifier: Apache-2.0
/*
 * test_template.c - CPU templates on recorded CPUIDs, without KVM
 *
 * MSRs of a vCPU are a table here: KVM_GET_MSRS and KVM_SET_MSRS are what is
 * replaced, by the names that kvm/msrs.h gives them.
 */
#include "unit.h"

#include "base/buf.h"
#include "config/parts.h"
#include "vm/template.h"
#include "vm/template_static.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a host ---- */

#define GENUINE      0x756e6547u
#define AUTHENTIC    0x68747541u
#define CASCADE_LAKE 0x00050657u
#define SKYLAKE      0x00050654u
#define ICE_LAKE     0x000606a6u
#define MILAN        0x00a00f11u

static void put(struct cpuid_table *t, uint32_t function, uint32_t index,
		const uint32_t value[4])
{
	t->room[t->head.nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = function == 7 || function == 0xd,
		.eax = value[0],
		.ebx = value[1],
		.ecx = value[2],
		.edx = value[3],
	};
}

/* One that has everything: each bit of each register is set. */
static void host(struct cpuid_table *t, uint32_t vendor, uint32_t signature)
{
	static const uint32_t all[4] = {~0u, ~0u, ~0u, ~0u};

	memset(t, 0, sizeof(*t));
	put(t, 0, 0, (uint32_t[]){0x16, vendor, 0, 0});
	put(t, 1, 0, (uint32_t[]){signature, ~0u, ~0u, ~0u});
	put(t, 7, 0, all);
	put(t, 0xd, 0, all);
	put(t, 0xd, 1, all);
	put(t, 0x80000001, 0, all);
	put(t, 0x80000008, 0, all);
}

static struct msr_value msrs[4];
static unsigned int nr_msrs;

int __wrap_msrs_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
		    struct msr_value *values, unsigned int *nr,
		    struct err *err);
int __wrap_msrs_set(struct kvm_vcpu *vcpu, const struct msr_value *values,
		    unsigned int nr, struct err *err);

int __wrap_msrs_get(struct kvm_vcpu *vcpu, const struct msr_list *list,
		    struct msr_value *values, unsigned int *nr, struct err *err)
{
	(void)vcpu;
	(void)err;
	*nr = 0;
	for (unsigned int i = 0; i < nr_msrs; i++)
		if (msrs[i].index == list->index[0])
			values[(*nr)++] = msrs[i];
	return 0;
}

int __wrap_msrs_set(struct kvm_vcpu *vcpu, const struct msr_value *values,
		    unsigned int nr, struct err *err)
{
	(void)vcpu;
	assert_int_equal(nr, 1);
	for (unsigned int i = 0; i < nr_msrs; i++)
		if (msrs[i].index == values->index) {
			msrs[i].value = values->value;
			return 0;
		}
	return err_set(err, -EINVAL, "no MSR 0x%x", values->index);
}

/* ---- what a client sends ---- */

static int decode(const char *text, struct cpu_config *cpu, struct err *err)
{
	struct schema_seen seen;

	*cpu = (struct cpu_config){0};
	return schema_decode_text(&config_cpu, text, strlen(text), cpu, &seen,
				  err);
}

static void expect_refused(const char *text, const char *why)
{
	struct cpu_config cpu;
	struct err err = {0};

	assert_int_equal(decode(text, &cpu, &err), -EINVAL);
	if (strncmp(err.text, why, strlen(why)) != 0)
		fail_msg("%s: \"%s\" is not \"%s\"", text, err.text, why);
	cpu_config_free(&cpu);
}

static void what_does_not_parse(void **state)
{
#define LEAF(leaf_, flags_, register_, bitmap_)      \
	"{\"cpuid_modifiers\":[{\"leaf\":\"" leaf_   \
	"\",\"subleaf\":\"0x0\",\"flags\":" flags_   \
	",\"modifiers\":[{\"register\":\"" register_ \
	"\",\"bitmap\":\"" bitmap_ "\"}]}]}"
#define MSR(addr_, bitmap_)                                                 \
	"{\"msr_modifiers\":[{\"addr\":\"" addr_ "\",\"bitmap\":\"" bitmap_ \
	"\"}]}"
#define CAP(text_) "{\"kvm_capabilities\":[\"" text_ "\"]}"
	static const char thirty_three[] =
		LEAF("0x1", "0", "eax", "0b000000000000000000000000000000000");

	(void)state;
	expect_refused(CAP(""), "Failed to parse string [] as a kvm "
				"capability - can not convert to numeric: "
				"cannot parse integer from empty string at");
	expect_refused(CAP("!"), "Failed to parse string [!] as a kvm ");
	expect_refused(CAP("-1"), "Failed to parse string [-1] as a kvm "
				  "capability - can not convert to numeric: "
				  "invalid digit found in string at");
	expect_refused(CAP("4294967296"),
		       "Failed to parse string [4294967296] as a kvm "
		       "capability - can not convert to numeric: number too "
		       "large to fit in target type at");
	expect_refused("{\"kvm_capabilities\":[171]}",
		       "invalid type: integer `171`, expected a string");
	expect_refused(MSR("123", "0b1"),
		       "No supported number system prefix found in value "
		       "[123]. Make sure to prefix the number with '0x' for "
		       "hexadecimal numbers or '0b' for binary numbers. at");
	expect_refused(MSR("0x", "0b1"), "Failed to parse string [0x] as a "
					 "number for CPU template - "
					 "ParseIntError { kind: Empty } at");
	expect_refused(MSR("0b2", "0b1"),
		       "Failed to parse string [0b2] as a number for CPU "
		       "template - ParseIntError { kind: InvalidDigit } at");
	expect_refused(MSR("0x100000000", "0b1"),
		       "Failed to parse string [0x100000000] as a number for "
		       "CPU template - ParseIntError { kind: PosOverflow } at");
	expect_refused(MSR("0x1", "0by"), "Failed to parse string [0by] as a "
					  "bitmap - unknown character: 121 at");
	expect_refused(thirty_three, "Failed to parse string [0b00000000000000"
				     "0000000000000000000] as a bitmap - string"
				     " is too long at");
	expect_refused(LEAF("0x1", "0", "rax", "0b1"),
		       "Invalid CPUID register. Must be one of [eax, ebx, ecx, "
		       "edx] at");
	expect_refused(LEAF("0x1", "-1", "eax", "0b1"),
		       "invalid value: integer `-1`, expected u32");
	expect_refused("{\"msr_modifiers\":[{\"addr\":\"0x1\"}]}",
		       "missing field `bitmap`");
	expect_refused("{\"kvm_capabilities\":null}", "invalid type: null");
}

/* ---- it is the same after a snapshot ---- */

static void a_template_is_shown_as_it_was_sent(void **state)
{
	static const char text[] =
		"{\"kvm_capabilities\":[\"171\",\"!172\"],\"cpuid_modifiers\":["
		"{\"leaf\":\"0x1\",\"subleaf\":\"0x0\",\"flags\":0,"
		"\"modifiers\":[{\"register\":\"ecx\",\"bitmap\":"
		"\"0bxxxxxxxxxxxxxxxxxxxxxxxxxxxx01xx\"}]}],\"msr_modifiers\":"
		"[{\"addr\":\"0x10a\",\"bitmap\":\"0b1xxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0\"}]}";
	cleanup_buf struct buf out = {0};
	struct cpu_config cpu;
	struct err err = {0};

	(void)state;
	assert_int_equal(decode(text, &cpu, &err), 0);
	schema_encode(&config_cpu, &cpu, &out);
	assert_int_equal(out.len, strlen(text));
	assert_memory_equal(out.data, text, out.len);
	cpu_config_free(&cpu);
}

/* ---- what it does ---- */

static void bits_are_changed(void **state)
{
	static struct cpuid_table t;
	struct cpu_config cpu;
	struct kvm_vcpu vcpu = {0};
	struct err err = {0};

	(void)state;
	host(&t, GENUINE, SKYLAKE);
	assert_int_equal(
		decode("{\"cpuid_modifiers\":[{\"leaf\":\"0b1\",\"subleaf\":"
		       "\"0x0\",\"flags\":0,\"x\":1,\"modifiers\":[{\"register\""
		       ":\"ecx\",\"bitmap\":\"0x_0_x\"},{\"register\":\"eax\","
		       "\"bitmap\":\"11111\"}]}],\"msr_modifiers\":[{\"addr\":"
		       "\"0x3a\",\"bitmap\":\"0b10x\"}]}",
		       &cpu, &err),
		0);
	assert_int_equal(template_set_cpuid(&cpu, &t, &err), 0);
	assert_int_equal(cpuid_find(&t, 1, 0)->ecx, ~0xau);
	assert_int_equal(cpuid_find(&t, 1, 0)->eax, SKYLAKE | 0x1f);
	assert_int_equal(cpuid_find(&t, 1, 0)->ebx, ~0u);

	nr_msrs = 1;
	msrs[0] = (struct msr_value){0x3a, 0xf000000000000003};
	assert_int_equal(template_set_msrs(&cpu, &vcpu, &err), 0);
	assert_true(msrs[0].value == 0xf000000000000005);
	cpu_config_free(&cpu);
}

static void what_the_host_does_not_have(void **state)
{
	static struct cpuid_table t;
	struct cpu_config cpu;
	struct kvm_vcpu vcpu = {0};
	struct err err = {0};

	(void)state;
	host(&t, GENUINE, SKYLAKE);
	nr_msrs = 0;
	assert_int_equal(decode("{\"cpuid_modifiers\":[{\"leaf\":\"0xd\","
				"\"subleaf\":\"0x2\",\"flags\":1,"
				"\"modifiers\":[]}],\"msr_modifiers\":"
				"[{\"addr\":\"0x3a\",\"bitmap\":\"\"}]}",
				&cpu, &err),
			 0);
	assert_int_equal(template_set_cpuid(&cpu, &t, &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "Template changes a CPUID entry not supported by "
			    "KVM: Leaf: 0xd, Subleaf: 0x2");
	assert_int_equal(template_set_msrs(&cpu, &vcpu, &err), -ENOTSUP);
	assert_string_equal(err.text,
			    "Template changes an MSR entry not supported by "
			    "KVM: Register Address: 0x3a");
	cpu_config_free(&cpu);
}

static void its_msrs_are_saved(void **state)
{
	struct msr_list list = {.nr = 3, .index = {0x3a, 0x10, 0x6e0}};
	struct cpu_config cpu;
	struct err err = {0};

	(void)state;
	assert_int_equal(decode("{\"msr_modifiers\":[{\"addr\":\"0x3a\","
				"\"bitmap\":\"1\"},{\"addr\":\"0x10a\","
				"\"bitmap\":\"1\"}]}",
				&cpu, &err),
			 0);
	assert_int_equal(template_list_msrs(&cpu, &list, &err), 0);
	assert_int_equal(list.nr, 4);
	/* The TSC, and its deadline, stay the last. */
	assert_int_equal(list.index[1], 0x10a);
	assert_int_equal(list.index[2], 0x10);
	assert_int_equal(list.index[3], 0x6e0);

	for (list.nr = 0; list.nr < MSRS_MAX; list.nr++)
		list.index[list.nr] = 0x80000000u + list.nr;
	assert_int_equal(template_list_msrs(&cpu, &list, &err), -E2BIG);
	cpu_config_free(&cpu);
}

/* ---- those with names ---- */

static int named(enum config_cpu_template name, struct cpuid_table *t,
		 uint64_t *capabilities, struct err *err)
{
	struct kvm_vcpu vcpu = {0};
	struct cpu_config cpu;
	int r = template_static_make(name, cpu_identity_of(t), &cpu, err);

	nr_msrs = 1;
	msrs[0] = (struct msr_value){0x10a, *capabilities};
	if (r == 0)
		r = template_set_cpuid(&cpu, t, err);
	if (r == 0)
		r = template_set_msrs(&cpu, &vcpu, err);
	*capabilities = msrs[0].value;
	cpu_config_free(&cpu);
	return r;
}

/* What is left of a CPU that has everything. */
static void named_templates_show_their_cpu(void **state)
{
	static const struct {
		enum config_cpu_template name;
		uint32_t vendor, signature;
		uint32_t eax_1, ecx_1, edx_1, ebx_7, ecx_7, edx_7;
		uint32_t ecx_ext, edx_ext, ebx_ext8;
		uint64_t capabilities;
	} rows[] = {
		{CPU_TEMPLATE_C3, GENUINE, SKYLAKE, 0x306e4, 0xffbf22c3,
		 0x579bff7f | 0x1080, 0x005022c3, 0xbfbeb7e1, 0xfffffff3,
		 0xfffffedf, 0xfbffffff, ~0u, UINT64_MAX},
		{CPU_TEMPLATE_T2, GENUINE, ICE_LAKE, 0x306f2, 0xfffb3203,
		 0x179bff7f | 0x1080, 0x001025eb | 0x200, 0xbfbea0a1,
		 0xfffffee3, 0xdffffeff, 0xfbffffff, 0xfffffdff, UINT64_MAX},
		{CPU_TEMPLATE_T2S, GENUINE, SKYLAKE, 0x306f2, 0xfffb3203,
		 0x179bff7f | 0x1080, 0x001025eb | 0x200, 0xbfbea0a1,
		 0xfffffee3, 0xdffffeff, 0xfbffffff, 0xfffffdff, 0x40a0c4c},
		{CPU_TEMPLATE_T2CL, GENUINE, CASCADE_LAKE, 0x306f2, 0xfffb3203,
		 0x179bff7f | 0x1080, 0x001025eb | 0x200, 0xbfbea0a1,
		 0xfffffee3, 0xdffffe3f, 0xf83fffff, 0xfffffdff, 0x1d0ae1ff},
		{CPU_TEMPLATE_T2A, AUTHENTIC, MILAN, 0x306f2, 0xfffb3203,
		 0x179bff7f | 0x1080, 0x001025eb | 0x200, 0xbfbea0a1,
		 0xfffffee3, 0xdffffe3b, 0xf9bfffff, 0xfffffdfe, UINT64_MAX},
	};
	static struct cpuid_table t;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t capabilities = UINT64_MAX;

		host(&t, rows[i].vendor, rows[i].signature);
		assert_int_equal(named(rows[i].name, &t, &capabilities, &err),
				 0);
		assert_int_equal(cpuid_find(&t, 1, 0)->eax, rows[i].eax_1);
		assert_int_equal(cpuid_find(&t, 1, 0)->ecx, rows[i].ecx_1);
		assert_int_equal(cpuid_find(&t, 1, 0)->edx, rows[i].edx_1);
		assert_int_equal(cpuid_find(&t, 7, 0)->ebx, rows[i].ebx_7);
		assert_int_equal(cpuid_find(&t, 7, 0)->ecx, rows[i].ecx_7);
		assert_int_equal(cpuid_find(&t, 7, 0)->edx, rows[i].edx_7);
		assert_int_equal(cpuid_find(&t, 0xd, 0)->eax, ~0x2f8u);
		assert_int_equal(cpuid_find(&t, 0xd, 1)->eax, ~0xeu);
		assert_int_equal(cpuid_find(&t, 0x80000001, 0)->ecx,
				 rows[i].ecx_ext);
		assert_int_equal(cpuid_find(&t, 0x80000001, 0)->edx,
				 rows[i].edx_ext);
		assert_int_equal(cpuid_find(&t, 0x80000008, 0)->ebx,
				 rows[i].ebx_ext8);
		assert_true(capabilities == rows[i].capabilities);
	}
}

static void named_templates_are_for_their_cpus(void **state)
{
	static const struct {
		enum config_cpu_template name;
		uint32_t vendor, signature;
		const char *why;
	} rows[] = {
		{CPU_TEMPLATE_T2, AUTHENTIC, MILAN, "CPU vendor mismatched"},
		{CPU_TEMPLATE_T2A, GENUINE, SKYLAKE, "CPU vendor mismatched"},
		{CPU_TEMPLATE_T2CL, GENUINE, SKYLAKE, "The current CPU model"},
		{CPU_TEMPLATE_T2CL, GENUINE, 0x000406f1, "The current CPU"},
		{CPU_TEMPLATE_T2CL, GENUINE, ICE_LAKE, NULL},
		{CPU_TEMPLATE_C3, GENUINE, ICE_LAKE, NULL},
	};
	struct cpu_config cpu;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpu_identity id = {rows[i].vendor, rows[i].signature};
		int r = template_static_make(rows[i].name, id, &cpu, &err);

		assert_int_equal(r, rows[i].why ? -ENOTSUP : 0);
		if (rows[i].why)
			assert_non_null(strstr(err.text, rows[i].why));
		cpu_config_free(&cpu);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_parse),
		cmocka_unit_test(a_template_is_shown_as_it_was_sent),
		cmocka_unit_test(bits_are_changed),
		cmocka_unit_test(what_the_host_does_not_have),
		cmocka_unit_test(its_msrs_are_saved),
		cmocka_unit_test(named_templates_show_their_cpu),
		cmocka_unit_test(named_templates_are_for_their_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
