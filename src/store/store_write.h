/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_write.h - adding to a store and removing from it (store.h)
 */
#pragma once

#include "store/store.h"

/* A kernel, a configuration, modules, the record, the default, a folder. */
#define ADDING_FILES 6

/**
 * struct adding - a kernel or image on its way into a store; zeroed at first
 * @temp:	its files so far; @fd -1: it has its place; @sum: it is
 *		complete; @folder: it is none, but a folder
 */
struct adding {
	struct store *store;
	unsigned int nr;
	struct {
		char name[32];
		int fd;
		struct digest sum;
		bool folder;
	} temp[ADDING_FILES];
};

/* Make the folders of this user's store. Return: 0 or -errno, a sentence. */
int store_create(struct store *store, struct err *err) __must_check;

/**
 * adding_file() - a new file to be filled
 * @fd:		open for writing and reading; adding_close() closes it
 *
 * Return: 0, or -errno with a sentence.
 */
int adding_file(struct adding *adding, int *fd, struct err *err) __must_check;

/**
 * adding_done() - the file is complete: sync it, and tell its content
 * @fd:		from adding_file()
 * @out:	gets digest and size
 *
 * Return: 0, or -errno with a sentence.
 */
int adding_done(struct adding *adding, int fd, struct progress *progress,
		struct record_file *out, struct err *err) __must_check;

/**
 * adding_folder() - a new folder for what is only needed meanwhile
 * @path:	to be freed
 *
 * adding_close() removes it, with all that is in it; of an add that was killed
 * the next add, rm or gc.
 *
 * Return: 0, or -errno with a sentence.
 */
int adding_folder(struct adding *adding, char **path,
		  struct err *err) __must_check;

/* adding_file() and adding_done(), of a text. Return: 0, or -errno with a
 * sentence. */
int adding_text(struct adding *adding, const void *data, size_t len,
		struct record_file *out, struct err *err) __must_check;

/**
 * adding_commit() - now it is there
 * @record:	complete but for what is noted of the files
 * @replace:	a kernel of that name goes
 *
 * The first kernel of a store becomes its default.
 *
 * Return: 0; 1: the very same was there already; -EEXIST: another one of that
 * name was; -errno; with a sentence.
 */
int adding_commit(struct adding *adding, struct record *record, bool replace,
		  struct err *err) __must_check;

/* Files that did not become part of the store go. */
void adding_close(struct adding *adding);

/* rm and gc leave a pinned kernel. Return: 0, or -errno with a sentence. */
int store_pin(struct store *store, const char *name, bool pinned,
	      struct err *err) __must_check;

/* Note that all files of @seen were just found to be what they were, if that
 * can be written: the next use is quick then. */
void store_note(struct store *store, struct record *seen);

/* @name is a kernel of @store, or, for a user's, of root's. Return: 0, or
 * -errno with a sentence. */
int store_set_default(struct store *store, const char *name,
		      struct err *err) __must_check;

/* names/@name goes, and what nobody else needs of it. Return: 0, or -errno with
 * a sentence. */
int store_remove(struct store *store, const char *name,
		 struct err *err) __must_check;

/**
 * store_put_initramfs() - keep what was made of modules
 * @key:	64 hex digits, by which it will be found
 * @path:	of the file; to be freed
 *
 * Return: 0, or -errno with a sentence.
 */
int store_put_initramfs(struct store *store, const char *key, const void *data,
			size_t len, char **path, struct err *err) __must_check;

/**
 * store_gc() - what no record names, what killed adds left, every initramfs
 * @files, @bytes: what went
 *
 * A record that cannot be read stops it: what that one names is not known.
 *
 * Return: 0, or -errno with a sentence.
 */
int store_gc(struct store *store, uint64_t *files, uint64_t *bytes,
	     struct err *err) __must_check;
