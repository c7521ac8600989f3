// SPDX-License-Identifier: Apache-2.0
/*
 * boot.c - from the initramfs to the image's root (theory: boot.h)
 */
#include "agent/boot.h"

#include "agent/net.h"
#include "base/buf.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define BOOT_TEXT_MAX   3072
#define BOOT_WAIT_STEPS 1000 /* of 10 ms */
#define BOOT_STEP_NS    10000000
#define BOOT_WORD_MAX   128

/**
 * struct boot_words - of the command line; "": not there
 */
struct boot_words {
	char root[BOOT_WORD_MAX];
	char type[BOOT_WORD_MAX];
	char layer[BOOT_WORD_MAX];
	char net[BOOT_WORD_MAX];
};

static int boot_read(const char *path, char *text, size_t size)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && at < size - 1) {
		n = read(fd, text + at, size - 1 - at);
		at += n > 0 ? (size_t)n : 0;
	}
	text[at] = '\0';
	return n < 0 ? -errno : 0;
}

/* The next of @at's words; cut off by any of @between. NULL: no more. */
static char *boot_next(char **at, const char *between)
{
	char *word = *at + strspn(*at, between);

	if (!*word)
		return NULL;
	*at = word + strcspn(word, between);
	if (**at)
		*(*at)++ = '\0';
	return word;
}

static void boot_take_word(const char *word, const char *name, char *value)
{
	size_t len = strlen(name);

	if (strncmp(word, name, len) == 0)
		(void)snprintf(value, BOOT_WORD_MAX, "%s", word + len);
}

static int boot_read_words(struct boot_words *words, struct err *err)
{
	char text[BOOT_TEXT_MAX], *at = text, *word;
	int r = boot_read("/proc/cmdline", text, sizeof(text));

	if (r < 0)
		return err_set(err, r, "cannot read the command line: %s",
			       err_name(r));
	while ((word = boot_next(&at, " \n"))) {
		boot_take_word(word, "root=", words->root);
		boot_take_word(word, "rootfstype=", words->type);
		boot_take_word(word, "volt.layer=", words->layer);
		boot_take_word(word, "volt.net=", words->net);
	}
	if (strncmp(words->root, "/dev/", 5) != 0)
		return err_set(err, -EINVAL,
			       "the command line needs root=/dev/NAME");
	return 0;
}

/* A module that is missing shows by what it would have driven. */
static void boot_load_modules(void)
{
	char text[BOOT_TEXT_MAX], *at = text, *path;

	if (boot_read("/load", text, sizeof(text)) < 0)
		return;
	while ((path = boot_next(&at, "\n"))) {
		cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 &&
			       errno != EEXIST))
			(void)fprintf(stderr,
				      "volt-agent: cannot load %s: %s\n", path,
				      err_name(errno));
		(void)unlink(path);
	}
	(void)unlink("/load");
}

static int boot_wait_for(const char *device, struct err *err)
{
	const struct timespec step = {.tv_nsec = BOOT_STEP_NS};

	for (int i = 0; i < BOOT_WAIT_STEPS; i++) {
		if (access(device, F_OK) == 0)
			return 0;
		(void)nanosleep(&step, NULL);
	}
	return err_set(err, -ENODEV, "there is no device %s", device);
}

/* With @type, or with each that the kernel has. */
static int boot_mount_as(const char *device, const char *where,
			 const char *type, unsigned long flags, struct err *err)
{
	char text[BOOT_TEXT_MAX], *at = text, *line;
	int r = boot_wait_for(device, err);

	if (r < 0)
		return r;
	if (type[0])
		return mount(device, where, type, flags, NULL) == 0
			       ? 0
			       : err_set(err, -errno,
					 "cannot mount %s as %s: %s", device,
					 type, err_name(errno));
	r = boot_read("/proc/filesystems", text, sizeof(text));
	/* "nodev\tproc", "\text4" */
	while (r == 0 && (line = boot_next(&at, "\n")))
		if (*line == '\t' &&
		    mount(device, where, line + 1, flags, NULL) == 0)
			return 0;
	return err_set(err, -ENODEV, "no file system of this kernel mounts %s",
		       device);
}

static int boot_overlay(const struct boot_words *words, struct err *err)
{
	int r = boot_mount_as(words->root, "/image", words->type, MS_RDONLY,
			      err);

	if (r == 0 && words->layer[0])
		r = boot_mount_as(words->layer, "/layer", "", 0, err);
	else if (r == 0 && mount("layer", "/layer", "tmpfs", 0, "mode=755") < 0)
		r = err_set(err, -errno, "cannot mount a tmpfs: %s",
			    err_name(errno));
	if (r < 0)
		return r;
	(void)mkdir("/layer/upper", 0755);
	(void)mkdir("/layer/work", 0755);
	if (mount("image", "/root", "overlay", 0,
		  "lowerdir=/image,upperdir=/layer/upper,"
		  "workdir=/layer/work") == 0)
		return 0;
	return err_set(err, -errno,
		       errno == ENODEV
			       ? "this kernel has no overlay file system"
			       : "cannot lay a writable layer over the image: "
				 "%s",
		       err_name(errno));
}

/* The folders that every program counts on; an image may lack them. */
static int boot_change_root(struct err *err)
{
	static const char *const moved[] = {"/dev", "/proc", "/sys"};
	char to[16];

	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		(void)snprintf(to, sizeof(to), "/root%s", moved[i]);
		(void)mkdir(to, 0755);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL) < 0)
			return err_set(err, -errno, "cannot move %s: %s",
				       moved[i], err_name(errno));
	}
	(void)unlink("/init");
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 ||
	    chroot(".") < 0 || chdir("/") < 0)
		return err_set(err, -errno, "cannot change the root: %s",
			       err_name(errno));
	return 0;
}

int boot_mount(struct err *err)
{
	struct boot_words words = {0};
	int r;

	if (mount("dev", "/dev", "devtmpfs", MS_NOSUID, NULL) < 0 &&
	    errno != EBUSY)
		return err_set(err, -errno, "cannot mount /dev: %s",
			       err_name(errno));
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0 ||
	    mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0)
		return err_set(err, -errno, "cannot mount /proc and /sys: %s",
			       err_name(errno));
	boot_load_modules();
	r = boot_read_words(&words, err);
	if (r == 0)
		r = boot_overlay(&words, err);
	return r == 0 ? boot_change_root(err) : r;
}

/* What is not there stays missing: the kernel may lack the type. */
static void boot_try(const char *type, const char *where, unsigned long flags,
		     const char *options)
{
	(void)mkdir(where, 0755);
	(void)mount(type, where, type, flags | MS_NOSUID, options);
}

static void boot_lo_up(void)
{
	cleanup_fd int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo"};

	if (sock < 0 || ioctl(sock, SIOCGIFFLAGS, &lo) < 0)
		return; /* a kernel without a network */
	lo.ifr_flags |= IFF_UP;
	(void)ioctl(sock, SIOCSIFFLAGS, &lo);
}

void boot_net_up(void)
{
	struct boot_words words = {0};
	struct err err;

	boot_lo_up();
	if (boot_read_words(&words, &err) < 0 || !words.net[0])
		return;
	if (agent_net_up(words.net, &err) < 0)
		(void)fprintf(stderr, "volt-agent: %s\n", err.text);
}

void boot_settle(void)
{
	boot_try("devpts", "/dev/pts", MS_NOEXEC,
		 "gid=5,mode=620,ptmxmode=666");
	boot_try("tmpfs", "/dev/shm", MS_NODEV, "mode=1777");
	boot_try("tmpfs", "/run", MS_NODEV, "mode=755");
	(void)symlink("/proc/self/fd", "/dev/fd");
	(void)symlink("/proc/self/fd/0", "/dev/stdin");
	(void)symlink("/proc/self/fd/1", "/dev/stdout");
	(void)symlink("/proc/self/fd/2", "/dev/stderr");
	boot_net_up();
}
