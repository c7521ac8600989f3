/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_wire.h - what volt-pool and its clients say to each other
 *
 * Theory of operation
 *
 * The socket is of type SOCK_SEQPACKET, so a message is a message: one JSON
 * object, at most POOL_WIRE_MAX bytes. Both sides go through the tables that
 * are declared here. docs/pool.md has the protocol for those who write a client
 * of their own.
 *
 * A request names what it wants by its one member beside @v and @tag:
 *
 *	{"v":1,"tag":7,"lease":{"pool":"web","name":"web-17"}}
 *
 * Several may be under way on one connection. Each is answered once, in any
 * order, with its tag:
 *
 *	{"v":1,"tag":7,"lease":{"id":"web-3f","name":"web-17","pid":4711,...}}
 *	{"v":1,"tag":7,"error":{"code":"full","text":"Pool web has ..."}}
 *	{"v":1,"tag":7}
 *
 * The last one: done, and there is nothing to tell. A message that is no
 * request is answered by an error with the tag 0, and the connection goes on.
 *
 * Descriptors come with an answer, in this order: with a lease a pidfd of the
 * VM, then, if it was asked for, a connected socket of its API; with metrics a
 * file that holds the text (a memfd, at offset 0). A request with descriptors
 * is refused, and they are closed.
 *
 * A connection that ends takes its requests out of the queue; a lease that it
 * has got stays, unless it was made with "tied".
 *
 * Who may what: the kernel tells who connects (SO_PEERCRED). A pool belongs to
 * the user that made it. To others, root excepted, it is not there.
 *
 * Context: no state, any thread.
 */
#pragma once

#include "base/schema.h"

#define POOL_WIRE_VERSION 1
#define POOL_WIRE_MAX     KIB(64)

/* Descriptors with an answer, at most. */
#define POOL_WIRE_FDS_MAX 2

/* In one answer to ls. */
#define POOL_WIRE_LS_MAX 128

/* Of pools and leases, in characters; letters, digits and '-'. */
#define POOL_NAME_MAX 48

/* Bounds that requests are held to. */
#define POOL_SIZE_MAX     4096
#define POOL_QUEUE_MAX    4096
#define POOL_DRIVES_MAX   16
#define POOL_NETS_MAX     16
#define POOL_VMM_ARGS_MAX 32

enum pool_kind {
	POOL_KIND_UNSET,
	POOL_CLONE, /* of one snapshot, restored and paused */
	POOL_SHELL, /* waits for its snapshot, locked */
};

/**
 * enum pool_state - of a member
 * @POOL_STARTING:	its process is there, but not yet what it is to be
 * @POOL_READY:		may be leased
 * @POOL_LEASING:	a lease is under way
 * @POOL_LEASED:	somebody has it
 * @POOL_ENDING:	is killed, or has ended, and is cleared away
 */
enum pool_state {
	POOL_STATE_UNSET,
	POOL_STARTING,
	POOL_READY,
	POOL_LEASING,
	POOL_LEASED,
	POOL_ENDING,
};
#define POOL_NR_STATES (POOL_ENDING + 1)

/**
 * enum pool_code - why a request was refused
 * @POOL_BAD:		it is no request, or one with values out of range
 * @POOL_VERSION:	of a version of the protocol that is not spoken here
 * @POOL_DENIED:	by another user than this daemon serves
 * @POOL_NONE:		no such pool or lease, as far as this user may see
 * @POOL_EXISTS:	there is a pool or lease of this name
 * @POOL_FULL:		the queue, or another bound, has no place left
 * @POOL_TIMEOUT:	nothing was free before the deadline
 * @POOL_DRAINING:	the pool gives out nothing any more
 * @POOL_NO_SNAPSHOT:	its snapshot is gone, or cannot be loaded
 * @POOL_FAILED:	the VM could not be made what the lease asks for; it was
 *			destroyed
 */
enum pool_code {
	POOL_CODE_UNSET,
	POOL_BAD,
	POOL_VERSION,
	POOL_DENIED,
	POOL_NONE,
	POOL_EXISTS,
	POOL_FULL,
	POOL_TIMEOUT,
	POOL_DRAINING,
	POOL_NO_SNAPSHOT,
	POOL_FAILED,
};

enum pool_format {
	POOL_JSON,
	POOL_OPENMETRICS,
};

/**
 * struct pool_create - what a pool is made of
 * @snapshot:	of clones; of shells: what a lease loads that names none.
 *		A directory, or the state's file with @memory
 * @size:	members that are kept ready
 * @parallel:	starts at a time; 0: as many as the host has CPUs
 * @rate:	starts a second; 0: no limit
 * @cpu:	percent of one CPU that starting members may take; 0: no limit
 * @memory_mib:	private memory of all members; 0: no limit
 * @queue:	leases that may wait
 * @wait_ms:	how long a lease waits that does not say it
 * @clock:	a guest's clock is set on by the time that has passed since the
 *		snapshot: of a clone when it is made ready, of a shell by the
 *		lease
 * @vmm:	options of volt-vmm for every member: list of char *
 */
struct pool_create {
	char *pool;
	enum pool_kind kind;
	char *snapshot;
	char *memory;
	uint32_t size;
	uint32_t parallel;
	uint32_t rate;
	uint32_t cpu;
	uint64_t memory_mib;
	uint32_t queue;
	uint32_t wait_ms;
	bool clock;
	struct schema_list vmm;
};

/* What create leaves unset. */
#define POOL_SIZE_DEFAULT    8
#define POOL_QUEUE_DEFAULT   256
#define POOL_WAIT_MS_DEFAULT 5000

/**
 * struct pool_bucket - as the VM's API has it
 * @size:	tokens: bytes or operations; 0: no limit
 * @refill_time: ms in which an empty one is full
 * @one_time_burst: tokens that are there once besides
 */
struct pool_bucket {
	uint64_t size;
	uint64_t refill_time;
	bool has_burst;
	uint64_t one_time_burst;
};

struct pool_limiter {
	bool has_bandwidth;
	struct pool_bucket bandwidth;
	bool has_ops;
	struct pool_bucket ops;
};

/**
 * struct pool_drive - another file for a drive
 * @path:	NULL: the snapshot's
 * @overlay:	a directory: the VM gets a copy of its own there; NULL: none
 * @has_limiter, @rate_limiter:	its buckets instead of the snapshot's
 */
struct pool_drive {
	char *id;
	char *path;
	char *overlay;
	bool has_limiter;
	struct pool_limiter rate_limiter;
};

/**
 * struct pool_net - another tap, another MAC; NULL: the snapshot's
 * @has_rx, @rx_rate_limiter, @has_tx, @tx_rate_limiter: instead of the
 *		snapshot's
 */
struct pool_net {
	char *id;
	char *tap;
	char *mac;
	bool has_rx;
	struct pool_limiter rx_rate_limiter;
	bool has_tx;
	struct pool_limiter tx_rate_limiter;
};

/**
 * struct pool_limits - what the VM's own cgroup bounds; 0: not
 * @memory_mib:	MiB; what the member took before the lease is not counted
 * @cpu:	percent of one CPU
 * @pids:	processes and threads
 */
struct pool_limits {
	uint64_t memory_mib;
	uint32_t cpu;
	uint32_t pids;
};

/**
 * struct pool_lease_ask - a lease that is asked for
 * @name:	NULL: the member's id
 * @snapshot, @memory:	of a shell, instead of the pool's
 * @drives, @networks:	lists of struct pool_drive and struct pool_net
 * @vsock:	path of the vsock device's socket; NULL: the snapshot's
 * @has_cid, @cid:	the guest's CID there
 * @cgroup:	of version 2, absolute as in /proc/PID/cgroup: both halves of
 *		the VM go there; NULL: where the client is
 * @keep_cgroup: they stay where the daemon is
 * @limits:	of a cgroup of the VM's own, below that one
 * @has_wait, @wait_ms:	for a free member; 0: not at all
 * @api:	a connected socket of the API comes with the answer
 * @paused:	the guest does not run yet: the client resumes it
 * @tied:	the VM goes when the process that asks has ended
 */
struct pool_lease_ask {
	char *pool;
	char *name;
	char *snapshot;
	char *memory;
	struct schema_list drives;
	struct schema_list networks;
	char *vsock;
	bool has_cid;
	uint32_t cid;
	char *cgroup;
	bool keep_cgroup;
	bool has_limits;
	struct pool_limits limits;
	bool has_wait;
	uint32_t wait_ms;
	bool api;
	bool paused;
	bool tied;
};

struct pool_resize {
	char *pool;
	uint32_t size;
};

/* Of a pool. */
struct pool_name {
	char *pool;
};

/* Of a lease. */
struct pool_lease_name {
	char *name;
};

/**
 * struct pool_ls_ask - what there is
 * @pool:	NULL: all
 * @members:	and each member
 * @after:	id of the last member of the answer before; NULL: from the first
 */
struct pool_ls_ask {
	char *pool;
	bool members;
	char *after;
};

struct pool_metrics_ask {
	enum pool_format format;
};

/* What a request wants; as many bits as it has members. */
enum pool_do {
	POOL_DO_CREATE,
	POOL_DO_LS,
	POOL_DO_LEASE,
	POOL_DO_RELEASE,
	POOL_DO_RESIZE,
	POOL_DO_DRAIN,
	POOL_DO_RM,
	POOL_DO_METRICS,
	POOL_DO_WAIT,
	POOL_NR_DO,
};

/**
 * struct pool_request - one message of a client
 * @has:	of enum pool_do: exactly one
 */
struct pool_request {
	uint32_t v;
	uint64_t tag;
	bool has[POOL_NR_DO];
	struct pool_create create;
	struct pool_ls_ask ls;
	struct pool_lease_ask lease;
	struct pool_lease_name release;
	struct pool_resize resize;
	struct pool_name drain;
	struct pool_name rm;
	struct pool_metrics_ask metrics;
	struct pool_lease_name wait;
};

struct pool_error {
	enum pool_code code;
	char *text;
};

/**
 * struct pool_lease - a VM that is somebody's
 * @id:		of the member, its --id
 * @api:	path of its API's socket
 * @us:		from the request's arrival to this answer, in microseconds
 */
struct pool_lease {
	char *id;
	char *name;
	uint32_t pid;
	char *api;
	uint64_t us;
};

/**
 * struct pool_exit - how a leased VM ended
 * @known:	false: the daemon was not its parent any more, and the kernel
 *		does not tell (before Linux 6.15)
 * @status:	exit code, when @signal is 0
 */
struct pool_exit {
	bool known;
	uint32_t status;
	uint32_t signal;
};

/**
 * struct pool_row - a pool in the answer to ls
 * @owner:	uid
 * @size:	members that it is to have ready
 * @waiting:	leases in its queue
 * @draining:	it gives out nothing
 * @trouble:	why it does not refill; NULL: nothing is wrong
 */
struct pool_row {
	char *pool;
	enum pool_kind kind;
	char *snapshot;
	uint32_t owner;
	uint32_t size;
	uint32_t starting;
	uint32_t ready;
	uint32_t leased;
	uint32_t ending;
	uint32_t waiting;
	uint64_t private_kib;
	bool draining;
	char *trouble;
};

/* A member in the answer to ls; @name of its lease, or NULL. */
struct pool_member_row {
	char *id;
	char *pool;
	enum pool_state state;
	char *name;
	uint32_t pid;
	char *api;
};

/**
 * struct pool_listing - the answer to ls
 * @pools, @members:	lists of struct pool_row, struct pool_member_row
 * @more:	members follow behind the last one
 */
struct pool_listing {
	struct schema_list pools;
	struct schema_list members;
	bool more;
};

/**
 * struct pool_answer - one message of the daemon
 *
 * At most one of the members; none: done.
 */
struct pool_answer {
	uint32_t v;
	uint64_t tag;
	bool has_error;
	struct pool_error error;
	bool has_lease;
	struct pool_lease lease;
	bool has_exit;
	struct pool_exit exit;
	bool has_ls;
	struct pool_listing ls;
};

/* A request starts as POOL_REQUEST_NEW; schema_free() it, and an answer, in any
 * case. */
extern const struct schema_object pool_limiter_schema;
extern const struct schema_object pool_create_schema;
extern const struct schema_object pool_request_schema;
extern const struct schema_object pool_answer_schema;

#define POOL_REQUEST_NEW                                     \
	((struct pool_request){                              \
		.v = POOL_WIRE_VERSION,                      \
		.create = {.size = POOL_SIZE_DEFAULT,        \
			   .queue = POOL_QUEUE_DEFAULT,      \
			   .wait_ms = POOL_WAIT_MS_DEFAULT}, \
	})

/* "ready", "leased"; "?" for what is none. */
const char *pool_state_name(enum pool_state state);
