// SPDX-License-Identifier: Apache-2.0
/*
 * commands.c - the table of `volt`'s commands
 */
#include "cli/cli.h"
#include "cli/image.h"
#include "cli/kernel.h"

const struct command cli_commands[] = {
	{&cmd_doctor_page, cmd_doctor},
	{&cmd_run_page, cmd_run},
	{&cmd_exec_page, cmd_exec},
	{&cmd_attach_page, cmd_attach},
	{&cmd_cp_page, cmd_cp},
	{&cmd_ps_page, cmd_ps},
	{&cmd_logs_page, cmd_logs},
	{&cmd_inspect_page, cmd_inspect},
	{&cmd_stats_page, cmd_stats},
	{&cmd_events_page, cmd_events},
	{&cmd_wait_page, cmd_wait},
	{&cmd_stop_page, cmd_stop},
	{&cmd_kill_page, cmd_kill},
	{&cmd_rm_page, cmd_rm},
	{&cmd_pause_page, cmd_pause},
	{&cmd_resume_page, cmd_resume},
	{&cmd_snapshot_page, cmd_snapshot},
	{&cmd_snapshot_inspect_page, cmd_snapshot_inspect},
	{&cmd_snapshot_merge_page, cmd_snapshot_merge},
	{&cmd_snapshot_squash_page, cmd_snapshot_squash},
	{&cmd_snapshot_compress_page, cmd_snapshot_compress},
	{&cmd_snapshot_decompress_page, cmd_snapshot_decompress},
	{&cmd_snapshot_export_page, cmd_snapshot_export},
	{&cmd_snapshot_import_page, cmd_snapshot_import},
	{&cmd_snapshot_ls_page, cmd_snapshot_ls},
	{&cmd_snapshot_tree_page, cmd_snapshot_tree},
	{&cmd_snapshot_verify_page, cmd_snapshot_verify},
	{&cmd_snapshot_gc_page, cmd_snapshot_gc},
	{&cmd_snapshot_workset_page, cmd_snapshot_workset},
	{&cmd_restore_page, cmd_restore},
	{&cmd_pool_page, NULL},
	{&cmd_pool_create_page, cmd_pool_create},
	{&cmd_pool_ls_page, cmd_pool_ls},
	{&cmd_pool_lease_page, cmd_pool_lease},
	{&cmd_pool_release_page, cmd_pool_release},
	{&cmd_pool_wait_page, cmd_pool_wait},
	{&cmd_pool_resize_page, cmd_pool_resize},
	{&cmd_pool_drain_page, cmd_pool_drain},
	{&cmd_pool_rm_page, cmd_pool_rm},
	{&cmd_pool_metrics_page, cmd_pool_metrics},
	{&cmd_image_page, NULL},
	{&cmd_image_add_page, cmd_image_add},
	{&cmd_image_pull_page, cmd_image_pull},
	{&cmd_image_ls_page, cmd_image_ls},
	{&cmd_image_info_page, cmd_image_info},
	{&cmd_image_rm_page, cmd_image_rm},
	{&cmd_image_gc_page, cmd_image_gc},
	{&cmd_kernel_page, NULL},
	{&cmd_kernel_add_page, cmd_kernel_add},
	{&cmd_kernel_build_page, cmd_kernel_build},
	{&cmd_kernel_ls_page, cmd_kernel_ls},
	{&cmd_kernel_info_page, cmd_kernel_info},
	{&cmd_kernel_check_page, cmd_kernel_check},
	{&cmd_kernel_path_page, cmd_kernel_path},
	{&cmd_kernel_verify_page, cmd_kernel_verify},
	{&cmd_kernel_default_page, cmd_kernel_default},
	{&cmd_kernel_pin_page, cmd_kernel_pin},
	{&cmd_kernel_rm_page, cmd_kernel_rm},
	{&cmd_kernel_gc_page, cmd_kernel_gc},
	{&cmd_net_page, NULL},
	{&cmd_net_add_page, cmd_net_add},
	{&cmd_net_del_page, cmd_net_del},
	{&cmd_net_list_page, cmd_net_list},
};

static const struct arg commands_args[] = {
	{.name = "version", .kind = ARG_FLAG, .help = "the version"},
};

const struct args_page volt_page = {
	.name = "volt",
	.summary = "microVMs on this machine",
	.usage = "COMMAND [OPTIONS]\nhelp COMMAND",
	.about = "Starts, lists, saves and ends microVMs. New here? `volt "
		 "doctor` first: it tells whether this machine runs Linux "
		 "guests. Each microVM is one volt-vmm process, which "
		 "`volt-vmm --help` describes; it speaks Firecracker's API on "
		 "a Unix socket.\n",
	.args = commands_args,
	.nr_args = ARRAY_SIZE(commands_args),
	.exit = "64 bad usage; each command's --help has the rest.",
};

const size_t cli_nr_commands = ARRAY_SIZE(cli_commands);
