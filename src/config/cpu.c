// SPDX-License-Identifier: Apache-2.0
/*
 * cpu.c - what a client changes of the CPU, as a part of the configuration
 *
 * Bits are written as Firecracker's custom CPU templates write them: "0b",
 * then 0 and 1 for bits that get that value, and x for those that stay; _
 * counts for nothing, and the first character is the highest bit.
 */
#include "config/fields.h"
#include "config/parts.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

/* ---- numbers ---- */

/* What Rust's integer parsers find wrong: in plain words, and by name. */
struct complaint {
	const char *plain;
	const char *kind;
};

static const struct complaint is_empty = {
	"cannot parse integer from empty string", "Empty"};
static const struct complaint is_no_digit = {"invalid digit found in string",
					     "InvalidDigit"};
static const struct complaint is_too_large = {
	"number too large to fit in target type", "PosOverflow"};

static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : UINT_MAX;
}

/* A uint32_t; a + before it is fine. Return: NULL, or what is wrong. */
static const struct complaint *parse_u32(const char *text, unsigned int base,
					 uint32_t *value)
{
	uint64_t sum = 0;
	bool large = false;

	if (!*text)
		return &is_empty;
	text += text[0] == '+' && text[1];
	for (; *text; text++) {
		unsigned int digit = digit_value(*text);

		if (digit >= base)
			return &is_no_digit;
		sum = large ? sum : sum * base + digit;
		large |= sum > UINT32_MAX;
	}
	*value = (uint32_t)sum;
	return large ? &is_too_large : NULL;
}

/* A leaf, a subleaf, an MSR: its base is never left to be guessed. */
static int parse_prefixed(const char *text, void *value, struct err *err)
{
	unsigned int base = strncmp(text, "0b", 2) == 0   ? 2
			    : strncmp(text, "0x", 2) == 0 ? 16
							  : 0;
	const struct complaint *wrong;

	if (base == 0)
		return err_set(err, -EINVAL,
			       "No supported number system prefix found in "
			       "value [%s]. Make sure to prefix the number "
			       "with '0x' for hexadecimal numbers or '0b' for "
			       "binary numbers.",
			       text);
	wrong = parse_u32(text + 2, base, value);
	if (wrong)
		return err_set(err, -EINVAL,
			       "Failed to parse string [%s] as a number for "
			       "CPU template - ParseIntError { kind: %s }",
			       text, wrong->kind);
	return 0;
}

static void show_prefixed(const void *value, struct buf *out)
{
	buf_addf(out, "\"0x%" PRIx32 "\"", *(const uint32_t *)value);
}

static int parse_capability(const char *text, void *value, struct err *err)
{
	struct cpu_capability *capability = value;
	const struct complaint *wrong;

	capability->removed = text[0] == '!';
	wrong = parse_u32(text + capability->removed, 10, &capability->number);
	if (wrong)
		return err_set(err, -EINVAL,
			       "Failed to parse string [%s] as a kvm "
			       "capability - can not convert to numeric: %s",
			       text, wrong->plain);
	return 0;
}

static void show_capability(const void *value, struct buf *out)
{
	const struct cpu_capability *capability = value;

	buf_addf(out, "\"%s%" PRIu32 "\"", capability->removed ? "!" : "",
		 capability->number);
}

/* ---- bits ---- */

static int parse_bits(const char *text, unsigned int width,
		      struct cpu_bits *bits, struct err *err)
{
	const char *first = strncmp(text, "0b", 2) == 0 ? text + 2 : text;
	unsigned int bit = 0;

	*bits = (struct cpu_bits){0};
	for (const char *at = first + strlen(first); at-- > first;) {
		if (*at == '_')
			continue;
		if (bit == width)
			return err_set(err, -EINVAL,
				       "Failed to parse string [%s] as a "
				       "bitmap - string is too long",
				       text);
		if (*at != 'x' && *at != '0' && *at != '1')
			return err_set(err, -EINVAL,
				       "Failed to parse string [%s] as a "
				       "bitmap - unknown character: %u",
				       text, (unsigned char)*at);
		bits->filter |= (uint64_t)(*at != 'x') << bit;
		bits->value |= (uint64_t)(*at == '1') << bit;
		bit++;
	}
	return 0;
}

static void show_bits(const struct cpu_bits *bits, unsigned int width,
		      struct buf *out)
{
	buf_add_str(out, "\"0b");
	for (unsigned int bit = width; bit-- > 0;)
		buf_add_str(out, !(bits->filter >> bit & 1) ? "x"
				 : bits->value >> bit & 1   ? "1"
							    : "0");
	buf_add_str(out, "\"");
}

static int parse_bits_32(const char *text, void *value, struct err *err)
{
	return parse_bits(text, 32, value, err);
}

static void show_bits_32(const void *value, struct buf *out)
{
	show_bits(value, 32, out);
}

static int parse_bits_64(const char *text, void *value, struct err *err)
{
	return parse_bits(text, 64, value, err);
}

static void show_bits_64(const void *value, struct buf *out)
{
	show_bits(value, 64, out);
}

static const char *const register_names[] = {[CPU_EAX] = "eax",
					     [CPU_EBX] = "ebx",
					     [CPU_ECX] = "ecx",
					     [CPU_EDX] = "edx"};

static int parse_register(const char *text, void *value, struct err *err)
{
	uint32_t *which = value;

	for (*which = 0; *which < ARRAY_SIZE(register_names); (*which)++)
		if (strcmp(text, register_names[*which]) == 0)
			return 0;
	return err_set(err, -EINVAL,
		       "Invalid CPUID register. Must be one of [eax, ebx, ecx, "
		       "edx]");
}

static void show_register(const void *value, struct buf *out)
{
	uint32_t which = *(const uint32_t *)value;

	buf_addf(out, "\"%s\"", register_names[which % CPU_REGISTERS]);
}

/* ---- tables ---- */

static const struct schema_parser prefixed = {parse_prefixed, show_prefixed};
static const struct schema_parser capability = {parse_capability,
						show_capability};
static const struct schema_parser bits_32 = {parse_bits_32, show_bits_32};
static const struct schema_parser bits_64 = {parse_bits_64, show_bits_64};
static const struct schema_parser registers = {parse_register, show_register};

/* clang-format off */
#define CONFIG_OF struct cpu_register_change
static const struct schema_field register_fields[] = {
	{.name = "register", .type = SCHEMA_PARSED, .flags = MUST, .patch = NO,
	 .saved = MUST, SCHEMA_AT(CONFIG_OF, which), .parser = &registers},
	PARSED(bitmap, MUST, NO, MUST, &bits_32),
};
static const struct schema_object register_object =
	CONFIG_OBJECT("CpuidRegisterModifier", register_fields, SCHEMA_WHOLE,
		      .open = true);
static const struct schema_item register_item =
	SCHEMA_STATE_ITEM(struct cpu_register_change, &register_object);

#undef CONFIG_OF
#define CONFIG_OF struct cpu_leaf_change
static const struct schema_field leaf_fields[] = {
	PARSED(leaf, MUST, NO, MUST, &prefixed),
	PARSED(subleaf, MUST, NO, MUST, &prefixed),
	NUMBER(flags, MUST, NO, MUST, &schema_u32),
	LIST(modifiers, MUST, NO, MUST, &register_item),
};
static const struct schema_object leaf_object =
	CONFIG_OBJECT("CpuidLeafModifier", leaf_fields, SCHEMA_WHOLE,
		      .open = true);
static const struct schema_item leaf_item =
	SCHEMA_STATE_ITEM(struct cpu_leaf_change, &leaf_object);

#undef CONFIG_OF
#define CONFIG_OF struct cpu_msr_change
static const struct schema_field msr_change_fields[] = {
	PARSED(addr, MUST, NO, MUST, &prefixed),
	PARSED(bitmap, MUST, NO, MUST, &bits_64),
};
static const struct schema_object msr_object =
	CONFIG_OBJECT("RegisterModifier", msr_change_fields, SCHEMA_WHOLE,
		      .open = true);
static const struct schema_item msr_change_item =
	SCHEMA_STATE_ITEM(struct cpu_msr_change, &msr_object);

static const struct schema_item capability_item = {
	.field = &(const struct schema_field){
		.type = SCHEMA_PARSED, .size = sizeof(struct cpu_capability),
		.parser = &capability},
	.size = sizeof(struct cpu_capability),
};

#undef CONFIG_OF
#define CONFIG_OF struct cpu_config
static const struct schema_field cpu_fields[] = {
	LIST(kvm_capabilities, MAY, NO, MUST, &capability_item),
	LIST(cpuid_modifiers, MAY, NO, MUST, &leaf_item),
	LIST(msr_modifiers, MAY, NO, MUST, &msr_change_item),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_cpu =
	CONFIG_OBJECT("CustomCpuTemplate", cpu_fields, SCHEMA_WHOLE);

void cpu_config_free(struct cpu_config *cpu)
{
	schema_free(&config_cpu, cpu);
	cpu->present = false;
}

static void cpu_close(void *item)
{
	cpu_config_free(item);
}

const struct config_part config_part_cpu = {
	.key = "cpu-config",
	.saved = "cpu",
	.whole = &config_cpu,
	.offset = offsetof(struct vm_config, cpu),
	.present = offsetof(struct vm_config, cpu.present),
	.close = cpu_close,
};
