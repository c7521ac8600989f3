/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.h - SHA-256 of files and texts, in hex
 */
#pragma once

#include "store/progress.h"

#include "base/err.h"

#include <nettle/sha2.h>

#define DIGEST_HEX 64

/* 64 lower-case hex digits and a NUL. */
struct digest {
	char hex[DIGEST_HEX + 1];
};

struct digest digest_of(const void *data, size_t len);

/* The same piece by piece: begin, add, end. */
struct digest_sum {
	struct sha256_ctx ctx;
};

void digest_begin(struct digest_sum *sum);
void digest_add(struct digest_sum *sum, const void *data, size_t len);
struct digest digest_end(struct digest_sum *sum);

/**
 * digest_of_file() - of @size bytes from the start of @fd
 *
 * Return: 0, -ENODATA when the file is shorter, or -errno.
 */
int digest_of_file(int fd, uint64_t size, struct progress *progress,
		   struct digest *out) __must_check;

/* 64 lower-case hex digits? */
bool digest_is_one(const char *text);
