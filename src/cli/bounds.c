// SPDX-License-Identifier: Apache-2.0
/*
 * bounds.c - what a VM may take of the host (theory of operation: bounds.h)
 */
#include "cli/bounds.h"

#include "cli/keeper.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static bool needs_cgroup(const struct bounds *b)
{
	return b->group.memory_mib || b->group.cpu || b->group.pids;
}

int bounds_check(const struct bounds *bounds, struct err *err)
{
	if (bounds->group.memory_mib > BOUNDS_MIB_MAX ||
	    bounds->file_mib > BOUNDS_MIB_MAX ||
	    bounds->log_mib > BOUNDS_MIB_MAX)
		return err_set(err, -EINVAL,
			       "--max-memory, --max-file and "
			       "--console-log-size are 1024G at most");
	if (bounds->group.parent && !needs_cgroup(bounds))
		return err_set(err, -EINVAL,
			       "--cgroup needs --max-memory, --max-cpu or "
			       "--max-pids");
	return 0;
}

/* The other end becomes standard output; the keeper is there by then. */
static int open_console(struct keeper *k, const struct bounds *b, int *out,
			struct err *err)
{
	uint64_t mib = b->log_mib ? b->log_mib : BOUNDS_LOG_MIB;
	int ends[2];
	int r = console_log_open(&k->log, b->log, MIB(mib), err);

	if (r < 0)
		return r;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, -errno, "Cannot make a pipe: %s",
			       err_name(errno));
	k->console = ends[0];
	k->temporary = b->log_temporary;
	*out = ends[1];
	return 0;
}

/* What the keeper does from here on is no business of this process any more. */
static int start_keeper(struct keeper *k, const struct bounds *b,
			const char *name, int *out, struct err *err)
{
	pid_t pid;
	int r = b->log ? open_console(k, b, out, err) : 0;

	if (r == 0)
		r = vm_cgroup_make(&k->cgroup, &b->group, name, err);
	pid = r == 0 ? keeper_start(k, err) : r;
	if (pid < 0)
		vm_cgroup_remove(&k->cgroup);
	console_log_close(&k->log);
	fd_close(&k->console);
	return pid < 0 ? (int)pid
		       : vm_cgroup_enter(&k->cgroup, &b->group, pid, err);
}

static int limit_files(uint64_t mib, struct err *err)
{
	const struct rlimit limit = {MIB(mib), MIB(mib)};

	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return err_set(err, -errno,
			       "Cannot bound the size of files: %s",
			       err_name(errno));
	return 0;
}

int bounds_apply(const struct bounds *bounds, const char *name, struct err *err)
{
	cleanup_free struct keeper *k = calloc(1, sizeof(*k));
	cleanup_fd int out = -1;
	int r = 0;

	if (!k)
		return err_set(err, -ENOMEM, "Out of memory");
	k->console = -1;
	k->log.fd = -1;
	k->log.folder = -1;
	if (bounds->log || needs_cgroup(bounds))
		r = start_keeper(k, bounds, name, &out, err);
	if (r == 0 && out >= 0 && dup2(out, STDOUT_FILENO) < 0)
		r = err_set(err, -errno, "Cannot redirect the console: %s",
			    err_name(errno));
	if (r == 0 && bounds->file_mib)
		r = limit_files(bounds->file_mib, err);
	return r;
}
