// SPDX-License-Identifier: Apache-2.0
/*
 * image_add.c - `volt image add` and `pull`: how images come into the store
 */
#include "cli/image.h"
#include "cli/kernel.h"

#include "oci/pull.h"
#include "oci/take.h"

#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct image_add {
	const char *name;
	const char *ref;
	uint64_t max_mib;
	bool replace;
	bool plain;
};

#define AT(member) .offset = offsetof(struct image_add, member)
#define IMAGE_MAX_SIZE                                                     \
	{"max-size",                                                       \
	 "SIZE",                                                           \
	 "refuse one whose files have more in all, or a "                  \
	 "layer that unpacks to more: MiB, or with M or G (default: 32G)", \
	 .kind = ARG_SIZE,                                                 \
	 .min = 1,                                                         \
	 .max = UINT64_C(16) << 20,                                        \
	 AT(max_mib)}

/* clang-format off */
static const struct arg image_add_args[] = {
	{"name", "NAME", "such as web, or web:1 (default: what the source "
	 "calls it, else the source's own name)", .kind = ARG_TEXT, AT(name)},
	{"ref", "NAME", "of several images in the source, this one",
	 .kind = ARG_TEXT, AT(ref)},
	{"replace", NULL, "another image of that name goes", .kind = ARG_FLAG,
	 AT(replace)},
	IMAGE_MAX_SIZE,
};

static const struct arg image_pull_args[] = {
	{"name", "NAME", "such as web, or web:1 (default: REFERENCE without "
	 "a digest)", .kind = ARG_TEXT, AT(name)},
	{"plain-http", NULL, "the registry may be reached without TLS, or with "
	 "a certificate that nobody vouches for", .kind = ARG_FLAG, AT(plain)},
	IMAGE_MAX_SIZE,
};
/* clang-format on */

const struct args_page cmd_image_add_page = {
	.name = "volt image add",
	.summary = "add an image, from a folder or an archive",
	.usage = "[OPTIONS] SOURCE",
	.about = "SOURCE is a folder or a tar archive (also gzip or zstd) with "
		 "a root file system; an OCI layout (`skopeo copy ... "
		 "oci:DIR`), as a folder or an archive; or what `docker save` "
		 "or `podman save` wrote. It becomes an ext4 file: without "
		 "root, with owners, devices, hard links, extended attributes, "
		 "capabilities and holes as they are there. Nothing is "
		 "unpacked on this machine.\n"
		 "\n"
		 "Nothing is believed: parts must hash to what names them, and "
		 "what is damaged, lies or asks for too much is refused with "
		 "the entry's name. To add the same image again changes "
		 "nothing, and mends what was damaged. However an add ends, "
		 "the image is there, or nothing of it is.\n",
	.args = image_add_args,
	.nr_args = ARRAY_SIZE(image_add_args),
	.exit = "0 it is there; 1 failed, and nothing changed; 64 bad usage.",
	.examples = "  docker save web:1 -o web.tar; volt image add web.tar\n"
		    "  volt image add --name tree rootfs/\n"
		    "  volt image add --name debian:12 rootfs.tar.zst\n",
	.nr_words = 1,
};

const struct args_page cmd_image_pull_page = {
	.name = "volt image pull",
	.summary = "fetch an image from a registry, by skopeo",
	.usage = "[OPTIONS] REFERENCE",
	.about = "Has skopeo (Debian's package) copy the image for linux on "
		 "amd64, and adds it. Credentials are skopeo's (`skopeo "
		 "login`), and so is the policy of whom to trust "
		 "(/etc/containers/policy.json). An image of that name that "
		 "is there goes when the new one is whole.\n",
	.args = image_pull_args,
	.nr_args = ARRAY_SIZE(image_pull_args),
	.exit = "0 it is there; 1 failed, and nothing changed; 64 bad usage.",
	.examples =
		"  volt image pull debian:12\n"
		"  volt image pull --name web ghcr.io/owner/web@sha256:...\n"
		"  volt image pull --plain-http localhost:5000/web:1\n",
	.nr_words = 1,
};

static int image_bad_name(const struct args_page *page, const char *name)
{
	return cli_misuse(page,
			  "--name takes letters, digits and . _ + - ~ with : "
			  "and / between them, %d characters at most, not '%s'",
			  RECORD_REFERENCE_MAX, name);
}

/* A name that the source says, or its own: without an archive's ending. */
static int image_name(const char *reference, const struct record *record,
		      char **name, struct err *err)
{
	static const char *const ends[] = {".gz", ".zst", ".tgz", ".tar"};
	const char *at = strchr(reference, '@');

	*name = reference[0] ? strndup(reference, at ? (size_t)(at - reference)
						     : strlen(reference))
			     : strdup(record->origin);
	if (!*name)
		return err_set(err, -ENOMEM, "Out of memory");
	for (size_t i = 0; !reference[0] && i < ARRAY_SIZE(ends); i++) {
		size_t len = strlen(*name), n = strlen(ends[i]);

		if (len > n && strcmp(*name + len - n, ends[i]) == 0)
			(*name)[len - n] = '\0';
	}
	return record_is_reference(*name)
		       ? 0
		       : err_set(err, -EINVAL,
				 "%s tells no name that will do: give it one "
				 "with --name",
				 record->origin);
}

static int image_commit(struct adding *adding, const struct image_add *o,
			const char *reference, struct record *record,
			struct err *err)
{
	int r;

	if (o->name) {
		record->name = strdup(o->name);
		if (!record->name)
			return err_set(err, -ENOMEM, "Out of memory");
	} else {
		r = image_name(reference, record, &record->name, err);
		if (r < 0)
			return r;
	}
	r = adding_commit(adding, record, o->replace, err);
	if (r >= 0)
		(void)printf("%s: %s, %.12s\n", record->name,
			     r ? "was there already" : "added",
			     record->config.sha256);
	return r < 0 ? r : 0;
}

/* @pulled: a reference, and @path is of no use. */
static int image_take(struct adding *adding, const struct image_add *o,
		      const char *path, const char *pulled,
		      struct progress *progress, struct record *record,
		      char **reference, struct err *err)
{
	struct take take = {
		.path = path,
		.ref = o->ref,
		.max = o->max_mib << 20,
		.progress = progress,
	};
	cleanup_free char *folder = NULL, *layout = NULL;
	int r = store_create(adding->store, err);

	if (r == 0 && pulled)
		r = adding_folder(adding, &folder, err);
	if (r == 0 && pulled)
		r = pull_layout(pulled, folder, o->plain, progress, err);
	if (r == 0 && pulled) {
		layout = asprintf(&layout, "%s/layout", folder) < 0 ? NULL
								    : layout;
		take.path = layout;
		if (!layout)
			return err_set(err, -ENOMEM, "Out of memory");
	}
	return r < 0 ? r : take_image(adding, &take, record, reference, err);
}

static int image_bring(const struct args_page *page, const struct image_add *o,
		       const char *path, const char *pulled)
{
	cleanup_record struct record record = {0};
	cleanup_free char *reference = NULL;
	struct adding adding = {0};
	struct cli_wait wait;
	struct stores stores;
	struct err err;
	int r;

	if (o->name && !record_is_reference(o->name))
		return image_bad_name(page, o->name);
	cli_wait_begin(&wait, page);
	r = stores_open(&stores, &store_images, &err);
	adding.store = stores_mine(&stores);
	if (r == 0)
		r = image_take(&adding, o, path, pulled, &wait.progress,
			       &record, &reference, &err);
	cli_wait_end(&wait);
	if (r == 0 && pulled) {
		free(record.origin);
		record.origin = strdup(pulled);
		if (!record.origin)
			r = err_set(&err, -ENOMEM, "Out of memory");
	}
	if (r == 0)
		r = image_commit(&adding, o, pulled ? pulled : reference,
				 &record, &err);
	adding_close(&adding);
	stores_close(&stores);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_image_add(const struct args_page *page, int argc, char **argv)
{
	struct image_add o = {.max_mib = TAKE_MAX_SIZE >> 20};
	struct args args;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	return r != CLI_GO_ON ? r : image_bring(page, &o, args.words[0], NULL);
}

int cmd_image_pull(const struct args_page *page, int argc, char **argv)
{
	struct image_add o = {.max_mib = TAKE_MAX_SIZE >> 20, .replace = true};
	struct args args;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	return r != CLI_GO_ON ? r : image_bring(page, &o, NULL, args.words[0]);
}
