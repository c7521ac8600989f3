// SPDX-License-Identifier: Apache-2.0
/*
 * vm_record.c - what is known of a VM (vm_record.h)
 */
#include "vms/vm_record.h"

#include "base/schema.h"

#include <errno.h>
#include <string.h>

#define VM_NAME_MAX 64
#define VM_PID_MAX  INT32_MAX
#define VM_SIGNALS  64
#define VM_CODE_MAX 255

#define FIELD(kind, member, ...)              \
	{.name = #member,                     \
	 .type = (kind),                      \
	 SCHEMA_AT(struct vm_record, member), \
	 __VA_ARGS__}
#define NUMBER(member)                                       \
	FIELD(SCHEMA_UINT, member, .flags = SCHEMA_REQUIRED, \
	      .range = &schema_u64)
#define FLAG(member)         FIELD(SCHEMA_BOOL, member, .flags = SCHEMA_REQUIRED)
#define TEXT(member, flags_) FIELD(SCHEMA_STRING, member, .flags = (flags_))

static const struct schema_field vm_record_fields[] = {
	NUMBER(format),
	TEXT(name, SCHEMA_REQUIRED),
	TEXT(image, SCHEMA_OMIT | SCHEMA_NULL),
	TEXT(command, SCHEMA_OMIT | SCHEMA_NULL),
	TEXT(ports, SCHEMA_OMIT | SCHEMA_NULL),
	NUMBER(created),
	NUMBER(started),
	NUMBER(ended),
	NUMBER(holder),
	NUMBER(stop_signal),
	NUMBER(code),
	FLAG(died),
	FLAG(remove),
	FLAG(terminal),
};

static const struct schema_object vm_record_object =
	SCHEMA_STATE_OF(struct vm_record, vm_record_fields);

bool vm_record_is_name(const char *name)
{
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "abcdefghijklmnopqrstuvwxyz0123456789-";
	size_t len = strlen(name);

	return len > 0 && len <= VM_NAME_MAX && strspn(name, good) == len;
}

int vm_record_parse(const char *text, size_t len, struct vm_record *record,
		    struct err *err)
{
	struct schema_seen seen;
	int r;

	*record = (struct vm_record){0};
	r = schema_decode_text(&vm_record_object, text, len, record, &seen,
			       err);
	if (r < 0)
		return r;
	if (record->format != VM_RECORD_FORMAT)
		return err_set(err, -EINVAL,
			       "its format is %llu, and this is a Volt that "
			       "knows %d",
			       (unsigned long long)record->format,
			       VM_RECORD_FORMAT);
	if (!vm_record_is_name(record->name) || record->holder < 1 ||
	    record->holder > VM_PID_MAX || record->stop_signal < 1 ||
	    record->stop_signal > VM_SIGNALS || record->code > VM_CODE_MAX)
		return err_set(err, -EINVAL, "a value in it cannot be");
	return 0;
}

void vm_record_print(const struct vm_record *record, struct buf *out)
{
	schema_encode(&vm_record_object, record, out);
	buf_add_str(out, "\n");
}

void vm_record_free(struct vm_record *record)
{
	schema_free(&vm_record_object, record);
}
