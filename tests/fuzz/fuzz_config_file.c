// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_config_file.c - any bytes as a config file, down to the last field
 */
#include "api_fuzz.h"

#include "api/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_section sections[CONFIG_SECTIONS_MAX] = {0};
	char *text = fuzz_copy(data, size);
	struct err err = {0};
	int r = config_file_scan(text, size, sections, &err);

	fuzz_check(r == 0 || (r == -EINVAL && err.text[0]));
	for (size_t i = 0; r == 0 && i < API_NR_RESOURCES; i++) {
		const struct config_section *s = &sections[i];

		if (s->len == 0)
			continue;
		fuzz_check(s->text >= text && s->text + s->len <= text + size);
		if (api_resources[i]->load->schema)
			fuzz_body(api_resources[i]->load->schema, s->text,
				  s->len);
	}
	free(text);
	return 0;
}
