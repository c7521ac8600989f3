// SPDX-License-Identifier: Apache-2.0
/*
 * opener.c - the opener of a guest process (opener.h)
 */
#include "gate/opener.h"

#include "base/fd.h"
#include "gate/need.h"
#include "host/holder.h"

#include <errno.h>

static int opener_dial(struct gate_link *link, uint32_t port)
{
	int r = gate_link_dial(link, port);

	return r < 0 ? r : -EINPROGRESS;
}

static int need(struct gate_link *link, const struct path_want *want,
		struct err *err)
{
	struct wire_in *reply;
	struct err why = {0};
	int r = gate_link_call(link, WIRE_NEED, need_value(want), NULL, 0,
			       &reply, &why);

	if (r == 0 && reply->nr_fds == 1)
		return fd_steal(&reply->fd[0]);
	/* The gate has a sentence where the role has none for it. */
	if (r < 0 && why.text[0])
		return err ? err_set(err, r, "%s", why.text) : r;
	return path_say(want->role, want->path, r < 0 ? r : -EPROTO, "", err);
}

static int open_as_allowed(const struct path_opener *opener,
			   const struct path_want *want, struct err *err)
{
	const struct gate_opener *o = opener->ctx;

	if (!o->locked)
		return path_direct.ops->open(&path_direct, want, err);
	if (want->role == PATH_VSOCK_PEER)
		return opener_dial(o->link, want->index);
	if (o->link->in_progress && need_crosses(want->role))
		return need(o->link, want, err);
	return path_say(want->role, want->path, -EACCES, "", err);
}

static void expect(const struct path_opener *opener,
		   const struct path_want *wants, unsigned int nr)
{
	const struct gate_opener *o = opener->ctx;
	uint32_t values[GATE_AHEAD_MAX];
	unsigned int i;

	if (!o->locked || !o->link->in_progress)
		return;
	for (i = 0; i < nr && i < GATE_AHEAD_MAX; i++)
		values[i] = need_value(&wants[i]);
	gate_link_ahead(o->link, values, i);
}

/* Once the guest runs neither half may look into other processes. */
static void holder(const struct path_opener *opener, int fd, char *text,
		   size_t size)
{
	const struct gate_opener *o = opener->ctx;

	if (!o->locked)
		holder_of_lock(&path_direct, fd, text, size);
}

void gate_opener_init(struct gate_opener *opener, struct gate_link *link)
{
	static const struct path_ops ops = {
		.open = open_as_allowed,
		.holder = holder,
		.expect = expect,
	};

	*opener = (struct gate_opener){
		.opener = {.ops = &ops, .ctx = opener},
		.link = link,
	};
}
