/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resource.h - what a resource of the API is, for the files that define one
 *
 * Theory of operation
 *
 * A resource is one file: its handlers, a const table of routes and, if it
 * belongs to the configuration, which part it is (config/parts.h): that has the
 * schema and the key. It is known to the rest by one line in API_RESOURCES.
 * Every request goes the same way (api.c), so a handler sees only what is its
 * own:
 *
 *   1. the route is found by method and path; ids and presence of a body are
 *      checked by its flags
 *   2. the body is decoded by the route's schema, into a struct that ->init()
 *      may have filled with defaults or with the present configuration
 *   3. ->check(): what is wrong whatever state the VM is in
 *   4. the state of the VM is checked against the flags
 *   5. ->apply(): the deed; it takes over strings it wants to keep
 *
 * That order is Firecracker's, and shows: a body that does not parse is
 * reported before a state that does not fit.
 */
#pragma once

#include "api/api.h"
#include "base/schema.h"
#include "config/parts.h"
#include "gate/gate.h"
#include "gate/method.h"
#include "gate/opener.h"
#include "host/timer.h"
#include "vm/save.h"
#include "vm/steps.h"

enum api_route_flags {
	API_PRE = 1 << 0,  /* before the VM is started */
	API_POST = 1 << 1, /* after */
	API_BOTH = API_PRE | API_POST,
	API_BODY_OPTIONAL = 1 << 2, /* PATCH without a body is fine */
	API_EXACT = 1 << 3,         /* a longer path is an error of its own */
	API_LIST = 1 << 4,          /* in the config file: an array of these */
};

/**
 * struct api_reply - the answer to a request
 * @status:	200, 204, 400 or 413
 * @body:	JSON; empty for 204
 * @deprecated:	add the Deprecation header
 */
struct api_reply {
	int status;
	struct buf body;
	bool deprecated;
};

struct api_route;

/**
 * struct api_call - one request on its way through a handler
 * @id:		the {id} of the path, or NULL
 * @rest:	the path behind the route's pattern, or NULL
 * @text:	the body as it came; @len bytes, not terminated
 * @body:	the decoded body, of the route's schema
 * @err:	a handler that fails says why here
 */
struct api_call {
	struct api *api;
	const struct api_route *route;
	const char *id;
	const char *rest;
	const char *text;
	size_t len;
	void *body;
	struct schema_seen seen;
	struct api_reply *reply;
	struct err *err;
};

/**
 * struct api_route - one method on one path
 * @path:	tokens separated by '/'; "{id}" stands for any resource id
 * @flags:	enum api_route_flags; at least one of API_PRE and API_POST
 * @schema:	of the body; NULL: the handler reads the text itself
 * @init:	fills @call->body before decoding; may be NULL
 * @check:	may be NULL
 * @count:	offset of its counter in struct api_counters; its fails follow,
 *		for all methods but GET. 0: not counted
 * @deprecation: logged when the body has a SCHEMA_DEPRECATED field; may be NULL
 *
 * Handlers return 0 or -errno with @call->err filled.
 */
struct api_route {
	enum api_method method;
	const char *path;
	unsigned int flags;
	const struct schema_object *schema;
	void (*init)(struct api_call *call);
	int (*check)(struct api_call *call);
	int (*apply)(struct api_call *call);
	size_t count;
	const char *deprecation;
};

/**
 * struct api_resource - one file of the API
 * @part:	of the configuration that it sets, which has its key and whether
 *		a config file must have it; NULL: none
 * @key:	without a part, its key in GET /vm/config and in the config
 *		file; NULL: none
 * @show:	adds its JSON value for GET /vm/config; NULL: as the part's
 *		table says
 * @load:	the route that the config file's value goes through; NULL: the
 *		key cannot be set by the file
 */
struct api_resource {
	const struct api_route *routes;
	size_t nr_routes;
	const struct config_part *part;
	const char *key;
	void (*show)(struct api *api, struct buf *out);
	const struct api_route *load;
};

static inline const char *api_key(const struct api_resource *resource)
{
	return resource->part ? resource->part->key : resource->key;
}

/* clang-format off */
/*
 * The one list, in the order in which a config file is applied: the logger
 * first, so that what goes wrong after it is in the log; what refers to another
 * resource after it.
 */
#define API_RESOURCES(RESOURCE) \
	RESOURCE(logger) \
	RESOURCE(metrics) \
	RESOURCE(machine_config) \
	RESOURCE(cpu_config) \
	RESOURCE(boot_source) \
	RESOURCE(serial) \
	RESOURCE(drives) \
	RESOURCE(pmem) \
	RESOURCE(network) \
	RESOURCE(vsock) \
	RESOURCE(mmds) \
	RESOURCE(entropy) \
	RESOURCE(balloon) \
	RESOURCE(memory_hotplug) \
	RESOURCE(snapshot) \
	RESOURCE(instance) \
	RESOURCE(vm_config) \
	RESOURCE(actions) \
	RESOURCE(vm_state) \
	RESOURCE(sandbox) \
	RESOURCE(lease) \
	RESOURCE(memory)

#define API_ONE_RESOURCE(name_)     +1
#define API_RESOURCE_EXTERN(name_) \
	extern const struct api_resource api_##name_;

/* api_logger and so on */
API_RESOURCES(API_RESOURCE_EXTERN)
/* clang-format on */

#define API_NR_RESOURCES (API_RESOURCES(API_ONE_RESOURCE))

extern const struct api_resource *const api_resources[API_NR_RESOURCES];

/**
 * struct api_counters - the API's own metrics, by Firecracker's names
 *
 * In PUT and PATCH every count is followed by its fails. Resources that do not
 * exist yet have their places, so that readers find every key.
 */
struct api_counters {
	struct {
		metric_t process_startup_time_us;
		metric_t process_startup_time_cpu_us;
	} server;
	struct {
		metric_t deprecated_http_api_calls;
	} deprecated;
	struct {
		metric_t instance_info_count;
		metric_t machine_cfg_count;
		metric_t mmds_count;
		metric_t vmm_version_count;
		metric_t hotplug_memory_count;
	} get;
	struct {
		metric_t drive_count, drive_fails;
		metric_t network_count, network_fails;
		metric_t machine_cfg_count, machine_cfg_fails;
		metric_t mmds_count, mmds_fails;
		metric_t pmem_count, pmem_fails;
		metric_t hotplug_memory_count, hotplug_memory_fails;
	} patch;
	struct {
		metric_t actions_count, actions_fails;
		metric_t boot_source_count, boot_source_fails;
		metric_t drive_count, drive_fails;
		metric_t logger_count, logger_fails;
		metric_t machine_cfg_count, machine_cfg_fails;
		metric_t cpu_cfg_count, cpu_cfg_fails;
		metric_t metrics_count, metrics_fails;
		metric_t network_count, network_fails;
		metric_t mmds_count, mmds_fails;
		metric_t vsock_count, vsock_fails;
		metric_t pmem_count, pmem_fails;
		metric_t serial_count, serial_fails;
		metric_t hotplug_memory_count, hotplug_memory_fails;
	} put;
	struct {
		metric_t full_create_snapshot;
		metric_t diff_create_snapshot;
		metric_t load_snapshot;
		metric_t pause_vm;
		metric_t resume_vm;
		metric_t vmm_full_create_snapshot;
		metric_t vmm_diff_create_snapshot;
		metric_t vmm_load_snapshot;
		metric_t vmm_pause_vm;
		metric_t vmm_resume_vm;
	} latencies;
	struct {
		metric_t guest_private_bytes;
		metric_t guest_shared_bytes;
		metric_t guest_swapped_bytes;
		metric_t process_private_bytes;
		metric_t process_shared_bytes;
		metric_t process_swapped_bytes;
		metric_t pager_private_bytes;
		metric_t pager_shared_bytes;
		metric_t pager_swapped_bytes;
		metric_t pager_faults;
		metric_t pager_faulted_pages;
		metric_t pager_hot_pages;
		metric_t pager_hot_ms;
		metric_t pager_removed_pages;
	} memory;
};

#define API_COUNT(member) offsetof(struct api_counters, member)

/**
 * struct api - what requests act on
 * @flush:	writes a metrics line every minute while the VM runs
 * @gate:	to the gate; its fd is -1 when there is none
 * @opener:	of the VM, as long as there is the API
 * @log_module:	owned; log_settings.module points to it
 * @leased_id:	owned; of a lease: settings.id points to it, or NULL
 * @level_set:	somebody chose a log level
 */
struct api {
	struct vm *vm;
	struct metrics *metrics;
	struct api_settings settings;
	struct api_counters counters;
	struct timer flush;
	struct gate_link gate;
	struct gate_opener opener;
	char *log_module;
	char *leased_id;
	bool level_set;
};

static inline bool api_started(const struct api *api)
{
	return api->vm->state != VM_NOT_STARTED;
}

/* Refuses what enum api_route_flags @flags do not allow in the VM's state.
 * Return: 0, or -errno with Firecracker's sentence. */
int api_check_state(const struct api *api, unsigned int flags,
		    struct err *err) __must_check;

/* "No such file or directory (os error 2)", Firecracker's way to say it. */
const char *api_os_error(int rc, char buf[static 96]);

/* One line of metrics at once, then one a minute. */
void api_metrics_start(struct api *api);

/* Zero groups of devices to come and the API's own; see counters.c. Return: 0
 * or -ENOMEM. */
int api_counters_declare(struct api *api) __must_check;

/* --start-time-us and its like, measured now. */
void api_counters_started(struct api *api);

/* Whose memory the VM takes, for the next lines of metrics: a walk over page
 * tables, so when somebody asks for a line, not each minute. */
void api_counters_look(struct api *api);

/**
 * api_handle() - answer one request
 * @path:	as in the request line; @path_len bytes
 * @text:	the body, @len bytes; NULL when there is none
 * @reply:	zeroed by the caller, who frees its body
 */
void api_handle(struct api *api, enum api_method method, const char *path,
		size_t path_len, const char *text, size_t len,
		struct api_reply *reply);

/**
 * api_load() - set a resource from the config file
 * @text:	the JSON value
 *
 * Return: 0 or -errno with a sentence.
 */
int api_load(struct api *api, const struct api_route *route, const char *text,
	     size_t len, struct err *err) __must_check;

/* vm->lock of an API with a gate: from here on the gate opens. Return: 0 or
 * -errno with a sentence. */
int api_lock(struct vm *vm, void *ctx, struct err *err) __must_check;

/* vm->runs: from here on the gate makes nothing more for a lease. Return: 0 or
 * -errno with a sentence. */
int api_runs(struct vm *vm, void *ctx, struct err *err) __must_check;

/* Where the request in progress, PUT /snapshot/create, saves to. */
struct vm_place api_place(struct api *api);
