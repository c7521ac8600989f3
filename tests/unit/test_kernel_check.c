// SPDX-License-Identifier: Apache-2.0
/*
 * test_kernel_check.c - what a kernel drives, and whether it gets to its root
 */
#include "unit.h"

#include "kernel/check.h"
#include "kernel/drives.h"

#include <string.h>

static void what_a_kernel_drives(void **state)
{
	static const char text[] = "CONFIG_SERIAL_8250_CONSOLE=y\n"
				   "CONFIG_VIRTIO_MMIO=m\n"
				   "CONFIG_VIRTIO_BLK=m\n"
				   "CONFIG_X86_MPPARSE=y\n";
	struct buf config = {0}, none = {0};
	struct module have = {.name = "virtio_mmio"};
	struct modules modules = {.nr = 1, .list = &have};

	(void)state;
	buf_add_str(&config, text);
#define STATE(id) drives_judge(DRIVES_##id, &config, &modules)
	assert_int_equal(STATE(CONSOLE), DRIVES_BUILT_IN);
	assert_int_equal(STATE(BUS), DRIVES_MODULE);
	assert_int_equal(STATE(DISK), DRIVES_MODULE_LOST);
	assert_int_equal(STATE(INTERRUPTS), DRIVES_BUILT_IN);
	assert_int_equal(STATE(FIND), DRIVES_NOT);
	assert_int_equal(drives_judge(DRIVES_BUS, &none, &modules),
			 DRIVES_UNKNOWN);
#undef STATE
	assert_string_equal(drives_meaning(DRIVES_BUS, DRIVES_BUILT_IN), "");
	assert_string_equal(drives_meaning(DRIVES_BUS, DRIVES_NOT),
			    drives_table[DRIVES_BUS].without);
	assert_string_equal(drives_meaning(DRIVES_BUS, DRIVES_MODULE_LOST),
			    drives_table[DRIVES_BUS].without);
	assert_non_null(strstr(drives_meaning(DRIVES_BUS, DRIVES_MODULE),
			       "`volt run` loads it"));
	assert_non_null(strstr(drives_meaning(DRIVES_ENTROPY, DRIVES_MODULE),
			       "programs of its root load it"));
	for (unsigned int i = 0; i < DRIVES_COUNT; i++)
		assert_true(drives_table[i].what && drives_table[i].without &&
			    drives_table[i].options[0]);
	buf_free(&config);
}

static void root_file_systems(void **state)
{
	static uint8_t head[ROOTFS_BYTES];

	(void)state;
	assert_int_equal(rootfs_of(head, sizeof(head)), ROOTFS_UNKNOWN);
	memcpy(head + 0x1fe, "\x55\xaa", 2);
	assert_int_equal(rootfs_of(head, sizeof(head)), ROOTFS_PARTITIONS);
	memcpy(head + 0x438, "\x53\xef", 2);
	assert_int_equal(rootfs_of(head, sizeof(head)), ROOTFS_EXT4);
	assert_int_equal(rootfs_of(head, 0x439), ROOTFS_PARTITIONS);
	assert_string_equal(rootfs_name(ROOTFS_EXT4), "ext4");
	memcpy(head, "hsqs", 4);
	memset(head + 0x1fe, 0, 0x300);
	assert_int_equal(rootfs_of(head, sizeof(head)), ROOTFS_SQUASHFS);
	assert_int_equal(rootfs_of(head, 3), ROOTFS_UNKNOWN);
	assert_null(rootfs_name(ROOTFS_UNKNOWN));
	assert_null(rootfs_name(ROOTFS_PARTITIONS));
}

/* Options of a kernel, one row a line; "=" as in a .config. */
#define GOOD                                            \
	"CONFIG_ACPI=y\nCONFIG_SERIAL_8250_CONSOLE=y\n" \
	"CONFIG_KVM_GUEST=y\nCONFIG_DEVTMPFS=y\n"       \
	"CONFIG_KEYBOARD_ATKBD=y\nCONFIG_BLK_DEV_INITRD=y\n"

static void verdicts(void **state)
{
	static struct module have[] = {{.name = "virtio_mmio"},
				       {.name = "virtio_blk"}};
	const struct modules with = {.nr = 2, .list = have}, none = {0};
	static const struct {
		const char *config;
		bool has_modules;
		struct check_wish wish;
		unsigned int needed;
		unsigned int all;
	} cases[] = {
		{GOOD, false, {0}, 0, 0},
		{GOOD, false, {.initrd = true}, 0, 0},
		/* No driver at all: bus, disk, file system. */
		{GOOD, false, {.disk = true, .rootfs = ROOTFS_EXT4}, 3, 3},
		{GOOD "CONFIG_VIRTIO_MMIO=y\nCONFIG_VIRTIO_BLK=y\n"
		      "CONFIG_EXT4_FS=y\n",
		 false,
		 {.disk = true, .rootfs = ROOTFS_EXT4},
		 0,
		 0},
		/* Modules, in the store and not. */
		{GOOD "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n"
		      "CONFIG_EXT4_FS=y\n",
		 true,
		 {.disk = true, .rootfs = ROOTFS_EXT4},
		 0,
		 0},
		{GOOD "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n"
		      "CONFIG_EXT4_FS=y\n",
		 false,
		 {.disk = true, .rootfs = ROOTFS_EXT4},
		 2,
		 2},
		/* The user's initrd brings them. */
		{GOOD "CONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_NET=m\n",
		 false,
		 {.initrd = true, .net = true},
		 0,
		 2},
		{GOOD "CONFIG_VIRTIO_MMIO=y\n",
		 false,
		 {.initrd = true, .vsock = true},
		 1,
		 1},
		/* Neither ACPI nor an MP table; what is only better. */
		{"CONFIG_VIRTIO_MMIO=y\n", false, {0}, 1, 6},
		{"CONFIG_X86_MPPARSE=y\n", false, {0}, 0, 5},
		/* Modules, and no initrd to bring them. */
		{"CONFIG_ACPI=y\nCONFIG_VIRTIO_MMIO=m\nCONFIG_VIRTIO_BLK=m\n",
		 true,
		 {.disk = true},
		 1,
		 5},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf config = {0};
		struct check check;

		buf_add_str(&config, cases[i].config);
		check_kernel(&config, cases[i].has_modules ? &with : &none,
			     &cases[i].wish, &check);
		if (check.nr_needed != cases[i].needed ||
		    check.nr != cases[i].all)
			fail_msg("case %zu: %u needed of %u", i,
				 check.nr_needed, check.nr);
		buf_free(&config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_kernel_drives),
		cmocka_unit_test(root_file_systems),
		cmocka_unit_test(verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
