/* SPDX-License-Identifier: Apache-2.0 */
/*
 * opener.h - the opener of a guest process: itself, and the gate after the lock
 *
 * Before the lock the guest process opens its own files. Afterwards it asks the
 * gate for what the request in progress names (need.h), whatever the path is
 * that it gives here: that stays on this side, for sentences. What no request
 * names is not opened at all. The lock comes before the guest runs or, with
 * --sandbox-first, before anything is configured.
 *
 * A PATH_VSOCK_PEER is dialled: open() gives -EINPROGRESS, and the answer comes
 * by gate_link_ops->dialed().
 */
#pragma once

#include "gate/link.h"
#include "host/path.h"

/**
 * struct gate_opener - one that a VM gets
 * @locked:	this process opens nothing more
 */
struct gate_opener {
	struct path_opener opener;
	struct gate_link *link;
	bool locked;
};

/* By this process; @link: for after the lock, which is who sets @locked. */
void gate_opener_init(struct gate_opener *opener, struct gate_link *link);
