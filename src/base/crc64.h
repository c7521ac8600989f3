/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc64.h - CRC-64/ECMA-182 (polynomial 0x42f0e1eba9ea3693, not reflected,
 * initial value and final XOR zero)
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Continue @crc (0 at the start) over @len bytes. */
uint64_t crc64(uint64_t crc, const void *data, size_t len);
