// SPDX-License-Identifier: Apache-2.0
/*
 * door.c - the API's socket is bound (gate.h)
 */
#include "gate/gate.h"
#include "host/path.h"

#include <errno.h>

int gate_door_open(struct gate_door *door, const char *path, struct err *err)
{
	*door = GATE_DOOR_NONE;
	door->fd = path_open(&path_direct, PATH_API, path, err);
	if (door->fd < 0)
		return err->rc;
	door->file = file_id_of(path);
	door->path = strdup(path);
	if (door->path)
		return 0;
	file_unlink_own(path, door->file);
	return err_set(err, -ENOMEM, "Out of memory");
}

void gate_door_close(struct gate_door *door)
{
	fd_close(&door->fd);
	free(door->path);
	*door = GATE_DOOR_NONE;
}
