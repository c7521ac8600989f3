/* SPDX-License-Identifier: Apache-2.0 */
/*
 * module.h - kernel modules: which ones a Volt guest can use, and their order
 *
 * Theory of operation
 *
 * A distribution's kernel has the drivers of Volt's devices as modules, and
 * needs them before it can mount its root. Of a package, those modules that
 * drive a device of Volt's or a file system that a root may have are kept,
 * with all that they depend on: some megabytes of the package's hundred.
 *
 * What a module depends on is in itself (.modinfo: depends=, and softdep= pre:,
 * which also names aliases such as crc32c), so neither depmod nor its files
 * are needed. A name that is no module is taken for built in.
 *
 * Kept they are one cpio archive, unpacked, each behind all that it needs: who
 * loads them in the order of the archive finds what it needs there.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define MODULE_NAME_MAX  64
#define MODULE_BYTES_MAX MIB(64) /* of one, unpacked */
#define MODULES_MAX      8192

/**
 * struct module - one of them
 * @name:	as the kernel calls it, with '_' for '-'
 * @info:	.modinfo: "key=value", each with a NUL
 * @data:	the module, unpacked
 */
struct module {
	char name[MODULE_NAME_MAX];
	struct buf info;
	struct buf data;
	bool chosen;
};

/**
 * struct modules - zeroed at first
 * @order:	indices of those that are chosen, each behind what it needs
 */
struct modules {
	unsigned int nr;
	struct module *list;
	unsigned int nr_chosen;
	unsigned int *order;
};

void modules_free(struct modules *modules);

/* "lib/modules/6.1.0/kernel/fs/xfs/xfs.ko.xz": could it be of use? */
bool module_path_matters(const char *path);

/**
 * module_add() - one more, from the file of a package
 * @data:	perhaps compressed
 *
 * Return: 0; -EBADMSG (no module, or damaged), -E2BIG, -ENOMEM.
 */
int module_add(struct modules *modules, const char *path, const void *data,
	       size_t len) __must_check;

/**
 * modules_choose() - @name, if there is such a module, and all it needs
 *
 * Return: true when there is.
 */
bool modules_choose(struct modules *modules, const char *name);

/* Those that a guest of Volt's may need: devices and file systems. */
void modules_choose_useful(struct modules *modules);

/**
 * modules_pack() - the chosen ones as an archive, in their order
 */
void modules_pack(const struct modules *modules, struct buf *out);

/**
 * modules_unpack() - read such an archive
 *
 * Return: 0; -EBADMSG, -ENOMEM. modules_free() in any case.
 */
int modules_unpack(const void *data, size_t len,
		   struct modules *modules) __must_check;

/* Is there one of this name? */
bool modules_has(const struct modules *modules, const char *name);

/* module_info.c: .modinfo of an ELF module. Return: 0, -EBADMSG, -ENOMEM. */
int module_read_info(const void *data, size_t len,
		     struct buf *info) __must_check;
