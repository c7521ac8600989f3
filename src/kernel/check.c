// SPDX-License-Identifier: Apache-2.0
/*
 * check.c - will a kernel get to its root, with these devices? (check.h)
 */
#include "kernel/check.h"

/* Is the row @id one without which what was asked for does not work? */
static bool is_needed(enum drives_id id, const struct check_wish *wish)
{
	bool virtio = wish->disk || wish->pmem || wish->net || wish->vsock;

	switch (id) {
	case DRIVES_INTERRUPTS:
		return true;
	case DRIVES_FIND:
	case DRIVES_BUS:
		return virtio;
	case DRIVES_DISK:
		return wish->disk;
	case DRIVES_PMEM:
		return wish->pmem;
	case DRIVES_NET:
		return wish->net;
	case DRIVES_VSOCK:
		return wish->vsock;
	case DRIVES_INITRD:
		return wish->initrd;
	default:
		return (wish->disk || wish->pmem) &&
		       rootfs_name(wish->rootfs) &&
		       id == rootfs_drives(wish->rootfs);
	}
}

/* What any guest is better off with. */
static bool is_better(enum drives_id id)
{
	return id == DRIVES_CONSOLE || id == DRIVES_CLOCK ||
	       id == DRIVES_KEYS || id == DRIVES_POWEROFF ||
	       id == DRIVES_DEVTMPFS;
}

static void check_add(struct check *check, enum drives_id id,
		      enum drives_state state, enum check_level level)
{
	check->finding[check->nr++] = (struct check_finding){id, state, level};
	if (level == CHECK_NEEDED)
		check->nr_needed++;
}

static void judge_needed(enum drives_id id, enum drives_state state,
			 const struct check_wish *wish, struct check *check)
{
	bool module = state == DRIVES_MODULE || state == DRIVES_MODULE_LOST;

	if (state == DRIVES_NOT ||
	    (module && !wish->initrd && state == DRIVES_MODULE_LOST))
		check_add(check, id, state, CHECK_NEEDED);
	else if (module && wish->initrd)
		check_add(check, id, state, CHECK_INITRD);
}

void check_kernel(const struct buf *config, const struct modules *modules,
		  const struct check_wish *wish, struct check *check)
{
	bool loads = false;

	*check = (struct check){0};
	for (enum drives_id id = 0; id < DRIVES_COUNT; id++) {
		enum drives_state state = drives_judge(id, config, modules);

		if (!is_needed(id, wish))
			continue;
		judge_needed(id, state, wish, check);
		loads = loads || state == DRIVES_MODULE;
	}
	/* Modules come by an initramfs, whose first process needs a disk root
	 * to go on to. */
	if (loads && !wish->initrd &&
	    drives_judge(DRIVES_INITRD, config, modules) == DRIVES_NOT)
		check_add(check, DRIVES_INITRD, DRIVES_NOT, CHECK_NEEDED);
	for (enum drives_id id = 0; id < DRIVES_COUNT; id++) {
		enum drives_state state = drives_judge(id, config, modules);

		if (is_better(id) && !is_needed(id, wish) &&
		    (state == DRIVES_NOT || state == DRIVES_MODULE_LOST))
			check_add(check, id, state, CHECK_LESS);
	}
}
