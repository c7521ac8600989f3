// SPDX-License-Identifier: Apache-2.0
/*
 * landlock.c - a process that may name no file, port or stranger (landlock.h)
 */
#include "sandbox/landlock.h"

#include "base/fd.h"

#include <errno.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ABI 1 has the rights 0 to 12, those to make a symlink last. */
#define FS_FIRST ((1ull << 13) - 1)

static const struct {
	unsigned int abi; /* the first that has it */
	struct landlock_rights rights;
	const char *gap; /* what older ones leave to seccomp; NULL: nothing */
} landlock_table[] = {
	{1, {.fs = FS_FIRST}, "files"},
	/* Older kernels always deny it. */
	{2, {.fs = 1ull << 13 /* REFER */}, NULL},
	{3, {.fs = 1ull << 14 /* TRUNCATE */}, "truncating files"},
	{4, {.net = 3 /* BIND_TCP, CONNECT_TCP */}, "TCP"},
	{5, {.fs = 1ull << 15 /* IOCTL_DEV */}, "ioctls of devices"},
	{6,
	 {.scoped = 3 /* ABSTRACT_UNIX_SOCKET, SIGNAL */},
	 "signals and abstract Unix sockets"},
	{9, {.fs = 1ull << 16 /* RESOLVE_UNIX */}, "Unix sockets by path"},
	{10, {.net = 12 /* BIND_UDP, CONNECT_SEND_UDP */}, "UDP"},
};

unsigned int landlock_abi(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0,
			 LANDLOCK_CREATE_RULESET_VERSION);

	return r < 0 ? 0 : (unsigned int)r;
}

struct landlock_rights landlock_rights(unsigned int abi)
{
	struct landlock_rights all = {0};

	for (size_t i = 0; i < ARRAY_SIZE(landlock_table); i++) {
		if (landlock_table[i].abi > abi)
			continue;
		all.fs |= landlock_table[i].rights.fs;
		all.net |= landlock_table[i].rights.net;
		all.scoped |= landlock_table[i].rights.scoped;
	}
	return all;
}

/* The kernel's struct is packed. */
static int add_rule(int ruleset, const struct landlock_rule *rule,
		    uint64_t handled)
{
	const struct landlock_path_beneath_attr attr = {
		.allowed_access = rule->rights & handled,
		.parent_fd = rule->fd,
	};

	if (rule->fd < 0 || attr.allowed_access == 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset,
		       LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0
		       ? -errno
		       : 0;
}

static int lock_with(const struct landlock_rights *attr,
		     const struct landlock_rule *rules, size_t nr)
{
	cleanup_fd int fd = -1;
	int r = 0;

	/* Longer than an old kernel's struct: fine while the rest is zero. */
	fd = (int)syscall(SYS_landlock_create_ruleset, attr, sizeof(*attr), 0);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < nr && r == 0; i++)
		r = add_rule(fd, &rules[i], attr->fs);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r;
}

int landlock_lock(unsigned int abi, bool signals)
{
	struct landlock_rights attr = landlock_rights(abi);

	if (!signals)
		attr.scoped &= ~(uint64_t)LANDLOCK_SIGNALS;
	return lock_with(&attr, NULL, 0);
}

int landlock_lock_but(unsigned int abi, const struct landlock_rule *rules,
		      size_t nr)
{
	const struct landlock_rights attr = landlock_rights(abi);

	return lock_with(&attr, rules, nr);
}

int landlock_lock_gate(unsigned int abi, bool binds)
{
	struct landlock_rights attr = landlock_rights(abi);

	attr.fs = LANDLOCK_EXECUTE | LANDLOCK_MAKE_CHAR | LANDLOCK_MAKE_FIFO |
		  LANDLOCK_MAKE_BLOCK | LANDLOCK_MAKE_SYM;
	if (!binds)
		attr.fs |= LANDLOCK_MAKE_SOCK;
	return lock_with(&attr, NULL, 0);
}

const char *landlock_gap(unsigned int abi, unsigned int i)
{
	for (size_t k = 0; k < ARRAY_SIZE(landlock_table); k++)
		if (landlock_table[k].abi > abi && landlock_table[k].gap &&
		    i-- == 0)
			return landlock_table[k].gap;
	return NULL;
}
