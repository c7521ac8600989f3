// SPDX-License-Identifier: Apache-2.0
/*
 * test_fill.c - a disk that fails while memory is served
 */
#include "image_kit.h"

#include "base/fd.h"
#include "serve/fill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES 16u
#define BYTES ((size_t)PAGES * PAGE_SIZE)
/* Since Linux 5.11. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

/**
 * struct filled - memory that a pager fills
 */
struct filled {
	uint8_t *mem;
	int uffd;
	struct image image;
	struct regions regions;
	struct fill fill;
};

static void make(struct filled *s)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int file = new_file(BYTES);
	struct err err = {0};

	*s = (struct filled){0};
	for (uint64_t i = 0; i < PAGES; i++)
		put(file, i, (uint8_t)(i + 1));
	s->mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(s->mem != MAP_FAILED);
	s->uffd = (int)syscall(SYS_userfaultfd,
			       O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (s->uffd < 0 || ioctl(s->uffd, UFFDIO_API, &api) < 0) {
		print_message("no userfaultfd here: %s\n", err_name(errno));
		skip();
	}
	reg.range.start = (uintptr_t)s->mem;
	reg.range.len = BYTES;
	assert_int_equal(ioctl(s->uffd, UFFDIO_REGISTER, &reg), 0);
	image_init(&s->image, BYTES, NULL);
	assert_int_equal(image_add(&s->image, &file, "memory.snap", &err), 0);
	assert_int_equal(image_finish(&s->image, true, &err), 0);
	s->regions.nr = 1;
	s->regions.region[0] = (struct region){(uintptr_t)s->mem, BYTES, 0};
	assert_int_equal(fill_init(&s->fill, s->uffd, &s->image, &s->regions),
			 0);
}

static void unmake(struct filled *s)
{
	fill_fini(&s->fill);
	image_fini(&s->image);
	fd_close(&s->uffd);
	assert_int_equal(munmap(s->mem, BYTES), 0);
}

/* From now on each read of the file fails with EIO: as one of memory does
 * where a process has none. */
static void break_disk(struct filled *s)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	fd_close(&s->image.layer[0].fd);
	s->image.layer[0].fd = fd;
}

static unsigned int nr_there(const struct filled *s)
{
	unsigned char there[PAGES];
	unsigned int nr = 0;

	assert_int_equal(mincore(s->mem, BYTES, there), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		nr += there[i] & 1;
	return nr;
}

static void check_failed(const struct filled *s, int r, const struct err *err)
{
	assert_int_equal(r, -EIO);
	assert_non_null(strstr(err->text, "memory.snap: Input/output error"));
	assert_int_equal(nr_there(s), 0);
}

/* Before anybody waits. */
static void the_hot_run(void **state)
{
	struct workset hot = {0};
	struct err err = {0};
	struct filled s;

	(void)state;
	assert_int_equal(workset_add(&hot, 3), 0);
	make(&s);
	assert_int_equal(fill_hot(&s.fill, &hot, PAGES, &err), 0);
	assert_int_equal(s.mem[(size_t)3 * PAGE_SIZE], 4);
	unmake(&s);
	make(&s);
	break_disk(&s);
	check_failed(&s, fill_hot(&s.fill, &hot, PAGES, &err), &err);
	assert_int_equal(s.fill.stats.hot, 0);
	unmake(&s);
	workset_fini(&hot);
}

static void *touch(void *at)
{
	return (void *)(uintptr_t)*(volatile uint8_t *)at;
}

/* While somebody does: he gets nothing, and goes on when the memory is taken
 * from the pager, as the VMM does. */
static void a_page_that_is_waited_for(void **state)
{
	struct uffdio_range all = {.len = BYTES};
	struct err err = {0};
	struct filled s;
	pthread_t toucher;
	void *found;
	int r = 0;

	(void)state;
	make(&s);
	break_disk(&s);
	all.start = (uintptr_t)s.mem;
	assert_int_equal(pthread_create(&toucher, NULL, touch,
					s.mem + (size_t)5 * PAGE_SIZE),
			 0);
	for (unsigned int ms = 0; ms < 30000 && r == 0; ms++) {
		r = fill_serve(&s.fill, &err);
		(void)usleep(1000);
	}
	check_failed(&s, r, &err);
	assert_int_equal(ioctl(s.uffd, UFFDIO_UNREGISTER, &all), 0);
	assert_int_equal(pthread_join(toucher, &found), 0);
	assert_null(found);
	unmake(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hot_run),
		cmocka_unit_test(a_page_that_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
