// SPDX-License-Identifier: Apache-2.0
/*
 * list.c - the snapshots in a folder (theory of operation: list.h)
 */
#include "snapshot/list.h"

#include "base/fd.h"
#include "image/image.h"
#include "image/packed.h"
#include "image/parcel.h"
#include "snapshot/find.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARCEL_MAGIC "voltprc1"
#define STATE_MAGIC  "{\"crc64\""

static_assert(SNAPSHOT_CHAIN_MAX == IMAGE_LAYERS_MAX, "as chain.c has it");

/**
 * struct list_look - at one folder
 * @s:		room for the state that is looked at
 * @by_moment:	all of @list, by moment and name
 * @mark:	of each: the walk that came by last
 */
struct list_look {
	const char *dir;
	struct snapshot_list *list;
	struct snapshot *s;
	size_t *by_moment;
	size_t *mark;
};

/* ---- what lies there ---- */

static int list_damaged(struct snapshot_listed *x, const struct err *err)
{
	x->why = strdup(err_for_person(err));
	return x->why ? 0 : -ENOMEM;
}

/* What the state says; that of a diff which another program made whole is
 * whole. */
static void list_from_state(struct snapshot_listed *x, const struct snapshot *s,
			    bool whole)
{
	struct snapshot_identity who;

	snapshot_identity_of(s, &who);
	x->has_state = true;
	x->file.moment = who.label.moment;
	x->file.needs = whole ? 0 : who.label.base;
	x->diff = x->file.needs != 0;
	x->memory_bytes = s->memory_bytes;
	(void)snprintf(x->created, sizeof(x->created), "%s", s->created);
}

/* A chain takes a memory by its label, whatever lies beside. */
static void list_from_label(struct snapshot_listed *x, int fd)
{
	struct snapshot_label label;
	struct stat st;

	if (fd < 0 || fd_stat(fd, &st) < 0)
		return;
	x->file.size = packed_memory_bytes(fd, st.st_size);
	x->file.owner = st.st_uid;
	if (x->file.known || snapshot_label_get(fd, &label) != LABEL_SURE)
		return;
	x->file.known = true;
	x->file.moment = label.moment;
	x->file.needs = label.base;
	x->diff = label.base != 0;
}

/* Return: 1: it is one, right or not; 0: it is none; -ENOMEM. */
static int list_look_in_dir(struct list_look *look, const char *path,
			    struct snapshot_listed *x)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot_paths paths;
	struct err err = {0};
	int r = snapshot_paths_in(&paths, path);

	if (r < 0)
		return r;
	memset(look->s, 0, sizeof(*look->s));
	r = snapshot_find(&reader, &paths, true, look->s, &err);
	if (reader.stage >= SNAPSHOT_STATE_RIGHT)
		list_from_state(x, look->s,
				r == 0 && reader.held == MEMORY_WHOLE);
	x->file.known = r == 0;
	if (reader.memory_fd < 0)
		reader.memory_fd = path_open(snapshot_opener(&paths),
					     PATH_MEMORY, paths.memory, NULL);
	list_from_label(x, reader.memory_fd);
	room_add(&x->room, reader.state_fd);
	room_add(&x->room, reader.memory_fd);
	if (r == -ENOENT && reader.state_fd < 0 && !x->file.known)
		r = 0;
	else if (r != -ENOMEM)
		r = r < 0 && list_damaged(x, &err) < 0 ? -ENOMEM : 1;
	snapshot_reader_end(&reader);
	snapshot_paths_free(&paths);
	return r;
}

static int64_t list_read(void *ctx, void *to, size_t len)
{
	const int *fd = ctx;
	ssize_t n = read(*fd, to, len);

	return n < 0 ? -errno : n;
}

/* Its state comes first; the rest is not read. */
static int list_look_at_export(struct list_look *look, int fd,
			       struct snapshot_listed *x)
{
	struct parcel_reader reader;
	struct parcel_record record;
	struct err err = {0};
	int r;

	x->form = SNAPSHOT_EXPORT;
	parcel_reader_init(&reader, list_read, &fd);
	r = parcel_next(&reader, &record, &err);
	if (r > 0) {
		memset(look->s, 0, sizeof(*look->s));
		r = snapshot_decode((const char *)record.data, record.len,
				    look->s, &err);
	}
	if (r == 0)
		list_from_state(x, look->s, false);
	parcel_reader_fini(&reader);
	return r == -ENOMEM || (r < 0 && list_damaged(x, &err) < 0) ? -ENOMEM
								    : 1;
}

static int list_look_at_state(struct list_look *look, const char *path,
			      struct snapshot_listed *x)
{
	struct snapshot_reader reader = {.state_fd = -1, .memory_fd = -1};
	struct snapshot_paths paths = {0};
	struct err err = {0};
	int r = snapshot_paths_of(&paths, path, "");

	if (r < 0)
		return r;
	x->form = SNAPSHOT_FILE;
	memset(look->s, 0, sizeof(*look->s));
	r = snapshot_find(&reader, &paths, false, look->s, &err);
	if (r == 0)
		list_from_state(x, look->s, false);
	snapshot_reader_end(&reader);
	snapshot_paths_free(&paths);
	return r == -ENOMEM || (r < 0 && list_damaged(x, &err) < 0) ? -ENOMEM
								    : 1;
}

static int list_look_at_file(struct list_look *look, const char *path,
			     struct snapshot_listed *x)
{
	cleanup_fd int fd = path_open(&path_direct, PATH_STATE, path, NULL);
	char magic[8];
	struct stat st;

	if (fd < 0 || fd_stat(fd, &st) < 0 ||
	    fd_read_full(fd, magic, sizeof(magic), 0) < 0)
		return 0;
	x->file.owner = st.st_uid;
	room_add(&x->room, fd);
	if (memcmp(magic, PARCEL_MAGIC, sizeof(magic)) == 0)
		return list_look_at_export(look, fd, x);
	if (memcmp(magic, STATE_MAGIC, sizeof(magic)) == 0 &&
	    strcmp(x->name, SNAPSHOT_STATE_NAME) != 0)
		return list_look_at_state(look, path, x);
	return 0;
}

static int list_append(struct snapshot_list *list,
		       const struct snapshot_listed *x, struct err *err)
{
	struct snapshot_listed *more;

	if (list->nr == SNAPSHOT_LIST_MAX)
		return err_set(err, -E2BIG, "there are more than %u snapshots",
			       SNAPSHOT_LIST_MAX);
	/* By doubling: its size is the next power of two. */
	if ((list->nr & (list->nr - 1)) == 0) {
		more = reallocarray(list->item, list->nr ? 2 * list->nr : 1,
				    sizeof(*more));
		if (!more)
			return err_set(err, -ENOMEM, "out of memory");
		list->item = more;
	}
	list->item[list->nr++] = *x;
	return 0;
}

static void list_forget(struct snapshot_listed *x)
{
	free(x->name);
	free(x->why);
}

/* What is neither file nor directory is not opened. */
static int list_entry(struct list_look *look, const char *name, struct err *err)
{
	struct snapshot_listed x = {.base = SNAPSHOT_LIST_NO};
	cleanup_free char *path = NULL;
	struct stat st;
	int r = 0;

	if (asprintf(&path, "%s/%s", look->dir, name) < 0)
		path = NULL;
	x.name = strdup(name);
	if (!path || !x.name)
		r = -ENOMEM;
	else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		r = list_look_in_dir(look, path, &x);
	else if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		r = list_look_at_file(look, path, &x);
	if (r == -ENOMEM)
		r = err_set(err, r, "out of memory");
	if (r > 0)
		r = list_append(look->list, &x, err);
	else
		r = r < 0 ? r : 1;
	if (r != 0)
		list_forget(&x);
	return r < 0 ? r : 0;
}

static int list_scan(struct list_look *look, struct err *err)
{
	int fd = path_open(&path_direct, PATH_PLACE, look->dir, NULL);
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return err_set(err, fd, "cannot look into %s: %s", look->dir,
			       err_name(fd));
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(&fd);
		return err_set(err, -ENOMEM, "out of memory");
	}
	while (r == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			r = list_entry(look, entry->d_name, err);
	(void)closedir(dir);
	return r;
}

/* ---- which is a diff of which ---- */

static int list_by_name(const void *a, const void *b)
{
	const struct snapshot_listed *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int list_by_moment(const void *a, const void *b, void *ctx)
{
	const struct snapshot_list *list = ctx;
	const size_t *i = a, *k = b;
	uint64_t x = list->item[*i].file.moment, y = list->item[*k].file.moment;

	if (x != y)
		return x < y ? -1 : 1;
	return *i < *k ? -1 : *i > *k;
}

/* Where those of @moment begin in the order of moments. */
static size_t list_first(const struct list_look *look, uint64_t moment)
{
	size_t low = 0, high = look->list->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (look->list->item[look->by_moment[mid]].file.moment < moment)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct snapshot_listed *list_at(const struct list_look *look,
					     size_t k, uint64_t moment)
{
	const struct snapshot_listed *x;

	if (k >= look->list->nr)
		return NULL;
	x = &look->list->item[look->by_moment[k]];
	return x->file.moment == moment ? x : NULL;
}

static bool list_has(const struct list_look *look, uint64_t moment)
{
	const struct snapshot_listed *x;

	for (size_t k = list_first(look, moment);
	     (x = list_at(look, k, moment)); k++)
		if (x->file.known)
			return true;
	return false;
}

/* Only what lies in a directory can be a base (chain.h). */
static enum base_fit list_fit(const struct snapshot_listed *x,
			      const struct base_wanted *wanted)
{
	return x->form == SNAPSHOT_IN_DIR ? base_fit(&x->file, wanted)
					  : BASE_OTHER;
}

/* What @wanted is. @fit: the best that there is, also when it does not fit. */
static size_t list_find(const struct list_look *look,
			const struct base_wanted *wanted, enum base_fit *fit)
{
	const struct snapshot_listed *x;
	size_t found = SNAPSHOT_LIST_NO;
	unsigned int best = 0;

	*fit = BASE_OTHER;
	for (size_t k = list_first(look, wanted->moment);
	     (x = list_at(look, k, wanted->moment)); k++) {
		enum base_fit fits = list_fit(x, wanted);
		unsigned int rank;

		if (fits > *fit)
			*fit = fits;
		if (fits != BASE_FITS)
			continue;
		rank = base_rank(&x->file, list_has(look, x->file.needs));
		if (rank > best) {
			best = rank;
			found = look->by_moment[k];
		}
	}
	return found;
}

static const enum snapshot_chain list_chain_of[] = {
	[BASE_OTHER] = SNAPSHOT_CHAIN_MISSING,
	[BASE_WRONG] = SNAPSHOT_CHAIN_WRONG,
	[BASE_STRANGE] = SNAPSHOT_CHAIN_STRANGE,
	[BASE_FITS] = SNAPSHOT_CHAIN_WHOLE,
};

static void list_walk(struct list_look *look, size_t which)
{
	struct snapshot_listed *top = &look->list->item[which];
	struct base_wanted wanted = {
		.size = top->has_state ? top->memory_bytes : top->file.size,
		.owner = top->file.owner,
	};
	enum base_fit fit = BASE_OTHER;
	size_t at = which;

	top->chain = SNAPSHOT_CHAIN_WHOLE;
	top->broken = which;
	for (unsigned int layers = 1;
	     (wanted.moment = look->list->item[at].file.needs) != 0; layers++) {
		size_t next = list_find(look, &wanted, &fit);

		if (at == which)
			top->base = next;
		top->broken = at;
		look->mark[at] = which + 1;
		if (next == SNAPSHOT_LIST_NO)
			top->chain = list_chain_of[fit];
		else if (look->mark[next] == which + 1)
			top->chain = SNAPSHOT_CHAIN_CIRCLE;
		else if (layers == SNAPSHOT_CHAIN_MAX)
			top->chain = SNAPSHOT_CHAIN_LONG;
		if (top->chain != SNAPSHOT_CHAIN_WHOLE)
			break;
		at = next;
	}
	if (top->why)
		top->chain = SNAPSHOT_CHAIN_DAMAGED;
	else if (top->form == SNAPSHOT_FILE)
		top->chain = SNAPSHOT_CHAIN_UNKNOWN;
}

static int list_relate(struct list_look *look, struct err *err)
{
	struct snapshot_list *list = look->list;
	size_t nr = list->nr;

	if (nr == 0)
		return 0;
	qsort(list->item, nr, sizeof(*list->item), list_by_name);
	look->by_moment = calloc(nr, sizeof(*look->by_moment));
	look->mark = calloc(nr, sizeof(*look->mark));
	if (!look->by_moment || !look->mark)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < nr; i++)
		look->by_moment[i] = i;
	qsort_r(look->by_moment, nr, sizeof(*look->by_moment), list_by_moment,
		list);
	for (size_t i = 0; i < nr; i++)
		list_walk(look, i);
	return 0;
}

int snapshot_list_read(struct snapshot_list *list, const char *dir,
		       struct err *err)
{
	struct list_look look = {
		.dir = dir,
		.list = list,
		.s = calloc(1, sizeof(*look.s)),
	};
	int r = look.s ? list_scan(&look, err)
		       : err_set(err, -ENOMEM, "out of memory");

	if (r == 0)
		r = list_relate(&look, err);
	free(look.by_moment);
	free(look.mark);
	free(look.s);
	return r;
}

void snapshot_list_free(struct snapshot_list *list)
{
	for (size_t i = 0; i < list->nr; i++)
		list_forget(&list->item[i]);
	free(list->item);
	*list = (struct snapshot_list){0};
}
