/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - VMs that are ready before they are asked for
 *
 * Theory of operation
 *
 * One daemon, one thread, one loop. A pool keeps members, each of them a
 * volt-vmm of its own; a lease hands one over.
 *
 *	STARTING --> READY --> LEASING --> LEASED --> ENDING --> gone
 *	    \__________\__________\___________________^
 *
 *	STARTING	the process is there. Its API is dialled until it
 *			listens; a clone then loads its snapshot and stays
 *			paused, a shell is ready at once: it has locked itself
 *			before its API listens (--sandbox-first)
 *	READY		its connection to the API stands, and nothing is under
 *			way on it
 *	LEASING		into the lessee's cgroup, then all requests at once
 *			(steps.h). The last one lets the guest run
 *	LEASED		the daemon has nothing of it but a pidfd
 *	ENDING		killed, or ended by itself. When it is reaped its
 *			cgroup and directory go
 *
 * There is no way back: a VM that was to be leased is leased or destroyed.
 *
 * Nothing waits for a member. Requests are written and answers read by the loop
 * (call.h), each within a deadline; a member that is stopped costs its own
 * lease its deadline, and nobody else anything.
 *
 * Leases are served in the order in which they came. A pool without a ready
 * member puts them into its queue, up to a limit, each with a deadline; a full
 * queue is told at once. Waiting leases make the pool start members beyond its
 * size (refill.h).
 *
 * A clone is of the files that were there when it was started. They are looked
 * at again before each lease and once a second: when others are there the
 * clones of the old ones end and new ones are started, when there are none the
 * pool is out of order until there are.
 *
 * Survival. Members have no parent-death signal and a session of their own.
 * Each has a directory with its API's socket and a record (record.h), which is
 * written before the process runs anything, and again when the last request of
 * a lease has been sent. In between it says "ready", which only means that the
 * member is nobody's: what it is, it says itself. A lease that moves a member
 * to another cgroup gives the record another name before, or one that says
 * "leasing". A daemon that starts (pool_adopt()) believes a record only if the
 * process is the one that was recorded, and a ready one only if its VM says
 * that it has not run and was not leased. All others are killed. So whenever
 * the daemon is killed, a VM is leased, or ready, or gone.
 *
 * Owners. A pool belongs to the user that made it; its members run as him. He
 * and root see it and what is leased from it, others do not. Names are a
 * user's, so that nobody learns another's by trying.
 *
 * What is ours to say is here; the connections are in server.h.
 *
 * Context: the loop's thread.
 */
#pragma once

#include "pool/call.h"
#include "pool/group.h"
#include "pool/record.h"
#include "pool/refill.h"

#define POOL_ID_MAX      72
#define POOL_PATH_MAX    108
#define POOL_TROUBLE_MAX 256
#define POOL_POOLS_MAX   256
#define POOL_OWN_MAX     16 /* of a user other than the daemon's */
#define POOL_ENDED_MAX   256
#define POOL_BUCKETS     16

struct pool_daemon;
struct pool_member;

/**
 * struct pool_client - who asks
 * @asks:	what has no answer yet: struct pool_ask
 * @answer:	Return: 0, or -errno when it will not arrive
 * @group:	its cgroup; owned, NULL until it is needed
 */
struct pool_client {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int sock;
	struct list asks;
	unsigned int nr_asks;
	int (*answer)(struct pool_client *client,
		      const struct pool_answer *answer, const int *fds,
		      size_t nr);
	char *group;
};

/**
 * struct pool_ask - a request that is answered later
 * @link:	in the queue of a pool, or with those who wait for something
 * @client:	NULL: it is gone
 * @pool:	in whose queue it is, or was
 * @q:		owned
 */
struct pool_ask {
	struct list link;
	struct list of_client;
	struct pool_client *client;
	struct pool *pool;
	struct timer deadline;
	uint64_t came_ns;
	struct pool_request q;
};

/* ---- what is counted ---- */

/* Upper ends of the buckets of lease latencies, in us; the last has none. */
extern const uint32_t pool_bucket_us[POOL_BUCKETS - 1];

/**
 * struct pool_counts - since the daemon or the pool started
 * @bucket:	leases by latency; a bucket does not hold those of the lower
 *		ones
 */
struct pool_counts {
	uint64_t bucket[POOL_BUCKETS];
	uint64_t leases;
	uint64_t lease_us;
	uint64_t refused_full;
	uint64_t timeouts;
	uint64_t failed;
	uint64_t started;
	uint64_t start_failures;
	uint64_t died;
	uint64_t ended;
};

/**
 * struct pool - members of one kind
 * @made:	what it was made of; its record
 * @removed:	nobody finds it any more; it goes with its last member
 * @source:	the snapshot's files as they are now
 * @in, @nr:	members by state
 * @queue:	leases that wait, in order
 * @drains:	requests that wait until it is empty
 * @again:	when the refill is to be looked at
 * @measured:	where the round of measuring stands, an id
 * @trouble:	why nothing starts; empty: nothing is wrong
 */
struct pool {
	struct list link;
	struct pool_daemon *d;
	struct record_pool made;
	bool removed;
	struct record_source source;
	struct list in[POOL_NR_STATES];
	unsigned int nr[POOL_NR_STATES];
	struct list queue;
	unsigned int nr_queue;
	struct list drains;
	struct refill refill;
	struct timer again;
	uint64_t private_kib;
	uint64_t shared_kib;
	struct pool_counts counts;
	char trouble[POOL_TROUBLE_MAX];
};

/**
 * struct pool_member - one VM
 * @child:	this daemon is its parent
 * @adopt:	it was found, and is asked whether it has run
 * @gone:	watches @pidfd
 * @timer:	the next try, of dialling or of clearing away
 * @tries:	of that
 * @ask:	of the lease that is under way
 * @name, @cgroup:	of a leased one; owned
 * @tied:	watches the process that it goes with; fd -1: none
 * @waiters:	who wants to hear of its end: struct pool_ask
 * @exited:	how it ended is in @exit
 */
struct pool_member {
	struct list link;
	struct pool *pool;
	enum pool_state state;
	bool child;
	bool adopt;
	bool exited;
	pid_t pid;
	uint64_t start;
	struct loop_source gone;
	struct call call;
	struct timer timer;
	unsigned int tries;
	struct record_source source;
	struct pool_ask *ask;
	char *name;
	char *cgroup;
	pid_t tied_pid;
	uint64_t tied_start;
	struct loop_source tied;
	struct list waiters;
	uint64_t private_kib;
	uint64_t shared_kib;
	struct pool_exit exit;
	char id[POOL_ID_MAX];
};

/* A lease that has ended, for who waits too late. */
struct pool_ended {
	struct list link;
	uid_t owner;
	struct pool_exit exit;
	char name[POOL_NAME_MAX + 1];
};

/**
 * struct pool_daemon - all of it
 * @dir:	of members and records; @dir_fd is open
 * @vmm:	path of volt-vmm
 * @next_id:	of a member, in its id
 * @ended:	struct pool_ended, at most POOL_ENDED_MAX
 * @mount:	of cgroups of version 2; empty: there are none
 * @group:	this daemon's
 * @tick:	once a second while there are pools
 * @pressure:	the host is short of memory
 * @stopping:	nothing is started any more
 */
struct pool_daemon {
	struct loop *loop;
	const char *dir;
	int dir_fd;
	int lock_fd;
	int null_fd;
	const char *vmm;
	uid_t uid;
	struct list pools;
	unsigned int nr_pools;
	uint64_t next_id;
	struct list ended;
	unsigned int nr_ended;
	char mount[GROUP_PATH_MAX];
	char group[GROUP_PATH_MAX];
	struct timer tick;
	bool pressure;
	bool stopping;
};

/* ---- pool.c: pools ---- */

/**
 * pool_daemon_init() - find what there is, and go on with it
 * @dir:	absolute; is made if it is not there. Locked: one daemon each
 *
 * Return: 0; -EBUSY when another daemon has it; -errno; with a sentence.
 */
int pool_daemon_init(struct pool_daemon *d, struct loop *loop, const char *dir,
		     const char *vmm, struct err *err) __must_check;

/* End what is nobody's; leased VMs go on. The loop ends when that is done. */
void pool_daemon_stop(struct pool_daemon *d);

/* Free all; processes stay. */
void pool_daemon_fini(struct pool_daemon *d);

/* Name @pool of the user @uid, and for root of anybody. NULL: none. */
struct pool *pool_find(struct pool_daemon *d, uid_t uid, const char *name);

/* The same with the owner's own first, and those that are removed, too. */
struct pool *pool_find_any(struct pool_daemon *d, uid_t owner,
			   const char *name);

bool pool_is_seen_by(const struct pool *pool, uid_t uid);

/* Make one; takes @made over on success. Return: the pool; NULL: no memory. */
struct pool *pool_new(struct pool_daemon *d, struct record_pool *made);

/* Do the sockets' paths of a pool of this name have room? */
bool pool_fits(const struct pool_daemon *d, const char *name);

/* Its record. Return: 0 or -errno. */
int pool_save(struct pool *pool) __must_check;

/* Nobody finds it any more, and it drains. */
void pool_remove(struct pool *pool);

/* Give out nothing, and end all that is nobody's. */
void pool_drain(struct pool *pool);

/* Start and end members as it is due; answer those who wait for an empty one;
 * @look: see refill.h. May free @pool. */
void pool_look(struct pool *pool, bool look);

/* The files of a pool's snapshot, as its owner sees them. */
void pool_source_of(const struct pool_daemon *d, uid_t uid, gid_t gid,
		    const struct pool_create *c, struct record_source *source);

/* Look at the snapshot's files: end clones of others. Return: whether there is
 * a snapshot. */
bool pool_check_source(struct pool *pool);

/* Why does nothing start? NULL: all is well. */
void pool_trouble(struct pool *pool, const char *text, size_t len);

/* ---- pool_member.c: members ---- */

/* Start one. Return: 0 or -errno; the pool's trouble says why. */
int pool_member_start(struct pool *pool) __must_check;

/* One that was found, in a state as of its record. Return: NULL: no memory. */
struct pool_member *pool_member_found(struct pool *pool, const char *id,
				      struct record_member *record, int pidfd);

/* Dial a ready one that was found, and ask it what it is. */
void pool_member_check(struct pool_member *m);

/* Kill it, whatever it is at. */
void pool_member_end(struct pool_member *m);

/* Into another state's list. */
void pool_member_enter(struct pool_member *m, enum pool_state state);

/* Write its record. Return: 0 or -errno. */
int pool_member_save(const struct pool_member *m,
		     enum pool_state state) __must_check;

/* The same with POOL_LEASING, of a ready one. Return: 0 or -errno. */
int pool_member_save_leasing(const struct pool_member *m) __must_check;

/* Memory as of now, into its own and the pool's sums. */
void pool_member_measure(struct pool_member *m);

/* A guest can make its VM say things: not without end. */
void pool_member_cut_log(struct pool_member *m);

/* The socket of its API. Return: @out. */
const char *pool_member_api(const struct pool_member *m,
			    char out[static POOL_PATH_MAX]);

/* Free it and forget its process. */
void pool_member_free(struct pool_member *m);

/* Remove the directory @id and what is in it. */
void pool_member_clear(struct pool_daemon *d, const char *id);

/* ---- pool_lease.c: leases ---- */

/* A lease: at once, or into the queue, or refused. Takes @q over. */
void pool_lease(struct pool_daemon *d, struct pool_client *client,
		struct pool_request *q, uint64_t came_ns);

/* Give what is ready to those who wait. */
void pool_lease_match(struct pool *pool);

/* The answer to a request of a member that is being leased. */
void pool_lease_answer(struct pool_member *m, int status, const char *body,
		       size_t len);

/* The member that is being leased is gone. */
void pool_lease_lost(struct pool_member *m);

/* End it when the process that it is tied to ends. */
void pool_lease_tie(struct pool_member *m);

/* The leased member @name, as far as @uid may see. */
struct pool_member *pool_leased(struct pool_daemon *d, uid_t uid,
				const char *name);

/* Refuse all that wait. */
void pool_lease_refuse_all(struct pool *pool, enum pool_code code,
			   const char *text);

/* ---- pool_ask.c: requests that are answered later, and answers ---- */

/* A request of @client that waits; takes @q over. NULL: no memory. */
struct pool_ask *pool_ask_new(struct pool_daemon *d, struct pool_client *client,
			      struct pool_request *q, uint64_t came_ns);

/* Off all lists, and freed. */
void pool_ask_free(struct pool_ask *ask);

/* An answer to it, which frees it. */
void pool_ask_done(struct pool_ask *ask);
void pool_ask_refuse(struct pool_ask *ask, enum pool_code code,
		     const char *text);
void pool_ask_exit(struct pool_ask *ask, const struct pool_exit *how);

/* The client is gone: nothing of it waits any more. */
void pool_client_gone(struct pool_client *client);

/* Answers at once. */
void pool_answer_done(struct pool_client *client, uint64_t tag);
void pool_answer_error(struct pool_client *client, uint64_t tag,
		       enum pool_code code, const char *text);
void pool_answer_exit(struct pool_client *client, uint64_t tag,
		      const struct pool_exit *how);

/* ---- pool_adopt.c ---- */

/* What a daemon before this one left: pools, members, leases. Return: 0, or
 * -errno with a sentence. */
int pool_adopt(struct pool_daemon *d, struct err *err) __must_check;

/* ---- pool_requests.c ---- */

/* Do what @client asks for, and answer, now or later. @q is one that was
 * parsed, and is freed. */
void pool_request(struct pool_daemon *d, struct pool_client *client,
		  struct pool_request *q);

/* ---- pool_metrics.c ---- */

/* What @uid may see, in either form. */
void pool_metrics(struct pool_daemon *d, uid_t uid, enum pool_format format,
		  struct buf *out);
