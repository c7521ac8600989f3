// SPDX-License-Identifier: Apache-2.0
/*
 * option_vsock.c - --vsock cid=N,path=SOCKET
 */
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define CID_MIN     3u /* below it: hypervisor, loopback, host */
#define CID_DEFAULT CID_MIN

static int bad(struct err *err)
{
	return err_set(err, -EINVAL,
		       "it takes path=SOCKET and cid=N (3 or more, the default "
		       "is 3)");
}

static int twice(struct err *err, const char *key)
{
	return err_set(err, -EINVAL, "there is a second %s=", key);
}

static int set_cid(struct vsock_config *vsock, const char *text,
		   struct err *err)
{
	char *end;
	unsigned long n;

	if (vsock->guest_cid != 0)
		return twice(err, "cid");
	errno = 0;
	n = strtoul(text, &end, 10);
	/* The largest number stands for any CID. */
	if (errno || !isdigit((unsigned char)*text) || *end || n < CID_MIN ||
	    n >= UINT32_MAX)
		return bad(err);
	vsock->guest_cid = (uint32_t)n;
	return 0;
}

static int set_path(struct vsock_config *vsock, const char *text,
		    struct err *err)
{
	if (vsock->uds_path)
		return twice(err, "path");
	vsock->uds_path = strdup(text);
	return vsock->uds_path ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

static int set_word(struct vsock_config *vsock, const char *word,
		    struct err *err)
{
	if (strncmp(word, "cid=", 4) == 0)
		return set_cid(vsock, word + 4, err);
	if (strncmp(word, "path=", 5) == 0 && word[5])
		return set_path(vsock, word + 5, err);
	return bad(err);
}

static int parse(struct vsock_config *vsock, const char *text, struct err *err)
{
	cleanup_free char *words = strdup(text);
	char *save = NULL;
	int r = words ? 0 : err_set(err, -ENOMEM, "Out of memory");

	for (char *word = words ? strtok_r(words, ",", &save) : NULL;
	     word && r == 0; word = strtok_r(NULL, ",", &save))
		r = set_word(vsock, word, err);
	if (r == 0 && !vsock->uds_path)
		r = bad(err);
	if (r == 0 && vsock->guest_cid == 0)
		vsock->guest_cid = CID_DEFAULT;
	return r;
}

int option_vsock_apply(const char *text, struct vm_config *config,
		       struct err *err)
{
	struct vsock_config *vsock = &config->vsock;
	int r;

	vsock_config_free(vsock);
	r = parse(vsock, text, err);
	if (r == 0)
		r = vsock_config_bind(config->opener, vsock, err);
	if (r < 0) {
		(void)err_prefix(err, "--vsock %s: ", text);
		vsock_config_free(vsock);
		return r;
	}
	vsock->present = true;
	return 0;
}
