// SPDX-License-Identifier: Apache-2.0
/*
 * init.c - the first process of a guest whose kernel needs modules for its root
 *
 * Theory of operation
 *
 * `volt run` puts it into a small initramfs with the modules that the root
 * needs (kernel/initramfs.h). It loads them in the order of the file /load,
 * waits for the root device, mounts it, and becomes the root's own init, with
 * the arguments and environment that the kernel gave. Its memory, and that of
 * the modules' files, is given back first.
 *
 * It obeys the words of the kernel command line that the kernel itself obeys
 * for a root that it mounts: root=, ro, rw, rootfstype=, rootflags=, init=. A
 * root is a device file, by its path. Without rootfstype= the file systems that
 * the kernel knows are tried in their order, as the kernel does.
 *
 * What goes wrong is said on the console in a sentence, and restarts the
 * machine, which ends the VM: nobody waits for a guest that has no root.
 *
 * It is freestanding: no C library, Linux's system calls by their numbers, so
 * that it is small and the same whatever builds it. Nothing here runs on the
 * host.
 */
#include <asm/unistd_64.h>
#include <linux/mount.h>
#include <linux/reboot.h>
#include <stdbool.h>
#include <stddef.h>

#define CMDLINE_BYTES 4096
#define LIST_BYTES    4096
#define KINDS_BYTES   4096
#define WAIT_STEPS    1000 /* of 10 ms */
#define STEP_NS       10000000
#define EEXIST        17
#define ENOENT        2
#define O_RDONLY      0

/* ---- what a C library would have ---- */

static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}

/* The compiler calls these two, by these names. */
void *copy_bytes(void *to, const void *from, size_t n) __asm__("memcpy");
void *fill_bytes(void *to, int byte, size_t n) __asm__("memset");

void *copy_bytes(void *to, const void *from, size_t n)
{
	char *t = to;
	const char *f = from;

	while (n-- > 0)
		*t++ = *f++;
	return to;
}

void *fill_bytes(void *to, int byte, size_t n)
{
	char *t = to;

	while (n-- > 0)
		*t++ = (char)byte;
	return to;
}

static size_t len_of(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* The rest of @text behind @with; NULL when it does not begin so. */
static char *behind(char *text, const char *with)
{
	while (*with && *text == *with) {
		text++;
		with++;
	}
	return *with ? NULL : text;
}

static void print(const char *text)
{
	(void)call(__NR_write, 2, (long)text, (long)len_of(text), 0, 0);
}

static void print_number(long n)
{
	char digits[24];
	int at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	print(digits + at);
}

static void say(const char *what, const char *name, long r)
{
	print("volt-init: ");
	print(what);
	print(name);
	if (r < 0) {
		print(": error ");
		print_number(-r);
	}
	print("\n");
}

static void stop(const char *what, const char *name, long r)
	__attribute__((noreturn));

static void stop(const char *what, const char *name, long r)
{
	say(what, name, r);
	for (;;)
		(void)call(__NR_reboot, (int)LINUX_REBOOT_MAGIC1,
			   LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0, 0);
}

/* A text file, with a NUL behind it. Return: its bytes or -errno. */
static long read_text(const char *path, char *text, size_t size)
{
	long fd = call(__NR_open, (long)path, O_RDONLY, 0, 0, 0);
	size_t at = 0;
	long n = 0;

	if (fd < 0)
		return fd;
	do {
		n = call(__NR_read, fd, (long)(text + at),
			 (long)(size - 1 - at), 0, 0);
		at += n > 0 ? (size_t)n : 0;
	} while (n > 0 && at < size - 1);
	text[at] = '\0';
	(void)call(__NR_close, fd, 0, 0, 0, 0);
	return (long)at;
}

/* The next word at *@at, cut off by any of @between; NULL: no more. */
static char *next_word(char **at, char between)
{
	char *word = *at;

	while (*word == between || *word == '\n')
		word++;
	if (!*word)
		return NULL;
	*at = word;
	while (**at && **at != between && **at != '\n')
		++*at;
	if (**at)
		*(*at)++ = '\0';
	return word;
}

/* ---- the command line ---- */

struct wishes {
	char *root;
	char *type;
	char *flags;
	char *init;
	unsigned long mode;
};

static bool take_value(char *word, const char *name, char **value)
{
	char *found = behind(word, name);

	if (found)
		*value = found;
	return found != NULL;
}

static void read_wishes(char *cmdline, struct wishes *w)
{
	char *word;

	while ((word = next_word(&cmdline, ' '))) {
		if (take_value(word, "root=", &w->root) ||
		    take_value(word, "rootfstype=", &w->type) ||
		    take_value(word, "rootflags=", &w->flags) ||
		    take_value(word, "init=", &w->init))
			continue;
		if (same(word, "ro"))
			w->mode = MS_RDONLY;
		else if (same(word, "rw"))
			w->mode = 0;
		else if (same(word, "--"))
			return;
	}
}

/* ---- modules ---- */

static void load_modules(char *list)
{
	char *path;

	while ((path = next_word(&list, '\n'))) {
		long fd = call(__NR_open, (long)path, O_RDONLY, 0, 0, 0);
		long r =
			fd < 0 ? fd
			       : call(__NR_finit_module, fd, (long)"", 0, 0, 0);

		if (r < 0 && r != -EEXIST)
			say("cannot load ", path, r);
		if (fd >= 0)
			(void)call(__NR_close, fd, 0, 0, 0, 0);
		(void)call(__NR_unlink, (long)path, 0, 0, 0, 0);
	}
}

/* ---- the root ---- */

static void wait_for(const char *device)
{
	const struct {
		long s;
		long ns;
	} step = {0, STEP_NS};

	for (int i = 0; i < WAIT_STEPS; i++) {
		if (call(__NR_access, (long)device, 0, 0, 0, 0) == 0)
			return;
		(void)call(__NR_nanosleep, (long)&step, 0, 0, 0, 0);
	}
	stop("there is no device for the root: ", device, 0);
}

static long mount_as(const struct wishes *w, const char *type)
{
	return call(__NR_mount, (long)w->root, (long)"/root", (long)type,
		    (long)w->mode, (long)w->flags);
}

static void mount_root(const struct wishes *w)
{
	static char kinds[KINDS_BYTES];
	char *at = kinds, *line;
	long r = -ENOENT;

	if (w->type) {
		r = mount_as(w, w->type);
		if (r < 0)
			stop("cannot mount the root as ", w->type, r);
		return;
	}
	r = read_text("/proc/filesystems", kinds, sizeof(kinds));
	/* "nodev\tproc", "\text4" */
	while (r >= 0 && (line = next_word(&at, '\n')))
		if (*line == '\t' && mount_as(w, line + 1) == 0)
			return;
	stop("no file system of this kernel mounts the root ", w->root, 0);
}

static void change_root(void)
{
	/* A root without /dev gets none. */
	if (call(__NR_mount, (long)"/dev", (long)"/root/dev", 0, MS_MOVE, 0) <
	    0)
		(void)call(__NR_umount2, (long)"/dev", 2 /* MNT_DETACH */, 0, 0,
			   0);
	(void)call(__NR_umount2, (long)"/proc", 0, 0, 0, 0);
	(void)call(__NR_unlink, (long)"/load", 0, 0, 0, 0);
	(void)call(__NR_unlink, (long)"/init", 0, 0, 0, 0);
	(void)call(__NR_chdir, (long)"/root", 0, 0, 0, 0);
	(void)call(__NR_mount, (long)".", (long)"/", 0, MS_MOVE, 0);
	(void)call(__NR_chroot, (long)".", 0, 0, 0, 0);
	(void)call(__NR_chdir, (long)"/", 0, 0, 0, 0);
}

static void become(const char *path, char **argv, char **envp)
{
	argv[0] = (char *)(size_t)path;
	(void)call(__NR_execve, (long)path, (long)argv, (long)envp, 0, 0);
}

/* The kernel's stack: argc, argv and a NULL, envp and a NULL. */
void init_main(long *stack) __attribute__((noreturn, used));

void init_main(long *stack)
{
	static char cmdline[CMDLINE_BYTES], list[LIST_BYTES];
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;
	struct wishes w = {.mode = MS_RDONLY};
	long r;

	(void)call(__NR_mount, (long)"dev", (long)"/dev", (long)"devtmpfs", 0,
		   0);
	(void)call(__NR_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0);
	r = read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	if (r < 0)
		stop("cannot read the command line", "", r);
	read_wishes(cmdline, &w);
	if (!w.root || !behind(w.root, "/dev/"))
		stop("the command line needs root=/dev/NAME, it has ",
		     w.root ? w.root : "none", 0);
	if (read_text("/load", list, sizeof(list)) > 0)
		load_modules(list);
	wait_for(w.root);
	mount_root(&w);
	change_root();
	if (w.init) {
		become(w.init, argv, envp);
		stop("the root has no init ", w.init, 0);
	}
	become("/sbin/init", argv, envp);
	become("/etc/init", argv, envp);
	become("/bin/init", argv, envp);
	become("/bin/sh", argv, envp);
	stop("the root has no /sbin/init, /etc/init, /bin/init or /bin/sh", "",
	     0);
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call init_main\n");
