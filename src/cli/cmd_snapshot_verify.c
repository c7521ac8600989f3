// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_verify.c - `volt snapshot verify`: read all that a snapshot
 * needs (snapshot/verify.h)
 */
#include "cli/cli.h"

#include "base/fd.h"
#include "host/clock.h"
#include "pack/pack.h"
#include "snapshot/verify.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A terminal sees each second, a log the first and then every tenth. */
#define SAY_NS     UINT64_C(1000000000)
#define SAY_LOG_NS UINT64_C(10000000000)

const struct args_page cmd_snapshot_verify_page = {
	.name = "volt snapshot verify",
	.summary = "read all that a snapshot needs, and check it",
	.usage = "DIR | FILE | STATE MEMORY",
	.about =
		"Reads a snapshot (a directory with state.json in it) and "
		"everything that it is a diff of, as `volt restore` would find "
		"it; an exported one, which is a file; the two files that a "
		"client of the API made; or, of any other directory, all the "
		"snapshots and exports in it, each file once. Checked are the "
		"CRC of each state, whether the memory "
		"is the state's, whether the chain is there, the pages that "
		"the state remembers, and the CRC of all the memory where "
		"there is one: `volt snapshot --checksum` makes it. Memory "
		"without one is read all the same: a disk that cannot is "
		"found, a byte that changed is not.\n"
		"\n"
		"A sentence for each thing that is wrong goes to standard "
		"error, and so does, each second, how far it is. Nothing is "
		"changed or locked.\n",
	.exit = "0 right; 1 something is wrong, or it cannot be looked at; 2 "
		"nothing is wrong, and some memory has no CRC to check by; 64 "
		"bad usage.",
	.examples =
		"  volt snapshot verify snaps/tuesday\n"
		"  volt snapshot verify snaps || echo \"not all is well\"\n",
	.nr_words = 2,
};

/**
 * struct verifying - what is looked at, and who is told
 * @next_ns:	when the next line about progress is due
 * @line:	a line for a terminal was begun
 */
struct verifying {
	struct verify v;
	const struct args_page *page;
	uint64_t next_ns;
	bool person;
	bool line;
};

static void verifying_end_line(struct verifying *x)
{
	if (x->line)
		(void)fputc('\n', stderr);
	x->line = false;
}

static void verifying_problem(struct verify *v, const char *sentence)
{
	struct verifying *x = container_of(v, struct verifying, v);

	verifying_end_line(x);
	(void)cli_complain(1, x->page, "%s", sentence);
}

/* Not inlined: its text is too much for the frame of who reads. */
static __attribute__((noinline)) void verifying_say(struct verifying *x)
{
	char path[CLI_CLEAN_MAX];

	(void)fprintf(stderr, "%s%s: %llu MiB read, in %s%s",
		      x->person ? "\r" : "", x->page->name,
		      (unsigned long long)x->v.nr_bytes >> 20,
		      cli_clean(x->v.path ? x->v.path : "", path),
		      x->person ? "  " : "\n");
	x->line = x->person;
}

static void verifying_reading(struct verify *v)
{
	struct verifying *x = container_of(v, struct verifying, v);
	uint64_t now = now_ns();

	if (now < x->next_ns)
		return;
	x->next_ns = now + (x->person ? SAY_NS : SAY_LOG_NS);
	verifying_say(x);
}

/* @memory: of a snapshot of two files, else NULL. */
static int verify_snapshot(struct verify *v, const char *from,
			   const char *memory, struct err *err)
{
	struct snapshot_paths paths = {0};
	struct stat st;
	int r = snapshot_paths_of(&paths, from, memory);

	v->unpack = paths.unpack = &pack_unpacker;
	if (r < 0)
		return err_set(err, r, "out of memory");
	if (memory || lstat(paths.state, &st) == 0)
		r = snapshot_verify(v, &paths, err);
	else
		r = snapshot_verify_folder(v, from, err);
	snapshot_paths_free(&paths);
	return r;
}

static int verify_place(struct verify *v, const struct args *args,
			struct err *err)
{
	const char *place = args->words[0];
	const char *memory = args->nr_words > 1 ? args->words[1] : NULL;
	cleanup_fd int fd = -1;
	struct stat st;

	if (memory || (stat(place, &st) == 0 && S_ISDIR(st.st_mode)))
		return verify_snapshot(v, place, memory, err);
	fd = path_open(&path_direct, PATH_STATE, place, err);
	return fd < 0 ? fd : snapshot_verify_export(v, fd, place, err);
}

static int verify_tell(const struct verify *v, const char *place)
{
	char room[CLI_CLEAN_MAX];

	(void)cli_clean(place, room);
	if (v->nr_problems > 0)
		return 1; /* each has been told */
	(void)printf("%s: %u snapshot%s right, %llu MiB of memory read", room,
		     v->nr_snapshots, v->nr_snapshots == 1 ? "" : "s",
		     (unsigned long long)v->nr_bytes >> 20);
	if (v->nr_unproved > 0)
		(void)printf("; %u memory file%s without a CRC to check by",
			     v->nr_unproved, v->nr_unproved == 1 ? "" : "s");
	(void)putchar('\n');
	return v->nr_unproved > 0 ? 2 : 0;
}

int cmd_snapshot_verify(const struct args_page *page, int argc, char **argv)
{
	struct verifying x = {
		.v = {.problem = verifying_problem,
		      .reading = verifying_reading},
		.page = page,
		.next_ns = now_ns() + SAY_NS,
		.person = isatty(STDERR_FILENO),
	};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = verify_place(&x.v, &args, &err);
	verifying_end_line(&x);
	if (r == 0 && x.v.nr_snapshots == 0)
		r = err_set(&err, -ENOENT, "there is no snapshot in %s",
			    args.words[0]);
	return r < 0 ? cli_fail(1, page, &err)
		     : verify_tell(&x.v, args.words[0]);
}
