// SPDX-License-Identifier: Apache-2.0
/*
 * place.c - what a diff does with the memory that lies where it goes (place.h)
 */
#include "snapshot/place.h"

#include "base/fd.h"
#include "image/map.h"
#include "snapshot/find.h"

#include <errno.h>
#include <sys/stat.h>

/**
 * struct place_content - the snapshot that lies where the diff goes
 * @reader:	its files; the memory also where no state goes with it
 * @s:		its state, once @reader is at SNAPSHOT_STATE_RIGHT
 */
struct place_content {
	struct snapshot_reader reader;
	struct snapshot *s;
};

static int place_read(struct place_content *content,
		      const struct snapshot_paths *paths, struct err *err)
{
	struct snapshot_reader *r = &content->reader;
	int rc;

	content->s = calloc(1, sizeof(*content->s));
	if (!content->s)
		return err_set(err, -ENOMEM, "Out of memory");
	(void)!snapshot_find(r, paths, true, content->s, NULL);
	if (r->memory_fd >= 0)
		return 0;
	rc = path_open(snapshot_opener(paths), PATH_MEMORY, paths->memory,
		       NULL);
	if (rc < 0 && rc != -ENOENT)
		return err_set(err, rc, "Cannot open %s: %s", paths->memory,
			       err_name(rc));
	r->memory_fd = rc < 0 ? -1 : rc;
	return 0;
}

/* Whose the memory is. Return: false: it does not show. */
static bool is_of(const struct place_content *content,
		  const struct snapshot_identity *base,
		  struct snapshot_label *label)
{
	int fd = content->reader.memory_fd;
	struct snapshot_identity who;
	int held;

	if (snapshot_label_get(fd, label) == LABEL_SURE)
		return true;
	held = snapshot_identify(fd, base, "", NULL);
	if (held >= 0) {
		/* Without a label and without a proof it is but believed. */
		if (base->proof.bytes == 0 && label->id != base->label.id)
			return false;
		*label = base->label;
	} else if (content->reader.stage == SNAPSHOT_MEMORY_KNOWN) {
		snapshot_identity_of(content->s, &who);
		if (who.proof.bytes == 0 && label->id != who.label.id)
			return false;
		held = (int)content->reader.held;
		*label = who.label;
	} else {
		return false;
	}
	if (held == MEMORY_WHOLE)
		label->base = 0;
	return true;
}

static int place_unknown(const struct snapshot_place *place, struct err *err)
{
	return err_set(err, -EINVAL,
		       "%s cannot be told to be the memory of snapshot "
		       "%016llx, which this diff differs from: choose another "
		       "name for the diff, or take a full snapshot",
		       place->paths->memory,
		       (unsigned long long)place->base->label.moment);
}

static int mix(const struct snapshot_place *place,
	       const struct snapshot_label *label, struct err *err)
{
	return err_set(err, -EINVAL,
		       "%s is of snapshot %016llx, and this diff differs from "
		       "snapshot %016llx; one on top of the other would be a "
		       "mix: choose another name for the diff, or take a full "
		       "snapshot",
		       place->paths->memory, (unsigned long long)label->moment,
		       (unsigned long long)place->base->label.moment);
}

/* Both become one by their holes. */
static int place_holes(const struct snapshot_place *place, struct err *err)
{
	return err_set(err, -EINVAL,
		       "%s is a diff that was copied without its holes, or "
		       "with more of them: choose another name for the diff, "
		       "or take a full snapshot",
		       place->paths->memory);
}

static int decide(const struct snapshot_place *place,
		  struct place_content *content, int *fd, uint64_t *needs,
		  struct err *err)
{
	const struct snapshot_label *base = &place->base->label;
	struct snapshot_label label;
	struct stat st = {0};

	*fd = -1;
	*needs = base->moment;
	if (content->reader.memory_fd < 0 ||
	    (fd_stat(content->reader.memory_fd, &st) == 0 &&
	     S_ISREG(st.st_mode) && st.st_size == 0))
		return 0;
	if (!is_of(content, place->base, &label) ||
	    (uint64_t)st.st_size != place->base->size)
		return place_unknown(place, err);
	if (label.moment != base->moment &&
	    (place->tracked || label.run == 0 || label.run != place->run ||
	     (label.base != 0 && label.base != base->moment)))
		return mix(place, &label, err);
	if (label.moment != base->moment && label.base != 0)
		return 0; /* the new diff has all that this one has */
	if (label.base != 0 && memory_map_fits(content->reader.memory_fd,
					       (uint64_t)st.st_size) < 0)
		return place_holes(place, err);
	*fd = fd_steal(&content->reader.memory_fd);
	*needs = label.base;
	return 0;
}

int snapshot_layer(const struct snapshot_place *place, int *fd, uint64_t *needs,
		   struct err *err)
{
	struct place_content content = {
		.reader = {.state_fd = -1, .memory_fd = -1}};
	int r = place_read(&content, place->paths, err);

	if (r == 0)
		r = decide(place, &content, fd, needs, err);
	snapshot_reader_end(&content.reader);
	free(content.s);
	return r;
}
