// SPDX-License-Identifier: Apache-2.0
/*
 * test_path.c - every role against every type of file: what comes, what it is
 * told by, and that nothing hangs
 *
 * An open() that waits is ended by alarm() and with it the test.
 */
#include "unit.h"

#include "base/fd.h"
#include "host/below.h"
#include "host/path.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEADLINE_S 60
#define NOBODY     65534

/* What there is in the directory of the test. */
enum thing {
	REGULAR,
	DIRECTORY,
	FIFO,
	SOCKET,
	DEVICE,
	LINK, /* to a regular file */
	LOOP, /* a symbolic link to itself */
	MISSING,
	CLOSED, /* of root, mode 0: for somebody else */
	THINGS,
};

static const char *const name_of[THINGS] = {
	"file", "dir",  "fifo", "sock",   "/dev/null",
	"link", "loop", "none", "closed",
};

static int set_up(void **state)
{
	static char dir[] = "/tmp/volt-path-XXXXXX";
	int fd;

	*state = dir;
	(void)memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0 || chdir(dir) < 0)
		return -1;
	fd = open("file", O_CREAT | O_WRONLY, 0644);
	(void)!write(fd, "first\nsecond\n", 13);
	fd_close(&fd);
	fd = open("closed", O_CREAT | O_WRONLY, 0);
	fd_close(&fd);
	fd = unix_listen("sock", 1);
	fd_close(&fd);
	(void)alarm(DEADLINE_S);
	return mkdir("dir", 0755) < 0 || mkfifo("fifo", 0644) < 0 ||
	       symlink("file", "link") < 0 || symlink("loop", "loop") < 0;
}

static int tear_down(void **state)
{
	(void)alarm(0);
	for (size_t i = 0; i < THINGS; i++)
		if (i != DEVICE && i != DIRECTORY)
			(void)unlink(name_of[i]);
	(void)rmdir("dir");
	return chdir("/") < 0 || rmdir(*state) < 0;
}

/* 0: it opens. Those that are made are not there afterwards. */
static int try(enum path_role role, enum thing thing, struct err *err)
{
	int fd = path_open(&path_direct, role, name_of[thing], err);
	int flags;

	if (fd < 0)
		return fd;
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	flags = fcntl(fd, F_GETFL);
	if (role == PATH_DISK || role == PATH_DISK_RO || role == PATH_CONFIG ||
	    role == PATH_METADATA || role == PATH_OVERLAY)
		assert_false(flags & O_NONBLOCK);
	fd_close(&fd);
	if (thing == MISSING)
		assert_int_equal(unlink(name_of[thing]), 0);
	return 0;
}

static const struct {
	enum path_role role;
	int rc[CLOSED];
} expected[] = {
	/* regular, directory, FIFO, socket, device, link, loop, missing */
	{PATH_KERNEL, {0, 0, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_INITRD, {0, 0, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_DISK,
	 {0, -EISDIR, -ENOTBLK, -ENXIO, -ENOTBLK, 0, -ELOOP, -ENOENT}},
	{PATH_DISK_RO,
	 {0, -EISDIR, -ENOTBLK, -ENXIO, -ENOTBLK, 0, -ELOOP, -ENOENT}},
	{PATH_PMEM, {0, -EISDIR, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_PMEM_RO,
	 {0, -EISDIR, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_LOG, {0, -EISDIR, 0, -ENXIO, 0, 0, -ELOOP, 0}},
	{PATH_METRICS, {0, -EISDIR, 0, -ENXIO, 0, 0, -ELOOP, 0}},
	{PATH_SERIAL, {0, -EISDIR, 0, -ENXIO, 0, 0, -ELOOP, 0}},
	{PATH_STATE,
	 {0, -EINVAL, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_MEMORY,
	 {0, -EINVAL, -EINVAL, -ENXIO, -EINVAL, 0, -ELOOP, -ENOENT}},
	{PATH_PLACE,
	 {-ENOTDIR, 0, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ELOOP,
	  -ENOENT}},
	{PATH_FOLDER,
	 {-ENOTDIR, 0, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ELOOP,
	  -ENOENT}},
	{PATH_OVERLAY,
	 {-ENOTDIR, 0, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ELOOP,
	  -ENOENT}},
	{PATH_PARENT,
	 {-ENOTDIR, 0, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ENOTDIR, -ELOOP,
	  -ENOENT}},
	{PATH_API,
	 {-EADDRINUSE, -EADDRINUSE, -EADDRINUSE, -EADDRINUSE, -EADDRINUSE,
	  -EADDRINUSE, -EADDRINUSE, 0}},
	{PATH_VSOCK,
	 {-EADDRINUSE, -EADDRINUSE, -EADDRINUSE, -EADDRINUSE, -EADDRINUSE,
	  -EADDRINUSE, -EADDRINUSE, 0}},
	{PATH_VSOCK_PEER,
	 {-ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED,
	  -ECONNREFUSED, -ECONNREFUSED, -ELOOP, -ENOENT}},
	{PATH_FRAMES,
	 {-ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED,
	  -ECONNREFUSED, -ECONNREFUSED, -ELOOP, -ENOENT}},
	{PATH_UFFD_HANDLER,
	 {-ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED, -ECONNREFUSED,
	  -ECONNREFUSED, -ECONNREFUSED, -ELOOP, -ENOENT}},
};

static void each_role_and_type(void **state)
{
	bool wrong = false;

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		for (unsigned int k = 0; k < CLOSED; k++) {
			struct err err = {0};
			int r = try(expected[i].role, k, &err);

			if (r != expected[i].rc[k]) {
				print_error("role %d, %s: %d, not %d\n",
					    (int)expected[i].role, name_of[k],
					    r, expected[i].rc[k]);
				wrong = true;
			}
			/* Each failure has its words, all filled in. */
			if (r < 0) {
				assert_int_equal(err.rc, r);
				assert_true(err.text[0] != '\0');
				assert_null(strchr(err.text, '{'));
				assert_null(strchr(err.plain, '{'));
			}
		}
	}
	assert_false(wrong);
}

/* A role without a row above has a fixed path, or its own test. */
static void no_role_is_left_out(void **state)
{
	static const enum path_role others[] = {
		PATH_METADATA,   PATH_CONFIG,    PATH_FILTER,
		PATH_HOST_RULES, PATH_TAP,       PATH_TAP_READY,
		PATH_KVM,        PATH_VHOST_NET, PATH_USERFAULTFD,
		PATH_PAGEMAP,    PATH_SMAPS,     PATH_HUGE_POLICY,
		PATH_BOOT_ID,    PATH_NULL,      PATH_TTY,
		PATH_OUR_STREAM, PATH_PROC_DIR,  PATH_FRAMES_LEFT,
	};
	const size_t rows = sizeof(expected) / sizeof(expected[0]);

	(void)state;
	assert_int_equal(rows + sizeof(others) / sizeof(others[0]), PATH_NR);
	for (unsigned int role = 0; role < PATH_NR; role++) {
		for (int rc = 1; rc < 133; rc++) {
			struct err err = {0};

			assert_int_equal(path_say(role, "p", -rc, "", &err),
					 -rc);
			assert_true(err.text[0] != '\0');
			assert_null(strchr(err.text, '{'));
			assert_null(strchr(err.plain, '{'));
		}
	}
}

/* Firecracker's, as recorded; what a request puts before them is not here. */
static void sentences(void **state)
{
	static const struct {
		enum path_role role;
		int rc;
		const char *text;
		const char *plain;
	} rows[] = {
		{PATH_KERNEL, -ENOENT,
		 "The kernel file cannot be opened: No such file or directory "
		 "(os error 2)",
		 "Cannot open the kernel p: No such file or directory!"},
		{PATH_INITRD, -ENOENT,
		 "The initrd file cannot be opened due to invalid path or "
		 "invalid permissions. No such file or directory (os error 2)",
		 "Cannot open the initrd p: No such file or directory!"},
		{PATH_DISK, -EISDIR,
		 "Virtio backend error: Error manipulating the backing file: "
		 "Is a directory (os error 21) p",
		 "Cannot open the disk p: Is a directory!"},
		{PATH_DISK_RO, -EBUSY,
		 "Virtio backend error: Error manipulating the backing file: "
		 "Device or resource busy (os error 16) p (this host has it "
		 "mounted, as swap, or in another device)",
		 "Cannot open the disk p: Device or resource busy (this host "
		 "has it mounted, as swap, or in another device)!"},
		{PATH_LOG, -EISDIR,
		 "Failed to open target file: Is a directory (os error 21)",
		 "cannot write the log to p: Is a directory"},
		{PATH_API, -EADDRINUSE,
		 "Failed to open the API socket at: p. Check that it is not "
		 "already used.",
		 ""},
		{PATH_VSOCK, -ENAMETOOLONG,
		 "Cannot create backend for vsock device: Error binding to the "
		 "host-side Unix socket: path must be shorter than SUN_LEN",
		 ""},
		{PATH_TAP, -EBUSY,
		 "Could not create the network device: Open tap device failed: "
		 "Error while creating ifreq structure: Device or resource "
		 "busy (os error 16). Invalid TUN/TAP Backend provided by p. "
		 "Check our documentation on setting up the network devices.",
		 "the tap p is in use by another process"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};

		(void)!path_say(rows[i].role, "p", rows[i].rc, "!", &err);
		assert_string_equal(err.text, rows[i].text);
		assert_string_equal(err.plain, rows[i].plain);
	}
}

/* A path is text, whatever it looks like; a sentence that is too long is cut.
 */
static void odd_paths(void **state)
{
	char path[2 * ERR_TEXT_MAX];
	struct err err = {0};

	(void)state;
	(void)!path_say(PATH_SERIAL, "{why}{path}%s{", -ENOENT, "", &err);
	assert_string_equal(err.text,
			    "Cannot open the serial output {why}{path}%s{: No "
			    "such file or directory");
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	(void)!path_say(PATH_DISK, path, -ENOENT, path, &err);
	assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
	assert_int_equal(strlen(err.plain), ERR_PLAIN_MAX - 1);
	assert_int_equal(path_open(&path_direct, PATH_KERNEL, path, &err),
			 -ENAMETOOLONG);
	assert_int_equal(path_open(&path_direct, PATH_KERNEL, "", &err),
			 -ENOENT);
}

static bool is_for_directories(enum path_role role)
{
	return role == PATH_PLACE || role == PATH_PARENT ||
	       role == PATH_FOLDER || role == PATH_OVERLAY;
}

/* As somebody who may not: the hint says whose the file is. */
static int as_nobody(void)
{
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		enum path_role role = expected[i].role;
		struct err err = {0};
		int r = try(role, CLOSED, &err);

		if (r != (role == PATH_API || role == PATH_VSOCK ? -EADDRINUSE
			  : is_for_directories(role)             ? -ENOTDIR
								 : -EACCES))
			return (int)role + 1;
		if (role == PATH_KERNEL &&
		    !strstr(err.plain, "it is user 0's, mode 000"))
			return 100;
	}
	return path_open(&path_direct, PATH_API, "new", NULL) == -EACCES &&
			       path_open(&path_direct, PATH_LOG, "new", NULL) ==
				       -EACCES
		       ? 0
		       : 101;
}

static void no_permission(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0)
		skip(); /* somebody else's file takes root to make */
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(setgid(NOBODY) < 0 || setuid(NOBODY) < 0 ? 99
							       : as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What looks like a file there is a way into the kernel or into us. */
static void no_disk_of_the_kernels(void **state)
{
	static const char *const paths[] = {
		"/proc/self/mem",    "/proc/self/pagemap",
		"/proc/kcore",       "/proc/sys/kernel/hostname",
		"/sys/kernel/notes",
	};
	unsigned int tried = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], R_OK) == 0) {
			assert_int_equal(path_open(&path_direct, PATH_DISK_RO,
						   paths[i], NULL),
					 -ENOTBLK);
			tried++;
		}
	assert_true(tried >= 2);
}

/* The configuration may come through a pipe, and is waited for. */
static void config_through_a_pipe(void **state)
{
	char byte = 0;
	pid_t pid;
	int fd;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fd = open("fifo", O_WRONLY);
		_exit(write(fd, "x", 1) != 1);
	}
	fd = path_open(&path_direct, PATH_CONFIG, "fifo", NULL);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	fd_close(&fd);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void fixed_paths_and_questions(void **state)
{
	struct err err = {0};
	char text[64];
	int fd;

	(void)state;
	fd = path_open(&path_direct, PATH_PAGEMAP, NULL, &err);
	assert_true(fd >= 0);
	fd_close(&fd);
	fd = path_open(&path_direct, PATH_NULL, NULL, &err);
	assert_int_equal(write(fd, "x", 1), 1);
	fd_close(&fd);
	assert_int_equal(
		path_read_text(&path_direct, PATH_BOOT_ID, text, sizeof(text)),
		0);
	assert_int_equal(strlen(text), 36);
	assert_true(path_is_folder(&path_direct, "dir"));
	assert_true(path_is_folder(&path_direct, "dir/"));
	assert_false(path_is_folder(&path_direct, "file"));
	assert_false(path_is_folder(&path_direct, "none"));
	fd = open("file", O_RDONLY);
	assert_int_equal(path_compare(&path_direct, PATH_STATE, "link", fd),
			 PATH_SAME);
	assert_int_equal(path_compare(&path_direct, PATH_STATE, "none", fd),
			 PATH_UNKNOWN);
	assert_int_equal(rename("file", "other"), 0);
	assert_int_equal(path_compare(&path_direct, PATH_STATE, "other", fd),
			 PATH_SAME);
	fd_close(&fd);
	fd = open("file", O_CREAT | O_RDONLY, 0600);
	assert_int_equal(path_compare(&path_direct, PATH_STATE, "other", fd),
			 PATH_OTHER);
	fd_close(&fd);
	assert_int_equal(unlink("other"), 0);
}

static void taps(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(path_open(&path_direct, PATH_TAP,
				   "a-name-that-is-too-long", &err),
			 -ENAMETOOLONG);
	assert_non_null(strstr(err.plain, "at most 15 characters"));
	assert_int_equal(path_open(&path_direct, PATH_TAP_READY,
				   "a-name-that-is-too-long", &err),
			 -ENAMETOOLONG);
	assert_int_equal(
		path_open(&path_direct, PATH_TAP_READY, "volt-no-tap", &err),
		-ENODEV);
	assert_non_null(strstr(err.plain, "there is no tap volt-no-tap"));
}

/* Below an open directory: what is new is never found through a link. */
static void names_in_a_directory(void **state)
{
	static const struct {
		enum below_role role;
		int rc[CLOSED];
	} rows[] = {
		/* regular, directory, FIFO, socket, device, link, loop, missing
		 */
		{BELOW_STATE, {0, 0, 0, -ENXIO, 0, 0, -ELOOP, -ENOENT}},
		{BELOW_STATE_ITSELF,
		 {0, 0, 0, -ENXIO, 0, -ELOOP, -ELOOP, -ENOENT}},
		{BELOW_PROC, {0, 0, 0, -ENXIO, 0, -ELOOP, -ELOOP, -ENOENT}},
		{BELOW_LOCK,
		 {0, -EISDIR, 0, -ENXIO, 0, -ELOOP, -ELOOP, -ENOENT}},
		{BELOW_NEW,
		 {-EEXIST, -EEXIST, -EEXIST, -EEXIST, -EEXIST, -EEXIST, -EEXIST,
		  0}},
	};
	int dir = path_open(&path_direct, PATH_PLACE, ".", NULL);
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned int k = 0; k < CLOSED; k++) {
			int fd = below_open(dir, name_of[k], rows[i].role);

			assert_int_equal(fd < 0 ? fd : 0, rows[i].rc[k]);
			assert_true(fd < 0 || fcntl(fd, F_GETFD) & FD_CLOEXEC);
			if (k == MISSING && fd >= 0) {
				assert_int_equal(fstat(fd, &st), 0);
				assert_int_equal(st.st_mode & 07777, 0600);
				assert_int_equal(unlink(name_of[k]), 0);
			}
			fd_close(&fd);
		}
	assert_int_equal(unlinkat(dir, "file", 0), 0);
	assert_int_equal(below_open(dir, "link", BELOW_NEW), -EEXIST);
	fd_close(&dir);
}

/* A second implementation: it gets what was asked for, and nothing else. */
struct other {
	struct path_want last;
	int answer;
};

static int other_open(const struct path_opener *opener,
		      const struct path_want *want, struct err *err)
{
	struct other *other = opener->ctx;

	other->last = *want;
	return other->answer < 0 ? path_say(want->role, want->path,
					    other->answer, "", err)
				 : other->answer;
}

static void another_opener(void **state)
{
	static const struct path_ops ops = {.open = other_open};
	struct other other = {.answer = -EPERM};
	const struct path_opener opener = {&ops, &other};
	struct err err = {0}, same = {0};

	(void)state;
	assert_int_equal(path_open_nth(&opener, PATH_DISK, "file", 3, &err),
			 -EPERM);
	assert_int_equal(other.last.role, PATH_DISK);
	assert_int_equal(other.last.index, 3);
	assert_string_equal(other.last.path, "file");
	(void)!path_say(PATH_DISK, "file", -EPERM, "", &same);
	assert_string_equal(err.text, same.text);
	assert_string_equal(err.plain, same.plain);
	other.answer = 7;
	assert_int_equal(path_open(&opener, PATH_KVM, NULL, &err), 7);
	assert_null(other.last.path);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_role_and_type),
		TEST(no_role_is_left_out),
		TEST(sentences),
		TEST(odd_paths),
		TEST(no_permission),
		TEST(no_disk_of_the_kernels),
		TEST(config_through_a_pipe),
		TEST(fixed_paths_and_questions),
		TEST(taps),
		TEST(names_in_a_directory),
		TEST(another_opener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
