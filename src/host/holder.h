/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder.h - which process has a thing of the host
 */
#pragma once

#include "base/fd.h"

struct path_opener;

/**
 * holder_find() - who, other than this process, has such a descriptor
 * @opener:	of /proc; nobody is seen through one that does not open it
 * @key:	how a line of its /proc/PID/fdinfo begins
 * @mark:	what that line has in it; its line feed may be part of that
 * @text:	" by VM web (process 7)"; empty when nobody is seen, as by an
 *		ordinary user who may not look at another's processes
 */
void holder_find(const struct path_opener *opener, const char *key,
		 const char *mark, char *text, size_t size);

/**
 * holder_of_lock() - who has a lock on an open file
 * @text:	" by VM web (process 4711)", " by process 4711 (qemu)", or empty
 *		where /proc does not tell
 *
 * An opener that cannot look by itself asks who opened the file for it.
 */
void holder_of_lock(const struct path_opener *opener, int fd, char *text,
		    size_t size);

/* The same of a file by its number; the opener has to look. */
void holder_of_file(const struct path_opener *opener, struct file_id file,
		    char *text, size_t size);
