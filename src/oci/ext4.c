// SPDX-License-Identifier: Apache-2.0
/*
 * ext4.c - a tree becomes an ext4 file system (theory: ext4.h)
 *
 * ext4_data.c has the blocks of files and folders, ext4_xattrs.c those of
 * extended attributes.
 */
#include "oci/ext4_priv.h"

#include "oci/tar.h"

#include "base/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXT4_EXTRA_BYTES 32u
#define EXT4_FLEX_LOG    4u
#define EXT4_HALF_MD4    1u
#define EXT4_CLEAN       1u
#define EXT4_NO_CHECK    0xffffu

int ext4_put(struct ext4 *ext4, const void *from, size_t len, uint64_t off)
{
	const char *at = from;

	while (len > 0) {
		ssize_t n = fd_pwrite(ext4->fd, at, len, (off_t)off);
		int r = n < 0 ? -errno : -EIO;

		if (n <= 0)
			return err_set(ext4->err, r,
				       "cannot be written into the store: %s",
				       err_name(r));
		at += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Down, on, and up again. NULL: that was the last. */
static struct fs_node *ext4_next(struct fs_node *node)
{
	if (node->inode->first)
		return node->inode->first;
	while (node && !node->after)
		node = node->parent;
	return node ? node->after : NULL;
}

static uint64_t ext4_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to;
}

/* Each file once, in the order in which names come; what all take. */
static uint64_t ext4_count(struct ext4 *ext4)
{
	struct fs_node *root = ext4->tree->root;
	uint64_t blocks = ext4_blocks_of(root->inode);

	root->inode->number = EXT4_ROOT_INODE;
	ext4->inodes = EXT4_FIRST_INODE - 1;
	for (struct fs_node *at = ext4_next(root); at; at = ext4_next(at)) {
		if (at->inode->number)
			continue;
		at->inode->number = (uint32_t)++ext4->inodes;
		blocks += ext4_blocks_of(at->inode);
		if (S_ISREG(at->inode->mode))
			ext4->total += at->inode->size;
	}
	return blocks;
}

/* Where everything goes. More groups have more tables: until it stays. */
static int ext4_plan(struct ext4 *ext4)
{
	uint64_t blocks = ext4_count(ext4), before = 0, inode_blocks;

	ext4->groups = ext4_up(ext4->inodes, EXT4_GROUP_INODES);
	while (ext4->groups != before) {
		before = ext4->groups;
		/* A whole number of blocks of inodes. */
		ext4->group_inodes =
			ext4_up(ext4_up(ext4->inodes, before), 16) * 16;
		inode_blocks =
			ext4->group_inodes * EXT4_INODE_BYTES / EXT4_BLOCK;
		ext4->tables = 1 + ext4_up(before * sizeof(struct ext4_group),
					   EXT4_BLOCK);
		ext4->data = ext4->tables + before * (2 + inode_blocks);
		ext4->blocks = ext4->data + blocks;
		/* At least as many as inodes need; of the last one, too, more
		 * than nothing. */
		if (ext4->blocks <= (before - 1) * EXT4_GROUP_BLOCKS)
			ext4->blocks = (before - 1) * EXT4_GROUP_BLOCKS + 64;
		if (ext4_up(ext4->blocks, EXT4_GROUP_BLOCKS) > before)
			ext4->groups = ext4_up(ext4->blocks, EXT4_GROUP_BLOCKS);
		if (ext4->blocks > UINT32_MAX)
			return err_set(
				ext4->err, -EFBIG,
				"is larger than a file system of 16 TiB");
	}
	ext4->next = ext4->data;
	return 0;
}

static void ext4_key_bytes(const char *key, uint8_t out[static 16])
{
	for (size_t i = 0; i < 32; i++) {
		unsigned int c = (uint8_t)key[i];
		unsigned int n = c <= '9' ? c - '0' : c - 'a' + 10;

		out[i / 2] = (uint8_t)((unsigned int)out[i / 2] << 4 | n);
	}
}

static int ext4_write_super(struct ext4 *ext4, const char *key)
{
	struct ext4_super super = {
		.inodes = (uint32_t)(ext4->group_inodes * ext4->groups),
		.blocks = (uint32_t)ext4->blocks,
		.free_blocks = (uint32_t)(ext4->blocks - ext4->next),
		.free_inodes = (uint32_t)(ext4->group_inodes * ext4->groups -
					  ext4->inodes),
		.log_block = 2,
		.log_cluster = 2,
		.group_blocks = EXT4_GROUP_BLOCKS,
		.group_clusters = EXT4_GROUP_BLOCKS,
		.group_inodes = (uint32_t)ext4->group_inodes,
		.mounts_max = EXT4_NO_CHECK,
		.magic = EXT4_SUPER_MAGIC,
		.state = EXT4_CLEAN,
		.errors = 1,
		.revision = 1,
		.first_inode = EXT4_FIRST_INODE,
		.inode_bytes = EXT4_INODE_BYTES,
		.compat = EXT4_COMPAT_XATTR | EXT4_COMPAT_SPARSE_SUPER2,
		.incompat = EXT4_INCOMPAT_FILETYPE | EXT4_INCOMPAT_EXTENTS |
			    EXT4_INCOMPAT_FLEX_BG,
		.ro_compat = EXT4_RO_LARGE_FILE | EXT4_RO_HUGE_FILE |
			     EXT4_RO_DIR_NLINK | EXT4_RO_EXTRA_ISIZE,
		.hash_version = EXT4_HALF_MD4,
		.extra_min = EXT4_EXTRA_BYTES,
		.extra_want = EXT4_EXTRA_BYTES,
		.flags = 1,
		.log_flex = EXT4_FLEX_LOG,
	};

	ext4_key_bytes(key, super.uuid);
	ext4_key_bytes(key + 32, super.hash_seed);
	return ext4_put(ext4, &super, sizeof(super), EXT4_SUPER_AT);
}

/* The first @used bits, and those from @behind on: there is nothing. */
static void ext4_bits(uint8_t *block, uint64_t used, uint64_t behind)
{
	memset(block, 0, EXT4_BLOCK);
	for (uint64_t i = 0; i < EXT4_BLOCK * UINT64_C(8); i++)
		if (i < used || i >= behind)
			block[i / 8] = (uint8_t)(block[i / 8] | 1u << (i % 8));
}

/* How many of the numbers from @first on, @room of them, are below @end. */
static uint64_t ext4_share(uint64_t first, uint64_t room, uint64_t end)
{
	if (end <= first)
		return 0;
	return end - first < room ? end - first : room;
}

static int ext4_write_group(struct ext4 *ext4, uint64_t i,
			    const uint16_t *folders)
{
	uint64_t inode_blocks =
		ext4->group_inodes * EXT4_INODE_BYTES / EXT4_BLOCK;
	uint64_t first = i * EXT4_GROUP_BLOCKS;
	uint64_t room = ext4_share(first, EXT4_GROUP_BLOCKS, ext4->blocks);
	uint64_t used = ext4_share(first, room, ext4->next);
	uint64_t inodes = ext4_share(i * ext4->group_inodes, ext4->group_inodes,
				     ext4->inodes);
	struct ext4_group group = {
		.block_bitmap = (uint32_t)(ext4->tables + i),
		.inode_bitmap = (uint32_t)(ext4->tables + ext4->groups + i),
		.inode_table = (uint32_t)(ext4->tables + 2 * ext4->groups +
					  i * inode_blocks),
		.free_blocks = (uint16_t)(room - used),
		.free_inodes = (uint16_t)(ext4->group_inodes - inodes),
		.folders = folders[i],
	};
	uint8_t *bits = (uint8_t *)ext4->chunk;
	int r;

	ext4_bits(bits, used, room);
	r = ext4_put(ext4, bits, EXT4_BLOCK,
		     group.block_bitmap * (uint64_t)EXT4_BLOCK);
	ext4_bits(bits, inodes, ext4->group_inodes);
	if (r == 0)
		r = ext4_put(ext4, bits, EXT4_BLOCK,
			     group.inode_bitmap * (uint64_t)EXT4_BLOCK);
	return r < 0 ? r
		     : ext4_put(ext4, &group, sizeof(group),
				EXT4_BLOCK + i * sizeof(group));
}

static int ext4_write_groups(struct ext4 *ext4)
{
	cleanup_free uint16_t *folders = calloc(ext4->groups, sizeof(*folders));
	int r = 0;

	if (!folders)
		return err_set(ext4->err, -ENOMEM, "Out of memory");
	for (struct fs_node *at = ext4->tree->root; at; at = ext4_next(at))
		if (S_ISDIR(at->inode->mode))
			folders[(at->inode->number - 1) / ext4->group_inodes]++;
	for (uint64_t i = 0; r == 0 && i < ext4->groups; i++)
		r = ext4_write_group(ext4, i, folders);
	return r;
}

static void ext4_times(struct ext4_inode *to, const struct fs_inode *inode)
{
	const int64_t last = INT32_MAX + (INT64_C(3) << 32);
	int64_t s = inode->mtime < INT32_MIN ? INT32_MIN
		    : inode->mtime > last    ? last
					     : inode->mtime;
	/* Two more bits of the seconds, which begin with a sign. */
	uint64_t epoch = (uint64_t)(s - (int32_t)(uint32_t)s) >> 32 & 3;
	uint32_t extra = (uint32_t)epoch | inode->mtime_ns << 2;

	to->atime = to->ctime = to->mtime = to->crtime = (uint32_t)s;
	to->atime_extra = to->ctime_extra = to->mtime_extra = to->crtime_extra =
		extra;
}

/* A folder has its own name, the one above it, and one of each folder in it. */
static uint16_t ext4_links(const struct fs_inode *inode)
{
	unsigned int nr = inode->names;

	if (S_ISDIR(inode->mode)) {
		nr = 2;
		for (const struct fs_node *at = inode->first; at;
		     at = at->after)
			nr += S_ISDIR(at->inode->mode);
		if (nr >= EXT4_LINKS_MAX)
			nr = 1;
	}
	return (uint16_t)nr;
}

static void ext4_describe(const struct fs_inode *inode, struct ext4_inode *to)
{
	*to = (struct ext4_inode){
		.mode = (uint16_t)inode->mode,
		.uid = (uint16_t)inode->uid,
		.gid = (uint16_t)inode->gid,
		.uid_high = (uint16_t)(inode->uid >> 16),
		.gid_high = (uint16_t)(inode->gid >> 16),
		.links = ext4_links(inode),
		.extra = EXT4_EXTRA_BYTES,
	};
	ext4_times(to, inode);
	if (!S_ISCHR(inode->mode) && !S_ISBLK(inode->mode))
		return;
	/* The old form where it can say it, as the kernel does. */
	if (inode->major < 256 && inode->minor < 256)
		to->block[0] = inode->major << 8 | inode->minor;
	else
		to->block[1] = (inode->minor & 0xff) | inode->major << 8 |
			       (inode->minor & 0xfff00) << 12;
}

static int ext4_write_xattrs(struct ext4 *ext4, const struct fs_inode *inode,
			     struct ext4_inode *to)
{
	const char *which = "";
	int r;

	memset(ext4->chunk, 0, EXT4_BLOCK);
	r = ext4_xattrs_block(&inode->xattrs, ext4->chunk, &which);
	if (r < 0)
		return err_set(ext4->err, r,
			       "entry %s: its extended attribute %s cannot be "
			       "kept: %s",
			       tar_show(ext4->at->name).text,
			       tar_show(which).text,
			       r == -E2BIG ? "a file's may take up 4,000 bytes "
					     "in all"
					   : "it is of no kind that ext4 has");
	to->xattr_block = (uint32_t)ext4->next++;
	to->sectors += EXT4_BLOCK / 512;
	return ext4_put(ext4, ext4->chunk, EXT4_BLOCK,
			to->xattr_block * (uint64_t)EXT4_BLOCK);
}

static int ext4_write_inode(struct ext4 *ext4, const struct fs_node *node)
{
	const struct fs_inode *inode = node->inode;
	uint64_t table = (ext4->tables + 2 * ext4->groups) * EXT4_BLOCK;
	struct ext4_inode to;
	int r = 0;

	ext4->at = node;
	if (inode->names > EXT4_LINKS_MAX)
		return err_set(ext4->err, -EMLINK,
			       "entry %s has more than 65,000 hard links",
			       tar_show(node->name).text);
	ext4_describe(inode, &to);
	if (S_ISREG(inode->mode) || S_ISDIR(inode->mode) || inode->link)
		r = ext4_data(ext4, node, &to);
	if (r == 0 && inode->xattrs.len)
		r = ext4_write_xattrs(ext4, inode, &to);
	return r < 0 ? r
		     : ext4_put(ext4, &to, sizeof(to),
				table + (inode->number - 1) *
						(uint64_t)EXT4_INODE_BYTES);
}

static int ext4_write_inodes(struct ext4 *ext4)
{
	struct fs_node *node = ext4->tree->root;
	uint32_t last = 0;
	int r = ext4_write_inode(ext4, node);

	while (r == 0 && (node = ext4_next(node))) {
		/* Of a file's names the first one has its number. */
		if (node->inode->number <= last)
			continue;
		last = node->inode->number;
		r = ext4_write_inode(ext4, node);
	}
	return r;
}

int ext4_write(struct fstree *tree, int fd, const char *key,
	       struct progress *progress, struct err *err)
{
	struct ext4 ext4 = {
		.tree = tree, .fd = fd, .progress = progress, .err = err};
	int r = fstree_sort(tree);

	ext4.chunk = malloc(EXT4_CHUNK);
	if (r < 0 || !ext4.chunk)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0)
		r = ext4_plan(&ext4);
	if (r == 0 && ftruncate(fd, (off_t)(ext4.blocks * EXT4_BLOCK)) < 0)
		r = err_set(err, -errno, "cannot be written into the store: %s",
			    err_name(errno));
	if (r == 0)
		r = ext4_write_inodes(&ext4);
	if (r == 0)
		r = ext4_write_groups(&ext4);
	if (r == 0)
		r = ext4_write_super(&ext4, key);
	free(ext4.chunk);
	return r;
}
