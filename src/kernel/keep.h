/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keep.h - packages that were downloaded, for whoever wants them besides
 */
#pragma once

#include "base/err.h"

/**
 * keep_packages() - copy each package in a folder into another one
 * @to:	made if it is not there, not what is above it
 *
 * A file appears there when it is whole, in place of one of that name.
 *
 * Return: 0; -errno with a sentence.
 */
int keep_packages(const char *from, const char *to,
		  struct err *err) __must_check;
