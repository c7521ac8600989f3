/* SPDX-License-Identifier: Apache-2.0 */
/*
 * denied.h - why a file may not be opened, in a person's words
 */
#pragma once

#include <stddef.h>

#define DENIED_HINT_MAX 192

/**
 * denied_hint() - whose a file is that was not to be opened
 * @path:	the file
 * @rc:		-errno of the attempt
 * @out:	the end of a sentence, with what to do; "" unless @rc is -EACCES
 *		or -EPERM
 *
 * errno stays as it is: the sentence may name it, too. Return: @out.
 */
const char *denied_hint(const char *path, int rc, char out[DENIED_HINT_MAX]);
