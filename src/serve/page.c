// SPDX-License-Identifier: Apache-2.0
/*
 * page.c - the options of volt-pager and what is said about them
 */
#include "serve/page.h"

#define AT(member) .offset = offsetof(struct serve_options, member)

/* clang-format off */
static const struct arg serve_args[] = {
	{"background", NULL, "return when SOCKET listens, and serve from a "
	 "process of its own, which waits a minute for the VM",
	 .kind = ARG_FLAG, AT(background)},
	{"json", NULL, "at the end tell on standard error what was done, as a "
	 "JSON object", .kind = ARG_FLAG, AT(json)},
	{"no-hot", NULL, "no page comes before the guest waits for it",
	 .kind = ARG_FLAG, AT(no_hot)},
	{"hot-limit", "MIB", "put at most so much in place before the guest "
	 "runs (default: all of the working set)", .kind = ARG_SIZE, .min = 1,
	 .max = 1u << 20, AT(hot_limit_mib)},
	{"record", "FILE", "write a working set: the pages that the guest uses, "
	 "in their order, until it writes to the boot timer or ends. They come "
	 "one by one then, which is slow", .kind = ARG_TEXT, AT(record)},
	{"record-seconds", "N", "end the record so long after the restore",
	 .kind = ARG_NUMBER, .min = 1, .max = 86400, .needs = "record",
	 AT(record_s)},
	{"record-limit", "MIB", "end the record when it has so much memory",
	 .kind = ARG_SIZE, .min = 1, .max = 4096, .needs = "record",
	 AT(record_mib)},
	{"version", NULL, "the version", .kind = ARG_FLAG, AT(version)},
};
/* clang-format on */

const struct args_page serve_page = {
	.name = "volt-pager",
	.summary = "serve the memory of a snapshot, page by page",
	.usage = "[OPTIONS] SOCKET DIR\n"
		 "[OPTIONS] SOCKET STATE MEMORY",
	.about =
		"Listens on SOCKET for a VM that is restored with a mem_backend "
		"of type Uffd (volt-vmm --uffd SOCKET), and puts each "
		"page of the snapshot in DIR in its place when the guest "
		"touches it first. The snapshot may be compressed, a diff, or "
		"both. Firecracker's VMs are served, too: their regions have "
		"to be those of the snapshot. `volt restore` starts one by "
		"itself for a snapshot that is compressed.\n"
		"\n"
		"The working set of the snapshot (its file working-set, or the "
		"hot run of a compressed one) is in place before the guest "
		"runs.\n"
		"\n"
		"It serves one VM and ends with it. When it cannot read a page "
		"as it was written it says so and ends, and so does the VM.\n",
	.args = serve_args,
	.nr_args = ARRAY_SIZE(serve_args),
	.exit = "0 the VM is gone; 1 failed; 64 bad usage.",
	.examples = "  volt-pager --background /run/pager.sock snap\n"
		    "  volt-vmm --restore snap --uffd "
		    "/run/pager.sock\n",
	.nr_words = 3,
};
