// SPDX-License-Identifier: Apache-2.0
/*
 * request.c - is a client's message a request? (request.h)
 */
#include "pool/request.h"

#include <errno.h>
#include <string.h>

static bool request_name_ok(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t len = name ? strspn(name, letters) : 0;

	return len > 0 && len <= POOL_NAME_MAX && !name[len] && name[0] != '-';
}

/* ---- what the tables do not say ---- */

static int request_check_name(const char *what, const char *name,
			      struct err *err)
{
	return request_name_ok(name)
		       ? 0
		       : err_set(err, -EINVAL,
				 "A %s's name has 1 to %d letters, digits and "
				 "'-', and does not begin with '-'",
				 what, POOL_NAME_MAX);
}

/* Absolute, so that it means the same to all. NULL is fine. */
static int request_check_path(const char *what, const char *path,
			      struct err *err)
{
	if (path && path[0] != '/')
		return err_set(err, -EINVAL, "%s has to be an absolute path",
			       what);
	if (path && strlen(path) > REQUEST_PATH_MAX)
		return err_set(err, -EINVAL, "%s has more than %d bytes", what,
			       REQUEST_PATH_MAX);
	return 0;
}

static int request_check_most(const char *what, uint64_t value, uint64_t most,
			      struct err *err)
{
	return value <= most ? 0
			     : err_set(err, -EINVAL, "%s is at most %llu", what,
				       (unsigned long long)most);
}

/* Those that the daemon gives by itself would be given twice. */
static int request_check_vmm(const struct schema_list *vmm, struct err *err)
{
	static const char *const own[] = {"--api-sock",      "--id",
					  "--sandbox-first", "--no-api",
					  "--restore",       "--config-file"};
	char *const *words = vmm->items;
	int r = request_check_most("The number of options in vmm", vmm->nr,
				   POOL_VMM_ARGS_MAX, err);

	for (size_t i = 0; r == 0 && i < vmm->nr; i++) {
		if (strlen(words[i]) > REQUEST_PATH_MAX)
			r = err_set(err, -EINVAL,
				    "An option in vmm has more than %d bytes",
				    REQUEST_PATH_MAX);
		for (size_t j = 0; r == 0 && j < ARRAY_SIZE(own); j++)
			if (strncmp(words[i], own[j], strlen(own[j])) == 0)
				r = err_set(err, -EINVAL,
					    "%s is not for a member of a pool",
					    own[j]);
	}
	return r;
}

static int request_check_create(const struct pool_create *c, struct err *err)
{
	int r = request_check_name("pool", c->pool, err);

	if (r == 0)
		r = request_check_path("snapshot", c->snapshot, err);
	if (r == 0)
		r = request_check_path("memory", c->memory, err);
	if (r == 0 && c->memory && !c->snapshot)
		r = err_set(err, -EINVAL, "memory goes with snapshot");
	if (r == 0 && c->kind == POOL_CLONE && !c->snapshot)
		r = err_set(err, -EINVAL, "Clones need a snapshot");
	if (r == 0)
		r = request_check_most("size", c->size, POOL_SIZE_MAX, err);
	if (r == 0)
		r = request_check_most("queue", c->queue, POOL_QUEUE_MAX, err);
	if (r == 0)
		r = request_check_most("memory_mib", c->memory_mib,
				       UINT64_MAX >> 20, err);
	if (r == 0)
		r = request_check_vmm(&c->vmm, err);
	return r;
}

static int request_check_drives(const struct schema_list *list, struct err *err)
{
	const struct pool_drive *d = list->items;
	int r = request_check_most("The number of drives", list->nr,
				   POOL_DRIVES_MAX, err);

	for (size_t i = 0; r == 0 && i < list->nr; i++) {
		if (!d[i].path && !d[i].overlay && !d[i].has_limiter)
			r = err_set(err, -EINVAL,
				    "A drive takes path, overlay or "
				    "rate_limiter");
		if (r == 0)
			r = request_check_path("path", d[i].path, err);
		if (r == 0)
			r = request_check_path("overlay", d[i].overlay, err);
		if (r == 0)
			r = request_check_name("drive", d[i].id, err);
	}
	return r;
}

static int request_check_nets(const struct schema_list *list, struct err *err)
{
	const struct pool_net *n = list->items;
	int r = request_check_most("The number of networks", list->nr,
				   POOL_NETS_MAX, err);

	for (size_t i = 0; r == 0 && i < list->nr; i++) {
		if (!n[i].tap && !n[i].mac && !n[i].has_rx && !n[i].has_tx)
			r = err_set(err, -EINVAL,
				    "A network takes tap, mac, "
				    "rx_rate_limiter or tx_rate_limiter");
		if (r == 0)
			r = request_check_name("network", n[i].id, err);
	}
	return r;
}

static int request_check_lease(const struct pool_lease_ask *l, struct err *err)
{
	int r = request_check_name("pool", l->pool, err);

	if (r == 0 && l->name)
		r = request_check_name("lease", l->name, err);
	if (r == 0)
		r = request_check_path("snapshot", l->snapshot, err);
	if (r == 0)
		r = request_check_path("memory", l->memory, err);
	if (r == 0 && l->memory && !l->snapshot)
		r = err_set(err, -EINVAL, "memory goes with snapshot");
	if (r == 0)
		r = request_check_path("vsock", l->vsock, err);
	if (r == 0)
		r = request_check_path("cgroup", l->cgroup, err);
	if (r == 0 && l->keep_cgroup && (l->cgroup || l->has_limits))
		r = err_set(err, -EINVAL,
			    "keep_cgroup goes with neither cgroup nor limits");
	if (r == 0)
		r = request_check_most("limits.memory_mib",
				       l->limits.memory_mib, UINT64_MAX >> 20,
				       err);
	if (r == 0)
		r = request_check_drives(&l->drives, err);
	return r == 0 ? request_check_nets(&l->networks, err) : r;
}

static int request_check_ls(const struct pool_ls_ask *ls, struct err *err)
{
	if (ls->after && !ls->members)
		return err_set(err, -EINVAL, "after goes with members");
	return ls->pool ? request_check_name("pool", ls->pool, err) : 0;
}

static int request_check_resize(const struct pool_resize *resize,
				struct err *err)
{
	int r = request_check_name("pool", resize->pool, err);

	return r == 0 ? request_check_most("size", resize->size, POOL_SIZE_MAX,
					   err)
		      : r;
}

enum pool_do request_do(const struct pool_request *q)
{
	unsigned int i = 0;

	while (i < POOL_NR_DO && !q->has[i])
		i++;
	return (enum pool_do)i;
}

static int request_check(const struct pool_request *q, struct err *err)
{
	switch (request_do(q)) {
	case POOL_DO_CREATE:
		return request_check_create(&q->create, err);
	case POOL_DO_LS:
		return request_check_ls(&q->ls, err);
	case POOL_DO_LEASE:
		return request_check_lease(&q->lease, err);
	case POOL_DO_RELEASE:
		return request_check_name("lease", q->release.name, err);
	case POOL_DO_RESIZE:
		return request_check_resize(&q->resize, err);
	case POOL_DO_DRAIN:
		return request_check_name("pool", q->drain.pool, err);
	case POOL_DO_RM:
		return request_check_name("pool", q->rm.pool, err);
	case POOL_DO_WAIT:
		return request_check_name("lease", q->wait.name, err);
	case POOL_DO_METRICS:
	case POOL_NR_DO:
		break;
	}
	return 0;
}

int request_parse(struct pool_request *q, const char *text, size_t len,
		  enum pool_code *code, struct err *err)
{
	unsigned int asked = 0;
	struct schema_seen seen;
	int r;

	*q = POOL_REQUEST_NEW;
	*code = POOL_BAD;
	r = schema_decode_text(&pool_request_schema, text, len, q, &seen, err);
	if (r < 0)
		return r;
	if (q->v != POOL_WIRE_VERSION) {
		*code = POOL_VERSION;
		return err_set(err, -EINVAL,
			       "Version %u of the protocol is not spoken here, "
			       "but version %d",
			       q->v, POOL_WIRE_VERSION);
	}
	for (size_t i = 0; i < POOL_NR_DO; i++)
		asked += q->has[i];
	if (asked != 1)
		return err_set(
			err, -EINVAL,
			"A request asks for one thing, and this one for %u",
			asked);
	return request_check(q, err);
}
