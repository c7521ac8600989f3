/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what is in a snapshot, told to a person or a program
 */
#pragma once

#include "base/err.h"

/**
 * inspect_snapshot() - print sizes, devices and checks of the snapshot in @dir
 * @as_json:	one JSON object
 * @verify:	read the memory file, too, and check its CRC
 *
 * Return: 0; 1 when a check failed; -errno with a sentence when it is none.
 */
int inspect_snapshot(const char *dir, bool as_json, bool verify,
		     struct err *err) __must_check;
