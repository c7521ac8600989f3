// SPDX-License-Identifier: Apache-2.0
/*
 * fstree.c - a file system in memory, as layers make it (theory: fstree.h)
 */
#include "oci/fstree.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FSTREE_LINKS_FOLLOWED 40
#define FSTREE_TABLE_FIRST    1024u

struct fs_inode *fs_inode_new(void)
{
	return calloc(1, sizeof(struct fs_inode));
}

void fs_inode_free(struct fs_inode *inode)
{
	if (!inode)
		return;
	buf_free(&inode->xattrs);
	free(inode->link);
	free(inode->runs);
	free(inode);
}

static uint32_t fstree_hash(const struct fs_node *dir, const char *name)
{
	uint64_t h = (uint64_t)(uintptr_t)dir * UINT64_C(0x9e3779b97f4a7c15);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

static bool fstree_grow(struct fstree *tree)
{
	uint32_t size =
		tree->table_size ? 2 * tree->table_size : FSTREE_TABLE_FIRST;
	struct fs_node **table;

	if (tree->nr_nodes < tree->table_size)
		return true;
	table = calloc(size, sizeof(struct fs_node *));
	if (!table)
		return false;
	for (uint32_t i = 0; i < tree->table_size; i++) {
		while (tree->table[i]) {
			struct fs_node *node = tree->table[i];

			tree->table[i] = node->hash_next;
			node->hash_next = table[node->hash % size];
			table[node->hash % size] = node;
		}
	}
	free(tree->table);
	tree->table = table;
	tree->table_size = size;
	return true;
}

struct fs_node *fstree_child(const struct fstree *tree,
			     const struct fs_node *dir, const char *name)
{
	uint32_t hash = fstree_hash(dir, name);
	struct fs_node *node = tree->table[hash % tree->table_size];

	while (node && (node->hash != hash || node->parent != dir ||
			strcmp(node->name, name) != 0))
		node = node->hash_next;
	return node;
}

/* A name for @inode, which has one more then. */
static int fstree_add(struct fstree *tree, struct fs_node *dir,
		      const char *name, struct fs_inode *inode)
{
	size_t len = strlen(name);
	struct fs_node *node;

	assert(dir);
	if (dir->depth == FSTREE_DEPTH_MAX)
		return -EMLINK;
	if (tree->nr_nodes == FSTREE_NODES_MAX)
		return -ENOSPC;
	node = fstree_grow(tree) ? calloc(1, sizeof(*node) + len + 1) : NULL;
	if (!node)
		return -ENOMEM;
	memcpy(node->name, name, len + 1);
	node->parent = dir;
	node->depth = dir->depth + 1;
	node->inode = inode;
	node->layer = tree->layer;
	node->hash = fstree_hash(dir, name);
	node->hash_next = tree->table[node->hash % tree->table_size];
	tree->table[node->hash % tree->table_size] = node;
	node->after = dir->inode->first;
	if (node->after)
		node->after->before = node;
	dir->inode->first = node;
	dir->inode->nr_nodes++;
	inode->names++;
	tree->nr_nodes++;
	return 0;
}

static uint64_t fstree_words(const struct fs_inode *inode)
{
	return inode->xattrs.capacity +
	       (inode->link ? strlen(inode->link) : 0) +
	       inode->nr_runs * sizeof(struct fs_run);
}

/* One name less of a file; without one its bytes no longer count. */
static void fstree_drop_inode(struct fstree *tree, struct fs_inode *inode)
{
	if (--inode->names > 0)
		return;
	tree->bytes -= inode->size;
	tree->words -= fstree_words(inode);
	fs_inode_free(inode);
}

/* A node without anything in it. */
static void fstree_unlink(struct fstree *tree, struct fs_node *node)
{
	struct fs_node **at = &tree->table[node->hash % tree->table_size];

	while (*at != node)
		at = &(*at)->hash_next;
	*at = node->hash_next;
	if (node->before)
		node->before->after = node->after;
	else
		node->parent->inode->first = node->after;
	if (node->after)
		node->after->before = node->before;
	node->parent->inode->nr_nodes--;
	fstree_drop_inode(tree, node->inode);
	free(node);
	tree->nr_nodes--;
}

/* A node and all below it: from the leaves, without a stack. */
static void fstree_remove(struct fstree *tree, struct fs_node *top)
{
	struct fs_node *node = top;

	for (;;) {
		struct fs_node *up;

		while (node->inode->first)
			node = node->inode->first;
		up = node->parent;
		if (node == top) {
			fstree_unlink(tree, node);
			return;
		}
		fstree_unlink(tree, node);
		node = up;
	}
}

/* Its depth is limited, so the stack is. */
void fstree_white_out(struct fstree *tree, struct fs_node *node)
{
	fstree_make_opaque(tree, node);
	if (node->layer < tree->layer && !node->inode->first)
		fstree_unlink(tree, node);
}

void fstree_make_opaque(struct fstree *tree, struct fs_node *node)
{
	struct fs_node *next;

	for (struct fs_node *at = node->inode->first; at; at = next) {
		next = at->after;
		fstree_white_out(tree, at);
	}
}

int fstree_init(struct fstree *tree, int spool, uint64_t max)
{
	*tree = (struct fstree){.spool = spool, .max = max};
	tree->root = calloc(1, sizeof(*tree->root) + 1);
	if (!tree->root || !fstree_grow(tree))
		return -ENOMEM;
	tree->root->inode = fs_inode_new();
	if (!tree->root->inode)
		return -ENOMEM;
	tree->root->inode->mode = S_IFDIR | 0755;
	tree->root->inode->names = 1;
	return 0;
}

void fstree_free(struct fstree *tree)
{
	if (tree->root && tree->root->inode) {
		while (tree->root->inode->first)
			fstree_remove(tree, tree->root->inode->first);
		fs_inode_free(tree->root->inode);
	}
	free(tree->root);
	free(tree->table);
	*tree = (struct fstree){0};
}

int fstree_put(struct fstree *tree, struct fs_node *dir, const char *name,
	       struct fs_inode *inode)
{
	struct fs_node *old = name[0] ? fstree_child(tree, dir, name) : dir;
	uint64_t words = fstree_words(inode);
	int r;

	if (words > FSTREE_WORDS_MAX - tree->words)
		return -E2BIG;
	if (old && S_ISDIR(old->inode->mode) && S_ISDIR(inode->mode)) {
		struct fs_inode *was = old->inode;

		inode->first = was->first;
		inode->nr_nodes = was->nr_nodes;
		inode->names = 1;
		tree->words += words - fstree_words(was);
		fs_inode_free(was);
		old->inode = inode;
		old->layer = tree->layer;
		old->implied = false;
		return 0;
	}
	if (old)
		fstree_remove(tree, old);
	r = fstree_add(tree, dir, name, inode);
	tree->words += r == 0 ? words : 0;
	return r;
}

int fstree_link(struct fstree *tree, struct fs_node *dir, const char *name,
		struct fs_inode *inode)
{
	struct fs_node *old = fstree_child(tree, dir, name);
	int r;

	if (old && old->inode == inode) {
		old->layer = tree->layer;
		return 0;
	}
	/* What goes may hold the file's last other name. */
	inode->names++;
	if (old)
		fstree_remove(tree, old);
	r = fstree_add(tree, dir, name, inode);
	fstree_drop_inode(tree, inode);
	return r;
}

/* Where a walk is. */
struct walk {
	struct fstree *tree;
	struct fs_node *at;
	bool make;
	unsigned int followed;
};

static int walk_text(struct walk *walk, const char *path);

static int walk_make(struct walk *walk, const char *name)
{
	struct fs_inode *inode = fs_inode_new();
	int r;

	if (!inode)
		return -ENOMEM;
	inode->mode = S_IFDIR | 0755;
	r = fstree_add(walk->tree, walk->at, name, inode);
	if (r < 0) {
		fs_inode_free(inode);
		return r;
	}
	walk->at = fstree_child(walk->tree, walk->at, name);
	walk->at->implied = true;
	return 0;
}

/* One name further, where a link goes on. */
static int walk_name(struct walk *walk, const char *name)
{
	struct fs_node *next;

	if (strcmp(name, ".") == 0)
		return 0;
	if (strcmp(name, "..") == 0) {
		if (walk->at->parent)
			walk->at = walk->at->parent;
		return 0;
	}
	next = fstree_child(walk->tree, walk->at, name);
	if (!next) {
		if (walk->make)
			return walk_make(walk, name);
		walk->at = NULL;
		return 0;
	}
	if (S_ISLNK(next->inode->mode)) {
		if (++walk->followed > FSTREE_LINKS_FOLLOWED)
			return -ELOOP;
		return walk_text(walk, next->inode->link);
	}
	if (!S_ISDIR(next->inode->mode))
		return -ENOTDIR;
	walk->at = next;
	return 0;
}

/* The next name of a path. Return: its length; 0 at the end. */
static size_t walk_next(const char **path)
{
	*path += strspn(*path, "/");
	return strcspn(*path, "/");
}

static int walk_text(struct walk *walk, const char *path)
{
	char name[FSTREE_NAME_MAX + 1];
	size_t len;
	int r = 0;

	if (path[0] == '/')
		walk->at = walk->tree->root;
	while (r == 0 && walk->at && (len = walk_next(&path)) > 0) {
		if (len > FSTREE_NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		r = walk_name(walk, name);
	}
	return r;
}

int fstree_split(struct fstree *tree, const char *path, bool make,
		 struct fs_node **dir, char *name)
{
	struct walk walk = {.tree = tree, .at = tree->root, .make = make};
	size_t len;
	int r = 0;

	name[0] = '\0';
	if (path[0] == '/')
		return -EINVAL;
	while (r == 0 && walk.at && (len = walk_next(&path)) > 0) {
		if (len > FSTREE_NAME_MAX)
			return -ENAMETOOLONG;
		if (len == 2 && memcmp(path, "..", 2) == 0)
			return -EINVAL;
		if (len > 1 || path[0] != '.') {
			if (name[0])
				r = walk_name(&walk, name);
			memcpy(name, path, len);
			name[len] = '\0';
		}
		path += len;
	}
	*dir = walk.at;
	return r;
}

static int fstree_by_name(const void *a, const void *b)
{
	return strcmp((*(struct fs_node *const *)a)->name,
		      (*(struct fs_node *const *)b)->name);
}

static int fstree_sort_folder(struct fs_inode *folder)
{
	unsigned int nr = folder->nr_nodes, i = 0;
	cleanup_free struct fs_node **list =
		calloc((size_t)nr + 1, sizeof(struct fs_node *));

	if (!list)
		return -ENOMEM;
	for (struct fs_node *at = folder->first; at && i < nr; at = at->after)
		list[i++] = at;
	qsort(list, nr, sizeof(struct fs_node *), fstree_by_name);
	folder->first = list[0];
	for (i = 0; i < nr; i++) {
		list[i]->before = i ? list[i - 1] : NULL;
		list[i]->after = list[i + 1];
	}
	return 0;
}

int fstree_sort(struct fstree *tree)
{
	struct fs_node *node = tree->root;
	int r = 0;

	/* Down, on, and up again. */
	while (r == 0 && node) {
		if (node->inode->nr_nodes > 0) {
			r = fstree_sort_folder(node->inode);
			node = node->inode->first;
			continue;
		}
		while (node && !node->after)
			node = node->parent;
		node = node ? node->after : NULL;
	}
	return r;
}

const char *fstree_why(int r)
{
	switch (r) {
	case -EINVAL:
		return "has a path that is absolute or has .. in it";
	case -ENAMETOOLONG:
		return "has a name of more than 255 bytes";
	case -EMLINK:
		return "is more than 256 folders deep";
	case -ENOSPC:
		return "is one too many: an image may have 2,000,000 entries";
	case -E2BIG:
		return "is one too many: links, attributes and lists of "
		       "pieces take up more than 512 MiB";
	case -ENOTDIR:
		return "is below something that is no folder";
	case -ELOOP:
		return "is below symbolic links that lead in a circle";
	case -ENOMEM:
		return "needs more memory than there is";
	default:
		return err_name(r);
	}
}
