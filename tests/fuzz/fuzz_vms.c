// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_vms.c - what is on the disk of a VM: its record, a line of its log
 *
 * A record that is taken is written, and taken again, as the same; a line that
 * is taken lies in its text.
 */
#include "vms/vm_log.h"
#include "vms/vm_record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_record(const char *text, size_t size)
{
	cleanup_buf struct buf out = {0}, again = {0};
	struct vm_record record, second;

	if (vm_record_parse(text, size, &record, NULL) == 0) {
		vm_record_print(&record, &out);
		if (vm_record_parse(out.data, out.len, &second, NULL) < 0)
			abort();
		vm_record_print(&second, &again);
		if (out.len != again.len ||
		    memcmp(out.data, again.data, out.len) != 0)
			abort();
		vm_record_free(&second);
	}
	vm_record_free(&record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of its own size, so that one byte too far is found. */
	char *text = malloc(size ? size : 1);
	struct vm_log_line line;

	if (!text)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	fuzz_record(text, size);
	if (vm_log_parse(text, size, &line) &&
	    (line.text < text || line.text + line.len != text + size))
		abort();
	free(text);
	return 0;
}
