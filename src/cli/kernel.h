/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel.h - what the forms of `volt kernel` share
 *
 * The store and all that is in it is store/store.h; here is what a person
 * sees of it.
 */
#pragma once

#include "cli/cli.h"

#include "kernel/drives.h"
#include "kernel/source.h"
#include "store/store_write.h"

extern const struct args_page cmd_kernel_page;
extern const struct args_page cmd_kernel_add_page;
extern const struct args_page cmd_kernel_build_page;
extern const struct args_page cmd_kernel_check_page;
extern const struct args_page cmd_kernel_default_page;
extern const struct args_page cmd_kernel_gc_page;
extern const struct args_page cmd_kernel_info_page;
extern const struct args_page cmd_kernel_ls_page;
extern const struct args_page cmd_kernel_path_page;
extern const struct args_page cmd_kernel_pin_page;
extern const struct args_page cmd_kernel_rm_page;
extern const struct args_page cmd_kernel_verify_page;

/* The forms, as struct command has them. Return: an exit code. */
int cmd_kernel_add(const struct args_page *page, int argc, char **argv);
int cmd_kernel_build(const struct args_page *page, int argc, char **argv);
int cmd_kernel_check(const struct args_page *page, int argc, char **argv);
int cmd_kernel_default(const struct args_page *page, int argc, char **argv);
int cmd_kernel_gc(const struct args_page *page, int argc, char **argv);
int cmd_kernel_info(const struct args_page *page, int argc, char **argv);
int cmd_kernel_ls(const struct args_page *page, int argc, char **argv);
int cmd_kernel_path(const struct args_page *page, int argc, char **argv);
int cmd_kernel_pin(const struct args_page *page, int argc, char **argv);
int cmd_kernel_rm(const struct args_page *page, int argc, char **argv);
int cmd_kernel_verify(const struct args_page *page, int argc, char **argv);

/* Exit codes of all forms, as their pages say. */
#define KERNEL_EXIT "0 done; 1 failed; 64 bad usage."

/* A --name that is none. Return: an exit code. */
int kernel_bad_name(const struct args_page *page, const char *name);

/**
 * kernel_commit() - what was taken in becomes a kernel, and a line says so
 * @own_name:	NULL: @record's release, else the last part of @path
 * @preset:	make it the default
 *
 * Return: 0, or as adding_commit(), with a sentence.
 */
int kernel_commit(struct adding *adding, const char *own_name, bool replace,
		  bool preset, const char *path, struct record *record,
		  struct err *err) __must_check;

/**
 * struct kernel_found - a kernel of one of the stores, and the stores
 * @config, @modules: empty when it has none
 */
struct kernel_found {
	struct stores stores;
	struct store *store;
	struct record record;
	struct buf config;
	struct modules modules;
};

/**
 * kernel_find() - the kernel of this name; NULL: the default
 *
 * Return: 0 or -errno with a sentence. kernel_found_free() in any case.
 */
int kernel_find(struct kernel_found *found, const char *name,
		struct err *err) __must_check;

/* Its configuration and modules, verified. Return: 0, or -errno with a
 * sentence. */
int kernel_read_parts(struct kernel_found *found, struct err *err) __must_check;

void kernel_found_free(struct kernel_found *found);

/**
 * struct kernel_where - where a source is to come from
 * @package:	of Debian's, by apt; NULL: @path, a folder or a tarball
 * @suite:	of @package; may be NULL
 * @cache:	of builds (kernel/source.h)
 */
struct kernel_where {
	const char *package;
	const char *suite;
	const char *path;
	const char *cache;
};

/**
 * kernel_find_source() - fetch and unpack it, as far as that is needed
 * @adding:	has the folder that a package is fetched into
 *
 * Return: 0, or -errno with a sentence.
 */
int kernel_find_source(const struct kernel_where *where, struct adding *adding,
		       struct progress *progress, struct source *source,
		       struct err *err) __must_check;
