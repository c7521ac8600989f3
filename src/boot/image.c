// SPDX-License-Identifier: Apache-2.0
/*
 * image.c - a file that becomes guest memory (theory of operation: image.h)
 */
#include "boot/image.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/stat.h>

int image_open(struct image *img, int fd, const char *path, const char *what,
	       struct err *err)
{
	struct stat st;

	img->fd = fd;
	img->path = path;
	img->what = what;
	img->at = 0;
	img->have = 0;
	if (fd_stat(fd, &st) < 0)
		return err_set(err, -errno, "The %s %s cannot be read: %s",
			       what, path, err_name(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR,
			       "%s is a directory: give the %s file in it",
			       path, what);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EINVAL,
			       "%s is not a regular file: copy the %s into one",
			       path, what);
	if (st.st_size <= 0)
		return err_set(err, -EINVAL, "The %s %s is an empty file", what,
			       path);
	img->size = (uint64_t)st.st_size;
	return 0;
}

static int truncated(const struct image *img, uint64_t off, uint64_t len,
		     struct err *err)
{
	return err_set(err, -ENOEXEC,
		       "The %s %s is truncated: %llu bytes at offset %llu are "
		       "missing from its %llu; fetch or build it again",
		       img->what, img->path, (unsigned long long)len,
		       (unsigned long long)off, (unsigned long long)img->size);
}

static int image_read_at(struct image *img, void *buf, uint64_t off,
			 uint64_t len, struct err *err)
{
	int r = fd_read_full(img->fd, buf, len, (off_t)off);

	if (r == -ENODATA)
		return truncated(img, off, len, err);
	if (r < 0)
		return err_set(err, r, "The %s %s cannot be read: %s",
			       img->what, img->path, err_name(r));
	return 0;
}

int image_read(struct image *img, uint64_t off, void *buf, uint64_t len,
	       struct err *err)
{
	if (!range_fits(off, len, img->size))
		return truncated(img, off, len, err);
	if (off < img->at || !range_fits(off - img->at, len, img->have)) {
		uint64_t want = sizeof(img->window);
		int r;

		if (len > want)
			return image_read_at(img, buf, off, len, err);
		if (want > img->size - off)
			want = img->size - off;
		img->have = 0;
		r = image_read_at(img, img->window, off, want, err);
		if (r < 0)
			return r;
		img->at = off;
		img->have = (uint32_t)want;
	}
	memcpy(buf, img->window + (off - img->at), len);
	return 0;
}

static int copy_in(struct image *img, struct gmem *mem, gpa_t gpa, uint64_t off,
		   uint64_t len, struct err *err)
{
	void *p = gmem_find(mem, gpa, len);

	assert(p);
	if (len == 0)
		return 0;
	if (off >= img->at && range_fits(off - img->at, len, img->have)) {
		memcpy(p, img->window + (off - img->at), len);
		return 0;
	}
	return image_read_at(img, p, off, len, err);
}

int image_place(struct image *img, struct gmem *mem, gpa_t gpa, uint64_t off,
		uint64_t len, struct boot_entry *entry, struct err *err)
{
	uint64_t head, body;
	int r;

	if (!gmem_find(mem, gpa, len))
		return err_set(err, -ENOMEM,
			       "The %s %s does not fit guest memory", img->what,
			       img->path);
	if (!range_fits(off, len, img->size))
		return truncated(img, off, len, err);
	head = align_down(PAGE_SIZE - 1 + gpa, PAGE_SIZE) - gpa;
	body = len > head ? align_down(len - head, PAGE_SIZE) : 0;
	if (body < BOOT_MAP_MIN_BYTES || mem->huge ||
	    mem->pages == GMEM_PAGES_2M || !is_aligned(gpa ^ off, PAGE_SIZE) ||
	    entry->nr_mapped == BOOT_MAPPED_MAX)
		return copy_in(img, mem, gpa, off, len, err);
	r = copy_in(img, mem, gpa, off, head, err);
	if (r < 0)
		return r;
	r = gmem_map_file(mem, gpa + head, img->fd, (off_t)(off + head), body);
	if (r < 0)
		return err_set(err, r, "The %s %s cannot be mapped: %s",
			       img->what, img->path, err_name(r));
	entry->mapped[entry->nr_mapped++] = (struct boot_mapped){
		.gpa = gpa + head,
		.len = body,
		.path = img->path,
	};
	return copy_in(img, mem, gpa + head + body, off + head + body,
		       len - head - body, err);
}
