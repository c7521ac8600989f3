// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_file.c - what may be a drive, and what only looks like it
 */
#include "unit.h"

#include "block/io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void test_only_files_and_block_devices(void **state)
{
	struct block_file file;
	int dir = open(".", O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(block_file_init(&file, dir), -EISDIR);
	assert_int_equal(block_file_init(&file, null), -ENOTBLK);
	assert_int_equal(block_file_init(&file, -1), -EBADF);
	(void)close(dir);
	(void)close(null);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_files_and_block_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
