// SPDX-License-Identifier: Apache-2.0
/*
 * counters.c - the groups of the metrics: the API's own, and everybody's place
 *
 * Readers of Firecracker's metrics find every group and every counter in every
 * line, so all of them have their place here, in Firecracker's order. Whoever
 * has the counters names them, and adds them to the group (base/metrics.h).
 */
#include "api/resource.h"
#include "dev/balloon.h"
#include "dev/blk.h"
#include "dev/i8042.h"
#include "dev/mem.h"
#include "dev/net.h"
#include "dev/pmem.h"
#include "dev/rng.h"
#include "dev/serial.h"
#include "dev/vsock.h"
#include "mmds/mmds.h"
#include "vm/exits.h"
#include "vm/interrupts.h"

#include <errno.h>
#include <time.h>

#define STORE(group, member) {#member, API_COUNT(group.member), METRIC_STORED}
#define DELTA(group, member) {#member, API_COUNT(group.member), METRIC_DELTA}
#define TWO(group, name)     DELTA(group, name##_count), DELTA(group, name##_fails)

static const struct metric server[] = {
	STORE(server, process_startup_time_us),
	STORE(server, process_startup_time_cpu_us),
};

static const struct metric deprecated[] = {
	DELTA(deprecated, deprecated_http_api_calls),
};

static const struct metric counters_get[] = {
	DELTA(get, instance_info_count),  DELTA(get, machine_cfg_count),
	DELTA(get, mmds_count),           DELTA(get, vmm_version_count),
	DELTA(get, hotplug_memory_count),
};

static const struct metric counters_patch[] = {
	TWO(patch, drive), TWO(patch, network), TWO(patch, machine_cfg),
	TWO(patch, mmds),  TWO(patch, pmem),    TWO(patch, hotplug_memory),
};

static const struct metric counters_put[] = {
	TWO(put, actions),        TWO(put, boot_source), TWO(put, drive),
	TWO(put, logger),         TWO(put, machine_cfg), TWO(put, cpu_cfg),
	TWO(put, metrics),        TWO(put, network),     TWO(put, mmds),
	TWO(put, vsock),          TWO(put, pmem),        TWO(put, serial),
	TWO(put, hotplug_memory),
};

static const struct metric latencies[] = {
	STORE(latencies, full_create_snapshot),
	STORE(latencies, diff_create_snapshot),
	STORE(latencies, load_snapshot),
	STORE(latencies, pause_vm),
	STORE(latencies, resume_vm),
	STORE(latencies, vmm_full_create_snapshot),
	STORE(latencies, vmm_diff_create_snapshot),
	STORE(latencies, vmm_load_snapshot),
	STORE(latencies, vmm_pause_vm),
	STORE(latencies, vmm_resume_vm),
};

static const struct metric counters_memory[] = {
	STORE(memory, guest_private_bytes),
	STORE(memory, guest_shared_bytes),
	STORE(memory, guest_swapped_bytes),
	STORE(memory, process_private_bytes),
	STORE(memory, process_shared_bytes),
	STORE(memory, process_swapped_bytes),
	STORE(memory, pager_private_bytes),
	STORE(memory, pager_shared_bytes),
	STORE(memory, pager_swapped_bytes),
	STORE(memory, pager_faults),
	STORE(memory, pager_faulted_pages),
	STORE(memory, pager_hot_pages),
	STORE(memory, pager_hot_ms),
	STORE(memory, pager_removed_pages),
};

static const struct metric_group own_groups[] = {
	{"api_server", server, ARRAY_SIZE(server)},
	{"deprecated_api", deprecated, ARRAY_SIZE(deprecated)},
	{"get_api_requests", counters_get, ARRAY_SIZE(counters_get)},
	{"patch_api_requests", counters_patch, ARRAY_SIZE(counters_patch)},
	{"put_api_requests", counters_put, ARRAY_SIZE(counters_put)},
	{"latencies_us", latencies, ARRAY_SIZE(latencies)},
	{"volt_memory", counters_memory, ARRAY_SIZE(counters_memory)},
};

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/**
 * struct place - a group's place in a line
 * @name:	of a group that is added before the first line, or that nobody
 *		has yet: then with its @names. A "..._agg" is an object of
 *		minimum, maximum and sum
 * @group:	of a device, which may not be there
 */
static const struct place {
	const char *name;
	const char *const *names;
	const struct metric_group *group;
} places[] = {
	{.name = "api_server"},
	{.group = &balloon_metric_group},
	{.group = &blk_metric_group},
	{.name = "deprecated_api"},
	{.name = "get_api_requests"},
	{.group = &i8042_metric_group},
	{.group = &serial_metric_group},
	{.name = "latencies_us"},
	{.name = "logger"},
	{.group = &mmds_metric_group},
	{.group = &net_metric_group},
	{.name = "patch_api_requests"},
	{.name = "put_api_requests"},
	{.name = "seccomp"},
	{.group = &vcpu_metric_group},
	{.name = "vmm", .names = NAMES("panic_count")},
	{.name = "signals"},
	{.group = &vsock_metric_group},
	{.group = &rng_metric_group},
	{.group = &pmem_metric_group},
	{.group = &interrupts_metric_group},
	{.group = &mem_metric_group},
};

static int counters_reserve(struct metrics *metrics, const struct place *place)
{
	if (place->group)
		return metrics_declare_group(metrics, place->group);
	return metrics_declare(metrics, place->name, place->names);
}

int api_counters_declare(struct api *api)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++)
		r = counters_reserve(api->metrics, &places[i]);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(own_groups); i++)
		r = metrics_add(api->metrics, &own_groups[i], NULL,
				&api->counters);
	return r;
}

static uint64_t clock_us(clockid_t clock)
{
	struct timespec ts = {0};

	(void)clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void look_at_pager(struct api *api)
{
	struct api_counters *c = &api->counters;
	struct served served;
	struct usage usage;

	if (vm_pager_usage(api->vm, &usage) == 0) {
		metric_store(&c->memory.pager_private_bytes, usage.private);
		metric_store(&c->memory.pager_shared_bytes, usage.shared);
		metric_store(&c->memory.pager_swapped_bytes, usage.swapped);
	}
	if (vm_pager_served(api->vm, &served) == 0) {
		metric_store(&c->memory.pager_faults, served.faults);
		metric_store(&c->memory.pager_faulted_pages, served.faulted);
		metric_store(&c->memory.pager_hot_pages, served.hot);
		metric_store(&c->memory.pager_hot_ms, served.hot_ms);
		metric_store(&c->memory.pager_removed_pages, served.removed);
	}
}

void api_counters_look(struct api *api)
{
	struct api_counters *c = &api->counters;
	struct usage usage;
	uint64_t size;

	if (vm_guest_usage(api->vm, &size, &usage) == 0) {
		metric_store(&c->memory.guest_private_bytes, usage.private);
		metric_store(&c->memory.guest_shared_bytes, usage.shared);
		metric_store(&c->memory.guest_swapped_bytes, usage.swapped);
	}
	if (vm_process_usage(api->vm, &usage) == 0) {
		metric_store(&c->memory.process_private_bytes, usage.private);
		metric_store(&c->memory.process_shared_bytes, usage.shared);
		metric_store(&c->memory.process_swapped_bytes, usage.swapped);
	}
	look_at_pager(api);
}

void api_counters_started(struct api *api)
{
	const struct api_settings *s = &api->settings;

	if (s->has_start_time_us)
		metric_store(&api->counters.server.process_startup_time_us,
			     clock_us(CLOCK_MONOTONIC) - s->start_time_us);
	if (s->has_start_time_cpu_us)
		metric_store(&api->counters.server.process_startup_time_cpu_us,
			     clock_us(CLOCK_PROCESS_CPUTIME_ID) -
				     s->start_time_cpu_us +
				     s->parent_cpu_time_us);
}
