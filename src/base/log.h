/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the one log of the process
 *
 * Theory of operation
 *
 * A line is formatted on the stack, put into a queue and handed to the target
 * from there, whole and in order whatever threads they come from; one lock
 * guards the queue. The target never blocks (sink.h). What a full one does not
 * take stays in the queue, and goes out with the next line, with the metrics
 * (log_flush()) or at the end (log_finish()). A queue that is full drops its
 * oldest lines, as the last ones say why a VM ended; how many were dropped is
 * counted, and said in their place. A line of which a part is out is never
 * dropped: no line is torn.
 *
 * Each thread's name in its lines is its own copy: see log_name_thread().
 *
 * The settings change only before the guest runs (API phase); after that they
 * are read-only.
 */
#pragma once

#include "base/sink.h"

#include <stdatomic.h>

/* The longest id of an instance. */
#define LOG_ID_MAX 64

enum log_level {
	LOG_OFF,
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG,
	LOG_TRACE,
};

/**
 * struct log_settings - what the logger shows, and where
 * @moved:	away from stderr, by log_move()
 * @id:		instance id in each line
 */
struct log_settings {
	struct sink out;
	bool moved;
	enum log_level level;
	bool show_level;
	bool show_origin;
	char id[LOG_ID_MAX + 1];
	const char *module; /* only origins that start so; NULL for all */
};

/* The process-wide settings; see the theory above for who may write them. */
extern struct log_settings log_settings;

/**
 * struct log_site - rate limit of one call site: 10 lines in 5 seconds
 */
struct log_site {
	_Atomic uint64_t window_start_ns;
	_Atomic uint32_t lines;
	_Atomic uint32_t suppressed;
};

/* "warn", "Warning", "INFO": any case. Return: false when it is no level. */
bool log_level_parse(const char *text, enum log_level *level);

/* What is beyond LOG_ID_MAX is cut off. */
void log_set_id(const char *id);

/**
 * log_name_thread() - name the calling thread, for the log and the kernel
 * @name:	at most 15 bytes
 *
 * A thread that has not called this asks the kernel with each line, which a
 * seccomp filter may forbid.
 */
void log_name_thread(const char *name);

/* Lines lost since the start because the target was full or failed. */
uint64_t log_dropped(void);

/* Write what the target did not take before, as far as it does now. */
void log_flush(void);

/* The same at the end, within the bounds of sink_write_last(). */
void log_finish(void);

/* Write to @to from here on, and close what was before. */
void log_move(const struct sink *to);

/* One line, whatever the level in the settings: log_at() looks at that. Any
 * thread. */
void log_line(enum log_level level, const char *file, int line, const char *fmt,
	      ...) __printf_like(4, 5);

/* True when the site may log now; counts what it suppresses. */
bool log_site_pass(struct log_site *site, const char *file, int line);

#define log_at(level_, ...)                                                  \
	do {                                                                 \
		if ((level_) <= log_settings.level)                          \
			log_line((level_), __FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* For everything a guest can cause: bounded, and says what it left out. */
#define log_guest(level_, ...)                                               \
	do {                                                                 \
		static struct log_site site_;                                \
		if ((level_) <= log_settings.level &&                        \
		    log_site_pass(&site_, __FILE__, __LINE__))               \
			log_line((level_), __FILE__, __LINE__, __VA_ARGS__); \
	} while (0)
