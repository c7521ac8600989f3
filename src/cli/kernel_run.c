// SPDX-License-Identifier: Apache-2.0
/*
 * kernel_run.c - the kernel that `volt run` boots (kernel_run.h)
 */
#include "cli/kernel_run.h"

#include "cli/kernel.h"

#include "kernel/initramfs.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NEEDS_MAX 7

void kernel_choice_free(struct kernel_choice *choice)
{
	free(ptr_steal(choice->kernel));
	free(ptr_steal(choice->initrd));
}

/* Is there a word "root=..."? */
static bool names_root(const char *cmdline)
{
	const char *at = cmdline ? strstr(cmdline, "root=") : NULL;

	while (at && at != cmdline && at[-1] != ' ')
		at = strstr(at + 1, "root=");
	return at != NULL;
}

/* "PATH[,ro][,id=ID]" */
static char *path_of_disk(const char *disk, bool *read_only)
{
	*read_only = kernel_disk_says(disk, "ro");
	return strndup(disk, strcspn(disk, ","));
}

bool kernel_disk_says(const char *disk, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strchr(disk, ','); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || !at[len]))
			return true;
	}
	return false;
}

static int kernel_run_missing(const struct kernel_found *found,
			      const struct initramfs_wish *wish,
			      enum drives_id id, enum drives_state state,
			      const char *disk, struct err *err)
{
	char options[96];

	return err_set(err, -ENOTSUP,
		       "Kernel %s cannot have its root on %s: %s is %s; give "
		       "%s%s",
		       found->record.name, disk, drives_options(id, options),
		       state == DRIVES_NOT
			       ? "not in its configuration"
			       : "a module that the store does not have",
		       wish->agent ? "" : "an --initrd, or ",
		       state == DRIVES_NOT ? "another kernel"
					   : "add the kernel's package");
}

/* What is between the kernel and its root. */
static unsigned int needs_of(const struct initramfs_wish *wish, bool pmem_root,
			     enum drives_id needs[NEEDS_MAX])
{
	unsigned int nr = 0;

	needs[nr++] = DRIVES_FIND;
	needs[nr++] = DRIVES_BUS;
	needs[nr++] = pmem_root ? DRIVES_PMEM : DRIVES_DISK;
	if (rootfs_name(wish->rootfs))
		needs[nr++] = rootfs_drives(wish->rootfs);
	if (wish->agent) {
		needs[nr++] = DRIVES_OVERLAY;
		needs[nr++] = DRIVES_VSOCK;
		needs[nr++] = DRIVES_INITRD;
	}
	return nr;
}

/* Does it need modules for its root? -ENOTSUP: it will not get there. */
static int needs_modules(const struct kernel_found *found,
			 const struct initramfs_wish *wish, bool pmem_root,
			 const char *disk, struct err *err)
{
	enum drives_id needs[NEEDS_MAX];
	unsigned int nr = needs_of(wish, pmem_root, needs);
	int r = 0;

	for (unsigned int i = 0; i < nr; i++) {
		enum drives_state state =
			drives_judge(needs[i], &found->config, &found->modules);

		if (state == DRIVES_NOT || state == DRIVES_MODULE_LOST)
			return kernel_run_missing(found, wish, needs[i], state,
						  disk, err);
		if (state == DRIVES_MODULE)
			r = 1;
	}
	if (r &&
	    drives_judge(DRIVES_INITRD, &found->config, NULL) == DRIVES_NOT)
		return kernel_run_missing(found, wish, DRIVES_INITRD,
					  DRIVES_NOT, disk, err);
	return r;
}

static int make_initrd(struct kernel_found *found,
		       const struct initramfs_wish *wish, bool pmem_root,
		       const char *disk, struct kernel_choice *choice,
		       struct err *err)
{
	struct store *mine = stores_mine(&found->stores);
	int r = 0;

	if (initramfs_find(&found->record, mine, wish, &choice->initrd))
		return 1;
	r = kernel_read_parts(found, err);
	if (r == 0)
		r = needs_modules(found, wish, pmem_root, disk, err);
	if (r < 0 || (r == 0 && !wish->agent))
		return r;
	r = initramfs_put(&found->record, &found->modules, mine, wish,
			  &choice->initrd, err);
	return r < 0 ? r : 1;
}

static int prepare_root(struct kernel_found *found,
			const struct kernel_need *need,
			struct kernel_choice *choice, struct err *err)
{
	struct initramfs_wish wish = {
		.net = need->net,
		.vsock = need->vsock,
		.pmem = need->pmem,
		.hotplug = need->hotplug,
		.agent = need->image,
	};
	bool read_only, named = names_root(need->cmdline);
	cleanup_free char *disk = path_of_disk(need->disk, &read_only);
	const char *type;
	int r;

	if (!disk)
		return err_set(err, -ENOMEM, "Out of memory");
	r = rootfs_of_file(disk, &wish.rootfs, err);
	if (r < 0)
		return r;
	if (wish.rootfs == ROOTFS_PARTITIONS && need->pmem_root)
		return err_set(err, -ENOTSUP,
			       "%s has a table of partitions: as a --disk one "
			       "of them can be the root",
			       disk);
	if (wish.rootfs == ROOTFS_PARTITIONS && !named)
		return err_set(err, -ENOTSUP,
			       "%s has a table of partitions: say which one is "
			       "the root, --cmdline \"console=ttyS0 reboot=k "
			       "panic=1 root=/dev/vda1\"",
			       disk);
	r = make_initrd(found, &wish, need->pmem_root, disk, choice, err);
	type = rootfs_name(wish.rootfs);
	/* volt-vmm says itself which pmem is the root. */
	if (r > 0 && !named)
		(void)snprintf(choice->root, sizeof(choice->root), "%s%s%s",
			       need->pmem_root ? ""
			       : read_only     ? " root=/dev/vda ro"
					       : " root=/dev/vda rw",
			       type ? " rootfstype=" : "", type ? type : "");
	return r < 0 ? r : 0;
}

static int use_stored(struct kernel_found *found,
		      const struct kernel_need *need,
		      struct kernel_choice *choice, struct err *err)
{
	const struct record *record = &found->record;
	int r = store_use(found->store, record->name, &record->kernel, NULL,
			  NULL, err);

	if (r < 0)
		return r;
	choice->stored = true;
	choice->is_linux = record->release != NULL;
	choice->kernel = store_path(found->store, &record->kernel);
	if (!choice->kernel)
		return err_set(err, -ENOMEM, "Out of memory");
	return need->disk && !need->has_initrd &&
			       (record->has_config || need->image)
		       ? prepare_root(found, need, choice, err)
		       : 0;
}

int kernel_choose(const struct kernel_need *need, struct kernel_choice *choice,
		  struct err *err)
{
	struct kernel_found *found;
	int r = -ENOENT;

	if (!need->word || !strchr(need->word, '/')) {
		found = calloc(1, sizeof(*found));
		if (!found)
			return err_set(err, -ENOMEM, "Out of memory");
		r = kernel_find(found, need->word, err);
		if (r == 0)
			r = use_stored(found, need, choice, err);
		else if (r == -ENOENT && need->word &&
			 access(need->word, F_OK) < 0)
			r = err_set(err, r,
				    "There is neither a kernel named %s "
				    "(`volt kernel ls` lists them) nor a file "
				    "%s here",
				    need->word, need->word);
		else if (r == -ENOENT && need->word)
			r = 0;
		kernel_found_free(found);
		free(found);
		if (r < 0 || choice->kernel)
			return r;
	}
	if (need->image)
		return err_set(err, -EINVAL,
			       "An image runs with a kernel that has a name: "
			       "`volt kernel add %s` gives it one",
			       need->word ? need->word : "FILE");
	choice->kernel = need->word ? strdup(need->word) : NULL;
	return choice->kernel ? 0 : err_set(err, -ENOMEM, "Out of memory");
}
