/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kconfig.h - a kernel's configuration: the text of its .config
 */
#pragma once

#include "base/err.h"

/* A .config has some 250 KB. */
#define KCONFIG_BYTES_MAX MIB(2)

enum kconfig_value {
	KCONFIG_NO,
	KCONFIG_MODULE,
	KCONFIG_YES, /* also a number or a text */
};

/**
 * kconfig_get() - one option
 * @name:	without CONFIG_
 */
enum kconfig_value kconfig_get(const char *text, size_t len, const char *name);

/**
 * kconfig_check() - is it a configuration, and for this kernel?
 * @release:	of the kernel ("6.1.0-56-cloud-amd64"); NULL: not known
 *
 * The first line of a .config names the version that it was made for. Debian
 * counts in the release, so only the first two numbers are compared.
 *
 * Return: 0, or -EINVAL with the rest of a sentence: "is for Linux 6.12 ...".
 */
int kconfig_check(const char *text, size_t len, const char *release,
		  struct err *err) __must_check;
