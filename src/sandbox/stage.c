// SPDX-License-Identifier: Apache-2.0
/*
 * stage.c - how a process locks itself, step by step (theory: stage.h)
 */
#include "sandbox/stage.h"

#include "base/fd.h"
#include "base/log.h"
#include "host/path.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOST_FILE_MAX 1024

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9 */
#endif

static const char *const modes[] = {
	[SANDBOX_STRICT] = "strict",
	[SANDBOX_BEST_EFFORT] = "best-effort",
	[SANDBOX_OFF] = "off",
};

const char *sandbox_mode_name(enum sandbox_mode mode)
{
	return modes[mode];
}

const char *sandbox_filters_name(const struct sandbox *s)
{
	if (s->mode == SANDBOX_OFF || s->filters == SANDBOX_FILTERS_NONE ||
	    !s->has_seccomp)
		return "none";
	return s->filters == SANDBOX_FILTERS_CUSTOM ? "custom" : "own";
}

/* ---- the host's file ---- */

static int set_mode(struct sandbox *s, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i], word) == 0) {
			s->mode = (enum sandbox_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* "1" to "99": a host may ask for more than this version knows. */
static int set_min_abi(struct sandbox *s, const char *word)
{
	size_t len = strlen(word);

	if (len < 1 || len > 2 || strspn(word, "0123456789") != len ||
	    word[0] == '0')
		return -EINVAL;
	s->min_abi = (unsigned int)strtoul(word, NULL, 10);
	return 0;
}

static int stage_read_line(struct sandbox *s, char *line)
{
	char *key, *value, *save;

	line[strcspn(line, "#")] = '\0';
	key = strtok_r(line, " \t", &save);
	if (!key)
		return 0;
	value = strtok_r(NULL, " \t", &save);
	if (!value || strtok_r(NULL, " \t", &save))
		return -EINVAL;
	if (strcmp(key, "mode") == 0)
		return set_mode(s, value);
	return strcmp(key, "min-abi") == 0 ? set_min_abi(s, value) : -EINVAL;
}

int sandbox_read_host(struct sandbox *s, const char *path, struct err *err)
{
	cleanup_fd int fd =
		path_open(&path_direct, PATH_HOST_RULES, path, NULL);
	char text[HOST_FILE_MAX + 1];
	unsigned int nr = 1;
	ssize_t n;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return path_say(PATH_HOST_RULES, path, fd, "", err);
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return path_say(PATH_HOST_RULES, path, -errno, "", err);
	if ((size_t)n > HOST_FILE_MAX || memchr(text, '\0', (size_t)n))
		return err_set(err, -EINVAL, "%s is no text of %d bytes", path,
			       HOST_FILE_MAX);
	text[n] = '\0';
	for (char *line = text; line; nr++) {
		char *next = strchr(line, '\n');

		if (next)
			*next++ = '\0';
		if (stage_read_line(s, line) < 0)
			return err_set(err, -EINVAL,
				       "%s, line %u: neither \"mode "
				       "strict|best-effort|off\" nor "
				       "\"min-abi N\"",
				       path, nr);
		line = next;
	}
	return 0;
}

/* ---- early ---- */

/* The number behind @prefix in @word, or -1. */
static int named_fd(const char *word, const char *prefix)
{
	const char *at = strstr(word, prefix);
	int fd = 0;

	if (!at)
		return -1;
	at += strlen(prefix);
	if (*at < '0' || *at > '9')
		return -1;
	for (; *at >= '0' && *at <= '9' && fd < 1 << 20; at++)
		fd = fd * 10 + *at - '0';
	return fd;
}

static void sort(int *fd, unsigned int nr)
{
	for (unsigned int i = 1; i < nr; i++)
		for (unsigned int k = i; k > 0 && fd[k] < fd[k - 1]; k--) {
			int other = fd[k];

			fd[k] = fd[k - 1];
			fd[k - 1] = other;
		}
}

static int close_between(unsigned int from, unsigned int to)
{
	if (from > to)
		return 0;
	return syscall(SYS_close_range, from, to, 0) < 0 ? -errno : 0;
}

int sandbox_early(int argc, char **argv, const int own[2], struct err *err)
{
	static const char *const prefixes[] = {"/dev/fd/", "/proc/self/fd/"};
	int keep[SANDBOX_KEEP_MAX + 2];
	unsigned int nr = 0, from = STDERR_FILENO + 1;
	int r = 0;

	for (int i = 1; i < argc; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(prefixes); k++) {
			int fd = named_fd(argv[i], prefixes[k]);

			if (fd <= STDERR_FILENO)
				continue;
			if (nr == SANDBOX_KEEP_MAX)
				return err_set(err, -E2BIG,
					       "The command line names more "
					       "than %d descriptors",
					       SANDBOX_KEEP_MAX);
			keep[nr++] = fd;
		}
	}
	for (unsigned int i = 0; i < 2; i++)
		if (own[i] > STDERR_FILENO)
			keep[nr++] = own[i];
	sort(keep, nr);
	for (unsigned int i = 0; i < nr && r == 0; i++) {
		r = close_between(from, (unsigned int)keep[i] - 1);
		from = (unsigned int)keep[i] + 1;
	}
	if (r == 0)
		r = close_between(from, ~0u);
	/* Before Linux 5.9, as with all sandboxes that close none. */
	if (r < 0 && r != -ENOSYS)
		return err_set(err, r, "Cannot close stray descriptors: %s",
			       err_name(r));
	(void)umask(077);
	return 0;
}

/* ---- what the host has ---- */

#define ACCEPT_LESS                                                              \
	"; --sandbox best-effort, or \"mode best-effort\" in " SANDBOX_HOST_FILE \
	", accepts that"

int sandbox_check(struct sandbox *s, struct err *err)
{
	unsigned int abi = landlock_abi();

	s->abi = abi < LANDLOCK_ABI_KNOWN ? abi : LANDLOCK_ABI_KNOWN;
	s->has_seccomp = seccomp_available();
	s->own_pids = getppid() == 0 && getpid() <= 2;
	if (s->mode != SANDBOX_STRICT)
		return 0;
	if (abi == 0)
		return err_set(err, -EOPNOTSUPP,
			       "This host's kernel has no Landlock, or was "
			       "started without it (Linux 5.13 with "
			       "CONFIG_SECURITY_LANDLOCK, and \"landlock\" in "
			       "lsm=)" ACCEPT_LESS);
	if (abi < s->min_abi)
		return err_set(err, -EOPNOTSUPP,
			       "This host's Landlock has ABI %u, less than "
			       "--sandbox-min-abi %u" ACCEPT_LESS,
			       abi, s->min_abi);
	if (!s->has_seccomp && s->filters != SANDBOX_FILTERS_NONE)
		return err_set(err, -EOPNOTSUPP,
			       "This host's kernel has no seccomp filters "
			       "(CONFIG_SECCOMP_FILTER)" ACCEPT_LESS);
	return 0;
}

/* ---- locking ---- */

int sandbox_lock_thread(const struct sandbox *s)
{
	if (!s || s->mode == SANDBOX_OFF)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return s->abi > 0 ? landlock_lock(s->abi, !s->has_gate) : 0;
}

bool sandbox_is_isolated(const struct sandbox *s)
{
	bool all = sandbox_is_locked(s) && s->isolate;

	for (int i = 0; i < ISOLATE_NR_PARTS && all; i++)
		all = s->isolation.rc[i] == 0;
	return all;
}

/* Why a host that has namespaces gives none. */
static const char *why_not(enum isolate_part part, int rc)
{
	if (part != ISOLATE_USER)
		return "";
	return rc == -EPERM || rc == -ENOSPC
		       ? " (kernel.unprivileged_userns_clone=0, "
			 "user.max_user_namespaces, AppArmor, a chroot)"
		       : "";
}

static int isolate(struct sandbox *s, struct err *err)
{
	int r = isolate_process(&s->isolation);

	if (r < 0)
		return err_set(err, r, "Cannot give up capabilities: %s",
			       err_name(r));
	for (enum isolate_part i = 0; i < ISOLATE_NR_PARTS; i++) {
		const char *name = isolate_part_name(i);
		int rc = s->isolation.rc[i];

		if (rc == 0)
			continue;
		if (s->mode == SANDBOX_STRICT)
			return err_set(err, -EOPNOTSUPP,
				       "--isolate: this host gives no %s: "
				       "%s%s" ACCEPT_LESS,
				       name, err_name(rc), why_not(i, rc));
		log_warn("Not in the sandbox: %s: %s%s", name, err_name(rc),
			 why_not(i, rc));
	}
	return 0;
}

/* What glibc opens files for the first time it needs it: whether the heap of a
 * second thread may shrink, and the local time. */
static void settle_libc(void)
{
#ifdef __GLIBC__
	(void)mallopt(M_ARENA_MAX, 1);
	tzset();
#endif
}

int sandbox_lock(struct sandbox *s, struct err *err)
{
	const struct rlimit no_core = {0};
	int r;

	if (!s || s->mode == SANDBOX_OFF || s->locked)
		return 0;
	settle_libc();
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &no_core) < 0)
		return err_set(err, -errno,
			       "Cannot forbid tracing and core dumps: %s",
			       err_name(errno));
	r = s->isolate ? isolate(s, err) : 0;
	if (r < 0)
		return r;
	r = sandbox_lock_thread(s);
	if (r < 0)
		return err_set(err, r, "Landlock failed: %s", err_name(r));
	s->locked = true;
	return 0;
}

/* Are there to be any? */
static bool stage_filters(const struct sandbox *s)
{
	return s->mode != SANDBOX_OFF && s->filters != SANDBOX_FILTERS_NONE &&
	       s->has_seccomp;
}

int sandbox_gate(const struct sandbox *s)
{
	int r = 0;

	if (!s || s->mode == SANDBOX_OFF)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (s->abi > 0)
		r = landlock_lock_gate(s->abi, s->early);
	return r < 0 ? r
		     : sandbox_thread(s, s->early ? SANDBOX_GATE_EARLY
						  : SANDBOX_GATE);
}

/* The two filters of the early gate are both in force once the second is
 * loaded: what either refuses is refused. */
int sandbox_gate_runs(const struct sandbox *s)
{
	int r = 0;

	if (!s || !s->early || s->mode == SANDBOX_OFF)
		return 0;
	if (s->abi > 0)
		r = landlock_lock_gate(s->abi, false);
	if (r < 0 || !stage_filters(s))
		return r;
	return s->filters == SANDBOX_FILTERS_CUSTOM
		       ? sandbox_thread(s, SANDBOX_GATE)
		       : seccomp_load_late();
}

int sandbox_gate_paths(const struct sandbox *s,
		       const struct landlock_rule *rules, size_t nr)
{
	if (!s || s->mode == SANDBOX_OFF || s->abi == 0)
		return 0;
	return landlock_lock_but(s->abi, rules, nr);
}

/* Firecracker has no pager: its files have no program for one. */
static const struct seccomp_program *custom(const struct sandbox *s,
					    enum sandbox_thread thread)
{
	switch (thread) {
	case SANDBOX_VMM:
		return &s->custom.program[FILTER_FILE_VMM];
	case SANDBOX_VCPU:
		return &s->custom.program[FILTER_FILE_VCPU];
	case SANDBOX_GATE:
		return &s->custom.program[FILTER_FILE_API];
	default:
		return NULL;
	}
}

int sandbox_thread(const struct sandbox *s, enum sandbox_thread thread)
{
	const struct seccomp_program *own = NULL;

	if (!s || !stage_filters(s))
		return 0;
	if (s->filters == SANDBOX_FILTERS_CUSTOM)
		own = custom(s, thread);
	return own ? seccomp_load_custom(own) : seccomp_load(thread, s->has);
}

/* ---- what is missing ---- */

static size_t stage_say(char text[static SANDBOX_GAP_MAX], const char *what)
{
	return (size_t)snprintf(text, SANDBOX_GAP_MAX, "%s", what);
}

size_t sandbox_gap(const struct sandbox *s, unsigned int i,
		   char text[static SANDBOX_GAP_MAX])
{
	bool filters = s->has_seccomp && s->filters == SANDBOX_FILTERS_OWN;
	const char *gap;

	if (s->mode == SANDBOX_OFF)
		return i == 0 ? stage_say(text, "everything: --sandbox off")
			      : 0;
	if (s->filters == SANDBOX_FILTERS_NONE && i-- == 0)
		return stage_say(text, "system calls: --no-seccomp");
	if (s->filters == SANDBOX_FILTERS_CUSTOM && i-- == 0)
		return stage_say(text,
				 "what the filters of --seccomp-filter allow");
	if (s->filters != SANDBOX_FILTERS_NONE && !s->has_seccomp && i-- == 0)
		return stage_say(text,
				 "system calls: this kernel has no seccomp");
	if (s->has_gate && s->abi >= 6 && i-- == 0)
		return (size_t)snprintf(text, SANDBOX_GAP_MAX,
					"signals: the gate is to die with the "
					"VM%s",
					filters ? ", seccomp stops them alone"
						: "");
	if (s->isolate && !s->own_pids && i-- == 0)
		return stage_say(text,
				 "processes: no PID namespace, which volt and "
				 "volt-jailer make");
	for (enum isolate_part p = 0; p < ISOLATE_NR_PARTS; p++)
		if (s->isolation.rc[p] < 0 && i-- == 0)
			return (size_t)snprintf(text, SANDBOX_GAP_MAX, "%s: %s",
						isolate_part_name(p),
						err_name(s->isolation.rc[p]));
	gap = landlock_gap(s->abi, i);
	if (!gap)
		return 0;
	return (size_t)snprintf(text, SANDBOX_GAP_MAX,
				"%s: Landlock's ABI is %u%s", gap, s->abi,
				filters ? ", seccomp stops it alone" : "");
}

void sandbox_free(struct sandbox *s)
{
	filter_file_free(&s->custom);
}
