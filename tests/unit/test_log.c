// SPDX-License-Identifier: Apache-2.0
/*
 * test_log.c - log lines, their filters and targets that do not read
 */
#include "unit.h"

#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

static int pipe_ends[2];

static int use_pipe(void **state)
{
	(void)state;
	if (pipe2(pipe_ends, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	log_settings = (struct log_settings){
		.fd = pipe_ends[1],
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
	log_settings.fd = -1;
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
			     "[^:]*test_log.c:[0-9]+\\] two lines\n$");
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

/* A reader that sleeps: lines are lost and counted, nothing blocks. */
static void full_target(void **state)
{
	uint64_t before = log_dropped();
	uint64_t lost;
	int whole = 0;
	char c, last = '\n';

	(void)state;
	for (int i = 0; i < 4000; i++)
		log_info("line %d of a reader that sleeps", i);
	lost = log_dropped() - before;
	assert_true(lost > 0 && lost < 4000);
	while (read(pipe_ends[0], &c, 1) == 1) {
		whole += c == '\n';
		last = c;
	}
	assert_int_equal(last, '\n');
	assert_int_equal(whole + (int)lost, 4000);
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

static void sink_kinds(void **state)
{
	char path[] = "/tmp/volt-log-XXXXXX";
	struct stat st;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(path));
	assert_int_equal(chdir(path), 0);
	fd = fd_open_sink("new");
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a", 1), 1);
	fd_close(&fd);
	fd = fd_open_sink("new"); /* appends */
	assert_int_equal(write(fd, "b", 1), 1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 2);
	fd_close(&fd);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	fd = fd_open_sink("fifo"); /* without a reader */
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a", 1), 1);
	fd_close(&fd);
	assert_true(fd_open_sink(path) < 0);
	assert_true(fd_open_sink("no/such") < 0);
	(void)unlink("new");
	(void)unlink("fifo");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, use_pipe, drop_pipe)
	const struct CMUnitTest tests[] = {
		TEST(line_format), TEST(level_filter), TEST(module_filter),
		TEST(level_names), TEST(full_target),  TEST(long_line_is_cut),
		TEST(rate_limit),  TEST(sink_kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
