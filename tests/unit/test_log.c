// SPDX-License-Identifier: Apache-2.0
/*
 * test_log.c - log lines, their filters and targets that do not read
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"
#include "host/stream.h"

static int pipe_ends[2];

static int use_pipe(void **state)
{
	(void)state;
	if (pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	log_settings = (struct log_settings){
		.out = {.fd = pipe_ends[1], .kind = SINK_OWN},
		.level = LOG_INFO,
		.id = "vm-1",
	};
	return 0;
}

static int drop_pipe(void **state)
{
	(void)state;
	(void)close(pipe_ends[0]);
	(void)close(pipe_ends[1]);
	log_settings.out = SINK_CLOSED;
	return 0;
}

static const char *logged(void)
{
	static char text[8192];
	ssize_t n = read(pipe_ends[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void assert_matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" does not match %s", text, pattern);
	regfree(&re);
}

#define STAMP \
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9} "

static void line_format(void **state)
{
	(void)state;
	log_info("x %d", 5);
	assert_matches(logged(), STAMP "\\[vm-1:test_log\\] x 5\n$");
	log_settings.show_level = true;
	log_warn("y");
	assert_matches(logged(), STAMP "\\[vm-1:test_log:WARN\\] y\n$");
	log_settings.show_origin = true;
	log_error("two\nlines");
	assert_matches(logged(),
		       STAMP "\\[vm-1:test_log:ERROR:"
			     "[^:]*test_log.c:[0-9]+\\] two\\\\nlines\n$");
}

static void level_filter(void **state)
{
	(void)state;
	log_debug("no");
	assert_string_equal(logged(), "");
	log_settings.level = LOG_TRACE;
	log_debug("yes");
	assert_matches(logged(), "yes");
	log_settings.level = LOG_OFF;
	log_error("no");
	assert_string_equal(logged(), "");
}

static void module_filter(void **state)
{
	(void)state;
	log_settings.module = "src/api/";
	log_line(LOG_INFO, "../src/api/x.c", 1, "from the api");
	assert_matches(logged(), "from the api");
	log_line(LOG_INFO, "../src/dev/x.c", 1, "from a device");
	assert_string_equal(logged(), "");
	log_settings.module = NULL;
}

static void level_names(void **state)
{
	static const struct {
		const char *text;
		enum log_level level;
	} good[] = {
		{"off", LOG_OFF},      {"ERROR", LOG_ERROR},
		{"Warn", LOG_WARN},    {"warning", LOG_WARN},
		{"WARNING", LOG_WARN}, {"info", LOG_INFO},
		{"Debug", LOG_DEBUG},  {"trace", LOG_TRACE},
	};
	static const char *const bad[] = {"", "warnin", "infos", "0", " info"};
	enum log_level level;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(log_level_parse(good[i].text, &level));
		assert_int_equal(level, good[i].level);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(log_level_parse(bad[i], &level));
}

#define LINES 4000

/*
 * What a reader got that slept: line numbers go up, each line is whole, and
 * where some are missing a note says how many. Return: those that it told.
 */
static int told(char *text)
{
	int next = 0, lost = 0, n;

	for (char *line = strtok_r(text, "\n", &text); line;
	     line = strtok_r(NULL, "\n", &text)) {
		const char *rest = strchr(line, ']');

		assert_non_null(rest);
		if (sscanf(rest, "] %d log lines were lost", &n) == 1) {
			lost += n;
			next += n;
			continue;
		}
		assert_int_equal(sscanf(rest, "] line %d of sleep", &n), 1);
		assert_int_equal(n, next);
		next++;
	}
	assert_int_equal(next, LINES);
	return lost;
}

/* Log to a reader that sleeps, then read @step bytes at a time. */
static int sleep_and_read(int fd, size_t step)
{
	char *text = calloc(1, (size_t)LINES * 100);
	size_t len = 0;
	ssize_t n;
	int lost;

	assert_non_null(text);
	for (int i = 0; i < LINES; i++)
		log_info("line %d of sleep", i);
	while ((n = read(fd, text + len, step)) > 0) {
		len += (size_t)n;
		log_flush();
	}
	lost = told(text);
	free(text);
	return lost;
}

/* Lines are lost, the last ones not, and nothing blocks. */
static void full_target(void **state)
{
	uint64_t before = log_dropped();
	int lost = sleep_and_read(pipe_ends[0], 4096);

	(void)state;
	assert_true(lost > 0 && lost < LINES);
	assert_int_equal(log_dropped() - before, lost);
}

/* A terminal takes parts of lines: the rest comes first, wherever it stops. */
static void no_line_is_torn(void **state)
{
	struct termios raw;
	int master, slave;

	(void)state;
	for (size_t step = 1; step < 1000; step = step * 3 + 1) {
		assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
		assert_int_equal(tcgetattr(slave, &raw), 0);
		cfmakeraw(&raw);
		assert_int_equal(tcsetattr(slave, TCSANOW, &raw), 0);
		assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
		stream_borrow(&path_direct, slave, &log_settings.out);
		assert_true(sleep_and_read(master, step) > 0);
		sink_close(&log_settings.out);
		(void)close(master);
		(void)close(slave);
	}
}

#define THREADS 4

static void *log_some(void *name)
{
	for (int i = 0; i < LINES / THREADS; i++)
		log_info("%s %d of sleep", (const char *)name, i);
	return NULL;
}

/* Lines of several threads are whole, and those of each in order. */
static void threads_do_not_mix(void **state)
{
	static char text[1 << 20];
	char names[THREADS][2] = {"a", "b", "c", "d"};
	pthread_t thread[THREADS];
	int next[THREADS] = {0};
	char *line, *rest = text;
	size_t len = 0;
	ssize_t n;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
			pthread_create(&thread[i], NULL, log_some, names[i]),
			0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	while ((n = read(pipe_ends[0], text + len, sizeof(text) - 1 - len)) >
	       0) {
		len += (size_t)n;
		log_flush();
	}
	while ((line = strtok_r(rest, "\n", &rest))) {
		const char *end = strchr(line, ']');
		char who;
		int at;

		assert_non_null(end);
		if (strstr(end, "log lines were lost"))
			continue;
		assert_int_equal(sscanf(end, "] %c %d of sleep", &who, &at), 2);
		assert_in_range(who, 'a', 'a' + THREADS - 1);
		assert_true(at >= next[who - 'a']);
		next[who - 'a'] = at + 1;
	}
}

/* At the end there is a moment more for a slow reader. */
static void the_last_line_is_waited_for(void **state)
{
	static char text[8192];
	ssize_t n, last = 0;
	pid_t pid;

	(void)state;
	for (int i = 0; i < LINES; i++)
		log_info("line %d of sleep", i);
	pid = fork();
	if (pid == 0) {
		log_error("why it ended");
		log_finish();
		_exit(0);
	}
	(void)close(pipe_ends[1]);
	assert_int_equal(fcntl(pipe_ends[0], F_SETFL, 0), 0);
	while ((n = read(pipe_ends[0], text, sizeof(text) - 1)) > 0)
		last = n;
	text[last] = '\0';
	assert_non_null(strstr(text, "why it ended\n"));
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	log_settings.out = SINK_CLOSED;
	log_flush();
}

/* What is on its way goes to the old target, or not at all. */
static void moving_tears_nothing(void **state)
{
	struct sink to = SINK_CLOSED;
	const char *text;
	bool moved = false;
	int ends[2];

	(void)state;
	for (int i = 0; i < LINES; i++)
		log_info("line %d of sleep", i);
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	to = (struct sink){.fd = ends[1], .kind = SINK_OWN, .owned = true};
	log_move(&to);
	log_info("moved");
	(void)close(pipe_ends[0]);
	pipe_ends[0] = ends[0];
	assert_matches(logged(), STAMP ".* log lines were lost");
	while (*(text = logged()))
		moved = strstr(text, "moved\n") != NULL;
	assert_true(moved);
	sink_close(&log_settings.out);
}

static void long_line_is_cut(void **state)
{
	char *text = malloc(5000);
	const char *line;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', 4999);
	text[4999] = '\0';
	log_info("%s", text);
	line = logged();
	assert_true(strlen(line) < 4096);
	assert_int_equal(line[strlen(line) - 1], '\n');
	free(text);
}

/* The same call site over and over: ten lines, and one that says so. */
static void rate_limit(void **state)
{
	int lines = 0;

	(void)state;
	for (int i = 0; i < 100000; i++)
		log_guest(LOG_INFO, "again");
	for (const char *p = logged(); *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 10);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, use_pipe, drop_pipe)
	const struct CMUnitTest tests[] = {
		TEST(line_format),          TEST(level_filter),
		TEST(module_filter),        TEST(level_names),
		TEST(full_target),          TEST(no_line_is_torn),
		TEST(threads_do_not_mix),   TEST(the_last_line_is_waited_for),
		TEST(moving_tears_nothing), TEST(long_line_is_cut),
		TEST(rate_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
