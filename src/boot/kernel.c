// SPDX-License-Identifier: Apache-2.0
/*
 * kernel.c - where a kernel may go
 */
#include "boot/kernel.h"

#include <errno.h>

static bool overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b ? b - a < a_len : a - b < b_len;
}

int kernel_add_range(struct kernel *kernel, const struct gmem *mem,
		     const struct boot_file *file, const char *part, gpa_t gpa,
		     uint64_t len, struct err *err)
{
	uint64_t end;

	if (__builtin_add_overflow(gpa, len, &end))
		return err_set(err, -ENOEXEC,
			       "The kernel %s is damaged: %s of 0x%llx bytes "
			       "at 0x%llx wraps around the address space",
			       file->path, part, (unsigned long long)len,
			       (unsigned long long)gpa);
	if (gpa < LAYOUT_KERNEL)
		return err_set(err, -ENOEXEC,
			       "The kernel %s cannot be loaded: %s lies at "
			       "0x%llx, below 1 MiB, where boot data is kept; "
			       "link it higher",
			       file->path, part, (unsigned long long)gpa);
	if (!gmem_find(mem, gpa, len))
		return err_set(err, -ENOMEM,
			       "The kernel %s does not fit guest memory: %s "
			       "needs 0x%llx to 0x%llx, the VM has %llu MiB; "
			       "give it more memory",
			       file->path, part, (unsigned long long)gpa,
			       (unsigned long long)end,
			       (unsigned long long)(mem->size >> 20));
	for (unsigned int i = 0; i < kernel->nr_ranges; i++)
		if (overlap(gpa, len, kernel->range[i].gpa,
			    kernel->range[i].len))
			return err_set(
				err, -ENOEXEC,
				"The kernel %s is damaged: %s at 0x%llx "
				"overlaps the one at 0x%llx",
				file->path, part, (unsigned long long)gpa,
				(unsigned long long)kernel->range[i].gpa);
	assert(kernel->nr_ranges < KERNEL_MAX_RANGES);
	kernel->range[kernel->nr_ranges].gpa = gpa;
	kernel->range[kernel->nr_ranges].len = len;
	kernel->nr_ranges++;
	return 0;
}

/* Every step puts the end below one more range: at most nr_ranges steps. */
bool kernel_find_room(const struct kernel *kernel, const struct gmem *mem,
		      uint64_t len, gpa_t *gpa)
{
	uint64_t end = mem->region[0].size;
	unsigned int i = 0;

	if (end > kernel->initrd_end)
		end = kernel->initrd_end;
	while (end >= LAYOUT_KERNEL && len <= end - LAYOUT_KERNEL) {
		gpa_t at = align_down(end - len, PAGE_SIZE);

		for (i = 0; i < kernel->nr_ranges; i++)
			if (overlap(at, len, kernel->range[i].gpa,
				    kernel->range[i].len))
				break;
		if (i == kernel->nr_ranges) {
			*gpa = at;
			return true;
		}
		end = kernel->range[i].gpa;
	}
	return false;
}
