/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmdline.h - the kernel command line
 */
#pragma once

#include "boot/platform.h"

/**
 * struct cmdline - a command line under construction
 * @text:	always NUL-terminated
 */
struct cmdline {
	size_t len;
	char text[LAYOUT_CMDLINE_MAX];
};

/**
 * cmdline_set() - start with what the user gave
 *
 * Return: 0, -E2BIG when it does not fit LAYOUT_CMDLINE_MAX.
 */
int cmdline_set(struct cmdline *cmdline, const char *text) __must_check;

/**
 * cmdline_append() - add one word at the end of the kernel's part
 *
 * That is before a " -- ": what follows it belongs to init.
 *
 * Return: 0, -E2BIG when it does not fit; nothing changes then.
 */
int cmdline_append(struct cmdline *cmdline, const char *word) __must_check;

/**
 * cmdline_has() - does the kernel's part give the parameter @name?
 * @name:	with its "="
 *
 * Words are told apart as the kernel does it: by white space outside double
 * quotes, and a word may begin with one.
 */
bool cmdline_has(const struct cmdline *cmdline, const char *name);

/* virtio_mmio.device= for each window of @plat. Return: 0 or -E2BIG. */
int cmdline_append_devices(struct cmdline *cmdline,
			   const struct boot_platform *plat) __must_check;
