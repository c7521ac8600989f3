// SPDX-License-Identifier: Apache-2.0
/*
 * kernel.c - what the forms of `volt kernel` share (kernel.h)
 */
#include "cli/kernel.h"

#include "kernel/intake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int kernel_bad_name(const struct args_page *page, const char *name)
{
	return cli_misuse(page,
			  "--name takes 1 to %d letters, digits and . _ + - ~, "
			  "not '%s'",
			  RECORD_NAME_MAX, name);
}

int kernel_commit(struct adding *adding, const char *own_name, bool replace,
		  bool preset, const char *path, struct record *record,
		  struct err *err)
{
	char name[RECORD_NAME_MAX + 1];
	int same = 0, r = 0;

	if (own_name)
		(void)snprintf(name, sizeof(name), "%s", own_name);
	else
		r = intake_name(record, path, name, err);
	if (r < 0)
		return r;
	record->name = strdup(name);
	if (!record->name)
		return err_set(err, -ENOMEM, "Out of memory");
	same = adding_commit(adding, record, replace, err);
	if (same >= 0 && preset)
		r = store_set_default(adding->store, name, err);
	if (same < 0 || r < 0)
		return same < 0 ? same : r;
	(void)printf("%s: %s, %llu MiB%s%s\n", name,
		     same ? "was there already" : "added",
		     (unsigned long long)record->kernel.size >> 20,
		     record->has_config ? "" : ", without its configuration",
		     record->has_modules ? ", with modules" : "");
	return 0;
}

int kernel_find(struct kernel_found *found, const char *name, struct err *err)
{
	char preset[RECORD_NAME_MAX + 1];
	int r;

	*found = (struct kernel_found){0};
	r = stores_open(&found->stores, &store_kernels, err);
	if (r == 0 && !name)
		r = stores_default(&found->stores, preset, err);
	return r < 0 ? r
		     : stores_find(&found->stores, name ? name : preset,
				   &found->record, &found->store, err);
}

int kernel_read_parts(struct kernel_found *found, struct err *err)
{
	const struct record *record = &found->record;
	struct buf archive = {0};
	int r = 0;

	if (record->has_config)
		r = store_read(found->store, record->name, &record->config,
			       &found->config, err);
	if (r == 0 && record->has_modules) {
		r = store_read(found->store, record->name, &record->modules,
			       &archive, err);
		if (r == 0)
			r = modules_unpack(archive.data, archive.len,
					   &found->modules);
		if (r < 0 && archive.len > 0)
			r = err_set(err, r,
				    "The modules of kernel %s cannot be read: "
				    "%s",
				    record->name, err_name(r));
	}
	buf_free(&archive);
	return r;
}

void kernel_found_free(struct kernel_found *found)
{
	stores_close(&found->stores);
	record_free(&found->record);
	buf_free(&found->config);
	modules_free(&found->modules);
}
