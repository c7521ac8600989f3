/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_file.h - JSON files that the command line names
 */
#pragma once

#include "base/buf.h"
#include "host/path.h"

#define TEXT_FILE_MAX MIB(4)

/**
 * text_file_read() - all of a file, which may be a pipe
 * @role:	PATH_CONFIG or PATH_METADATA
 * @text:	the bytes are added
 *
 * Return: 0, or -errno with the role's sentence; -EFBIG beyond TEXT_FILE_MAX.
 */
int text_file_read(const struct path_opener *opener, enum path_role role,
		   const char *path, struct buf *text,
		   struct err *err) __must_check;
