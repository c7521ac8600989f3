/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_record.h - what is known of a VM: one JSON file, for programs to read
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define VM_RECORD_FORMAT  1
#define VM_RECORD_MAX     65536u
#define VM_RECORD_COMMAND 1024u /* of a command no more is kept */

/**
 * struct vm_record - strings are owned
 * @image:	as it was named; NULL: none
 * @command:	its words with blanks between them, for people; NULL: none
 * @ports:	that the image names, with blanks between them; NULL: none
 * @created, @started, @ended: milliseconds since 1970; 0: not yet
 * @holder:	the process that stays while the VM lives
 * @stop_signal: what asks the command to end
 * @code:	exit code, once @ended
 * @died:	the holder was gone without a word: @ended is when that was
 *		found, @code says that Volt failed
 * @remove:	nothing is kept of it when it has ended
 */
struct vm_record {
	uint64_t format;
	char *name;
	char *image;
	char *command;
	char *ports;
	uint64_t created;
	uint64_t started;
	uint64_t ended;
	uint64_t holder;
	uint64_t stop_signal;
	uint64_t code;
	bool died;
	bool remove;
	bool terminal;
};

/* Letters, digits and '-', 1 to 64: never a path. */
bool vm_record_is_name(const char *name);

/**
 * vm_record_parse() - the record in a text, checked
 *
 * Return: 0; -EINVAL with a sentence. @record is to be freed in any case.
 */
int vm_record_parse(const char *text, size_t len, struct vm_record *record,
		    struct err *err) __must_check;

void vm_record_print(const struct vm_record *record, struct buf *out);

void vm_record_free(struct vm_record *record);
