// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - the one log of the process
 *
 * Line format (Firecracker's): YYYY-MM-DDTHH:MM:SS.NNNNNNNNN
 * [ID:THREAD:LEVEL:FILE:LINE] message; level and origin are optional parts.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX   2048
#define SITE_WINDOW_NS 5000000000ull
#define SITE_LINES     10u

struct log_settings log_settings = {
	.fd = STDERR_FILENO,
	.level = LOG_WARN,
	.show_level = false,
	.show_origin = false,
	.id = "anonymous-instance",
};

static _Atomic uint64_t dropped;

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

static size_t put_head(char *buf, size_t size, enum log_level level,
		       const char *file, int line)
{
	char thread[17] = "";
	struct timespec ts;
	struct tm tm;
	size_t n;
	int k;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)prctl(PR_GET_NAME, thread);
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

void log_line(enum log_level level, const char *file, int line, const char *fmt,
	      ...)
{
	char buf[LOG_LINE_MAX];
	va_list ap;
	size_t n;
	int k;

	if (log_settings.fd < 0)
		return;
	if (log_settings.module && strncmp(origin(file), log_settings.module,
					   strlen(log_settings.module)) != 0)
		return;
	n = put_head(buf, sizeof(buf), level, file, line);
	va_start(ap, fmt);
	k = vsnprintf(buf + n, sizeof(buf) - n, fmt, ap);
	va_end(ap);
	if (k > 0)
		n += (size_t)k;
	if (n > sizeof(buf) - 1)
		n = sizeof(buf) - 1;
	for (size_t i = 0; i < n; i++) /* one record stays one line */
		if (buf[i] == '\n')
			buf[i] = ' ';
	buf[n++] = '\n';
	if (write(log_settings.fd, buf, n) != (ssize_t)n)
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
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
