// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_pool.c - `volt pool create`, `resize`, `drain` and `rm`
 */
#include "cli/cli.h"
#include "cli/pool.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct args_page cmd_pool_page = {
	.name = "volt pool",
	.summary = "VMs that are ready before they are asked for",
	.usage = "create|ls|lease|release|wait|resize|drain|rm|metrics ...",
	.about = "A pool keeps VMs ready: clones of one snapshot, restored and "
		 "paused, or shells, locked processes that any snapshot can be "
		 "loaded into. Who asks for one, a lease, has a VM that runs in "
		 "less than a millisecond. The daemon volt-pool does it, one "
		 "for each user; it needs no root.\n"
		 "\n"
		 "The usual way: `volt pool create` once, then for each VM "
		 "`volt pool lease`, which tells its PID and the socket of its "
		 "API, and `volt pool release`. A VM that was leased is never "
		 "given out again.\n",
	.exit = "64 bad usage; each form's --help has the rest.",
};

struct create_pool {
	struct pool_asking asking;
	bool shell;
	uint64_t size;
	uint64_t parallel;
	uint64_t rate;
	uint64_t cpu;
	uint64_t budget;
	uint64_t queue;
	uint64_t wait_ms;
	bool clock;
};

#define CREATE_AT(member) .offset = offsetof(struct create_pool, member)
#define CREATE_NUMBER(min_, max_, member) \
	.kind = ARG_NUMBER, .min = (min_), .max = (max_), CREATE_AT(member)

static const struct arg create_pool_args[] = {
	{"shell", NULL, "locked processes that wait for any snapshot; without "
	 "it clones of SNAPSHOT", .kind = ARG_FLAG, CREATE_AT(shell)},
	{"size", "N", "how many are kept ready (default: 8)",
	 CREATE_NUMBER(0, POOL_SIZE_MAX, size)},
	{"parallel", "N", "how many are made at a time (default: as many as "
	 "there are CPUs)", CREATE_NUMBER(1, POOL_SIZE_MAX, parallel)},
	{"rate", "N", "how many are made in a second, at most (default: no "
	 "limit)", CREATE_NUMBER(1, UINT32_MAX, rate)},
	{"cpu", "PERCENT", "of one CPU that making them may take (default: no "
	 "limit)", CREATE_NUMBER(1, UINT32_MAX, cpu)},
	{"budget", "MIB", "private memory of all of them (default: no limit): "
	 "beyond it no more are made", CREATE_NUMBER(1, UINT32_MAX, budget)},
	{"queue", "N", "how many leases may wait for one (default: 256)",
	 CREATE_NUMBER(0, POOL_QUEUE_MAX, queue)},
	{"wait", "MS", "how long they wait, if they do not say it (default: "
	 "5000)", CREATE_NUMBER(0, UINT32_MAX, wait_ms)},
	{"clock", NULL, "a guest's clock is set on by the time that has passed "
	 "since the snapshot", .kind = ARG_FLAG, CREATE_AT(clock)},
	POOL_ARG_SOCKET(struct create_pool),
};

const struct args_page cmd_pool_create_page = {
	.name = "volt pool create",
	.summary = "make a pool",
	.usage = "[OPTIONS] POOL SNAPSHOT [MEMORY] [-- OPTIONS OF volt-vmm]\n"
		 "--shell [OPTIONS] POOL [SNAPSHOT [MEMORY]] [-- OPTIONS OF "
		 "volt-vmm]",
	.about = "Makes a pool of clones of SNAPSHOT, a directory, or the "
		 "state's file with that of the MEMORY. They open no tap and "
		 "no socket and write to no drive before they are leased, so "
		 "any number of them wait side by side. It is back at once; "
		 "the VMs are made behind it: `volt pool ls`.\n",
	.args = create_pool_args,
	.nr_args = ARRAY_SIZE(create_pool_args),
	.exit = "0 it is there; 1 failed; 64 bad usage.",
	.examples = "  volt pool create --size 50 web snaps/web\n"
		    "  volt pool create --shell --size 20 any -- --isolate\n",
	.nr_words = 3,
	.rest = ARGS_REST_PASS,
};
/* clang-format on */

static int create_paths(struct pool_create *create, const struct args *args)
{
	if (args->nr_words > 1)
		create->snapshot = pool_absolute(args->words[1]);
	if (args->nr_words > 2)
		create->memory = pool_absolute(args->words[2]);
	return (args->nr_words > 1 && !create->snapshot) ||
			       (args->nr_words > 2 && !create->memory)
		       ? -1
		       : 0;
}

/* What follows "--", borrowed. */
static int create_vmm(struct pool_create *create, char **rest)
{
	size_t nr = 0;

	while (rest && rest[nr])
		nr++;
	if (nr > POOL_VMM_ARGS_MAX)
		return -1;
	create->vmm = (struct schema_list){nr, rest};
	return 0;
}

int cmd_pool_create(const struct args_page *page, int argc, char **argv)
{
	struct create_pool o = {
		.size = POOL_SIZE_DEFAULT,
		.queue = POOL_QUEUE_DEFAULT,
		.wait_ms = POOL_WAIT_MS_DEFAULT,
	};
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_create *create = &request.create;
	struct args args;
	int r = pool_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	if (!o.shell && args.nr_words < 2)
		return cli_misuse(page, "of which snapshot? Name it behind the "
					"pool, or give --shell");
	request.has[POOL_DO_CREATE] = true;
	create->pool = args.words[0];
	create->kind = o.shell ? POOL_SHELL : POOL_CLONE;
	create->size = (uint32_t)o.size;
	create->parallel = (uint32_t)o.parallel;
	create->rate = (uint32_t)o.rate;
	create->cpu = (uint32_t)o.cpu;
	create->memory_mib = o.budget;
	create->queue = (uint32_t)o.queue;
	create->wait_ms = (uint32_t)o.wait_ms;
	create->clock = o.clock;
	if (create_vmm(create, args.rest) < 0)
		r = cli_misuse(page, "at most %d words behind --",
			       POOL_VMM_ARGS_MAX);
	else if (create_paths(create, &args) < 0)
		r = cli_complain(1, page, "out of memory");
	else
		r = pool_run(page, &o.asking, &request);
	free(create->snapshot);
	free(create->memory);
	return r;
}

/* ---- a pool that is there ---- */

struct pool_named {
	struct pool_asking asking;
};

/* clang-format off */
static const struct arg pool_named_args[] = {
	POOL_ARG_SOCKET(struct pool_named),
};

const struct args_page cmd_pool_resize_page = {
	.name = "volt pool resize",
	.summary = "keep more VMs ready, or fewer",
	.usage = "POOL N",
	.about = "From now on N VMs of POOL are kept ready; those that are too "
		 "many go. A pool that was drained gives out VMs again.\n",
	.args = pool_named_args,
	.nr_args = ARRAY_SIZE(pool_named_args),
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 2,
};

const struct args_page cmd_pool_drain_page = {
	.name = "volt pool drain",
	.summary = "give out nothing more",
	.usage = "POOL",
	.about = "POOL gives out no VM from now on, and those that wait end; "
		 "leases go on. It returns when none waits any more. `volt "
		 "pool resize` fills it again, with its snapshot as it is "
		 "then.\n",
	.args = pool_named_args,
	.nr_args = ARRAY_SIZE(pool_named_args),
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

const struct args_page cmd_pool_rm_page = {
	.name = "volt pool rm",
	.summary = "remove a pool",
	.usage = "POOL",
	.about = "As `volt pool drain`, and then POOL is not there any more. "
		 "VMs that were leased go on, and are released as ever.\n",
	.args = pool_named_args,
	.nr_args = ARRAY_SIZE(pool_named_args),
	.exit = "0 done; 1 failed; 64 bad usage.",
	.nr_words = 1,
};
/* clang-format on */

int cmd_pool_resize(const struct args_page *page, int argc, char **argv)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_named o = {0};
	struct args args;
	uint64_t size;
	int r = pool_parse(page, argc, argv, 2, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	if (!args_number(args.words[1], 0, POOL_SIZE_MAX, &size))
		return cli_misuse(page, "'%s' is no number from 0 to %d",
				  args.words[1], POOL_SIZE_MAX);
	request.has[POOL_DO_RESIZE] = true;
	request.resize.pool = args.words[0];
	request.resize.size = (uint32_t)size;
	return pool_run(page, &o.asking, &request);
}

static int pool_run_named(const struct args_page *page, int argc, char **argv,
			  enum pool_do what)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_named o = {0};
	struct args args;
	int r = pool_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	request.has[what] = true;
	if (what == POOL_DO_DRAIN)
		request.drain.pool = args.words[0];
	else
		request.rm.pool = args.words[0];
	return pool_run(page, &o.asking, &request);
}

int cmd_pool_drain(const struct args_page *page, int argc, char **argv)
{
	return pool_run_named(page, argc, argv, POOL_DO_DRAIN);
}

int cmd_pool_rm(const struct args_page *page, int argc, char **argv)
{
	return pool_run_named(page, argc, argv, POOL_DO_RM);
}
