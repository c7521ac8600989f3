// SPDX-License-Identifier: Apache-2.0
/*
 * module.c - which modules a Volt guest can use (theory: module.h)
 */
#include "kernel/module.h"

#include "kernel/cpio.h"
#include "kernel/unpack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SUFFIX    ".ko"
#define FILE_MODE (S_IFREG | 0644)
#define DEPTH_MAX 32u

/* Devices of Volt's, and file systems that a root may have. */
static const char *const useful[] = {
	"virtio_mmio",
	"virtio_blk",
	"virtio_net",
	"virtio_rng",
	"virtio_balloon",
	"virtio_mem",
	"virtio_pmem",
	"nd_pmem",
	"vmw_vsock_virtio_transport",
	"vmgenid",
	"ptp_vmclock",
	"rtc_cmos",
	"ext4",
	"xfs",
	"btrfs",
	"squashfs",
	"erofs",
	"f2fs",
	"isofs",
	"overlay",
};

/* Where those, and all that they need, are below lib/modules/RELEASE/kernel. */
static const char *const folders[] = {
	"fs/",
	"lib/",
	"crypto/",
	"arch/",
	"mm/",
	"net/core/",
	"net/vmw_vsock/",
	"drivers/virtio/",
	"drivers/block/",
	"drivers/nvdimm/",
	"drivers/dax/",
	"drivers/virt/",
	"drivers/rtc/",
	"drivers/ptp/",
	"drivers/char/hw_random/",
};
#define NET_DRIVERS "drivers/net/" /* only what is in it itself */

void modules_free(struct modules *modules)
{
	for (unsigned int i = 0; i < modules->nr; i++) {
		buf_free(&modules->list[i].info);
		buf_free(&modules->list[i].data);
	}
	free(modules->list);
	free(modules->order);
	*modules = (struct modules){0};
}

static const char *file_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool module_path_matters(const char *path)
{
	static const char mark[] = "/kernel/";
	const char *in = strstr(path, mark);

	if (!in || !strstr(file_of(path), SUFFIX))
		return false;
	in += sizeof(mark) - 1;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (strncmp(in, folders[i], strlen(folders[i])) == 0)
			return true;
	return strncmp(in, NET_DRIVERS, strlen(NET_DRIVERS)) == 0 &&
	       !strchr(in + strlen(NET_DRIVERS), '/');
}

/* "virtio-rng.ko.xz": virtio_rng. Return: false when it is none. */
static bool set_name(struct module *module, const char *path)
{
	const char *file = file_of(path), *end = strstr(file, SUFFIX);
	size_t len = end ? (size_t)(end - file) : 0;

	if (len == 0 || len >= sizeof(module->name))
		return false;
	for (size_t i = 0; i < len; i++)
		module->name[i] = file[i] == '-' ? '_' : file[i];
	module->name[len] = '\0';
	return true;
}

struct to_module {
	struct unpack_sink sink;
	struct buf *buf;
};

static int write_to_module(struct unpack_sink *sink, const void *data,
			   size_t len)
{
	struct to_module *to = container_of(sink, struct to_module, sink);

	if (len > MODULE_BYTES_MAX - to->buf->len)
		return -EBADMSG;
	buf_add(to->buf, data, len);
	return to->buf->failed ? -ENOMEM : 0;
}

static int fill_module(struct module *module, const void *data, size_t len)
{
	enum unpack_kind kind = unpack_recognize(data, len);
	struct to_module to = {.sink.write = write_to_module,
			       .buf = &module->data};
	int r = kind == UNPACK_NONE ? write_to_module(&to.sink, data, len)
				    : unpack(kind, data, len, &to.sink, NULL);

	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	return module_read_info(module->data.data, module->data.len,
				&module->info);
}

int module_add(struct modules *modules, const char *path, const void *data,
	       size_t len)
{
	struct module module = {0}, *list;
	int r;

	if (modules->nr == MODULES_MAX)
		return -E2BIG;
	if (!set_name(&module, path))
		return -EBADMSG;
	list = reallocarray(modules->list, modules->nr + 1,
			    sizeof(*modules->list));
	if (!list)
		return -ENOMEM;
	modules->list = list;
	r = fill_module(&module, data, len);
	if (r < 0) {
		buf_free(&module.data);
		buf_free(&module.info);
		return r;
	}
	list[modules->nr++] = module;
	return 0;
}

/* The next value of @key behind *@at in .modinfo, or NULL. */
static const char *next_info(const struct module *module, const char *key,
			     size_t *at)
{
	size_t n = strlen(key);

	while (*at < module->info.len) {
		const char *entry = module->info.data + *at;
		size_t len = strnlen(entry, module->info.len - *at);

		*at += len + 1;
		if (len > n && strncmp(entry, key, n) == 0 && entry[n] == '=')
			return entry + n + 1;
	}
	return NULL;
}

/* Names are compared as the kernel does: '-' is '_'. */
static bool module_same_name(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
			return false;
	return a[len] == '\0';
}

/* Of the same algorithm: Linux names some with the prefix, some without. */
static bool has_alias(const struct module *module, const char *name, size_t len)
{
	static const char crypto[] = "crypto-";
	const size_t n = sizeof(crypto) - 1;
	const char *alias;
	size_t at = 0;

	if (len > n && strncmp(name, crypto, n) == 0) {
		name += n;
		len -= n;
	}
	while ((alias = next_info(module, "alias", &at))) {
		if (strncmp(alias, crypto, n) == 0)
			alias += n;
		if (strnlen(alias, len + 1) == len &&
		    module_same_name(alias, name, len))
			return true;
	}
	return false;
}

static struct module *find_module(const struct modules *modules,
				  const char *name, size_t len)
{
	for (unsigned int i = 0; i < modules->nr; i++)
		if (strnlen(modules->list[i].name, len + 1) == len &&
		    module_same_name(modules->list[i].name, name, len))
			return &modules->list[i];
	return NULL;
}

bool modules_has(const struct modules *modules, const char *name)
{
	return find_module(modules, name, strlen(name)) != NULL;
}

static void module_choose(struct modules *modules, struct module *module,
			  unsigned int depth);

/* Words of @text, between any of @between; aliases too, with @aliases. */
static void choose_words(struct modules *modules, const char *text,
			 const char *between, bool aliases, unsigned int depth)
{
	while (*(text += strspn(text, between))) {
		size_t len = strcspn(text, between);
		struct module *found = find_module(modules, text, len);

		if (aliases && len > 0 && text[len - 1] == ':')
			return; /* "post:" */
		for (unsigned int i = 0; aliases && i < modules->nr; i++)
			if (has_alias(&modules->list[i], text, len))
				module_choose(modules, &modules->list[i],
					      depth);
		if (found)
			module_choose(modules, found, depth);
		text += len;
	}
}

static void module_choose(struct modules *modules, struct module *module,
			  unsigned int depth)
{
	const char *value;
	size_t at = 0;

	if (module->chosen || depth == DEPTH_MAX)
		return;
	module->chosen = true;
	while ((value = next_info(module, "depends", &at)))
		choose_words(modules, value, ",", false, depth + 1);
	at = 0;
	while ((value = next_info(module, "softdep", &at)))
		if (strncmp(value, "pre:", 4) == 0)
			choose_words(modules, value + 4, " ", true, depth + 1);
	modules->order[modules->nr_chosen++] =
		(unsigned int)(module - modules->list);
}

bool modules_choose(struct modules *modules, const char *name)
{
	struct module *found = find_module(modules, name, strlen(name));

	if (!found)
		return false;
	if (!modules->order)
		modules->order = calloc(modules->nr, sizeof(*modules->order));
	if (modules->order)
		module_choose(modules, found, 0);
	return modules->order != NULL;
}

void modules_choose_useful(struct modules *modules)
{
	for (size_t i = 0; i < ARRAY_SIZE(useful); i++)
		(void)modules_choose(modules, useful[i]);
}

void modules_pack(const struct modules *modules, struct buf *out)
{
	struct cpio cpio = {0};

	for (unsigned int i = 0; i < modules->nr_chosen; i++) {
		const struct module *m = &modules->list[modules->order[i]];
		char path[MODULE_NAME_MAX + sizeof(SUFFIX)];

		(void)snprintf(path, sizeof(path), "%s" SUFFIX, m->name);
		cpio_add(&cpio, path, FILE_MODE, m->data.data, m->data.len, 0);
	}
	cpio_end(&cpio);
	buf_free(out);
	*out = cpio.out;
}

int modules_unpack(const void *data, size_t len, struct modules *modules)
{
	struct cpio_entry entry;
	size_t at = 0;
	int r;

	while ((r = cpio_next(data, len, &at, &entry)) > 0) {
		r = module_add(modules, entry.path, entry.data, entry.len);
		if (r < 0)
			return r;
	}
	return r;
}
