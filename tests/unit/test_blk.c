// SPDX-License-Identifier: Apache-2.0
/*
 * test_blk.c - block device: what a driver asks and what it gets
 *
 * On real files, with both engines. What the host does wrong is in
 * test_blk_faults.c.
 */
#include "blk_rig.h"

#include "base/fd.h"

/* ---- data ---- */

static void test_reads_and_writes(void **state)
{
	struct rig rig;
	cleanup_free uint8_t *block = malloc(4096);

	rig_open(&rig, ENGINE(state));
	assert_int_equal(rig_request(&rig, T_IN, 3, 4096), S_OK);
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(rig_data(&rig)[i], 3 + i / SECTOR + 1);
	for (unsigned int i = 0; i < 4096; i++)
		rig_data(&rig)[i] = (uint8_t)(i * 7);
	assert_int_equal(rig_request(&rig, T_OUT, 8, 4096), S_OK);
	assert_int_equal(pread(rig.fd, block, 4096, 4096), 4096);
	assert_memory_equal(block, rig_data(&rig), 4096);
	assert_true(disk_is_original(rig.fd, 0, 8));
	assert_true(disk_is_original(rig.fd, 16, DISK_SECTORS - 16));
	rig_close(&rig);
}

static void test_used_length_counts_data_and_status(void **state)
{
	struct rig rig;
	const struct kit_buf in[] = {
		{.gpa = 0, .len = 16},
		{.gpa = 0, .len = 1024, .write = true},
		{.gpa = 0, .len = 1, .write = true},
	};
	struct kit_buf bufs[3];

	rig_open(&rig, ENGINE(state));
	memcpy(bufs, in, sizeof(bufs));
	bufs[0].gpa = rig.header;
	bufs[1].gpa = rig.data;
	bufs[2].gpa = rig.status;
	rig_put_header(&rig, T_IN, 0);
	assert_int_equal(rig_run(&rig, bufs, 3), 1025);
	bufs[1].write = false;
	rig_put_header(&rig, T_OUT, 0);
	assert_int_equal(rig_run(&rig, bufs, 3), 1);
	rig_put_header(&rig, T_OUT, DISK_SECTORS);
	assert_int_equal(rig_run(&rig, bufs, 3), 1);
	assert_int_equal(rig_status(&rig), S_IOERR);
	rig_close(&rig);
}

/* @total bytes of @gpa in buffers of @piece bytes, the last one shorter. */
static unsigned int cut(struct kit_buf *bufs, gpa_t gpa, uint32_t total,
			uint32_t piece, bool write)
{
	unsigned int nr = 0;

	for (uint32_t at = 0; at < total; at += piece)
		bufs[nr++] = (struct kit_buf){
			gpa + at, total - at < piece ? total - at : piece,
			write};
	return nr;
}

/* The header in 16 pieces, or with data behind it; odd pieces of data; the
 * status byte at the end of a data buffer. */
static void test_any_framing(void **state)
{
	static const uint32_t header_pieces[] = {1, 3, 15, 16};
	static const uint32_t data_pieces[] = {19, 511, 512, 513, 2048};
	cleanup_free struct kit_buf *bufs = calloc(256, sizeof(*bufs));
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	for (size_t h = 0; h < ARRAY_SIZE(header_pieces); h++) {
		for (size_t d = 0; d < ARRAY_SIZE(data_pieces); d++) {
			unsigned int nr;

			rig_put_header(&rig, T_IN, 5);
			memset(rig_data(&rig), 0, 2049);
			nr = cut(bufs, rig.header, 16, header_pieces[h], false);
			/* One byte more than the data: the status. */
			nr += cut(bufs + nr, rig.data, 2049, data_pieces[d],
				  true);
			assert_int_equal(rig_run(&rig, bufs, nr), 2049);
			assert_int_equal(rig_data(&rig)[2048], S_OK);
			for (unsigned int i = 0; i < 2048; i++)
				assert_int_equal(rig_data(&rig)[i],
						 5 + i / SECTOR + 1);
		}
	}
	rig_close(&rig);
}

static void test_write_with_header_and_data_in_one_buffer(void **state)
{
	struct rig rig;
	uint8_t block[SECTOR];

	rig_open(&rig, ENGINE(state));
	rig_put_header(&rig, T_OUT, 7);
	memcpy(rig_data(&rig), kit_hva(&rig.kit, rig.header, 16), 16);
	memset(rig_data(&rig) + 16, 0x5a, SECTOR);
	const struct kit_buf bufs[] = {
		{rig.data, 16 + SECTOR, false},
		{rig.status, 1, true},
	};

	assert_int_equal(rig_run(&rig, bufs, 2), 1);
	assert_int_equal(rig_status(&rig), S_OK);
	assert_int_equal(pread(rig.fd, block, SECTOR, 7L * SECTOR), SECTOR);
	for (unsigned int i = 0; i < SECTOR; i++)
		assert_int_equal(block[i], 0x5a);
	assert_true(disk_is_original(rig.fd, 0, 7));
	assert_true(disk_is_original(rig.fd, 8, 8));
	rig_close(&rig);
}

/* As many segments as seg_max says, and one more. */
static void test_most_segments(void **state)
{
	cleanup_free struct kit_buf *bufs = calloc(256, sizeof(*bufs));
	struct rig rig;
	uint32_t seg_max;

	rig_open(&rig, ENGINE(state));
	seg_max = (uint32_t)kit_config(&rig.kit, 12, 4);
	assert_in_range(seg_max, 126, 254);
	for (uint32_t extra = 0; extra < 2; extra++) {
		unsigned int nr = 0, segments = seg_max + extra;

		if (2 + segments > 256)
			break;
		bufs[nr++] = (struct kit_buf){rig.header, 16, false};
		for (unsigned int i = 0; i < segments; i++)
			bufs[nr++] = (struct kit_buf){rig.data + i * 64ull, 64,
						      true};
		bufs[nr++] = (struct kit_buf){rig.status, 1, true};
		/* Whole sectors. */
		bufs[nr - 2].len += (SECTOR - segments * 64 % SECTOR) % SECTOR;
		rig_put_header(&rig, T_IN, 0);
		(void)rig_run(&rig, bufs, nr);
		assert_int_equal(rig_status(&rig), extra ? S_IOERR : S_OK);
	}
	for (unsigned int i = 0; i < 64 * seg_max; i++)
		assert_int_equal(rig_data(&rig)[i], i / SECTOR + 1);
	rig_close(&rig);
}

static void test_indirect_and_many_at_once(void **state)
{
	enum { NR = 200 };
	struct rig rig;
	struct kit_used used;
	gpa_t base, header;

	rig_open(&rig, ENGINE(state));
	header = kit_alloc(&rig.kit, NR * 32ull);
	base = kit_alloc(&rig.kit, NR * (gpa_t)SECTOR);
	for (unsigned int i = 0; i < NR; i++) {
		gpa_t h = header + i * 32ull;
		uint8_t *p = kit_hva(&rig.kit, h, 32);
		const struct kit_buf bufs[] = {
			{h, 16, false},
			{base + i * (gpa_t)SECTOR, SECTOR, true},
			{h + 16, 1, true},
		};

		store_le32(p, T_IN);
		store_le64(p + 8, i % DISK_SECTORS);
		p[16] = S_NONE;
		(void)kit_add_indirect(&rig.kit, 0, bufs, 3);
	}
	kit_kick(&rig.kit, 0);
	for (unsigned int i = 0; i < NR; i++)
		assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_false(kit_used(&rig.kit, 0, &used));
	for (unsigned int i = 0; i < NR; i++) {
		uint8_t *p = kit_hva(&rig.kit, header + i * 32ull, 32);
		uint8_t *d = kit_hva(&rig.kit, base + i * (gpa_t)SECTOR, 512);

		assert_int_equal(p[16], S_OK);
		assert_int_equal(d[0], i % DISK_SECTORS + 1);
		assert_int_equal(d[511], i % DISK_SECTORS + 1);
	}
	rig_close(&rig);
}

/* ---- rules (security.md D6) ---- */

static void test_d6_sector_edges(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} table[] = {
		{0, SECTOR, S_OK},
		{0, DISK_BYTES, S_OK},
		{DISK_SECTORS - 1, SECTOR, S_OK},
		{0, DISK_BYTES + SECTOR, S_IOERR},
		{1, DISK_BYTES, S_IOERR},
		{DISK_SECTORS - 1, 2 * SECTOR, S_IOERR},
		{DISK_SECTORS, SECTOR, S_IOERR},
		{DISK_SECTORS + 1, SECTOR, S_IOERR},
		{1ull << 55, SECTOR, S_IOERR},
		{(1ull << 55) - 1, 2 * SECTOR, S_IOERR},
		{UINT64_MAX / SECTOR, SECTOR, S_IOERR},
		{UINT64_MAX - 1, 2 * SECTOR, S_IOERR},
		{UINT64_MAX, SECTOR, S_IOERR},
		{UINT64_MAX, 0, S_IOERR},
	};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(
			rig_request(&rig, T_IN, table[i].sector, table[i].len),
			table[i].status);
		/* What was read is written back: the disk stays as it is. */
		if (table[i].status == S_OK)
			assert_int_equal(rig_request(&rig, T_OUT,
						     table[i].sector,
						     table[i].len),
					 S_OK);
		else
			assert_int_equal(rig_request(&rig, T_OUT,
						     table[i].sector,
						     table[i].len),
					 S_IOERR);
	}
	/* Refused by us, not by the kernel. */
	assert_int_equal(blk_counters(rig.blk)->execute_fails, 0);
	assert_true(disk_is_original(rig.fd, 0, DISK_SECTORS));
	rig_close(&rig);
}

static void test_d6_lengths(void **state)
{
	static const uint32_t lengths[] = {0, 1, 511, 513, 1023, 4095};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	memset(rig_data(&rig), 0x77, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		assert_int_equal(rig_request(&rig, T_OUT, 0, lengths[i]),
				 S_IOERR);
		assert_int_equal(rig_request(&rig, T_IN, 0, lengths[i]),
				 S_IOERR);
	}
	for (unsigned int i = 0; i < 4096; i++)
		assert_int_equal(rig_data(&rig)[i], 0x77);
	assert_true(disk_is_original(rig.fd, 0, 8));
	rig_close(&rig);
}

/* Chains that lack a part of a request. */
static void test_d6_head_only_chains(void **state)
{
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	const struct kit_buf head[] = {{rig.header, 16, false}};
	const struct kit_buf head_data[] = {{rig.header, 16, false},
					    {rig.data, 512, false}};
	const struct kit_buf only_status[] = {{rig.status, 1, true}};
	const struct kit_buf empty_status[] = {{rig.header, 16, false},
					       {rig.status, 0, true}};
	const struct kit_buf short_head[] = {{rig.header, 15, false},
					     {rig.status, 1, true}};
	const struct kit_buf no_data[] = {{rig.header, 16, false},
					  {rig.status, 1, true}};

	rig_put_header(&rig, T_OUT, 0);
	assert_int_equal(rig_run(&rig, head, 1), 0);
	assert_int_equal(rig_run(&rig, head_data, 2), 0);
	assert_int_equal(rig_run(&rig, empty_status, 2), 0);
	assert_int_equal(rig_status(&rig), S_NONE);
	assert_int_equal(rig_run(&rig, only_status, 1), 1);
	assert_int_equal(rig_status(&rig), S_IOERR);
	rig_put_header(&rig, T_OUT, 0);
	assert_int_equal(rig_run(&rig, short_head, 2), 1);
	assert_int_equal(rig_status(&rig), S_IOERR);
	rig_put_header(&rig, T_IN, 0);
	assert_int_equal(rig_run(&rig, no_data, 2), 1);
	assert_int_equal(rig_status(&rig), S_IOERR);
	assert_true(disk_is_original(rig.fd, 0, 1));
	/* And the device goes on. */
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	rig_close(&rig);
}

static void test_v8_wrong_direction(void **state)
{
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	const struct kit_buf in_out[] = {{rig.header, 16, false},
					 {rig.data, 512, false},
					 {rig.data + 512, 512, true},
					 {rig.status, 1, true}};

	rig_put_header(&rig, T_IN, 0);
	(void)rig_run(&rig, in_out, 4);
	assert_int_equal(rig_status(&rig), S_IOERR);
	rig_put_header(&rig, T_OUT, 0);
	(void)rig_run(&rig, in_out, 4);
	assert_int_equal(rig_status(&rig), S_IOERR);
	assert_true(disk_is_original(rig.fd, 0, 1));
	rig_close(&rig);
}

static void test_d6_unknown_types(void **state)
{
	static const uint32_t types[] = {T_SCSI,         3,  5,  T_LIFETIME,
					 T_SECURE_ERASE, 15, 16, UINT32_MAX};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(rig_request(&rig, types[i], 0, SECTOR),
				 S_UNSUPP);
	rig_close(&rig);
}

static void test_get_id(void **state)
{
	static const char want[20] = "rootfs";
	struct kit_buf bufs[32];
	unsigned int nr;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	memset(rig_data(&rig), 0x55, 64);
	assert_int_equal(rig_request(&rig, T_GET_ID, 0, 20), S_OK);
	assert_memory_equal(rig_data(&rig), want, 20);
	assert_int_equal(rig_data(&rig)[20], 0x55);
	/* Too short a buffer is not written to. */
	memset(rig_data(&rig), 0x55, 64);
	assert_int_equal(rig_request(&rig, T_GET_ID, 0, 19), S_IOERR);
	assert_int_equal(rig_data(&rig)[0], 0x55);
	assert_int_equal(rig_request(&rig, T_GET_ID, 0, 40), S_OK);
	assert_memory_equal(rig_data(&rig), want, 20);
	assert_int_equal(rig_data(&rig)[20], 0x55);
	/* In pieces. */
	rig_put_header(&rig, T_GET_ID, UINT64_MAX);
	bufs[0] = (struct kit_buf){rig.header, 16, false};
	nr = 1 + cut(bufs + 1, rig.data, 20, 3, true);
	bufs[nr++] = (struct kit_buf){rig.status, 1, true};
	assert_int_equal(rig_run(&rig, bufs, nr), 21);
	assert_memory_equal(rig_data(&rig), want, 20);
	rig_close(&rig);
}

/* ---- features and config space ---- */

static void test_config_space(void **state)
{
	struct rig rig;
	uint64_t offered;

	rig_open(&rig, ENGINE(state));
	offered = kit_offered(&rig.kit);
	assert_int_equal(kit_read(&rig.kit, KIT_DEVICE_ID), 2);
	assert_int_equal(kit_config(&rig.kit, 0, 8), DISK_SECTORS);
	assert_int_equal(kit_config(&rig.kit, 20, 4), SECTOR); /* blk_size */
	assert_int_equal(kit_config(&rig.kit, 24, 1), 3);      /* 4 KiB */
	assert_true(offered & F_DISCARD && offered & F_WRITE_ZEROES);
	assert_true(offered & F_FLUSH);
	assert_false(offered & F_RO);
	assert_int_equal(kit_config(&rig.kit, 40, 4), 1); /* max_discard_seg */
	assert_int_equal(kit_config(&rig.kit, 52, 4), 1);
	assert_int_equal(kit_config(&rig.kit, 56, 1), 1); /* may_unmap */
	/* Behind the end there is nothing. */
	assert_int_equal(kit_config(&rig.kit, 60, 4), 0);
	assert_int_equal(kit_config(&rig.kit, 56, 8), 0);
	kit_set_config(&rig.kit, 0, 1, 8);
	assert_int_equal(kit_config(&rig.kit, 0, 8), DISK_SECTORS);
	rig_close(&rig);
}

/* drives.discard of the API, when it is false. */
static void test_no_discard(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_begin(&rig, scratch_file(".", DISK_BYTES));
	params = rig_params(&rig, ENGINE(state));
	params.no_discard = true;
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	assert_false(kit_offered(&rig.kit) & (F_DISCARD | F_WRITE_ZEROES));
	assert_int_equal(kit_config(&rig.kit, 36, 4), 0); /* max sectors */
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_range(&rig, T_DISCARD, 0, 8, 0), S_UNSUPP);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 8, 0), S_UNSUPP);
	assert_true(disk_is_original(rig.fd, 0, DISK_SECTORS));
	assert_int_equal(rig_request(&rig, T_OUT, 0, SECTOR), S_OK);
	rig_close(&rig);
}

static void test_read_only(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_begin(&rig, scratch_file(".", DISK_BYTES));
	params = rig_params(&rig, ENGINE(state));
	params.read_only = true;
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	assert_true(kit_offered(&rig.kit) & F_RO);
	assert_false(kit_offered(&rig.kit) & (F_DISCARD | F_WRITE_ZEROES));
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	memset(rig_data(&rig), 0, SECTOR);
	assert_int_equal(rig_request(&rig, T_OUT, 0, SECTOR), S_IOERR);
	assert_int_equal(rig_range(&rig, T_DISCARD, 0, 8, 0), S_UNSUPP);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 8, 0), S_UNSUPP);
	assert_true(disk_is_original(rig.fd, 0, DISK_SECTORS));
	rig_close(&rig);
}

static void test_flush_only_when_it_means_something(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	rig_close(&rig);
	rig_begin(&rig, scratch_file(".", DISK_BYTES));
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	assert_false(kit_offered(&rig.kit) & F_FLUSH);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_UNSUPP);
	rig_close(&rig);
}

static void test_partial_sector_is_out_of_reach(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_begin(&rig, scratch_file(".", 4ul * SECTOR));
	assert_int_equal(ftruncate(rig.fd, 3 * SECTOR + 511), 0);
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	assert_int_equal(kit_config(&rig.kit, 0, 8), 3);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_request(&rig, T_IN, 2, SECTOR), S_OK);
	assert_int_equal(rig_request(&rig, T_IN, 3, SECTOR), S_IOERR);
	rig_close(&rig);
}

/* D7: what the guest writes is data, whatever it looks like. */
static void test_d7_raw_stays_raw(void **state)
{
	static const uint8_t qcow2[32] = {'Q', 'F', 'I', 0xfb, 0, 0, 0,
					  3,   0,   0,   0,    0, 0, 0,
					  0,   104, 0,   0,    0, 11};
	struct blk_params params;
	struct rig rig;
	int fd;

	rig_open(&rig, ENGINE(state));
	memcpy(rig_data(&rig), qcow2, sizeof(qcow2));
	memcpy(rig_data(&rig) + 104, "/etc/passwd", 11);
	assert_int_equal(rig_request(&rig, T_OUT, 0, SECTOR), S_OK);
	fd = dup(rig.fd);
	rig_close(&rig);
	rig_begin(&rig, fd);
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(kit_config(&rig.kit, 0, 8), DISK_SECTORS);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	assert_memory_equal(rig_data(&rig), qcow2, sizeof(qcow2));
	assert_memory_equal(rig_data(&rig) + 104, "/etc/passwd", 11);
	assert_int_equal(rig_request(&rig, T_IN, 1, SECTOR), S_OK);
	assert_int_equal(rig_data(&rig)[0], 2);
	rig_close(&rig);
}

/* ---- discard and write zeroes ---- */

static uint64_t allocated(int fd)
{
	struct stat st;

	assert_int_equal(fsync(fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks;
}

static void test_discard_gives_space_back(void **state)
{
	struct rig rig;
	uint64_t before;

	rig_open(&rig, ENGINE(state));
	before = allocated(rig.fd);
	assert_int_equal(rig_range(&rig, T_DISCARD, 8, 64, 0), S_OK);
	assert_true(allocated(rig.fd) < before);
	assert_true(disk_is_zero(rig.fd, 8, 64));
	assert_true(disk_is_original(rig.fd, 0, 8));
	assert_true(disk_is_original(rig.fd, 72, DISK_SECTORS - 72));
	rig_close(&rig);
}

static void test_write_zeroes(void **state)
{
	struct rig rig;
	uint64_t before;

	rig_open(&rig, ENGINE(state));
	before = allocated(rig.fd);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 3, 13, 0), S_OK);
	assert_true(disk_is_zero(rig.fd, 3, 13));
	assert_int_equal(allocated(rig.fd), before);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 16, 64, 1), S_OK);
	assert_true(disk_is_zero(rig.fd, 16, 64));
	assert_true(allocated(rig.fd) < before);
	assert_true(disk_is_original(rig.fd, 0, 3));
	assert_true(disk_is_original(rig.fd, 80, DISK_SECTORS - 80));
	rig_close(&rig);
}

/* tmpfs knows no ZERO_RANGE: zeroes are written. */
static void test_write_zeroes_on_tmpfs(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_begin(&rig, scratch_file("/dev/shm", DISK_BYTES));
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 1, 99, 0), S_OK);
	assert_true(disk_is_zero(rig.fd, 1, 99));
	assert_true(disk_is_original(rig.fd, 0, 1));
	assert_true(disk_is_original(rig.fd, 100, DISK_SECTORS - 100));
	assert_int_equal(rig_range(&rig, T_DISCARD, 100, 28, 0), S_OK);
	assert_true(disk_is_zero(rig.fd, 100, 28));
	rig_close(&rig);
}

static void test_d6_range_edges(void **state)
{
	static const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t sectors;
		uint32_t flags;
		uint8_t status;
	} table[] = {
		{T_DISCARD, 0, 0, 0, S_IOERR},
		{T_DISCARD, DISK_SECTORS, 1, 0, S_IOERR},
		{T_DISCARD, DISK_SECTORS - 1, 2, 0, S_IOERR},
		{T_DISCARD, 0, DISK_SECTORS + 1, 0, S_IOERR},
		{T_DISCARD, 0, UINT32_MAX, 0, S_IOERR},
		{T_DISCARD, 1ull << 55, 8, 0, S_IOERR},
		{T_DISCARD, UINT64_MAX, 1, 0, S_IOERR},
		{T_DISCARD, UINT64_MAX - 7, 8, 0, S_IOERR},
		{T_DISCARD, 0, 8, 1, S_UNSUPP}, /* no unmap flag here */
		{T_DISCARD, 0, 8, 2, S_UNSUPP},
		{T_WRITE_ZEROES, 0, 0, 0, S_IOERR},
		{T_WRITE_ZEROES, DISK_SECTORS, 1, 1, S_IOERR},
		{T_WRITE_ZEROES, 1, DISK_SECTORS, 0, S_IOERR},
		{T_WRITE_ZEROES, 0, UINT32_MAX, 0, S_IOERR},
		{T_WRITE_ZEROES, UINT64_MAX, 1, 0, S_IOERR},
		{T_WRITE_ZEROES, 1ull << 55, 8, 1, S_IOERR},
		{T_WRITE_ZEROES, 0, 8, 2, S_UNSUPP},
		{T_WRITE_ZEROES, 0, 8, 0x80000001, S_UNSUPP},
	};
	static const uint32_t lengths[] = {0, 1, 15, 17, 32, 512};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(rig_range(&rig, table[i].type, table[i].sector,
					   table[i].sectors, table[i].flags),
				 table[i].status);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		assert_int_equal(rig_request(&rig, T_DISCARD, 0, lengths[i]),
				 S_IOERR);
	assert_int_equal(blk_counters(rig.blk)->execute_fails, 0);
	assert_true(disk_is_original(rig.fd, 0, DISK_SECTORS));
	rig_close(&rig);
}

static void test_range_not_negotiated(void **state)
{
	struct blk_params params;
	struct rig rig;

	rig_begin(&rig, scratch_file(".", DISK_BYTES));
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	kit_start(&rig.kit, 0, 256);
	assert_int_equal(rig_range(&rig, T_DISCARD, 0, 8, 0), S_UNSUPP);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 8, 0), S_UNSUPP);
	assert_true(disk_is_original(rig.fd, 0, 8));
	rig_close(&rig);
}

/* ---- limits ---- */

static void test_limiter_holds_back_and_lets_go(void **state)
{
	enum { NR = 20 };
	struct rate_limiter *limiter;
	struct kit_used used;
	unsigned int done = 0;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	limiter = blk_limiter(rig.blk);
	token_bucket_init(&limiter->ops, 5, 0, 3600000, now_ns());
	rig_put_header(&rig, T_IN, 0);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},
		{rig.data, SECTOR, true},
		{rig.status, 1, true},
	};

	for (unsigned int i = 0; i < NR; i++)
		(void)kit_add(&rig.kit, 0, bufs, 3);
	kit_kick(&rig.kit, 0);
	while (done < 5) {
		assert_true(kit_wait_used(&rig.kit, 0, &used));
		done++;
	}
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	/* What is refused does not count, and other kicks change nothing. */
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	assert_int_equal(blk_counters(rig.blk)->read_count, 5);
	assert_true(blk_counters(rig.blk)->rate_limiter_throttled_events > 0);
	/* A reset in between takes the limit with it as little. */
	virtio_dev_enter(blk_dev(rig.blk));
	token_bucket_init(&limiter->ops, 0, 0, 0, now_ns());
	rate_limiter_changed(limiter);
	virtio_dev_leave(blk_dev(rig.blk));
	while (done < NR) {
		assert_true(kit_wait_used(&rig.kit, 0, &used));
		done++;
	}
	assert_int_equal(blk_counters(rig.blk)->read_count, NR);
	rig_close(&rig);
}

/* A driver that asks nonsense, or for the name, is an operation each time. */
static void test_limiter_counts_every_request(void **state)
{
	struct token_bucket *ops;
	struct kit_used used;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	const struct kit_buf statusless = {rig.header, 16, false};

	ops = &blk_limiter(rig.blk)->ops;
	token_bucket_init(ops, 4, 0, 3600000, now_ns());
	assert_int_equal(rig_request(&rig, T_GET_ID, 0, 20), S_OK);
	assert_int_equal(rig_request(&rig, T_LIFETIME, 0, 0), S_UNSUPP);
	assert_int_equal(rig_request(&rig, T_IN, DISK_SECTORS, SECTOR),
			 S_IOERR);
	assert_int_equal(rig_run(&rig, &statusless, 1), 0);
	assert_int_equal(ops->tokens, 0);
	for (unsigned int i = 0; i < 2; i++) {
		(void)kit_add(&rig.kit, 0, &statusless, 1);
		kit_kick(&rig.kit, 0);
		kit_pump(&rig.kit);
		assert_false(kit_used(&rig.kit, 0, &used));
	}
	assert_int_equal(blk_counters(rig.blk)->invalid_reqs_count, 3);
	token_bucket_init(ops, 0, 0, 0, now_ns());
	rate_limiter_changed(blk_limiter(rig.blk));
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_true(kit_wait_used(&rig.kit, 0, &used));
	assert_int_equal(blk_counters(rig.blk)->invalid_reqs_count, 5);
	rig_close(&rig);
}

static void test_limiter_bytes(void **state)
{
	struct rate_limiter *limiter;
	struct kit_used used;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	limiter = blk_limiter(rig.blk);
	token_bucket_init(&limiter->bandwidth, 1024, 512, 3600000, now_ns());
	assert_int_equal(rig_request(&rig, T_IN, 0, 512), S_OK);
	assert_int_equal(rig_request(&rig, T_IN, 0, 512), S_OK);
	assert_int_equal(rig_request(&rig, T_FLUSH, 0, 0), S_OK);
	assert_int_equal(rig_request(&rig, T_IN, 0, 512), S_OK);
	rig_put_header(&rig, T_IN, 0);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},
		{rig.data, SECTOR, true},
		{rig.status, 1, true},
	};

	(void)kit_add(&rig.kit, 0, bufs, 3);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	/* With the request held back, the driver may still reset. */
	kit_write(&rig.kit, KIT_STATUS, 0);
	assert_int_equal(kit_read(&rig.kit, KIT_STATUS), 0);
	rig_close(&rig);
}

/* Zeroes that are written count as what they are; holes are free. */
static void test_limiter_counts_written_zeroes(void **state)
{
	struct kit_used used;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	token_bucket_init(&blk_limiter(rig.blk)->bandwidth, 8192, 0, 3600000,
			  now_ns());
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 16, 1), S_OK);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 16, 1), S_OK);
	assert_int_equal(rig_range(&rig, T_WRITE_ZEROES, 0, 16, 0), S_OK);
	rig_put_header(&rig, T_IN, 0);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},
		{rig.data, SECTOR, true},
		{rig.status, 1, true},
	};

	(void)kit_add(&rig.kit, 0, bufs, 3);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_false(kit_used(&rig.kit, 0, &used));
	rig_close(&rig);
}

static long resident_pages(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	char line[128];
	char *size;

	assert_non_null(statm);
	assert_non_null(fgets(line, sizeof(line), statm));
	(void)fclose(statm);
	size = strchr(line, ' ');
	assert_non_null(size);
	return strtol(size, NULL, 10);
}

/* V16: what is not reaped does not pile up. */
static void test_v16_submits_without_reaping(void **state)
{
	struct rig rig;
	long pages[2];

	rig_open(&rig, ENGINE(state));
	rig_put_header(&rig, T_IN, 0);
	const struct kit_buf bufs[] = {
		{rig.header, 16, false},
		{rig.data, SECTOR, true},
		{rig.status, 1, true},
	};

	for (unsigned int round = 0; round < 400; round++) {
		for (unsigned int i = 0; i < 250; i++)
			(void)kit_add(&rig.kit, 0, bufs, 3);
		kit_kick(&rig.kit, 0);
		kit_pump(&rig.kit);
		if (round == 20 || round == 399)
			pages[round > 20] = resident_pages();
	}
	assert_true(pages[1] - pages[0] < 256);
	rig_close(&rig);
}

/* ---- another file ---- */

static void test_placeholder_and_new_file(void **state)
{
	struct blk_params params;
	struct block_file file;
	uint32_t generation;
	struct rig rig;
	int fd = scratch_file(".", DISK_BYTES);

	rig_begin(&rig, scratch_file(".", 0));
	params = rig_params(&rig, ENGINE(state));
	assert_int_equal(block_file_init(&params.file, rig.fd), 0);
	rig_make(&rig, &params);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(kit_config(&rig.kit, 0, 8), 0);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_IOERR);
	generation = kit_read(&rig.kit, KIT_CONFIG_GENERATION);
	kit_write(&rig.kit, KIT_INTERRUPT_ACK, 3);
	(void)kit_irqs(&rig.kit);
	assert_int_equal(block_file_init(&file, fd), 0);
	assert_int_equal(blk_set_file(rig.blk, &file), 0);
	assert_int_equal(kit_config(&rig.kit, 0, 8), DISK_SECTORS);
	assert_int_equal(kit_read(&rig.kit, KIT_INTERRUPT_STATUS), 2);
	assert_int_equal(kit_irqs(&rig.kit), 1);
	assert_int_not_equal(kit_read(&rig.kit, KIT_CONFIG_GENERATION),
			     generation);
	assert_int_equal(rig_request(&rig, T_IN, DISK_SECTORS - 1, SECTOR),
			 S_OK);
	assert_int_equal(rig_data(&rig)[0], DISK_SECTORS);
	/* Smaller: what was there is gone. */
	assert_int_equal(ftruncate(fd, 2L * SECTOR), 0);
	assert_int_equal(block_file_init(&file, fd), 0);
	assert_int_equal(blk_set_file(rig.blk, &file), 0);
	assert_int_equal(rig_request(&rig, T_IN, 2, SECTOR), S_IOERR);
	assert_int_equal(rig_request(&rig, T_IN, 1, SECTOR), S_OK);
	rig_close(&rig);
	(void)close(fd);
}

static void test_reset_and_start_again(void **state)
{
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(rig_request(&rig, T_IN, i, SECTOR), S_OK);
		assert_int_equal(rig_data(&rig)[0], i + 1);
		kit_write(&rig.kit, KIT_STATUS, 0);
		assert_int_equal(kit_read(&rig.kit, KIT_STATUS), 0);
		kit_start(&rig.kit, i % 2 ? kit_offered(&rig.kit) : F_DISCARD,
			  16);
	}
	rig_close(&rig);
}

/* A ring that makes no sense: the device asks for a reset, then works. */
static void test_v3_broken_ring(void **state)
{
	struct kit_used used;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	kit_put16(&rig.kit, rig.kit.queue[0].avail + 2, 40000);
	kit_kick(&rig.kit, 0);
	kit_pump(&rig.kit);
	assert_true(kit_read(&rig.kit, KIT_STATUS) & VIRTIO_STATUS_NEEDS_RESET);
	assert_false(kit_used(&rig.kit, 0, &used));
	kit_write(&rig.kit, KIT_STATUS, 0);
	kit_start(&rig.kit, kit_offered(&rig.kit), 256);
	assert_int_equal(rig_request(&rig, T_IN, 0, SECTOR), S_OK);
	rig_close(&rig);
}

static void test_saved_size_that_differs_is_told(void **state)
{
	struct {
		uint64_t sectors;
	} saved;
	const struct virtio_dev_ops *ops;
	struct err err = {0};
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	ops = rig.kit.dev->ops;
	assert_int_equal(ops->state->size, sizeof(saved));
	ops->save(rig.kit.dev, &saved);
	assert_int_equal(saved.sectors, DISK_SECTORS);
	virtio_dev_pause(rig.kit.dev);
	assert_int_equal(ops->load(rig.kit.dev, &saved, &err), 0);
	kit_write(&rig.kit, KIT_INTERRUPT_ACK, 3);
	virtio_dev_resume(rig.kit.dev);
	assert_int_equal(kit_read(&rig.kit, KIT_INTERRUPT_STATUS), 0);
	saved.sectors = 7;
	virtio_dev_pause(rig.kit.dev);
	assert_int_equal(ops->load(rig.kit.dev, &saved, &err), 0);
	virtio_dev_resume(rig.kit.dev);
	assert_int_equal(kit_read(&rig.kit, KIT_INTERRUPT_STATUS), 2);
	rig_close(&rig);
}

/* Counters have Firecracker's names and are all in the group. */
static void test_counters(void **state)
{
	struct blk_counters *c;
	struct rig rig;

	rig_open(&rig, ENGINE(state));
	c = blk_counters(rig.blk);
	(void)rig_request(&rig, T_IN, 0, 1024);
	(void)rig_request(&rig, T_OUT, 0, 512);
	(void)rig_request(&rig, T_FLUSH, 0, 0);
	(void)rig_request(&rig, T_SCSI, 0, 0);
	assert_int_equal(c->read_count, 1);
	assert_int_equal(c->read_bytes, 1024);
	assert_int_equal(c->write_count, 1);
	assert_int_equal(c->write_bytes, 512);
	assert_int_equal(c->flush_count, 1);
	assert_int_equal(c->invalid_reqs_count, 1);
	assert_int_equal(c->execute_fails, 0);
	assert_true(c->queue_event_count >= 4);
	rig_close(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_reads_and_writes),
		BOTH(test_used_length_counts_data_and_status),
		BOTH(test_any_framing),
		BOTH(test_write_with_header_and_data_in_one_buffer),
		BOTH(test_most_segments),
		BOTH(test_indirect_and_many_at_once),
		BOTH(test_d6_sector_edges),
		BOTH(test_d6_lengths),
		BOTH(test_d6_head_only_chains),
		BOTH(test_v8_wrong_direction),
		BOTH(test_d6_unknown_types),
		BOTH(test_get_id),
		BOTH(test_config_space),
		BOTH(test_read_only),
		BOTH(test_no_discard),
		BOTH(test_flush_only_when_it_means_something),
		BOTH(test_partial_sector_is_out_of_reach),
		BOTH(test_d7_raw_stays_raw),
		BOTH(test_discard_gives_space_back),
		BOTH(test_write_zeroes),
		BOTH(test_write_zeroes_on_tmpfs),
		BOTH(test_d6_range_edges),
		BOTH(test_range_not_negotiated),
		BOTH(test_limiter_holds_back_and_lets_go),
		BOTH(test_limiter_counts_every_request),
		BOTH(test_limiter_bytes),
		BOTH(test_limiter_counts_written_zeroes),
		BOTH(test_v16_submits_without_reaping),
		BOTH(test_placeholder_and_new_file),
		BOTH(test_reset_and_start_again),
		BOTH(test_v3_broken_ring),
		BOTH(test_saved_size_that_differs_is_told),
		BOTH(test_counters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
