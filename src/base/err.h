/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err.h - one full sentence for the person who reads it
 *
 * Configuration and control paths return 0 or -errno and fill a struct err;
 * hot paths return only the int. Whoever handles the error logs it, once.
 *
 * In the contracts of this tree "-errno with a sentence" says that @err is set
 * then. On success, and where no sentence is promised, it stays as it is.
 */
#pragma once

#include "base/bits.h"

#define ERR_TEXT_MAX  704
#define ERR_PLAIN_MAX 320

/**
 * struct err - a failure in words
 * @rc:		-errno
 * @text:	a sentence that says what failed and, where it can, what to do
 * @plain:	the same for a person at a terminal, where clients of the API
 *		are owed Firecracker's words; empty: @text is for both
 */
struct err {
	int rc;
	char text[ERR_TEXT_MAX];
	char plain[ERR_PLAIN_MAX];
};

/**
 * err_set() - fill @err
 * @err:	may be NULL: then only the code is passed on
 * @rc:		-errno
 *
 * Return: @rc, so that a caller can `return err_set(...)`.
 */
int err_set(struct err *err, int rc, const char *fmt, ...) __printf_like(3, 4);

/**
 * err_prefix() - put "<prefix>" in front of the text that is there
 *
 * Return: @err->rc, or 0 when @err is NULL.
 */
int err_prefix(struct err *err, const char *fmt, ...) __printf_like(2, 3);

/* The same, of words that clients are owed: @err->plain stays without them.
 * Return: as err_prefix(). */
int err_prefix_api(struct err *err, const char *fmt, ...) __printf_like(2, 3);

/**
 * err_plain() - say the same to a person
 *
 * Call it after err_set(), which forgets the words of the error before.
 *
 * Return: as err_prefix().
 */
int err_plain(struct err *err, const char *fmt, ...) __printf_like(2, 3);

/* Only a person will read it: @err->text becomes @err->plain, if there is one.
 * Return: as err_prefix(). */
int err_only_plain(struct err *err);

/* What a person reads. */
const char *err_for_person(const struct err *err);

/**
 * err_name() - text of an errno value, without the locale
 * @errnum:	positive errno or -errno
 *
 * Return: a constant string; never NULL.
 */
const char *err_name(int errnum);
