/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holder.h - which process has a thing of the host
 */
#pragma once

#include <stddef.h>

/**
 * holder_find() - who, other than this process, has such a descriptor
 * @key:	how a line of its /proc/PID/fdinfo begins
 * @mark:	what that line has in it; its line feed may be part of that
 * @text:	" by VM web (process 7)"; empty when nobody is seen, as by an
 *		ordinary user who may not look at another's processes
 */
void holder_find(const char *key, const char *mark, char *text, size_t size);
