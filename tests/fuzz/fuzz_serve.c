// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_serve.c - what volt-pager reads beside memory: a VMM's message, a
 * working set
 *
 * The first byte chooses. Regions are all of the image, in its order.
 */
#include "dev_fuzz.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/workset.h"
#include "serve/regions.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_IMAGE MIB(64)

static void fuzz_message(const char *text, size_t len)
{
	struct regions regions;
	struct err err = {0};
	uint64_t at = 0;

	if (regions_parse(&regions, text, len, FUZZ_IMAGE, &err) < 0) {
		fuzz_check(err.text[0] != '\0');
		return;
	}
	for (unsigned int i = 0; i < regions.nr; i++) {
		const struct region *r = &regions.region[i];

		fuzz_check(r->offset == at && r->size % PAGE_SIZE == 0 &&
			   r->hva + r->size > r->hva);
		fuzz_check(regions_of_image(&regions, at) == r);
		fuzz_check(regions_of_hva(&regions, r->hva) != NULL);
		at += r->size;
	}
	fuzz_check(at == FUZZ_IMAGE);
}

static void fuzz_workset(const uint8_t *data, size_t len)
{
	uint8_t *bytes = malloc(len + 1);
	int fd = memfd_create("set", MFD_CLOEXEC);
	struct workset set;
	struct err err = {0};

	fuzz_check(bytes != NULL && fd >= 0);
	memcpy(bytes, data, len);
	if (len >= 32)
		store_le64(bytes + 24,
			   crc64(crc64(0, bytes, 24), bytes + 32, len - 32));
	fuzz_check(write(fd, bytes, len) == (ssize_t)len);
	if (workset_read(&set, fd, "set", &err) == 0)
		fuzz_check(len == 0 || set.nr * 4 + 32 == len);
	else
		fuzz_check(err.text[0] != '\0');
	workset_fini(&set);
	fd_close(&fd);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 'w')
		fuzz_workset(data + 1, size - 1);
	else
		fuzz_message((const char *)data + 1, size - 1);
	return 0;
}
