/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unpack_priv.h - what the files of unpack() share
 */
#pragma once

#include "kernel/unpack.h"

/* A block of lz4 has 8 MiB; no more is believed. */
#define UNPACK_BLOCK_MAX MIB(8)

/* "has a damaged NAME stream". Return: -EBADMSG. */
int unpack_damaged(enum unpack_kind kind, struct err *err);

/* "has a NAME stream that is cut off". Return: -ENODATA. */
int unpack_cut_off(enum unpack_kind kind, struct err *err);

/* unpack_lz4.c */
int unpack_lz4(const void *data, size_t len, struct unpack_sink *sink,
	       struct err *err) __must_check;
/* unpack_lzop.c */
int unpack_lzop(const void *data, size_t len, struct unpack_sink *sink,
		struct err *err) __must_check;
