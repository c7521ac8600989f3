// SPDX-License-Identifier: Apache-2.0
/*
 * board.c - what the parts of a machine are plugged into (board.h)
 */
#include "vm/board.h"

#include "base/fd.h"

#include <sys/stat.h>

void board_init(struct board *board, const struct vm_env *env)
{
	board->env = *env;
	board->kvm.fd = -1;
	board->kvm_vm.fd = -1;
	for (size_t i = 0; i < BOARD_FILES; i++)
		board->file[i].fd = -1;
}

const char *board_truncated_file(const struct board *board)
{
	struct stat st;

	for (size_t i = 0; i < BOARD_FILES; i++) {
		const struct board_file *file = &board->file[i];

		if (file->fd >= 0 && fd_stat(file->fd, &st) == 0 &&
		    st.st_size < file->size)
			return file->path;
	}
	return NULL;
}
