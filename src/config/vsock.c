// SPDX-License-Identifier: Apache-2.0
/*
 * vsock.c - the socket device enters the configuration
 *
 * The path is bound when the configuration is set, so that a path which does
 * not work is told to whoever sets it, and clients may connect from then on;
 * they are served when the guest's driver is there.
 */
#include "base/fd.h"
#include "config/config.h"

int vsock_config_bind(const struct path_opener *opener,
		      struct vsock_config *vsock, struct err *err)
{
	int fd = path_open(opener, PATH_VSOCK, vsock->uds_path, err);

	if (fd < 0)
		return fd;
	vsock->fd = fd;
	vsock->file = file_id_of(vsock->uds_path);
	return 0;
}

void vsock_config_free(struct vsock_config *vsock)
{
	if (vsock->fd >= 0)
		file_unlink_own(vsock->uds_path, vsock->file);
	fd_close(&vsock->fd);
	free(vsock->uds_path);
	free(vsock->vsock_id);
	*vsock = (struct vsock_config){.fd = -1};
}
