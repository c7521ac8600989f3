// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk_faults.c - block device: a host that fails, is slow, or takes back
 *
 * Engine Sync meets errors put between it and the kernel (the linker's --wrap);
 * both meet real ones: limits, full and shrinking file systems, loop devices.
 * A pipe serves as a disk that is slow: engine Async has a request in flight
 * until somebody writes to it.
 */
#include "blk_rig.h"

#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- between the device and the kernel ---- */

/**
 * struct wrapped - what the next system calls on the disk do
 * @fails:	-errno instead of a call, so many times
 * @most:	bytes a transfer moves at most; 0: as many as it likes
 * @syncs, @stable: calls of fdatasync(), writes with RWF_DSYNC
 */
static struct wrapped {
	int error;
	unsigned int fails;
	size_t most;
	unsigned int transfers;
	unsigned int syncs;
	unsigned int stable;
} wrapped;

ssize_t __real_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __real_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);
int __real_fdatasync(int fd);
int __real_fallocate64(int fd, int mode, off_t off, off_t len);

ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off);
ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags);
int __wrap_fdatasync(int fd);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len);

static bool fails(void)
{
	if (wrapped.fails == 0)
		return false;
	wrapped.fails--;
	errno = wrapped.error;
	return true;
}

static size_t at_most(size_t len)
{
	wrapped.transfers++;
	return wrapped.most && len > wrapped.most ? wrapped.most : len;
}

/* Counts the transfer. A short vector: a part of its first buffer. */
static struct iovec first_part(const struct iovec *iov)
{
	return (struct iovec){iov->iov_base, at_most(iov->iov_len)};
}

ssize_t __wrap_fd_preadv(int fd, const struct iovec *iov, int nr, off_t off)
{
	struct iovec part;

	if (fails())
		return -1;
	part = first_part(iov);
	return wrapped.most ? __real_fd_preadv(fd, &part, 1, off)
			    : __real_fd_preadv(fd, iov, nr, off);
}

ssize_t __wrap_fd_pwritev(int fd, const struct iovec *iov, int nr, off_t off,
			  int flags)
{
	struct iovec part;

	wrapped.stable += flags == RWF_DSYNC;
	if (fails())
		return -1;
	if (flags)
		return __real_fd_pwritev(fd, iov, nr, off, flags);
	part = first_part(iov);
	return wrapped.most ? __real_fd_pwritev(fd, &part, 1, off, 0)
			    : __real_fd_pwritev(fd, iov, nr, off, 0);
}

int __wrap_fdatasync(int fd)
{
	wrapped.syncs++;
	return fails() ? -1 : __real_fdatasync(fd);
}

int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
{
	return fails() ? -1 : __real_fallocate64(fd, mode, off, len);
}

static int each_starts_clean(void **state)
{
	(void)state;
	wrapped = (struct wrapped){.error = 0};
	return 0;
}

/* ---- engine Sync and an unkind kernel ---- */

static void test_every_error_is_ioerr(void **state)
{
	static const int errors[] = {EIO,    ENOSPC,    EFBIG,  EDQUOT, EROFS,
				     EFAULT, ETIMEDOUT, ENOMEM, EINVAL, EBADF};
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		wrapped.error = errors[i];
		wrapped.fails = 1;
		assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_IOERR);
		wrapped.fails = 1;
		assert_int_equal(rig_request(&rig, T_OUT, 0, SECTOR), S_IOERR);
		wrapped.fails = 1;
		assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_IOERR);
		wrapped.fails = 1;
		assert_int_equal(rig_range(&rig, T_DISCARD, 0, 8, 0), S_IOERR);
		wrapped.fails = 1;
		assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 8, 0),
				 S_IOERR);
		assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	}
	assert_int_equal(blk_counters(rig.blk)->execute_fails,
			 5 * ARRAY_SIZE(errors));
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	rig_close(&rig);
}

static void test_eintr_and_short_transfers(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},     {rig.data, 700, true},
		{rig.data + 700, 100, true}, {rig.data + 800, 1248, true},
		{rig.status, 1, true},
	};

	wrapped.error = EINTR;
	wrapped.fails = 3;
	wrapped.most = 99;
	rig_put_header(&rig, T_IN, 9);
	(void)rig_run(&rig, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(rig_status(&rig), S_OK);
	assert_int_equal(wrapped.fails, 0);
	assert_true(wrapped.transfers >= 2048 / 99);
	for (unsigned int i = 0; i < 2048; i++)
		assert_int_equal(rig_data(&rig)[i], 9 + i / SECTOR + 1);
	memset(rig_data(&rig), 0x42, 2048);
	wrapped.fails = 2;
	assert_int_equal(rig_request(&rig, T_OUT, 20, 2048), S_OK);
	wrapped.most = 0;
	memset(rig_data(&rig), 0, 2048);
	assert_int_equal(rig_request(&rig, T_IN, 20, 2048), S_OK);
	for (unsigned int i = 0; i < 2048; i++)
		assert_int_equal(rig_data(&rig)[i], 0x42);
	rig_close(&rig);
}

/* Nobody knew that an UNMAP would be written: it is owed afterwards. */
static void test_unmap_that_is_written_is_charged(void **state)
{
	struct token_bucket *bandwidth;
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	bandwidth = &blk_limiter(rig.blk)->bandwidth;
	token_bucket_init(bandwidth, 4096, 0, 3600000, now_ns());
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 16, 1), S_OK);
	assert_int_equal(bandwidth->tokens, 4096);
	wrapped.error = EOPNOTSUPP;
	wrapped.fails = 1;
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 16, 1), S_OK);
	assert_int_equal(bandwidth->tokens, 0);
	assert_in_range(bandwidth->debt, 4000, 4096);
	rig_close(&rig);
}

/* "One readv per request": a request is one call, however it is cut. */
static void test_one_call_per_request(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},      {rig.data, 512, true},
		{rig.data + 512, 1024, true}, {rig.data + 1536, 512, true},
		{rig.status, 1, true},
	};

	wrapped.transfers = 0; /* the disk was written by such calls, too */
	rig_put_header(&rig, T_IN, 9);
	(void)rig_run(&rig, bufs, ARRAY_SIZE(bufs));
	assert_int_equal(rig_status(&rig), S_OK);
	assert_int_equal(wrapped.transfers, 1);
	assert_int_equal(rig_request(&rig, T_OUT, 9, 2048), S_OK);
	assert_int_equal(wrapped.transfers, 2);
	assert_int_equal(wrapped.syncs + wrapped.stable, 0);
	rig_close(&rig);
}

static void test_flush_is_fdatasync(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	assert_int_equal(wrapped.syncs, 1);
	rig_close(&rig);
}

/* FLUSH offered and not taken: a write that is done is stable (5.2.6.2). */
static void test_write_through(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	kit_write(&rig.kit, KIT_STATUS, 0);
	kit_start(&rig.kit, F_DISCARD | F_WRITE_ZEROES, 256);
	assert_int_equal(rig_request(&rig, T_OUT, 0, SECTOR), S_OK);
	assert_int_equal(wrapped.stable, 1);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 8, 1), S_OK);
	assert_int_equal(wrapped.syncs, 1);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	assert_int_equal(wrapped.syncs + wrapped.stable, 2);
	rig_close(&rig);
}

static void test_no_holes_here(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, SYNC);
	wrapped.error = EOPNOTSUPP;
	wrapped.fails = 1;
	assert_int_equal(rig_range(&rig, T_DISCARD, 0, 8, 0), S_OK);
	wrapped.fails = 1;
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 5, 123, 1), S_OK);
	assert_true(disk_is_zero(rig.fd, 5, 123));
	wrapped.error = EOPNOTSUPP;
	wrapped.fails = 1;
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 4, 1, 0), S_OK);
	assert_true(disk_is_zero(rig.fd, 4, 1));
	rig_close(&rig);
}

/* ---- both engines and a real host ---- */

static void test_shrinking_file(void **state)
{
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	assert_int_equal(ftruncate(rig.fd, 10 * SECTOR + 100), 0);
	assert_int_equal(rig_request(&rig, T_IN, 9, SECTOR), S_OK);
	assert_int_equal(rig_request(&rig, T_IN, 10, SECTOR), S_IOERR);
	assert_int_equal(rig_request(&rig, T_IN, 9, 4 * SECTOR), S_IOERR);
	assert_int_equal(rig_request(&rig, T_IN, 100, SECTOR), S_IOERR);
	/* It may grow again. */
	assert_int_equal(rig_request(&rig, T_OUT, 127, SECTOR), S_OK);
	assert_int_equal(rig_request(&rig, T_IN, 100, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 0);
	rig_close(&rig);
}

static void test_rlimit_fsize(void **state)
{
	struct rlimit old, low = {16ul * SECTOR, RLIM_INFINITY};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	assert_int_equal(rig_request(&rig, T_OUT, 15, SECTOR), S_OK);
	assert_int_equal(rig_request(&rig, T_OUT, 16, SECTOR), S_IOERR);
	assert_int_equal(rig_request(&rig, T_OUT, 15, 2 * SECTOR), S_IOERR);
	assert_int_equal(rig_request(&rig, T_IN, 16, SECTOR), S_OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rig_request(&rig, T_OUT, 16, SECTOR), S_OK);
	rig_close(&rig);
}

/*
 * A file system of 64 KiB in memory, mounted nowhere: that needs no namespace,
 * and so any root will do. Return: its root, -1 without the right to mount.
 */
static int small_file_system(void)
{
	enum { SET_STRING = 1, CREATE = 6 };
	int context = (int)syscall(SYS_fsopen, "tmpfs", 0);
	int root = -1;

	if (context < 0)
		return -1;
	if (syscall(SYS_fsconfig, context, SET_STRING, "size", "64k", 0) == 0 &&
	    syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0) == 0)
		root = (int)syscall(SYS_fsmount, context, 0, 0);
	(void)close(context);
	return root;
}

/* A sparse disk on a file system that is too small for it. */
static void test_enospc(void **state)
{
	int root = small_file_system();
	struct blk_params params;
	unsigned int failed = 0;
	char folder[32];
	struct rig rig;

	if (root < 0)
		skip(); /* no right to mount */
	(void)snprintf(folder, sizeof(folder), "/proc/self/fd/%d", root);
	rig_begin(&rig, scratch_file(folder, 0));
	assert_int_equal(ftruncate(rig.fd, MIB(1)), 0);
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	memset(rig_data(&rig), 1, 4096);
	for (unsigned int i = 0; i < 32; i++)
		failed += rig_request(&rig, T_OUT, i * 8ull, 4096) == S_IOERR;
	/* The first ones fitted and are there; room comes back by discard. */
	assert_in_range(failed, 16, 17);
	assert_int_equal(rig_request(&rig, T_IN, 0, 4096), S_OK);
	assert_int_equal(rig_data(&rig)[4095], 1);
	assert_int_equal(rig_range(&rig, T_DISCARD, 0, 64, 0), S_OK);
	assert_int_equal(rig_request(&rig, T_OUT, 1000, 4096), S_OK);
	rig_close(&rig);
	(void)close(root);
}

/* A free loop device on @fd. Return: its descriptor, -1 when there is none. */
static int loop_device(int fd)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	char path[32];
	int loop = -1, nr;

	for (int tries = 0; control >= 0 && tries < 8; tries++) {
		nr = ioctl(control, LOOP_CTL_GET_FREE);
		(void)snprintf(path, sizeof(path), "/dev/loop%d", nr);
		loop = nr < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (loop < 0 || ioctl(loop, LOOP_SET_FD, fd) == 0)
			break;
		(void)close(loop);
		loop = -1;
	}
	if (control >= 0)
		(void)close(control);
	return loop;
}

/* A block device: size, discard, zeroes; and EIO, when what is below ends. */
static void test_block_device(void **state)
{
	int below = scratch_file(".", DISK_BYTES);
	/* Behind the disk that is used: read by nobody, cached nowhere. */
	int grown = ftruncate(below, MIB(8));
	int loop = loop_device(below);
	struct blk_params params;
	struct rig rig;

	if (loop < 0)
		skip(); /* no loop devices, or no right to them */
	rig_begin(&rig, loop);
	params = rig_params(&rig, ENGINE(state));
	params.flush = true;
	assert_int_equal(block_file_init(&params.file, loop), 0);
	assert_true(params.file.is_device);
	assert_int_equal(grown, 0);
	assert_int_equal(params.file.sectors, MIB(8) / SECTOR);
	rig_make(&rig, &params);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_request(&rig, T_IN, 5, 2 * SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[SECTOR], 7);
	memset(rig_data(&rig), 0x33, SECTOR);
	assert_int_equal(rig_request(&rig, T_OUT, 1, SECTOR), S_OK);
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	assert_int_equal(rig_range(&rig, T_DISCARD, 8, 16, 0), S_OK);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 24, 8, 0), S_OK);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 32, 8, 1), S_OK);
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	assert_true(disk_is_zero(loop, 8, 32));
	assert_true(disk_is_original(below, 40, DISK_SECTORS - 40));
	assert_true(disk_is_zero(below, 24, 16));
	assert_int_equal(ftruncate(below, DISK_BYTES), 0);
	assert_int_equal(rig_request(&rig, T_IN, MIB(7) / SECTOR, SECTOR),
			 S_IOERR);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	(void)ioctl(loop, LOOP_CLR_FD, 0);
	rig_close(&rig);
	(void)close(below);
}

/* ---- engine Async and a slow host ---- */

/* A device whose disk is a pipe: reads wait for what is written to @feed. */
static void slow_open(struct rig *rig, int *feed)
{
	struct blk_params params;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	*feed = fds[1];
	rig_begin(rig, fds[0]);
	params = rig_params(rig, ASYNC);
	params.file =
		(struct block_file){.fd = fds[0], .sectors = DISK_SECTORS};
	rig_make(rig, &params);
	kit_start(&rig->kit, kit_offered(&rig->kit), 256);
}

static uint16_t slow_read(struct rig *rig)
{
	const struct kit_buf bufs[] = {
		{rig->header, 16, false},
		{rig->data, SECTOR, true},
		{rig->status, 1, true},
	};
	uint16_t head;

	rig_put_header(rig, T_IN, 0);
	head = kit_add(&rig->kit, 0, bufs, 3);
	kit_kick(&rig->kit, 0);
	kit_pump(&rig->kit);
	return head;
}

static void feed_bytes(int feed, uint8_t byte, size_t len)
{
	uint8_t block[SECTOR];

	memset(block, byte, sizeof(block));
	assert_int_equal(write(feed, block, len), len);
}

static void test_async_completes_later(void **state)
{
	struct kit_used used;
	struct rig rig;
	uint16_t head;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	head = slow_read(&rig);
	assert_false(kit_used(&rig.kit, 0, &used));
	assert_int_equal(rig_status(&rig), S_NONE);
	(void)kit_irqs(&rig.kit);
	feed_bytes(feed, 0x21, SECTOR);
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(used.head, head);
	assert_int_equal(used.len, SECTOR + 1);
	assert_int_equal(rig_status(&rig), S_OK);
	assert_int_equal(rig_data(&rig)[511], 0x21);
	assert_int_equal(kit_irqs(&rig.kit), 1);
	rig_close(&rig);
	(void)close(feed);
}

/* Short reads go on where they stopped; the end of the file is an error. */
static void test_async_short_reads(void **state)
{
	struct kit_used used;
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	for (unsigned int i = 0; i < 4; i++) {
		feed_bytes(feed, (uint8_t)i, 100);
		kit_pump(&rig.kit);
		assert_false(kit_used(&rig.kit, 0, &used));
	}
	feed_bytes(feed, 4, 112);
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(rig_status(&rig), S_OK);
	for (unsigned int i = 0; i < SECTOR; i++)
		assert_int_equal(rig_data(&rig)[i], i < 500 ? i / 100 : 4);
	(void)slow_read(&rig);
	feed_bytes(feed, 1, 100);
	(void)close(feed);
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(rig_status(&rig), S_IOERR);
	assert_int_equal(used.len, 1);
	rig_close(&rig);
}

/* V13: one head twice in flight: two requests, two answers, no third. */
static void test_v13_head_twice_in_flight(void **state)
{
	struct kit_used used;
	struct rig rig;
	uint16_t head;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	head = slow_read(&rig);
	for (unsigned int i = 0; i < 3; i++)
		kit_avail(&rig.kit, 0, head);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	for (unsigned int i = 0; i < 4; i++) {
		feed_bytes(feed, (uint8_t)i, SECTOR);
		assert_true(kit_wait_used(&rig.kit, 0, &used));
		assert_int_equal(used.head, head);
	}
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	rig_close(&rig);
	(void)close(feed);
}

/* More requests than slots: the rest waits, and each is answered once. */
static void test_more_requests_than_slots(void **state)
{
	enum { NR = 250 };
	struct kit_used used;
	struct rig rig;
	uint16_t head;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	head = slow_read(&rig);
	for (unsigned int i = 1; i < NR; i++)
		kit_avail(&rig.kit, 0, head);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_true(blk_counters(rig.blk)->io_engine_throttled_events > 0);
	for (unsigned int i = 0; i < NR; i++) {
		feed_bytes(feed, (uint8_t)i, SECTOR);
		assert_true(kit_wait_used(&rig.kit, 0, &used));
	}
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	assert_int_equal(blk_counters(rig.blk)->read_count, NR);
	rig_close(&rig);
	(void)close(feed);
}

static void *reset_device(void *arg)
{
	struct rig *rig = arg;

	kit_write(&rig->kit, KIT_STATUS, 0);
	return NULL;
}

/* V15: a reset, on another thread, of a device with requests in flight. */
static void test_v15_reset_waits_for_what_is_in_flight(void **state)
{
	uint8_t ring[64];
	struct rig rig;
	pthread_t vcpu;
	int feed;

	(void)state;
	for (unsigned int round = 0; round < 20; round++) {
		slow_open(&rig, &feed);
		(void)slow_read(&rig);
		(void)slow_read(&rig);
		assert_int_equal(
			pthread_create(&vcpu, NULL, reset_device, &rig), 0);
		if (round % 2)
			(void)usleep(2000);
		feed_bytes(feed, 0x21, SECTOR);
		feed_bytes(feed, 0x22, SECTOR);
		assert_int_equal(pthread_join(vcpu, NULL), 0);
		/* From here on the memory is the driver's alone. */
		assert_int_equal(kit_read(&rig.kit, KIT_STATUS), 0);
		memset(rig_data(&rig), 0x99, SECTOR);
		memcpy(ring, kit_hva(&rig.kit, rig.kit.queue[0].used, 64), 64);
		(void)usleep(1000);
		kit_pump(&rig.kit);
		for (unsigned int i = 0; i < SECTOR; i++)
			assert_int_equal(rig_data(&rig)[i], 0x99);
		assert_memory_equal(
			ring, kit_hva(&rig.kit, rig.kit.queue[0].used, 64), 64);
		kit_start(&rig.kit, kit_offered(&rig.kit), 16);
		feed_bytes(feed, 0x23, SECTOR);
		assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
		assert_int_equal(rig_data(&rig)[0], 0x23);
		rig_close(&rig);
		(void)close(feed);
	}
}

/* The other order: done, not seen by the loop yet, then the reset. */
static void test_v15_reset_after_completion(void **state)
{
	struct kit_used used;
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	feed_bytes(feed, 0x21, SECTOR);
	kit_write(&rig.kit, KIT_STATUS, 0);
	kit_start(&rig.kit, kit_offered(&rig.kit), 16);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	feed_bytes(feed, 0x22, SECTOR);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 0x22);
	rig_close(&rig);
	(void)close(feed);
}

/*
 * V15: the host does not answer. The vCPU goes on; the driver sees by the
 * status that the reset is not done, and can begin nothing until it is.
 */
static void test_v15_reset_of_a_hung_disk(void **state)
{
	uint8_t ring[64];
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	(void)slow_read(&rig);
	memcpy(ring, kit_hva(&rig.kit, rig.kit.queue[0].used, 64), 64);
	kit_write(&rig.kit, KIT_STATUS, 0);
	assert_true(kit_read(&rig.kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
	for (uint32_t status = 1; status < 256; status = status * 2 + 1) {
		kit_write(&rig.kit, KIT_STATUS, status);
		assert_false(virtio_dev_running(rig.kit.dev));
	}
	assert_false(kit_add_queue(&rig.kit, 0, 16));
	(void)kit_irqs(&rig.kit);
	virtio_dev_pause(rig.kit.dev);
	assert_int_equal(virtio_dev_drain(rig.kit.dev, 0), -ETIME);
	feed_bytes(feed, 0x21, SECTOR);
	kit_pump(&rig.kit);
	assert_int_not_equal(kit_read(&rig.kit, KIT_STATUS), 0);
	feed_bytes(feed, 0x22, 100); /* a short read is not gone on with */
	kit_pump(&rig.kit);
	assert_int_equal(kit_read(&rig.kit, KIT_STATUS), 0);
	assert_int_equal(virtio_dev_drain(rig.kit.dev, 0), 0);
	virtio_dev_resume(rig.kit.dev);
	/* No answers, no interrupts: there is nobody to take them. */
	assert_int_equal(rig_status(&rig), S_NONE);
	assert_int_equal(kit_irqs(&rig.kit), 0);
	kit_start(&rig.kit, kit_offered(&rig.kit), 16);
	feed_bytes(feed, 0x23, SECTOR);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 0x23);
	rig_close(&rig);
	(void)close(feed);
}

/* The lock is free while the vCPU waits: only so the disk answers at all. */
static void test_v15_reset_waits_without_the_lock(void **state)
{
	struct rig rig;
	pthread_t vcpu;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	assert_int_equal(pthread_create(&vcpu, NULL, reset_device, &rig), 0);
	while (!(kit_read(&rig.kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET))
		(void)sched_yield();
	feed_bytes(feed, 0x21, SECTOR);
	while (kit_read(&rig.kit, KIT_STATUS) != 0)
		kit_pump(&rig.kit);
	assert_int_equal(pthread_join(vcpu, NULL), 0);
	assert_int_equal(kit_read(&rig.kit, KIT_STATUS), 0);
	rig_close(&rig);
	(void)close(feed);
}

/* In the child: io_uring_enter() fails from here on. */
static void deny_submission(int error)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_enter, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {ARRAY_SIZE(rules), rules};

	kit_must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	kit_must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
}

/* Each request is done once, no round follows that nobody asked for. */
static void ask_without_uring(int error)
{
	const struct blk_counters *c;
	struct kit_used used;
	struct rig rig;

	rig_open(&rig, ASYNC);
	c = blk_counters(rig.blk);
	kit_must(rig_request(&rig, T_IN, 3, SECTOR) == S_OK);
	deny_submission(error);
	kit_must(rig_request(&rig, T_IN, 5, SECTOR) == S_OK);
	kit_must(rig_data(&rig)[0] == 6);
	for (unsigned int i = 0; i < 3; i++)
		(void)slow_read(&rig);
	for (unsigned int i = 0; i < 3; i++)
		kit_must(kit_used(&rig.kit, 0, &used));
	kit_must(!kit_used(&rig.kit, 0, &used));
	kit_must(rig_data(&rig)[0] == 1 && rig_status(&rig) == S_OK);
	memset(rig_data(&rig), 0x5a, SECTOR);
	kit_must(rig_request(&rig, T_OUT, 9, SECTOR) == S_OK);
	kit_must(rig_request(&rig, T_FLUSH, 0, 0) == S_OK);
	kit_must(rig_request(&rig, T_IN, 9, SECTOR) == S_OK);
	kit_must(rig_data(&rig)[511] == 0x5a);
	/* One try each, and only those: nothing spins meanwhile. */
	kit_must(metric_read(&c->io_engine_throttled_events) == 7);
	kit_write(&rig.kit, KIT_STATUS, 0);
	kit_must(kit_read(&rig.kit, KIT_STATUS) == 0);
	rig_close(&rig);
}

static void test_uring_takes_nothing(void **state)
{
	static const int errors[] = {EAGAIN, EBUSY, EPERM, ENOSYS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			ask_without_uring(errors[i]);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Drain has a deadline; after it nothing is lost and nothing done twice. */
static void test_drain(void **state)
{
	struct kit_used used;
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	virtio_dev_pause(rig.kit.dev);
	assert_int_equal(virtio_dev_drain(rig.kit.dev, now_ns() + 1000000),
			 -ETIME);
	assert_false(kit_used(&rig.kit, 0, &used));
	feed_bytes(feed, 0x21, SECTOR);
	assert_int_equal(
		virtio_dev_drain(rig.kit.dev, now_ns() + 20000000000ull), 0);
	assert_true(kit_used(&rig.kit, 0, &used));
	assert_int_equal(rig_status(&rig), S_OK);
	/* Paused: what the driver adds now waits for the resume. */
	(void)slow_read(&rig);
	assert_int_equal(virtio_dev_drain(rig.kit.dev, 0), 0);
	virtio_dev_resume(rig.kit.dev);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	feed_bytes(feed, 0x22, SECTOR);
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_false(kit_used(&rig.kit, 0, &used));
	rig_close(&rig);
	(void)close(feed);
}

/* A completion while paused neither spins nor is lost. */
static void test_completion_while_paused(void **state)
{
	struct kit_used used;
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	virtio_dev_pause(rig.kit.dev);
	feed_bytes(feed, 0x21, SECTOR);
	kit_pump(&rig.kit); /* returns: the loop is quiet */
	virtio_dev_resume(rig.kit.dev);
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(rig_status(&rig), S_OK);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	rig_close(&rig);
	(void)close(feed);
}

static void test_new_file_waits_for_the_old_one(void **state)
{
	int next = scratch_file(".", DISK_BYTES);
	struct block_file file;
	struct kit_used used;
	struct rig rig;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	(void)slow_read(&rig);
	feed_bytes(feed, 0x21, SECTOR);
	assert_int_equal(block_file_init(&file, next), 0);
	assert_int_equal(blk_set_file(rig.blk, &file), 0);
	assert_true(kit_used(&rig.kit, 0, &used));
	assert_int_equal(rig_data(&rig)[0], 0x21);
	assert_int_equal(rig_request(&rig, T_IN, 2, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 3);
	rig_close(&rig);
	(void)close(feed);
	(void)close(next);
}

/* All slots taken and more in the ring: a new file does not forget the rest,
 * for which no kick comes any more. */
static void test_new_file_and_more_requests_than_slots(void **state)
{
	enum { NR = 250, SLOTS = 128 };
	int next = scratch_file(".", DISK_BYTES);
	struct block_file file;
	struct kit_used used;
	struct rig rig;
	uint16_t head;
	int feed;

	(void)state;
	slow_open(&rig, &feed);
	head = slow_read(&rig);
	for (unsigned int i = 1; i < NR; i++)
		kit_avail(&rig.kit, 0, head);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	for (unsigned int i = 0; i < SLOTS; i++)
		feed_bytes(feed, (uint8_t)i, SECTOR);
	assert_int_equal(block_file_init(&file, next), 0);
	assert_int_equal(blk_set_file(rig.blk, &file), 0);
	for (unsigned int i = 0; i < NR; i++)
		assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(rig_data(&rig)[0], 1);
	rig_close(&rig);
	(void)close(feed);
	(void)close(next);
}

/* No descriptor left for a ring: as where io_uring is denied. */
static void test_no_uring_means_sync(void **state)
{
	struct blk_params params;
	struct rlimit old, low;
	struct err err = {0};
	struct rig rig;
	int next;

	(void)state;
	rig_begin(&rig, scratch_file(".", DISK_BYTES));
	params = rig_params(&rig, ASYNC);
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	next = dup(rig.fd);
	(void)close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)next + 2; /* the two eventfds */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(blk_new(&rig.blk, &params, &err), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_false(blk_is_async(rig.blk));
	kit_attach(&rig.kit, blk_dev(rig.blk));
	rig.header = kit_alloc(&rig.kit, 64);
	rig.status = kit_alloc(&rig.kit, 16);
	rig.data = kit_alloc(&rig.kit, DISK_BYTES);
	kit_start(&rig.kit, kit_offered(&rig.kit), 16);
	assert_int_equal(rig_request(&rig, T_IN, 1, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 2);
	rig_close(&rig);
}

#define EACH(test) cmocka_unit_test_setup(test, each_starts_clean)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_every_error_is_ioerr),
		EACH(test_eintr_and_short_transfers),
		EACH(test_one_call_per_request),
		EACH(test_flush_is_fdatasync),
		EACH(test_write_through),
		EACH(test_no_holes_here),
		BOTH(test_shrinking_file),
		BOTH(test_rlimit_fsize),
		BOTH(test_enospc),
		BOTH(test_block_device),
		EACH(test_async_completes_later),
		EACH(test_async_short_reads),
		EACH(test_v13_head_twice_in_flight),
		EACH(test_more_requests_than_slots),
		EACH(test_v15_reset_waits_for_what_is_in_flight),
		EACH(test_v15_reset_after_completion),
		EACH(test_v15_reset_of_a_hung_disk),
		EACH(test_v15_reset_waits_without_the_lock),
		EACH(test_uring_takes_nothing),
		EACH(test_drain),
		EACH(test_completion_while_paused),
		EACH(test_unmap_that_is_written_is_charged),
		EACH(test_new_file_waits_for_the_old_one),
		EACH(test_new_file_and_more_requests_than_slots),
		EACH(test_no_uring_means_sync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
