/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_kit.h - small snapshots in a directory of a test's own, and a
 * process that is killed at each of its system calls
 */
#pragma once

#include "folder.h"
#include "unit.h"

#include "base/fd.h"
#include "snapshot/find.h"
#include "snapshot/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOOT "0d2f-boot"

/* A directory of a test's own. */
struct world {
	char dir[64];
	struct snapshot_paths paths;
};

static inline int set_up(void **state)
{
	static struct world w;

	(void)snprintf(w.dir, sizeof(w.dir), "/dev/shm/volt-test-XXXXXX");
	*state = &w;
	return !mkdtemp(w.dir) || snapshot_paths_in(&w.paths, w.dir) < 0;
}

/* Number of files, all of them removed when @clear. */
static inline unsigned int count(const struct world *w, bool clear)
{
	DIR *dir = opendir(w->dir);
	const struct dirent *e;
	unsigned int nr = 0;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		nr++;
		if (clear)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
	(void)closedir(dir);
	return nr;
}

static inline int tear_down(void **state)
{
	struct world *w = *state;

	snapshot_paths_free(&w->paths);
	return folder_remove(w->dir);
}

static inline struct snapshot *sample(uint64_t id)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	char kernel[SNAPSHOT_TEXT_MAX];

	assert_non_null(s);
	snapshot_kernel_name(kernel);
	snapshot_describe(s, id, BOOT, kernel);
	s->memory_bytes = sizeof(id);
	s->nr_vcpus = 1;
	s->vcpus[0].regs.rip = 0xfff0;
	s->vcpus[0].nr_msrs = 1;
	s->config = (struct schema_raw){"{\"a\":[1],\"b\":\"\"}", 16};
	s->nr_devices = 1;
	(void)snprintf(s->devices[0].name, SNAPSHOT_TEXT_MAX, "serial");
	s->devices[0].state = (struct schema_raw){"{\"ier\":\"0x1\"}", 13};
	return s;
}

static inline int save(const struct world *w, uint64_t id, bool commit)
{
	cleanup_buf struct buf text = {0};
	struct snapshot_files files;
	struct snapshot *s = sample(id);
	struct err err = {0};
	int r;

	snapshot_encode(s, &text);
	free(s);
	r = snapshot_files_begin(&files, &w->paths, id, &err);
	if (r == 0)
		r = fd_write_full(files.memory.fd, &id, sizeof(id));
	if (r == 0)
		r = fd_write_full(files.state.fd, text.data, text.len);
	if (r == 0 && commit)
		r = snapshot_files_commit(&files, &err);
	snapshot_files_end(&files);
	return r;
}

/* The id that state and memory agree on; fails when they do not. */
static inline uint64_t load(const struct world *w)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct snapshot_reader reader;
	struct err err = {0};
	uint64_t id = 0;
	int r;

	assert_non_null(s);
	r = snapshot_find(&reader, &w->paths, true, s, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fd_read_full(reader.memory_fd, &id, sizeof(id), 0), 0);
	assert_int_equal(id, s->head.id);
	snapshot_reader_end(&reader);
	free(s);
	return id;
}

/* Runs @what, which returns 0, until its @nr-th stop at a system call. Return:
 * it ended. */
static inline bool killed_at(int (*what)(const struct world *w),
			     const struct world *w, unsigned int nr)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, 0, 0);
		(void)raise(SIGSTOP);
		_exit(-what(w));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (unsigned int i = 0; i < nr; i++) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return true;
		}
	}
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return false;
}
