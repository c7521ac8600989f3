// SPDX-License-Identifier: Apache-2.0
/*
 * mmds.c - the metadata service, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#include <arpa/inet.h>
#include <errno.h>

#define CONFIG_OF struct mmds_config

static int parse_address(const char *text, void *value, struct err *err)
{
	if (inet_pton(AF_INET, text, value) == 1)
		return 0;
	return err_set(err, -EINVAL, "invalid IPv4 address syntax");
}

static void show_address(const void *value, struct buf *out)
{
	const uint8_t *at = value;

	buf_addf(out, "\"%u.%u.%u.%u\"", at[0], at[1], at[2], at[3]);
}

static const struct schema_parser address_parser = {parse_address,
						    show_address};
static const struct schema_name version_names[] = {
	CONFIG_MMDS_VERSIONS(CONFIG_NAME_AND_VALUE)};
static const struct schema_enum versions = SCHEMA_NAMES(version_names);
static const struct schema_item interface_id = {
	.field = &(const struct schema_field){.type = SCHEMA_STRING,
					      .size = sizeof(char *)},
	.size = sizeof(char *),
};

/* clang-format off */
static const struct schema_field mmds_fields[] = {
	CHOICE(version, MAY, NO, MUST, &versions),
	LIST(network_interfaces, MUST, NO, MUST, &interface_id),
	PARSED(ipv4_address, MAY_NULL, NO, MUST, &address_parser),
	BOOL(imds_compat, MAY, NO, MUST),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_mmds =
	CONFIG_OBJECT("MmdsConfig", mmds_fields, SCHEMA_WHOLE);

void mmds_config_init(struct mmds_config *mmds)
{
	*mmds = (struct mmds_config){.ipv4_address = {169, 254, 169, 254}};
}

void mmds_config_free(struct mmds_config *mmds)
{
	schema_free(&config_mmds, mmds);
	mmds_config_init(mmds);
}

/* RFC 3927, 2.1: the first and last 256 addresses are reserved. */
static bool is_link_local(const uint8_t address[4])
{
	return address[0] == 169 && address[1] == 254 && address[2] >= 1 &&
	       address[2] <= 254;
}

int mmds_config_check(const struct vm_config *config,
		      const struct mmds_config *mmds, struct err *err)
{
	char *const *ids = mmds->network_interfaces.items;

	if (!is_link_local(mmds->ipv4_address))
		return err_set(err, -EINVAL,
			       "The MMDS IPv4 address is not link local.");
	if (mmds->network_interfaces.nr == 0)
		return err_set(err, -EINVAL,
			       "The list of network interface IDs that allow "
			       "forwarding MMDS requests is empty.");
	for (size_t i = 0; i < mmds->network_interfaces.nr; i++)
		if (!vm_config_find_net(config, ids[i]))
			return err_set(err, -EINVAL,
				       "The list of network interface IDs "
				       "provided contains at least one ID that "
				       "does not correspond to any existing "
				       "network interface.");
	return 0;
}

static void init_mmds(void *item)
{
	mmds_config_init(item);
}

static void free_mmds(void *item)
{
	mmds_config_free(item);
}

/* Of a restored one: what a snapshot says is not believed. */
static int mmds_open_restored(struct vm_config *config, void *item,
			      unsigned int index,
			      const struct config_overrides *overrides,
			      struct err *err)
{
	const struct mmds_config *mmds = item;

	(void)index;
	(void)overrides;
	return mmds->present ? mmds_config_check(config, mmds, err) : 0;
}

const struct config_part config_part_mmds = {
	.key = "mmds-config",
	.saved = "mmds",
	.whole = &config_mmds,
	.offset = offsetof(struct vm_config, mmds),
	.present = offsetof(struct vm_config, mmds.present),
	.init = init_mmds,
	.open = mmds_open_restored,
	.close = free_mmds,
};
