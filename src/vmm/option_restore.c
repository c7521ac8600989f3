// SPDX-License-Identifier: Apache-2.0
/*
 * option_restore.c - what goes with --restore: other names for what the
 * snapshot names, --paused, --clock
 */
#include "vmm/options.h"

#include <stdlib.h>

/* Each of @list, ID=NAME. Return: 0 or -errno with a sentence. */
static int parse(const char *flag, const char *what,
		 const struct arg_list *list, struct config_override *to,
		 struct err *err)
{
	int r = 0;

	for (unsigned int i = 0; i < list->nr && r == 0; i++)
		r = config_override_parse(flag, what, list->text[i], to, i,
					  &to[i], err);
	return r;
}

int option_restore_fill(const struct options *opts, struct option_restore *o,
			struct err *err)
{
	int r = parse("disk", "PATH", &opts->disks, o->drives, err);

	if (r == 0)
		r = parse("net", "TAP", &opts->nets, o->nets, err);
	o->how = (struct vm_restore){
		.overrides =
			{
				.drives = o->drives,
				.nr_drives = opts->disks.nr,
				.nets = o->nets,
				.nr_nets = opts->nets.nr,
				.vsock_uds_path = opts->vsock,
				.overlay = opts->overlay,
			},
		.uffd_path = opts->uffd,
		.resume = !opts->paused,
		.track_dirty_pages = opts->track_dirty_pages,
		.dirty_ring = opts->dirty_ring,
		.advance_clock = opts->clock == OPTIONS_CLOCK_REALTIME,
		.hot_pages =
			(size_t)(MIB(opts->has_hot_limit ? opts->hot_limit_mib
							 : VM_RESTORE_HOT_MIB) /
				 PAGE_SIZE),
	};
	return r;
}

void option_restore_free(struct option_restore *o)
{
	for (unsigned int i = 0; i < ARGS_LIST_MAX; i++) {
		free(o->drives[i].id);
		free(o->drives[i].to);
		free(o->nets[i].id);
		free(o->nets[i].to);
	}
}
