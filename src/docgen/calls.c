// SPDX-License-Identifier: Apache-2.0
/*
 * calls.c - docs/system-calls.md, from the table of the filters
 */
#include "docgen/docgen.h"

#include "sandbox/calls.h"

#include <string.h>

static const unsigned int guest_process = SANDBOX_ON(SANDBOX_VMM) |
					  SANDBOX_ON(SANDBOX_VCPU) |
					  SANDBOX_ON(SANDBOX_PAGER);

static const char head[] =
	"# System calls of a locked Volt\n"
	"\n"
	"Made from the table that the seccomp filters are made of. What the "
	"sandbox is for, and what else\n"
	"locks the process, is in [security.md](security.md).\n";

static bool has_libc_of_its_own(const struct sandbox_call *c)
{
	unsigned int both =
		SANDBOX_ON(SANDBOX_MUSL) | SANDBOX_ON(SANDBOX_GLIBC);

	return (c->builds & both) != both;
}

static const char *calls_has_name(unsigned int has)
{
	return has == SANDBOX_HAS_TAP      ? "a tap"
	       : has == SANDBOX_HAS_VHOST  ? "vhost"
	       : has == SANDBOX_HAS_RING   ? "a dirty ring"
	       : has == SANDBOX_HAS_MEMORY ? "memory hot-plug"
					   : "a terminal";
}

static void calls_put_row(const struct sandbox_call *c, struct buf *out)
{
	buf_addf(out, "| `%s` |", c->name);
	for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
		buf_addf(out, " %s |", c->threads & SANDBOX_ON(t) ? "x" : "");
	if (c->shown[0])
		buf_addf(out, " `%s` |", c->shown);
	else
		buf_add_str(out, " |");
	buf_addf(out, " %s", c->why);
	if (c->has)
		buf_addf(out, " (VMs with %s)", calls_has_name(c->has));
	if (has_libc_of_its_own(c))
		buf_addf(out, " (%s)",
			 c->builds & SANDBOX_ON(SANDBOX_MUSL) ? "musl"
							      : "glibc");
	buf_add_str(out, " |\n");
}

static void put_counts(struct buf *out)
{
	buf_add_str(out, "\n## How many\n\n| calls | musl | glibc |\n"
			 "|---|---:|---:|\n");
	for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
		buf_addf(out, "| %s | %u | %u |\n", sandbox_thread_name(t),
			 sandbox_count_calls(SANDBOX_ON(t), SANDBOX_MUSL),
			 sandbox_count_calls(SANDBOX_ON(t), SANDBOX_GLIBC));
	buf_addf(out, "| the guest process: vmm, vcpu, pager | %u | %u |\n",
		 sandbox_count_calls(guest_process, SANDBOX_MUSL),
		 sandbox_count_calls(guest_process, SANDBOX_GLIBC));
}

static bool is_first_of_family(size_t i)
{
	return i == 0 || strcmp(sandbox_killed[i].family,
				sandbox_killed[i - 1].family) != 0;
}

static void put_killed(struct buf *out)
{
	buf_add_str(out,
		    "\n## Calls that kill\n\n"
		    "Nobody makes these by accident; the process dies of "
		    "SIGSYS at once. Those with a star the gate may make,\n"
		    "`bind` and `listen` the early one.\n\n"
		    "| family | calls |\n|---|---|\n");
	for (size_t i = 0; i < sandbox_nr_killed; i++) {
		bool gate =
			sandbox_killed[i].threads & SANDBOX_ON(SANDBOX_GATE);

		if (is_first_of_family(i))
			buf_addf(out, "%s| %s | ", i ? " |\n" : "",
				 sandbox_killed[i].family);
		else
			buf_add_str(out, ", ");
		buf_addf(out, "`%s`%s", sandbox_killed[i].name,
			 gate ? "" : "\\*");
	}
	buf_add_str(out, " |\n");
}

void docgen_calls(struct buf *out)
{
	buf_add_str(out, head);
	put_counts(out);
	buf_add_str(out,
		    "\n## Calls that are allowed\n\n"
		    "Every other call traps: one line names it and its "
		    "thread, and both halves of the process end, with\n"
		    "exit code 148. `brk` does nothing: a C library takes "
		    "memory by `mmap` then. The early gate is that of a "
		    "process which its API configures,\n"
		    "loads or leases, until the guest runs; then it loads the "
		    "filter of the gate on top of its own.\n\n"
		    "| call |");
	for (unsigned int t = 0; t < SANDBOX_NR_THREADS; t++)
		buf_addf(out, " %s |", sandbox_thread_name(t));
	buf_add_str(out,
		    " only if | why |\n|---|:-:|:-:|:-:|:-:|:-:|---|---|\n");
	for (size_t i = 0; i < sandbox_nr_calls; i++)
		calls_put_row(&sandbox_calls[i], out);
	put_killed(out);
}
