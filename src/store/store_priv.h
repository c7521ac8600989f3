/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_priv.h - what reading and writing a store share
 */
#pragma once

#include "store/store.h"

#define STORE_NAMES     "names"
#define STORE_BLOBS     "blobs"
#define STORE_TMP       "tmp"
#define STORE_DEFAULT   "default"
#define STORE_INITRAMFS "initramfs"
#define STORE_LOCK      "lock"

/* A record has some 1 KB, the modules of a kernel 10 MB. */
#define STORE_TEXT_MAX KIB(64)
#define STORE_READ_MAX MIB(256)

/* "names/NAME", each / of NAME as % */
struct store_name {
	char path[sizeof(STORE_NAMES) + 1 + RECORD_REFERENCE_MAX + 1];
};

struct store_name store_name_of(const char *name);

/* Is @name one that a thing of this store can have? */
bool store_is_name(const struct store *store, const char *name);

/* "blobs/SHA256" */
struct store_blob {
	char name[sizeof(STORE_BLOBS) + 1 + DIGEST_HEX + 1];
};

struct store_blob store_blob_of(const char *sha256);

/* "initramfs/KEY.SHA256" */
struct store_initramfs {
	char name[sizeof(STORE_INITRAMFS) + 1 + (size_t)2 * (DIGEST_HEX + 1)];
};

struct store_initramfs store_initramfs_of(const char *key, const char *sha256);

/**
 * store_list_folder() - the names in a folder of the store, sorted
 * @names:	each ends in a NUL
 *
 * Return: 0, also when it is not there; -errno.
 */
int store_list_folder(const struct store *store, const char *folder,
		      struct buf *names, unsigned int *nr) __must_check;

/* The whole of a file of up to @max bytes. Return: 0, -EFBIG, -errno. */
int store_read_file(const struct store *store, const char *name, uint64_t max,
		    struct buf *out) __must_check;

/* Does the blob hold what its name says? By all of its bytes. Return: 0 and
 * *@good, or -errno. */
int store_hash_blob(const struct store *store, const char *sha256,
		    struct progress *progress, struct stat *st,
		    bool *good) __must_check;
