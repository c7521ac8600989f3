// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_logs.c - `volt logs`: what a VM in the background said
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include "base/fd.h"
#include "vms/vm_log.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define LOGS_STEP_MS 100

struct logs {
	bool follow;
	bool timestamps;
	bool has_tail;
	uint64_t tail;
	uint64_t since;
};

#define AT(member) .offset = offsetof(struct logs, member)

/* clang-format off */
static const struct arg logs_args[] = {
	{"follow", NULL, "-f: go on with what comes, until the VM has ended",
	 .letter = 'f', .kind = ARG_FLAG, AT(follow)},
	{"tail", "N", "the last N lines only", .kind = ARG_NUMBER,
	 .max = UINT32_MAX, AT(tail), .has = offsetof(struct logs, has_tail)},
	{"since", "SECONDS", "only what was said in the last SECONDS",
	 .kind = ARG_NUMBER, .min = 1, .max = UINT32_MAX, AT(since)},
	{"timestamps", NULL, "with the time before each line",
	 .kind = ARG_FLAG, AT(timestamps)},
};
/* clang-format on */

const struct args_page cmd_logs_page = {
	.name = "volt logs",
	.summary = "what a VM in the background said",
	.usage = "[OPTIONS] NAME",
	.about = "Prints what the command of VM NAME wrote, its output to "
		 "standard output, its errors to standard error, or the "
		 "console of a VM without an image. What Volt had to say of it "
		 "is among the errors. Two files of 8 MiB are kept of it: what "
		 "is older is gone.\n",
	.args = logs_args,
	.nr_args = ARRAY_SIZE(logs_args),
	.exit = "0 printed; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

/**
 * struct logs_out - what was printed last
 * @open:	of each stream: its line has no end yet
 */
struct logs_out {
	const struct logs *logs;
	uint64_t from;
	bool open[VM_LOG_STREAMS];
};

static void logs_print(struct logs_out *out, const struct vm_log_line *line)
{
	FILE *to = line->stream == VM_LOG_OUTPUT ? stdout : stderr;
	char when[VM_LOG_TIME_MAX];

	if (out->logs->timestamps && !out->open[line->stream]) {
		vm_log_time(line->ms, when);
		(void)fprintf(to, "%s ", when);
	}
	(void)fwrite(line->text, 1, line->len, to);
	if (line->whole)
		(void)fputc('\n', to);
	out->open[line->stream] = !line->whole;
}

/* How many lines are to be left out. Return: 0 or -errno. */
static int logs_skip(struct kept *kept, const struct logs_out *out,
		     uint64_t *skip)
{
	struct tail reader;
	struct vm_log_line line;
	uint64_t lines = 0;
	int r;

	*skip = 0;
	if (!out->logs->has_tail)
		return 0;
	vm_log_begin(&reader, kept->vm.folder);
	while ((r = vm_log_next(&reader, &line)) > 0)
		lines += line.ms >= out->from && line.whole;
	tail_end(&reader);
	*skip = lines > out->logs->tail ? lines - out->logs->tail : 0;
	return r;
}

/* What there is now. Return: 0 or -errno. */
static int logs_read(struct tail *reader, struct logs_out *out, uint64_t *skip)
{
	struct vm_log_line line;
	int r;

	while ((r = vm_log_next(reader, &line)) > 0) {
		if (line.ms < out->from)
			continue;
		if (*skip == 0)
			logs_print(out, &line);
		else if (line.whole)
			(*skip)--;
		if (ferror(stdout))
			return -EPIPE;
	}
	if (fflush(stdout) != 0)
		return -errno;
	return r;
}

/* Return: 0; -errno with a sentence. */
static int logs_go(struct kept *kept, const char *name, const struct logs *o,
		   struct err *err)
{
	const struct timespec step = {.tv_nsec = LOGS_STEP_MS * 1000000L};
	const uint64_t ago = o->since * 1000, now = vms_now_ms();
	struct logs_out out = {
		.logs = o,
		.from = o->since && ago < now ? now - ago : 0,
	};
	struct tail reader;
	uint64_t skip;
	bool ended;
	int r = logs_skip(kept, &out, &skip);

	vm_log_begin(&reader, kept->vm.folder);
	do {
		/* Asked first: what came before its end is read then. */
		ended = !o->follow || kept_ended(name, 0);
		if (r == 0)
			r = logs_read(&reader, &out, &skip);
		if (!ended && r == 0)
			(void)nanosleep(&step, NULL);
	} while (!ended && r == 0);
	tail_end(&reader);
	return r < 0 ? err_set(err, r, "Cannot read the log of %s: %s", name,
			       err_name(r))
		     : 0;
}

int cmd_logs(const struct args_page *page, int argc, char **argv)
{
	struct logs o = {0};
	struct kept kept;
	struct args args;
	struct err err;
	int r, code = cli_parse(page, argc, argv, 1, &o, &args);

	if (code != CLI_GO_ON)
		return code;
	r = kept_open(&kept, args.words[0], &err);
	if (r == 0)
		r = logs_go(&kept, args.words[0], &o, &err);
	kept_close(&kept);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
