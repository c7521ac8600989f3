/* SPDX-License-Identifier: Apache-2.0 */
/*
 * payload.h - the ELF kernel inside a bzImage, or inside a compressed file
 *
 * The setup header of a bzImage (protocol 2.08 and newer) says where its
 * compressed payload is. The payload's first bytes say how it is compressed,
 * its last four are the size that it unpacks to: those of gzip are part of that
 * format, the Linux build appends them to the others. No more is unpacked than
 * that size, which has a limit.
 *
 * Reference: Linux, Documentation/arch/x86/boot.rst.
 */
#pragma once

#include "kernel/unpack.h"
#include "store/progress.h"

/* Debian's kernels have 60 MiB. */
#define PAYLOAD_ELF_MAX MIB(512)
/* What is read whole: a bzImage, a package. */
#define PAYLOAD_FILE_MAX MIB(512)

/* Has @data the boot header of a bzImage? */
bool payload_is_bzimage(const void *data, size_t len);

/**
 * payload_unpack() - the ELF kernel in a bzImage or a compressed file
 * @to:		an empty file, which gets it
 *
 * Return: 0; -EBADMSG, -ENODATA (cut off), -ENOMEM, -EFBIG with the rest of a
 * sentence that begins with the file's name; the error of writing, with "cannot
 * be unpacked: ...".
 */
int payload_unpack(const void *data, size_t len, int to,
		   struct progress *progress, struct err *err) __must_check;
