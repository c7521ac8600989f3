/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deb.h - the files in a Debian package, one after the other
 *
 * A .deb is an ar archive: control.tar and data.tar, each compressed by its
 * own. Both are read as a stream: nothing of a package is written anywhere, no
 * path of it is ever used as one, and nothing that it holds is run. Links and
 * devices in it are passed over. The package may be anybody's: numbers are
 * checked, and more than DEB_UNPACKED_MAX is not unpacked.
 *
 * References: deb(5); tar(5), ustar and GNU's long names.
 */
#pragma once

#include "store/progress.h"

#include "base/buf.h"
#include "base/err.h"

#define DEB_UNPACKED_MAX GIB(4)
#define DEB_PATH_MAX     512

/**
 * struct deb_reader - who reads it; embed it
 * @wants:	is this file to be read? @path without "./" or "/" in front
 * @file:	its content; 0, or -errno, which ends the reading
 */
struct deb_reader {
	bool (*wants)(struct deb_reader *reader, const char *path,
		      uint64_t size);
	int (*file)(struct deb_reader *reader, const char *path,
		    const void *data, size_t len);
	struct progress *progress;
};

bool deb_is_one(const void *data, size_t len);

/**
 * deb_read() - all files of the archive @part: "control.tar" or "data.tar"
 *
 * Return: 0; what @file returned; -EBADMSG, -ENODATA, -EFBIG, -ENOMEM with the
 * rest of a sentence that begins with the package's file name.
 */
int deb_read(const void *deb, size_t len, const char *part,
	     struct deb_reader *reader, struct err *err) __must_check;
