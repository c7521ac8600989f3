/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inspect.h - what is in a snapshot, told to a person or a program
 */
#pragma once

#include "base/err.h"

/**
 * inspect_snapshot() - print sizes, devices and checks of a snapshot
 * @from:	its directory, or its state file
 * @memory:	the memory file that belongs to a state file; NULL: the state
 *		alone is looked at
 * @as_json:	one JSON object
 * @verify:	read the memory file, too, and check its CRC
 *
 * Return: 0; 1 when a check failed; 2 when @verify has no CRC to check by;
 * -errno with a sentence when it is none.
 */
int inspect_snapshot(const char *from, const char *memory, bool as_json,
		     bool verify, struct err *err) __must_check;
