/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_file.h - the top level of a config file (config_file_load: api.h)
 */
#pragma once

#include "base/json.h"

#define CONFIG_SECTIONS_MAX 32

/* Where the value of resource i is in the text; len 0: not there. */
struct config_section {
	const char *text;
	size_t len;
};

/**
 * config_file_scan() - find the values of the resources
 * @sections:	zeroed, one for each of api_resources
 *
 * Unknown keys are ignored. Return: 0, or -EINVAL with a sentence.
 */
int config_file_scan(const char *text, size_t len,
		     struct config_section *sections,
		     struct err *err) __must_check;
