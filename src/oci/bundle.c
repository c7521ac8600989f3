// SPDX-License-Identifier: Apache-2.0
/*
 * bundle.c - the files of an image that is in parts (bundle.h)
 */
#include "oci/bundle.h"

#include "oci/tar.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void bundle_of_folder(struct bundle *bundle, int dir)
{
	*bundle = (struct bundle){.dir = dir, .archive = -1};
}

static const char *bundle_plain_name(const char *name)
{
	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return name;
}

static int bundle_note(struct bundle *bundle, const struct tar_entry *entry,
		       uint64_t off, struct err *err)
{
	struct bundle_member *member;

	if ((bundle->nr & (bundle->nr - 1)) == 0) {
		size_t room = bundle->nr ? 2 * (size_t)bundle->nr : 1;

		member = realloc(bundle->members, room * sizeof(*member));
		if (!member)
			return err_set(err, -ENOMEM, "Out of memory");
		bundle->members = member;
	}
	member = &bundle->members[bundle->nr++];
	*member = (struct bundle_member){
		.name = strdup(bundle_plain_name(entry->path)),
		.link = entry->type == TAR_SYMLINK ? strdup(entry->link) : NULL,
		.off = off,
		.size = entry->size,
	};
	return member->name ? 0 : err_set(err, -ENOMEM, "Out of memory");
}

int bundle_of_archive(struct bundle *bundle, int archive, uint64_t size,
		      struct err *err)
{
	struct tar_entry entry;
	struct flow flow;
	struct tar tar;
	int r;

	*bundle = (struct bundle){.dir = -1, .archive = archive};
	r = flow_open(&flow, archive, 0, size, UINT64_MAX, NULL, NULL, err);
	flow.hop = true;
	tar_begin(&tar, &flow, err);
	if (r == 0)
		r = 1;
	while (r > 0) {
		r = tar_next(&tar, &entry);
		/* Of one with holes the bytes are not in one place; a root file
		 * system may have more files than are noted. */
		if (r > 0 && bundle->nr < BUNDLE_MEMBERS_MAX &&
		    (entry.type == TAR_FILE || entry.type == TAR_SYMLINK) &&
		    (entry.nr_runs == 0 || entry.runs[0].len == entry.size)) {
			int n = bundle_note(bundle, &entry, flow.given, err);

			r = n < 0 ? n : r;
		}
	}
	tar_end(&tar);
	flow_close(&flow);
	return r;
}

/* Of two of a name the last. */
static const struct bundle_member *bundle_find(const struct bundle *bundle,
					       const char *name)
{
	for (unsigned int i = bundle->nr; i > 0; i--)
		if (strcmp(bundle->members[i - 1].name, name) == 0)
			return &bundle->members[i - 1];
	return NULL;
}

/* Old `docker save` writes a layer once, and links "../ID/layer.tar" to it. */
static const struct bundle_member *bundle_follow(const struct bundle *bundle,
						 const char *name)
{
	const struct bundle_member *member = bundle_find(bundle, name);
	const char *to = member ? member->link : NULL;

	if (!to)
		return member;
	while (strncmp(to, "../", 3) == 0)
		to += 3;
	member = bundle_find(bundle, to);
	return member && !member->link ? member : NULL;
}

bool bundle_has(const struct bundle *bundle, const char *name)
{
	return bundle->dir >= 0 ? faccessat(bundle->dir, name, F_OK, 0) == 0
				: bundle_find(bundle, name) != NULL;
}

int bundle_open(const struct bundle *bundle, const char *name,
		struct bundle_file *file, struct err *err)
{
	const struct bundle_member *member;
	cleanup_fd int fd = -1;
	struct stat st;

	if (bundle->dir >= 0) {
		fd = openat(bundle->dir, name,
			    O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 || fstat(fd, &st) < 0)
			return err_set(err, -errno, "has no %s: %s",
				       tar_show(name).text, err_name(errno));
		if (!S_ISREG(st.st_mode))
			return err_set(err, -EINVAL, "has a %s that is no file",
				       tar_show(name).text);
		file->off = 0;
		file->size = (uint64_t)st.st_size;
	} else {
		member = bundle_follow(bundle, name);
		if (!member)
			return err_set(err, -ENOENT, "has no %s",
				       tar_show(name).text);
		fd = fcntl(bundle->archive, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return err_set(err, -errno, "cannot be read: %s",
				       err_name(errno));
		file->off = member->off;
		file->size = member->size;
	}
	file->fd = fd_steal(&fd);
	return 0;
}

int bundle_read(const struct bundle *bundle, const char *name, uint64_t max,
		struct buf *out, struct err *err)
{
	struct bundle_file file;
	int r = bundle_open(bundle, name, &file, err);

	if (r < 0)
		return r;
	if (file.size > max)
		r = err_set(err, -EFBIG, "has a %s of more than %llu bytes",
			    tar_show(name).text, (unsigned long long)max);
	else if (!buf_reserve(out, (size_t)file.size + 1))
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0) {
		r = fd_read_full(file.fd, out->data, (size_t)file.size,
				 (off_t)file.off);
		if (r < 0)
			r = err_set(err, r, "cannot be read: %s", err_name(r));
		else
			out->len = (size_t)file.size;
	}
	fd_close(&file.fd);
	return r;
}

void bundle_free(struct bundle *bundle)
{
	for (unsigned int i = 0; i < bundle->nr; i++) {
		free(bundle->members[i].name);
		free(bundle->members[i].link);
	}
	free(bundle->members);
	*bundle = (struct bundle){.dir = -1, .archive = -1};
}
