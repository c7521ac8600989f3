// SPDX-License-Identifier: Apache-2.0
/*
 * serial.c - where the console's output goes, as a part of the configuration
 */
#include "config/fields.h"
#include "config/parts.h"

#define CONFIG_OF struct serial_config

/* clang-format off */
static const struct schema_field serial_fields[] = {
	TEXT(serial_out_path, MAY_NULL, NO, MAY_NULL),
	OBJECT(rate_limiter, OPTIONAL, NO, OPTIONAL, &config_token_bucket,
	       HAS(rate_limiter.present)),
	OURS(fd, "open where the process is locked before it is configured"),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_serial =
	CONFIG_OBJECT("SerialConfig", serial_fields, SCHEMA_WHOLE);

static void config_serial_init(void *item)
{
	*(struct serial_config *)item = (struct serial_config){.fd = -1};
}

static void close_file(void *item)
{
	struct serial_config *serial = item;

	fd_close(&serial->fd);
	schema_free(&config_serial, serial);
	config_serial_init(serial);
}

const struct config_part config_part_serial = {
	.saved = "serial",
	.whole = &config_serial,
	.offset = offsetof(struct vm_config, serial),
	.present = offsetof(struct vm_config, serial.present),
	.host_own = true,
	.init = config_serial_init,
	.close = close_file,
};
