// SPDX-License-Identifier: Apache-2.0
/*
 * test_snapshot_identity.c - whose a memory file is, by label and by proof
 */
#include "unit.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/copy.h"
#include "image/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SIZE  MIB(16)
#define PAGES (SIZE / PAGE_SIZE)

static int new_file(void)
{
	char path[] = "/var/tmp/volt-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	return fd;
}

static void put(int fd, uint64_t page, uint8_t byte)
{
	uint8_t data[512];

	memset(data, byte, sizeof(data));
	for (uint64_t off = 0; off < PAGE_SIZE; off += sizeof(data))
		assert_int_equal(pwrite(fd, data, sizeof(data),
					(off_t)(page * PAGE_SIZE + off)),
				 sizeof(data));
}

/* Pages 10 to 29 and 1000, each with @seed in it. */
static int sample(uint8_t seed)
{
	int fd = new_file();

	for (uint64_t page = 10; page < 30; page++)
		put(fd, page, (uint8_t)(seed + page));
	put(fd, 1000, seed);
	return fd;
}

static struct memory_proof prove(int fd, bool diff,
				 const struct memory_proof *base)
{
	static const uint64_t hot[] = {1000, UINT64_MAX};
	struct memory_picks fresh = {0};
	struct memory_prove from = {
		.fd = fd,
		.size = SIZE,
		.diff = diff,
		.fresh = &fresh,
		.hot = hot,
		.nr_hot = ARRAY_SIZE(hot),
		.base = base,
	};
	struct memory_proof proof;

	memory_picks_add(&fresh, 12, 4);
	assert_int_equal(memory_prove(&from, &proof), 0);
	assert_true(proof.bytes > 0);
	return proof;
}

static void copy_whole(int from, int to, bool zeros)
{
	uint8_t *data = calloc(1, SIZE);

	assert_non_null(data);
	assert_int_equal(fd_read_full(from, data, SIZE, 0), 0);
	assert_int_equal(lseek(to, 0, SEEK_SET), 0);
	if (zeros)
		assert_int_equal(fd_write_full(to, data, SIZE), 0);
	for (uint64_t page = 0; page < PAGES && !zeros; page++)
		if (data[page * PAGE_SIZE] != 0)
			put(to, page, data[page * PAGE_SIZE]);
	free(data);
}

static int match(const struct memory_proof *proof, bool diff, int fd)
{
	return memory_match(proof, diff, fd, SIZE);
}

static void a_whole_memory(void **state)
{
	int fd = sample(1), copy = new_file(), other = sample(2);
	struct memory_proof proof = prove(fd, false, NULL);

	(void)state;
	assert_int_equal(match(&proof, false, fd), MEMORY_WHOLE);
	assert_int_equal(match(&proof, false, other), MEMORY_OTHER);
	copy_whole(fd, copy, true);
	assert_int_equal(match(&proof, false, copy), MEMORY_WHOLE);
	put(copy, 9, 7); /* not looked at */
	assert_int_equal(match(&proof, false, copy), MEMORY_WHOLE);
	put(copy, 30, 7); /* the hole behind an extent */
	assert_int_equal(match(&proof, false, copy), MEMORY_OTHER);
	put(copy, 30, 0);
	put(copy, 1000, 2);
	assert_int_equal(match(&proof, false, copy), MEMORY_OTHER);
	fd_close(&fd);
	fd_close(&copy);
	fd_close(&other);
}

static void a_diff(void **state)
{
	int base = sample(1), diff = new_file(), copy = new_file();
	struct memory_proof whole = prove(base, false, NULL), proof;

	(void)state;
	for (uint64_t page = 12; page < 16; page++)
		put(diff, page, 99);
	put(diff, 1000, 0); /* a page that became zero */
	proof = prove(diff, true, &whole);
	assert_true(proof.own >= 5);
	assert_true(proof.bytes / sizeof(proof.sample[0]) > proof.own);
	assert_int_equal(match(&proof, true, diff), MEMORY_PART);
	/* Holes that were filled, or made. */
	copy_whole(diff, copy, true);
	assert_int_equal(match(&proof, true, copy), MEMORY_HOLES);
	fd_close(&copy);
	copy = new_file();
	copy_whole(diff, copy, false);
	assert_int_equal(match(&proof, true, copy), MEMORY_HOLES);
	/* Merged, with the right base and with another. */
	fd_close(&copy);
	copy = new_file();
	copy_whole(base, copy, false);
	assert_int_equal(memory_copy(diff, copy, SIZE, NULL), 0);
	assert_int_equal(match(&proof, true, copy), MEMORY_WHOLE);
	assert_int_equal(match(&proof, false, copy), MEMORY_WHOLE);
	put(copy, 10, 3);
	assert_int_equal(match(&proof, false, copy), MEMORY_OTHER);
	assert_int_equal(match(&proof, true, base), MEMORY_OTHER);
	fd_close(&base);
	fd_close(&diff);
	fd_close(&copy);
}

/* A state is hostile: numbers of pages, and how many there are. */
static void a_forged_proof(void **state)
{
	int fd = sample(1);
	struct memory_proof proof = prove(fd, false, NULL), bad = proof;

	(void)state;
	bad.sample[0].page = PAGES;
	assert_int_equal(match(&bad, false, fd), MEMORY_OTHER);
	bad.sample[0].page = UINT64_MAX / PAGE_SIZE + 11;
	assert_int_equal(match(&bad, false, fd), MEMORY_OTHER);
	bad = proof;
	bad.own = UINT32_MAX;
	assert_int_equal(match(&bad, true, fd), MEMORY_OTHER);
	bad = proof;
	bad.bytes = sizeof(bad.sample[0]) - 1;
	assert_int_equal(match(&bad, false, fd), MEMORY_OTHER);
	fd_close(&fd);
}

static void picks(void **state)
{
	(void)state;
	for (uint64_t nr = 0; nr < 3000; nr += 1 + nr / 9) {
		struct memory_picks p = {0};

		for (uint64_t at = 0; at < nr; at += 7)
			memory_picks_add(&p, 100 + at,
					 nr - at < 7 ? nr - at : 7);
		assert_true(p.nr <= MEMORY_PICKS);
		assert_true(p.nr >=
			    (nr < MEMORY_PICKS / 2 ? nr : MEMORY_PICKS / 2));
		for (unsigned int i = 0; i < p.nr; i++)
			assert_int_equal(p.page[i], 100 + i * p.every);
	}
}

static struct snapshot_identity who(uint64_t id, uint64_t base, int fd)
{
	return (struct snapshot_identity){
		.label = {.id = id, .moment = id, .base = base, .run = 5},
		.size = SIZE,
		.proof = prove(fd, base != 0, NULL),
	};
}

static int identify(int fd, const struct snapshot_identity *w)
{
	struct err err = {0};
	int r = snapshot_identify(fd, w, "the file", &err);

	assert_true(r >= 0 || strstr(err.text, "the file") != NULL);
	return r;
}

static void label_and_proof(void **state)
{
	int fd = sample(1), other = sample(2);
	struct snapshot_identity a = who(1, 0, fd), b = who(2, 0, other);
	struct snapshot_label label;

	(void)state;
	snapshot_label_set(fd, &a.label);
	if (snapshot_label_get(fd, &label) == LABEL_NONE)
		skip(); /* no extended attributes here */
	assert_memory_equal(&label, &a.label, sizeof(label));
	assert_int_equal(identify(fd, &a), MEMORY_WHOLE);
	assert_int_equal(identify(fd, &b), -EINVAL);
	/* The label is believed as long as the file is as it was. */
	b.proof = a.proof;
	assert_int_equal(identify(fd, &b), -EINVAL);
	(void)usleep(20000); /* file times go in steps */
	put(fd, 12, 77);
	assert_int_equal(snapshot_label_get(fd, &label), LABEL_NONE);
	assert_int_equal(identify(fd, &a), -EINVAL);
	put(fd, 12, 13);
	assert_int_equal(identify(fd, &a), MEMORY_WHOLE);
	assert_int_equal(ftruncate(fd, SIZE + 1), 0);
	assert_int_equal(identify(fd, &a), -EINVAL);
	fd_close(&fd);
	fd_close(&other);
}

/* Format 2.0: an attribute with the id, or nothing, and no proof. */
static void labels_of_old(void **state)
{
	int fd = sample(1);
	struct snapshot_identity a = who(1, 0, fd), d = who(3, 2, fd);
	uint64_t id = 1;

	(void)state;
	a.proof = d.proof = (struct memory_proof){0};
	assert_int_equal(identify(fd, &a), MEMORY_WHOLE);
	assert_int_equal(identify(fd, &d), MEMORY_PART);
	if (fsetxattr(fd, "user.volt.snapshot", &id, sizeof(id), 0) < 0)
		skip(); /* no extended attributes here */
	assert_int_equal(identify(fd, &a), MEMORY_WHOLE);
	assert_int_equal(identify(fd, &d), -EINVAL);
	id = 2; /* the diff's base: it was merged into it */
	assert_int_equal(
		fsetxattr(fd, "user.volt.snapshot", &id, sizeof(id), 0), 0);
	assert_int_equal(identify(fd, &a), -EINVAL);
	assert_int_equal(identify(fd, &d), MEMORY_WHOLE);
	fd_close(&fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_memory),
		cmocka_unit_test(a_diff),
		cmocka_unit_test(a_forged_proof),
		cmocka_unit_test(picks),
		cmocka_unit_test(label_and_proof),
		cmocka_unit_test(labels_of_old),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
