// SPDX-License-Identifier: Apache-2.0
/*
 * file.c - a file that becomes guest memory (theory: file.h)
 */
#include "boot/file.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/stat.h>

int boot_file_open(struct boot_file *file, int fd, const char *path,
		   const char *what, struct err *err)
{
	struct stat st;

	file->fd = fd;
	file->path = path;
	file->what = what;
	file->at = 0;
	file->have = 0;
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
	file->size = (uint64_t)st.st_size;
	return 0;
}

static int truncated(const struct boot_file *file, uint64_t off, uint64_t len,
		     struct err *err)
{
	return err_set(err, -ENOEXEC,
		       "The %s %s is truncated: %llu bytes at offset %llu are "
		       "missing from its %llu; fetch or build it again",
		       file->what, file->path, (unsigned long long)len,
		       (unsigned long long)off, (unsigned long long)file->size);
}

static int boot_file_read_at(struct boot_file *file, void *buf, uint64_t off,
			     uint64_t len, struct err *err)
{
	int r = fd_read_full(file->fd, buf, len, (off_t)off);

	if (r == -ENODATA)
		return truncated(file, off, len, err);
	if (r < 0)
		return err_set(err, r, "The %s %s cannot be read: %s",
			       file->what, file->path, err_name(r));
	return 0;
}

int boot_file_read(struct boot_file *file, uint64_t off, void *buf,
		   uint64_t len, struct err *err)
{
	if (!range_fits(off, len, file->size))
		return truncated(file, off, len, err);
	if (off < file->at || !range_fits(off - file->at, len, file->have)) {
		uint64_t want = sizeof(file->window);
		int r;

		if (len > want)
			return boot_file_read_at(file, buf, off, len, err);
		if (want > file->size - off)
			want = file->size - off;
		file->have = 0;
		r = boot_file_read_at(file, file->window, off, want, err);
		if (r < 0)
			return r;
		file->at = off;
		file->have = (uint32_t)want;
	}
	memcpy(buf, file->window + (off - file->at), len);
	return 0;
}

static int copy_in(struct boot_file *file, struct gmem *mem, gpa_t gpa,
		   uint64_t off, uint64_t len, struct err *err)
{
	void *p = gmem_find(mem, gpa, len);

	assert(p);
	if (len == 0)
		return 0;
	if (off >= file->at && range_fits(off - file->at, len, file->have)) {
		memcpy(p, file->window + (off - file->at), len);
		return 0;
	}
	return boot_file_read_at(file, p, off, len, err);
}

int boot_file_place(struct boot_file *file, struct gmem *mem, gpa_t gpa,
		    uint64_t off, uint64_t len, struct boot_entry *entry,
		    struct err *err)
{
	uint64_t head, body;
	int r;

	if (!gmem_find(mem, gpa, len))
		return err_set(err, -ENOMEM,
			       "The %s %s does not fit guest memory",
			       file->what, file->path);
	if (!range_fits(off, len, file->size))
		return truncated(file, off, len, err);
	head = align_down(PAGE_SIZE - 1 + gpa, PAGE_SIZE) - gpa;
	body = len > head ? align_down(len - head, PAGE_SIZE) : 0;
	if (body < BOOT_MAP_MIN_BYTES || mem->huge ||
	    mem->pages == GMEM_PAGES_2M || !is_aligned(gpa ^ off, PAGE_SIZE) ||
	    entry->nr_mapped == BOOT_MAPPED_MAX)
		return copy_in(file, mem, gpa, off, len, err);
	r = copy_in(file, mem, gpa, off, head, err);
	if (r < 0)
		return r;
	r = gmem_map_file(mem, gpa + head, file->fd, (off_t)(off + head), body);
	if (r < 0)
		return err_set(err, r, "The %s %s cannot be mapped: %s",
			       file->what, file->path, err_name(r));
	entry->mapped[entry->nr_mapped++] = (struct boot_mapped){
		.gpa = gpa + head,
		.len = body,
		.path = file->path,
	};
	return copy_in(file, mem, gpa + head + body, off + head + body,
		       len - head - body, err);
}
