/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - the configuration in a snapshot
 *
 * The parts (parts.h) as their tables say it in the column `saved`, so that a
 * restore makes the same machine. Host resources (files, taps, sockets) are
 * kept by name and opened anew; overrides put other names in their place.
 */
#pragma once

#include "base/schema.h"
#include "config/config.h"
#include "config/override.h"

/* The JSON text of @config, drives by absolute paths; @out->failed when memory
 * is short. */
void config_state_encode(const struct vm_config *config, struct buf *out);

/* What has been read and is to be opened. */
struct config_state;

/**
 * config_state_read() - the values of @text into @config; opens nothing
 * @state:	for config_state_open(); config_state_free() in any case
 * @config:	as vm_config_init() left it, but for the command line's part
 *
 * Return: 0 or -errno with a sentence.
 */
int config_state_read(struct config_state **state, struct vm_config *config,
		      const struct schema_raw *text,
		      const struct config_overrides *overrides,
		      struct err *err) __must_check;

/* Open what it names. Return: 0 or -errno with a sentence. */
int config_state_open(struct config_state *state, struct vm_config *config,
		      const struct config_overrides *overrides,
		      struct err *err) __must_check;
void config_state_free(struct config_state *state);
