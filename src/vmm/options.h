/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.h - the command line of volt-vmm
 *
 * Firecracker's flags with their names, defaults, error texts and exit codes,
 * and Volt's own flags for people. One const table (page.c) says everything
 * about each of them: how it is parsed, what it excludes and its help.
 */
#pragma once

#include "base/args.h"
#include "sandbox/stage.h"
#include "vm/restore.h"

#define OPTIONS_API_SOCK_DEFAULT "/run/firecracker.socket"
#define OPTIONS_ID_DEFAULT       "anonymous-instance"

/* What main() shall do. */
enum options_action {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_SNAPSHOT_VERSION,
	OPTIONS_DESCRIBE_SNAPSHOT, /* of describe_snapshot */
	OPTIONS_SNAPSHOT,          /* ask the VMM at api_sock for one */
};

/* What --clock says of the guest's clock after a restore. */
enum options_clock {
	OPTIONS_CLOCK_SNAPSHOT, /* goes on where it stood */
	OPTIONS_CLOCK_REALTIME, /* the time between is added */
};

/**
 * struct options - the parsed command line
 *
 * Strings point into argv and are NULL when the flag is absent and has no
 * default. The direct flags (--kernel and the rest) come last.
 *
 * @level:		--level as given; api_logger_setup() checks it
 * @payload_max:	--http-api-max-payload-size, bytes
 * @mmds_size_limit:	bytes; payload_max when the flag is absent
 * @has_start_time_us:	the jailer's clock readings are there
 * @cpus:		0 when absent
 * @memory_mib, @hotplug_mib:	0 when absent
 * @timeout_s:		0 when absent
 * @sandbox_min_abi:	0 when absent
 */
struct options {
	enum options_action action;
	const char *api_sock;
	const char *id;
	const char *config_file;
	const char *metadata;
	const char *seccomp_filter;
	const char *log_path;
	const char *level;
	const char *module;
	const char *metrics_path;
	const char *describe_snapshot;
	bool no_api;
	bool no_seccomp;
	bool show_level;
	bool show_log_origin;
	bool boot_timer;
	bool enable_pci;
	bool has_mmds_size_limit;
	bool snapshot_version;
	bool version;
	bool has_start_time_us;
	bool has_start_time_cpu_us;
	uint64_t start_time_us;
	uint64_t start_time_cpu_us;
	uint64_t parent_cpu_time_us;
	uint64_t payload_max;
	uint64_t mmds_size_limit;

	const char *restore;
	const char *snapshot_memory;
	const char *overlay;
	const char *uffd;
	bool has_hot_limit;
	uint64_t hot_limit_mib;
	const char *snapshot;
	const char *kernel;
	const char *initrd;
	const char *cmdline;
	uint64_t cpus;
	uint64_t memory_mib;
	uint64_t hotplug_mib;
	uint64_t timeout_s;
	const char *vsock;
	enum config_irqchip irqchip;
	enum config_entry entry;
	bool timing;
	bool paused;
	bool track_dirty_pages;
	bool dirty_ring;
	bool lock_drives;
	bool nested;
	bool core_sched;
	bool isolate;
	enum sandbox_mode sandbox;
	bool has_sandbox;
	uint64_t sandbox_min_abi;
	bool sandbox_first;
	enum options_clock clock;
	struct arg_list allow;
	struct arg_list disks;
	struct arg_list pmems;
	struct arg_list nets;
};

/**
 * options_parse() - fill @opts from the command line
 *
 * Return: 0, or -EINVAL with Firecracker's sentence in @err (main prints it
 * and exits with EXIT_CODE_BAD_ARGUMENTS).
 */
int options_parse(struct options *opts, int argc, char **argv,
		  struct err *err) __must_check;

/* Does the command line, right or wrong, start a VM or ask one as no client of
 * Firecracker's does (--kernel, --restore, --snapshot)? Then a person reads. */
bool options_for_person(int argc, char **argv) __must_check;

/* Print --help. Return: 0 or -ENOMEM. */
int options_print_help(void) __must_check;

/* Print --version: Firecracker's line for clients, a blank line, then ours. */
void options_print_version(void);

/**
 * options_apply() - put the direct flags into @config
 *
 * Call it after the config file, so that a flag wins over the file. Opens the
 * kernel and the initrd.
 *
 * Return: 0 or -errno with a sentence.
 */
int options_apply(const struct options *opts, struct vm_config *config,
		  struct err *err) __must_check;

/**
 * struct option_restore - how to restore; its parts are owned
 */
struct option_restore {
	struct vm_restore how;
	struct config_override drives[ARGS_LIST_MAX];
	struct config_override nets[ARGS_LIST_MAX];
};

/**
 * option_restore_fill() - --disk, --net, --vsock, --paused and --clock
 * @o:		zeroed; option_restore_free() it in any case
 *
 * Return: 0 or -errno with a sentence.
 */
int option_restore_fill(const struct options *opts, struct option_restore *o,
			struct err *err) __must_check;
void option_restore_free(struct option_restore *o);
