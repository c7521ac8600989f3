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
 * A package that has no kernel but depends on one (linux-image-cloud-amd64) is
 * followed to it. What is downloaded goes into a folder that is removed again;
 * nothing is installed, and no maintainer's script is run.
 *
 * The names that go to apt are checked to be names, and are never seen by a
 * shell.
 */
#pragma once

#include "kernel/progress.h"

#include "base/err.h"

/**
 * aptget_fetch() - download a kernel's package
 * @package:	"linux-image-cloud-amd64", or the kernel's own
 * @suite:	"bookworm-backports"; NULL: what the machine has
 * @folder:	made, to be removed by aptget_clean(); to be freed
 * @deb:	path of the package in it; to be freed
 *
 * Return: 0; -EINVAL (no name, or no kernel's package), -ENOENT (no such
 * package, no mirror, no apt), -errno; with a sentence.
 */
int aptget_fetch(const char *package, const char *suite,
		 struct progress *progress, char **folder, char **deb,
		 struct err *err) __must_check;

/* Remove the folder and all that is in it. */
void aptget_clean(char *folder);

/* "linux-image-6.1.0-56-cloud-amd64 (>= 1) | x": the first dependency that is a
 * kernel's package. @out: 128 bytes. Return: false when there is none. */
bool aptget_depends(const char *text, char out[static 128]);

/* A package's name, as Debian allows them; a suite's. */
bool aptget_is_package(const char *name);
bool aptget_is_suite(const char *name);
