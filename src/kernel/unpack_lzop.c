// SPDX-License-Identifier: Apache-2.0
/*
 * unpack_lzop.c - what lzop has packed, by lzop
 *
 * The one library for this format is under the GPL, which a static program of
 * which it is a part would be as a whole. The program lzop is another one: it
 * gets the file by its standard input, and what it writes goes to the sink
 * piece by piece. A sink that refuses leaves it to SIGPIPE.
 */
#include "kernel/unpack_priv.h"
#include "store/program.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* All is unpacked, and there was more behind it. */
#define LZOP_WARNED 2

static int unpack_lzop_write(const struct program *program, const void *data,
			     size_t len)
{
	struct unpack_sink *sink = program->arg;

	return sink->write(sink, data, len);
}

/* A file of @data, read from its beginning. */
static int unpack_lzop_file(const void *data, size_t len, int *fd)
{
	int r;

	*fd = memfd_create("lzop", MFD_CLOEXEC);
	if (*fd < 0)
		return -errno;
	r = fd_write_full(*fd, data, len);
	if (r == 0 && lseek(*fd, 0, SEEK_SET) < 0)
		r = -errno;
	return r;
}

int unpack_lzop(const void *data, size_t len, struct unpack_sink *sink,
		struct err *err)
{
	static const char *const argv[] = {"lzop", "-dc", NULL};
	static const char *const env[] = {"LZOP",
					  NULL}; /* options of its own */
	cleanup_buf struct buf said = {0};
	cleanup_fd int fd = -1;
	int refused = 0, r = unpack_lzop_file(data, len, &fd);
	const struct program program = {
		.argv = argv,
		.env = env,
		.input = fd,
		.write = unpack_lzop_write,
		.refused = &refused,
		.arg = sink,
	};

	if (r == 0)
		r = program_run(&program, NULL, &said);
	if (refused < 0)
		return refused;
	if (r == -ENOENT)
		return err_set(err, r,
			       "is compressed by lzop, which is not here: "
			       "apt-get install lzop");
	if (r < 0)
		return err_set(err, r, "cannot be unpacked: %s", err_name(r));
	return r == 0 || r == LZOP_WARNED ? 0 : unpack_damaged(UNPACK_LZO, err);
}
