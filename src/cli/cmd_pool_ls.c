// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_pool_ls.c - `volt pool ls` and `metrics`
 */
#include "cli/cli.h"
#include "cli/pool.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A member's id, which is an --id. */
#define AFTER_MAX 128

struct list_pools {
	struct pool_asking asking;
	bool members;
};

/* clang-format off */
static const struct arg list_pools_args[] = {
	{"members", NULL, "each VM as well", .kind = ARG_FLAG,
	 .offset = offsetof(struct list_pools, members)},
	POOL_ARG_JSON(struct list_pools),
	POOL_ARG_SOCKET(struct list_pools),
};

const struct args_page cmd_pool_ls_page = {
	.name = "volt pool ls",
	.summary = "the pools, and what is ready",
	.usage = "[--members] [--json] [POOL]",
	.about = "Lists the pools, or POOL: how many VMs are ready of those "
		 "that shall be, how many are being made, leased or on their "
		 "way out, and how many leases wait. Below, why one does not "
		 "refill. With --members each VM, with its PID and the socket "
		 "of its API.\n",
	.args = list_pools_args,
	.nr_args = ARRAY_SIZE(list_pools_args),
	.exit = "0 listed, also when there is none; 1 failed; 64 bad usage.",
	.examples = "  volt pool ls --members web\n",
	.nr_words = 1,
};
/* clang-format on */

static const char *ls_kind(enum pool_kind kind)
{
	return kind == POOL_SHELL ? "shell" : "clone";
}

static __attribute__((noinline)) void
ls_print_pools(const struct pool_listing *ls)
{
	const struct pool_row *rows = ls->pools.items;
	char room[CLI_CLEAN_MAX], more[CLI_CLEAN_MAX];

	(void)printf("%-20s %-6s %6s %6s %8s %6s %6s %7s %11s %s\n", "POOL",
		     "KIND", "SIZE", "READY", "STARTING", "LEASED", "ENDING",
		     "WAITING", "PRIVATE/MiB", "SNAPSHOT");
	for (size_t i = 0; i < ls->pools.nr; i++) {
		const struct pool_row *r = &rows[i];

		(void)printf("%-20s %-6s %6u %6u %8u %6u %6u %7u %11.1f %s%s\n",
			     cli_clean(r->pool, room), ls_kind(r->kind),
			     r->size, r->ready, r->starting, r->leased,
			     r->ending, r->waiting,
			     (double)r->private_kib / 1024,
			     r->snapshot ? cli_clean(r->snapshot, more) : "-",
			     r->draining ? " (draining)" : "");
	}
	for (size_t i = 0; i < ls->pools.nr; i++)
		if (rows[i].trouble)
			(void)printf("%s does not refill: %s\n",
				     cli_clean(rows[i].pool, room),
				     cli_clean(rows[i].trouble, more));
}

static __attribute__((noinline)) void
ls_print_members(const struct pool_listing *ls, bool first)
{
	const struct pool_member_row *rows = ls->members.items;
	char id[CLI_CLEAN_MAX], pool[CLI_CLEAN_MAX];
	char name[CLI_CLEAN_MAX], api[CLI_CLEAN_MAX];

	if (first)
		(void)printf("\n%-24s %-20s %-8s %-20s %8s %s\n", "VM", "POOL",
			     "STATE", "LEASE", "PID", "API");
	for (size_t i = 0; i < ls->members.nr; i++)
		(void)printf("%-24s %-20s %-8s %-20s %8u %s\n",
			     cli_clean(rows[i].id, id),
			     cli_clean(rows[i].pool, pool),
			     pool_state_name(rows[i].state),
			     rows[i].name ? cli_clean(rows[i].name, name) : "-",
			     rows[i].pid, cli_clean(rows[i].api, api));
}

/* One answer. Return: 1: more follow, *@after has their place; 0; -errno. */
static int ls_page(const struct list_pools *o, struct pool_request *request,
		   bool first, char after[static AFTER_MAX], struct err *err)
{
	struct pool_reply reply = POOL_REPLY_NONE;
	const struct pool_listing *ls = &reply.answer.ls;
	const struct pool_member_row *rows;
	int r = pool_ask(&o->asking, request, &reply, err);

	if (r == 0 && !reply.answer.has_ls)
		r = err_set(err, -EPROTO, "The pool daemon listed nothing");
	if (r == 0 && o->asking.json) {
		pool_print_json(&reply, "ls");
	} else if (r == 0) {
		if (first)
			ls_print_pools(ls);
		if (o->members)
			ls_print_members(ls, first);
	}
	rows = ls->members.items;
	if (r == 0 && ls->more && ls->members.nr > 0) {
		(void)snprintf(after, AFTER_MAX, "%s",
			       rows[ls->members.nr - 1].id);
		r = 1;
	}
	pool_reply_free(&reply);
	return r;
}

int cmd_pool_ls(const struct args_page *page, int argc, char **argv)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct list_pools o = {0};
	char after[AFTER_MAX];
	struct args args;
	struct err err;
	bool first = true;
	int r = pool_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	request.has[POOL_DO_LS] = true;
	request.ls.pool = args.nr_words > 0 ? args.words[0] : NULL;
	request.ls.members = o.members;
	do {
		r = ls_page(&o, &request, first, after, &err);
		request.ls.after = after;
		first = false;
	} while (r == 1);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

/* ---- metrics ---- */

struct pool_metrics {
	struct pool_asking asking;
	bool openmetrics;
};

/* clang-format off */
static const struct arg pool_metrics_args[] = {
	{"openmetrics", NULL, "as OpenMetrics text, for a file that a node "
	 "exporter reads; without it JSON, as volt-vmm's metrics",
	 .kind = ARG_FLAG, .offset = offsetof(struct pool_metrics, openmetrics)},
	POOL_ARG_SOCKET(struct pool_metrics),
};

const struct args_page cmd_pool_metrics_page = {
	.name = "volt pool metrics",
	.summary = "how the pools do, for programs",
	.usage = "[--openmetrics]",
	.about = "Prints what the daemon counts: VMs by state, how long leases "
		 "took, how fast it refills, memory that is private and shared, "
		 "and what one more clone costs.\n",
	.args = pool_metrics_args,
	.nr_args = ARRAY_SIZE(pool_metrics_args),
	.exit = "0 printed; 1 failed; 64 bad usage.",
};
/* clang-format on */

static __attribute__((noinline)) int metrics_copy(int fd, struct err *err)
{
	char chunk[1024];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, chunk, sizeof(chunk), at)) > 0) {
		if (fwrite(chunk, 1, (size_t)n, stdout) != (size_t)n)
			return 0; /* main() looks whether it arrived */
		at += n;
	}
	return n < 0 ? err_set(err, -errno, "Cannot read the metrics: %s",
			       err_name(errno))
		     : 0;
}

int cmd_pool_metrics(const struct args_page *page, int argc, char **argv)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_reply reply = POOL_REPLY_NONE;
	struct pool_metrics o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	request.has[POOL_DO_METRICS] = true;
	request.metrics.format = o.openmetrics ? POOL_OPENMETRICS : POOL_JSON;
	r = pool_ask(&o.asking, &request, &reply, &err);
	if (r == 0 && reply.fd[0] < 0)
		r = err_set(&err, -EPROTO, "The pool daemon gave no metrics");
	if (r == 0)
		r = metrics_copy(reply.fd[0], &err);
	pool_reply_free(&reply);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
