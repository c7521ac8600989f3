// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_list.c - a folder of hostile snapshots, as `volt snapshot ls` reads it
 *
 * The input is a script. Each step puts a file or a directory there: a state
 * and a memory that relate to others of a few moments, or bytes as a state, an
 * export or anything. The list that comes out keeps what its header promises.
 */
#include "dev_fuzz.h"

#include "../unit/folder.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/parcel.h"
#include "snapshot/files.h"
#include "snapshot/list.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ENTRIES_MAX 12u
#define MOMENTS     8u
#define PIECE_MAX   4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file with these bytes. Return: it, to be closed. */
static int put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	fuzz_check(fd >= 0 && fd_write_full(fd, data, len) == 0);
	return fd;
}

static size_t take_piece(struct fuzz_script *in, const uint8_t **piece)
{
	size_t len = (size_t)fuzz_take(in, 2) % PIECE_MAX;

	len = len < in->left ? len : in->left;
	*piece = in->data;
	in->data += len;
	in->left -= len;
	return len;
}

static void fix_crc(struct buf *text)
{
	struct snapshot_head head;
	size_t covered;
	char digits[17];

	if (snapshot_read_head(text->data, text->len, &head, &covered, NULL) <
	    0)
		return;
	(void)snprintf(digits, sizeof(digits), "%016llx",
		       (unsigned long long)crc64(0, text->data + covered,
						 text->len - covered));
	memcpy(text->data + 10, digits, 16);
}

/* A state of @moment. Made once: it takes longer than all the rest. */
static const struct buf *right_state(uint64_t moment, uint64_t base,
				     unsigned int pages)
{
	static struct buf made[MOMENTS][MOMENTS][2];
	struct buf *text = &made[moment][base][pages - 1];
	struct snapshot_identity who = {
		.label = {.id = moment, .moment = moment, .base = base},
		.size = PAGE_SIZE * (size_t)pages,
	};
	struct snapshot *s;

	if (text->data)
		return text;
	s = calloc(1, sizeof(*s));
	fuzz_check(s);
	snapshot_describe(s, moment, "", "");
	s->nr_vcpus = 1;
	s->memory_bytes = who.size;
	s->config = (struct schema_raw){"{}", 2};
	snapshot_set_identity(s, &who);
	snapshot_encode(s, text);
	free(s);
	fuzz_check(!text->failed);
	return text;
}

/* A right state, with one of its bytes changed, or bytes by themselves. */
static void take_state(struct fuzz_script *in, uint64_t moment,
		       struct buf *text)
{
	uint64_t base = fuzz_byte(in) % MOMENTS;
	const struct buf *right =
		right_state(moment, base, 1 + fuzz_byte(in) % 2);
	const uint8_t *piece;
	size_t len;

	switch (fuzz_byte(in) % 4) {
	case 0:
		buf_add(text, right->data, right->len);
		text->data[fuzz_take(in, 2) % text->len] = (char)fuzz_byte(in);
		break;
	case 1:
		len = take_piece(in, &piece);
		buf_add(text, piece, len);
		break;
	default:
		buf_add(text, right->data, right->len);
		break;
	}
	fix_crc(text);
}

static void put_snapshot(struct fuzz_script *in, const char *dir)
{
	static const uint8_t pages[2 * PAGE_SIZE];
	uint64_t moment = fuzz_byte(in) % MOMENTS;
	struct snapshot_label label = {0};
	struct buf text = {0};
	int fd;

	label.id = fuzz_byte(in) % MOMENTS;
	label.moment = fuzz_byte(in) % MOMENTS;
	label.base = fuzz_byte(in) % MOMENTS;
	fuzz_check(mkdir(dir, 0700) == 0);
	take_state(in, moment, &text);
	fd = put(dir, SNAPSHOT_STATE_NAME, text.data ? text.data : "",
		 text.len);
	fd_close(&fd);
	buf_free(&text);
	if (fuzz_byte(in) % 4 == 0)
		return;
	fd = put(dir, SNAPSHOT_MEMORY_NAME, pages,
		 PAGE_SIZE * (size_t)(fuzz_byte(in) % 3));
	if (fuzz_byte(in) % 2)
		snapshot_label_set(fd, &label);
	fd_close(&fd);
}

static void put_export(struct fuzz_script *in, const char *dir,
		       const char *name)
{
	struct buf text = {0};
	struct parcel_writer w;
	int fd = put(dir, name, "", 0);

	take_state(in, fuzz_byte(in) % MOMENTS, &text);
	(void)!parcel_begin(&w, fd, PAGE_SIZE, text.data ? text.data : "",
			    text.len);
	buf_free(&text);
	fd_close(&fd);
}

static void put_entry(struct fuzz_script *in, const char *dir, unsigned int nr)
{
	uint8_t kind = fuzz_byte(in) % 4;
	char name[16], path[128];
	const uint8_t *piece;
	size_t len;
	int fd;

	(void)snprintf(name, sizeof(name), "e%u", nr);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (kind < 2) {
		put_snapshot(in, path);
	} else if (kind == 2) {
		put_export(in, dir, name);
	} else {
		len = take_piece(in, &piece);
		fd = put(dir, name, piece, len);
		fd_close(&fd);
	}
}

static void check(const struct snapshot_list *list)
{
	for (size_t i = 0; i < list->nr; i++) {
		const struct snapshot_listed *x = &list->item[i];

		fuzz_check(x->name && x->broken < list->nr);
		fuzz_check(i == 0 || strcmp(x[-1].name, x->name) < 0);
		fuzz_check(x->chain <= SNAPSHOT_CHAIN_LONG);
		fuzz_check((x->why != NULL) ==
			   (x->chain == SNAPSHOT_CHAIN_DAMAGED));
		fuzz_check(!x->why || *x->why != '\0');
		if (x->base == SNAPSHOT_LIST_NO)
			continue;
		fuzz_check(x->base < list->nr && x->file.needs != 0);
		fuzz_check(list->item[x->base].file.moment == x->file.needs);
		fuzz_check(list->item[x->base].form == SNAPSHOT_IN_DIR);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_script in = {data, size};
	char dir[] = "/dev/shm/volt-fuzz-XXXXXX";
	struct snapshot_list list = {0};
	struct err err = {0};

	fuzz_check(mkdtemp(dir) != NULL);
	for (unsigned int i = 0; i < ENTRIES_MAX && in.left > 0; i++)
		put_entry(&in, dir, i);
	fuzz_check(snapshot_list_read(&list, dir, &err) == 0);
	check(&list);
	snapshot_list_free(&list);
	fuzz_check(folder_remove(dir) == 0);
	return 0;
}
