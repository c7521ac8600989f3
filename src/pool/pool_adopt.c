// SPDX-License-Identifier: Apache-2.0
/*
 * pool_adopt.c - what a daemon before this one left (pool.h, "Survival")
 *
 * In the folder there are NAME.UID.pool, a pool's record; ID, a member's
 * directory; ID.record, a member's record; ID.leasing, the same of one that was
 * ready when its lease began, and out of date where there is an ID.record
 * again. A directory without a record is of a process that never ran its
 * program.
 */
#include "pool/pool.h"

#include "base/fd.h"
#include "pool/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADOPT_POOL    ".pool"
#define ADOPT_RECORD  ".record"
#define ADOPT_LEASING ".leasing"

/* Without the suffix; NULL when it has another. @out: POOL_ID_MAX bytes. */
static char *adopt_stem(const char *file, const char *suffix, char *out)
{
	size_t len = strlen(file), tail = strlen(suffix);

	if (len <= tail || len - tail >= POOL_ID_MAX ||
	    strcmp(file + len - tail, suffix) != 0)
		return NULL;
	memcpy(out, file, len - tail);
	out[len - tail] = '\0';
	return out;
}

/* A record that does not say what a daemon could have written. */
static bool adopt_pool_ok(const struct pool_daemon *d,
			  const struct record_pool *made)
{
	const struct pool_create *c = &made->create;

	return c->kind != POOL_KIND_UNSET && strlen(c->pool) <= POOL_NAME_MAX &&
	       pool_fits(d, c->pool) && c->size <= POOL_SIZE_MAX &&
	       c->queue <= POOL_QUEUE_MAX && c->vmm.nr <= POOL_VMM_ARGS_MAX &&
	       made->groups.nr <= RECORD_GROUPS &&
	       (d->uid == 0 || made->owner == d->uid) &&
	       (c->kind == POOL_SHELL || c->snapshot);
}

static void adopt_pool(struct pool_daemon *d, const char *file)
{
	struct record_pool made;

	if (record_read(d->dir_fd, file, &record_pool_schema, &made, NULL) ==
		    0 &&
	    adopt_pool_ok(d, &made) &&
	    !pool_find_any(d, made.owner, made.create.pool))
		(void)pool_new(d, &made);
	schema_free(&record_pool_schema, &made);
}

/* Its pool was removed while it was leased. */
static struct pool *adopt_pool_of(struct pool_daemon *d,
				  const struct record_member *record)
{
	struct record_pool made = {
		.owner = record->owner,
		.draining = true,
		.create = {.kind = POOL_SHELL},
	};
	struct pool *pool = pool_find_any(d, record->owner, record->pool);

	if (pool)
		return pool;
	made.create.pool = strdup(record->pool);
	pool = made.create.pool ? pool_new(d, &made) : NULL;
	if (pool)
		pool->removed = true;
	schema_free(&record_pool_schema, &made);
	return pool;
}

static void adopt_running(struct pool_daemon *d, const char *id,
			  struct record_member *record, int pidfd)
{
	enum pool_state state = record->state;
	struct pool *pool = adopt_pool_of(d, record);
	struct pool_member *m =
		pool ? pool_member_found(pool, id, record, pidfd) : NULL;

	if (!m) {
		proc_kill(pidfd, SIGKILL);
		fd_close(&pidfd);
	} else if (state == POOL_LEASED && m->name) {
		pool_member_enter(m, POOL_LEASED);
		pool_member_measure(m);
		pool_lease_tie(m);
	} else if (state == POOL_READY && !pool->made.draining) {
		pool_member_check(m);
	} else {
		free(ptr_steal(m->name));
		pool_member_end(m);
	}
}

static bool adopt_is_there(const struct pool_daemon *d, const char *id,
			   const char *suffix)
{
	char name[POOL_ID_MAX + sizeof(ADOPT_LEASING)];

	(void)snprintf(name, sizeof(name), "%s%s", id, suffix);
	return faccessat(d->dir_fd, name, F_OK, 0) == 0;
}

static void adopt_member(struct pool_daemon *d, const char *file)
{
	struct record_member record;
	char text[POOL_ID_MAX];
	const char *id = adopt_stem(file, ADOPT_RECORD, text);
	bool leasing = !id && (id = adopt_stem(file, ADOPT_LEASING, text));
	int pidfd = -ESRCH;

	if (!id || (leasing && adopt_is_there(d, id, ADOPT_RECORD)))
		return;
	if (record_read(d->dir_fd, file, &record_member_schema, &record,
			NULL) == 0)
		pidfd = proc_open((pid_t)record.pid, record.start);
	if (leasing)
		record.state = POOL_LEASING;
	if (pidfd >= 0) {
		adopt_running(d, id, &record, pidfd);
	} else {
		if (record.cgroup)
			(void)rmdir(record.cgroup);
		pool_member_clear(d, id);
	}
	schema_free(&record_member_schema, &record);
}

/* What a record was being written to, and directories without one. */
static void adopt_rest(struct pool_daemon *d, const struct dirent *e)
{
	char text[POOL_ID_MAX];

	if (adopt_stem(e->d_name, ".new", text)) {
		(void)unlinkat(d->dir_fd, e->d_name, 0);
		return;
	}
	if (e->d_type == DT_DIR && strlen(e->d_name) < POOL_ID_MAX &&
	    e->d_name[0] != '.' &&
	    !adopt_is_there(d, e->d_name, ADOPT_RECORD) &&
	    !adopt_is_there(d, e->d_name, ADOPT_LEASING))
		pool_member_clear(d, e->d_name);
}

static int adopt_round(struct pool_daemon *d, int round, struct err *err)
{
	int fd = openat(d->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	char stem[POOL_ID_MAX];

	if (!list) {
		err_set(err, -errno, "Cannot list %s: %s", d->dir,
			err_name(errno));
		fd_close(&fd);
		return err->rc;
	}
	while ((e = readdir(list)) != NULL) {
		if (round == 0)
			adopt_rest(d, e);
		else if (round == 1 && adopt_stem(e->d_name, ADOPT_POOL, stem))
			adopt_pool(d, e->d_name);
		else if (round == 2)
			adopt_member(d, e->d_name);
	}
	(void)closedir(list);
	return 0;
}

int pool_adopt(struct pool_daemon *d, struct err *err)
{
	struct list *next;
	int r = 0;

	for (int round = 0; r == 0 && round < 3; round++)
		r = adopt_round(d, round, err);
	if (r < 0)
		return r;
	for (struct list *l = d->pools.next; l != &d->pools; l = next) {
		next = l->next;
		pool_look(container_of(l, struct pool, link), true);
	}
	return 0;
}
