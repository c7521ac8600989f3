// SPDX-License-Identifier: Apache-2.0
/*
 * pool_member.c - members: from their start to their end (pool.h)
 */
#include "pool/pool.h"

#include "base/fd.h"
#include "pool/proc.h"
#include "pool/steps.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMBER_RECORD    ".record"
#define MEMBER_LEASING   ".leasing"
#define MEMBER_FILE_MAX  (POOL_ID_MAX + sizeof(MEMBER_LEASING))
#define MEMBER_SOCKET    "api.sock"
#define MEMBER_LOG       "log"
#define MEMBER_LOG_MAX   KIB(256)
#define MEMBER_MS_NS     1000000ull
#define MEMBER_LOAD_MS   30000u
#define MEMBER_ASK_MS    5000u
#define MEMBER_DIALS_MAX 400u /* some ten seconds */
#define MEMBER_CLEAR_MAX 200u /* some two seconds */
#define MEMBER_REAP_MAX  30u  /* an init that does not reap is not waited for */
#define MEMBER_ARGS_MAX  (POOL_VMM_ARGS_MAX + 8)

/* ---- small things ---- */

const char *pool_member_api(const struct pool_member *m,
			    char out[static POOL_PATH_MAX])
{
	int n = snprintf(out, POOL_PATH_MAX, "%s/%s/" MEMBER_SOCKET,
			 m->pool->d->dir, m->id);

	/* It fits: pool_fits(). */
	if (n < 0 || n >= POOL_PATH_MAX)
		out[0] = '\0';
	return out;
}

void pool_member_enter(struct pool_member *m, enum pool_state state)
{
	m->pool->nr[m->state]--;
	list_del(&m->link);
	m->state = state;
	m->pool->nr[state]++;
	list_add_tail(&m->pool->in[state], &m->link);
}

static int member_open_dir(const struct pool_member *m)
{
	int fd = openat(m->pool->d->dir_fd, m->id,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}

/* Beside the directory, which is the owner's. Return: @name. */
static const char *member_file(const char *id, const char *suffix,
			       char name[static MEMBER_FILE_MAX])
{
	(void)snprintf(name, MEMBER_FILE_MAX, "%s%s", id, suffix);
	return name;
}

int pool_member_save(const struct pool_member *m, enum pool_state state)
{
	const struct record_member record = {
		.v = RECORD_VERSION,
		.pool = m->pool->made.create.pool,
		.owner = m->pool->made.owner,
		.pid = (uint32_t)m->pid,
		.start = m->start,
		.state = state,
		.source = m->source,
		.name = m->name,
		.cgroup = m->cgroup,
		.tied_pid = (uint32_t)m->tied_pid,
		.tied_start = m->tied_start,
	};
	char name[MEMBER_FILE_MAX];
	int r = record_write(m->pool->d->dir_fd,
			     member_file(m->id, MEMBER_RECORD, name),
			     &record_member_schema, &record);

	if (r == 0 && state == POOL_LEASED)
		(void)unlinkat(m->pool->d->dir_fd,
			       member_file(m->id, MEMBER_LEASING, name), 0);
	return r;
}

/* One call where a record takes four: a guest waits for it. A cgroup of its own
 * is in no record before this one. */
int pool_member_save_leasing(const struct pool_member *m)
{
	int dir = m->pool->d->dir_fd;
	char from[MEMBER_FILE_MAX], to[MEMBER_FILE_MAX];

	if (m->cgroup)
		return pool_member_save(m, POOL_LEASING);
	return renameat(dir, member_file(m->id, MEMBER_RECORD, from), dir,
			member_file(m->id, MEMBER_LEASING, to)) < 0
		       ? -errno
		       : 0;
}

/* It lies in a directory of the owner's, who may have put anything there: it
 * has to be a file of his own. Return: a descriptor, or -1. */
static int member_open_log(const struct pool_member *m, int flags,
			   uint64_t *size)
{
	cleanup_fd int dir = member_open_dir(m), log = -1;
	struct stat st;

	if (dir < 0)
		return -1;
	log = openat(dir, MEMBER_LOG,
		     flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (log < 0 || fstat(log, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != m->pool->made.owner)
		return -1;
	*size = (uint64_t)st.st_size;
	return fd_steal(&log);
}

void pool_member_measure(struct pool_member *m)
{
	pid_t other = proc_child(m->pid);
	struct pool *pool = m->pool;

	pool->private_kib -= m->private_kib;
	pool->shared_kib -= m->shared_kib;
	m->private_kib = m->shared_kib = 0;
	proc_memory(m->pid, &m->private_kib, &m->shared_kib);
	if (other > 0)
		proc_memory(other, &m->private_kib, &m->shared_kib);
	pool->private_kib += m->private_kib;
	pool->shared_kib += m->shared_kib;
}

void pool_member_cut_log(struct pool_member *m)
{
	uint64_t size = 0;
	cleanup_fd int log = member_open_log(m, O_WRONLY, &size);

	if (log >= 0 && size > MEMBER_LOG_MAX && ftruncate(log, 0) < 0)
		pool_trouble(m->pool, "A member's log cannot be cut",
			     strlen("A member's log cannot be cut"));
}

/* ---- its end ---- */

static void member_clear_in(int dir)
{
	DIR *list = fdopendir(dir);
	const struct dirent *e;

	if (!list) {
		fd_close(&dir);
		return;
	}
	while ((e = readdir(list)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dirfd(list), e->d_name, 0);
	(void)closedir(list);
}

void pool_member_clear(struct pool_daemon *d, const char *id)
{
	char name[MEMBER_FILE_MAX];
	int dir = openat(d->dir_fd, id,
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (dir >= 0)
		member_clear_in(dir);
	(void)unlinkat(d->dir_fd, id, AT_REMOVEDIR);
	/* The record last: what is left is found by it. */
	(void)unlinkat(d->dir_fd, member_file(id, MEMBER_LEASING, name), 0);
	(void)unlinkat(d->dir_fd, member_file(id, MEMBER_RECORD, name), 0);
}

void pool_member_free(struct pool_member *m)
{
	struct pool *pool = m->pool;

	while (!list_empty(&m->waiters))
		pool_ask_free(
			container_of(m->waiters.next, struct pool_ask, link));
	if (m->ask)
		pool_ask_free(m->ask);
	call_close(&m->call);
	timer_stop(&m->timer);
	loop_del(pool->d->loop, &m->gone);
	fd_close(&m->gone.fd);
	loop_del(pool->d->loop, &m->tied);
	fd_close(&m->tied.fd);
	pool->nr[m->state]--;
	list_del(&m->link);
	pool->private_kib -= m->private_kib;
	pool->shared_kib -= m->shared_kib;
	free(m->name);
	free(m->cgroup);
	free(m);
}

/* How a lease has ended is told to who waits, and kept for who comes late. */
static void member_tell_end(struct pool_member *m)
{
	struct pool_daemon *d = m->pool->d;
	struct pool_ended *e = m->name ? calloc(1, sizeof(*e)) : NULL;

	while (!list_empty(&m->waiters)) {
		struct pool_ask *ask =
			container_of(m->waiters.next, struct pool_ask, link);

		if (ask->q.has[POOL_DO_WAIT])
			pool_ask_exit(ask, &m->exit);
		else
			pool_ask_done(ask);
	}
	if (!e)
		return;
	e->owner = m->pool->made.owner;
	e->exit = m->exit;
	(void)snprintf(e->name, sizeof(e->name), "%s", m->name);
	list_add_tail(&d->ended, &e->link);
	if (d->nr_ended++ < POOL_ENDED_MAX)
		return;
	d->nr_ended--;
	e = container_of(d->ended.next, struct pool_ended, link);
	list_del(&e->link);
	free(e);
}

/* It is reaped. Its cgroup goes when its other half has gone, too. */
static void member_clear(struct pool_member *m)
{
	struct pool *pool = m->pool;

	if (m->cgroup && rmdir(m->cgroup) < 0 && errno == EBUSY &&
	    m->tries++ < MEMBER_CLEAR_MAX) {
		timer_set(&m->timer, 10 * MEMBER_MS_NS, 0);
		return;
	}
	pool_member_clear(pool->d, m->id);
	member_tell_end(m);
	pool_member_free(m);
	pool_look(pool, false);
}

/* The last line of its log says why. */
static void member_start_failed(struct pool_member *m, const char *why,
				size_t len)
{
	struct pool *pool = m->pool;

	pool->counts.start_failures++;
	refill_failed(&pool->refill, now_ns());
	pool_trouble(pool, why, len);
}

static void member_died_early(struct pool_member *m)
{
	uint64_t size = 0;
	cleanup_fd int log = member_open_log(m, O_RDONLY, &size);
	char text[1024];
	const char *line;
	ssize_t n = -1;

	if (log >= 0)
		n = pread(log, text, sizeof(text) - 1, 0);
	if (n <= 0)
		n = snprintf(text, sizeof(text),
			     "A member ended before it was ready, %s %u",
			     m->exit.signal ? "by signal" : "with exit code",
			     m->exit.signal ? m->exit.signal : m->exit.status);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	line = memrchr(text, '\n', (size_t)n);
	line = line ? line + 1 : text;
	member_start_failed(m, line, (size_t)(text + n - line));
}

/* One that was ready. A pool whose members die at once does not start others
 * without a pause. */
static void member_died(struct pool_member *m)
{
	m->pool->counts.died++;
	refill_failed(&m->pool->refill, now_ns());
}

static void member_gone(struct pool_member *m, bool known, int status)
{
	enum pool_state was = m->state;

	loop_del(m->pool->d->loop, &m->gone);
	loop_del(m->pool->d->loop, &m->tied);
	call_close(&m->call);
	timer_stop(&m->timer);
	m->exited = true;
	m->tries = 0;
	m->exit = (struct pool_exit){
		.known = known,
		.status = WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0,
	};
	if (was == POOL_STARTING)
		member_died_early(m);
	else if (was == POOL_READY)
		member_died(m);
	else if (was == POOL_LEASING)
		pool_lease_lost(m);
	if (was != POOL_ENDING)
		pool_member_enter(m, POOL_ENDING);
	member_clear(m);
}

static void member_look_at_end(struct pool_member *m)
{
	int status = 0;
	enum proc_end end = proc_end_of(m->gone.fd, m->child, &status);

	if (end == PROC_RUNS)
		return;
	if (end == PROC_LATER && m->tries++ < MEMBER_REAP_MAX) {
		/* What is readable for ever is looked at by a timer. */
		loop_del(m->pool->d->loop, &m->gone);
		call_close(&m->call);
		timer_set(&m->timer, 10 * MEMBER_MS_NS, 0);
		return;
	}
	member_gone(m, end == PROC_ENDED, status);
}

static void member_pidfd_ready(struct loop_source *src, uint32_t events)
{
	(void)events;
	member_look_at_end(container_of(src, struct pool_member, gone));
}

void pool_member_end(struct pool_member *m)
{
	if (m->state == POOL_ENDING)
		return;
	call_close(&m->call);
	/* One that has ended already is looked at by its timer. */
	if (m->gone.added)
		timer_stop(&m->timer);
	loop_del(m->pool->d->loop, &m->tied);
	m->tries = 0;
	pool_member_enter(m, POOL_ENDING);
	proc_kill(m->gone.fd, SIGKILL);
}

/* ---- its start ---- */

static void member_ready(struct pool_member *m)
{
	struct pool *pool = m->pool;
	pid_t other = proc_child(m->pid);

	timer_stop(&m->timer);
	pool_member_measure(m);
	if (!m->adopt)
		refill_ready(&pool->refill,
			     proc_cpu_ns(m->pid) +
				     (other > 0 ? proc_cpu_ns(other) : 0),
			     m->private_kib);
	m->adopt = false;
	pool->trouble[0] = '\0';
	pool_member_enter(m, POOL_READY);
	pool_lease_match(pool);
	pool_look(pool, false);
}

static void member_cannot(struct pool_member *m, const char *what, int r)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%s: %s", what, err_name(r));

	member_start_failed(m, text, (size_t)n);
	pool_member_end(m);
	pool_look(m->pool, false);
}

static void member_load(struct pool_member *m)
{
	const struct pool_create *c = &m->pool->made.create;
	struct steps_call load = {0};
	int r;

	if (c->kind == POOL_SHELL) {
		member_ready(m);
		return;
	}
	steps_load(&load, c, NULL);
	r = call_start(&m->call, load.method, &load.target, &load.body,
		       MEMBER_LOAD_MS);
	steps_call_free(&load);
	if (r < 0)
		member_cannot(m, "A member's API", r);
}

static bool member_is_clone(const struct pool_member *m)
{
	return m->pool->made.create.kind == POOL_CLONE;
}

/* A clone that was given away may be paused, as one that waits is. */
static int member_ask(struct pool_member *m)
{
	struct buf target = {0}, none = {0};
	int r;

	buf_add_str(&target, member_is_clone(m) ? "/volt/vm" : "/");
	r = call_start(&m->call, "GET", &target, &none, MEMBER_ASK_MS);
	buf_free(&target);
	return r;
}

/* Nobody says when it listens. It takes a few milliseconds. */
static void member_dial(struct pool_member *m)
{
	char path[POOL_PATH_MAX];
	int r = call_open(&m->call, pool_member_api(m, path));

	if (r == 0 && !call_is_of(&m->call, m->pid)) {
		call_close(&m->call);
		r = -EPERM;
	}
	if (r == 0 && m->adopt) {
		if (member_ask(m) < 0)
			pool_member_end(m);
	} else if (r == 0) {
		member_load(m);
	} else if (r == -EPERM || ++m->tries > MEMBER_DIALS_MAX) {
		member_cannot(m, "A member's API does not answer", r);
	} else {
		timer_set(&m->timer,
			  (m->tries < 20    ? 1
			   : m->tries < 100 ? 5
					    : 30) *
				  MEMBER_MS_NS,
			  0);
	}
}

static void member_timer(struct timer *timer)
{
	struct pool_member *m = container_of(timer, struct pool_member, timer);

	if (m->exited)
		member_clear(m);
	else if (!m->gone.added)
		member_look_at_end(m);
	else if (m->state == POOL_STARTING)
		member_dial(m);
}

static bool member_says(const char *body, size_t len, const char *what)
{
	return memmem(body, len, what, strlen(what)) != NULL;
}

/* The answer to "what are you?" of one that was found. */
static void member_checked(struct pool_member *m, int status, const char *body,
			   size_t len)
{
	const char *fresh = member_is_clone(m)
				    ? "\"waits\":true,\"leased\":false"
				    : "\"state\":\"Not started\"";

	if (status == 200 && member_says(body, len, fresh)) {
		member_ready(m);
		return;
	}
	pool_member_end(m);
	pool_look(m->pool, false);
}

static void member_loaded(struct pool_member *m, int status, const char *body,
			  size_t len)
{
	char text[POOL_TROUBLE_MAX];

	if (call_is_success(status)) {
		member_ready(m);
		return;
	}
	if (status < 0) {
		member_cannot(m, "The snapshot cannot be loaded", status);
		return;
	}
	steps_fault(text, sizeof(text), body, len);
	member_start_failed(m, text, strlen(text));
	pool_member_end(m);
	pool_look(m->pool, false);
}

static void member_answered(struct call *call, int status, const char *body,
			    size_t len)
{
	struct pool_member *m = container_of(call, struct pool_member, call);
	struct pool *pool = m->pool;

	if (m->state == POOL_LEASING) {
		pool_lease_answer(m, status, body, len);
	} else if (m->state == POOL_STARTING && m->adopt) {
		member_checked(m, status, body, len);
	} else if (m->state == POOL_STARTING) {
		member_loaded(m, status, body, len);
	} else if (m->state == POOL_READY) {
		/* It has hung up, or says what nobody asked. */
		member_died(m);
		pool_member_end(m);
		pool_look(pool, false);
	}
}

static struct pool_member *member_new(struct pool *pool)
{
	struct pool_member *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->pool = pool;
	m->state = POOL_STARTING;
	m->source = pool->source;
	m->gone.fd = m->tied.fd = -1;
	list_init(&m->waiters);
	call_init(&m->call, pool->d->loop, member_answered);
	timer_init(&m->timer, pool->d->loop, member_timer);
	pool->nr[POOL_STARTING]++;
	list_add_tail(&pool->in[POOL_STARTING], &m->link);
	return m;
}

static int member_watch(struct pool_member *m, int pidfd)
{
	m->gone = (struct loop_source){
		.fd = pidfd, .events = EPOLLIN, .cb = member_pidfd_ready};
	return loop_add(m->pool->d->loop, &m->gone);
}

/* Its directory is its user's, as it puts its socket there. Return: its log. */
static int member_make_dir(struct pool_member *m)
{
	struct pool_daemon *d = m->pool->d;
	const struct record_pool *made = &m->pool->made;
	cleanup_fd int dir = -1;
	int log;

	if (mkdirat(d->dir_fd, m->id, 0700) < 0)
		return -errno;
	dir = member_open_dir(m);
	if (dir < 0)
		return dir;
	log = openat(dir, MEMBER_LOG,
		     O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (log < 0)
		return -errno;
	if (made->owner != d->uid && (fchown(dir, made->owner, made->gid) < 0 ||
				      fchown(log, made->owner, made->gid) < 0))
		fd_close(&log);
	return log < 0 ? -EPERM : log;
}

/* In the child, whose memory this is or is not (proc.h). */
static int member_keep(void *ctx, pid_t pid)
{
	struct pool_member *m = ctx;

	m->pid = pid;
	m->start = proc_start_time(pid);
	return pool_member_save(m, POOL_READY);
}

static int member_run(struct pool_member *m, int log, struct err *err)
{
	struct pool_daemon *d = m->pool->d;
	const struct record_pool *made = &m->pool->made;
	union {
		const char *from;
		char *to;
	} words[MEMBER_ARGS_MAX] = {{d->vmm}, {"--api-sock"}};
	char *const *given = made->create.vmm.items;
	char *argv[MEMBER_ARGS_MAX + 1] = {0};
	struct proc_new p = {
		.argv = argv,
		.null = d->null_fd,
		.log = log,
		.as =
			{
				.same = made->owner == d->uid,
				.uid = made->owner,
				.gid = made->gid,
				.groups = made->groups.items,
				.nr_groups = made->groups.nr,
			},
		.before = member_keep,
		.ctx = m,
	};
	char path[POOL_PATH_MAX];
	size_t n = 2;
	int r;

	words[n++].from = pool_member_api(m, path);
	words[n++].from = "--id";
	words[n++].from = m->id;
	if (made->create.kind == POOL_SHELL)
		words[n++].from = "--sandbox-first";
	for (size_t i = 0; i < made->create.vmm.nr; i++)
		words[n++].to = given[i];
	for (size_t i = 0; i < n; i++)
		argv[i] = words[i].to;
	r = proc_start(&p, err);
	if (r < 0)
		return r;
	m->child = true;
	m->pid = p.pid;
	if (m->start == 0)
		m->start = proc_start_time(p.pid);
	r = member_watch(m, r);
	return r < 0 ? err_set(err, r, "Cannot watch a process: %s",
			       err_name(r))
		     : 0;
}

int pool_member_start(struct pool *pool)
{
	struct pool_member *m = member_new(pool);
	cleanup_fd int log = -1;
	struct err err;
	int r = -ENOMEM;

	if (!m)
		return r;
	pool->counts.started++;
	(void)snprintf(m->id, sizeof(m->id), "%s-%llx", pool->made.create.pool,
		       (unsigned long long)pool->d->next_id++);
	log = member_make_dir(m);
	if (log < 0)
		r = err_set(&err, log, "Cannot make a member's directory: %s",
			    err_name(log));
	else
		r = member_run(m, log, &err);
	if (r == 0) {
		timer_set(&m->timer, MEMBER_MS_NS, 0);
		return 0;
	}
	pool->counts.start_failures++;
	pool_trouble(pool, err.text, strlen(err.text));
	if (m->gone.fd >= 0) {
		pool_member_end(m);
		return r;
	}
	pool_member_clear(pool->d, m->id);
	pool_member_free(m);
	return r;
}

/* ---- found ---- */

struct pool_member *pool_member_found(struct pool *pool, const char *id,
				      struct record_member *record, int pidfd)
{
	struct pool_member *m = member_new(pool);

	if (!m)
		return NULL;
	(void)snprintf(m->id, sizeof(m->id), "%s", id);
	m->pid = (pid_t)record->pid;
	m->start = record->start;
	m->source = record->source;
	m->name = ptr_steal(record->name);
	m->cgroup = ptr_steal(record->cgroup);
	m->tied_pid = (pid_t)record->tied_pid;
	m->tied_start = record->tied_start;
	if (member_watch(m, pidfd) < 0) {
		fd_close(&m->gone.fd);
		pool_member_free(m);
		return NULL;
	}
	return m;
}

void pool_member_check(struct pool_member *m)
{
	m->adopt = true;
	member_dial(m);
}
