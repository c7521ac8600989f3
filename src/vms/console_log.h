/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console_log.h - a console's log, which is replaced when it is full
 *
 * FILE grows to its limit, then becomes FILE.1, in the place of the one before,
 * and a new FILE begins: what is on the disk is never more than twice the
 * limit, and the last of it is always there. FILE is looked up once; then only
 * names in its folder are used.
 */
#pragma once

#include "base/err.h"

#include <limits.h>

/**
 * struct console_log - owner: the keeper
 * @size:	of the file now
 * @max:	bytes; more than 0
 */
struct console_log {
	int folder;
	int fd;
	uint64_t size;
	uint64_t max;
	char name[NAME_MAX + 1];
	char old[NAME_MAX + 1];
};

/**
 * console_log_open() - go on behind what is there, or begin
 *
 * Return: 0 or -errno with a sentence; console_log_close() in any case.
 */
int console_log_open(struct console_log *log, const char *path, uint64_t max,
		     struct err *err) __must_check;

/* What cannot be written is dropped. Return: 0, or the first -errno. */
int console_log_write(struct console_log *log, const char *data, size_t len);

/* The same of what is not to be cut in two, if it is shorter than the limit.
 * Return: as above. */
int console_log_add(struct console_log *log, const char *data, size_t len);

/* Remove FILE and FILE.1, by their names. */
void console_log_remove(const struct console_log *log);

void console_log_close(struct console_log *log);
