/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash.h - SipHash-2-4 with 128 bits: a keyed hash of short texts
 *
 * Who does not know the key cannot tell the hash of a text that he has not
 * seen (Aumasson, Bernstein: SipHash: a fast short-input PRF). The libraries
 * that Debian packages have it behind constructors that run CPUID, which costs
 * every start of a VM whether or not it has a metadata service.
 */
#pragma once

#include "base/bits.h"

#define SIPHASH_BYTES 16u

/* The hash of @len bytes under @key. */
void siphash(const uint8_t key[SIPHASH_BYTES], const void *data, size_t len,
	     uint8_t out[SIPHASH_BYTES]);
