// SPDX-License-Identifier: Apache-2.0
/*
 * vsock.c - the socket device enters the configuration
 *
 * The path is bound when the configuration is set, so that a path which does
 * not work is told to whoever sets it, and clients may connect from then on;
 * they are served when the guest's driver is there.
 */
#include "config/fields.h"
#include "config/override.h"
#include "config/parts.h"
#include "config/words.h"

#include <errno.h>

#define CONFIG_OF struct vsock_config

/* clang-format off */
static const struct schema_field config_vsock_fields[] = {
	TEXT(vsock_id, SCHEMA_NULL | SCHEMA_DEPRECATED | SCHEMA_HIDDEN, NO,
	     NOT("deprecated: nothing obeys it, and no answer shows it")),
	NUMBER(guest_cid, MUST, NO, MUST, &schema_u32),
	TEXT(uds_path, MUST, NO, MUST),
	OURS(fd, "bound anew at uds_path"),
	OURS(file, "that of fd"),
	OURS(present, "the part is set, and saved"),
};
/* clang-format on */

const struct schema_object config_vsock =
	CONFIG_OBJECT("VsockDeviceConfig", config_vsock_fields, SCHEMA_WHOLE);

static void vsock_init(void *item)
{
	*(struct vsock_config *)item = (struct vsock_config){.fd = -1};
}

int vsock_config_bind(const struct path_opener *opener,
		      struct vsock_config *vsock, struct err *err)
{
	int fd = path_open(opener, PATH_VSOCK, vsock->uds_path, err);

	if (fd < 0)
		return fd;
	vsock->fd = fd;
	vsock->file = file_id_of(vsock->uds_path);
	return 0;
}

void vsock_config_free(struct vsock_config *vsock)
{
	if (vsock->fd >= 0)
		file_unlink_own(vsock->uds_path, vsock->file);
	fd_close(&vsock->fd);
	schema_free(&config_vsock, vsock);
	vsock_init(vsock);
}

#define CID_MIN 3u /* below it: hypervisor, loopback, host */

static const struct config_word vsock_word_list[] = {
	CONFIG_VSOCK_WORDS(CONFIG_WORD_ROW)};
static const struct config_words vsock_words = {
	.flag = "vsock",
	.usage = CONFIG_VSOCK_WORDS(CONFIG_WORD_USAGE),
	.takes = "it takes path=SOCKET and cid=N (3 or more, the default is 3)",
	.object = &config_vsock,
	.words = vsock_word_list,
	.nr = ARRAY_SIZE(vsock_word_list),
};

/* The largest number stands for any CID. */
static int vsock_check(const struct vsock_config *vsock, const char *text,
		       struct err *err)
{
	if (vsock->guest_cid >= CID_MIN && vsock->guest_cid < UINT32_MAX &&
	    vsock->uds_path && *vsock->uds_path)
		return 0;
	return err_set(err, -EINVAL, "--vsock %s: %s", text, vsock_words.takes);
}

int config_vsock_set(const char *text, struct vm_config *config,
		     struct err *err)
{
	struct vsock_config *vsock = &config->vsock;
	int r;

	vsock_config_free(vsock);
	vsock->guest_cid = CID_MIN;
	r = config_words_parse(&vsock_words, text, vsock, err);
	if (r == 0)
		r = vsock_check(vsock, text, err);
	if (r == 0) {
		r = vsock_config_bind(config->opener, vsock, err);
		if (r < 0)
			(void)err_prefix(err, "--vsock %s: ", text);
	}
	if (r < 0) {
		vsock_config_free(vsock);
		return r;
	}
	vsock->present = true;
	return 0;
}

static void free_vsock(void *item)
{
	vsock_config_free(item);
}

static int vsock_open_restored(struct vm_config *config, void *item,
			       unsigned int index,
			       const struct config_overrides *overrides,
			       struct err *err)
{
	struct vsock_config *vsock = item;

	(void)index;
	/* One that an override names has its path already. */
	if (!vsock->present || (overrides->lease && !overrides->vsock_uds_path))
		return 0;
	return vsock_config_bind(config->opener, vsock, err);
}

const struct config_part config_part_vsock = {
	.key = "vsock",
	.saved = "vsock",
	.whole = &config_vsock,
	.offset = offsetof(struct vm_config, vsock),
	.present = offsetof(struct vm_config, vsock.present),
	.init = vsock_init,
	.open = vsock_open_restored,
	.close = free_vsock,
};
