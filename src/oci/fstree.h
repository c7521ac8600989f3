/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fstree.h - a file system in memory, as layers make it
 *
 * Theory of operation
 *
 * Nothing of an image is ever extracted on the host: its names, owners, links
 * and devices are nodes here, the bytes of its files lie in one nameless file
 * behind each other (the spool), and ext4.h writes a file system of both. So an
 * entry can name no file of the host, whatever its path says; and no privilege
 * is needed to keep owners, devices and capabilities.
 *
 * A path is walked by names from the root. ".." and a leading "/" are refused
 * in an entry's own name. A symbolic link on the way, as of /lib in most
 * distributions, is followed within this tree as the guest itself would follow
 * it: its ".." ends at the root. The last name is never followed.
 *
 * A node is a name in a folder; names of one file share its inode. Each node
 * knows the layer that put it there last: a whiteout takes away what lower
 * layers have, not what its own layer has, in whatever order they come.
 *
 * What may grow without a limit has one: nodes, depth, names, links, bytes.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define FSTREE_NAME_MAX  255u
#define FSTREE_DEPTH_MAX 256u
#define FSTREE_NODES_MAX 2000000u
#define FSTREE_LINK_MAX  4095u
/* Links, attributes and lists of pieces, all in memory. */
#define FSTREE_WORDS_MAX MIB(512)

/* Bytes of a file, in the spool. */
struct fs_run {
	uint64_t off;
	uint64_t len;
	uint64_t at;
};

/**
 * struct fs_inode - a file of any kind
 * @mode:	with its type, as of stat()
 * @link:	a symbolic link's text; owned
 * @first:	of a folder, its names
 * @names:	how many nodes there are of it
 * @number:	for who writes the file system
 */
struct fs_inode {
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t major;
	uint32_t minor;
	int64_t mtime;
	uint32_t mtime_ns;
	uint64_t size;
	struct buf xattrs;
	char *link;
	struct fs_run *runs;
	unsigned int nr_runs;
	struct fs_node *first;
	unsigned int nr_nodes;
	unsigned int names;
	uint32_t number;
};

/**
 * struct fs_node - a name in a folder
 * @implied:	a folder that no entry described
 */
struct fs_node {
	struct fs_node *parent;
	struct fs_node *before;
	struct fs_node *after;
	struct fs_node *hash_next;
	struct fs_inode *inode;
	uint32_t hash;
	unsigned int layer;
	unsigned int depth;
	bool implied;
	char name[];
};

/**
 * struct fstree - the whole
 * @spool:	its files' bytes; not owned
 * @words:	what its files take of memory besides their names
 * @max:	bytes that all files may have together, holes included
 */
struct fstree {
	struct fs_node *root;
	unsigned int nr_nodes;
	unsigned int layer;
	struct fs_node **table;
	uint32_t table_size;
	int spool;
	uint64_t spooled;
	uint64_t bytes;
	uint64_t words;
	uint64_t max;
};

/* An empty root folder. Return: 0, -ENOMEM. fstree_free() in any case. */
int fstree_init(struct fstree *tree, int spool, uint64_t max) __must_check;
void fstree_free(struct fstree *tree);

/**
 * fstree_split() - the folder of a path, and the last name
 * @make:	folders on the way that are not there
 * @dir:	NULL: one of them is not there, and was not to be made
 * @name:	FSTREE_NAME_MAX + 1 bytes; "": the path is the root
 *
 * Return: 0; -ENOTDIR, -ELOOP, -EINVAL (.. or absolute), -ENAMETOOLONG,
 * -EMLINK (too deep), -ENOSPC (too many), -ENOMEM.
 */
int fstree_split(struct fstree *tree, const char *path, bool make,
		 struct fs_node **dir, char *name) __must_check;

/* The node of that name in a folder, or NULL. */
struct fs_node *fstree_child(const struct fstree *tree,
			     const struct fs_node *dir, const char *name);

/**
 * fstree_put() - a new file of this name; one that is there goes
 *
 * A folder in place of a folder keeps what is in it. @inode is taken over when
 * this succeeds.
 *
 * Return: 0; -EMLINK, -ENOSPC, -E2BIG (FSTREE_WORDS_MAX), -ENOMEM.
 */
int fstree_put(struct fstree *tree, struct fs_node *dir, const char *name,
	       struct fs_inode *inode) __must_check;

/* One more name of the file @inode. Return: as fstree_put(). */
int fstree_link(struct fstree *tree, struct fs_node *dir, const char *name,
		struct fs_inode *inode) __must_check;

/* What lower layers have of a node, or only of what is in it, goes. */
void fstree_white_out(struct fstree *tree, struct fs_node *node);
void fstree_make_opaque(struct fstree *tree, struct fs_node *node);

struct fs_inode *fs_inode_new(void);
void fs_inode_free(struct fs_inode *inode);

/* The nodes of each folder by their names: the same tree, the same order.
 * Return: 0, -ENOMEM. */
int fstree_sort(struct fstree *tree) __must_check;

/* Why one of these failed, for a sentence. */
const char *fstree_why(int r);
