// SPDX-License-Identifier: Apache-2.0
/*
 * take.c - what a person has becomes an image of the store (theory: take.h)
 */
#include "oci/take.h"

#include "oci/bundle.h"
#include "oci/config.h"
#include "oci/ext4.h"
#include "oci/folder.h"
#include "oci/layer.h"
#include "oci/manifest.h"
#include "oci/tar.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Another layout of the same tree is another file system: count it up. */
#define TAKE_FORMAT  "volt ext4 1\n"
#define TAKE_INDEXES 3

/**
 * struct taking - an image on its way
 * @fd, @size:	of the source; of a compressed archive, unpacked
 * @config:	the document
 */
struct taking {
	const struct take *take;
	struct adding *adding;
	struct record *record;
	struct fstree tree;
	struct bundle bundle;
	struct manifest manifest;
	struct oci_config about;
	struct buf config;
	int fd;
	uint64_t size;
	struct err *err;
};

static int take_set_text(char **to, const char *text, struct err *err)
{
	free(*to);
	*to = strdup(text);
	return *to ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

static int take_tree(struct taking *t)
{
	int spool = -1, r = adding_file(t->adding, &spool, t->err);

	if (r == 0 && fstree_init(&t->tree, spool, t->take->max) < 0)
		r = err_set(t->err, -ENOMEM, "Out of memory");
	return r;
}

/* The tree is whole: its file system. */
static int take_write(struct taking *t, const char *key)
{
	int fd = -1, r = adding_file(t->adding, &fd, t->err);

	if (r == 0)
		r = ext4_write(&t->tree, fd, key, t->take->progress, t->err);
	if (r == 0)
		r = adding_done(t->adding, fd, t->take->progress,
				&t->record->rootfs, t->err);
	if (r == 0)
		r = take_set_text(&t->record->chain, key, t->err);
	t->record->has_rootfs = r == 0;
	return r;
}

static int take_keep_config(struct taking *t)
{
	int r = adding_text(t->adding, t->config.data, t->config.len,
			    &t->record->config, t->err);

	t->record->has_config = r == 0;
	return r;
}

/* The configuration of what has none. */
static int take_make_config(struct taking *t, const char *diff_id)
{
	buf_clear(&t->config);
	buf_addf(&t->config,
		 "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
		 "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:%s\"]}"
		 "}\n",
		 diff_id);
	return t->config.failed ? err_set(t->err, -ENOMEM, "Out of memory")
				: take_keep_config(t);
}

static void take_add_number(struct digest_sum *sum, uint64_t n)
{
	digest_add(sum, &n, sizeof(n));
}

static void take_add_text(struct digest_sum *sum, const char *text)
{
	digest_add(sum, text, strlen(text) + 1);
}

/* All that a file system says of a node but its bytes. */
static void take_add_node(struct digest_sum *sum, const struct fs_node *node,
			  uint64_t number)
{
	const struct fs_inode *inode = node->inode;
	const uint64_t values[] = {
		node->depth,     number,
		inode->mode,     inode->uid,
		inode->gid,      inode->major,
		inode->minor,    (uint64_t)inode->mtime,
		inode->mtime_ns, inode->size,
		inode->nr_runs,  inode->xattrs.len,
	};

	take_add_text(sum, node->name);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		take_add_number(sum, values[i]);
	take_add_text(sum, inode->link ? inode->link : "");
	digest_add(sum, inode->xattrs.data ? inode->xattrs.data : "",
		   inode->xattrs.len);
	for (unsigned int i = 0; i < inode->nr_runs; i++) {
		take_add_number(sum, inode->runs[i].off);
		take_add_number(sum, inode->runs[i].len);
		take_add_number(sum, inode->runs[i].at);
	}
}

/* What a folder is called that came without a name: by all that is in it. */
static int take_name_tree(struct taking *t, struct digest *key)
{
	struct digest_sum sum;
	struct digest bytes;
	int r = fstree_sort(&t->tree);

	if (r == 0)
		r = digest_of_file(t->tree.spool, t->tree.spooled,
				   t->take->progress, &bytes);
	if (r < 0)
		return err_set(t->err, r, "cannot be read again: %s",
			       err_name(r));
	digest_begin(&sum);
	take_add_text(&sum, TAKE_FORMAT);
	take_add_text(&sum, bytes.hex);
	for (struct fs_node *at = t->tree.root; at;) {
		take_add_node(&sum, at, at->inode->names);
		if (at->inode->first) {
			at = at->inode->first;
			continue;
		}
		while (at && !at->after)
			at = at->parent;
		at = at ? at->after : NULL;
	}
	*key = digest_end(&sum);
	return 0;
}

static int take_folder(struct taking *t)
{
	struct digest key;
	int r = take_tree(t);

	if (r == 0)
		r = folder_read(&t->tree, t->fd, t->take->progress, t->err);
	if (r == 0)
		r = take_name_tree(t, &key);
	if (r == 0)
		r = take_write(t, key.hex);
	return r < 0 ? r : take_make_config(t, key.hex);
}

/* What a chain of layers is called. */
static struct digest take_chain(const struct oci_words *diff_ids)
{
	struct digest_sum sum;

	digest_begin(&sum);
	take_add_text(&sum, TAKE_FORMAT);
	for (unsigned int i = 0; i < diff_ids->nr; i++)
		take_add_text(&sum, diff_ids->word[i]);
	return digest_end(&sum);
}

/* A root file system as one tar archive. */
static int take_tar(struct taking *t)
{
	struct digest packed, plain = {0}, key;
	char id[sizeof("sha256:") + DIGEST_HEX + 1];
	char *ids[] = {id, NULL};
	struct flow flow;
	int r = take_tree(t);

	if (r < 0)
		return r;
	r = flow_open(&flow, t->fd, 0, t->size, t->take->max, t->take->progress,
		      "reading", t->err);
	if (r == 0)
		r = layer_apply(&t->tree, &flow, t->err);
	if (r == 0)
		r = flow_end(&flow, &packed, &plain);
	flow_close(&flow);
	if (r == 0 && t->tree.nr_nodes == 0)
		r = err_set(t->err, -EINVAL, "has nothing in it");
	if (r < 0)
		return r;
	(void)snprintf(id, sizeof(id), "sha256:%s", plain.hex);
	key = take_chain(&(struct oci_words){1, ids});
	r = take_write(t, key.hex);
	return r < 0 ? r : take_make_config(t, plain.hex);
}

/* Parts of an archive are read where they lie, so it has to be unpacked. */
static int take_unpack(struct taking *t)
{
	cleanup_free uint8_t *chunk = malloc(FLOW_CHUNK);
	struct flow flow;
	int to = -1, r;
	ssize_t n = 1;

	if (!chunk)
		return err_set(t->err, -ENOMEM, "Out of memory");
	r = flow_open(&flow, t->fd, 0, t->size, t->take->max, t->take->progress,
		      "unpacking", t->err);
	if (r == 0 && flow.kind != FLOW_PLAIN) {
		r = adding_file(t->adding, &to, t->err);
		while (r == 0 && n > 0) {
			n = flow_read(&flow, chunk, FLOW_CHUNK);
			if (n > 0)
				r = fd_write_full(to, chunk, (size_t)n);
			if (r < 0)
				r = err_set(t->err, r,
					    "cannot be unpacked into the "
					    "store: %s",
					    err_name(r));
		}
		if (n < 0)
			r = (int)n;
		t->fd = r == 0 ? to : t->fd;
		t->size = flow.given;
	}
	flow_close(&flow);
	return r;
}

/* A part must hash to what names it. */
static int take_check(const struct manifest_part *part, const char *hex,
		      struct err *err)
{
	return !part->digest.hex[0] || strcmp(part->digest.hex, hex) == 0
		       ? 0
		       : err_set(err, -EBADMSG,
				 "has a %s that is not what its name says: "
				 "its SHA-256 is %s",
				 tar_show(part->name).text, hex);
}

static int take_document(struct taking *t, const struct manifest_part *part,
			 struct buf *out)
{
	int r;

	buf_clear(out);
	r = bundle_read(&t->bundle, part->name, MANIFEST_BYTES_MAX, out,
			t->err);
	return r < 0 ? r
		     : take_check(part, digest_of(out->data, out->len).hex,
				  t->err);
}

/* From index.json down to the manifest. */
static int take_oci_manifest(struct taking *t)
{
	struct manifest_part part = {.name = "index.json"};
	cleanup_buf struct buf text = {0};
	char reference[MANIFEST_NAME_MAX] = "";
	char deeper[MANIFEST_NAME_MAX] = "";
	bool index = true;
	int r = take_document(t, &part, &text);

	for (unsigned int i = 0; r == 0 && index; i++) {
		if (i == TAKE_INDEXES)
			return err_set(t->err, -EINVAL,
				       "has indexes of indexes of indexes");
		r = manifest_from_index(text.data, text.len,
					i ? NULL : t->take->ref, &part, &index,
					i ? deeper : reference, t->err);
		if (r == 0)
			r = take_document(t, &part, &text);
	}
	if (r == 0)
		r = manifest_parse(text.data, text.len, &t->manifest, t->err);
	if (r == 0)
		memcpy(t->manifest.reference, reference, sizeof(reference));
	return r;
}

static int take_docker_manifest(struct taking *t)
{
	cleanup_buf struct buf text = {0};
	int r = bundle_read(&t->bundle, "manifest.json", MANIFEST_BYTES_MAX,
			    &text, t->err);

	return r < 0 ? r
		     : manifest_parse_docker(text.data, text.len, t->take->ref,
					     &t->manifest, t->err);
}

/* Is it for this machine, and has it the layers that it says? */
static int take_judge_config(struct taking *t)
{
	const struct oci_config *about = &t->about;

	if ((about->os[0] && strcmp(about->os, "linux") != 0) ||
	    (about->architecture[0] &&
	     strcmp(about->architecture, "amd64") != 0))
		return err_set(t->err, -ENOEXEC,
			       "is an image for %s on %s: give one for linux "
			       "on amd64",
			       tar_show(about->os).text,
			       tar_show(about->architecture).text);
	if (about->diff_ids.nr != t->manifest.nr_layers)
		return err_set(t->err, -EINVAL,
			       "has %u layers, and a configuration of %u",
			       t->manifest.nr_layers, about->diff_ids.nr);
	return 0;
}

static int take_layer(struct taking *t, unsigned int i)
{
	const struct manifest_part *part = &t->manifest.layers[i];
	const char *want = t->about.diff_ids.word[i] + strlen("sha256:");
	struct digest packed = {0}, plain = {0};
	struct bundle_file file;
	struct flow flow;
	char what[48];
	int r = bundle_open(&t->bundle, part->name, &file, t->err);

	if (r < 0)
		return r;
	(void)snprintf(what, sizeof(what), "layer %u of %u", i + 1,
		       t->manifest.nr_layers);
	r = flow_open(&flow, file.fd, file.off, file.size, t->take->max,
		      t->take->progress, what, t->err);
	if (r == 0)
		r = layer_apply(&t->tree, &flow, t->err);
	if (r == 0)
		r = flow_end(&flow, &packed, &plain);
	flow_close(&flow);
	fd_close(&file.fd);
	if (r == 0)
		r = take_check(part, packed.hex, t->err);
	if (r == 0 && strcmp(plain.hex, want) != 0)
		r = err_set(t->err, -EBADMSG,
			    "is not what the configuration says: its SHA-256 "
			    "is %s unpacked",
			    plain.hex);
	if (r < 0)
		(void)err_prefix(t->err, "has a layer %u that ", i + 1);
	return r;
}

/* An image of the same layers, whose file system will do. */
struct take_same {
	struct taking *t;
	const char *key;
};

static int take_compare(const struct store *store, const char *name, void *arg)
{
	cleanup_record struct record old = {0};
	struct take_same *same = arg;
	struct record *record = same->t->record;

	if (store_find(store, name, &old, NULL) < 0 || !old.chain ||
	    strcmp(old.chain, same->key) != 0 ||
	    store_use(store, name, &old.rootfs, same->t->take->progress, NULL,
		      NULL) < 0)
		return 0;
	record->rootfs = old.rootfs;
	old.rootfs = (struct record_file){0};
	record->has_rootfs = true;
	return 1;
}

static int take_layers(struct taking *t)
{
	const struct digest key = take_chain(&t->about.diff_ids);
	struct take_same same = {t, key.hex};
	int r = store_each(t->adding->store, take_compare, &same, t->err);

	if (r < 0)
		return r;
	if (r > 0)
		return take_set_text(&t->record->chain, key.hex, t->err);
	r = take_tree(t);
	for (unsigned int i = 0; r == 0 && i < t->manifest.nr_layers; i++)
		r = take_layer(t, i);
	return r < 0 ? r : take_write(t, key.hex);
}

static int take_bundle(struct taking *t, bool docker)
{
	int r = docker ? take_docker_manifest(t) : take_oci_manifest(t);

	if (r == 0)
		r = take_document(t, &t->manifest.config, &t->config);
	if (r == 0)
		r = oci_config_parse(t->config.data, t->config.len, &t->about,
				     t->err);
	if (r == 0)
		r = take_judge_config(t);
	if (r == 0)
		r = take_layers(t);
	return r < 0 ? r : take_keep_config(t);
}

static int take_source(struct taking *t, bool *folder)
{
	struct stat st;

	t->fd = open(t->take->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return err_set(t->err, -errno, "cannot be opened: %s",
			       err_name(errno));
	*folder = S_ISDIR(st.st_mode);
	t->size = (uint64_t)st.st_size;
	if (!*folder && (!S_ISREG(st.st_mode) || st.st_size == 0))
		return err_set(t->err, -EINVAL,
			       "is no folder and no archive: give one");
	return 0;
}

static int take_any(struct taking *t, bool folder)
{
	int r;

	if (folder) {
		bundle_of_folder(&t->bundle, t->fd);
		return bundle_has(&t->bundle, "oci-layout") &&
				       bundle_has(&t->bundle, "index.json")
			       ? take_bundle(t, false)
			       : take_folder(t);
	}
	r = take_unpack(t);
	if (r == 0)
		r = bundle_of_archive(&t->bundle, t->fd, t->size, t->err);
	if (r < 0)
		return r;
	if (bundle_has(&t->bundle, "oci-layout") &&
	    bundle_has(&t->bundle, "index.json"))
		return take_bundle(t, false);
	return bundle_has(&t->bundle, "manifest.json") ? take_bundle(t, true)
						       : take_tar(t);
}

/* The last part of the path, as the origin of an image without a name. */
static int take_origin(struct taking *t)
{
	char shown[100];
	const char *path = t->take->path;
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	(void)snprintf(shown, sizeof(shown), "%.*s", (int)len, path);
	return take_set_text(
		&t->record->origin,
		tar_show(strrchr(shown, '/') ? strrchr(shown, '/') + 1 : shown)
			.text,
		t->err);
}

int take_image(struct adding *adding, const struct take *take,
	       struct record *record, char **reference, struct err *err)
{
	struct taking t = {
		.take = take,
		.adding = adding,
		.record = record,
		.bundle = {.dir = -1, .archive = -1},
		.fd = -1,
		.err = err,
	};
	bool folder = false;
	int source, r;

	record->format = RECORD_FORMAT;
	record->added = (uint64_t)time(NULL);
	r = take_source(&t, &folder);
	source = t.fd;
	if (r == 0)
		r = take_any(&t, folder);
	if (r == 0)
		r = take_origin(&t);
	if (r == 0)
		r = take_set_text(reference, t.manifest.reference, err);
	else
		(void)err_prefix(err, "Source %s ", tar_show(take->path).text);
	fstree_free(&t.tree);
	bundle_free(&t.bundle);
	manifest_free(&t.manifest);
	oci_config_free(&t.about);
	buf_free(&t.config);
	fd_close(&source);
	return r;
}
