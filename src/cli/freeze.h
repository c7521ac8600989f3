/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freeze.h - the file systems of a guest stand still for a snapshot
 *
 * A guest whose first process is the agent is asked to freeze them: what its
 * programs wrote is on its disks then, whole. They thaw when the connection
 * says so or ends, also that of a VM which the snapshot becomes, and by
 * themselves after AGENT_FREEZE_MAX. A VM that is paused cannot answer, and one
 * without an agent has nobody who could: they are saved as they are.
 */
#pragma once

#include "cli/guest.h"

/**
 * freeze_begin() - freeze the guest of VM @name, if it can be asked
 * @api:	the VM's
 * @agent:	the connection; its .fd is -1 when nothing was frozen.
 *		freeze_end() in any case
 *
 * Return: 0; -ETIMEDOUT, -EREMOTEIO or -errno, with a sentence.
 */
int freeze_begin(struct agent_client *agent, struct api_client *api,
		 const char *name, struct err *err) __must_check;

/* @paused: the VM stands still: its guest thaws when it goes on. */
void freeze_end(struct agent_client *agent, bool paused);
