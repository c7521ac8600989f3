// SPDX-License-Identifier: Apache-2.0
/*
 * test_copy.c - trees of files as streams, and streams that are none
 *
 * A stream is made in a file here, and taken into a folder of its own. What a
 * hostile side sends is put together entry by entry.
 */
#include "unit.h"

#include "folder.h"

#include "agent/copy.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BIG  (300u << 10)
#define MODE 0777

static char home[32];

static int make_home(void **state)
{
	(void)state;
	(void)snprintf(home, sizeof(home), "/tmp/volt-copy-XXXXXX");
	return mkdtemp(home) && chdir(home) == 0 && mkdir("in", 0755) == 0 &&
			       mkdir("out", 0755) == 0
		       ? 0
		       : -1;
}

static int end_home(void **state)
{
	(void)state;
	return chdir("/") == 0 ? folder_remove(home) : -1;
}

static void put_file(const char *path, const void *data, size_t len,
		     mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_full(fd, data, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void has_file(const char *path, const void *data, size_t len,
		     mode_t mode)
{
	cleanup_free char *got = malloc(len + 1);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	assert_non_null(got);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, mode);
	assert_int_equal(read(fd, got, len + 1), (ssize_t)len);
	assert_memory_equal(got, data, len);
	(void)close(fd);
}

/* What is in the folder @path: one name more or less is a fault. */
static unsigned int nr_in(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (unsigned int)st.st_nlink;
}

static bool is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* ---- one side to the other ---- */

static int send_path(const char *path, bool follow, int out,
		     unsigned int *left_out)
{
	const struct copy_source from = {
		.path = path, .follow = follow, .owners = true};

	return copy_send(&from, out, left_out, NULL);
}

/* @from of this place to @to. */
static int copy(const char *from, bool follow, const char *to, const char *name)
{
	const struct copy_target target = {
		.path = to, .name = name, .modes = MODE};
	int fd = memfd_create("stream", MFD_CLOEXEC), r;
	unsigned int left_out;

	r = send_path(from, follow, fd, &left_out);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if (r == 0)
		r = copy_take(&target, fd, NULL);
	(void)close(fd);
	return r;
}

static void a_tree_arrives(void **state)
{
	static char big[BIG];
	char says[32] = "";
	struct stat st;

	(void)state;
	memset(big + 5000, 'x', 70000);
	big[BIG - 1] = 'e';
	assert_int_equal(mkdir("in/deep", 0750), 0);
	assert_int_equal(mkdir("in/deep/er", 0500), 0);
	put_file("in/big", big, sizeof(big), 0640);
	put_file("in/empty", "", 0, 0600);
	put_file("in/deep/set", "id", 2, 06755);
	assert_int_equal(symlink("/etc/shadow", "in/deep/link"), 0);
	assert_int_equal(mkfifo("in/pipe", 0600), 0);
	assert_int_equal(copy("in", false, "new", "in"), 0);
	has_file("new/big", big, sizeof(big), 0640);
	has_file("new/empty", "", 0, 0600);
	has_file("new/deep/set", "id", 2, 0755); /* not what it ran as */
	assert_int_equal(readlink("new/deep/link", says, sizeof(says) - 1), 11);
	assert_string_equal(says, "/etc/shadow");
	assert_int_equal(stat("new/deep/er", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0500);
	assert_false(is_there("new/pipe"));
	/* The folder is there now: by its name, or what is in it. */
	assert_int_equal(copy("in", false, "new", "in"), 0);
	assert_true(is_there("new/in/deep/set"));
	assert_int_equal(copy("in/.", false, "out", ""), 0);
	assert_true(is_there("out/deep/set"));
}

static void blocks_of_zeros_are_holes(void **state)
{
	struct stat st;

	(void)state;
	put_file("in/sparse", "x", 1, 0600);
	assert_int_equal(truncate("in/sparse", 8 << 20), 0);
	assert_int_equal(copy("in/sparse", false, "out", "sparse"), 0);
	assert_int_equal(stat("out/sparse", &st), 0);
	assert_int_equal(st.st_size, 8 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
}

static void names_are_of_who_asks(void **state)
{
	(void)state;
	put_file("in/a", "new", 3, 0600);
	put_file("out/b", "old", 3, 0644);
	assert_int_equal(copy("in/a", false, "out/b", "a"), 0);
	has_file("out/b", "new", 3, 0600);
	assert_int_equal(copy("in/a", false, "out", "a"), 0);
	has_file("out/a", "new", 3, 0600);
	assert_int_equal(copy("in/a", false, "nowhere/x", "a"), -ENOENT);
	assert_int_equal(copy("in/a", false, "none/", "a"), -ENOTDIR);
	assert_int_equal(copy("in/a", false, "out", ""), -ENOTDIR);
	assert_int_equal(copy("in", false, "out/b", "in"), -ENOTDIR);
	assert_int_equal(copy("in/none", false, "out", "x"), -ENOENT);
	assert_int_equal(copy("/dev/null", false, "out", "x"), -EINVAL);
}

static void links_are_followed_if_asked(void **state)
{
	char says[8] = "";

	(void)state;
	put_file("in/a", "data", 4, 0600);
	assert_int_equal(symlink("a", "in/l"), 0);
	assert_int_equal(copy("in/l", false, "out", "l"), 0);
	assert_int_equal(readlink("out/l", says, sizeof(says) - 1), 1);
	assert_int_equal(copy("in/l", true, "out", "f"), 0);
	has_file("out/f", "data", 4, 0600);
}

/* The kernel's files say that they are empty. */
static void a_file_without_a_size(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(copy("/proc/self/status", false, "out", "s"), 0);
	assert_int_equal(stat("out/s", &st), 0);
	assert_true(st.st_size > 100);
}

/* ---- streams by hand ---- */

static struct buf stream;
static char why[ERR_TEXT_MAX];

static void add(enum agent_entry_kind kind, const char *name, uint64_t size)
{
	const struct agent_entry entry = {
		.kind = kind,
		.mode = 0755,
		.name_len = (uint32_t)strlen(name),
		.size = size,
	};

	buf_add(&stream, &entry, sizeof(entry));
	buf_add_str(&stream, name);
}

static void add_file(const char *name, const char *data)
{
	add(AGENT_ENTRY_FILE, name, strlen(data));
	buf_add_str(&stream, data);
}

static void add_link(const char *name, const char *says)
{
	add(AGENT_ENTRY_LINK, name, strlen(says));
	buf_add_str(&stream, says);
}

/* The stream into out, which is there, and it is empty again. */
static int take_limited(uint64_t limit)
{
	const struct copy_target target = {
		.path = "out", .name = "", .modes = MODE, .limit = limit};
	int fd = memfd_create("stream", MFD_CLOEXEC), r;
	struct err err = {0};

	assert_false(stream.failed);
	assert_int_equal(fd_write_full(fd, stream.data, stream.len), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	r = copy_take(&target, fd, &err);
	(void)snprintf(why, sizeof(why), "%s", err.text);
	(void)close(fd);
	buf_free(&stream);
	return r;
}

static int take(void)
{
	return take_limited(0);
}

static void names_that_are_none(void **state)
{
	static const char *const names[] = {"..", ".", "a/b", "/", "../x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		add(AGENT_ENTRY_FOLDER, "", 0);
		add_file(names[i], "x");
		assert_int_equal(take(), -EPROTO);
	}
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_FOLDER, "..", 0);
	assert_int_equal(take(), -EPROTO);
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_FILE, "ab", 0);
	stream.data[stream.len - 1] = '\0';
	assert_int_equal(take(), -EPROTO);
	add(AGENT_ENTRY_FILE, "named", 0); /* the first has no name */
	assert_int_equal(take(), -EPROTO);
	assert_int_equal(nr_in("out"), 2);
}

static void ways_out_that_are_none(void **state)
{
	(void)state;
	put_file("in/mine", "mine", 4, 0600);
	/* A link of its own, and through it. */
	add(AGENT_ENTRY_FOLDER, "", 0);
	add_link("l", "../in");
	add(AGENT_ENTRY_FOLDER, "l", 0);
	add_file("mine", "theirs");
	assert_int_equal(take(), -ENOTDIR);
	/* One that was there: it is replaced, not followed. */
	assert_int_equal(symlink("../in/mine", "out/f"), 0);
	add(AGENT_ENTRY_FOLDER, "", 0);
	add_file("f", "theirs");
	add(AGENT_ENTRY_UP, "", 0);
	add(AGENT_ENTRY_END, "", 0);
	assert_int_equal(take(), 0);
	has_file("out/f", "theirs", 6, 0755);
	has_file("in/mine", "mine", 4, 0600);
	/* More ways up than down. */
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_UP, "", 0);
	add(AGENT_ENTRY_UP, "", 0);
	assert_int_equal(take(), -EPROTO);
	add(AGENT_ENTRY_UP, "", 0);
	assert_int_equal(take(), -EPROTO);
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_END, "", 0);
	assert_int_equal(take(), -EPROTO);
}

static void what_is_no_file_stays(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(mkfifo("out/p", 0600), 0);
	assert_int_equal(mkdir("out/d", 0700), 0);
	add(AGENT_ENTRY_FOLDER, "", 0);
	add_file("p", "x");
	assert_int_equal(take(), -EEXIST);
	add(AGENT_ENTRY_FOLDER, "", 0);
	add_link("d", "x");
	assert_int_equal(take(), -EISDIR);
	assert_int_equal(stat("out/p", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	/* A folder that is there keeps its mode. */
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_FOLDER, "d", 0);
	add(AGENT_ENTRY_UP, "", 0);
	add(AGENT_ENTRY_UP, "", 0);
	add(AGENT_ENTRY_END, "", 0);
	assert_int_equal(take(), 0);
	assert_int_equal(stat("out/d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void more_than_the_limit(void **state)
{
	(void)state;
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_FILE, "huge", INT64_MAX);
	assert_int_equal(take_limited(MIB(1)), -EFBIG);
	assert_string_equal(why, "it is more than 1 MiB");
	add(AGENT_ENTRY_FOLDER, "", 0);
	add(AGENT_ENTRY_FILE, "huger", UINT64_MAX);
	assert_int_equal(take_limited(MIB(1)), -EPROTO);
	/* Without a byte in them. */
	add(AGENT_ENTRY_FOLDER, "", 0);
	for (int i = 0; i < 300; i++)
		add(AGENT_ENTRY_FOLDER, "again", 0), add(AGENT_ENTRY_UP, "", 0);
	assert_int_equal(take_limited(MIB(1)), -EFBIG);
	assert_int_equal(nr_in("out"), 3);
}

static void folders_in_each_other(void **state)
{
	(void)state;
	add(AGENT_ENTRY_FOLDER, "", 0);
	for (int i = 0; i < COPY_DEPTH_MAX + 1; i++)
		add(AGENT_ENTRY_FOLDER, "d", 0);
	assert_int_equal(take(), -ELOOP);
}

static void an_end_that_is_too_early(void **state)
{
	struct buf whole;

	(void)state;
	add(AGENT_ENTRY_FOLDER, "", 0);
	add_file("f", "theirs");
	add_link("l", "x");
	add(AGENT_ENTRY_UP, "", 0);
	add(AGENT_ENTRY_END, "", 0);
	whole = stream;
	stream = (struct buf){0};
	for (size_t i = 0; i < whole.len; i++) {
		buf_add(&stream, whole.data, i);
		assert_int_equal(take(), -ENODATA);
		/* Nothing that is half made. */
		assert_false(is_there("out/f") && i < 87);
	}
	buf_free(&whole);
	has_file("out/f", "theirs", 6, 0755);
}

/* ---- how much of each a frame may say ---- */

static int put_words(uint32_t words, uint32_t env)
{
	cleanup_free const char **many =
		calloc(AGENT_WORDS_MAX + 2, sizeof(*many));
	const struct agent_exec exec = {
		.folder = "",
		.user = "",
		.nr_words = words,
		.words = many,
		.nr_env = env,
		.env = many,
	};
	cleanup_buf struct buf out = {0};
	struct agent_exec back;
	int r, parsed;

	assert_non_null(many);
	for (uint32_t i = 0; i < AGENT_WORDS_MAX + 1; i++)
		many[i] = "x";
	r = agent_put_exec(&out, &exec);
	if (r < 0)
		return r;
	parsed = agent_exec_parse(out.data + sizeof(struct agent_head),
				  out.len - sizeof(struct agent_head), &back);
	if (parsed == 0) {
		assert_int_equal(back.nr_words, words);
		assert_int_equal(back.nr_env, env);
	}
	agent_exec_free(&back);
	return parsed;
}

static void counts_of_a_command(void **state)
{
	(void)state;
	assert_int_equal(put_words(AGENT_WORDS_MAX, AGENT_WORDS_MAX), 0);
	assert_int_equal(put_words(AGENT_WORDS_MAX + 1, 0), -E2BIG);
	assert_int_equal(put_words(1, AGENT_WORDS_MAX + 1), -E2BIG);
	assert_int_equal(put_words(0, 0), -EPROTO); /* no command */
}

static int put_setup(uint32_t lines, size_t len)
{
	cleanup_free char *name = malloc(len + 1);
	struct agent_setup setup = {.name = name}, back;
	cleanup_buf struct buf out = {0};
	struct agent_setup_head *head;
	int r;

	assert_non_null(name);
	memset(name, 'n', len);
	name[len] = '\0';
	setup.nr_lines = lines < AGENT_LINES_MAX ? lines : AGENT_LINES_MAX;
	for (uint32_t i = 0; i < setup.nr_lines; i++)
		setup.lines[i] = "l";
	r = agent_put_setup(&out, &setup);
	if (r < 0)
		return r;
	head = (void *)(out.data + sizeof(struct agent_head));
	head->nr_lines = lines;
	buf_add(&out, "l\0l", 4); /* what a liar says is there */
	return agent_setup_parse((const char *)head,
				 out.len - sizeof(struct agent_head) -
					 (lines > AGENT_LINES_MAX ? 0 : 4),
				 &back);
}

static void counts_of_a_setup(void **state)
{
	(void)state;
	assert_int_equal(put_setup(AGENT_LINES_MAX, 10), 0);
	assert_int_equal(put_setup(AGENT_LINES_MAX + 1, 10), -EPROTO);
	assert_int_equal(put_setup(UINT32_MAX, 10), -EPROTO);
	assert_int_equal(put_setup(0, AGENT_DATA_MAX), -E2BIG);
}

static int put_copy(uint32_t flags, const char *path, const char *name)
{
	const struct agent_copy copy = {flags, path, name};
	cleanup_buf struct buf out = {0};
	struct agent_copy back;
	int r = agent_put_copy(&out, &copy);

	return r < 0 ? r
		     : agent_copy_parse(out.data + sizeof(struct agent_head),
					out.len - sizeof(struct agent_head),
					&back);
}

static void what_a_copy_may_ask(void **state)
{
	static char name[AGENT_NAME_MAX + 2];

	(void)state;
	memset(name, 'n', AGENT_NAME_MAX);
	assert_int_equal(put_copy(AGENT_COPY_OUT, "/", ""), 0);
	assert_int_equal(put_copy(AGENT_COPY_OUT | AGENT_COPY_FOLLOW, "/", ""),
			 0);
	assert_int_equal(put_copy(AGENT_COPY_IN, "x", name), 0);
	name[AGENT_NAME_MAX] = 'n';
	assert_int_equal(put_copy(AGENT_COPY_IN, "x", name), -EPROTO);
	assert_int_equal(put_copy(AGENT_COPY_IN, "x", ".."), -EPROTO);
	assert_int_equal(put_copy(AGENT_COPY_IN, "x", "a/b"), -EPROTO);
	assert_int_equal(put_copy(AGENT_COPY_IN, "", "a"), -EPROTO);
	assert_int_equal(put_copy(AGENT_COPY_IN | AGENT_COPY_OUT, "x", "a"),
			 -EPROTO);
	assert_int_equal(put_copy(0, "x", "a"), -EPROTO);
	assert_int_equal(put_copy(8, "x", "a"), -EPROTO);
}

int main(void)
{
#define TEST(x) cmocka_unit_test_setup_teardown(x, make_home, end_home)
	const struct CMUnitTest tests[] = {
		TEST(a_tree_arrives),
		TEST(blocks_of_zeros_are_holes),
		TEST(names_are_of_who_asks),
		TEST(links_are_followed_if_asked),
		TEST(a_file_without_a_size),
		TEST(names_that_are_none),
		TEST(ways_out_that_are_none),
		TEST(what_is_no_file_stays),
		TEST(more_than_the_limit),
		TEST(folders_in_each_other),
		TEST(an_end_that_is_too_early),
		cmocka_unit_test(counts_of_a_command),
		cmocka_unit_test(counts_of_a_setup),
		cmocka_unit_test(what_a_copy_may_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
