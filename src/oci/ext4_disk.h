/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ext4_disk.h - what an ext4 file system has on the disk, as far as we write it
 *
 * All numbers are little-endian, as this machine's are.
 *
 * Reference: Linux, Documentation/filesystems/ext4 (super, group descriptors,
 * inodes, extents, directory entries, extended attributes).
 */
#pragma once

#include "base/bits.h"

#include <assert.h>

#define EXT4_BLOCK        4096u
#define EXT4_GROUP_BLOCKS 32768u
#define EXT4_GROUP_INODES 32768u
#define EXT4_INODE_BYTES  256u
#define EXT4_FIRST_INODE  11u
#define EXT4_ROOT_INODE   2u
#define EXT4_LINKS_MAX    65000u

#define EXT4_SUPER_AT     1024u
#define EXT4_SUPER_MAGIC  0xef53u

/* Extended attributes have blocks; at most two groups have a copy of the
 * superblock, and here none has. */
#define EXT4_COMPAT_XATTR         0x0008u
#define EXT4_COMPAT_SPARSE_SUPER2 0x0200u
/* Names have types, files have extents, tables lie anywhere. */
#define EXT4_INCOMPAT_FILETYPE 0x0002u
#define EXT4_INCOMPAT_EXTENTS  0x0040u
#define EXT4_INCOMPAT_FLEX_BG  0x0200u
/* Files beyond 2 GiB, folders of any number of folders, times with more bits.
 */
#define EXT4_RO_LARGE_FILE  0x0002u
#define EXT4_RO_HUGE_FILE   0x0008u
#define EXT4_RO_DIR_NLINK   0x0020u
#define EXT4_RO_EXTRA_ISIZE 0x0040u

#define EXT4_INODE_EXTENTS  0x80000u

struct ext4_super {
	uint32_t inodes;
	uint32_t blocks;
	uint32_t reserved_blocks;
	uint32_t free_blocks;
	uint32_t free_inodes;
	uint32_t first_block;
	uint32_t log_block;
	uint32_t log_cluster;
	uint32_t group_blocks;
	uint32_t group_clusters;
	uint32_t group_inodes;
	uint32_t mount_time;
	uint32_t write_time;
	uint16_t mounts;
	uint16_t mounts_max;
	uint16_t magic;
	uint16_t state;
	uint16_t errors;
	uint16_t minor_revision;
	uint32_t check_time;
	uint32_t check_interval;
	uint32_t creator;
	uint32_t revision;
	uint16_t reserved_user;
	uint16_t reserved_group;
	uint32_t first_inode;
	uint16_t inode_bytes;
	uint16_t group;
	uint32_t compat;
	uint32_t incompat;
	uint32_t ro_compat;
	uint8_t uuid[16];
	char label[16];
	char mounted_at[64];
	uint8_t unused_1[8];
	uint8_t journal[28];
	uint8_t hash_seed[16];
	uint8_t hash_version;
	uint8_t unused_2[95];
	uint16_t extra_min;
	uint16_t extra_want;
	uint32_t flags;
	uint8_t unused_3[16];
	uint8_t log_flex;
	uint8_t unused_4[651];
};

static_assert(sizeof(struct ext4_super) == 1024, "the superblock");
static_assert(offsetof(struct ext4_super, uuid) == 0x68, "its UUID");
static_assert(offsetof(struct ext4_super, hash_seed) == 0xec, "its seed");
static_assert(offsetof(struct ext4_super, extra_min) == 0x15c, "its extras");
static_assert(offsetof(struct ext4_super, log_flex) == 0x174, "its flex");

struct ext4_group {
	uint32_t block_bitmap;
	uint32_t inode_bitmap;
	uint32_t inode_table;
	uint16_t free_blocks;
	uint16_t free_inodes;
	uint16_t folders;
	uint16_t flags;
	uint8_t unused[12];
};

static_assert(sizeof(struct ext4_group) == 32, "a group's descriptor");

struct ext4_inode {
	uint16_t mode;
	uint16_t uid;
	uint32_t size;
	uint32_t atime;
	uint32_t ctime;
	uint32_t mtime;
	uint32_t dtime;
	uint16_t gid;
	uint16_t links;
	uint32_t sectors;
	uint32_t flags;
	uint32_t version;
	uint32_t block[15];
	uint32_t generation;
	uint32_t xattr_block;
	uint32_t size_high;
	uint32_t fragment;
	uint16_t sectors_high;
	uint16_t xattr_block_high;
	uint16_t uid_high;
	uint16_t gid_high;
	uint16_t checksum;
	uint16_t unused_1;
	uint16_t extra;
	uint16_t checksum_high;
	uint32_t ctime_extra;
	uint32_t mtime_extra;
	uint32_t atime_extra;
	uint32_t crtime;
	uint32_t crtime_extra;
	uint8_t unused_2[104];
};

static_assert(sizeof(struct ext4_inode) == EXT4_INODE_BYTES, "an inode");

#define EXT4_EXTENT_MAGIC  0xf30au
#define EXT4_EXTENT_BLOCKS 32768u
#define EXT4_EXTENTS_HERE  4u
#define EXT4_EXTENTS_BLOCK ((EXT4_BLOCK - 12) / 12)

struct ext4_extents {
	uint16_t magic;
	uint16_t nr;
	uint16_t max;
	uint16_t depth;
	uint32_t generation;
};

/* Of a leaf; of a node above, @block is where the one below it is. */
struct ext4_extent {
	uint32_t logical;
	union {
		struct {
			uint16_t len;
			uint16_t at_high;
			uint32_t at;
		};
		struct {
			uint32_t node;
			uint16_t node_high;
			uint16_t unused;
		};
	};
};

static_assert(sizeof(struct ext4_extents) == 12, "a header of extents");
static_assert(sizeof(struct ext4_extent) == 12, "an extent");

struct ext4_name {
	uint32_t inode;
	uint16_t size;
	uint8_t len;
	uint8_t type;
	char name[];
};

#define EXT4_XATTR_MAGIC 0xea020000u

struct ext4_xattrs_head {
	uint32_t magic;
	uint32_t users;
	uint32_t blocks;
	uint32_t hash;
	uint32_t checksum;
	uint32_t unused[3];
};

struct ext4_xattr {
	uint8_t len;
	uint8_t index;
	uint16_t value_at;
	uint32_t value_inode;
	uint32_t value_len;
	uint32_t hash;
	char name[];
};
