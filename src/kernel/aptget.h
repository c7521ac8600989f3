/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aptget.h - a kernel's package from Debian, without installing it
 *
 * Theory of operation
 *
 * apt knows the mirrors, checks Debian's signatures with the keys that this
 * machine has, and needs no root to download. Two ways, in this order:
 *
 *   the machine's own lists    what this machine would install. Nobody asked
 *                              for a --suite, and its lists know the package
 *   lists of our own           in a private folder, of the suite that is asked
 *                              for (this machine's without one), with nothing
 *                              of the machine's apt but its keys and mirrors
 *
 * A package that is not what was asked for but depends on it (the kernel of
 * linux-image-cloud-amd64, the source of linux-source) is followed to that.
 * Since Linux 7 a kernel's own package depends on others that have its parts:
 * those are downloaded, too.
 * Nothing is installed, and no maintainer's script is run.
 *
 * The names that go to apt are checked to be names, and are never seen by a
 * shell.
 */
#pragma once

#include "store/progress.h"

#include "base/err.h"

/**
 * struct aptget - what is wanted
 * @prefix:	of the packages that have it: APTGET_IMAGE, APTGET_SOURCE
 * @package:	"linux-image-cloud-amd64", or the kernel's own
 * @suite:	"bookworm-backports"; NULL: what the machine has
 * @folder:	an empty one, which all of it goes to
 * @arg:	for @has
 * @has:	whether the caller has the file of that name already; may be
 * NULL
 */
struct aptget {
	const char *prefix;
	const char *package;
	const char *suite;
	const char *folder;
	const void *arg;
	bool (*has)(const struct aptget *wish, const char *file);
};

#define APTGET_IMAGE  "linux-image-"
#define APTGET_SOURCE "linux-source-"

/* What a kernel's package may depend on for its parts, the kernel first. */
extern const char *const aptget_parts[3];

/**
 * aptget_fetch() - download a package, and the parts of a kernel beside it
 * @deb:	path of the package; to be freed
 *
 * Return: 0; 1: the caller has it, and @deb is where it would be; -EINVAL (no
 * name, or no such kind of package), -ENOENT (no such package, no mirror, no
 * apt), -errno; with a sentence.
 */
int aptget_fetch(const struct aptget *wish, struct progress *progress,
		 char **deb, struct err *err) __must_check;

/* "linux-image-6.1.0-56-cloud-amd64 (>= 1) | x": the first dependency that is a
 * package of that kind. @out: 128 bytes. Return: false when there is none. */
bool aptget_depends(const char *prefix, const char *text, char out[static 128]);

/* "'http://.../linux-source-6.1_6.1.192-2_all.deb' linux-source-... 139331676
 * SHA256:...", as apt prints where a package is: the name of its file. @out:
 * 256 bytes. Return: false when it is none. */
bool aptget_file(const char *text, char out[static 256]);

/* A package's name, as Debian allows them; a suite's. */
bool aptget_is_package(const char *name);
bool aptget_is_suite(const char *name);
