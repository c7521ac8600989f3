// SPDX-License-Identifier: Apache-2.0
/*
 * layer.c - a tar archive goes on top of a tree (layer.h)
 */
#include "oci/layer.h"

#include "oci/spool.h"
#include "oci/tar.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define LAYER_WHITE  ".wh."
#define LAYER_OPAQUE ".wh..wh..opq"

/* One layer on its way. */
struct layer {
	struct fstree *tree;
	struct tar tar;
	const struct tar_entry *entry;
	struct err *err;
};

/* Its name would be on the stack once for each place that calls it. */
__attribute__((noinline)) static int layer_refuse(const struct layer *layer,
						  int r, const char *why)
{
	return err_set(layer->err, r, "entry %s %s",
		       tar_show(layer->entry->path).text, why);
}

static int layer_tree_says(const struct layer *layer, int r)
{
	return r < 0 ? layer_refuse(layer, r, fstree_why(r)) : 0;
}

static uint32_t layer_mode(const struct tar_entry *entry)
{
	static const uint32_t types[] = {
		[TAR_FILE] = S_IFREG,    [TAR_LINK] = S_IFREG,
		[TAR_SYMLINK] = S_IFLNK, [TAR_CHAR] = S_IFCHR,
		[TAR_BLOCK] = S_IFBLK,   [TAR_FOLDER] = S_IFDIR,
		[TAR_FIFO] = S_IFIFO,
	};

	return types[entry->type] | entry->mode;
}

static int layer_read(void *arg, void *to, size_t len)
{
	struct layer *layer = arg;

	return tar_read(&layer->tar, to, len);
}

static int layer_bytes(struct layer *layer, struct fs_inode *inode)
{
	const struct tar_entry *entry = layer->entry;
	int r = 0;

	if (!spool_fits(layer->tree, entry->size))
		return layer_refuse(layer, -EFBIG,
				    "makes the image larger than --max-size "
				    "allows");
	for (unsigned int i = 0; r == 0 && i < entry->nr_runs; i++)
		r = spool_add(layer->tree, inode, entry->runs[i].off,
			      entry->runs[i].len, layer_read, layer,
			      layer->err);
	inode->size = entry->size;
	return r;
}

static int layer_inode(struct layer *layer, struct fs_inode **out)
{
	const struct tar_entry *entry = layer->entry;
	struct fs_inode *inode = fs_inode_new();
	size_t len = strlen(entry->link);
	int r = 0;

	if (!inode)
		return layer_tree_says(layer, -ENOMEM);
	*out = inode;
	inode->mode = layer_mode(entry);
	inode->uid = entry->uid;
	inode->gid = entry->gid;
	inode->major = entry->major;
	inode->minor = entry->minor;
	inode->mtime = entry->mtime;
	inode->mtime_ns = entry->mtime_ns;
	buf_add(&inode->xattrs, entry->xattrs->data, entry->xattrs->len);
	if (inode->xattrs.failed)
		return layer_tree_says(layer, -ENOMEM);
	if (entry->type == TAR_SYMLINK) {
		if (len == 0 || len > FSTREE_LINK_MAX)
			return layer_refuse(layer, -EINVAL,
					    "is a symbolic link to nothing, or "
					    "to too long a name");
		inode->link = strdup(entry->link);
		r = inode->link ? 0 : layer_tree_says(layer, -ENOMEM);
	}
	if (r == 0 && entry->type == TAR_FILE)
		r = layer_bytes(layer, inode);
	return r;
}

static int layer_link(struct layer *layer, struct fs_node *dir,
		      const char *name)
{
	char last[FSTREE_NAME_MAX + 1];
	struct fs_node *to_dir = NULL, *to;
	const char *path = layer->entry->link;
	int r = fstree_split(layer->tree, path, false, &to_dir, last);

	if (r < 0)
		return layer_refuse(layer, r,
				    "is a hard link whose path is none");
	to = to_dir && last[0] ? fstree_child(layer->tree, to_dir, last) : NULL;
	if (!to)
		return layer_refuse(layer, -EINVAL,
				    "is a hard link to what is not there");
	if (S_ISDIR(to->inode->mode))
		return layer_refuse(layer, -EINVAL,
				    "is a hard link to a folder");
	/* What it replaces may not be above what it names. */
	for (const struct fs_node *up = to_dir; up; up = up->parent)
		if (up->parent == dir && strcmp(up->name, name) == 0)
			return layer_refuse(layer, -EINVAL,
					    "is a hard link to what is in it");
	return layer_tree_says(layer,
			       fstree_link(layer->tree, dir, name, to->inode));
}

/* Return: 1 when it was one. */
static int layer_white(struct layer *layer, struct fs_node *dir,
		       const char *name)
{
	struct fs_node *node;

	if (strncmp(name, LAYER_WHITE, strlen(LAYER_WHITE)) != 0)
		return 0;
	if (strcmp(name, LAYER_OPAQUE) == 0) {
		fstree_make_opaque(layer->tree, dir);
		return 1;
	}
	name += strlen(LAYER_WHITE);
	/* What AUFS kept for itself: ".wh..wh.aufs" and its like. */
	if (strncmp(name, LAYER_WHITE, strlen(LAYER_WHITE)) == 0)
		return 1;
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return layer_refuse(layer, -EINVAL, "is a whiteout of no name");
	node = fstree_child(layer->tree, dir, name);
	if (node)
		fstree_white_out(layer->tree, node);
	return 1;
}

/* Nodes that are on the way to an entry, and were not there. */
static int layer_entry(struct layer *layer)
{
	char name[FSTREE_NAME_MAX + 1];
	struct fs_node *dir = NULL;
	struct fs_inode *inode = NULL;
	int r = fstree_split(layer->tree, layer->entry->path, true, &dir, name);

	if (r < 0)
		return layer_tree_says(layer, r);
	r = layer_white(layer, dir, name);
	if (r != 0)
		return r < 0 ? r : 0;
	if (!name[0] && layer->entry->type != TAR_FOLDER)
		return layer_refuse(layer, -EINVAL,
				    "would take the place of the root folder");
	if (layer->entry->type == TAR_LINK)
		return layer_link(layer, dir, name);
	r = layer_inode(layer, &inode);
	if (r == 0 && inode) {
		r = layer_tree_says(layer,
				    fstree_put(layer->tree, dir, name, inode));
		if (r == 0) {
			layer->tree->bytes += inode->size;
			return 0;
		}
	}
	fs_inode_free(inode);
	return r;
}

int layer_apply(struct fstree *tree, struct flow *flow, struct err *err)
{
	struct layer layer = {.tree = tree, .err = err};
	struct tar_entry entry;
	int r;

	tree->layer++;
	layer.entry = &entry;
	tar_begin(&layer.tar, flow, err);
	do {
		r = tar_next(&layer.tar, &entry);
		if (r > 0) {
			r = layer_entry(&layer);
			r = r < 0 ? r : 1;
		}
	} while (r > 0);
	tar_end(&layer.tar);
	return r;
}
