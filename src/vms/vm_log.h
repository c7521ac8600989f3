/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_log.h - what a VM in the background said, line by line
 *
 * Theory of operation
 *
 * A record is a line: "TIME STREAM F TEXT", with TIME as in
 * 2026-11-27T01:45:00.123Z. F stands for a TEXT that ended with a line feed, P
 * in its place for one that did not, or not yet: TEXT holds any byte but that
 * one, so nothing of what was said is lost or changed. A console says a line
 * byte by byte: what has no line feed yet waits for one, until vm_log_flush().
 * The file is replaced when it is full (console_log.h), between two records.
 */
#pragma once

#include "vms/console_log.h"
#include "vms/tail.h"

#include "base/buf.h"

#define VM_LOG_HEAD_MAX 64u

enum vm_log_stream {
	VM_LOG_OUTPUT,
	VM_LOG_ERRORS,
	VM_LOG_VOLT, /* what Volt has to say of it */
	VM_LOG_STREAMS,
};

/**
 * struct vm_log - who writes; zeroed but for @file, which is open
 * @part:	of each stream what has no line feed yet
 */
struct vm_log {
	struct console_log file;
	struct buf part[VM_LOG_STREAMS];
};

/**
 * vm_log_add() - write down what was said now
 *
 * Return: 0, or the first -errno; the rest is dropped.
 */
int vm_log_add(struct vm_log *log, enum vm_log_stream stream, const char *data,
	       size_t len);

/* Does something wait for a line feed? */
bool vm_log_waits(const struct vm_log *log);

/* It comes late: write down what waits. Return: as vm_log_add(). */
int vm_log_flush(struct vm_log *log);

/* What waits is dropped. */
void vm_log_close(struct vm_log *log);

/**
 * struct vm_log_line - a record; it points into the text that it is of
 * @ms:		since 1970
 * @whole:	a line feed belongs behind @text
 */
struct vm_log_line {
	uint64_t ms;
	enum vm_log_stream stream;
	bool whole;
	const char *text;
	size_t len;
};

/* A record in @text, without its line feed. Return: false: it is none. */
bool vm_log_parse(const char *text, size_t len, struct vm_log_line *line);

/* Read from the oldest record on; tail_end() in the end. @folder: the VM's. */
void vm_log_begin(struct tail *reader, int folder);

/**
 * vm_log_next() - the next record
 * @line:	until the next call
 *
 * Return: 1; 0 when there is no more for now; -errno.
 */
int vm_log_next(struct tail *reader, struct vm_log_line *line) __must_check;

/* "2026-11-27T01:45:00.123Z" */
#define VM_LOG_TIME_MAX 40
void vm_log_time(uint64_t ms, char out[static VM_LOG_TIME_MAX]);
