/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake.h - a file becomes a kernel of the store
 *
 * A vmlinux, a bzImage, one of them compressed, or a Debian package that has
 * one. From a package come its configuration and the modules that a Volt guest
 * can use as well. Whether it is a kernel that volt-vmm loads, the loader
 * itself is asked, about what came and about what is written (elfpack.h).
 */
#pragma once

#include "store/store_write.h"

/**
 * intake_file() - read @path into @adding, and fill @record with what it is
 * @config:	path of its configuration; NULL: what comes with it, if any
 * @record:	empty; gets all but its name
 *
 * Return: 0; -ENOEXEC, -EBADMSG, -ENODATA (it is no kernel, or a damaged one),
 * -errno, with a sentence that names the file.
 */
int intake_file(struct adding *adding, const char *path, const char *config,
		struct progress *progress, struct record *record,
		struct err *err) __must_check;

/**
 * intake_name() - a name for @record: its release, else the file's own
 * @name:	RECORD_NAME_MAX + 1 bytes
 *
 * Return: 0, or -EINVAL with a sentence: neither will do.
 */
int intake_name(const struct record *record, const char *path, char *name,
		struct err *err) __must_check;
