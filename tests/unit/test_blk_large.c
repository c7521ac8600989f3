// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_large.c - block device: a guest that asks for much at once
 *
 * Requests of many megabytes, whose buffers lie one upon the other so that a
 * guest of any size can make them. No step of the loop moves more than a few
 * pieces, shown by counting what engine Sync asks of the kernel (the linker's
 * --wrap) and the steps that Async takes.
 */
#include "blk_rig.h"

ssize_t __real_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __real_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);
ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);

/* Bytes of calls since it was set to 0 */
static uint64_t moved;

static void count_vector(const struct iovec *iov, int nr)
{
	for (int i = 0; i < nr; i++)
		moved += iov[i].iov_len;
}

ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off)
{
	count_vector(iov, nr);
	return __real_fd_preadv(fd, iov, nr, off);
}

ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags)
{
	count_vector(iov, nr);
	return __real_fd_pwritev(fd, iov, nr, off, flags);
}

#define LARGE_DISK MIB(64)
#define LARGE_BUFS 254u
#define LARGE_BUF  65536u
/* One callback: a piece that was left, and those of a round. */
#define CALLBACK_MAX (3ull * BLOCK_PIECE)

static void large_open(struct rig *rig, enum engine engine, const char *folder)
{
	struct blk_params params;

	rig_begin(rig, scratch_file(folder, 0));
	assert_int_equal(ftruncate(rig->fd, LARGE_DISK), 0);
	params = rig_params(rig, engine);
	assert_int_equal(block_file_init(&params.file, rig->fd), 0);
	rig_make(rig, &params);
	kit_start(&rig->kit, kit_offered(&rig->kit), 256);
}

/* @nr requests of 16 MiB each, whose buffers lie one upon the other. */
static void large_offer(struct rig *rig, uint32_t type, unsigned int nr)
{
	static struct kit_buf bufs[LARGE_BUFS + 2];

	rig_put_header(rig, type, 0);
	bufs[0] = (struct kit_buf){rig->header, 16, false};
	for (unsigned int i = 1; i <= LARGE_BUFS; i++)
		bufs[i] = (struct kit_buf){rig->data, LARGE_BUF, type == T_IN};
	bufs[LARGE_BUFS + 1] = (struct kit_buf){rig->status, 1, true};
	for (unsigned int i = 0; i < nr; i++)
		(void)kit_add_indirect(&rig->kit, 0, bufs, ARRAY_SIZE(bufs));
	kit_kick(&rig->kit, 0);
}

/* Run until @nr are back. Return: steps of the loop, none of which did much. */
static unsigned int large_run(struct rig *rig, unsigned int nr)
{
	unsigned int steps = 0;
	struct kit_used used;

	while (nr > 0) {
		moved = 0;
		assert_true(steps++ < 100000);
		assert_int_equal(loop_step(&rig->kit.loop, 1000), 0);
		assert_true(moved <= CALLBACK_MAX);
		while (kit_used(&rig->kit, 0, &used))
			nr--;
	}
	return steps;
}

static void large_transfers(enum engine engine)
{
	const uint64_t bytes = (uint64_t)LARGE_BUFS * LARGE_BUF;
	const uint32_t types[] = {T_IN, T_OUT};
	struct rig rig;

	large_open(&rig, engine, ".");
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		large_offer(&rig, types[i], 8);
		assert_true(large_run(&rig, 8) >= 8 * bytes / CALLBACK_MAX);
		assert_int_equal(rig_status(&rig), S_OK);
	}
	assert_int_equal(blk_counters(rig.blk)->read_bytes, 8 * bytes);
	assert_int_equal(blk_counters(rig.blk)->write_count, 8);
	rig_close(&rig);
}

/* Requests of gigabytes: the loop has its turn after each piece. */
static void test_large_transfers_in_pieces(void **state)
{
	(void)state;
	large_transfers(SYNC);
	large_transfers(ASYNC);
}

static void written_zeroes(enum engine engine)
{
	enum { NR = 4, SECTORS = 1 << 15 };
	struct rig rig;

	large_open(&rig, engine, "/dev/shm");
	store_le64(rig_data(&rig), 0);
	store_le32(rig_data(&rig) + 8, SECTORS);
	store_le32(rig_data(&rig) + 12, 0);
	rig_put_header(&rig, T_WRITE_ZEROES, 0);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},
		{rig.data, 16, false},
		{rig.status, 1, true},
	};

	for (unsigned int i = 0; i < NR; i++)
		(void)kit_add(&rig.kit, 0, bufs, 3);
	kit_kick(&rig.kit, 0);
	assert_true(large_run(&rig, NR) >=
		    NR * SECTORS * SECTOR / CALLBACK_MAX);
	assert_int_equal(rig_status(&rig), S_OK);
	rig_close(&rig);
}

/* tmpfs knows no zeroes without pages. */
static void test_written_zeroes_in_pieces(void **state)
{
	(void)state;
	written_zeroes(SYNC);
	written_zeroes(ASYNC);
}

/* A snapshot does not wait for gigabytes: their request begins anew after it.
 */
static void test_drain_puts_a_large_request_back(void **state)
{
	struct rig rig;

	(void)state;
	for (enum engine engine = SYNC; engine <= ASYNC; engine++) {
		large_open(&rig, engine, ".");
		large_offer(&rig, T_IN, 3);
		assert_int_equal(loop_step(&rig.kit.loop, 1000), 0);
		virtio_dev_pause(rig.kit.dev);
		moved = 0;
		assert_int_equal(virtio_dev_drain(rig.kit.dev,
						  now_ns() + 20000000000ull),
				 0);
		assert_true(moved <= CALLBACK_MAX);
		assert_int_equal(rig.kit.dev->queue[0].next_avail, 0);
		virtio_dev_resume(rig.kit.dev);
		(void)large_run(&rig, 3);
		assert_int_equal(rig_status(&rig), S_OK);
		rig_close(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_transfers_in_pieces),
		cmocka_unit_test(test_written_zeroes_in_pieces),
		cmocka_unit_test(test_drain_puts_a_large_request_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
