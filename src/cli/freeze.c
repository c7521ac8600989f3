// SPDX-License-Identifier: Apache-2.0
/*
 * freeze.c - the file systems of a guest stand still for a snapshot (freeze.h)
 */
#include "cli/freeze.h"

#include <errno.h>
#include <unistd.h>

#define FREEZE_HINT "; --no-freeze saves it as it is"

int freeze_begin(struct agent_client *agent, struct api_client *api,
		 const char *name, struct err *err)
{
	char socket[VMAPI_PATH_MAX], path[GUEST_PATH_MAX];
	struct err why;
	int r;

	*agent = (struct agent_client){.fd = -1};
	r = vmapi_socket(name, socket, false, err);
	if (r < 0)
		return r;
	guest_path(socket, path);
	/* Without a vsock nobody is asked, not even the VM. */
	if (access(path, F_OK) < 0 || vmapi_is_paused(api, NULL) == 1)
		return 0;
	r = agent_client_open(agent, path, AGENT_PORT, AGENT_CLIENT_LIMIT_MS,
			      &why);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		agent_client_close(agent);
		return 0;
	}
	if (r == 0)
		r = agent_client_freeze(agent, AGENT_FREEZE_MAX, &why);
	if (r == 0)
		return 0;
	agent_client_close(agent);
	return err_set(err, r, "%s" FREEZE_HINT, err_for_person(&why));
}

void freeze_end(struct agent_client *agent, bool paused)
{
	/* An end of the connection thaws as well, only later. */
	if (agent->fd >= 0 && !paused)
		(void)!agent_client_thaw(agent, NULL);
	agent_client_close(agent);
}
