/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paged.h - does a snapshot need somebody who serves its memory?
 */
#pragma once

#include "base/err.h"

/**
 * paged_is_needed() - is it compressed, or something that it needs?
 * @from, @memory:	a directory and NULL, or the two files
 *
 * Of a raw snapshot that is whole this asks for two facts of its memory file.
 *
 * Return: 1: yes; 0: no, or nothing can be said: a restore finds out why;
 * -ENOMEM with a sentence.
 */
int paged_is_needed(const char *from, const char *memory,
		    struct err *err) __must_check;

/* May this user serve memory? Return: 1; -errno with a sentence that says what
 * to do. */
int paged_can_be(struct err *err) __must_check;
