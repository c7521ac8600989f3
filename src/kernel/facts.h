/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.h - what a kernel file tells of itself
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define FACTS_BANNER_MAX  512
#define FACTS_RELEASE_MAX 64 /* as uname() has it */

/**
 * struct facts - of an ELF kernel
 * @release:	"6.1.0-56-cloud-amd64"; "": it does not say that it is Linux
 * @banner:	"Linux version ...", a line
 * @pvh:	it has the PVH entry beside the 64-bit one
 * @memory:	guest memory that it takes up when it is loaded: the end of it
 */
struct facts {
	char release[FACTS_RELEASE_MAX + 1];
	char banner[FACTS_BANNER_MAX];
	bool pvh;
	uint64_t memory;
};

/**
 * facts_check() - would volt-vmm load it?
 * @path:	for messages
 *
 * Asks the loader itself, on memory of its own.
 *
 * Return: 0; -ENOEXEC and whatever else the loader returns, with its sentence.
 */
int facts_check(int fd, const char *path, struct facts *facts,
		struct err *err) __must_check;

/* The banner and release in the bytes of a kernel; the rest stays. */
void facts_find_banner(const void *data, size_t len, struct facts *facts);

/**
 * facts_find_config() - the configuration that IKCONFIG put into a kernel
 * @config:	empty; gets its text
 *
 * Return: true when there is one, and it can be unpacked.
 */
bool facts_find_config(const void *data, size_t len, struct buf *config);

/* Both of the latter, of the file @fd, which nobody may cut short meanwhile.
 * Return: 0, -errno. */
int facts_read(int fd, struct facts *facts, struct buf *config) __must_check;
