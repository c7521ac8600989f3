// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_oci.c - any bytes as what `volt image add` reads
 *
 * The first byte says as what: a layer, which becomes a file system; the same
 * on top of a tree; a configuration, an index, a manifest, a manifest.json.
 */
#include "oci/bundle.h"
#include "oci/config.h"
#include "oci/ext4.h"
#include "oci/layer.h"
#include "oci/manifest.h"

#include "base/fd.h"

#include <sys/mman.h>
#include <unistd.h>

#define FUZZ_MAX MIB(8)
#define FUZZ_KEY \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define fuzz_check(cond)                  \
	do {                              \
		if (!(cond))              \
			__builtin_trap(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_check(fd >= 0 && fd_write_full(fd, data, size) == 0);
	return fd;
}

static int fuzz_apply(struct fstree *tree, int fd, size_t size)
{
	struct err err = {0};
	struct flow flow;
	int r = flow_open(&flow, fd, 0, size, FUZZ_MAX, NULL, NULL, &err);

	if (r == 0)
		r = layer_apply(tree, &flow, &err);
	fuzz_check(r <= 0 && (r == 0 || err.text[0]));
	flow_close(&flow);
	return r;
}

/* @times: the same layer again, on top of itself. */
static void fuzz_layers(const uint8_t *data, size_t size, unsigned int times)
{
	int fd = fuzz_file(data, size), spool = fuzz_file(NULL, 0);
	int out = fuzz_file(NULL, 0), r = 0;
	struct err err = {0};
	struct fstree tree;

	fuzz_check(fstree_init(&tree, spool, FUZZ_MAX) == 0);
	for (unsigned int i = 0; r == 0 && i < times; i++)
		r = fuzz_apply(&tree, fd, size);
	fuzz_check(tree.bytes <= FUZZ_MAX || r < 0);
	if (r == 0)
		fuzz_check(ext4_write(&tree, out, FUZZ_KEY, NULL, &err) == 0 ||
			   err.text[0]);
	fstree_free(&tree);
	fd_close(&fd);
	fd_close(&spool);
	fd_close(&out);
}

static void try_layer(const uint8_t *data, size_t size)
{
	fuzz_layers(data, size, 1);
}

static void try_twice(const uint8_t *data, size_t size)
{
	fuzz_layers(data, size, 2);
}

static void try_archive(const uint8_t *data, size_t size)
{
	int fd = fuzz_file(data, size);
	struct bundle_file file;
	struct bundle bundle;
	struct err err = {0};

	if (bundle_of_archive(&bundle, fd, size, &err) == 0 &&
	    bundle_open(&bundle, "index.json", &file, &err) == 0) {
		fuzz_check(file.off <= size && file.size <= size - file.off);
		fd_close(&file.fd);
	}
	bundle_free(&bundle);
	fd_close(&fd);
}

static void try_config(const uint8_t *data, size_t size)
{
	struct oci_config config;
	struct err err = {0};

	fuzz_check(oci_config_parse((const char *)data, size, &config, &err) ==
			   0 ||
		   err.text[0]);
	oci_config_free(&config);
}

static void try_index(const uint8_t *data, size_t size)
{
	char reference[MANIFEST_NAME_MAX];
	struct manifest_part part = {0};
	struct err err = {0};
	bool index;

	if (manifest_from_index((const char *)data, size, NULL, &part, &index,
				reference, &err) == 0)
		fuzz_check(digest_is_one(part.digest.hex));
	else
		fuzz_check(err.text[0]);
}

static void try_manifest(const uint8_t *data, size_t size)
{
	struct manifest manifest;
	struct err err = {0};

	fuzz_check(manifest_parse((const char *)data, size, &manifest, &err) ==
			   0 ||
		   err.text[0]);
	manifest_free(&manifest);
	fuzz_check(manifest_parse_docker((const char *)data, size, NULL,
					 &manifest, &err) == 0 ||
		   err.text[0]);
	manifest_free(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(const uint8_t *data, size_t size) = {
		try_layer,  try_twice, try_archive,
		try_config, try_index, try_manifest};

	if (size > 0)
		targets[data[0] % ARRAY_SIZE(targets)](data + 1, size - 1);
	return 0;
}
