// SPDX-License-Identifier: Apache-2.0
/*
 * option_restore.c - what goes with --restore: other names for what the
 * snapshot names, --paused, --clock
 */
#include "vmm/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Return: one half of ID=NAME for each of @list, or -EINVAL. */
static int split(const char *flag, const char *what,
		 const struct arg_list *list, struct config_override *to,
		 struct err *err)
{
	for (unsigned int i = 0; i < list->nr; i++) {
		const char *text = list->text[i];
		size_t len = strcspn(text, "=");

		if (len == 0 || !text[len] || !text[len + 1])
			return err_set(err, -EINVAL,
				       "--%s: with --restore it takes ID=%s, "
				       "the id that the snapshot knows it by, "
				       "not '%s'",
				       flag, what, text);
		for (unsigned int k = 0; k < i; k++)
			if (strncmp(to[k].id, text, len) == 0 && !to[k].id[len])
				return err_set(err, -EINVAL,
					       "--%s: %s is given twice", flag,
					       to[k].id);
		to[i].id = strndup(text, len);
		to[i].to = strdup(text + len + 1);
		if (!to[i].id || !to[i].to)
			return err_set(err, -ENOMEM, "Out of memory");
	}
	return 0;
}

int option_restore_fill(const struct options *opts, struct option_restore *o,
			struct err *err)
{
	int r = split("disk", "PATH", &opts->disks, o->drives, err);

	if (r == 0)
		r = split("net", "TAP", &opts->nets, o->nets, err);
	o->how = (struct vm_restore){
		.overrides =
			{
				.drives = o->drives,
				.nr_drives = opts->disks.nr,
				.nets = o->nets,
				.nr_nets = opts->nets.nr,
				.vsock_uds_path = opts->vsock,
			},
		.resume = !opts->paused,
		.track_dirty_pages = opts->track_dirty_pages,
		.advance_clock = opts->clock == OPTIONS_CLOCK_REALTIME,
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
