// SPDX-License-Identifier: Apache-2.0
/*
 * test_serve.c - what volt-pager reads: a VMM's message, a working set
 */
#include "unit.h"

#include "base/buf.h"
#include "base/fd.h"
#include "image/copy.h"
#include "image/workset.h"
#include "serve/regions.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE MIB(64)

struct message {
	const char *text;
	const char *words; /* NULL: it is right */
};

#define REGION(hva, size, offset)                           \
	"{\"base_host_virt_addr\":" #hva ",\"size\":" #size \
	",\"offset\":" #offset ",\"page_size\":4096,"       \
	"\"page_size_kib\":4096}"

static const struct message messages[] = {
	{"[" REGION(4096, 67108864, 0) "]", NULL},
	{"[" REGION(8192, 4096, 0) ", " REGION(65536, 67104768, 4096) "] ",
	 NULL},
	{"[{\"size\":67108864,\"new\":{\"a\":[1]},\"offset\":0,"
	 "\"base_host_virt_addr\":4096}]",
	 NULL},
	{"", ""},
	{"{}", "list of regions"},
	{"[]", "has 0 bytes"},
	{"[1]", "expected a region"},
	{"[" REGION(4096, 67108864, 0) "] x", ""},
	{"[" REGION(4096, 67108864, 0), ""},
	{"[{}]", "without address, size or offset"},
	{"[{\"size\":1,\"offset\":0}]", "without address, size or offset"},
	{"[" REGION(-4096, 67108864, 0) "]", "not negative"},
	{"[" REGION(1.5, 67108864, 0) "]", "integer"},
	{"[" REGION("4096", 67108864, 0) "]", ""},
	{"[" REGION(4097, 67108864, 0) "]", "no pages"},
	{"[" REGION(4096, 67108863, 0) "]", "no pages"},
	{"[" REGION(4096, 0, 0) "]", "no pages"},
	{"[" REGION(18446744073709547520, 67108864, 0) "]", "no pages"},
	{"[" REGION(4096, 67108864, 4096) "]", "not that of the snapshot"},
	{"[" REGION(4096, 67112960, 0) "]", "not that of the snapshot"},
	{"[" REGION(4096, 33554432, 0) "]", "not that of the snapshot"},
	{"[" REGION(4096, 33554432, 0) "," REGION(4096, 33554432, 0) "]",
	 "not that of the snapshot"},
	{"[{\"base_host_virt_addr\":4096,\"size\":67108864,\"offset\":0,"
	 "\"page_size\":2097152}]",
	 "without huge_pages"},
};

static void test_messages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		const struct message *m = &messages[i];
		struct regions regions;
		struct err err = {0};
		int r = regions_parse(&regions, m->text, strlen(m->text), IMAGE,
				      &err);

		if ((r == 0) != !m->words ||
		    (m->words && !strstr(err.text, m->words)))
			fail_msg("%s: %d %s", m->text, r, err.text);
		assert_true(r == 0 || err.text[0] != '\0');
	}
}

static void test_many_regions(void **state)
{
	cleanup_buf struct buf text = {0};
	struct regions regions;
	struct err err;

	(void)state;
	buf_add_str(&text, "[");
	for (unsigned int i = 0; i <= REGIONS_MAX; i++)
		buf_addf(&text,
			 "%s{\"base_host_virt_addr\":4096,\"size\":4096,"
			 "\"offset\":%u}",
			 i ? "," : "", i * PAGE_SIZE);
	buf_add_str(&text, "]");
	assert_int_equal(
		regions_parse(&regions, text.data, text.len, IMAGE, &err),
		-EINVAL);
	assert_non_null(strstr(err.text, "too many regions"));
}

static void test_places(void **state)
{
	const char *text = messages[1].text;
	struct regions r;
	struct err err;

	(void)state;
	assert_int_equal(regions_parse(&r, text, strlen(text), IMAGE, &err), 0);
	assert_null(regions_of_hva(&r, 8191));
	assert_ptr_equal(regions_of_hva(&r, 8192), &r.region[0]);
	assert_ptr_equal(regions_of_hva(&r, 8192 + 4095), &r.region[0]);
	assert_null(regions_of_hva(&r, 8192 + 4096));
	assert_ptr_equal(regions_of_hva(&r, 65536), &r.region[1]);
	assert_null(regions_of_hva(&r, 65536 + IMAGE));
	assert_ptr_equal(regions_of_image(&r, 4095), &r.region[0]);
	assert_ptr_equal(regions_of_image(&r, 4096), &r.region[1]);
	assert_ptr_equal(regions_of_image(&r, IMAGE - 1), &r.region[1]);
}

/**
 * struct runs - what was to be read
 */
struct runs {
	size_t nr;
	uint64_t at[8];
	uint64_t end[8];
};

static void note_run(void *ctx, uint64_t at, uint64_t end)
{
	struct runs *runs = ctx;

	assert_true(runs->nr < ARRAY_SIZE(runs->at));
	runs->at[runs->nr] = at / PAGE_SIZE;
	runs->end[runs->nr++] = end / PAGE_SIZE;
}

/* Ascending, and what is close together at once. */
static void test_workset_runs(void **state)
{
	static const uint32_t page[] = {100, 3, 12, 4, 4, 21, UINT32_MAX, 7};
	struct workset set = {0};
	struct runs runs = {0};

	(void)state;
	assert_int_equal(workset_each_run(&set, 9, note_run, &runs), 0);
	assert_int_equal(runs.nr, 0);
	for (size_t i = 0; i < ARRAY_SIZE(page); i++)
		assert_int_equal(workset_add(&set, page[i]), 0);
	assert_int_equal(workset_each_run(&set, 2, note_run, &runs), 0);
	assert_int_equal(runs.nr, 2);
	assert_true(runs.at[0] == 3 && runs.end[0] == 4);
	assert_true(runs.at[1] == 100 && runs.end[1] == 101);
	runs.nr = 0;
	assert_int_equal(workset_each_run(&set, SIZE_MAX, note_run, &runs), 0);
	assert_int_equal(runs.nr, 4);
	assert_true(runs.at[0] == 3 && runs.end[0] == 13);
	assert_true(runs.at[1] == 21 && runs.end[1] == 22);
	assert_true(runs.at[2] == 100 && runs.end[2] == 101);
	assert_true(runs.at[3] == UINT32_MAX &&
		    runs.end[3] == (uint64_t)UINT32_MAX + 1);
	workset_fini(&set);
}

/* No longer than what the kernel reads for one call. */
static void test_workset_long_run(void **state)
{
	const uint32_t most = WORKSET_RUN_MAX / PAGE_SIZE;
	struct workset set = {0};
	struct runs runs = {0};

	(void)state;
	for (uint32_t i = 0; i < 2 * most + 1; i++)
		assert_int_equal(workset_add(&set, 5 + i), 0);
	assert_int_equal(workset_each_run(&set, SIZE_MAX, note_run, &runs), 0);
	assert_int_equal(runs.nr, 3);
	for (size_t i = 0; i < runs.nr; i++)
		assert_true(runs.at[i] == 5 + i * most &&
			    runs.end[i] == (i < 2 ? 5 + (i + 1) * most
						  : 6 + 2 * most));
	workset_fini(&set);
}

static void add_layer(struct image *image, uint64_t size, uint64_t page,
		      unsigned int nr)
{
	char path[] = "/var/tmp/volt-test-XXXXXX";
	int fd = mkstemp(path);
	struct err err = {0};

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (unsigned int i = 0; i < nr; i++)
		assert_int_equal(
			pwrite(fd, "x", 1, (off_t)((page + i) * PAGE_SIZE)), 1);
	if (image_add(image, &fd, "layer", &err) < 0)
		fail_msg("%s", err.text);
}

/* What the newest of two files holds; of one file nothing. */
static void test_workset_of_diff(void **state)
{
	for (unsigned int layers = 1; layers <= 2; layers++) {
		struct workset set = {0};
		struct err err = {0};
		struct image image;

		(void)state;
		image_init(&image, MIB(128), NULL);
		add_layer(&image, MIB(128), 5, layers == 1 ? 3 : 20000);
		if (layers == 2)
			add_layer(&image, MIB(128), 0, 10);
		assert_int_equal(image_finish(&image, true, &err), 0);
		assert_int_equal(workset_of_diff(&set, &image), 0);
		assert_int_equal(set.nr, layers == 1 ? 0 : WORKSET_OF_DIFF_MAX);
		for (size_t i = 0; i < set.nr; i++)
			assert_int_equal(set.page[i], 5 + i);
		workset_fini(&set);
		image_fini(&image);
	}
}

static void test_workset(void **state)
{
	struct workset set = {.moment = 7}, again;
	int fd = memfd_create("set", 0);
	struct err err;
	uint8_t byte;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(workset_add(&set, i * 37 % 1000), 0);
	assert_int_equal(workset_write(&set, fd, "set", &err), 0);
	assert_int_equal(workset_read(&again, fd, "set", &err), 0);
	assert_int_equal(again.moment, 7);
	assert_int_equal(again.nr, 1000);
	assert_memory_equal(again.page, set.page, 4000);
	workset_fini(&again);
	for (off_t at = 0; at < 4032; at++) {
		assert_int_equal(fd_read_full(fd, &byte, 1, at), 0);
		byte ^= 1;
		assert_int_equal(image_write_at(fd, &byte, 1, (uint64_t)at), 0);
		assert_int_equal(workset_read(&again, fd, "set", &err),
				 -EBADMSG);
		workset_fini(&again);
		byte ^= 1;
		assert_int_equal(image_write_at(fd, &byte, 1, (uint64_t)at), 0);
	}
	/* A shorter one over it. */
	set.nr = 3;
	assert_int_equal(workset_write(&set, fd, "set", &err), 0);
	assert_int_equal(workset_read(&again, fd, "set", &err), 0);
	assert_int_equal(again.nr, 3);
	workset_fini(&again);
	set.nr = 1000;
	assert_int_equal(workset_write(&set, fd, "set", &err), 0);
	for (off_t len = 4031; len > 0; len -= 31) {
		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(workset_read(&again, fd, "set", &err),
				 -EBADMSG);
		workset_fini(&again);
	}
	/* Being recorded. */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(workset_read(&again, fd, "set", &err), 0);
	assert_int_equal(again.nr, 0);
	workset_fini(&again);
	/* Longer than any. */
	assert_int_equal(ftruncate(fd, (off_t)GIB(1)), 0);
	assert_int_equal(workset_read(&again, fd, "set", &err), -EBADMSG);
	workset_fini(&again);
	workset_fini(&set);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_many_regions),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_workset),
		cmocka_unit_test(test_workset_runs),
		cmocka_unit_test(test_workset_long_run),
		cmocka_unit_test(test_workset_of_diff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
