/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache.h - what is kept for this user to be made again, if need be
 */
#pragma once

#include "base/err.h"

#include <limits.h>

/**
 * cache_path() - a place in $VOLT_CACHE, else in XDG's cache folder
 * @path:	PATH_MAX bytes
 *
 * Return: 0, or -ENOENT with a sentence.
 */
int cache_path(char *path, const char *file, struct err *err) __must_check;

/**
 * cache_find_initrd() - the newest initramfs of tests/initramfs/build
 * @path:	PATH_MAX bytes
 *
 * Return: 0, or -ENOENT with a sentence.
 */
int cache_find_initrd(char *path, struct err *err) __must_check;
