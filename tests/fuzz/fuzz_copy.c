// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_copy.c - any bytes as a tree of files that comes out of a guest
 *
 * It goes into a folder that is all there is of its own: beside it stands a
 * file that a way out would reach, and it stays as it is. What is taken is sent
 * again, which has to work.
 */
#include "agent/copy.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define LIMIT MIB(1)
#define WORD  "untouched"

#define fuzz_check(cond)         \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_remove(const char *path, const struct stat *st, int type,
		       struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void fuzz_begin(char *home)
{
	int fd;

	fuzz_check(mkdtemp(home) && chdir(home) == 0);
	fd = open("beside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fuzz_check(fd >= 0 && fd_write_full(fd, WORD, sizeof(WORD)) == 0);
	(void)close(fd);
	fuzz_check(mkdir("to", 0700) == 0 && symlink("../beside", "to/l") == 0);
}

static void fuzz_end(const char *home)
{
	char word[sizeof(WORD) + 1] = "";
	int fd = open("beside", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	fuzz_check(fd >= 0 && read(fd, word, sizeof(word)) == sizeof(WORD) &&
		   strcmp(word, WORD) == 0);
	(void)close(fd);
	fuzz_check(chdir("/") == 0);
	fuzz_check(nftw(home, fuzz_remove, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char home[] = "/tmp/volt-fuzz-XXXXXX";
	struct copy_target to = {
		.path = "to",
		.limit = LIMIT,
		.modes = 0777,
	};
	const struct copy_source from = {.path = "to"};
	unsigned int left_out;
	int in, out;

	if (size < 1 || size > 4096)
		return 0;
	to.name = data[0] & 1 ? "x" : "";
	fuzz_begin(home);
	in = memfd_create("in", MFD_CLOEXEC);
	out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_check(fd_write_full(in, data + 1, size - 1) == 0);
	fuzz_check(lseek(in, 0, SEEK_SET) == 0);
	if (copy_take(&to, in, NULL) == 0)
		fuzz_check(copy_send(&from, out, &left_out, NULL) == 0 &&
			   left_out == 0);
	(void)close(in);
	(void)close(out);
	fuzz_end(home);
	return 0;
}
