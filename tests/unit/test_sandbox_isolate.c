// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox_isolate.c - what is not there for whoever is alone in namespaces
 *
 * No Landlock and no filters: each deed fails by the namespaces alone, for root
 * and for an ordinary user. Each is done without them first, where it succeeds.
 */
#include "unit.h"

#include "base/fd.h"
#include "sandbox_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define NOBODY 65534
#define WRONG  97

/* What a child finds: made before it, for everybody. */
static struct {
	int file;
	int folder;
	int shared, semaphores, queue; /* of System V */
	int listener;                  /* of lo's */
	int port;
	char path[64];    /* of the file */
	char name[32];    /* of the abstract socket, and of POSIX' queue */
	char place[1024]; /* of the folder */
} here;

static int result(long r)
{
	return r < 0 ? errno : FATE_DONE;
}

#define DEED(name, expression)             \
	static int name(const void *what)  \
	{                                  \
		(void)what;                \
		return result(expression); \
	}

/* ---- files ---- */

DEED(open_file, open(here.path, O_RDONLY))
DEED(open_passwd, open("/etc/passwd", O_RDONLY))
DEED(open_null, open("/dev/null", O_RDWR))
DEED(open_proc, open("/proc/self/status", O_RDONLY))
DEED(look_at_file, access(here.path, F_OK))
DEED(enter_folder, chdir(here.place))
/* From however deep a folder: above the root there is the root. */
#define UP4 "../../../../"
DEED(leave_root, open(UP4 UP4 UP4 UP4 UP4 UP4 "etc/passwd", O_RDONLY))

static int root_has_something(const void *what)
{
	DIR *d = opendir("/");
	const struct dirent *entry;
	int found = ENOENT;

	(void)what;
	if (!d)
		return errno;
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			found = FATE_DONE;
	(void)closedir(d);
	return found;
}

static int execute(const void *what)
{
	char name[] = "true";
	char *argv[] = {name, NULL};

	(void)what;
	(void)execve("/bin/true", argv, argv + 1);
	return errno;
}

/* ---- networks ---- */

static int connect_lo(const void *what)
{
	const struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)here.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)what;
	return result(fd < 0 ? fd : connect(fd, (const void *)&a, sizeof(a)));
}

static int connect_abstract(const void *what)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)what;
	(void)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", here.name);
	return result(fd < 0 ? fd : connect(fd, (const void *)&a, sizeof(a)));
}

/* "lo" is there, and down; without namespaces it is up. */
static int lo_is_up(const void *what)
{
	struct ifreq r = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)what;
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
		return errno;
	return r.ifr_flags & IFF_UP ? FATE_DONE : ENETDOWN;
}

/* ---- IPC objects ---- */

DEED(shared_memory, (long)shmat(here.shared, NULL, SHM_RDONLY))
DEED(semaphores, semctl(here.semaphores, 0, GETVAL))
DEED(message_queue, msgctl(here.queue, IPC_STAT, &(struct msqid_ds){0}))
DEED(posix_queue, mq_open(here.name, O_RDONLY | O_NONBLOCK))

/* ---- only there; root could do them outside ---- */

DEED(mount_something, mount("none", "/", "tmpfs", 0, NULL))
DEED(write_root, mkdir("/made", 0700))
DEED(write_again, mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL))
DEED(change_root, chroot("/"))
DEED(leave_mounts, umount2("/", MNT_DETACH))
DEED(new_user_namespace, unshare(CLONE_NEWUSER))
DEED(new_mount_namespace, unshare(CLONE_NEWNS))
DEED(new_network, unshare(CLONE_NEWNET))
DEED(name_host, sethostname("x", 1))
DEED(raw_socket, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
DEED(packet_socket, socket(AF_PACKET, SOCK_RAW, 0))
DEED(become_another, setresuid(1, 1, 1))
DEED(change_owner, fchown(here.file, 1, 1))

static int bring_lo_up(const void *what)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)what;
	return result(fd < 0 ? fd : ioctl(fd, SIOCSIFFLAGS, &r));
}

/* ---- what stays ---- */

DEED(write_open_file, write(here.file, "x", 1))
DEED(beneath_open_folder, openat(here.folder, "file", O_RDONLY))
DEED(make_beneath, mkdirat(here.folder, "made", 0700) < 0
			   ? -1
			   : unlinkat(here.folder, "made", AT_REMOVEDIR))

static const struct deed {
	const char *name;
	int (*deed)(const void *what);
	int fate;
	bool outside; /* without namespaces it succeeds */
} deeds[] = {
#define GONE(deed, error)   {#deed, deed, error, true}
#define DENIED(deed, error) {#deed, deed, error, false}
#define STAYS(deed)         {#deed, deed, FATE_DONE, true}
	GONE(open_file, ENOENT),
	GONE(open_passwd, ENOENT),
	GONE(open_null, ENOENT),
	GONE(open_proc, ENOENT),
	GONE(look_at_file, ENOENT),
	GONE(enter_folder, ENOENT),
	GONE(leave_root, ENOENT),
	GONE(root_has_something, ENOENT),
	GONE(execute, ENOENT),
	GONE(connect_lo, ENETUNREACH),
	GONE(connect_abstract, ECONNREFUSED),
	GONE(lo_is_up, ENETDOWN),
	GONE(shared_memory, EINVAL),
	GONE(semaphores, EINVAL),
	GONE(message_queue, EINVAL),
	GONE(posix_queue, ENOENT),
	DENIED(mount_something, EPERM),
	DENIED(write_root, EROFS),
	DENIED(write_again, EPERM),
	DENIED(change_root, EPERM),
	DENIED(leave_mounts, EPERM),
	DENIED(new_user_namespace, EPERM),
	DENIED(new_mount_namespace, EPERM),
	DENIED(new_network, EPERM),
	DENIED(name_host, EPERM),
	DENIED(raw_socket, EPERM),
	DENIED(packet_socket, EPERM),
	DENIED(become_another, EINVAL), /* nobody is mapped */
	DENIED(change_owner, EINVAL),
	DENIED(bring_lo_up, EPERM),
	STAYS(write_open_file),
	STAYS(beneath_open_folder),
	STAYS(make_beneath),
};

/* Has this host user namespaces at all, for @user? */
static bool can_isolate(uid_t user)
{
	const struct child child = {
		.thread = SANDBOX_NR_THREADS,
		.isolate = true,
		.user = user,
		.deed = look_at_file,
	};

	return child_fate(&child) == ENOENT;
}

static void try_as(const struct deed *d, uid_t user)
{
	struct child child = {
		.thread = SANDBOX_NR_THREADS,
		.user = user,
		.deed = d->deed,
	};
	int fate;

	if (d->outside) {
		fate = child_fate(&child);
		if (fate != FATE_DONE)
			fail_msg("%s by %d outside: %d", d->name, (int)user,
				 fate);
	}
	child.isolate = true;
	fate = child_fate(&child);
	if (fate != d->fate)
		fail_msg("%s by %d inside: %d", d->name, (int)user, fate);
}

static void test_deed(void **state)
{
	const struct deed *d = *state;

	if (!can_isolate(0))
		skip(); /* this host gives no user namespaces */
	try_as(d, 0);
	if (geteuid() == 0)
		try_as(d, NOBODY);
}

/* ---- what a host that forbids them gets ---- */

/* In a user namespace in which no further one may be made. Whoever is in one
 * may make the other kinds, as root outside. */
static void forbid_namespaces(void)
{
	const char limit[] = "/proc/sys/user/max_user_namespaces";
	int fd;

	must(unshare(CLONE_NEWUSER) == 0);
	fd = open(limit, O_WRONLY);
	must(fd >= 0 && write(fd, "0", 1) == 1);
	(void)close(fd);
}

static int lock_where_forbidden(enum sandbox_mode mode)
{
	struct sandbox s = {
		.mode = mode,
		.isolate = true,
		.own_pids = true,
		.has_seccomp = true,
	};
	struct err err = {0};
	char gap[SANDBOX_GAP_MAX];
	int r;

	forbid_namespaces();
	r = sandbox_lock(&s, &err);
	if (mode == SANDBOX_STRICT)
		return r == -EOPNOTSUPP && !sandbox_is_isolated(&s) &&
				       strstr(err.text, "no user namespace") &&
				       strstr(err.text, "best-effort")
			       ? FATE_DONE
			       : WRONG;
	return r == 0 && !sandbox_is_isolated(&s) &&
			       sandbox_gap(&s, 0, gap) > 0 &&
			       strstr(gap, "user namespace: ") &&
			       open_passwd(NULL) == ENOENT
		       ? FATE_DONE
		       : WRONG;
}

static int fate_where_forbidden(enum sandbox_mode mode)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(lock_where_forbidden(mode));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_strict_refuses(void **state)
{
	(void)state;
	if (!can_isolate(0))
		skip();
	assert_int_equal(fate_where_forbidden(SANDBOX_STRICT), FATE_DONE);
}

static void test_best_effort_tells(void **state)
{
	(void)state;
	if (!can_isolate(0))
		skip();
	assert_int_equal(fate_where_forbidden(SANDBOX_BEST_EFFORT), FATE_DONE);
}

/* ---- the world outside ---- */

static void listen_on_lo(void)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(a);

	here.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(here.listener, (const void *)&a, len), 0);
	assert_int_equal(listen(here.listener, 128), 0);
	assert_int_equal(getsockname(here.listener, (void *)&a, &len), 0);
	here.port = ntohs(a.sin_port);
}

static void make_objects(void)
{
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 1};
	mqd_t queue;

	here.shared = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0666);
	here.semaphores = semget(IPC_PRIVATE, 1, IPC_CREAT | 0666);
	here.queue = msgget(IPC_PRIVATE, IPC_CREAT | 0666);
	(void)snprintf(here.name, sizeof(here.name), "/volt-test-%d", getpid());
	queue = mq_open(here.name, O_CREAT | O_RDWR, 0644, &attr);
	assert_true(here.shared >= 0 && here.semaphores >= 0 &&
		    here.queue >= 0 && queue >= 0);
	(void)mq_close(queue);
}

static void listen_abstract(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", here.name);
	assert_int_equal(bind(fd, (const void *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 128), 0);
}

static int make_world(void)
{
	(void)snprintf(here.place, sizeof(here.place),
		       "/tmp/volt-isolate-XXXXXX");
	if (!mkdtemp(here.place) || chmod(here.place, 0777) < 0)
		return -1;
	(void)snprintf(here.path, sizeof(here.path), "%.40s/file", here.place);
	here.file = open(here.path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	here.folder = open(here.place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (here.file < 0 || here.folder < 0 || fchmod(here.file, 0666) < 0)
		return -1;
	listen_on_lo();
	make_objects();
	listen_abstract();
	return 0;
}

static int end_world(void)
{
	(void)shmctl(here.shared, IPC_RMID, NULL);
	(void)semctl(here.semaphores, 0, IPC_RMID);
	(void)msgctl(here.queue, IPC_RMID, NULL);
	(void)mq_unlink(here.name);
	(void)unlink(here.path);
	return rmdir(here.place);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(deeds) + 2] = {
		cmocka_unit_test(test_strict_refuses),
		cmocka_unit_test(test_best_effort_tells),
	};
	static struct deed copy[ARRAY_SIZE(deeds)];
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		copy[i] = deeds[i];
		tests[2 + i] = (struct CMUnitTest){
			.name = copy[i].name,
			.test_func = test_deed,
			.initial_state = &copy[i],
		};
	}
	if (make_world() < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return end_world() < 0 ? 1 : failed;
}
