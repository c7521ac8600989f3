// SPDX-License-Identifier: Apache-2.0
/*
 * pool_requests.c - what clients ask for, but leases (pool.h)
 */
#include "pool/pool.h"

#include "base/fd.h"
#include "pool/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void requests_no_pool(struct pool_client *client, uint64_t tag,
			     const char *name)
{
	char text[POOL_NAME_MAX + 32];

	(void)snprintf(text, sizeof(text), "There is no pool %s", name);
	pool_answer_error(client, tag, POOL_NONE, text);
}

/* ---- create ---- */

/* Those of the client, for a member that runs as it. */
static int requests_groups(const struct pool_client *client,
			   struct schema_list *list)
{
	gid_t groups[RECORD_GROUPS];
	socklen_t size = sizeof(groups);

	if (getsockopt(client->sock, SOL_SOCKET, SO_PEERGROUPS, groups, &size) <
	    0)
		return -errno;
	list->items = calloc(RECORD_GROUPS, sizeof(uint32_t));
	if (!list->items)
		return -ENOMEM;
	list->nr = size / sizeof(gid_t);
	for (size_t i = 0; i < list->nr; i++)
		((uint32_t *)list->items)[i] = groups[i];
	return 0;
}

static unsigned int requests_pools_of(struct pool_daemon *d, uid_t uid)
{
	unsigned int nr = 0;

	for (struct list *l = d->pools.next; l != &d->pools; l = l->next)
		nr += container_of(l, struct pool, link)->made.owner == uid;
	return nr;
}

static enum pool_code requests_may_create(struct pool_daemon *d,
					  const struct pool_client *client,
					  const struct pool_create *c,
					  struct err *err)
{
	struct record_source source;

	/* Also one that is removed, and waits for its last lease. */
	if (pool_find_any(d, client->uid, c->pool)) {
		err_set(err, -EEXIST, "There is a pool %s", c->pool);
		return POOL_EXISTS;
	}
	if (!pool_fits(d, c->pool)) {
		err_set(err, -ENAMETOOLONG,
			"The sockets of pool %s would have too long a path "
			"below %s",
			c->pool, d->dir);
		return POOL_BAD;
	}
	if (d->stopping || d->nr_pools >= POOL_POOLS_MAX ||
	    (client->uid != d->uid &&
	     requests_pools_of(d, client->uid) >= POOL_OWN_MAX)) {
		err_set(err, -EAGAIN, "There are too many pools");
		return POOL_FULL;
	}
	pool_source_of(d, client->uid, client->gid, c, &source);
	if (c->kind == POOL_CLONE && !record_source_there(&source)) {
		err_set(err, -ENOENT, "There is no snapshot %s", c->snapshot);
		return POOL_NO_SNAPSHOT;
	}
	return POOL_CODE_UNSET;
}

static void requests_create(struct pool_daemon *d, struct pool_client *client,
			    struct pool_request *q)
{
	struct record_pool made = {
		.owner = client->uid,
		.gid = client->gid,
	};
	struct pool *pool = NULL;
	struct err err;
	enum pool_code code = requests_may_create(d, client, &q->create, &err);
	int r;

	if (code != POOL_CODE_UNSET) {
		pool_answer_error(client, q->tag, code, err.text);
		return;
	}
	made.create = q->create;
	q->create = (struct pool_create){0};
	r = client->uid != d->uid ? requests_groups(client, &made.groups) : 0;
	if (r == 0) {
		pool = pool_new(d, &made);
		r = pool ? pool_save(pool) : -ENOMEM;
	}
	schema_free(&record_pool_schema, &made);
	if (r < 0) {
		(void)err_set(&err, r, "The pool cannot be kept: %s",
			      err_name(r));
		pool_answer_error(client, q->tag, POOL_FAILED, err.text);
		if (pool) {
			pool_remove(pool);
			pool_look(pool, false);
		}
		return;
	}
	pool_answer_done(client, q->tag);
	pool_look(pool, false);
}

/* ---- resize, drain, rm ---- */

static void requests_keep(struct pool_client *client, uint64_t tag,
			  struct pool *pool)
{
	if (pool_save(pool) < 0)
		pool_answer_error(client, tag, POOL_FAILED,
				  "The pool's record cannot be written");
	else
		pool_answer_done(client, tag);
}

static void requests_resize(struct pool_daemon *d, struct pool_client *client,
			    struct pool_request *q)
{
	struct pool *pool = pool_find(d, client->uid, q->resize.pool);

	if (!pool) {
		requests_no_pool(client, q->tag, q->resize.pool);
		return;
	}
	pool->made.create.size = q->resize.size;
	pool->made.draining = false;
	requests_keep(client, q->tag, pool);
	pool_look(pool, false);
}

static void requests_drain(struct pool_daemon *d, struct pool_client *client,
			   struct pool_request *q, const char *name)
{
	struct pool *pool = pool_find(d, client->uid, name);
	bool remove = q->has[POOL_DO_RM];
	struct pool_ask *ask;

	if (!pool) {
		requests_no_pool(client, q->tag, name);
		return;
	}
	ask = pool_ask_new(d, client, q, now_ns());
	if (!ask) {
		pool_answer_error(client, q->tag, POOL_FULL, "Out of memory");
		return;
	}
	list_add_tail(&pool->drains, &ask->link);
	if (remove) {
		pool_remove(pool);
	} else {
		pool_drain(pool);
		if (pool_save(pool) < 0)
			pool_trouble(pool, "A record cannot be written",
				     strlen("A record cannot be written"));
	}
	pool_look(pool, false);
}

/* ---- release, wait ---- */

static const struct pool_ended *requests_ended(struct pool_daemon *d, uid_t uid,
					       const char *name)
{
	/* The latest first. */
	for (struct list *l = d->ended.prev; l != &d->ended; l = l->prev) {
		const struct pool_ended *e =
			container_of(l, struct pool_ended, link);

		if ((uid == 0 || e->owner == uid) && strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

static void requests_of_lease(struct pool_daemon *d, struct pool_client *client,
			      struct pool_request *q, const char *name)
{
	struct pool_member *m = pool_leased(d, client->uid, name);
	bool wait = q->has[POOL_DO_WAIT];
	const struct pool_ended *e =
		!m && wait ? requests_ended(d, client->uid, name) : NULL;
	char text[POOL_NAME_MAX + 32];
	struct pool_ask *ask;

	if (e) {
		pool_answer_exit(client, q->tag, &e->exit);
		return;
	}
	if (!m) {
		(void)snprintf(text, sizeof(text), "There is no lease %s",
			       name);
		pool_answer_error(client, q->tag, POOL_NONE, text);
		return;
	}
	ask = pool_ask_new(d, client, q, now_ns());
	if (!ask) {
		pool_answer_error(client, q->tag, POOL_FULL, "Out of memory");
		return;
	}
	list_add_tail(&m->waiters, &ask->link);
	if (!wait)
		pool_member_end(m);
}

/* ---- ls ---- */

static struct pool_row requests_row(const struct pool *pool)
{
	union {
		const char *from;
		char *to;
	} trouble = {pool->trouble};

	return (struct pool_row){
		.pool = pool->made.create.pool,
		.kind = pool->made.create.kind,
		.snapshot = pool->made.create.snapshot,
		.owner = pool->made.owner,
		.size = pool->made.create.size,
		.starting = pool->nr[POOL_STARTING],
		.ready = pool->nr[POOL_READY],
		.leased = pool->nr[POOL_LEASING] + pool->nr[POOL_LEASED],
		.ending = pool->nr[POOL_ENDING],
		.waiting = pool->nr_queue,
		.private_kib = pool->private_kib,
		.draining = pool->made.draining,
		.trouble = pool->trouble[0] ? trouble.to : NULL,
	};
}

/**
 * struct requests_ls - an answer that grows
 * @from:	rows with a place below it were in an answer before
 * @text:	of the rows; a row that does not fit is the next answer's
 */
struct requests_ls {
	const struct pool_ls_ask *ask;
	struct pool_listing list;
	struct pool_row rows[POOL_WIRE_LS_MAX];
	struct pool_member_row members[POOL_WIRE_LS_MAX];
	char api[POOL_WIRE_LS_MAX][POOL_PATH_MAX];
	bool begun;
};

static bool requests_after(struct requests_ls *ls, const char *id)
{
	if (ls->begun)
		return true;
	ls->begun = strcmp(ls->ask->after, id) == 0;
	return false;
}

static void requests_ls_members(struct requests_ls *ls, struct pool *pool,
				struct list *in)
{
	for (struct list *l = in->next; l != in && !ls->list.more;
	     l = l->next) {
		struct pool_member *m =
			container_of(l, struct pool_member, link);
		size_t n = ls->list.members.nr;

		if (!requests_after(ls, m->id))
			continue;
		if (n == POOL_WIRE_LS_MAX) {
			ls->list.more = true;
			break;
		}
		(void)pool_member_api(m, ls->api[n]);
		ls->members[n] = (struct pool_member_row){
			.id = m->id,
			.pool = pool->made.create.pool,
			.state = m->state,
			.name = m->name,
			.pid = (uint32_t)m->pid,
			.api = ls->api[n],
		};
		ls->list.members.nr++;
	}
}

static void requests_ls_pool(struct requests_ls *ls, struct pool *pool)
{
	if (ls->ask->members) {
		for (size_t i = 0; i < ARRAY_SIZE(pool->in); i++)
			requests_ls_members(ls, pool, &pool->in[i]);
		return;
	}
	if (pool->removed || ls->list.more ||
	    !requests_after(ls, pool->made.create.pool))
		return;
	if (ls->list.pools.nr == POOL_WIRE_LS_MAX)
		ls->list.more = true;
	else
		ls->rows[ls->list.pools.nr++] = requests_row(pool);
}

/* What fits into a message, at least one row. */
static void requests_ls_send(struct pool_client *client, uint64_t tag,
			     struct requests_ls *ls)
{
	struct schema_list *rows =
		ls->ask->members ? &ls->list.members : &ls->list.pools;

	for (;;) {
		struct pool_answer answer = {
			.v = POOL_WIRE_VERSION,
			.tag = tag,
			.has_ls = true,
			.ls = ls->list,
		};
		cleanup_buf struct buf text = {0};

		schema_encode(&pool_answer_schema, &answer, &text);
		if (rows->nr <= 1 || text.len <= POOL_WIRE_MAX) {
			(void)client->answer(client, &answer, NULL, 0);
			return;
		}
		rows->nr /= 2;
		ls->list.more = true;
	}
}

static void requests_ls(struct pool_daemon *d, struct pool_client *client,
			struct pool_request *q)
{
	cleanup_free struct requests_ls *ls = calloc(1, sizeof(*ls));
	bool found = !q->ls.pool;

	if (!ls) {
		pool_answer_error(client, q->tag, POOL_FULL, "Out of memory");
		return;
	}
	ls->ask = &q->ls;
	ls->begun = !q->ls.after;
	ls->list.pools.items = ls->rows;
	ls->list.members.items = ls->members;
	for (struct list *l = d->pools.next; l != &d->pools; l = l->next) {
		struct pool *pool = container_of(l, struct pool, link);

		if (!pool_is_seen_by(pool, client->uid) ||
		    (q->ls.pool &&
		     strcmp(q->ls.pool, pool->made.create.pool) != 0))
			continue;
		found = true;
		requests_ls_pool(ls, pool);
	}
	if (!found)
		requests_no_pool(client, q->tag, q->ls.pool);
	else if (!ls->begun)
		pool_answer_error(client, q->tag, POOL_NONE,
				  "What after names is not there any more");
	else
		requests_ls_send(client, q->tag, ls);
}

/* ---- metrics ---- */

static int requests_file(const struct buf *text)
{
	cleanup_fd int fd = memfd_create("volt-pool-metrics",
					 MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (text->failed || fd_write_full(fd, text->data, text->len) < 0 ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return -ENOMEM;
	return fd_steal(&fd);
}

static void requests_metrics(struct pool_daemon *d, struct pool_client *client,
			     const struct pool_request *q)
{
	struct pool_answer answer = {.v = POOL_WIRE_VERSION, .tag = q->tag};
	cleanup_buf struct buf text = {0};
	cleanup_fd int fd = -1;

	pool_metrics(d, client->uid, q->metrics.format, &text);
	fd = requests_file(&text);
	if (fd < 0)
		pool_answer_error(client, q->tag, POOL_FULL,
				  "No file for the metrics can be made");
	else
		(void)client->answer(client, &answer, &fd, 1);
}

/* ---- all ---- */

void pool_request(struct pool_daemon *d, struct pool_client *client,
		  struct pool_request *q)
{
	switch (request_do(q)) {
	case POOL_DO_CREATE:
		requests_create(d, client, q);
		break;
	case POOL_DO_LS:
		requests_ls(d, client, q);
		break;
	case POOL_DO_LEASE:
		pool_lease(d, client, q, now_ns());
		break;
	case POOL_DO_RELEASE:
		requests_of_lease(d, client, q, q->release.name);
		break;
	case POOL_DO_RESIZE:
		requests_resize(d, client, q);
		break;
	case POOL_DO_DRAIN:
		requests_drain(d, client, q, q->drain.pool);
		break;
	case POOL_DO_RM:
		requests_drain(d, client, q, q->rm.pool);
		break;
	case POOL_DO_METRICS:
		requests_metrics(d, client, q);
		break;
	case POOL_DO_WAIT:
		requests_of_lease(d, client, q, q->wait.name);
		break;
	case POOL_NR_DO:
		break;
	}
	schema_free(&pool_request_schema, q);
}
