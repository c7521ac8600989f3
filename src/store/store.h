/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.h - kernels and images by name: where they are, who may change them
 *
 * Theory of operation
 *
 * Kernels and images (kind.h) have stores of their own, by the same rules;
 * what follows says "kernel" for either. An image's record is of the same form,
 * and a / of its name is a % in names/.
 *
 * There are two stores of one form: /var/lib/volt/kernels, which root changes
 * and all read, and $XDG_DATA_HOME/volt/kernels (~/.local/share/volt/kernels),
 * which its user changes. A name is looked for in the user's own first. Root
 * has the first one only. VOLT_STORE names one folder that takes the place of
 * both. Whoever could change a kernel could run code in a guest of whoever
 * boots it, so a store is believed only if root or this user owns it and nobody
 * else may write there; and a store that the system's mode bits would let
 * another change is refused, not warned of.
 *
 *   lock                held by who changes the store
 *   names/NAME          the record of a kernel (record.h): JSON
 *   blobs/SHA256        a kernel, a configuration, modules: by content, 0444
 *   tmp/PID.N           what an add is writing, or a folder of what it needs
 *                       meanwhile (a download); locked while it does
 *   initramfs/KEY.SHA256  what was made of modules (initramfs.h)
 *   default             the name of the default kernel
 *
 * A kernel is there when its record is, and a record appears last:
 *
 *   add   tmp/PID.N are written, hashed and synced, without the lock
 *         lock; tmp/PID.N are renamed blobs/SHA256; blobs/ is synced
 *         tmp/PID.N with the record is renamed names/NAME; names/ is synced
 *   rm    lock; names/NAME goes; then blobs that no record names
 *   gc    lock; blobs that no record names, and files in tmp/ that nobody
 *         holds locked
 *
 * So whatever is killed, wherever: the kernels that were there stay, the new
 * one is there or is not, and what is left over is a blob without a record or a
 * file in tmp/, which every later add, rm and gc removes. Two adds do not wait
 * for each other but for the last step. Of two that add the same content the
 * second finds its blob there, and its own file goes. All names in tmp/ are
 * made under the lock and locked before it is given back, so that nobody takes
 * a living one for left over.
 *
 * A blob is never written again once it has its name: a VM that maps it keeps
 * it, also when it is removed meanwhile.
 *
 * Verified at use: store_use() compares what a record noted of the file (inode,
 * size, time of change, which nobody but root can set back) with what is there,
 * and reads and hashes the whole file if that differs. What changes a file
 * without its file system's knowing, as a dying disk does, store_verify()
 * finds: it always reads all of it.
 *
 * None of this runs in volt-vmm.
 */
#pragma once

#include "store/kind.h"
#include "store/record.h"

#define STORE_SYSTEM "/var/lib/volt"

/**
 * struct store - one of them
 * @path:	of its folder; owned
 * @fd:		the folder; -1: it is not there
 * @mine:	this user changes it
 */
struct store {
	const struct store_kind *kind;
	char *path;
	int fd;
	bool mine;
};

/**
 * struct stores - those that this user looks into, in this order
 */
struct stores {
	unsigned int nr;
	struct store store[2];
};

/**
 * stores_open() - find this user's stores; one that is not there is empty
 *
 * Return: 0; -EPERM (one of them is not to be believed), -errno, with a
 * sentence. stores_close() in any case.
 */
int stores_open(struct stores *stores, const struct store_kind *kind,
		struct err *err) __must_check;
void stores_close(struct stores *stores);

/* The one that this user changes. */
struct store *stores_mine(struct stores *stores);

/**
 * store_find() - the record of @name
 *
 * Return: 0; -ENOENT (no such name here, or no store), -EINVAL (a damaged
 * record), -errno, with a sentence. record_free() in any case.
 */
int store_find(const struct store *store, const char *name,
	       struct record *record, struct err *err) __must_check;

/**
 * stores_find() - the same in all stores, in their order
 * @where:	the store that has it
 *
 * Return: as store_find(), with a sentence.
 */
int stores_find(struct stores *stores, const char *name, struct record *record,
		struct store **where, struct err *err) __must_check;

/**
 * store_each() - call @fn for each name, sorted
 * @fn:		a result other than 0 ends it
 *
 * Return: what the last @fn returned, or -errno with a sentence.
 */
int store_each(const struct store *store,
	       int (*fn)(const struct store *store, const char *name,
			 void *arg),
	       void *arg, struct err *err) __must_check;

/**
 * stores_default() - the name of the default kernel
 * @name:	RECORD_NAME_MAX + 1 bytes
 *
 * Return: 0; -ENOENT with a sentence that says what to do.
 */
int stores_default(struct stores *stores, char *name,
		   struct err *err) __must_check;

/* The default of @store itself; "": it has none. */
void store_default(const struct store *store,
		   char name[static RECORD_NAME_MAX + 1]);

/* Where a file of the store is: to be freed; NULL when memory is short. */
char *store_path(const struct store *store, const struct record_file *file);

/**
 * store_use() - is this file what was added? Quick: see above
 * @fd:		the file, open for reading; NULL if only the answer counts
 *
 * Return: 0; -ENOENT, -EBADMSG (it was changed), -errno, with a sentence.
 */
int store_use(const struct store *store, const char *name,
	      const struct record_file *file, struct progress *progress,
	      int *fd, struct err *err) __must_check;

/* The same by all of its bytes. Return: as store_use(), with a sentence. */
int store_verify(const struct store *store, const char *name,
		 const struct record_file *file, struct progress *progress,
		 struct err *err) __must_check;

/**
 * store_find_initramfs() - one that was put there, and is what it was
 * @path:	to be freed
 */
bool store_find_initramfs(const struct store *store, const char *key,
			  char **path);

/* A small file of the store, verified as by store_use(). Return: as that does,
 * with a sentence. */
int store_read(const struct store *store, const char *name,
	       const struct record_file *file, struct buf *out,
	       struct err *err) __must_check;
