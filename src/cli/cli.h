/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli.h - what the commands of `volt` share
 *
 * A command is one file, cmd_<name>.c: a page (base/args.h), which is its
 * options and its help, and a function that gets the parsed command line. The
 * table of them is in commands.c. A command prints its results on standard
 * output and its complaints on standard error, and returns the exit code of the
 * program. Whether the results arrived is looked at once, in main().
 *
 * What comes from elsewhere (names, paths, answers of a VM, a snapshot's state)
 * is made harmless before it is printed: cli_complain() does it for all that it
 * prints, cli_clean() for results.
 */
#pragma once

#include "store/progress.h"

#include "base/args.h"

/* Exit code for a command line that makes no sense (EX_USAGE of sysexits.h);
 * 0, 1 and 2 belong to the commands. */
#define CLI_EXIT_USAGE 64
/* Exit code when the program itself cannot do its work (EX_IOERR). */
#define CLI_EXIT_FAILED 74

/**
 * struct command - one command, or a form of one that has options of its own
 * @run:	NULL: it only has forms, which help tells of
 */
struct command {
	const struct args_page *page;
	int (*run)(const struct args_page *page, int argc, char **argv);
};

/* In the order of help: a form follows its command. */
extern const struct command cli_commands[];
extern const size_t cli_nr_commands;

/* The program as a whole. */
extern const struct args_page volt_page;

extern const struct args_page cmd_doctor_page;
extern const struct args_page cmd_events_page;
extern const struct args_page cmd_exec_page;
extern const struct args_page cmd_attach_page;
extern const struct args_page cmd_cp_page;
extern const struct args_page cmd_inspect_page;
extern const struct args_page cmd_kill_page;
extern const struct args_page cmd_logs_page;
extern const struct args_page cmd_net_page;
extern const struct args_page cmd_net_add_page;
extern const struct args_page cmd_net_del_page;
extern const struct args_page cmd_net_list_page;
extern const struct args_page cmd_pause_page;
extern const struct args_page cmd_pool_page;
extern const struct args_page cmd_pool_create_page;
extern const struct args_page cmd_pool_ls_page;
extern const struct args_page cmd_pool_lease_page;
extern const struct args_page cmd_pool_release_page;
extern const struct args_page cmd_pool_wait_page;
extern const struct args_page cmd_pool_resize_page;
extern const struct args_page cmd_pool_drain_page;
extern const struct args_page cmd_pool_rm_page;
extern const struct args_page cmd_pool_metrics_page;
extern const struct args_page cmd_ps_page;
extern const struct args_page cmd_restore_page;
extern const struct args_page cmd_resume_page;
extern const struct args_page cmd_rm_page;
extern const struct args_page cmd_run_page;
extern const struct args_page cmd_snapshot_page;
extern const struct args_page cmd_snapshot_inspect_page;
extern const struct args_page cmd_snapshot_merge_page;
extern const struct args_page cmd_snapshot_squash_page;
extern const struct args_page cmd_snapshot_compress_page;
extern const struct args_page cmd_snapshot_decompress_page;
extern const struct args_page cmd_snapshot_export_page;
extern const struct args_page cmd_snapshot_import_page;
extern const struct args_page cmd_snapshot_ls_page;
extern const struct args_page cmd_snapshot_tree_page;
extern const struct args_page cmd_snapshot_verify_page;
extern const struct args_page cmd_snapshot_gc_page;
extern const struct args_page cmd_snapshot_workset_page;
extern const struct args_page cmd_stats_page;
extern const struct args_page cmd_stop_page;
extern const struct args_page cmd_wait_page;

/* The commands, as struct command has them. Return: an exit code. */
int cmd_doctor(const struct args_page *page, int argc, char **argv);
int cmd_events(const struct args_page *page, int argc, char **argv);
int cmd_exec(const struct args_page *page, int argc, char **argv);
int cmd_attach(const struct args_page *page, int argc, char **argv);
int cmd_cp(const struct args_page *page, int argc, char **argv);
int cmd_inspect(const struct args_page *page, int argc, char **argv);
int cmd_kill(const struct args_page *page, int argc, char **argv);
int cmd_logs(const struct args_page *page, int argc, char **argv);
int cmd_net_add(const struct args_page *page, int argc, char **argv);
int cmd_net_del(const struct args_page *page, int argc, char **argv);
int cmd_net_list(const struct args_page *page, int argc, char **argv);
int cmd_pause(const struct args_page *page, int argc, char **argv);
int cmd_pool_create(const struct args_page *page, int argc, char **argv);
int cmd_pool_ls(const struct args_page *page, int argc, char **argv);
int cmd_pool_lease(const struct args_page *page, int argc, char **argv);
int cmd_pool_release(const struct args_page *page, int argc, char **argv);
int cmd_pool_wait(const struct args_page *page, int argc, char **argv);
int cmd_pool_resize(const struct args_page *page, int argc, char **argv);
int cmd_pool_drain(const struct args_page *page, int argc, char **argv);
int cmd_pool_rm(const struct args_page *page, int argc, char **argv);
int cmd_pool_metrics(const struct args_page *page, int argc, char **argv);
int cmd_ps(const struct args_page *page, int argc, char **argv);
int cmd_restore(const struct args_page *page, int argc, char **argv);
int cmd_resume(const struct args_page *page, int argc, char **argv);
int cmd_rm(const struct args_page *page, int argc, char **argv);
int cmd_run(const struct args_page *page, int argc, char **argv);
int cmd_snapshot(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_compress(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_decompress(const struct args_page *page, int argc,
			    char **argv);
int cmd_snapshot_inspect(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_merge(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_squash(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_export(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_import(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_ls(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_tree(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_verify(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_gc(const struct args_page *page, int argc, char **argv);
int cmd_snapshot_workset(const struct args_page *page, int argc, char **argv);
int cmd_stats(const struct args_page *page, int argc, char **argv);
int cmd_stop(const struct args_page *page, int argc, char **argv);
int cmd_wait(const struct args_page *page, int argc, char **argv);

/* What cli_parse() returns when there is something to do. */
#define CLI_GO_ON (-1)

/**
 * cli_parse() - read the command line; print help or what is wrong with it
 * @words:	how many words it has to have; fewer is wrong
 *
 * Return: CLI_GO_ON, or an exit code.
 */
int cli_parse(const struct args_page *page, int argc, char **argv,
	      unsigned int words, void *base, struct args *args) __must_check;

/* Print a page's help. Return: an exit code. */
int cli_help(const struct args_page *page);

/**
 * cli_complain() - "volt COMMAND: <sentence>" on standard error
 * @page:	of the command; NULL for the program
 *
 * Return: @code, so that a command can `return cli_complain(...)`.
 */
int cli_complain(int code, const struct args_page *page, const char *fmt, ...)
	__printf_like(3, 4);

/* The same of a sentence of @err's, in a person's words. Return: @code. */
int cli_fail(int code, const struct args_page *page, const struct err *err);

/* A mistake in the command line, and where to read more. Return:
 * CLI_EXIT_USAGE. */
int cli_misuse(const struct args_page *page, const char *fmt, ...)
	__printf_like(2, 3);

#define CLI_CLEAN_MAX 512

/**
 * cli_clean() - @text without what would change the terminal
 *
 * For printf(): cli_clean(text, (char[CLI_CLEAN_MAX]){0}).
 *
 * Return: @room.
 */
const char *cli_clean(const char *text, char room[static CLI_CLEAN_MAX]);

/**
 * struct cli_wait - tells a person what is waited for
 * @line:	a line for a terminal was begun
 */
struct cli_wait {
	struct progress progress;
	const struct args_page *page;
	bool line;
};

void cli_wait_begin(struct cli_wait *wait, const struct args_page *page);
void cli_wait_end(struct cli_wait *wait);
