// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - CPUs and memory, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#define CONFIG_OF struct machine_config

static const struct schema_name template_names[] = {
	{"C3", CPU_TEMPLATE_C3},     {"T2", CPU_TEMPLATE_T2},
	{"T2S", CPU_TEMPLATE_T2S},   {"None", CPU_TEMPLATE_NONE},
	{"T2CL", CPU_TEMPLATE_T2CL}, {"T2A", CPU_TEMPLATE_T2A},
};
static const struct schema_enum templates = {
	.names = template_names,
	.nr = ARRAY_SIZE(template_names),
	.unset = "unset",
};

static const struct schema_name machine_huge_names[] = {
	CONFIG_HUGE_PAGES(CONFIG_NAME_AND_VALUE)};
static const struct schema_enum huge_pages = SCHEMA_NAMES(machine_huge_names);

#define OLD (SCHEMA_NULL | SCHEMA_OMIT | SCHEMA_DEPRECATED)

/* PUT demands the sizes and takes no null; PATCH takes anything or null. */
/* clang-format off */
static const struct schema_field machine_fields[] = {
	NUMBER(vcpu_count, MUST, MAY_NULL, MUST, &schema_u8),
	NUMBER(mem_size_mib, MUST, MAY_NULL, MUST, &schema_usize),
	BOOL(smt, MAY, MAY_NULL, MUST),
	CHOICE(cpu_template, OLD, OLD, MUST, &templates),
	BOOL(track_dirty_pages, MAY, MAY_NULL, MUST),
	BOOL(dirty_ring, SCHEMA_EXTRA | SCHEMA_OMIT, SCHEMA_EXTRA | MAY_NULL,
	     NOT("who restores decides")),
	CHOICE(huge_pages, MAY, MAY_NULL, MUST, &huge_pages),
	OURS(present, "a client has set it: else it has its defaults"),
};
/* clang-format on */

const struct schema_object config_machine =
	CONFIG_OBJECT("MachineConfig", machine_fields, SCHEMA_WHOLE);
const struct schema_object config_machine_patch =
	CONFIG_OBJECT("MachineConfigUpdate", machine_fields, SCHEMA_PATCH);

static void machine_init(void *item)
{
	*(struct machine_config *)item = (struct machine_config){
		.vcpu_count = 1,
		.mem_size_mib = 128,
	};
}

const struct config_part config_part_machine = {
	.key = "machine-config",
	.saved = "machine",
	.whole = &config_machine,
	.offset = offsetof(struct vm_config, machine),
	.present = offsetof(struct vm_config, machine.present),
	.always = true,
	.init = machine_init,
};
