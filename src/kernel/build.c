// SPDX-License-Identifier: Apache-2.0
/*
 * build.c - a kernel from its source and Volt's fragments (build.h)
 */
#include "kernel/build.h"

#include "kernel/build_priv.h"
#include "kernel/kconfig.h"
#include "store/digest.h"
#include "store/program.h"
#include "store/tree.h"

#include "base/clock.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WANTED   "volt.config"
#define PLAN     "volt.plan"
#define LOG_TAIL KIB(64)
/* No more words than these: make's own, and what is to be made. */
#define WORDS_MAX 12

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* "FOLDER/NAME"; to be freed. */
static char *path_in(const struct build *build, const char *name)
{
	return tree_path(build->folder, name);
}

/* Is what is held what its name means? */
static bool is_still_there(const struct build *build)
{
	struct stat held, named;

	return fstat(build->hold, &held) == 0 &&
	       lstat(build->folder, &named) == 0 &&
	       held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static int make_folder(struct build *build, struct err *err)
{
	cleanup_buf struct buf key = {0};
	struct digest sum;
	int r;

	build->hold = -1;
	buf_addf(&key, "%s\n%s\n", build->source->id, build->source->version);
	if (!build->keep)
		fragments_print(build->fragments, &key);
	if (key.failed)
		return out_of_memory(err);
	sum = digest_of(key.data, key.len);
	if (asprintf(&build->folder, "%s/build-%.12s", build->cache, sum.hex) <
	    0) {
		build->folder = NULL;
		return out_of_memory(err);
	}
	/* Who held it may have removed it. */
	do {
		fd_close(&build->hold);
		if (mkdir(build->folder, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "Cannot make %s: %s",
				       build->folder, err_name(errno));
		r = source_hold(build->folder, false, build->progress,
				build->keep ? "waiting for another build of "
					      "this source"
					    : "waiting for another build of "
					      "the same kernel",
				&build->hold, err);
	} while (r == 0 && !is_still_there(build));
	return r;
}

static int write_wanted(const struct build *build, struct err *err)
{
	cleanup_free char *path = path_in(build, WANTED);
	cleanup_buf struct buf text = {0};
	cleanup_fd int fd = -1;
	int r;

	fragments_print(build->fragments, &text);
	if (!path || text.failed)
		return out_of_memory(err);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : fd_write_full(fd, text.data, text.len);
	return r < 0 ? err_set(err, r, "Cannot write %s: %s", path, err_name(r))
		     : 0;
}

/* What of a file is behind @from, at most @max bytes; with a NUL. */
static int read_from(const char *path, off_t from, size_t max, struct buf *out)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t len;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	len = st.st_size > from ? (size_t)(st.st_size - from) : 0;
	if (len > max)
		from += (off_t)(len - max);
	len = len > max ? max : len;
	if (!buf_reserve(out, len + 1))
		return -ENOMEM;
	r = fd_read_full(fd, out->data, len, from);
	if (r < 0)
		return r;
	out->len = len;
	out->data[len] = '\0';
	return 0;
}

/**
 * struct making - make at work
 * @log:	what it said so far was read up to @read
 */
struct making {
	struct program program;
	struct progress *progress;
	const char *log;
	off_t read;
	unsigned int done;
	unsigned int total;
	int64_t start_ms;
};

static void tell_how_far(const struct program *program)
{
	struct making *making = program->arg;
	cleanup_buf struct buf text = {0};
	char what[128], left[32];

	if (read_from(making->log, making->read, MIB(1), &text) == 0) {
		const char *stop =
			text.len ? memrchr(text.data, '\n', text.len) : NULL;
		size_t len = stop ? (size_t)(stop + 1 - text.data) : 0;

		making->read += (off_t)len;
		making->done += build_count_steps(text.data, len, false);
	}
	if (making->total < making->done)
		making->total = making->done;
	(void)snprintf(
		what, sizeof(what), "building, %u of %u files%s%s",
		making->done, making->total, making->done > 0 ? ", about " : "",
		making->done > 0
			? build_time_left(
				  (uint64_t)(clock_now_ms() - making->start_ms),
				  making->done, making->total, left)
			: "");
	progress_tell(making->progress, what, 0, 0);
}

static void say_configuring(const struct program *program)
{
	progress_tell(program->progress, program->what, 0, 0);
}

/**
 * run_make() - make in the source, its output to a file
 * @words:	what of, NULL-terminated
 * @making:	its start; gets the rest
 */
static int run_make(const struct build *build, const char *const *words,
		    const char *log, bool more, struct making *making,
		    struct err *err)
{
	cleanup_free char *out = NULL, *config = NULL;
	const char *argv[WORDS_MAX] = {"make"};
	/* Nothing of a make that this one may run below, nor of a person's
	 * settings, comes into the kernel. */
	const char *env[] = {
		"MAKEFLAGS",
		"MAKELEVEL",
		"MFLAGS",
		"KBUILD_OUTPUT",
		"INSTALL_PATH",
		"CROSS_COMPILE",
		"LOCALVERSION",
		"KBUILD_BUILD_USER=volt",
		"KBUILD_BUILD_HOST=volt",
		"KCFLAGS",
		"KBUILD_BUILD_VERSION=1",
		"KBUILD_BUILD_TIMESTAMP=Thu Jan  1 00:00:00 UTC 1970",
		config,
		NULL};
	cleanup_fd int fd = open(log,
				 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC |
					 (more ? 0 : O_TRUNC),
				 0644);
	cleanup_buf struct buf nothing = {0};
	unsigned int n = 1;

	if (fd < 0)
		return err_set(err, -errno, "Cannot write %s: %s", log,
			       err_name(errno));
	if (asprintf(&out, "O=%s", build->folder) < 0)
		out = NULL;
	if (asprintf(&config, "KCONFIG_ALLCONFIG=%s/" WANTED, build->folder) <
	    0)
		config = NULL;
	if (!out || !config)
		return out_of_memory(err);
	env[ARRAY_SIZE(env) - 2] = config;
	argv[n++] = out;
	argv[n++] = "ARCH=x86_64";
	while (*words)
		argv[n++] = *words++;
	making->program.argv = argv;
	making->program.env = env;
	making->program.folder = build->source->folder;
	making->program.log = fd;
	making->program.arg = making;
	return program_run(&making->program, &nothing, NULL);
}

/* It failed: why, and where the rest stands. */
static int failed_at(const char *doing, const char *log, struct err *err)
{
	cleanup_buf struct buf text = {0};
	char line[256] = "";

	if (read_from(log, 0, LOG_TAIL, &text) == 0)
		build_find_error(text.data, text.len, line);
	return err_set(err, -EIO, "%s failed: %s (its log is %s)", doing,
		       line[0] ? line : "it says not why", log);
}

static int build_configure(const struct build *build, const char *log,
			   struct err *err)
{
	static const char *const words[] = {"allnoconfig", NULL};
	struct making making = {
		.program = {.tick = say_configuring,
			    .progress = build->progress,
			    .what = "configuring"},
	};
	int r = run_make(build, words, log, false, &making, err);

	if (r < 0)
		return r;
	return r > 0 ? failed_at("The kernel's configuration", log, err) : 0;
}

/* Options that did not become what they should. */
static int check_config(const struct build *build, struct buf *ignored,
			struct err *err)
{
	cleanup_free char *path = path_in(build, ".config");
	cleanup_buf struct buf config = {0}, lost = {0};
	const struct fragment_line *line;
	int r = path ? read_from(path, 0, KCONFIG_BYTES_MAX, &config) : -ENOMEM;

	if (r < 0)
		return err_set(err, r, "Cannot read %s/.config: %s",
			       build->folder, err_name(r));
	for (size_t from = 0;;) {
		int i = fragments_find_lost(build->fragments, from, config.data,
					    config.len);

		if (i < 0)
			break;
		from = (size_t)i + 1;
		line = &build->fragments->lines[i];
		if (build_tree_has(build->source->folder, line->name))
			buf_addf(&lost, " CONFIG_%s=%s", line->name,
				 line->value);
		else if (!line->maybe)
			buf_addf(ignored, " CONFIG_%s=%s", line->name,
				 line->value);
	}
	buf_add(&lost, "", 1);
	if (lost.failed || ignored->failed)
		return out_of_memory(err);
	return lost.len > 1 ? err_set(err, -EINVAL,
				      "Linux %s cannot set what was asked for "
				      "with what else was:%.400s",
				      build->source->version, lost.data)
			    : 0;
}

/* How many files there are to make; 0: it cannot be told. */
static unsigned int count_plan(const struct build *build)
{
	static const char *const prepare[] = {"-s", "prepare", NULL};
	static const char *const dry[] = {"-n", "vmlinux", NULL};
	cleanup_free char *plan = path_in(build, PLAN);
	cleanup_buf struct buf text = {0};
	struct making making = {
		.program = {.tick = say_configuring,
			    .progress = build->progress,
			    .what = "counting what there is to build"}};
	unsigned int steps = 0;

	/* It ends at files that are not there yet; what comes then counts
	 * little. */
	if (plan && run_make(build, prepare, plan, false, &making, NULL) == 0 &&
	    run_make(build, dry, plan, false, &making, NULL) >= 0 &&
	    read_from(plan, 0, MIB(64), &text) == 0)
		steps = build_count_steps(text.data, text.len, true);
	if (plan)
		(void)unlink(plan);
	return steps;
}

static int compile(const struct build *build, const char *log, struct err *err)
{
	char jobs[32];
	const char *const words[] = {jobs, "vmlinux", NULL};
	struct making making = {
		.program = {.tick = tell_how_far},
		.progress = build->progress,
		.log = log,
	};
	struct stat st;
	int r;

	(void)snprintf(jobs, sizeof(jobs), "-j%u", build->jobs);
	making.total = count_plan(build);
	making.start_ms = clock_now_ms();
	if (stat(log, &st) == 0)
		making.read = st.st_size;
	r = run_make(build, words, log, true, &making, err);
	if (r < 0)
		return r;
	return r > 0 ? failed_at("The kernel's build", log, err) : 0;
}

int build_kernel(struct build *build, struct buf *ignored, struct err *err)
{
	cleanup_free char *log = NULL;
	int r = source_make_cache(build->cache, err);

	if (r == 0)
		r = make_folder(build, err);
	if (r == 0)
		r = write_wanted(build, err);
	if (r < 0)
		return r;
	log = path_in(build, BUILD_LOG);
	if (!log)
		return out_of_memory(err);
	r = build_configure(build, log, err);
	if (r == 0)
		r = check_config(build, ignored, err);
	if (r < 0)
		return r;
	(void)build_drop_unfinished(build->folder);
	return compile(build, log, err);
}

void build_close(struct build *build, bool done)
{
	if (build->folder && done)
		tree_retire(build->folder);
	if (build->folder)
		fd_close(&build->hold);
	free(ptr_steal(build->folder));
}
