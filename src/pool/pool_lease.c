// SPDX-License-Identifier: Apache-2.0
/*
 * pool_lease.c - leases: the queue, and what makes a member somebody's (pool.h)
 */
#include "pool/pool.h"

#include "base/fd.h"
#include "pool/proc.h"
#include "pool/steps.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE_CALL_MS 10000u
#define LEASE_MS_NS   1000000ull
#define LEASE_US_NS   1000u

static const struct pool_lease_ask *lend_of(const struct pool_ask *ask)
{
	return &ask->q.lease;
}

/* ---- names ---- */

static struct pool_member *lend_in(struct pool *pool, enum pool_state state,
				   const char *name)
{
	struct list *head = &pool->in[state];

	for (struct list *l = head->next; l != head; l = l->next) {
		struct pool_member *m =
			container_of(l, struct pool_member, link);

		if (m->name && strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

static struct pool_member *lend_find(struct pool_daemon *d, uid_t owner,
				     bool all, enum pool_state state,
				     const char *name)
{
	for (struct list *l = d->pools.next; l != &d->pools; l = l->next) {
		struct pool *pool = container_of(l, struct pool, link);
		struct pool_member *m = all || pool->made.owner == owner
						? lend_in(pool, state, name)
						: NULL;

		if (m)
			return m;
	}
	return NULL;
}

/* Root's own first, then anybody's. */
struct pool_member *pool_leased(struct pool_daemon *d, uid_t uid,
				const char *name)
{
	struct pool_member *m = lend_find(d, uid, false, POOL_LEASED, name);

	if (!m)
		m = lend_find(d, uid, false, POOL_ENDING, name);
	if (!m && uid == 0)
		m = lend_find(d, uid, true, POOL_LEASED, name);
	if (!m && uid == 0)
		m = lend_find(d, uid, true, POOL_ENDING, name);
	return m;
}

/* Does a lease of this user have the name, or wait for it? */
static bool lend_name_taken(struct pool_daemon *d, uid_t owner,
			    const char *name)
{
	if (lend_find(d, owner, false, POOL_LEASED, name) ||
	    lend_find(d, owner, false, POOL_LEASING, name) ||
	    lend_find(d, owner, false, POOL_ENDING, name))
		return true;
	for (struct list *l = d->pools.next; l != &d->pools; l = l->next) {
		struct pool *pool = container_of(l, struct pool, link);

		if (pool->made.owner != owner)
			continue;
		for (struct list *q = pool->queue.next; q != &pool->queue;
		     q = q->next) {
			const struct pool_ask *ask =
				container_of(q, struct pool_ask, link);

			if (lend_of(ask)->name &&
			    strcmp(lend_of(ask)->name, name) == 0)
				return true;
		}
	}
	return false;
}

/* ---- its end, good or bad ---- */

static void lend_count(struct pool_counts *counts, uint64_t us)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(pool_bucket_us) && us > pool_bucket_us[i])
		i++;
	counts->bucket[i]++;
	counts->leases++;
	counts->lease_us += us;
}

static void lend_forget(struct pool_member *m)
{
	free(m->name);
	m->name = NULL;
	if (m->ask)
		pool_ask_free(m->ask);
	m->ask = NULL;
}

/* Destroyed: it may be anything by now. */
static void lend_fail(struct pool_member *m, const char *text)
{
	struct pool_ask *ask = m->ask;

	m->ask = NULL;
	m->pool->counts.failed++;
	lend_forget(m);
	if (m->state == POOL_LEASING)
		pool_member_end(m);
	if (ask)
		pool_ask_refuse(ask, POOL_FAILED, text);
	pool_look(m->pool, false);
}

void pool_lease_lost(struct pool_member *m)
{
	char text[96];

	(void)snprintf(text, sizeof(text),
		       "The VM ended before it was leased, %s %u",
		       m->exit.signal ? "by signal" : "with exit code",
		       m->exit.signal ? m->exit.signal : m->exit.status);
	/* It has ended, and is cleared away by who calls. */
	pool_member_enter(m, POOL_ENDING);
	m->pool->counts.failed++;
	if (m->ask) {
		struct pool_ask *ask = m->ask;

		m->ask = NULL;
		pool_ask_refuse(ask, POOL_FAILED, text);
	}
	lend_forget(m);
}

static void lend_done(struct pool_member *m)
{
	struct pool_client *client = m->ask->client;
	char path[POOL_PATH_MAX];
	struct pool_answer answer = {
		.v = POOL_WIRE_VERSION,
		.tag = m->ask->q.tag,
		.has_lease = true,
		.lease = {.id = m->id,
			  .name = m->name,
			  .pid = (uint32_t)m->pid},
	};
	cleanup_fd int api = lend_of(m->ask)->api ? call_steal(&m->call) : -1;
	const int fds[POOL_WIRE_FDS_MAX] = {m->gone.fd, api};
	uint64_t us = (now_ns() - m->ask->came_ns) / LEASE_US_NS;

	call_close(&m->call);
	(void)pool_member_api(m, path);
	answer.lease.api = path;
	answer.lease.us = us;
	pool_ask_free(m->ask);
	m->ask = NULL;
	pool_member_enter(m, POOL_LEASED);
	if (!client || client->answer(client, &answer, fds, api < 0 ? 1 : 2)) {
		/* Nobody knows of it, so it is nobody's. */
		m->pool->counts.failed++;
		lend_forget(m);
		pool_member_end(m);
	} else {
		lend_count(&m->pool->counts, us);
		refill_leased(&m->pool->refill, now_ns());
	}
	pool_look(m->pool, false);
}

/* ---- what it is tied to ---- */

static void lend_tie_ended(struct loop_source *src, uint32_t events)
{
	(void)events;
	pool_member_end(container_of(src, struct pool_member, tied));
}

void pool_lease_tie(struct pool_member *m)
{
	int fd = m->tied_pid > 0 ? proc_open(m->tied_pid, m->tied_start) : -1;

	if (m->tied_pid <= 0)
		return;
	m->tied = (struct loop_source){
		.fd = fd, .events = EPOLLIN, .cb = lend_tie_ended};
	/* It is gone, or cannot be watched. */
	if (fd < 0 || loop_add(m->pool->d->loop, &m->tied) < 0)
		pool_member_end(m);
}

/* ---- its requests ---- */

/* All at once: the VM does them in order, and nothing is said in between. */
static int lend_send(struct pool_member *m)
{
	const struct pool_create *c = &m->pool->made.create;
	struct steps_call call = {0};
	int r = 0;

	for (size_t n = 0; r == 0 && steps_nth(&call, c, lend_of(m->ask), n);
	     n++)
		r = call_add(&m->call, call.method, &call.target, &call.body);
	steps_call_free(&call);
	if (r == 0)
		r = call_go(&m->call, LEASE_CALL_MS);
	if (r < 0)
		return r;
	/* While the VM does it, which may have been woken on this CPU: a guest
	 * waits for it, and for what follows here nobody. */
	(void)sched_yield();
	return pool_member_save(m, POOL_LEASED);
}

static void lend_carry_out(struct pool_member *m)
{
	char text[96];
	int r = lend_send(m);

	if (r == 0)
		return;
	(void)snprintf(text, sizeof(text), "The VM cannot be asked: %s",
		       err_name(r));
	lend_fail(m, text);
}

static void lend_carried_out(struct pool_member *m)
{
	if (lend_of(m->ask)->tied)
		pool_lease_tie(m);
	if (m->state == POOL_LEASING)
		lend_done(m);
	else
		lend_fail(m, "The process that asked is gone");
}

void pool_lease_answer(struct pool_member *m, int status, const char *body,
		       size_t len)
{
	char text[ERR_TEXT_MAX];

	if (call_is_success(status)) {
		lend_carried_out(m);
		return;
	}
	if (status < 0)
		(void)snprintf(text, sizeof(text),
			       "The VM has not answered: %s", err_name(status));
	else
		steps_fault(text, sizeof(text), body, len);
	lend_fail(m, text);
}

/* ---- its cgroup ---- */

/* Where the VM is to go; NULL: it stays. */
static const char *lend_group(const struct pool_member *m)
{
	const struct pool_lease_ask *l = lend_of(m->ask);
	struct pool_client *client = m->ask->client;
	const struct pool_daemon *d = m->pool->d;

	if (l->cgroup)
		return l->cgroup;
	if (l->keep_cgroup || !client || !d->mount[0])
		return NULL;
	if (!client->group) {
		char path[GROUP_PATH_MAX];

		if (group_of(client->pid, path) == 0)
			client->group = strdup(path);
	}
	if (!client->group ||
	    (!l->has_limits && strcmp(client->group, d->group) == 0))
		return NULL;
	return client->group;
}

static int lend_move(struct pool_member *m, const char *group, struct err *err)
{
	const struct pool_lease_ask *l = lend_of(m->ask);
	const struct pool_daemon *d = m->pool->d;
	const pid_t halves[2] = {m->pid, proc_child(m->pid)};
	uid_t uid = m->pool->made.owner;
	char own[POOL_ID_MAX + 8];
	int r;

	if (!d->mount[0])
		return err_set(err, -ENOENT,
			       "This host has no cgroups of version 2");
	/* Where the client is, nobody but the kernel has said. */
	if (!l->cgroup && !l->has_limits)
		uid = 0;
	(void)snprintf(own, sizeof(own), "volt-%s", m->id);
	r = group_enter(d->mount, group, l->has_limits ? own : NULL, &l->limits,
			uid, halves, err);
	/* Who did not ask for a move has none where it is not permitted. */
	return !l->cgroup && !l->has_limits && (r == -EACCES || r == -EPERM)
		       ? 0
		       : r;
}

/* Return: 0 or -errno with a sentence. */
static int lend_prepare(struct pool_member *m, struct err *err)
{
	const struct pool_lease_ask *l = lend_of(m->ask);
	const char *group = lend_group(m);
	int r;

	m->name = strdup(l->name ? l->name : m->id);
	if (!m->name)
		return err_set(err, -ENOMEM, "Out of memory");
	if (l->tied && m->ask->client) {
		m->tied_pid = m->ask->client->pid;
		m->tied_start = proc_start_time(m->tied_pid);
	}
	if (l->has_limits && group &&
	    asprintf(&m->cgroup, "%s%s/volt-%s", m->pool->d->mount,
		     strcmp(group, "/") ? group : "", m->id) < 0) {
		m->cgroup = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	if (l->has_limits && !group)
		return err_set(err, -ENOENT,
			       "Limits need a cgroup, and the "
			       "client's is not known");
	if (!group)
		return 0; /* it says of itself that it was leased */
	r = pool_member_save_leasing(m);
	if (r < 0)
		return err_set(err, r, "Cannot write a record: %s",
			       err_name(r));
	return lend_move(m, group, err);
}

static void lend_begin(struct pool_member *m, struct pool_ask *ask)
{
	struct err err;

	list_del(&ask->link);
	m->pool->nr_queue--;
	timer_stop(&ask->deadline);
	m->ask = ask;
	pool_member_enter(m, POOL_LEASING);
	if (lend_prepare(m, &err) < 0)
		lend_fail(m, err.text);
	else
		lend_carry_out(m);
}

/* ---- the queue ---- */

void pool_lease_match(struct pool *pool)
{
	while (!list_empty(&pool->queue) &&
	       !list_empty(&pool->in[POOL_READY])) {
		if (!pool_check_source(pool)) {
			pool_lease_refuse_all(pool, POOL_NO_SNAPSHOT,
					      pool->trouble);
			break;
		}
		/* They were of other files. */
		if (list_empty(&pool->in[POOL_READY]))
			break;
		lend_begin(
			container_of(pool->in[POOL_READY].next,
				     struct pool_member, link),
			container_of(pool->queue.next, struct pool_ask, link));
	}
}

void pool_lease_refuse_all(struct pool *pool, enum pool_code code,
			   const char *text)
{
	while (!list_empty(&pool->queue)) {
		pool->nr_queue--;
		pool_ask_refuse(
			container_of(pool->queue.next, struct pool_ask, link),
			code, text);
	}
}

static void lend_late(struct timer *timer)
{
	struct pool_ask *ask = container_of(timer, struct pool_ask, deadline);
	struct pool *pool = ask->pool;

	pool->nr_queue--;
	pool->counts.timeouts++;
	pool_ask_refuse(ask, POOL_TIMEOUT,
			pool->trouble[0] ? pool->trouble
					 : "No member was free in time");
}

static enum pool_code
lend_check(struct pool *pool, const struct pool_lease_ask *l, struct err *err)
{
	const struct pool_create *c = &pool->made.create;

	if (pool->made.draining || pool->d->stopping) {
		err_set(err, -ESHUTDOWN, "Pool %s gives out nothing: it drains",
			l->pool);
		return POOL_DRAINING;
	}
	if (c->kind == POOL_CLONE && l->snapshot) {
		err_set(err, -EINVAL,
			"The clones of pool %s are of one snapshot; a lease "
			"names another one of shells only",
			l->pool);
		return POOL_BAD;
	}
	if (c->kind == POOL_SHELL && !l->snapshot && !c->snapshot) {
		err_set(err, -EINVAL,
			"Pool %s has no snapshot: the lease names one",
			l->pool);
		return POOL_BAD;
	}
	if (l->name && lend_name_taken(pool->d, pool->made.owner, l->name)) {
		err_set(err, -EEXIST, "There is a lease of the name %s",
			l->name);
		return POOL_EXISTS;
	}
	if (list_empty(&pool->in[POOL_READY]) && !pool_check_source(pool)) {
		err_set(err, -ENOENT, "Pool %s: its snapshot is gone", l->pool);
		return POOL_NO_SNAPSHOT;
	}
	return POOL_CODE_UNSET;
}

/* No member is ready. */
static enum pool_code lend_check_queue(struct pool *pool, uint64_t wait_ms,
				       struct err *err)
{
	const struct pool_create *c = &pool->made.create;

	if (wait_ms == 0) {
		pool->counts.timeouts++;
		err_set(err, -ETIMEDOUT, "Pool %s has no member that is ready",
			c->pool);
		return POOL_TIMEOUT;
	}
	if (pool->nr_queue >= c->queue) {
		pool->counts.refused_full++;
		err_set(err, -EAGAIN,
			"Pool %s has no member that is ready, and %u leases "
			"wait",
			c->pool, pool->nr_queue);
		return POOL_FULL;
	}
	return POOL_CODE_UNSET;
}

static enum pool_code lend_enqueue(struct pool *pool,
				   struct pool_client *client,
				   struct pool_request *q, uint64_t came_ns,
				   struct err *err)
{
	const struct pool_lease_ask *l = &q->lease;
	uint64_t wait_ms = l->has_wait ? l->wait_ms : pool->made.create.wait_ms;
	enum pool_code code = lend_check(pool, l, err);
	struct pool_ask *ask;

	if (code == POOL_CODE_UNSET &&
	    (pool->nr_queue > 0 || list_empty(&pool->in[POOL_READY])))
		code = lend_check_queue(pool, wait_ms, err);
	if (code != POOL_CODE_UNSET)
		return code;
	ask = pool_ask_new(pool->d, client, q, came_ns);
	if (!ask) {
		err_set(err, -ENOMEM, "Out of memory");
		return POOL_FULL;
	}
	ask->pool = pool;
	ask->deadline.fired = lend_late;
	timer_set(&ask->deadline, wait_ms * LEASE_MS_NS, 0);
	list_add_tail(&pool->queue, &ask->link);
	pool->nr_queue++;
	return POOL_CODE_UNSET;
}

void pool_lease(struct pool_daemon *d, struct pool_client *client,
		struct pool_request *q, uint64_t came_ns)
{
	struct pool *pool = pool_find(d, client->uid, q->lease.pool);
	enum pool_code code = POOL_NONE;
	uint64_t tag = q->tag;
	struct err err;

	if (pool)
		code = lend_enqueue(pool, client, q, came_ns, &err);
	else
		err_set(&err, -ENOENT, "There is no pool %s", q->lease.pool);
	schema_free(&pool_request_schema, q);
	if (code != POOL_CODE_UNSET) {
		pool_answer_error(client, tag, code, err.text);
		return;
	}
	pool_lease_match(pool);
	pool_look(pool, false);
}
