// SPDX-License-Identifier: Apache-2.0
/*
 * initramfs.c - the modules that a root needs, in a small initramfs
 */
#include "kernel/initramfs.h"

#include "agent/agent_program.h" /* volt-agent, by the build */
#include "kernel/cpio.h"
#include "kernel/guest/guest_init.h" /* guest/init.c, by the build */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define FOLDER_MODE  (S_IFDIR | 0755)
#define PROGRAM_MODE (S_IFREG | 0755)
#define MODULE_MODE  (S_IFREG | 0644)
#define CONSOLE_MODE (S_IFCHR | 0600)
/* To be counted up when what is put in changes. */
#define VERSION "volt initramfs 3"

static void initramfs_choose(struct modules *modules,
			     const struct initramfs_wish *wish)
{
	(void)modules_choose(modules, "virtio_mmio");
	(void)modules_choose(modules, "virtio_blk");
	if (wish->net)
		(void)modules_choose(modules, "virtio_net");
	if (wish->vsock)
		(void)modules_choose(modules, "vmw_vsock_virtio_transport");
	if (wish->pmem) {
		(void)modules_choose(modules, "virtio_pmem");
		(void)modules_choose(modules, "nd_pmem"); /* /dev/pmem0 */
	}
	if (wish->hotplug)
		(void)modules_choose(modules, "virtio_mem");
	if (wish->agent) {
		(void)modules_choose(modules, "overlay");
		(void)modules_choose(modules, "ext4"); /* the layer's */
	}
	if (rootfs_name(wish->rootfs)) {
		(void)modules_choose(modules, rootfs_name(wish->rootfs));
		return;
	}
	for (enum rootfs_kind i = 0; i < ROOTFS_PARTITIONS; i++)
		if (rootfs_name(i))
			(void)modules_choose(modules, rootfs_name(i));
}

void initramfs_make(struct modules *modules, const struct initramfs_wish *wish,
		    struct buf *out)
{
	static const char *const folders[] = {
		"dev", "image", "layer", "modules", "proc", "root", "sys"};
	cleanup_buf struct buf list = {0};
	struct cpio cpio = {0};

	initramfs_choose(modules, wish);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		cpio_add(&cpio, folders[i], FOLDER_MODE, NULL, 0, 0);
	cpio_add(&cpio, "dev/console", CONSOLE_MODE, NULL, 0, makedev(5, 1));
	if (wish->agent)
		cpio_add(&cpio, "init", PROGRAM_MODE, agent_program,
			 sizeof(agent_program), 0);
	else
		cpio_add(&cpio, "init", PROGRAM_MODE, guest_init,
			 sizeof(guest_init), 0);
	for (unsigned int i = 0; i < modules->nr_chosen; i++) {
		const struct module *m = &modules->list[modules->order[i]];
		char path[MODULE_NAME_MAX + 16];

		(void)snprintf(path, sizeof(path), "modules/%s.ko", m->name);
		cpio_add(&cpio, path, MODULE_MODE, m->data.data, m->data.len,
			 0);
		buf_addf(&list, "/%s\n", path);
	}
	cpio_add(&cpio, "load", MODULE_MODE, list.data, list.len, 0);
	cpio_end(&cpio);
	cpio.out.failed = cpio.out.failed || list.failed;
	buf_free(out);
	*out = cpio.out;
}

static struct digest key_of(const struct record *record,
			    const struct initramfs_wish *wish)
{
	const struct digest init =
		wish->agent ? digest_of(agent_program, sizeof(agent_program))
			    : digest_of(guest_init, sizeof(guest_init));
	char text[256];
	int n = snprintf(
		text, sizeof(text), VERSION "\n%s\n%s\n%d %d %d %d %d %d\n",
		record->modules.sha256, init.hex, wish->rootfs, wish->net,
		wish->vsock, wish->pmem, wish->hotplug, wish->agent);

	return digest_of(text, (size_t)n);
}

bool initramfs_find(const struct record *record, const struct store *mine,
		    const struct initramfs_wish *wish, char **path)
{
	return (record->has_modules || wish->agent) &&
	       store_find_initramfs(mine, key_of(record, wish).hex, path);
}

int initramfs_put(const struct record *record, struct modules *modules,
		  struct store *mine, const struct initramfs_wish *wish,
		  char **path, struct err *err)
{
	cleanup_buf struct buf archive = {0};
	int r = store_create(mine, err);

	if (r < 0)
		return r;
	initramfs_make(modules, wish, &archive);
	if (archive.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	return store_put_initramfs(mine, key_of(record, wish).hex, archive.data,
				   archive.len, path, err);
}
