// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_file.c - what may be a drive, and what only looks like it
 */
#include "unit.h"

#include "dev/blk_io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static void test_only_files_and_block_devices(void **state)
{
	struct blk_file file;
	int dir = open(".", O_RDONLY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(blk_file_init(&file, dir), -EISDIR);
	assert_int_equal(blk_file_init(&file, null), -ENOTBLK);
	assert_int_equal(blk_file_init(&file, -1), -EBADF);
	(void)close(dir);
	(void)close(null);
}

/* They look like files, and /proc/self/mem would be our own memory. */
static void test_no_files_of_the_kernel(void **state)
{
	static const struct {
		const char *path;
		int flags;
	} files[] = {
		{"/proc/self/mem", O_RDWR},
		{"/proc/kcore", O_RDONLY},
		{"/proc/self/clear_refs", O_WRONLY},
		{"/proc/sys/kernel/hostname", O_RDONLY},
		{"/sys/kernel/notes", O_RDONLY},
	};
	unsigned int tried = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open(files[i].path, files[i].flags | O_CLOEXEC);
		struct blk_file file;

		if (fd < 0)
			continue; /* not on this host, or not for us */
		assert_int_equal(blk_file_init(&file, fd), -ENOTBLK);
		(void)close(fd);
		tried++;
	}
	assert_true(tried >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_files_and_block_devices),
		cmocka_unit_test(test_no_files_of_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
