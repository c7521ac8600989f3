/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.h - a JSON number in the one way that it is kept
 *
 * Integers of up to 64 bits as they are; all others as the shortest decimal
 * that reads back as the same double, laid out as Firecracker's library
 * (serde_json) does: 1.5, 100.0, 1e16, 1.25e-7.
 */
#pragma once

#include "base/buf.h"
#include "base/json.h"

/* Add the text of @number, which is finite, to @out. */
void document_add_number(struct buf *out, const struct json_number *number);
