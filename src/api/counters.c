// SPDX-License-Identifier: Apache-2.0
/*
 * counters.c - the groups of the metrics: the API's own, and everybody's place
 *
 * Readers of Firecracker's metrics find every group and every counter in every
 * line, so all of them are declared here, in Firecracker's order. Whoever has
 * the counters adds them to the group (base/metrics.h).
 */
#include "api/resource.h"

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

static const struct metric get[] = {
	DELTA(get, instance_info_count),  DELTA(get, machine_cfg_count),
	DELTA(get, mmds_count),           DELTA(get, vmm_version_count),
	DELTA(get, hotplug_memory_count),
};

static const struct metric patch[] = {
	TWO(patch, drive), TWO(patch, network), TWO(patch, machine_cfg),
	TWO(patch, mmds),  TWO(patch, pmem),    TWO(patch, hotplug_memory),
};

static const struct metric put[] = {
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

static const struct metric_group own_groups[] = {
	{"api_server", server, ARRAY_SIZE(server)},
	{"deprecated_api", deprecated, ARRAY_SIZE(deprecated)},
	{"get_api_requests", get, ARRAY_SIZE(get)},
	{"patch_api_requests", patch, ARRAY_SIZE(patch)},
	{"put_api_requests", put, ARRAY_SIZE(put)},
	{"latencies_us", latencies, ARRAY_SIZE(latencies)},
};

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A "..._agg" is an object of minimum, maximum and sum. */
static const struct {
	const char *group;
	const char *const *names;
} all_groups[] = {
	{"api_server", NULL},
	{"balloon", NAMES("activate_fails", "cfg_fails", "inflate_count",
			  "stats_updates_count", "stats_update_fails",
			  "deflate_count", "event_fails",
			  "free_page_report_count", "free_page_report_freed",
			  "free_page_report_fails", "free_page_hint_count",
			  "free_page_hint_freed", "free_page_hint_fails")},
	{"block",
	 NAMES("activate_fails", "cfg_fails", "no_avail_buffer", "event_fails",
	       "execute_fails", "invalid_reqs_count", "flush_count",
	       "queue_event_count", "rate_limiter_event_count", "update_count",
	       "update_fails", "read_bytes", "write_bytes", "read_count",
	       "write_count", "read_agg", "write_agg",
	       "rate_limiter_throttled_events", "io_engine_throttled_events",
	       "remaining_reqs_count")},
	{"deprecated_api", NULL},
	{"get_api_requests", NULL},
	{"i8042",
	 NAMES("error_count", "missed_read_count", "missed_write_count",
	       "read_count", "reset_count", "write_count")},
	{"uart", NAMES("error_count", "flush_count", "missed_read_count",
		       "missed_write_count", "read_count", "write_count",
		       "rate_limiter_dropped_bytes")},
	{"latencies_us", NULL},
	{"logger", NULL},
	{"mmds",
	 NAMES("rx_accepted", "rx_accepted_err", "rx_accepted_unusual",
	       "rx_bad_eth", "rx_invalid_token", "rx_no_token", "rx_count",
	       "tx_bytes", "tx_count", "tx_errors", "tx_frames",
	       "connections_created", "connections_destroyed")},
	{"net",
	 NAMES("activate_fails", "cfg_fails", "mac_address_updates",
	       "no_rx_avail_buffer", "no_tx_avail_buffer", "event_fails",
	       "rx_queue_event_count", "rx_event_rate_limiter_count",
	       "rx_rate_limiter_throttled", "rx_tap_event_count",
	       "rx_bytes_count", "rx_packets_count", "rx_fails", "rx_count",
	       "tap_read_fails", "tap_write_fails", "tap_write_agg",
	       "tx_bytes_count", "tx_malformed_frames", "tx_fails", "tx_count",
	       "tx_packets_count", "tx_queue_event_count",
	       "tx_rate_limiter_event_count", "tx_rate_limiter_throttled",
	       "tx_spoofed_mac_count", "tx_remaining_reqs_count")},
	{"patch_api_requests", NULL},
	{"put_api_requests", NULL},
	{"seccomp", NAMES("num_faults")},
	{"vcpu",
	 NAMES("exit_io_in", "exit_io_out", "exit_mmio_read", "exit_mmio_write",
	       "failures", "kvmclock_ctrl_fails", "exit_io_in_agg",
	       "exit_io_out_agg", "exit_mmio_read_agg", "exit_mmio_write_agg")},
	{"vmm", NAMES("panic_count")},
	{"signals", NAMES("sigbus", "sigsegv", "sigxfsz", "sigxcpu", "sigpipe",
			  "sighup", "sigill")},
	{"vsock",
	 NAMES("activate_fails", "cfg_fails", "rx_queue_event_fails",
	       "tx_queue_event_fails", "ev_queue_event_fails",
	       "muxer_event_fails", "conn_event_fails", "rx_queue_event_count",
	       "tx_queue_event_count", "rx_bytes_count", "tx_bytes_count",
	       "rx_packets_count", "tx_packets_count", "conns_added",
	       "conns_killed", "conns_removed", "killq_resync",
	       "tx_flush_fails", "tx_write_fails", "rx_read_fails")},
	{"entropy",
	 NAMES("activate_fails", "entropy_event_fails", "entropy_event_count",
	       "entropy_bytes", "host_rng_fails",
	       "entropy_rate_limiter_throttled", "rate_limiter_event_count")},
	{"pmem", NAMES("activate_fails", "cfg_fails", "event_fails",
		       "queue_event_count")},
	{"interrupts", NAMES("triggers", "config_updates")},
	{"memory_hotplug",
	 NAMES("activate_fails", "queue_event_fails", "queue_event_count",
	       "plug_agg", "plug_count", "plug_bytes", "plug_fails",
	       "unplug_agg", "unplug_count", "unplug_bytes", "unplug_fails",
	       "unplug_discard_fails", "unplug_all_agg", "unplug_all_count",
	       "unplug_all_fails", "state_agg", "state_count", "state_fails")},
};

int api_counters_declare(struct api *api)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(all_groups); i++)
		r = metrics_declare(api->metrics, all_groups[i].group,
				    all_groups[i].names);
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
