// SPDX-License-Identifier: Apache-2.0
/*
 * ext4_data.c - the blocks of files and folders (ext4.h)
 */
#include "oci/ext4_priv.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DATA_ENTRY_HEAD 8u
/* A link's text that needs no block. */
#define DATA_LINK_HERE 59u

/* The blocks from the first to behind the last that a piece touches. */
static uint64_t data_first(const struct fs_run *run)
{
	return run->off / EXT4_BLOCK;
}

static uint64_t data_behind(const struct fs_run *run)
{
	return (run->off + run->len + EXT4_BLOCK - 1) / EXT4_BLOCK;
}

/* Pieces that share a block are one range: its last piece. */
static unsigned int data_range(const struct fs_inode *inode, unsigned int from)
{
	unsigned int last = from;

	while (last + 1 < inode->nr_runs &&
	       data_first(&inode->runs[last + 1]) <=
		       data_behind(&inode->runs[last]))
		last++;
	return last;
}

static uint32_t data_entry_size(size_t name)
{
	return (uint32_t)(DATA_ENTRY_HEAD + name + 3) & ~3u;
}

static uint64_t data_folder_blocks(const struct fs_inode *folder)
{
	uint32_t used = data_entry_size(1) + data_entry_size(2);
	uint64_t blocks = 1;

	for (const struct fs_node *at = folder->first; at; at = at->after) {
		uint32_t size = data_entry_size(strlen(at->name));

		if (used + size > EXT4_BLOCK) {
			blocks++;
			used = 0;
		}
		used += size;
	}
	return blocks;
}

static uint64_t data_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to;
}

/* Blocks of bytes, and extents that say where they are. */
struct data_count {
	uint64_t blocks;
	uint64_t extents;
};

static struct data_count data_count(const struct fs_inode *inode)
{
	struct data_count count = {0};

	if (S_ISDIR(inode->mode))
		count.blocks = data_folder_blocks(inode);
	else if (inode->link)
		count.blocks = strlen(inode->link) > DATA_LINK_HERE;
	count.extents = data_up(count.blocks, EXT4_EXTENT_BLOCKS);
	for (unsigned int i = 0; i < inode->nr_runs; i++) {
		unsigned int last = data_range(inode, i);
		uint64_t nr = data_behind(&inode->runs[last]) -
			      data_first(&inode->runs[i]);

		count.blocks += nr;
		count.extents += data_up(nr, EXT4_EXTENT_BLOCKS);
		i = last;
	}
	return count;
}

/* Blocks of the tree that says where extents are: none, leaves, more. */
static uint64_t data_leaves(uint64_t extents)
{
	return extents <= EXT4_EXTENTS_HERE
		       ? 0
		       : data_up(extents, EXT4_EXTENTS_BLOCK);
}

static uint64_t data_above(uint64_t leaves)
{
	return leaves <= EXT4_EXTENTS_HERE
		       ? 0
		       : data_up(leaves, EXT4_EXTENTS_BLOCK);
}

uint64_t ext4_blocks_of(const struct fs_inode *inode)
{
	struct data_count count = data_count(inode);
	uint64_t leaves = data_leaves(count.extents);

	return count.blocks + leaves + data_above(leaves) +
	       (inode->xattrs.len > 0);
}

/* A file's blocks on their way. */
struct data {
	struct ext4 *ext4;
	struct ext4_extent *extents;
	uint64_t nr;
};

/* @nr blocks from @logical on are the next free ones. */
static void data_extents(struct data *data, uint64_t logical, uint64_t nr)
{
	while (nr > 0) {
		uint64_t len =
			nr < EXT4_EXTENT_BLOCKS ? nr : EXT4_EXTENT_BLOCKS;

		data->extents[data->nr++] = (struct ext4_extent){
			.logical = (uint32_t)logical,
			.len = (uint16_t)len,
			.at = (uint32_t)data->ext4->next,
		};
		data->ext4->next += len;
		logical += len;
		nr -= len;
	}
}

/* A piece of a file; @base is where its offset 0 would be. */
static int data_copy(struct ext4 *ext4, const struct fs_run *run, uint64_t base)
{
	uint64_t done = 0;

	while (done < run->len) {
		size_t len = run->len - done < EXT4_CHUNK
				     ? (size_t)(run->len - done)
				     : EXT4_CHUNK;
		int r = fd_read_full(ext4->tree->spool, ext4->chunk, len,
				     (off_t)(run->at + done));

		if (r < 0)
			return err_set(ext4->err, r, "cannot be read again: %s",
				       err_name(r));
		r = ext4_put(ext4, ext4->chunk, len, base + run->off + done);
		if (r < 0)
			return r;
		done += len;
		ext4->written += len;
		progress_tell(ext4->progress, "writing", ext4->written,
			      ext4->total);
	}
	return 0;
}

/* The pieces of a file; those that share or touch blocks lie in a row. */
static int data_file(struct data *data, const struct fs_inode *inode)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < inode->nr_runs; i++) {
		unsigned int last = data_range(inode, i);
		uint64_t logical = data_first(&inode->runs[i]);
		/* It may be below 0: only the sum counts. */
		uint64_t base = (data->ext4->next - logical) * EXT4_BLOCK;

		data_extents(data, logical,
			     data_behind(&inode->runs[last]) - logical);
		for (unsigned int j = i; r == 0 && j <= last; j++)
			r = data_copy(data->ext4, &inode->runs[j], base);
		i = last;
	}
	return r;
}

/* Blocks that lie in memory: of a folder, or a link's. */
static int data_blocks(struct data *data, const char *from, uint64_t blocks)
{
	uint64_t at = data->ext4->next * EXT4_BLOCK;

	data_extents(data, 0, blocks);
	return ext4_put(data->ext4, from, (size_t)(blocks * EXT4_BLOCK), at);
}

/* One name behind the last; the last of a block takes what is left of it. */
struct data_folder {
	char *block;
	uint32_t used;
	struct ext4_name *last;
};

static uint8_t data_type(uint32_t mode)
{
	return S_ISREG(mode)    ? 1
	       : S_ISDIR(mode)  ? 2
	       : S_ISCHR(mode)  ? 3
	       : S_ISBLK(mode)  ? 4
	       : S_ISFIFO(mode) ? 5
	       : S_ISLNK(mode)  ? 7
				: 0;
}

static void data_name(struct data_folder *folder, const char *name,
		      uint32_t number, uint32_t mode)
{
	size_t len = strlen(name);
	uint32_t size = data_entry_size(len);
	struct ext4_name *entry;

	if (folder->used + size > EXT4_BLOCK) {
		folder->last->size = (uint16_t)(folder->last->size +
						EXT4_BLOCK - folder->used);
		folder->block += EXT4_BLOCK;
		folder->used = 0;
	}
	entry = (struct ext4_name *)(void *)(folder->block + folder->used);
	entry->inode = number;
	entry->size = (uint16_t)size;
	entry->len = (uint8_t)len;
	entry->type = data_type(mode);
	memcpy((char *)entry + DATA_ENTRY_HEAD, name, len);
	folder->used += size;
	folder->last = entry;
}

static int data_folder(struct data *data, const struct fs_inode *inode,
		       const struct fs_node *node)
{
	const struct fs_inode *up = node->parent ? node->parent->inode : inode;
	uint64_t blocks = data_folder_blocks(inode);
	cleanup_free char *room = calloc(blocks, EXT4_BLOCK);
	struct data_folder folder = {.block = room};

	if (!room)
		return err_set(data->ext4->err, -ENOMEM, "Out of memory");
	data_name(&folder, ".", inode->number, S_IFDIR);
	data_name(&folder, "..", up->number, S_IFDIR);
	for (const struct fs_node *at = inode->first; at; at = at->after)
		data_name(&folder, at->name, at->inode->number,
			  at->inode->mode);
	folder.last->size =
		(uint16_t)(folder.last->size + EXT4_BLOCK - folder.used);
	return data_blocks(data, room, blocks);
}

static int data_link(struct data *data, const char *text)
{
	memset(data->ext4->chunk, 0, EXT4_BLOCK);
	memcpy(data->ext4->chunk, text, strlen(text));
	return data_blocks(data, data->ext4->chunk, 1);
}

/* @nr entries of @from in a block of their own, which is the next free one. */
static int data_tree_block(struct ext4 *ext4, const struct ext4_extent *from,
			   uint64_t nr, uint16_t depth)
{
	struct ext4_extents head = {
		.magic = EXT4_EXTENT_MAGIC,
		.nr = (uint16_t)nr,
		.max = EXT4_EXTENTS_BLOCK,
		.depth = depth,
	};

	memset(ext4->chunk, 0, EXT4_BLOCK);
	memcpy(ext4->chunk, &head, sizeof(head));
	memcpy(ext4->chunk + sizeof(head), from, nr * sizeof(*from));
	return ext4_put(ext4, ext4->chunk, EXT4_BLOCK,
			ext4->next++ * EXT4_BLOCK);
}

/* All entries go into blocks, and are those of the blocks then. */
static int data_tree_level(struct data *data, uint16_t depth)
{
	uint64_t nr = 0;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < data->nr;
	     at += EXT4_EXTENTS_BLOCK) {
		uint64_t n = data->nr - at < EXT4_EXTENTS_BLOCK
				     ? data->nr - at
				     : EXT4_EXTENTS_BLOCK;
		struct ext4_extent above = {
			.logical = data->extents[at].logical,
			.node = (uint32_t)data->ext4->next,
		};

		r = data_tree_block(data->ext4, &data->extents[at], n, depth);
		data->extents[nr++] = above;
	}
	data->nr = nr;
	return r;
}

static int data_tree(struct data *data, struct ext4_inode *to)
{
	struct ext4_extents head = {
		.magic = EXT4_EXTENT_MAGIC,
		.max = EXT4_EXTENTS_HERE,
	};
	int r = 0;

	for (; r == 0 && data->nr > EXT4_EXTENTS_HERE; head.depth++)
		r = data_tree_level(data, head.depth);
	head.nr = (uint16_t)data->nr;
	memcpy(to->block, &head, sizeof(head));
	memcpy((char *)to->block + sizeof(head), data->extents,
	       data->nr * sizeof(*data->extents));
	return r;
}

static int data_all(struct data *data, const struct fs_node *node)
{
	const struct fs_inode *inode = node->inode;

	return inode->link            ? data_link(data, inode->link)
	       : S_ISDIR(inode->mode) ? data_folder(data, inode, node)
				      : data_file(data, inode);
}

int ext4_data(struct ext4 *ext4, const struct fs_node *node,
	      struct ext4_inode *to)
{
	const struct fs_inode *inode = node->inode;
	struct data_count count = data_count(inode);
	struct data data = {.ext4 = ext4};
	uint64_t first = ext4->next, sectors;
	uint64_t size = inode->link            ? strlen(inode->link)
			: S_ISDIR(inode->mode) ? count.blocks * EXT4_BLOCK
					       : inode->size;
	int r;

	to->size = (uint32_t)size;
	to->size_high = (uint32_t)(size >> 32);
	if (inode->link && size <= DATA_LINK_HERE) {
		memcpy(to->block, inode->link, size);
		return 0;
	}
	to->flags = EXT4_INODE_EXTENTS;
	data.extents = calloc(count.extents + 1, sizeof(*data.extents));
	if (!data.extents)
		return err_set(ext4->err, -ENOMEM, "Out of memory");
	r = data_all(&data, node);
	if (r == 0)
		r = data_tree(&data, to);
	sectors = (ext4->next - first) * (EXT4_BLOCK / 512);
	to->sectors = (uint32_t)sectors;
	to->sectors_high = (uint16_t)(sectors >> 32);
	free(data.extents);
	return r;
}
