/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api.h - the REST API and the config file of one microVM
 *
 * `struct api` is what requests act on: the VM, the logger and the metrics; the
 * command line and the config file use it too, with or without a socket. It
 * belongs to the VMM thread; each request is answered before the next. Requests
 * come from the gate, the other half of the process (gate/gate.h).
 */
#pragma once

#include "base/metrics.h"
#include "base/version.h"
#include "vm/restore.h"

struct allow;
struct api;

/**
 * struct api_settings - what the command line decides
 * @id:			--id; outlives the api
 * @payload_max:	largest request body, bytes
 * @mmds_size_limit:	largest MMDS store, bytes
 * @has_start_time_us, @has_start_time_cpu_us:	the jailer's clocks are given
 */
struct api_settings {
	const char *id;
	uint64_t payload_max;
	uint64_t mmds_size_limit;
	bool has_start_time_us;
	bool has_start_time_cpu_us;
	uint64_t start_time_us;
	uint64_t start_time_cpu_us;
	uint64_t parent_cpu_time_us;
};

/**
 * api_new() - the controller of @vm
 * @metrics:	registry that the API adds its own groups to
 *
 * Return: NULL when memory is short.
 */
struct api *api_new(struct vm *vm, struct metrics *metrics,
		    const struct api_settings *settings);

/* Writes the last metrics line first. May be called with NULL. */
void api_free(struct api *api);

/**
 * api_logger_setup() - --log-path, --level, --module, --show-level and
 * --show-log-origin: the same as PUT /logger
 *
 * NULL strings leave what is set.
 *
 * Return: 0; with a sentence -EINVAL when @level is no level
 * (EXIT_CODE_BAD_CONFIG), or -errno when the file cannot be opened.
 */
int api_logger_setup(struct api *api, const char *path, const char *level,
		     const char *module, bool show_level, bool show_origin,
		     struct err *err) __must_check;

/* --metrics-path: the same as PUT /metrics. Return: 0 or -errno with a
 * sentence. */
int api_metrics_setup(struct api *api, const char *path,
		      struct err *err) __must_check;

/**
 * api_vm_start() - InstanceStart, with everything that belongs to it
 *
 * Starts the VM and the periodic metrics.
 *
 * Return: 0, or -errno with a sentence (the fault_message of PUT /actions).
 */
int api_vm_start(struct api *api, struct err *err) __must_check;

/**
 * api_restore() - --restore: go on from a snapshot
 * @from:	its directory; with @memory its state file
 * @memory:	its memory file, or NULL
 * @how:	all but its paths
 *
 * Return: 0, or -errno with a sentence.
 */
int api_restore(struct api *api, const char *from, const char *memory,
		struct vm_restore *how, struct err *err) __must_check;

/**
 * config_file_load() - configure the VM from the JSON file of --config-file
 *
 * Each top-level value goes through the handler of the API resource of that
 * name, so file and API accept the same. Does not start the VM.
 *
 * Return: 0, or -errno with a sentence. EXIT_CODE_GENERIC is the exit code of
 * all failures, as in Firecracker.
 */
int config_file_load(const char *path, struct api *api,
		     struct err *err) __must_check;

/**
 * api_mmds_setup() - the document of --metadata
 *
 * Return: 0, or -errno with Firecracker's sentence.
 */
int api_mmds_setup(struct api *api, const char *path,
		   struct err *err) __must_check;

/**
 * api_open_gate() - start the gate, which serves @api if there is a @path
 * @path:	of the API's socket; NULL: no API
 * @allow:	what the gate may open; NULL: everything. Closed in any case
 *
 * Fails, with Firecracker's sentence, when @path exists.
 *
 * Return: 0 or -errno. Context: the process has one thread.
 */
int api_open_gate(struct api *api, const char *path, struct allow *allow,
		  struct err *err) __must_check;

/**
 * api_lock_first() - lock the process before it is configured
 *
 * From here on the gate opens what a request names that configures, starts or
 * loads. The filters come when the threads do, as always.
 *
 * Return: 0, or -errno with a sentence; the process can only end then.
 * Context: the sandbox has said so (first) since before api_open_gate().
 */
int api_lock_first(struct api *api, struct err *err) __must_check;

/* Lets the gate end and waits for it; the socket is gone then. */
void api_close_gate(struct api *api);
