// SPDX-License-Identifier: Apache-2.0
/*
 * path.c - a path of the host becomes a descriptor, by what it is for (theory
 * of operation: path.h)
 */
#include "host/path.h"

#include "base/denied.h"
#include "base/fd.h"
#include "host/path_rules.h"
#include "host/tap.h"
#include "host/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define TUN         "/dev/net/tun"
#define CLAIM_TRIES 5

#ifndef SYS_openat2
#define SYS_openat2 437 /* Linux 5.6 */
#endif

/* ---- sentences ---- */

/* What {@word} stands for. Return: NULL: nothing. */
static const char *meaning(const char *word, size_t len, const char *path,
			   const char *hint, int rc, char os[static 96])
{
	const struct {
		const char *word;
		const char *text;
	} known[] = {
		{"path", path},
		{"hint", hint},
		{"why", err_name(rc)},
		{"os", os},
	};

	(void)snprintf(os, 96, "%s (os error %d)", err_name(rc), -rc);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strlen(known[i].word) == len &&
		    memcmp(known[i].word, word, len) == 0)
			return known[i].text;
	return NULL;
}

static void expand(char *out, size_t size, const char *form, const char *path,
		   const char *hint, int rc)
{
	size_t at = 0;
	char os[96];

	for (const char *p = form; *p && at + 1 < size;) {
		size_t len = *p == '{' ? strcspn(p, "}") : 0;
		const char *text =
			len > 0 ? meaning(p + 1, len - 1, path, hint, rc, os)
				: NULL;

		if (!text) {
			out[at++] = *p++;
			continue;
		}
		p += len + 1;
		at += (size_t)snprintf(out + at, size - at, "%s", text);
	}
	out[at < size ? at : size - 1] = '\0';
}

int path_say(enum path_role role, const char *path, int rc, const char *hint,
	     struct err *err)
{
	const struct path_sentence *say = path_rules[role].say;
	const char *name = path_rules[role].fixed;
	char text[ERR_TEXT_MAX];

	if (!err)
		return rc;
	while (say->rc != 0 && say->rc != rc)
		say++;
	name = name ? name : path;
	expand(text, sizeof(text), say->text, name, hint, rc);
	(void)err_set(err, rc, "%s", text);
	if (!say->plain)
		return rc;
	expand(text, ERR_PLAIN_MAX, say->plain, name, hint, rc);
	(void)err_plain(err, "%s", text);
	return rc;
}

/* ---- files ---- */

static unsigned int type_of(mode_t mode)
{
	return S_ISREG(mode)   ? PATH_REG
	       : S_ISDIR(mode) ? PATH_DIR
	       : S_ISBLK(mode) ? PATH_BLK
			       : 0;
}

/* A file system of the kernel's own: what looks like a file there, as
 * /proc/self/mem does, is a way into the host or into us, and no disk. */
static bool is_kernels(int fd)
{
	static const uint32_t types[] = {
		PROC_SUPER_MAGIC,    SYSFS_MAGIC,      DEBUGFS_MAGIC,
		TRACEFS_MAGIC,       SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,     EFIVARFS_MAGIC,
	};
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((uint32_t)fs.f_type == types[i])
			return true;
	return false;
}

/* Return: the type, or -errno. */
static int check_type(const struct path_rule *rule, int fd)
{
	unsigned int type;
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return -errno;
	type = type_of(st.st_mode);
	if ((rule->types & type) &&
	    !(rule->no_kernels && type == PATH_REG && is_kernels(fd)))
		return (int)type;
	return type == PATH_DIR && rule->wrong_dir ? rule->wrong_dir
						   : rule->wrong;
}

/**
 * struct spot - what is opened
 * @dir:	AT_FDCWD; or nothing out of it, and no symbolic link, is
 * followed
 */
struct spot {
	int dir;
	const char *path;
};

static int open_at(const struct spot *spot, int flags, mode_t mode)
{
	/* openat2() refuses what O_PATH does not heed. */
	const int heeded =
		flags & O_PATH ? O_PATH | O_DIRECTORY | O_CLOEXEC : ~0;
	const struct open_how how = {
		.flags = (unsigned int)(flags & heeded),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};

	/* One call: behind open() musl sets close-on-exec by another. */
	if (spot->dir == AT_FDCWD)
		return openat(AT_FDCWD, spot->path, flags, mode);
	return (int)syscall(SYS_openat2, spot->dir, spot->path, &how,
			    sizeof(how));
}

/*
 * The kernel lets one at a time claim a block device: a file system, swap,
 * another device over it. Who asks as we do has it for a moment only.
 */
static bool is_claimed(const struct spot *spot)
{
	const struct timespec moment = {.tv_nsec = 2000000};
	int fd = -1;

	for (int i = 0; i < CLAIM_TRIES; i++) {
		fd = open_at(spot, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK,
			     0);
		if (fd >= 0 || errno != EBUSY)
			break;
		(void)nanosleep(&moment, NULL);
	}
	if (fd < 0)
		return errno == EBUSY;
	fd_close(&fd);
	return false;
}

static int open_as(const struct path_rule *rule, const struct spot *spot)
{
	const int always = O_CLOEXEC | O_NOCTTY;
	int flags = rule->flags | always;
	int fd;

	if (!rule->may_wait)
		flags |= O_NONBLOCK;
	fd = open_at(spot, flags, rule->mode);
	if (fd < 0 && errno == ENXIO && rule->lone_fifo)
		fd = open_at(spot, O_RDWR | O_NONBLOCK | always, 0);
	return fd < 0 ? -errno : fd;
}

static int open_file(const struct path_rule *rule, const struct spot *spot)
{
	cleanup_fd int fd = open_as(rule, spot);
	int type = 0;

	if (fd < 0)
		return fd;
	if (rule->types)
		type = check_type(rule, fd);
	if (type < 0)
		return type;
	if (type == PATH_BLK && rule->claimed && is_claimed(spot))
		return -EBUSY;
	if (rule->unset_nonblock &&
	    fcntl(fd, F_SETFL, rule->flags & (O_WRONLY | O_RDWR)) < 0)
		return -errno;
	return fd_steal(&fd);
}

/* ---- taps ---- */

static int path_open_tap(const struct path_rule *rule, const char *name,
			 bool ready)
{
	cleanup_fd int fd = -1;
	int r = ready ? tap_look(name) : 0;

	if (r < 0)
		return r;
	if (strlen(name) > TAP_NAME_MAX)
		return -ENAMETOOLONG;
	fd = open_as(rule, &(struct spot){AT_FDCWD, TUN});
	if (fd < 0)
		return fd;
	r = tap_attach(fd, name);
	return r < 0 ? r : fd_steal(&fd);
}

/* ---- this process ---- */

static int path_open_here(const struct path_want *want)
{
	const struct path_rule *rule = &path_rules[want->role];
	const char *path = rule->fixed ? rule->fixed : want->path;

	switch (rule->how) {
	case PATH_TAP_BY_NAME:
		return path_open_tap(rule, path, want->role == PATH_TAP_READY);
	case PATH_LISTEN:
		return unix_listen(path, rule->backlog);
	case PATH_CONNECT:
		return unix_connect(path, rule->limit_ms);
	case PATH_CONNECTED:
		return unix_take_left(path);
	default:
		return open_file(rule, &(struct spot){AT_FDCWD, path});
	}
}

static int direct_open(const struct path_opener *opener,
		       const struct path_want *want, struct err *err)
{
	char hint[DENIED_HINT_MAX];
	int fd = path_open_here(want);

	(void)opener;
	if (fd >= 0 || !err)
		return fd;
	hint[0] = '\0';
	if (want->path && path_rules[want->role].how == PATH_FILE)
		(void)denied_hint(want->path, fd, hint);
	return path_say(want->role, want->path, fd, hint, err);
}

static const struct path_ops direct_ops = {.open = direct_open};

const struct path_opener path_direct = {.ops = &direct_ops};

/* ---- below a directory ---- */

bool path_is_file(enum path_role role)
{
	return path_rules[role].how == PATH_FILE;
}

bool path_writes(enum path_role role)
{
	const struct path_rule *rule = &path_rules[role];

	/* Not O_ACCMODE, which in musl has O_PATH in it. */
	return rule->makes || (rule->flags & (O_WRONLY | O_RDWR)) != 0;
}

int path_open_beneath(int dir, enum path_role role, const char *path)
{
	return open_file(&path_rules[role], &(struct spot){dir, path});
}

/* ---- any opener ---- */

int path_open_nth(const struct path_opener *opener, enum path_role role,
		  const char *path, unsigned int index, struct err *err)
{
	const struct path_want want = {role, path, index};

	return opener->ops->open(opener, &want, err);
}

enum path_compared path_compare(const struct path_opener *opener,
				enum path_role role, const char *path, int fd)
{
	cleanup_fd int now_fd = path_open(opener, role, path, NULL);
	struct stat here, now;

	if (now_fd < 0 || fd_stat(fd, &here) < 0 || fd_stat(now_fd, &now) < 0)
		return PATH_UNKNOWN;
	return here.st_ino == now.st_ino && here.st_dev == now.st_dev
		       ? PATH_SAME
		       : PATH_OTHER;
}

bool path_is_folder(const struct path_opener *opener, const char *path)
{
	cleanup_fd int fd = path_open(opener, PATH_FOLDER, path, NULL);

	return fd >= 0;
}

int path_read_text(const struct path_opener *opener, enum path_role role,
		   char *text, size_t size)
{
	cleanup_fd int fd = path_open(opener, role, NULL, NULL);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);
	int r = fd < 0 ? fd : n < 0 ? -errno : 0;

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return r;
}
