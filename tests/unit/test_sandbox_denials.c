// SPDX-License-Identifier: Apache-2.0
/*
 * test_sandbox_denials.c - what whoever takes over a locked thread cannot do
 *
 * Each row is a test of its own. What Landlock stops is tried with Landlock
 * alone, in each of the simulated ABIs from the one that denies it and in this
 * kernel's own; what the filters stop, behind the real ones and nothing else,
 * on each thread of the guest process. Many are stopped by both. What harms
 * nobody is done without a sandbox first, where it must succeed.
 */
#include "unit.h"

#include "base/fd.h"
#include "sandbox_child.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

/* What a child finds: made before the lock, in a folder of the test. */
static struct {
	int folder;  /* the folder itself */
	int file;    /* of it, open to read and write */
	int path;    /* the same file, O_PATH */
	int program; /* /bin/true, O_PATH */
	int unix_listener;
	int tcp_port;
	pid_t parent;
	char name[32]; /* of the abstract listener: tests run side by side */
} here;

static int result(long r)
{
	return r < 0 ? errno : FATE_DONE;
}

/* ---- by a path ---- */

static int open_as(const char *path, int flags)
{
	return result(open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600));
}

#define OPEN_DEED(name, path, flags)             \
	static int name(const void *what)        \
	{                                        \
		(void)what;                      \
		return open_as((path), (flags)); \
	}

OPEN_DEED(open_to_read, "file", O_RDONLY)
OPEN_DEED(open_to_write, "file", O_WRONLY)
OPEN_DEED(open_and_cut, "file", O_WRONLY | O_TRUNC)
OPEN_DEED(open_new, "new", O_WRONLY | O_CREAT)
OPEN_DEED(open_unnamed, ".", O_WRONLY | O_TMPFILE)
OPEN_DEED(open_folder, ".", O_RDONLY | O_DIRECTORY)
OPEN_DEED(open_link, "symlink", O_RDONLY)
OPEN_DEED(open_hard_link, "hardlink", O_RDONLY)
OPEN_DEED(open_fifo, "fifo", O_RDONLY)
OPEN_DEED(open_passwd, "/etc/passwd", O_RDONLY)
OPEN_DEED(open_null, "/dev/null", O_RDWR)
OPEN_DEED(open_urandom, "/dev/urandom", O_RDONLY)
OPEN_DEED(open_own_memory, "/proc/self/mem", O_RDWR)
OPEN_DEED(open_own_maps, "/proc/self/maps", O_RDONLY)
OPEN_DEED(open_root, "/", O_RDONLY | O_DIRECTORY)
OPEN_DEED(open_program, "/bin/true", O_RDONLY)
OPEN_DEED(open_mountinfo, "/proc/self/mountinfo", O_RDONLY)

#define DEED(name, expression)             \
	static int name(const void *what)  \
	{                                  \
		(void)what;                \
		return result(expression); \
	}

DEED(openat_beneath, openat(here.folder, "file", O_RDONLY))
DEED(openat_above, openat(here.folder, "../..", O_RDONLY | O_DIRECTORY))
DEED(make_folder, mkdir("made", 0700))
DEED(make_fifo, mknod("made", S_IFIFO | 0600, 0))
DEED(make_symlink, symlink("file", "made"))
DEED(make_hard_link, link("file", "sub/made"))
DEED(remove_file, unlink("victim"))
DEED(remove_folder, rmdir("empty"))
DEED(rename_here, rename("victim", "renamed"))
DEED(rename_away, rename("victim", "sub/renamed"))
DEED(cut_by_path, truncate("file", 1))
DEED(openat2_file,
     syscall(SYS_openat2, AT_FDCWD, "file", (uint64_t[3]){O_RDONLY}, 24))

static int reopen(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open_as(path, flags);
}

static int reopen_file(const void *what)
{
	(void)what;
	return reopen(here.file, O_RDWR);
}

static int reopen_o_path(const void *what)
{
	(void)what;
	return reopen(here.path, O_RDONLY);
}

static int execute(const void *what)
{
	char name[] = "true";
	char *argv[] = {name, NULL};

	(void)what;
	(void)execve("/bin/true", argv, argv + 1);
	return errno;
}

static int execute_descriptor(const void *what)
{
	char name[] = "true";
	char *argv[] = {name, NULL};

	(void)what;
	(void)syscall(SYS_execveat, here.program, "", argv, argv + 1,
		      AT_EMPTY_PATH);
	return errno;
}

/* ---- mounts and namespaces ---- */

DEED(mount_tmpfs, mount("none", "sub", "tmpfs", 0, NULL))
DEED(bind_mount, mount("/etc", "sub", NULL, MS_BIND, NULL))
DEED(unmount, umount2("/proc", MNT_DETACH))
DEED(pivot, syscall(SYS_pivot_root, "sub", "sub"))
DEED(change_root, chroot("sub"))
DEED(new_user_namespace, unshare(CLONE_NEWUSER))
DEED(new_mount_namespace, unshare(CLONE_NEWNS))
DEED(join_namespace, setns(here.file, 0))

/* ---- sockets ---- */

DEED(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))
DEED(socket_inet, socket(AF_INET, SOCK_STREAM, 0))
DEED(socket_inet_udp, socket(AF_INET, SOCK_DGRAM, 0))
DEED(socket_inet6, socket(AF_INET6, SOCK_STREAM, 0))
DEED(socket_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
DEED(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))
DEED(socket_vsock, socket(AF_VSOCK, SOCK_STREAM, 0))
DEED(socket_alg, socket(AF_ALG, SOCK_SEQPACKET, 0))
DEED(socket_raw, socket(AF_INET, SOCK_RAW, IPPROTO_ICMP))
DEED(socket_pair, socketpair(AF_UNIX, SOCK_STREAM, 0, (int[2]){0}))

/* Sockets that were there before the lock: what may be done with them? */
static int old_unix = -1, old_abstract = -1, old_tcp = -1, old_dgram = -1;

static struct sockaddr_un unix_at(const char *path, bool abstract)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path + abstract, sizeof(a.sun_path) - 1, "%s",
		       path);
	return a;
}

static struct sockaddr_in tcp_at(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int connect_to(int fd, const void *address, size_t len)
{
	return result(connect(fd, address, (socklen_t)len));
}

static int bind_to(int fd, const void *address, size_t len)
{
	return result(bind(fd, address, (socklen_t)len));
}

static int connect_unix(const void *what)
{
	const struct sockaddr_un a = unix_at("listener", false);

	(void)what;
	return connect_to(old_unix, &a, sizeof(a));
}

static int connect_abstract(const void *what)
{
	const struct sockaddr_un a = unix_at(here.name, true);

	(void)what;
	return connect_to(old_abstract, &a, sizeof(a));
}

static int connect_tcp(const void *what)
{
	const struct sockaddr_in a = tcp_at(here.tcp_port);

	(void)what;
	return connect_to(old_tcp, &a, sizeof(a));
}

static int bind_tcp(const void *what)
{
	const struct sockaddr_in a = tcp_at(0);

	(void)what;
	return bind_to(old_tcp, &a, sizeof(a));
}

static int bind_udp(const void *what)
{
	const struct sockaddr_in a = tcp_at(0);

	(void)what;
	return bind_to(old_dgram, &a, sizeof(a));
}

static int bind_unix(const void *what)
{
	const struct sockaddr_un a = unix_at("bound", false);

	(void)what;
	return bind_to(old_unix, &a, sizeof(a));
}

DEED(listen_again, listen(old_unix, 1))

/* ---- other processes ---- */

DEED(kill_parent, kill(here.parent, 0))
DEED(kill_everybody, kill(-1, 0))
DEED(tgkill_parent, syscall(SYS_tgkill, here.parent, here.parent, 0))
DEED(tkill_parent, syscall(SYS_tkill, here.parent, 0))
DEED(queue_to_parent,
     syscall(SYS_rt_sigqueueinfo, here.parent, 0, (char[128]){0}))
DEED(trace_parent, ptrace(PTRACE_ATTACH, here.parent, NULL, NULL))
DEED(be_traced, ptrace(PTRACE_TRACEME, 0, NULL, NULL))
DEED(read_parent,
     syscall(SYS_process_vm_readv, here.parent, NULL, 0L, NULL, 0L, 0L))
DEED(write_parent,
     syscall(SYS_process_vm_writev, here.parent, NULL, 0L, NULL, 0L, 0L))
DEED(pidfd_of_parent, syscall(SYS_pidfd_open, here.parent, 0))
DEED(take_descriptor, syscall(SYS_pidfd_getfd, here.file, 0, 0))
DEED(set_priority, syscall(SYS_setpriority, 0, 0, 5))
DEED(set_limit_of_parent, syscall(SYS_prlimit64, here.parent, 0, NULL, NULL))
DEED(set_affinity, syscall(SYS_sched_setaffinity, 0, 8, (uint64_t[1]){1}))

static int parents_memory(const void *what)
{
	char path[64];

	(void)what;
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", here.parent);
	return open_as(path, O_RDWR);
}

/* ---- starting something ---- */

DEED(fork_child, syscall(SYS_fork))
DEED(vfork_child, syscall(SYS_clone, CLONE_VM | SIGCHLD, 0, 0, 0, 0))
DEED(clone_thread,
     syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0))

/* ---- code, descriptors, the kernel's surface ---- */

DEED(map_code, (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
DEED(map_file_as_code,
     (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, here.file, 0))

static int make_code(const void *what)
{
	static _Alignas(4096) char page[4096];

	(void)what;
	return result(mprotect(page, sizeof(page), PROT_READ | PROT_EXEC));
}

DEED(memory_file, syscall(SYS_memfd_create, "x", 0))
DEED(cut_descriptor, ftruncate(here.file, 0))
DEED(duplicate, dup(here.file))
DEED(duplicate_onto, dup2(here.file, 99))
DEED(duplicate_by_fcntl, fcntl(here.file, F_DUPFD, 0))
DEED(signal_owner, fcntl(here.file, F_SETOWN, here.parent))
DEED(make_pipe, syscall(SYS_pipe2, (int[2]){0}, 0))
DEED(splice_file, syscall(SYS_splice, here.file, NULL, here.file, NULL, 1, 0))
DEED(tee_pipe, syscall(SYS_tee, here.file, here.file, 1, 0))
DEED(vmsplice_pipe, syscall(SYS_vmsplice, here.file, NULL, 0, 0))
DEED(send_file, syscall(SYS_sendfile, here.file, here.file, NULL, 0))
DEED(make_ring, syscall(SYS_io_uring_setup, 1, (char[256]){0}))
DEED(register_ring, syscall(SYS_io_uring_register, here.file, 0, NULL, 0))
DEED(make_userfaultfd, syscall(SYS_userfaultfd, 0))
DEED(load_bpf, syscall(SYS_bpf, 0, NULL, 0))
DEED(open_perf, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0))
DEED(add_key, syscall(SYS_add_key, NULL, "x", "y", 1, -4))
DEED(load_module, syscall(SYS_finit_module, here.file, "", 0))
DEED(change_mode, fchmod(here.file, 0777))
DEED(change_owner, fchown(here.file, 1, 1))
DEED(change_mode_by_path, chmod("file", 0777))
DEED(set_attribute, syscall(SYS_fsetxattr, here.file, "user.x", "y", 1, 0))
DEED(look_at_path, access("file", R_OK))
DEED(read_symlink, readlink("symlink", (char[8]){0}, 8))
DEED(become_root, syscall(SYS_setuid, 0))
DEED(be_dumped, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
DEED(set_handler, syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, 8))
DEED(drop_filter, syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL))
DEED(change_clock, syscall(SYS_settimeofday, NULL, NULL))
DEED(name_host, syscall(SYS_sethostname, NULL, 1))
DEED(new_vm, ioctl(here.file, KVM_CREATE_VM, 0))
DEED(new_vcpu, ioctl(here.file, KVM_CREATE_VCPU, 0))
DEED(new_memory, ioctl(here.file, KVM_SET_USER_MEMORY_REGION, 0))
DEED(type_on_terminal, ioctl(here.file, TIOCSTI, "x"))
DEED(new_tap, ioctl(here.file, 0x400454ca /* TUNSETIFF */, NULL))

/* ---- the list ---- */

static const struct denial {
	const char *name;
	int (*deed)(const void *what);
	unsigned int abi;  /* the first of Landlock that stops it; 0: none */
	enum fate filters; /* what those of the guest process do, each thread */
	bool harmless;     /* so that it can be done without a sandbox, too */
} denials[] = {
#define OPENS(deed, abi)   {#deed, deed, abi, FATE_KILLED, true}
#define BOTH(deed, abi)    {#deed, deed, abi, FATE_KILLED, false}
#define SIGNALS(deed, abi) {#deed, deed, abi, FATE_TRAPPED, true}
#define KILLS(deed)        {#deed, deed, 0, FATE_KILLED, false}
#define TRAPS(deed)        {#deed, deed, 0, FATE_TRAPPED, false}
	OPENS(open_to_read, 1),
	OPENS(open_to_write, 1),
	OPENS(open_and_cut, 1),
	OPENS(open_new, 1),
	OPENS(open_unnamed, 1),
	OPENS(open_folder, 1),
	OPENS(open_link, 1),
	OPENS(open_hard_link, 1),
	OPENS(open_fifo, 1),
	OPENS(open_passwd, 1),
	OPENS(open_null, 1),
	OPENS(open_urandom, 1),
	BOTH(open_own_memory, 1),
	OPENS(open_own_maps, 1),
	OPENS(open_root, 1),
	OPENS(open_program, 1),
	OPENS(open_mountinfo, 1),
	OPENS(openat_beneath, 1),
	OPENS(openat_above, 1),
	OPENS(openat2_file, 1),
	OPENS(reopen_file, 1),
	OPENS(reopen_o_path, 1),
	BOTH(parents_memory, 1),
	BOTH(make_folder, 1),
	BOTH(make_fifo, 1),
	BOTH(make_symlink, 1),
	BOTH(make_hard_link, 1),
	BOTH(remove_file, 1),
	BOTH(remove_folder, 1),
	BOTH(rename_here, 1),
	BOTH(rename_away, 1),
	BOTH(bind_unix, 1),
	OPENS(execute, 1),
	BOTH(execute_descriptor, 1),
	BOTH(mount_tmpfs, 1),
	BOTH(bind_mount, 1),
	BOTH(unmount, 1),
	BOTH(pivot, 1),
	BOTH(trace_parent, 1),
	OPENS(cut_by_path, 3),
	OPENS(connect_tcp, 4),
	OPENS(bind_tcp, 4),
	OPENS(kill_parent, 6),
	SIGNALS(tgkill_parent, 6),
	OPENS(connect_abstract, 6),
	OPENS(connect_unix, 9),
	OPENS(bind_udp, 10),
	KILLS(change_root),
	KILLS(new_user_namespace),
	KILLS(new_mount_namespace),
	KILLS(join_namespace),
	KILLS(socket_unix),
	KILLS(socket_inet),
	KILLS(socket_inet_udp),
	KILLS(socket_inet6),
	KILLS(socket_netlink),
	KILLS(socket_packet),
	KILLS(socket_vsock),
	KILLS(socket_alg),
	KILLS(socket_raw),
	KILLS(socket_pair),
	KILLS(listen_again),
	KILLS(kill_everybody),
	TRAPS(tkill_parent),
	TRAPS(queue_to_parent),
	KILLS(be_traced),
	KILLS(read_parent),
	KILLS(write_parent),
	KILLS(pidfd_of_parent),
	KILLS(take_descriptor),
	TRAPS(set_priority),
	TRAPS(set_limit_of_parent),
	TRAPS(set_affinity),
	KILLS(fork_child),
	KILLS(vfork_child),
	KILLS(clone_thread),
	TRAPS(map_code),
	TRAPS(map_file_as_code),
	TRAPS(make_code),
	KILLS(memory_file),
	TRAPS(cut_descriptor),
	TRAPS(duplicate),
	TRAPS(duplicate_onto),
	TRAPS(duplicate_by_fcntl),
	TRAPS(signal_owner),
	TRAPS(make_pipe),
	TRAPS(splice_file),
	TRAPS(tee_pipe),
	TRAPS(vmsplice_pipe),
	TRAPS(send_file),
	KILLS(make_ring),
	TRAPS(register_ring),
	KILLS(make_userfaultfd),
	KILLS(load_bpf),
	KILLS(open_perf),
	TRAPS(add_key),
	TRAPS(load_module),
	TRAPS(change_mode),
	TRAPS(change_owner),
	TRAPS(change_mode_by_path),
	TRAPS(set_attribute),
	TRAPS(look_at_path),
	TRAPS(read_symlink),
	TRAPS(become_root),
	TRAPS(be_dumped),
	TRAPS(set_handler),
	TRAPS(drop_filter),
	TRAPS(change_clock),
	TRAPS(name_host),
	TRAPS(new_vm),
	TRAPS(new_vcpu),
	TRAPS(new_memory),
	TRAPS(type_on_terminal),
	TRAPS(new_tap),
};

static int must_fd(int fd)
{
	assert_true(fd >= 0);
	return fd;
}

static void touch(const char *name)
{
	(void)close(must_fd(open(name, O_RDWR | O_CREAT, 0600)));
}

static int listen_at(int family, const void *address, size_t len)
{
	int fd = must_fd(socket(family, SOCK_STREAM, 0));

	assert_int_equal(bind(fd, address, (socklen_t)len), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

/* The folder that the deeds find, and the listeners that are no child's. */
static int make_world(void **state)
{
	const struct sockaddr_un path = unix_at("listener", false);
	const struct sockaddr_in any = tcp_at(0);
	struct sockaddr_in got;
	struct sockaddr_un name;
	socklen_t len = sizeof(got);
	static char folder[] = "sandbox-XXXXXX";
	int tcp;

	(void)state;
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return -1;
	touch("file");
	touch("victim");
	if (mkdir("sub", 0700) < 0 || mkdir("empty", 0700) < 0 ||
	    symlink("file", "symlink") < 0 || link("file", "hardlink") < 0 ||
	    mkfifo("fifo", 0600) < 0)
		return -1;
	here.folder = must_fd(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
	here.file = must_fd(open("file", O_RDWR | O_CLOEXEC));
	here.path = must_fd(open("file", O_PATH | O_CLOEXEC));
	here.program = must_fd(open("/bin/true", O_PATH | O_CLOEXEC));
	here.parent = getpid();
	(void)snprintf(here.name, sizeof(here.name), "volt-test-%d",
		       here.parent);
	name = unix_at(here.name, true);
	here.unix_listener = listen_at(AF_UNIX, &path, sizeof(path));
	(void)listen_at(AF_UNIX, &name, sizeof(name));
	tcp = listen_at(AF_INET, &any, sizeof(any));
	assert_int_equal(getsockname(tcp, (struct sockaddr *)&got, &len), 0);
	here.tcp_port = ntohs(got.sin_port);
	return 0;
}

static int end_world(void **state)
{
	static const char *const names[] = {
		"file",    "victim",   "symlink",     "hardlink",
		"fifo",    "listener", "new",         "made",
		"renamed", "bound",    "sub/renamed", "sub/made",
	};
	char folder[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(names[i]);
	(void)rmdir("made");
	(void)rmdir("sub");
	(void)rmdir("empty");
	if (!getcwd(folder, sizeof(folder)) || chdir("..") < 0)
		return -1;
	return rmdir(folder);
}

static void open_sockets(void)
{
	old_unix = socket(AF_UNIX, SOCK_STREAM, 0);
	old_abstract = socket(AF_UNIX, SOCK_STREAM, 0);
	old_tcp = socket(AF_INET, SOCK_STREAM, 0);
	old_dgram = socket(AF_INET, SOCK_DGRAM, 0);
}

static void close_sockets(void)
{
	fd_close(&old_unix);
	fd_close(&old_abstract);
	fd_close(&old_tcp);
	fd_close(&old_dgram);
}

static int fate(const struct denial *d, enum sandbox_thread thread,
		unsigned int abi)
{
	const struct child child = {
		.thread = thread,
		.abi = abi,
		.has_not = SANDBOX_HAS_MEMORY,
		.deed = d->deed,
	};
	int r;

	open_sockets();
	r = child_fate(&child);
	close_sockets();
	return r;
}

static bool is_denied(int fate)
{
	return fate == EACCES || fate == EPERM || fate == EXDEV;
}

static void try_landlock(const struct denial *d)
{
	static const unsigned int simulated[] = {1, 2, 4, 6};
	unsigned int own = landlock_abi();

	if (own > LANDLOCK_ABI_KNOWN)
		own = LANDLOCK_ABI_KNOWN;
	for (size_t i = 0; i <= ARRAY_SIZE(simulated); i++) {
		unsigned int abi =
			i < ARRAY_SIZE(simulated) ? simulated[i] : own;
		int f;

		if (abi > own || abi < d->abi)
			continue;
		f = fate(d, SANDBOX_NR_THREADS, abi);
		if (!is_denied(f))
			fail_msg("%s with ABI %u: %d", d->name, abi, f);
	}
}

/* Stopped by the kernel, whatever it would have said. A sanitizer's build traps
 * nothing (sandbox/calls.h). */
static void try_filters(const struct denial *d)
{
	if (IS_SANITIZED && d->filters == FATE_TRAPPED)
		skip();
	for (enum sandbox_thread t = 0; t <= SANDBOX_PAGER; t++) {
		int f = fate(d, t, 0);

		if (f != (int)d->filters)
			fail_msg("%s on %s: %d", d->name,
				 sandbox_thread_name(t), f);
	}
}

/* A deed that fails anyway would prove nothing. */
static void try_without(const struct denial *d)
{
	int f = fate(d, SANDBOX_NR_THREADS, 0);

	if (f != FATE_DONE)
		fail_msg("%s without a sandbox: %d", d->name, f);
}

static void test_denial(void **state)
{
	const struct denial *d = *state;

	if (d->harmless)
		try_without(d);
	if (d->abi && landlock_abi() > 0)
		try_landlock(d);
	try_filters(d);
}

/* ---- and what must work all the same ---- */

static int use_descriptors(const void *what)
{
	char byte = 'x';
	struct iovec iov = {&byte, 1};

	(void)what;
	if (lseek(here.file, 0, SEEK_END) < 0)
		return errno;
	if (syscall(SYS_pwritev2, here.file, &iov, 1, 0L, 0L, 0) != 1)
		return errno;
	return result(fdatasync(here.file));
}

static void test_open_descriptors_work(void **state)
{
	const struct denial d = {.deed = use_descriptors};

	(void)state;
	assert_int_equal(fate(&d, SANDBOX_VMM, landlock_abi()), FATE_DONE);
}

/* A descriptor that another process opened, received after the lock. */
static int given[2];

static int receive_file(const void *what)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	int fd;

	(void)what;
	if (recvmsg(given[0], &msg, 0) != 1 || !CMSG_FIRSTHDR(&msg))
		return errno;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return result(lseek(fd, 0, SEEK_END));
}

static void test_received_descriptors_work(void **state)
{
	const struct denial d = {.deed = receive_file};
	char byte = 'x';
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	int fd = must_fd(open("file", O_RDWR | O_CLOEXEC));

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, given), 0);
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	assert_int_equal(sendmsg(given[1], &msg, 0), 1);
	assert_int_equal(fate(&d, SANDBOX_VMM, landlock_abi()), FATE_DONE);
	(void)close(fd);
	(void)close(given[0]);
	(void)close(given[1]);
}

static int abort_here(const void *what)
{
	(void)what;
	abort();
}

/* A failed assertion ends by its own signal, not by the filter. */
static void test_abort(void **state)
{
	(void)state;
	for (enum sandbox_thread t = 0; t < SANDBOX_NR_THREADS; t++) {
		const struct denial d = {.deed = abort_here};

		assert_int_equal(fate(&d, t, 0), FATE_OTHER);
	}
}

/* The C library's heap: small and large blocks, given back. */
static int use_heap(const void *what)
{
	(void)what;
	for (size_t size = 16; size < MIB(64); size *= 3) {
		char *p = malloc(size);

		must(p != NULL);
		memset(p, 1, size);
		free(p);
	}
	return FATE_DONE;
}

static void test_heap(void **state)
{
	const struct denial d = {.deed = use_heap};

	(void)state;
	assert_int_equal(fate(&d, SANDBOX_VMM, 0), FATE_DONE);
	assert_int_equal(fate(&d, SANDBOX_GATE, 0), FATE_DONE);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(denials) + 4] = {
		cmocka_unit_test(test_open_descriptors_work),
		cmocka_unit_test(test_received_descriptors_work),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_heap),
	};
	static struct denial copy[ARRAY_SIZE(denials)];
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(denials); i++) {
		copy[i] = denials[i];
		tests[4 + i] = (struct CMUnitTest){
			.name = copy[i].name,
			.test_func = test_denial,
			.initial_state = &copy[i],
		};
	}
	if (make_world(NULL) < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return end_world(NULL) < 0 ? 1 : failed;
}
