// SPDX-License-Identifier: Apache-2.0
/*
 * page.c - the options of volt-pool and what is said about them
 */
#include "pool/page.h"

#define AT(member) .offset = offsetof(struct pool_options, member)

/* clang-format off */
static const struct arg pool_args[] = {
	{"socket", "PATH", "where it listens; an absolute path (default: pool.sock in "
	 "$XDG_RUNTIME_DIR/volt, for root in /run/volt)",
	 .kind = ARG_TEXT, AT(socket)},
	{"dir", "DIR", "of its members and records; an absolute path (default: "
	 "pool beside the socket)", .kind = ARG_TEXT, AT(dir)},
	{"vmm", "FILE", "the volt-vmm of its members (default: the one beside "
	 "this program)", .kind = ARG_TEXT, AT(vmm)},
	{"version", NULL, "the version", .kind = ARG_FLAG, AT(version)},
};
/* clang-format on */

const struct args_page pool_page = {
	.name = "volt-pool",
	.summary = "keep VMs that are ready before they are asked for",
	.usage = "[OPTIONS]",
	.about =
		"Keeps pools of prepared VMs and leases them. Clients speak to "
		"its socket: `volt pool`, or a program of your own.\n"
		"\n"
		"It serves the user who started it, and root. One of root "
		"serves whoever reaches its socket; the members of a pool run "
		"as the user who made it, and he alone, and root, sees them.\n"
		"\n"
		"On SIGTERM it ends what is nobody's, and goes; leased VMs "
		"go on. When it is killed all VMs go on. In both cases the next "
		"one that starts with the same DIR finds its pools and "
		"leases.\n",
	.args = pool_args,
	.nr_args = ARRAY_SIZE(pool_args),
	.exit = "0 it was told to end; 1 failed; 64 bad usage.",
	.examples = "  volt-pool\n"
		    "  volt-pool --socket /run/pools/pool.sock --dir "
		    "/run/pools/vm\n",
};
