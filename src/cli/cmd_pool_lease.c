// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_pool_lease.c - `volt pool lease`, `release` and `wait`
 */
#include "cli/cli.h"
#include "cli/pool.h"
#include "cli/pool_limit.h"
#include "cli/resumed.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lease_vm {
	struct pool_asking asking;
	const char *name;
	const char *snapshot;
	const char *vsock;
	const char *cgroup;
	bool keep_cgroup;
	uint64_t memory;
	uint64_t cpu;
	uint64_t pids;
	uint64_t wait_ms;
	bool has_wait;
	bool paused;
	bool agent;
	uint64_t cid;
	bool has_cid;
	struct arg_list disks;
	struct arg_list overlays;
	struct arg_list nets;
	struct arg_list disk_limits;
	struct arg_list net_limits;
};

/* clang-format off */
#define LEASE_AT(member) .offset = offsetof(struct lease_vm, member)
#define LEASE_NUMBER(min_, max_, member) \
	.kind = ARG_NUMBER, .min = (min_), .max = (max_), LEASE_AT(member)

static const struct arg lease_vm_args[] = {
	{"name", "NAME", "of the lease (default: that of the VM)",
	 .kind = ARG_TEXT, LEASE_AT(name)},
	{"snapshot", "DIR", "into a shell: this one, not the pool's",
	 .kind = ARG_TEXT, LEASE_AT(snapshot)},
	{"disk", "ID=PATH", "another file for a drive", .kind = ARG_LIST,
	 LEASE_AT(disks)},
	{"overlay", "ID=DIR", "the VM writes to a copy of the drive's file, "
	 "which is made in DIR and ends with it", .kind = ARG_LIST,
	 LEASE_AT(overlays)},
	{"net", "ID=TAP[,MAC]", "the tap of an interface, and its address",
	 .kind = ARG_LIST, LEASE_AT(nets)},
	{"disk-limit", "ID=LIMIT", "a drive's rate limiter instead of the "
	 "snapshot's: " POOL_LIMIT_FORM " with the kinds bytes and ops, SIZE of "
	 "them in each MS milliseconds (default: 1000), BURST once besides",
	 .kind = ARG_LIST, LEASE_AT(disk_limits)},
	{"net-limit", "ID=LIMIT", "an interface's, with the kinds rx-bytes, "
	 "rx-ops, tx-bytes and tx-ops", .kind = ARG_LIST,
	 LEASE_AT(net_limits)},
	{"vsock", "SOCKET", "the path of the vsock device's socket",
	 .kind = ARG_TEXT, LEASE_AT(vsock)},
	{"cid", "N", "of the guest, by its vsock device",
	 LEASE_NUMBER(3, UINT32_MAX - 1, cid),
	 .has = offsetof(struct lease_vm, has_cid)},
	{"memory", "MIB", "limit of its cgroup: memory beyond what it has",
	 LEASE_NUMBER(1, UINT32_MAX, memory)},
	{"cpu", "PERCENT", "limit of its cgroup: of one CPU",
	 LEASE_NUMBER(1, UINT32_MAX, cpu)},
	{"pids", "N", "limit of its cgroup: processes and threads",
	 LEASE_NUMBER(1, UINT32_MAX, pids)},
	{"cgroup", "PATH", "both halves of the VM go there, as /proc/PID/cgroup "
	 "calls it (default: where this command runs)", .kind = ARG_TEXT,
	 .forbids = "keep-cgroup", LEASE_AT(cgroup)},
	{"keep-cgroup", NULL, "they stay where the daemon is",
	 .kind = ARG_FLAG, LEASE_AT(keep_cgroup)},
	{"wait", "MS", "for a VM that is ready; 0: not at all (default: the "
	 "pool's)", LEASE_NUMBER(0, UINT32_MAX, wait_ms),
	 .has = offsetof(struct lease_vm, has_wait)},
	{"paused", NULL, "it does not run yet: PATCH /vm lets it",
	 .kind = ARG_FLAG, LEASE_AT(paused)},
	{"agent", NULL, "Volt's agent is in the guest (`volt run IMAGE`): it sets "
	 "the clock, gets random numbers and runs the hooks of resume.d, before "
	 "this returns", .kind = ARG_FLAG, .needs = "vsock",
	 .forbids = "paused", LEASE_AT(agent)},
	POOL_ARG_JSON(struct lease_vm),
	POOL_ARG_SOCKET(struct lease_vm),
};

const struct args_page cmd_pool_lease_page = {
	.name = "volt pool lease",
	.summary = "have a VM that is ready",
	.usage = "[OPTIONS] POOL",
	.about = "Gives out a VM of POOL, which runs when this returns, and "
		 "tells its name, its PID, the socket of its API and how long "
		 "it took. What the snapshot has of drives that are written "
		 "to, taps and a vsock device gets its files, taps and path "
		 "here: for each of them one has to be named.\n"
		 "\n"
		 "Where none is ready it waits for its turn, first come first "
		 "served. A queue that is full is told at once.\n",
	.args = lease_vm_args,
	.nr_args = ARRAY_SIZE(lease_vm_args),
	.exit = "0 it runs; 1 failed; 64 bad usage.",
	.examples =
		"  volt pool lease web --name web-17 --overlay rootfs=/var/lib/vms "
		"--net eth0=tap17\n"
		"  volt pool lease web --disk-limit rootfs=bytes:100M,ops:2K "
		"--net-limit eth0=rx-bytes:10M,tx-bytes:10M\n"
		"  volt pool release web-17\n",
	.nr_words = 1,
};
/* clang-format on */

/* "ID=VALUE". Return: 0 and both are the caller's; -EINVAL, -ENOMEM. */
static int lease_split(const char *text, char **id, char **value)
{
	const char *at = strchr(text, '=');

	if (!at || at == text || !at[1])
		return -EINVAL;
	*id = strndup(text, (size_t)(at - text));
	*value = strdup(at + 1);
	return *id && *value ? 0 : -ENOMEM;
}

static int lease_bad(const char *flag, const char *what, const char *text,
		     int rc, struct err *err)
{
	if (rc == -ENOMEM)
		return err_set(err, rc, "out of memory");
	return err_set(err, rc, "--%s takes ID=%s, not '%s'", flag, what, text);
}

/* @path from the root on in its place. */
static int lease_root(char **path)
{
	char *whole = *path ? pool_absolute(*path) : NULL;

	if (*path && !whole)
		return -ENOMEM;
	free(*path);
	*path = whole;
	return 0;
}

static struct pool_drive *lease_drive_of(struct schema_list *drives,
					 const char *id)
{
	struct pool_drive *d = drives->items;

	for (size_t i = 0; i < drives->nr; i++)
		if (strcmp(d[i].id, id) == 0)
			return &d[i];
	return NULL;
}

/* --disk and --overlay of one drive are one item. */
static int lease_add_drive(struct schema_list *drives, const char *text,
			   bool overlay, struct err *err)
{
	const char *flag = overlay ? "overlay" : "disk";
	struct pool_drive new = {0}, *old;
	char **place = overlay ? &new.overlay : &new.path;
	int r = lease_split(text, &new.id, place);

	if (r == 0)
		r = lease_root(place);
	old = r == 0 ? lease_drive_of(drives, new.id) : NULL;
	if (r < 0)
		(void)lease_bad(flag, overlay ? "DIR" : "PATH", text, r, err);
	else if (old && (overlay ? old->overlay : old->path))
		r = err_set(err, -EINVAL, "--%s: %s is given twice", flag,
			    new.id);
	else if (old && overlay)
		old->overlay = new.overlay;
	else if (old)
		old->path = new.path;
	else
		((struct pool_drive *)drives->items)[drives->nr++] = new;
	if (r < 0 || old)
		free(new.id);
	if (r < 0)
		free(*place);
	return r;
}

static int lease_add_net(struct schema_list *nets, const char *text,
			 struct err *err)
{
	struct pool_net *net = &((struct pool_net *)nets->items)[nets->nr];
	char *comma;
	int r = lease_split(text, &net->id, &net->tap);

	nets->nr++; /* its strings are freed with it */
	if (r < 0)
		return lease_bad("net", "TAP[,MAC]", text, r, err);
	comma = strchr(net->tap, ',');
	if (!comma)
		return 0;
	*comma = '\0';
	net->mac = strdup(comma + 1);
	return net->mac ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* The interface @id; a new one where there is none yet. NULL: no memory. */
static struct pool_net *lease_net_of(struct schema_list *nets, const char *id)
{
	struct pool_net *n = nets->items;

	for (size_t i = 0; i < nets->nr; i++)
		if (n[i].id && strcmp(n[i].id, id) == 0)
			return &n[i];
	n[nets->nr].id = strdup(id);
	return n[nets->nr].id ? &n[nets->nr++] : NULL;
}

/* Likewise a drive. */
static struct pool_drive *lease_any_drive(struct schema_list *drives,
					  const char *id)
{
	struct pool_drive *d = lease_drive_of(drives, id);

	if (d)
		return d;
	d = &((struct pool_drive *)drives->items)[drives->nr];
	d->id = strdup(id);
	if (!d->id)
		return NULL;
	drives->nr++;
	return d;
}

static int lease_add_limit(struct pool_lease_ask *ask, const char *text,
			   bool net, struct err *err)
{
	cleanup_free char *id = NULL, *value = NULL;
	int r = lease_split(text, &id, &value);

	if (r == 0 && net) {
		struct pool_net *n = lease_net_of(&ask->networks, id);

		r = n ? pool_limit_net(n, value) : -ENOMEM;
	} else if (r == 0) {
		struct pool_drive *d = lease_any_drive(&ask->drives, id);

		r = d ? pool_limit_drive(d, value) : -ENOMEM;
	}
	return r < 0 ? lease_bad(net ? "net-limit" : "disk-limit",
				 POOL_LIMIT_FORM, text, r, err)
		     : 0;
}

static int lease_limits(struct pool_lease_ask *ask, const struct lease_vm *o,
			struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < o->disk_limits.nr && r == 0; i++)
		r = lease_add_limit(ask, o->disk_limits.text[i], false, err);
	for (unsigned int i = 0; i < o->net_limits.nr && r == 0; i++)
		r = lease_add_limit(ask, o->net_limits.text[i], true, err);
	return r;
}

static int lease_lists(struct pool_lease_ask *ask, const struct lease_vm *o,
		       struct err *err)
{
	int r = 0;

	ask->drives.items =
		calloc(3ul * ARGS_LIST_MAX, sizeof(struct pool_drive));
	ask->networks.items =
		calloc(2ul * ARGS_LIST_MAX, sizeof(struct pool_net));
	if (!ask->drives.items || !ask->networks.items)
		return err_set(err, -ENOMEM, "out of memory");
	for (unsigned int i = 0; i < o->disks.nr && r == 0; i++)
		r = lease_add_drive(&ask->drives, o->disks.text[i], false, err);
	for (unsigned int i = 0; i < o->overlays.nr && r == 0; i++)
		r = lease_add_drive(&ask->drives, o->overlays.text[i], true,
				    err);
	for (unsigned int i = 0; i < o->nets.nr && r == 0; i++)
		r = lease_add_net(&ask->networks, o->nets.text[i], err);
	return r == 0 ? lease_limits(ask, o, err) : r;
}

static char *lease_path(const char *path, bool *failed)
{
	char *whole = path ? pool_absolute(path) : NULL;

	*failed |= path && !whole;
	return whole;
}

/* All strings are its own, so that it can be freed as a whole. */
static int lease_fill(struct pool_request *request, const struct lease_vm *o,
		      const char *pool, struct err *err)
{
	struct pool_lease_ask *ask = &request->lease;
	bool failed = false;

	request->has[POOL_DO_LEASE] = true;
	ask->pool = strdup(pool);
	ask->name = o->name ? strdup(o->name) : NULL;
	ask->cgroup = o->cgroup ? strdup(o->cgroup) : NULL;
	ask->snapshot = lease_path(o->snapshot, &failed);
	ask->vsock = lease_path(o->vsock, &failed);
	ask->keep_cgroup = o->keep_cgroup;
	ask->has_limits = o->memory || o->cpu || o->pids;
	ask->limits = (struct pool_limits){
		.memory_mib = o->memory,
		.cpu = (uint32_t)o->cpu,
		.pids = (uint32_t)o->pids,
	};
	ask->has_wait = o->has_wait;
	ask->wait_ms = (uint32_t)o->wait_ms;
	ask->paused = o->paused;
	ask->has_cid = o->has_cid;
	ask->cid = (uint32_t)o->cid;
	if (failed || !ask->pool || (o->name && !ask->name) ||
	    (o->cgroup && !ask->cgroup))
		return err_set(err, -ENOMEM, "out of memory");
	return lease_lists(ask, o, err);
}

static __attribute__((noinline)) int
lease_print(const struct lease_vm *o, struct pool_reply *reply, struct err *err)
{
	const struct pool_lease *lease = &reply->answer.lease;
	char name[CLI_CLEAN_MAX], api[CLI_CLEAN_MAX];

	if (!reply->answer.has_lease)
		return err_set(err, -EPROTO, "The pool daemon gave no VM");
	if (o->asking.json)
		pool_print_json(reply, "lease");
	else
		(void)printf("%s  PID %u  %s  %llu us\n",
			     cli_clean(lease->name, name), lease->pid,
			     cli_clean(lease->api, api),
			     (unsigned long long)lease->us);
	return 0;
}

/* Not inlined: a frame of its own. */
static __attribute__((noinline)) int lease_tell(const struct lease_vm *o,
						const struct pool_lease *lease,
						struct err *err)
{
	char name[CLI_CLEAN_MAX], why[ERR_TEXT_MAX];
	bool met;
	int r = resumed_tell(o->vsock, &met, err);

	if (r == 0)
		return 0;
	(void)snprintf(why, sizeof(why), "%s", err_for_person(err));
	return err_set(err, r,
		       "The VM runs, and its guest was not told: %.200s. `volt "
		       "pool release %s` ends it",
		       why, cli_clean(lease->name, name));
}

/* Not inlined: what it holds and the command line are too much for one frame.
 */
static __attribute__((noinline)) int lease_go(const struct args_page *page,
					      const struct lease_vm *o,
					      const char *pool)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_reply reply = POOL_REPLY_NONE;
	struct err err;
	int r = lease_fill(&request, o, pool, &err);
	const bool asked = r == 0;

	if (r == 0)
		r = pool_ask(&o->asking, &request, &reply, &err);
	if (r == 0)
		r = lease_print(o, &reply, &err);
	if (r == 0 && o->agent)
		r = lease_tell(o, &reply.answer.lease, &err);
	pool_reply_free(&reply);
	schema_free(&pool_request_schema, &request);
	if (r == 0)
		return 0;
	return cli_fail(!asked && r == -EINVAL ? CLI_EXIT_USAGE : 1, page,
			&err);
}

int cmd_pool_lease(const struct args_page *page, int argc, char **argv)
{
	struct lease_vm o = {0};
	struct args args;
	int r = pool_parse(page, argc, argv, 1, &o, &args);

	if (r == CLI_GO_ON && o.name)
		r = pool_check_name(page, o.name);
	return r == CLI_GO_ON ? lease_go(page, &o, args.words[0]) : r;
}

/* ---- a lease that is there ---- */

struct lease_named {
	struct pool_asking asking;
};

/* clang-format off */
static const struct arg release_args[] = {
	POOL_ARG_SOCKET(struct lease_named),
};

const struct args_page cmd_pool_release_page = {
	.name = "volt pool release",
	.summary = "give a VM back: it ends",
	.usage = "NAME",
	.about = "The VM of lease NAME is destroyed, with its directory, "
		 "sockets and cgroup; it is never given out again. It returns "
		 "when it is gone.\n",
	.args = release_args,
	.nr_args = ARRAY_SIZE(release_args),
	.exit = "0 it is gone; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

static const struct arg wait_args[] = {
	POOL_ARG_JSON(struct lease_named),
	POOL_ARG_SOCKET(struct lease_named),
};

const struct args_page cmd_pool_wait_page = {
	.name = "volt pool wait",
	.summary = "wait until a VM has ended",
	.usage = "[--json] NAME",
	.about = "Returns when the VM of lease NAME has ended, and tells how: "
		 "its exit code, or the signal that ended it. A daemon that was "
		 "started behind the VM knows it from Linux 6.15 on.\n",
	.args = wait_args,
	.nr_args = ARRAY_SIZE(wait_args),
	.exit = "0 it has ended; 1 failed; 64 bad usage.",
	.nr_words = 1,
};
/* clang-format on */

int cmd_pool_release(const struct args_page *page, int argc, char **argv)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct lease_named o = {0};
	struct args args;
	int r = pool_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	request.has[POOL_DO_RELEASE] = true;
	request.release.name = args.words[0];
	return pool_run(page, &o.asking, &request);
}

static __attribute__((noinline)) void wait_print(const char *name,
						 const struct pool_exit *end)
{
	char room[CLI_CLEAN_MAX];

	(void)cli_clean(name, room);
	if (!end->known)
		(void)printf("%s has ended; nobody knows how\n", room);
	else if (end->signal)
		(void)printf("%s was ended by signal %u\n", room, end->signal);
	else
		(void)printf("%s has ended with exit code %u\n", room,
			     end->status);
}

int cmd_pool_wait(const struct args_page *page, int argc, char **argv)
{
	struct pool_request request = POOL_REQUEST_NEW;
	struct pool_reply reply = POOL_REPLY_NONE;
	struct lease_named o = {0};
	struct args args;
	struct err err;
	int r = pool_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	request.has[POOL_DO_WAIT] = true;
	request.wait.name = args.words[0];
	r = pool_ask(&o.asking, &request, &reply, &err);
	if (r == 0 && !reply.answer.has_exit)
		r = err_set(&err, -EPROTO,
			    "The pool daemon did not tell how it ended");
	if (r == 0 && o.asking.json)
		pool_print_json(&reply, "exit");
	else if (r == 0)
		wait_print(args.words[0], &reply.answer.exit);
	pool_reply_free(&reply);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
