/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar_priv.h - what the parts of the tar reader share
 */
#pragma once

#include "oci/tar.h"

#include "base/fd.h"

#define TAR_BLOCK_BYTES 512u

/* A block; what is behind the magic is another thing in GNU's. */
struct tar_header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char sum[8];
	char type;
	char link[100];
	char magic[8];
	char user[32];
	char group[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char rest[12];
};

/* "entry PATH @why". Return: @r. */
int tar_refuse(struct tar *tar, int r, const char *why);

void tar_words_free(struct tar_words *words);

/* @to becomes this text, with a NUL. Return: 0, -ENOMEM with a sentence. */
int tar_copy_word(struct tar *tar, struct buf *to, const char *from,
		  size_t len) __must_check;

/* What an extended header says. Return: 0; -EBADMSG, -E2BIG, -ENOMEM, with a
 * sentence. */
int tar_pax(struct tar *tar, const struct buf *text,
	    struct tar_words *words) __must_check;

/* A decimal number of up to 63 bits, which ends at @end or before one of
 * @stops. Return: where, or NULL. */
const char *tar_decimal(const char *at, const char *end, const char *stops,
			uint64_t *out);

/* A piece behind the others. Return: 0; -EBADMSG, -EFBIG, -ENOMEM, with a
 * sentence. */
int tar_add_run(struct tar *tar, uint64_t off, uint64_t len) __must_check;

/* A file without holes. Return: as tar_add_run(), with a sentence. */
int tar_one_run(struct tar *tar, uint64_t size) __must_check;

/**
 * tar_sparse() - the pieces of a file with holes
 * @size:	bytes behind the header
 * @real:	gets its size with holes
 *
 * Return: as tar_add_run(), with a sentence.
 */
int tar_sparse(struct tar *tar, const struct tar_header *h, uint64_t size,
	       uint64_t *real) __must_check;

/* Octal or base 256 in a field of a header. Return: false when it is none, or
 * negative. */
bool tar_field(const char *field, size_t len, uint64_t *out);
