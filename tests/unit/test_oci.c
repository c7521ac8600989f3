// SPDX-License-Identifier: Apache-2.0
/*
 * test_oci.c - archives, layers and documents of images, nothing believed
 *
 * tests/e2e/test_images.py has whole images, judged by e2fsck and debugfs.
 */
#include "unit.h"

#include "oci/config.h"
#include "oci/ext4.h"
#include "oci/layer.h"
#include "oci/manifest.h"
#include "oci/tar.h"
#include "oci/xattrs.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* One entry of an archive: a header with a right sum, and its bytes. */
static void add(struct buf *tar, const char *name, char type, const char *link,
		const char *data, size_t size)
{
	char block[512] = {0};
	unsigned int sum = 0;

	(void)snprintf(block, 100, "%s", name);
	(void)snprintf(block + 100, 8, "%07o", 0644);
	(void)snprintf(block + 108, 8, "%07o", 7);
	(void)snprintf(block + 116, 8, "%07o", 8);
	(void)snprintf(block + 124, 12, "%011o", (unsigned int)size & 0xffffff);
	(void)snprintf(block + 136, 12, "%011o", 1000);
	memset(block + 148, ' ', 8);
	block[156] = type;
	(void)snprintf(block + 157, 100, "%s", link);
	memcpy(block + 257, "ustar\00000", 8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += (uint8_t)block[i];
	(void)snprintf(block + 148, 8, "%06o", sum);
	buf_add(tar, block, sizeof(block));
	memset(block, 0, sizeof(block));
	buf_add(tar, data, size);
	buf_add(tar, block, (512 - size % 512) % 512);
}

static void add_text(struct buf *tar, const char *name, const char *text)
{
	add(tar, name, '0', "", text, strlen(text));
}

static int memory_file(const void *data, size_t len)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, data, len), 0);
	return fd;
}

/* Apply a layer to @tree. */
static int apply(struct fstree *tree, const struct buf *tar, struct err *err)
{
	int fd = memory_file(tar->data, tar->len);
	struct flow flow;
	int r = flow_open(&flow, fd, 0, tar->len, MIB(16), NULL, NULL, err);

	if (r == 0)
		r = layer_apply(tree, &flow, err);
	flow_close(&flow);
	fd_close(&fd);
	return r;
}

static void begin(struct fstree *tree)
{
	assert_int_equal(fstree_init(tree, memory_file("", 0), MIB(16)), 0);
}

static void end(struct fstree *tree)
{
	fd_close(&tree->spool);
	fstree_free(tree);
}

static struct fs_node *find(struct fstree *tree, const char *path)
{
	char name[FSTREE_NAME_MAX + 1];
	struct fs_node *dir = NULL;

	assert_int_equal(fstree_split(tree, path, false, &dir, name), 0);
	return dir ? fstree_child(tree, dir, name) : NULL;
}

static void layers_take_away(void **state)
{
	struct buf low = {0}, up = {0};
	struct err err = {0};
	struct fstree tree;

	(void)state;
	add_text(&low, "a", "1");
	add_text(&low, "d/x", "1");
	add_text(&low, "d/y", "1");
	add(&low, "hard", '1', "a", "", 0);
	add_text(&up, "d/.wh.x", "");
	add_text(&up, ".wh.a", "");
	add_text(&up, "d/z", "22");
	begin(&tree);
	assert_int_equal(apply(&tree, &low, &err), 0);
	assert_ptr_equal(find(&tree, "a")->inode, find(&tree, "hard")->inode);
	assert_int_equal(find(&tree, "a")->inode->names, 2);
	assert_int_equal(tree.bytes, 3);
	assert_int_equal(apply(&tree, &up, &err), 0);
	assert_null(find(&tree, "a"));
	assert_null(find(&tree, "d/x"));
	assert_non_null(find(&tree, "d/y"));
	assert_int_equal(find(&tree, "hard")->inode->names, 1);
	assert_int_equal(find(&tree, "d/z")->inode->size, 2);
	assert_int_equal(tree.bytes, 4);
	end(&tree);
	buf_free(&low);
	buf_free(&up);
}

/* A folder that becomes a link, and is written through, stays in the tree. */
static void links_lead_nowhere_else(void **state)
{
	struct buf tar = {0};
	struct err err = {0};
	struct fstree tree;

	(void)state;
	add(&tar, "d", '5', "", "", 0);
	add(&tar, "d", '2', "../../../../etc", "", 0);
	add_text(&tar, "d/passwd", "x");
	add(&tar, "e", '2', "/", "", 0);
	add_text(&tar, "e/at-root", "x");
	begin(&tree);
	assert_int_equal(apply(&tree, &tar, &err), 0);
	assert_non_null(find(&tree, "etc/passwd"));
	assert_non_null(find(&tree, "at-root"));
	end(&tree);
	buf_free(&tar);
}

/* A hard link to itself, and over what holds its target. */
static void hard_links_to_what_goes(void **state)
{
	struct buf tar = {0};
	struct err err = {0};
	struct fstree tree;

	(void)state;
	add_text(&tar, "a", "1");
	add(&tar, "a", '1', "a", "", 0);
	add_text(&tar, "d/a", "1");
	begin(&tree);
	assert_int_equal(apply(&tree, &tar, &err), 0);
	assert_int_equal(find(&tree, "a")->inode->names, 1);
	add(&tar, "d", '1', "d/a", "", 0);
	assert_int_equal(apply(&tree, &tar, &err), -EINVAL);
	assert_non_null(strstr(err.text, "entry d is a hard link"));
	end(&tree);
	buf_free(&tar);
}

/* GNU's long names, and its sparse file of two pieces in the header. */
static void gnu_forms(void **state)
{
	char name[301], header[512];
	struct buf tar = {0};
	struct err err = {0};
	struct fstree tree;
	const struct fs_inode *inode;

	(void)state;
	memset(name, 'n', 300);
	name[150] = '/';
	name[300] = '\0';
	add(&tar, "././@LongLink", 'L', "", name, sizeof(name));
	add_text(&tar, "short", "12345");
	add(&tar, "sparse", 'S', "", "abcd", 4);
	/* Into the header: pieces of 2 bytes at 0 and 100,000. */
	memcpy(header, tar.data + tar.len - 1024, sizeof(header));
	memset(header + 345, 0, 167);
	(void)snprintf(header + 386, 12, "%011o", 0);
	(void)snprintf(header + 398, 12, "%011o", 2);
	(void)snprintf(header + 410, 12, "%011o", 100000);
	(void)snprintf(header + 422, 12, "%011o", 2);
	(void)snprintf(header + 483, 12, "%011o", 200000);
	memcpy(header + 257, "ustar  ", 8);
	memset(header + 148, ' ', 8);
	{
		unsigned int sum = 0;

		for (size_t i = 0; i < sizeof(header); i++)
			sum += (uint8_t)header[i];
		(void)snprintf(header + 148, 8, "%06o", sum);
	}
	memcpy(tar.data + tar.len - 1024, header, sizeof(header));
	begin(&tree);
	assert_int_equal(apply(&tree, &tar, &err), 0);
	assert_int_equal(find(&tree, name)->inode->size, 5);
	inode = find(&tree, "sparse")->inode;
	assert_int_equal(inode->size, 200000);
	assert_int_equal(inode->nr_runs, 2);
	assert_int_equal(inode->runs[1].off, 100000);
	end(&tree);
	buf_free(&tar);
}

/* Cut off anywhere, or with any byte changed: refused or harmless. */
static void any_damage(void **state)
{
	struct buf tar = {0};
	struct err err = {0};

	(void)state;
	add(&tar, "x", 'x', "", "30 mtime=1234567890.123456789\n", 30);
	add_text(&tar, "a/b", "some text");
	add(&tar, "l", '2', "a", "", 0);
	for (size_t i = 0; i < tar.len; i++) {
		struct buf part = {.data = tar.data, .len = i};
		struct fstree tree;
		char was = tar.data[i];

		begin(&tree);
		if (apply(&tree, &part, &err) < 0)
			assert_true(err.text[0]);
		end(&tree);
		tar.data[i] = (char)(was ^ 0x55);
		begin(&tree);
		if (apply(&tree, &tar, &err) < 0)
			assert_true(err.text[0]);
		end(&tree);
		tar.data[i] = was;
	}
	buf_free(&tar);
}

/* The same tree, the same bytes. */
static void the_same_file_system(void **state)
{
	struct digest sums[2];
	struct buf tar = {0};
	struct err err = {0};

	(void)state;
	add_text(&tar, "b", "1");
	add(&tar, "a", '5', "", "", 0);
	add_text(&tar, "a/c", "222");
	for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
		struct fstree tree;
		struct stat st;
		int fd = memory_file("", 0);

		begin(&tree);
		assert_int_equal(apply(&tree, &tar, &err), 0);
		assert_int_equal(ext4_write(&tree, fd, KEY, NULL, &err), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(digest_of_file(fd, (uint64_t)st.st_size, NULL,
						&sums[i]),
				 0);
		end(&tree);
		fd_close(&fd);
	}
	assert_string_equal(sums[0].hex, sums[1].hex);
	buf_free(&tar);
}

static void attributes(void **state)
{
	struct buf list = {0};
	struct xattr xattr;
	size_t at = 0;

	(void)state;
	assert_int_equal(xattrs_set(&list, "user.a", 6, "1", 1), 0);
	assert_int_equal(xattrs_set(&list, "user.b", 6, "22", 2), 0);
	assert_int_equal(xattrs_set(&list, "user.a", 6, "333", 3), 0);
	assert_int_equal(xattrs_set(&list, "", 0, "1", 1), -ENAMETOOLONG);
	assert_int_equal(xattrs_set(&list, "x", 1, NULL, XATTRS_BYTES_MAX + 1),
			 -E2BIG);
	assert_true(xattrs_next(&list, &at, &xattr));
	assert_string_equal(xattr.name, "user.b");
	assert_true(xattrs_next(&list, &at, &xattr));
	assert_string_equal(xattr.name, "user.a");
	assert_int_equal(xattr.len, 3);
	assert_false(xattrs_next(&list, &at, &xattr));
	buf_free(&list);
}

static void configurations(void **state)
{
	static const char good[] =
		"{\"config\":{\"Cmd\":[\"a\",\"b\"],\"Entrypoint\":null,"
		"\"ExposedPorts\":{\"80/tcp\":{},\"53/udp\":{}}},\"rootfs\":{"
		"\"diff_ids\":[\"sha256:" KEY "\"]}}";
	static const char *const bad[] = {
		"",
		"[]",
		"{\"config\":1}",
		"{\"config\":{\"Cmd\":\"a\"}}",
		"{\"config\":{\"Cmd\":[1]}}",
		"{\"config\":{\"User\":1}}",
		"{\"config\":{\"Env\":[\"A\"]}}",
		"{\"config\":{\"ExposedPorts\":[]}}",
		"{\"rootfs\":{\"diff_ids\":[\"sha256:x\"]}}",
	};
	struct oci_config config;
	struct err err = {0};

	(void)state;
	assert_int_equal(
		oci_config_parse(good, sizeof(good) - 1, &config, &err), 0);
	assert_int_equal(config.cmd.nr, 2);
	assert_string_equal(config.cmd.word[1], "b");
	assert_null(config.cmd.word[2]);
	assert_int_equal(config.entrypoint.nr, 0);
	assert_string_equal(config.ports.word[0], "53/udp");
	assert_string_equal(config.user, "");
	assert_int_equal(config.diff_ids.nr, 1);
	oci_config_free(&config);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			oci_config_parse(bad[i], strlen(bad[i]), &config, &err),
			-EINVAL);
		oci_config_free(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layers_take_away),
		cmocka_unit_test(links_lead_nowhere_else),
		cmocka_unit_test(hard_links_to_what_goes),
		cmocka_unit_test(gnu_forms),
		cmocka_unit_test(any_damage),
		cmocka_unit_test(the_same_file_system),
		cmocka_unit_test(attributes),
		cmocka_unit_test(configurations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
