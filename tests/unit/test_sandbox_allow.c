// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox_allow.c - what landlock_lock_but() and landlock_lock_gate()
 * leave of a directory
 *
 *   rw/, ro/, door/, out/   each with file, gone, old, empty/
 *
 * In each of the simulated ABIs and in this kernel's own, a child locks itself
 * and tries everything in each of the four.
 */
#include "unit.h"

#include "base/fd.h"
#include "folder.h"
#include "sandbox_child.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum folder {
	RW,
	RO,
	DOOR,
	OUT,
	NR_FOLDERS,
};

static const char *const folders[NR_FOLDERS] = {
	[RW] = "rw",
	[RO] = "ro",
	[DOOR] = "door",
	[OUT] = "out",
};

static char top[] = "/tmp/volt-allow-XXXXXX";

static int result(int r)
{
	return r < 0 ? errno : 0;
}

/* ---- deeds in the working directory ---- */

static int open_it(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);
	int r = result(fd);

	fd_close(&fd);
	return r;
}

static int list(void)
{
	return open_it(".", O_RDONLY | O_DIRECTORY);
}

static int read_file(void)
{
	return open_it("file", O_RDONLY);
}

static int write_file(void)
{
	return open_it("file", O_WRONLY);
}

static int cut_file(void)
{
	return open_it("file", O_WRONLY | O_TRUNC);
}

/* As a drive's or a snapshot's is by who was given the descriptor. */
static int cut_by_descriptor(void)
{
	cleanup_fd int fd = open("file", O_RDWR | O_CLOEXEC);

	return fd < 0 ? errno : result(ftruncate(fd, 1));
}

static int make_file(void)
{
	return open_it("new", O_WRONLY | O_CREAT | O_EXCL);
}

/* The way in which a snapshot's files get their names. */
static int name_nameless(void)
{
	cleanup_fd int fd = open(".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	char self[32];

	if (fd < 0)
		return errno;
	(void)snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return result(
		linkat(AT_FDCWD, self, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
}

static int give_second_name(void)
{
	return result(link("file", "second"));
}

static int rename_file(void)
{
	return result(rename("old", "renamed"));
}

static int remove_file(void)
{
	return result(unlink("gone"));
}

static int make_folder(void)
{
	return result(mkdir("made", 0700));
}

static int remove_folder(void)
{
	return result(rmdir("empty"));
}

static int make_symlink(void)
{
	return result(symlink("file", "link"));
}

static int make_fifo(void)
{
	return result(mkfifo("fifo", 0600));
}

static int make_socket(void)
{
	return result(mknod("socket", S_IFSOCK | 0600, 0));
}

static int execute(void)
{
	char name[] = "program";
	char *argv[] = {name, NULL};

	(void)execve("program", argv, argv + 1);
	return errno;
}

static const struct deed {
	const char *name;
	int (*deed)(void);
	bool allowed[NR_FOLDERS];
} deeds[] = {
	{"list", list, {[RW] = true, [RO] = true}},
	{"read a file", read_file, {[RW] = true, [RO] = true}},
	{"write to a file", write_file, {[RW] = true}},
	{"truncate a file", cut_file, {[RW] = true}},
	{"truncate by descriptor", cut_by_descriptor, {[RW] = true}},
	{"make a file", make_file, {[RW] = true}},
	{"name a nameless file", name_nameless, {[RW] = true}},
	{"give a second name", give_second_name, {[RW] = true}},
	{"rename a file", rename_file, {[RW] = true}},
	{"remove a file", remove_file, {[RW] = true, [DOOR] = true}},
	{"make a folder", make_folder, {[RW] = true}},
	{"remove a folder", remove_folder, {[RW] = true}},
	{"make a symbolic link", make_symlink, {0}},
	{"make a FIFO", make_fifo, {0}},
	{"make a socket", make_socket, {0}},
	{"execute", execute, {0}},
};

/* ---- the child ---- */

static void lock(unsigned int abi)
{
	struct landlock_rule rules[NR_FOLDERS];

	for (size_t i = 0; i < NR_FOLDERS; i++) {
		rules[i].fd = open(folders[i], O_PATH | O_CLOEXEC);
		must(rules[i].fd >= 0);
	}
	rules[RW].rights = LANDLOCK_READ | LANDLOCK_WRITE;
	rules[RO].rights = LANDLOCK_READ;
	rules[DOOR].rights = LANDLOCK_REMOVE_FILE;
	fd_close(&rules[OUT].fd); /* there is none */
	rules[OUT].rights = LANDLOCK_READ | LANDLOCK_WRITE;
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(landlock_lock_but(abi, rules, NR_FOLDERS) == 0);
	for (size_t i = 0; i < NR_FOLDERS; i++)
		fd_close(&rules[i].fd);
}

static bool is_denied(int rc)
{
	return rc == EACCES || rc == EXDEV;
}

static bool is_right(const struct deed *deed, enum folder folder)
{
	int rc = deed->deed();

	if (deed->allowed[folder] ? rc == 0 : is_denied(rc))
		return true;
	(void)fprintf(stderr, "%s in %s: %d\n", deed->name, folders[folder],
		      rc);
	return false;
}

static int try_all(unsigned int abi)
{
	int home[NR_FOLDERS];
	bool right = true;

	for (size_t i = 0; i < NR_FOLDERS; i++)
		home[i] = open(folders[i], O_PATH | O_CLOEXEC);
	lock(abi);
	for (enum folder f = 0; f < NR_FOLDERS; f++) {
		must(fchdir(home[f]) == 0);
		for (size_t i = 0; i < ARRAY_SIZE(deeds); i++)
			right &= is_right(&deeds[i], f);
	}
	/* From one that may be written to into one that may not, and back. */
	must(fchdir(home[RW]) == 0);
	right &= is_denied(result(rename("file", "../ro/file")));
	right &= is_denied(result(link("file", "../door/linked")));
	right &= is_denied(result(rename("../ro/file", "stolen")));
	/* What is above counts neither. */
	right &= is_denied(open_it("..", O_RDONLY | O_DIRECTORY));
	right &= is_denied(open_it("/dev/null", O_RDWR));
	return right ? FATE_DONE : 1;
}

/* ---- the gate, whatever it is allowed ---- */

static int connect_tcp(void)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno
		      : result(connect(fd, (const struct sockaddr *)&to,
				       sizeof(to)));
}

/* What is done in any folder but its like is denied in each. */
static int try_gate(unsigned int abi)
{
	int home[NR_FOLDERS];
	bool right = true;

	for (size_t i = 0; i < NR_FOLDERS; i++)
		home[i] = open(folders[i], O_PATH | O_CLOEXEC);
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(landlock_lock_gate(abi, false) == 0);
	for (enum folder f = 0; f < NR_FOLDERS; f++) {
		must(fchdir(home[f]) == 0);
		for (size_t i = 0; i < ARRAY_SIZE(deeds); i++)
			right &= is_right(&deeds[i], RW);
	}
	right &= is_denied(result(rename("file", "../ro/file")));
	right &= open_it("..", O_RDONLY | O_DIRECTORY) == 0;
	right &= open_it("/dev/null", O_RDWR) == 0;
	right &= (connect_tcp() == EACCES) == (abi >= 4);
	right &= (kill(getppid(), 0) < 0) == (abi >= 6);
	return right ? FATE_DONE : 1;
}

static int bind_at(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	return result(bind(fd, (const struct sockaddr *)&at, sizeof(at)));
}

/* Sockets are made until the second lock; the rest is denied from the first
 * one on. */
static int try_early_gate(unsigned int abi)
{
	bool right = true;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(landlock_lock_gate(abi, true) == 0);
	right &= bind_at("early") == 0;
	right &= is_denied(result(symlink("/", "link")));
	right &= is_denied(result(mkfifo("fifo", 0600)));
	right &= (connect_tcp() == EACCES) == (abi >= 4);
	must(landlock_lock_gate(abi, false) == 0);
	right &= is_denied(bind_at("late"));
	right &= open_it("/dev/null", O_RDWR) == 0;
	must(unlink("early") == 0);
	return right ? FATE_DONE : 1;
}

/* ---- the folders ---- */

static void make(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);

	must(fd >= 0 && write(fd, "text", 4) == 4);
	fd_close(&fd);
}

static int set_up(void **state)
{
	(void)state;
	(void)memcpy(strrchr(top, '-'), "-XXXXXX", sizeof("-XXXXXX"));
	if (!mkdtemp(top) || chdir(top) < 0)
		return -1;
	for (size_t i = 0; i < NR_FOLDERS; i++) {
		if (mkdir(folders[i], 0755) < 0 || chdir(folders[i]) < 0 ||
		    mkdir("empty", 0755) < 0)
			return -1;
		make("file", 0600);
		make("gone", 0600);
		make("old", 0600);
		make("program", 0700);
		if (chdir("..") < 0)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return chdir("/") < 0 || folder_remove(top) != 0;
}

static void with_abi(unsigned int abi, int (*try)(unsigned int abi))
{
	pid_t pid;
	int status;

	assert_int_equal(set_up(NULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(try(abi));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(tear_down(NULL), 0);
	if (status != 0)
		fail_msg("ABI %u: status %#x", abi, (unsigned int)status);
}

static void in_each_abi(int (*try)(unsigned int abi))
{
	static const unsigned int simulated[] = {1, 2, 4, 6};
	unsigned int own = landlock_abi();

	if (own == 0)
		skip(); /* this kernel has no Landlock */
	if (own > LANDLOCK_ABI_KNOWN)
		own = LANDLOCK_ABI_KNOWN;
	for (size_t i = 0; i < ARRAY_SIZE(simulated); i++)
		if (simulated[i] <= own)
			with_abi(simulated[i], try);
	with_abi(own, try);
}

static void folders_of_each_abi(void **state)
{
	(void)state;
	in_each_abi(try_all);
}

static void any_folder_of_the_gate(void **state)
{
	(void)state;
	in_each_abi(try_gate);
}

static void the_early_gate_binds(void **state)
{
	(void)state;
	in_each_abi(try_early_gate);
}

/* What --allow adds is to the gate alone: no mode "off", no kernel without. */
static void only_where_there_is_landlock(void **state)
{
	const struct landlock_rule rule = {.fd = 12345, .rights = 1};
	struct sandbox s = {.mode = SANDBOX_OFF, .abi = 1};

	(void)state;
	assert_int_equal(sandbox_gate_paths(NULL, &rule, 1), 0);
	assert_int_equal(sandbox_gate_paths(&s, &rule, 1), 0);
	s = (struct sandbox){.mode = SANDBOX_BEST_EFFORT};
	assert_int_equal(sandbox_gate_paths(&s, &rule, 1), 0);
	s.abi = landlock_abi() > 0;
	if (s.abi)
		assert_int_equal(sandbox_gate_paths(&s, &rule, 1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders_of_each_abi),
		cmocka_unit_test(any_folder_of_the_gate),
		cmocka_unit_test(the_early_gate_binds),
		cmocka_unit_test(only_where_there_is_landlock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
