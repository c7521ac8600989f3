// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - the one log of the process
 *
 * Line format (Firecracker's): YYYY-MM-DDTHH:MM:SS.NNNNNNNNN
 * [ID:THREAD:LEVEL:FILE:LINE] message; level and origin are optional parts.
 */
#include "base/log.h"

#include "base/clean.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX   2048u /* below PIPE_BUF: one write takes it whole */
#define QUEUE_BYTES    16384u
#define NOTE_MAX       512u
#define SITE_WINDOW_NS 5000000000ull
#define SITE_LINES     10u

struct log_settings log_settings = {
	.out = {.fd = STDERR_FILENO, .kind = SINK_SHARED},
	.level = LOG_WARN,
	.show_level = false,
	.show_origin = false,
	.id = "anonymous-instance",
};

/**
 * queue - lines that the target has not taken yet
 * @lost:	lines dropped since the log last said how many
 * @torn:	the target has only the beginning of the first line
 */
static struct {
	pthread_mutex_t lock;
	size_t len;
	uint64_t lost;
	bool torn;
	char data[QUEUE_BYTES + NOTE_MAX];
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Atomic uint64_t dropped;

/* "": the thread has not been named by us. */
static _Thread_local char thread_name[16];

static const char *const level_names[] = {
	[LOG_OFF] = "OFF",   [LOG_ERROR] = "ERROR", [LOG_WARN] = "WARN",
	[LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG", [LOG_TRACE] = "TRACE",
};

bool log_level_parse(const char *text, enum log_level *level)
{
	if (strcasecmp(text, "warning") == 0) {
		*level = LOG_WARN;
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++) {
		if (strcasecmp(text, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/* Source paths as the tree names them, whatever the build directory is. */
static const char *origin(const char *file)
{
	const char *p = strstr(file, "src/");

	return p ? p : file;
}

void log_set_id(const char *id)
{
	(void)snprintf(log_settings.id, sizeof(log_settings.id), "%s", id);
}

void log_name_thread(const char *name)
{
	(void)snprintf(thread_name, sizeof(thread_name), "%s", name);
	(void)prctl(PR_SET_NAME, thread_name);
}

static size_t log_put_head(char *buf, size_t size, enum log_level level,
			   const char *file, int line)
{
	char asked[17] = "";
	const char *thread = thread_name;
	struct timespec ts;
	struct tm tm;
	size_t n;
	int k;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	if (!*thread) {
		(void)prctl(PR_GET_NAME, asked);
		thread = asked;
	}
	k = snprintf(buf, size, "%04d-%02d-%02dT%02d:%02d:%02d.%09ld [%.64s:%s",
		     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		     tm.tm_min, tm.tm_sec, ts.tv_nsec, log_settings.id, thread);
	n = (size_t)k;
	if (log_settings.show_level)
		n += (size_t)snprintf(buf + n, size - n, ":%s",
				      level_names[level]);
	if (log_settings.show_origin)
		n += (size_t)snprintf(buf + n, size - n, ":%.80s:%d",
				      origin(file), line);
	return n + (size_t)snprintf(buf + n, size - n, "] ");
}

/* ---- the queue; the lock is held ---- */

static size_t line_at(size_t off)
{
	const char *end = memchr(queue.data + off, '\n', queue.len - off);

	return end ? (size_t)(end - queue.data) + 1 - off : queue.len - off;
}

static void log_cut(size_t off, size_t len)
{
	queue.len -= len;
	memmove(queue.data + off, queue.data + off + len, queue.len - off);
}

/* The oldest line of which nothing is out. Return: false: there is none. */
static bool drop_line(void)
{
	size_t off = queue.torn ? line_at(0) : 0;

	if (off >= queue.len)
		return false;
	log_cut(off, line_at(off));
	queue.lost++;
	atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	return true;
}

static void enqueue(const char *line, size_t n)
{
	while (queue.len + n > QUEUE_BYTES && drop_line())
		;
	memcpy(queue.data + queue.len, line, n);
	queue.len += n;
}

/* Say what is missing, here. Return: 0 or -errno. */
static int tell_lost(void)
{
	char note[NOTE_MAX];
	size_t n =
		log_put_head(note, sizeof(note), LOG_WARN, __FILE__, __LINE__);
	ssize_t done;

	n += (size_t)snprintf(note + n, sizeof(note) - n,
			      "%llu log lines were lost: nobody read them\n",
			      (unsigned long long)queue.lost);
	done = sink_write(&log_settings.out, note, n);
	if (done < 0)
		return (int)done;
	queue.lost = 0;
	n -= (size_t)done;
	memmove(queue.data + n, queue.data, queue.len);
	memcpy(queue.data, note + done, n);
	queue.len += n;
	queue.torn = n > 0;
	return 0;
}

static int send_line(void)
{
	size_t n = line_at(0);
	ssize_t done = sink_write(&log_settings.out, queue.data, n);

	if (done < 0)
		return (int)done;
	log_cut(0, (size_t)done);
	queue.torn = (size_t)done < n;
	return 0;
}

/* Return: 0: the queue is empty; -EAGAIN: the target is full. */
static int log_drain(void)
{
	int r = 0;

	while (r == 0 && queue.len > 0)
		r = queue.lost > 0 && !queue.torn ? tell_lost() : send_line();
	if (r < 0 && r != -EAGAIN)
		while (drop_line()) /* a target that fails keeps nothing */
			;
	return r;
}

static void log_deliver(const char *line, size_t n)
{
	(void)pthread_mutex_lock(&queue.lock);
	enqueue(line, n);
	(void)log_drain();
	(void)pthread_mutex_unlock(&queue.lock);
}

void log_flush(void)
{
	(void)pthread_mutex_lock(&queue.lock);
	(void)log_drain();
	(void)pthread_mutex_unlock(&queue.lock);
}

void log_finish(void)
{
	int64_t end_ms = 0;

	(void)pthread_mutex_lock(&queue.lock);
	while (log_drain() == -EAGAIN &&
	       sink_last_room(&log_settings.out, &end_ms))
		;
	(void)pthread_mutex_unlock(&queue.lock);
}

void log_move(const struct sink *to)
{
	(void)pthread_mutex_lock(&queue.lock);
	(void)log_drain();
	if (queue.torn) {
		log_cut(0, line_at(0));
		queue.torn = false;
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
	}
	sink_close(&log_settings.out);
	log_settings.out = *to;
	log_settings.moved = true;
	(void)pthread_mutex_unlock(&queue.lock);
}

/* One record stays one line, and is only letters. Not inlined: two such
 * buffers are too much for one frame. */
static __attribute__((noinline)) void put_record(const char *text, size_t len)
{
	char out[LOG_LINE_MAX];
	size_t n = clean_text(out, sizeof(out), text, len);

	out[n++] = '\n';
	log_deliver(out, n);
}

void log_line(enum log_level level, const char *file, int line, const char *fmt,
	      ...)
{
	char buf[LOG_LINE_MAX];
	va_list ap;
	size_t n;
	int k;

	if (log_settings.out.kind == SINK_NONE)
		return;
	if (log_settings.module && strncmp(origin(file), log_settings.module,
					   strlen(log_settings.module)) != 0)
		return;
	n = log_put_head(buf, sizeof(buf), level, file, line);
	va_start(ap, fmt);
	k = vsnprintf(buf + n, sizeof(buf) - n, fmt, ap);
	va_end(ap);
	if (k > 0)
		n += (size_t)k;
	if (n > sizeof(buf) - 1)
		n = sizeof(buf) - 1;
	put_record(buf, n);
}

bool log_site_pass(struct log_site *site, const char *file, int line)
{
	struct timespec ts;
	uint64_t now, start;
	uint32_t lost;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	start = atomic_load(&site->window_start_ns);
	if ((start == 0 || now - start >= SITE_WINDOW_NS) &&
	    atomic_compare_exchange_strong(&site->window_start_ns, &start,
					   now)) {
		atomic_store(&site->lines, 0);
		lost = atomic_exchange(&site->suppressed, 0);
		if (lost > 0)
			log_line(LOG_WARN, file, line,
				 "%u messages were suppressed due to rate "
				 "limiting",
				 lost);
	}
	if (atomic_fetch_add(&site->lines, 1) < SITE_LINES)
		return true;
	atomic_fetch_sub(&site->lines, 1); /* never wraps, however long */
	atomic_fetch_add(&site->suppressed, 1);
	return false;
}
