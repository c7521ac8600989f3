/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_priv.h - what the files of unpack() share
 */
#pragma once

#include "kernel/unpack.h"

/* A block of lz4 has 8 MiB; no more is believed. */
#define UNPACK_BLOCK_MAX MIB(8)

/* Return: -EBADMSG, with the sentence "has a damaged NAME stream". */
int unpack_damaged(enum unpack_kind kind, struct err *err);

/* Return: -ENODATA, with the sentence "has a NAME stream that is cut off". */
int unpack_cut_off(enum unpack_kind kind, struct err *err);

/* Those with a file of their own. Return: 0; -EBADMSG, -ENODATA, what the sink
 * returned, or -errno; with a sentence. */
int unpack_lz4(const void *data, size_t len, struct unpack_sink *sink,
	       struct err *err) __must_check;
int unpack_lzop(const void *data, size_t len, struct unpack_sink *sink,
		struct err *err) __must_check;
