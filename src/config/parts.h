/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - what a configuration consists of: the one list
 *
 * GET /vm/config, the config file, the bodies of PUT and the configuration in a
 * snapshot know a part by its line here (config.h has the theory of operation).
 *
 * Context: the VMM thread.
 */
#pragma once

#include "base/schema.h"
#include "config/config.h"

struct config_overrides;

/**
 * struct config_part - one part of struct vm_config
 * @key:	in GET /vm/config and in a config file; NULL: in neither
 * @saved:	its name in a snapshot
 * @whole:	of the part; of one of its items, when it is a list
 * @offset:	in struct vm_config: of the part's struct, or of the pointer to
 *		the items of a list
 * @nr:		offset of their number, size_t; 0: it is no list
 * @present:	offset of the bool that tells whether it is set
 * @id, @host:	of a list, offsets of char * in an item: what it is called, and
 *		what it is on the host
 * @always:	shown and saved also when it is not set: it has defaults
 * @host_own:	what this process was told stays when a snapshot is loaded
 * @required:	a config file must have it
 * @newer:	of a list: an older state may not have it
 * @init:	an empty struct, or item; NULL: zeros
 * @open:	a restored @item: open what it names; may be NULL
 * @close:	closes and frees what a struct or item holds, and empties it
 *
 * @open: @item is in the part's place, or for a list goes to its end, and is
 * then taken over; @index: of it; @other: by which it got another name, or
 * NULL. Return: 0 or -errno with a sentence.
 */
struct config_part {
	const char *key;
	const char *saved;
	const struct schema_object *whole;
	uint32_t offset;
	uint32_t nr;
	uint32_t present;
	uint32_t id;
	uint32_t host;
	bool always;
	bool host_own;
	bool required;
	bool newer;
	void (*init)(void *item);
	int (*open)(struct vm_config *config, void *item, unsigned int index,
		    const struct config_overrides *overrides, struct err *err);
	void (*close)(void *item);
};

/* clang-format off */
/* The one list, in the order in which a restore opens them. */
#define CONFIG_PARTS(PART) \
	PART(machine) \
	PART(cpu) \
	PART(boot_source) \
	PART(serial) \
	PART(drives) \
	PART(nets) \
	PART(vsock) \
	PART(mmds) \
	PART(entropy) \
	PART(balloon) \
	PART(memory_hotplug) \
	PART(pmems)

#define CONFIG_ONE_PART(name_)     +1
#define CONFIG_PART_EXTERN(name_) \
	extern const struct config_part config_part_##name_;

/* config_part_machine and so on */
CONFIG_PARTS(CONFIG_PART_EXTERN)
/* clang-format on */

#define CONFIG_NR_PARTS (CONFIG_PARTS(CONFIG_ONE_PART))

extern const struct config_part *const config_parts[CONFIG_NR_PARTS];

/* What PUT takes and GET shows; of a list, its items. */
extern const struct schema_object config_machine;
extern const struct schema_object config_cpu;
extern const struct schema_object config_boot_source;
extern const struct schema_object config_serial;
extern const struct schema_object config_drive;
extern const struct schema_object config_net;
extern const struct schema_object config_vsock;
extern const struct schema_object config_mmds;
extern const struct schema_object config_entropy;
extern const struct schema_object config_balloon;
extern const struct schema_object config_memory_hotplug;
extern const struct schema_object config_pmem;

/* Bodies of PATCH. */
extern const struct schema_object config_machine_patch;
extern const struct schema_object config_drive_patch;
extern const struct schema_object config_net_patch;
extern const struct schema_object config_pmem_patch;
extern const struct schema_object config_balloon_patch;
extern const struct schema_object config_balloon_stats_patch;

/* The fields of struct vm_config that are no part: of a snapshot, or ours. */
extern const struct schema_object config_rest;

/* Six bytes, as text. */
extern const struct schema_parser config_mac;

/* struct token_bucket_config, struct rate_limiter_config */
extern const struct schema_object config_token_bucket;
extern const struct schema_object config_rate_limiter;

/**
 * config_part_items() - the structs of a part
 * @nr:		how many there are; 1 for one that is no list, set or not
 *
 * Return: the first; NULL when there is none.
 */
void *config_part_items(const struct config_part *part,
			const struct vm_config *config, size_t *nr);

/* Is the part set: by a client, the config file, the command line? */
bool config_part_is_set(const struct config_part *part,
			const struct vm_config *config);

/* The value of its key in GET /vm/config. */
void config_part_show(const struct config_part *part,
		      const struct vm_config *config, struct buf *out);

/* Defaults: 1 vCPU, 128 MiB, nothing else; this process opens by itself. */
void vm_config_init(struct vm_config *config);
void vm_config_fini(struct vm_config *config);
