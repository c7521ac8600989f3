// SPDX-License-Identifier: Apache-2.0
/*
 * page.c - the options of volt-jailer and what is said about them
 */
#include "jailer/page.h"

#define AT(member) .offset = offsetof(struct jailer_options, member)

/* clang-format off */
static const struct arg jailer_page_args[] = {
	{"id", "ID",
	 "name of the microVM and of its jail: 1 to 64 letters, digits and '-'",
	 .kind = ARG_TEXT, AT(id)},
	{"exec-file", "FILE",
	 "program to start in the jail, as a rule a static volt-vmm; it is "
	 "copied there, and the last part of its name, behind symbolic links, "
	 "names the folder and the pid file",
	 .kind = ARG_TEXT, AT(exec_file)},
	{"uid", "N", "user that the program runs as",
	 .kind = ARG_TEXT, AT(uid)},
	{"gid", "N", "group that the program runs as",
	 .kind = ARG_TEXT, AT(gid)},
	{"chroot-base-dir", "DIR",
	 "folder of all jails, which must exist (default " JAILER_BASE_DEFAULT
	 ")",
	 .kind = ARG_TEXT, AT(base)},
	{"netns", "PATH", "network namespace to join, such as "
	 "/run/netns/NAME", .kind = ARG_TEXT, AT(netns)},
	{"new-pid-ns", NULL,
	 "start the program as process 1 of a PID namespace of its own; the "
	 "pid file has its number outside",
	 .kind = ARG_FLAG, AT(new_pid_ns)},
	{"daemonize", NULL,
	 "leave the session and the terminal; standard input, output and "
	 "error become /dev/null",
	 .kind = ARG_FLAG, AT(daemonize)},
	{"cgroup", "FILE=VALUE",
	 "make a cgroup of the jail's own and write VALUE to its FILE, such as "
	 "memory.max=512M; may be given several times",
	 .kind = ARG_LIST, AT(cgroups)},
	{"cgroup-version", "1|2", "version of the cgroups (default 1)",
	 .kind = ARG_TEXT, AT(cgroup_version)},
	{"parent-cgroup", "PATH",
	 "where the jail's cgroup is made, below the root of its hierarchy "
	 "(default: the name of the program); with version 2 and without "
	 "--cgroup: the cgroup to join, if it exists",
	 .kind = ARG_TEXT, AT(parent_cgroup)},
	{"resource-limit", "fsize=BYTES|no-file=N",
	 "bound the size of each file that is written, or the number of open "
	 "files (default: no-file=2048); may be given several times",
	 .kind = ARG_LIST, AT(limits)},
	{"version", NULL,
	 "print Firecracker's version that the command line follows, and "
	 "Volt's",
	 .kind = ARG_FLAG, AT(version)},
};
/* clang-format on */

const struct args_page jailer_page = {
	.name = "volt-jailer",
	.summary = "start a microVM in a jail, as Firecracker's jailer does",
	.usage = "--id ID --exec-file FILE --uid N --gid N [OPTIONS] "
		 "[-- OPTIONS OF THE PROGRAM]",
	.about = "Makes DIR/PROGRAM/ID/root, copies the program there, makes "
		 "/dev/kvm, /dev/net/tun, /dev/urandom, /dev/userfaultfd and "
		 "/run in it, makes it the root of a mount namespace, gives it "
		 "to the user and becomes the program as that user. It is "
		 "started by root. Nothing else of the host's files is there: "
		 "put the kernel, drives and taps of the microVM into the jail "
		 "before the microVM asks for them.\n"
		 "\n"
		 "The program gets --id and Firecracker's options about times, "
		 "then what follows `--`, and an empty environment. Its "
		 "process number is in PROGRAM.pid in the jail. With "
		 "--daemonize or --new-pid-ns it is not the process that was "
		 "started: that one ends with 0 once the program runs.\n"
		 "\n"
		 "What is in the jail's folder already is used where it is a "
		 "directory of root or of the user; symbolic links, hard links "
		 "and files of others are refused, and stay as they are. To "
		 "remove a jail is up to who made it.\n",
	.args = jailer_page_args,
	.nr_args = ARRAY_SIZE(jailer_page_args),
	.exit = "that of the program; 1 with a line on standard error: the "
		"jail could not be made.",
	.examples = "  volt-jailer --id vm1 --exec-file /usr/bin/volt-vmm "
		    "--uid 1234 --gid 1234 \\\n"
		    "      --cgroup-version 2 --cgroup memory.max=300M "
		    "-- --api-sock /run/api.sock\n",
	.rest = ARGS_REST_PASS,
};
