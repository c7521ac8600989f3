// SPDX-License-Identifier: Apache-2.0
/*
 * identity.c - whose a memory file is (identity.h)
 */
#include "image/identity.h"

#include "base/fd.h"
#include "image/packed.h"

#include <errno.h>
#include <sys/xattr.h>

#define LABEL_ATTR    "user.volt.memory"
#define OLD_ID_ATTR   "user.volt.snapshot"
#define OLD_BASE_ATTR "user.volt.base"

/**
 * struct attr - the extended attribute; little endian
 * @sec, @nsec:	when the file was last written
 */
struct attr {
	struct snapshot_label label;
	uint64_t sec;
	uint64_t nsec;
};

void snapshot_label_set(int fd, const struct snapshot_label *label)
{
	struct attr attr = {.label = *label};
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return;
	attr.sec = (uint64_t)st.st_mtim.tv_sec;
	attr.nsec = (uint64_t)st.st_mtim.tv_nsec;
	(void)fsetxattr(fd, LABEL_ATTR, &attr, sizeof(attr), 0);
}

static enum snapshot_label_worth label_of_raw(int fd, const struct stat *st,
					      struct snapshot_label *label)
{
	struct attr attr;
	ssize_t n = fgetxattr(fd, LABEL_ATTR, &attr, sizeof(attr));

	*label = (struct snapshot_label){0};
	if (n == (ssize_t)sizeof(attr)) {
		if (attr.sec != (uint64_t)st->st_mtim.tv_sec ||
		    attr.nsec != (uint64_t)st->st_mtim.tv_nsec)
			return LABEL_NONE;
		*label = attr.label;
		return LABEL_SURE;
	}
	if (fgetxattr(fd, OLD_ID_ATTR, &label->id, sizeof(label->id)) !=
	    sizeof(label->id))
		return LABEL_NONE;
	label->moment = label->id;
	if (fgetxattr(fd, OLD_BASE_ATTR, &label->base, sizeof(label->base)) !=
	    sizeof(label->base))
		label->base = 0;
	return LABEL_OLD;
}

enum snapshot_label_worth snapshot_label_of(int fd, const struct stat *st,
					    struct snapshot_label *label)
{
	enum snapshot_label_worth worth = label_of_raw(fd, st, label);
	struct packed_head head;

	if (worth != LABEL_NONE || !packed_is(st->st_size) ||
	    packed_head_read(fd, "", &head, NULL) < 0)
		return worth;
	*label = head.label;
	return LABEL_SURE;
}

enum snapshot_label_worth snapshot_label_get(int fd,
					     struct snapshot_label *label)
{
	struct stat st;

	*label = (struct snapshot_label){0};
	return fd_stat(fd, &st) < 0 ? LABEL_NONE
				    : snapshot_label_of(fd, &st, label);
}

static int another(const struct snapshot_identity *who, const char *name,
		   struct err *err)
{
	return err_set(err, -EINVAL,
		       "%s does not hold the memory of snapshot %016llx: it "
		       "is damaged, or of another snapshot. Put the memory "
		       "file that belongs to the state in its place",
		       name, (unsigned long long)who->label.id);
}

/* By what the state says of the pages. */
static int by_proof(int fd, const struct snapshot_identity *who,
		    const char *name, struct err *err)
{
	int r = memory_match(&who->proof, who->label.base != 0, fd, who->size);

	if (r < 0)
		return err_set(err, r, "Cannot read %s: %s", name, err_name(r));
	if (r == MEMORY_HOLES)
		return err_set(err, -EINVAL,
			       "%s was copied without its holes, or with more "
			       "of them, and it is a diff: they say what did "
			       "not change. Copy it again (cp --sparse=auto, "
			       "tar -S)",
			       name);
	return r == MEMORY_OTHER ? another(who, name, err) : r;
}

static int identify_packed(int fd, const struct snapshot_identity *who,
			   const char *name, struct err *err)
{
	struct packed_head head;
	int r = packed_head_read(fd, name, &head, err);

	if (r < 0)
		return r;
	if (head.size != who->size || head.label.id != who->label.id)
		return another(who, name, err);
	return who->label.base != 0 ? MEMORY_PART : MEMORY_WHOLE;
}

int snapshot_identify(int fd, const struct snapshot_identity *who,
		      const char *name, struct err *err)
{
	int as_saved = who->label.base != 0 ? MEMORY_PART : MEMORY_WHOLE;
	struct snapshot_label label;
	enum snapshot_label_worth worth;
	struct stat st;

	if (fd_stat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", name,
			       err_name(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is no file", name);
	if (st.st_size < 0 || (uint64_t)st.st_size != who->size) {
		int r = packed_is(st.st_size)
				? identify_packed(fd, who, name, err)
				: -ENOMSG;

		if (r != -ENOMSG)
			return r;
		return err_set(err, -EINVAL,
			       "%s is damaged: the memory file holds %lld "
			       "bytes, not %llu",
			       name, (long long)st.st_size,
			       (unsigned long long)who->size);
	}
	worth = snapshot_label_of(fd, &st, &label);
	if (worth != LABEL_NONE && label.id == who->label.id)
		return as_saved;
	if (worth == LABEL_SURE)
		return another(who, name, err);
	if (who->proof.bytes > 0)
		return by_proof(fd, who, name, err);
	/* Format 2.0. A base into which a diff was merged has still got its
	 * label; without one a diff may be just that. */
	if (worth == LABEL_NONE)
		return as_saved;
	return label.id == who->label.base ? MEMORY_WHOLE
					   : another(who, name, err);
}
