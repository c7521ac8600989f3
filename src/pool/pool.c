// SPDX-License-Identifier: Apache-2.0
/*
 * pool.c - pools: what they have, what they start and end (pool.h)
 */
#include "pool/pool.h"

#include "base/clean.h"
#include "base/fd.h"
#include "pool/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define POOL_TICK_NS       1000000000u
#define POOL_MEASURED      16u /* members, each tick */
#define POOL_PRESSURE      "/proc/pressure/memory"
#define POOL_PRESSURE_MOST 10u /* percent of the last ten seconds */

const uint32_t pool_bucket_us[POOL_BUCKETS - 1] = {
	50,   100,   200,   300,    500,    700,     1000,    2000,
	5000, 10000, 20000, 100000, 500000, 1000000, 5000000,
};

/* ---- find ---- */

bool pool_is_seen_by(const struct pool *pool, uid_t uid)
{
	return uid == 0 || pool->made.owner == uid;
}

struct pool *pool_find_any(struct pool_daemon *d, uid_t owner, const char *name)
{
	for (struct list *l = d->pools.next; l != &d->pools; l = l->next) {
		struct pool *pool = container_of(l, struct pool, link);

		if (pool->made.owner == owner &&
		    strcmp(pool->made.create.pool, name) == 0)
			return pool;
	}
	return NULL;
}

struct pool *pool_find(struct pool_daemon *d, uid_t uid, const char *name)
{
	struct pool *others = NULL;

	for (struct list *l = d->pools.next; l != &d->pools; l = l->next) {
		struct pool *pool = container_of(l, struct pool, link);

		if (pool->removed || !pool_is_seen_by(pool, uid) ||
		    strcmp(pool->made.create.pool, name) != 0)
			continue;
		if (pool->made.owner == uid)
			return pool;
		others = pool;
	}
	return others;
}

/* ---- records ---- */

static void pool_record_name(const struct pool *pool, char *out, size_t size)
{
	(void)snprintf(out, size, "%s.%u.pool", pool->made.create.pool,
		       pool->made.owner);
}

int pool_save(struct pool *pool)
{
	char name[POOL_NAME_MAX + 24];

	pool_record_name(pool, name, sizeof(name));
	return record_write(pool->d->dir_fd, name, &record_pool_schema,
			    &pool->made);
}

void pool_trouble(struct pool *pool, const char *text, size_t len)
{
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	(void)clean_text(pool->trouble, sizeof(pool->trouble), text, len);
}

bool pool_fits(const struct pool_daemon *d, const char *name)
{
	return strlen(d->dir) + strlen(name) +
		       sizeof("/-0123456789abcdef/api.sock") <=
	       POOL_PATH_MAX;
}

/* Root's daemon must not tell another user what files there are. */
void pool_source_of(const struct pool_daemon *d, uid_t uid, gid_t gid,
		    const struct pool_create *c, struct record_source *source)
{
	bool other = uid != d->uid;
	gid_t own = other ? getegid() : 0;

	if (other) {
		(void)setfsgid(gid);
		(void)setfsuid(uid);
	}
	record_source_of(source, c->snapshot, c->memory);
	if (other) {
		(void)setfsuid(d->uid);
		(void)setfsgid(own);
	}
}

/* ---- make, free ---- */

static void pool_again(struct timer *timer)
{
	pool_look(container_of(timer, struct pool, again), false);
}

struct pool *pool_new(struct pool_daemon *d, struct record_pool *made)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->d = d;
	pool->made = *made;
	pool->made.v = RECORD_VERSION;
	if (pool->made.create.parallel == 0)
		pool->made.create.parallel =
			(uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	*made = (struct record_pool){0};
	for (size_t i = 0; i < ARRAY_SIZE(pool->in); i++)
		list_init(&pool->in[i]);
	list_init(&pool->queue);
	list_init(&pool->drains);
	timer_init(&pool->again, d->loop, pool_again);
	pool_source_of(d, pool->made.owner, pool->made.gid, &pool->made.create,
		       &pool->source);
	list_add_tail(&d->pools, &pool->link);
	d->nr_pools++;
	return pool;
}

static void pool_free(struct pool *pool)
{
	struct pool_daemon *d = pool->d;

	list_del(&pool->link);
	d->nr_pools--;
	timer_stop(&pool->again);
	schema_free(&record_pool_schema, &pool->made);
	free(pool);
	if (d->stopping && d->nr_pools == 0)
		loop_quit(d->loop);
}

static unsigned int pool_nr_all(const struct pool *pool)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(pool->nr); i++)
		nr += pool->nr[i];
	return nr;
}

/* ---- end ---- */

static void pool_end_all(struct pool *pool, enum pool_state state)
{
	while (!list_empty(&pool->in[state]))
		pool_member_end(container_of(pool->in[state].next,
					     struct pool_member, link));
}

/* The oldest first. */
static void pool_end_some(struct pool *pool, unsigned int nr)
{
	while (nr-- > 0 && !list_empty(&pool->in[POOL_READY])) {
		pool->counts.ended++;
		pool_member_end(container_of(pool->in[POOL_READY].next,
					     struct pool_member, link));
	}
}

void pool_drain(struct pool *pool)
{
	pool->made.draining = true;
	pool_lease_refuse_all(pool, POOL_DRAINING, "The pool drains");
	pool_end_all(pool, POOL_STARTING);
	pool_end_all(pool, POOL_READY);
}

void pool_remove(struct pool *pool)
{
	char name[POOL_NAME_MAX + 24];

	pool_record_name(pool, name, sizeof(name));
	(void)unlinkat(pool->d->dir_fd, name, 0);
	pool->removed = true;
	pool_drain(pool);
}

/* What is nobody's is gone: those who wait for that hear it. Return: whether
 * the pool is, too. */
static bool pool_settle(struct pool *pool)
{
	bool held = pool->made.draining || pool->d->stopping;

	if (!held || pool->nr[POOL_STARTING] + pool->nr[POOL_READY] +
				     pool->nr[POOL_LEASING] +
				     pool->nr[POOL_ENDING] >
			     0)
		return false;
	while (!list_empty(&pool->drains))
		pool_ask_done(
			container_of(pool->drains.next, struct pool_ask, link));
	if ((pool->removed && pool_nr_all(pool) == 0) || pool->d->stopping) {
		while (!list_empty(&pool->in[POOL_LEASED]))
			pool_member_free(
				container_of(pool->in[POOL_LEASED].next,
					     struct pool_member, link));
		pool_free(pool);
		return true;
	}
	return false;
}

/* ---- the snapshot ---- */

bool pool_check_source(struct pool *pool)
{
	const struct pool_create *c = &pool->made.create;
	struct record_source now;
	struct list *next;

	if (c->kind != POOL_CLONE)
		return true;
	pool_source_of(pool->d, pool->made.owner, pool->made.gid, c, &now);
	if (!record_source_same(&now, &pool->source)) {
		pool->source = now;
		pool->trouble[0] = '\0';
	}
	for (struct list *l = pool->in[POOL_READY].next;
	     l != &pool->in[POOL_READY]; l = next) {
		struct pool_member *m =
			container_of(l, struct pool_member, link);

		next = l->next;
		if (!record_source_same(&m->source, &now))
			pool_member_end(m);
	}
	if (record_source_there(&now))
		return true;
	pool_trouble(pool, "Its snapshot is gone",
		     strlen("Its snapshot is gone"));
	return false;
}

/* ---- refill ---- */

static void pool_refill(struct pool *pool, bool look)
{
	const struct refill_now now = {
		.now_ns = now_ns(),
		.ready = pool->nr[POOL_READY],
		.starting = pool->nr[POOL_STARTING],
		.waiting = pool->nr_queue,
		.leasing = pool->nr[POOL_LEASING],
		.private_kib = pool->private_kib,
		.pressure = pool->d->pressure,
		.held = pool->made.draining || pool->d->stopping ||
			(pool->made.create.kind == POOL_CLONE &&
			 !record_source_there(&pool->source)),
	};
	struct refill_do todo =
		refill_decide(&pool->refill, &pool->made.create, &now, look);

	pool_end_some(pool, todo.end);
	while (todo.start-- > 0) {
		refill_started(&pool->refill, &pool->made.create, now.now_ns);
		if (pool_member_start(pool) < 0) {
			refill_failed(&pool->refill, now.now_ns);
			todo.again_ns = pool->refill.pause_ns;
			break;
		}
	}
	if (todo.again_ns == REFILL_NEVER)
		timer_stop(&pool->again);
	else
		timer_set(&pool->again,
			  todo.again_ns > now.now_ns
				  ? todo.again_ns - now.now_ns
				  : 1,
			  0);
}

void pool_look(struct pool *pool, bool look)
{
	if (look && !pool_check_source(pool))
		pool_lease_refuse_all(pool, POOL_NO_SNAPSHOT, pool->trouble);
	if (!pool_settle(pool))
		pool_refill(pool, look);
}

/* ---- once a second ---- */

/* Leased ones, as others do not change: who was measured longest ago first. */
static void pool_measure(struct pool *pool, unsigned int nr)
{
	struct list *list = &pool->in[POOL_LEASED];

	for (; nr > 0 && !list_empty(list); nr--) {
		struct pool_member *m =
			container_of(list->next, struct pool_member, link);

		pool_member_measure(m);
		pool_member_cut_log(m);
		list_del(&m->link);
		list_add_tail(list, &m->link);
	}
}

static bool pool_under_pressure(void)
{
	char text[256];
	cleanup_fd int fd = open(POOL_PRESSURE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	static const char head[] = "some avg10=";

	if (n <= 0)
		return false;
	text[n] = '\0';
	return strncmp(text, head, strlen(head)) == 0 &&
	       strtoul(text + strlen(head), NULL, 10) >= POOL_PRESSURE_MOST;
}

static void pool_tick(struct timer *timer)
{
	struct pool_daemon *d = container_of(timer, struct pool_daemon, tick);
	struct list *next;

	d->pressure = pool_under_pressure();
	for (struct list *l = d->pools.next; l != &d->pools; l = next) {
		struct pool *pool = container_of(l, struct pool, link);

		next = l->next;
		pool_measure(pool, pool->nr[POOL_LEASED] < POOL_MEASURED
					   ? pool->nr[POOL_LEASED]
					   : POOL_MEASURED);
		pool_look(pool, true);
	}
}

/* ---- the daemon ---- */

/* One daemon each. A child that has not run its program yet shares what is
 * open, and so a lock of flock(2), but not this one. */
static int pool_lock_dir(struct pool_daemon *d, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	d->lock_fd = openat(d->dir_fd, "lock",
			    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return err_set(err, -errno, "Cannot make %s/lock: %s", d->dir,
			       err_name(errno));
	if (fcntl(d->lock_fd, F_SETLK, &lock) == 0)
		return 0;
	if (errno == EACCES || errno == EAGAIN)
		return err_set(err, -EBUSY, "Another volt-pool has %s", d->dir);
	return err_set(err, -errno, "Cannot lock %s: %s", d->dir,
		       err_name(errno));
}

static int pool_open_dir(struct pool_daemon *d, struct err *err)
{
	if (mkdir(d->dir, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot create %s: %s", d->dir,
			       err_name(errno));
	d->dir_fd = open(d->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dir_fd < 0)
		return err_set(err, -errno, "Cannot open %s: %s", d->dir,
			       err_name(errno));
	return pool_lock_dir(d, err);
}

/* Behind those of a daemon before, as long as that has not started 16 members
 * each millisecond. What still lives is not replaced in any case. */
static uint64_t pool_first_id(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000) &
		0xfffffffff)
	       << 4;
}

int pool_daemon_init(struct pool_daemon *d, struct loop *loop, const char *dir,
		     const char *vmm, struct err *err)
{
	int r;

	*d = (struct pool_daemon){
		.loop = loop, .dir = dir, .vmm = vmm, .uid = geteuid()};
	d->dir_fd = d->null_fd = d->lock_fd = -1;
	list_init(&d->pools);
	list_init(&d->ended);
	timer_init(&d->tick, loop, pool_tick);
	d->next_id = pool_first_id();
	d->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (d->null_fd < 0)
		return err_set(err, -errno, "Cannot open /dev/null: %s",
			       err_name(errno));
	if (group_mount(d->mount) < 0 || group_of(getpid(), d->group) < 0)
		d->mount[0] = '\0';
	r = pool_open_dir(d, err);
	if (r == 0)
		r = pool_adopt(d, err);
	if (r == 0)
		timer_set(&d->tick, POOL_TICK_NS, POOL_TICK_NS);
	return r;
}

void pool_daemon_stop(struct pool_daemon *d)
{
	struct list *next;

	d->stopping = true;
	if (d->nr_pools == 0)
		loop_quit(d->loop);
	for (struct list *l = d->pools.next; l != &d->pools; l = next) {
		struct pool *pool = container_of(l, struct pool, link);
		bool draining = pool->made.draining;

		next = l->next;
		pool_drain(pool);
		/* For the record, should it be written again. */
		pool->made.draining = draining;
		pool_look(pool, false);
	}
}

void pool_daemon_fini(struct pool_daemon *d)
{
	timer_stop(&d->tick);
	while (!list_empty(&d->pools)) {
		struct pool *pool =
			container_of(d->pools.next, struct pool, link);

		for (size_t i = 0; i < ARRAY_SIZE(pool->in); i++)
			while (!list_empty(&pool->in[i]))
				pool_member_free(
					container_of(pool->in[i].next,
						     struct pool_member, link));
		pool_free(pool);
	}
	while (!list_empty(&d->ended)) {
		struct pool_ended *e =
			container_of(d->ended.next, struct pool_ended, link);

		list_del(&e->link);
		free(e);
	}
	fd_close(&d->dir_fd);
	fd_close(&d->null_fd);
	fd_close(&d->lock_fd);
}
