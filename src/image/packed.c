// SPDX-License-Identifier: Apache-2.0
/*
 * packed.c - the head of a packed memory file (format: packed.h)
 */
#include "image/packed.h"

#include "base/crc64.h"
#include "base/fd.h"

#include <errno.h>
#include <sys/stat.h>

#define PACKED_MAGIC     "voltpak1"
#define PACKED_MAGIC_LEN 8u
/* The digit behind it is the version. */
#define PACKED_NAME_LEN 7u
#define PACKED_CRC_AT   88u

void packed_head_encode(const struct packed_head *head,
			uint8_t to[static PACKED_HEAD_BYTES])
{
	memset(to, 0, PACKED_HEAD_BYTES);
	memcpy(to, PACKED_MAGIC, PACKED_MAGIC_LEN);
	store_le32(to + 8, head->frame_pages);
	store_le64(to + 16, head->size);
	store_le64(to + 24, head->label.id);
	store_le64(to + 32, head->label.moment);
	store_le64(to + 40, head->label.base);
	store_le64(to + 48, head->label.run);
	store_le32(to + 56, head->nr_pages);
	store_le32(to + 60, head->nr_hot);
	store_le32(to + 64, head->nr_runs);
	store_le64(to + 72, head->index_at);
	store_le64(to + 80, head->index_crc);
	store_le64(to + PACKED_CRC_AT, crc64(0, to, PACKED_CRC_AT));
}

static void packed_head_decode(const uint8_t *from, struct packed_head *head)
{
	*head = (struct packed_head){
		.frame_pages = load_le32(from + 8),
		.size = load_le64(from + 16),
		.label = {.id = load_le64(from + 24),
			  .moment = load_le64(from + 32),
			  .base = load_le64(from + 40),
			  .run = load_le64(from + 48)},
		.nr_pages = load_le32(from + 56),
		.nr_hot = load_le32(from + 60),
		.nr_runs = load_le32(from + 64),
		.index_at = load_le64(from + 72),
		.index_crc = load_le64(from + 80),
	};
}

static int packed_damaged(const char *path, const char *what, struct err *err)
{
	return err_set(err, -EBADMSG,
		       "%s is a compressed memory file, and damaged: %s", path,
		       what);
}

/* Nothing here is added up before it is known to be small. */
static const char *packed_wrong(const struct packed_head *head,
				uint64_t file_bytes)
{
	uint64_t pages = head->size / PAGE_SIZE;

	if (head->frame_pages < PACKED_FRAME_PAGES_MIN ||
	    head->frame_pages > PACKED_FRAME_PAGES_MAX ||
	    (head->frame_pages & (head->frame_pages - 1)) != 0)
		return "its frames are of no size that there is";
	if (head->size == 0 || head->size % PAGE_SIZE != 0 ||
	    pages > PACKED_PAGES_MAX)
		return "it stands for no memory that there can be";
	if (head->nr_pages > pages || head->nr_runs > pages ||
	    head->nr_hot > head->nr_pages)
		return "it stores more pages than there are";
	if (head->index_at < PACKED_HEAD_BYTES || head->index_at > file_bytes)
		return "its index is not in it";
	if (packed_file_bytes(head) > file_bytes)
		return "it was cut short";
	if (packed_file_bytes(head) < file_bytes)
		return "something follows its end";
	return NULL;
}

int packed_head_read(int fd, const char *path, struct packed_head *head,
		     struct err *err)
{
	uint8_t bytes[PACKED_HEAD_BYTES];
	const char *wrong;
	struct stat st;
	int r = fd_stat(fd, &st) < 0 ? -errno : 0;

	if (r == 0)
		r = fd_read_full(fd, bytes, sizeof(bytes), 0);
	if (r == -ENODATA ||
	    (r == 0 && memcmp(bytes, PACKED_MAGIC, PACKED_NAME_LEN) != 0))
		return err_set(err, -ENOMSG, "%s is no compressed memory file",
			       path);
	if (r < 0)
		return err_set(err, r, "Cannot read %s: %s", path, err_name(r));
	if (memcmp(bytes, PACKED_MAGIC, PACKED_MAGIC_LEN) != 0)
		return err_set(err, -ENOTSUP,
			       "%s is a compressed memory file of a later "
			       "version of Volt",
			       path);
	if (load_le64(bytes + PACKED_CRC_AT) != crc64(0, bytes, PACKED_CRC_AT))
		return packed_damaged(path, "the CRC of its head is wrong",
				      err);
	if (load_le32(bytes + 12) != 0 || load_le32(bytes + 68) != 0)
		return packed_damaged(path,
				      "its head has bits that mean "
				      "nothing",
				      err);
	packed_head_decode(bytes, head);
	wrong = packed_wrong(head, (uint64_t)st.st_size);
	return wrong ? packed_damaged(path, wrong, err) : 0;
}

uint64_t packed_memory_bytes(int fd, off_t file_bytes)
{
	struct packed_head head = {0};

	if (file_bytes < 0)
		return 0;
	if (!packed_is(file_bytes))
		return (uint64_t)file_bytes;
	return packed_head_read(fd, "", &head, NULL) < 0 ? 0 : head.size;
}
