// SPDX-License-Identifier: Apache-2.0
/*
 * test_cmdline.c - the kernel command line: order, init's part, the limit
 */
#include "unit.h"

#include <errno.h>

#include "boot/cmdline.h"

static void append_keeps_init_part(void **state)
{
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{"", "x=1"},
		{"quiet", "quiet x=1"},
		{"quiet -- single", "quiet x=1 -- single"},
		{"quiet --", "quiet x=1 --"},
		{"-- single", "x=1 -- single"},
		{"--", "x=1 --"},
		{"a--b", "a--b x=1"},
		{"a --b c", "a --b c x=1"},
		{"a --- b", "a --- b x=1"},
		{"a --- -- b", "a --- x=1 -- b"},
		{"a\n\tb\xc3\xa9", "a\n\tb\xc3\xa9 x=1"},
	};
	struct cmdline c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(cmdline_set(&c, rows[i].text), 0);
		assert_int_equal(cmdline_append(&c, "x=1"), 0);
		assert_string_equal(c.text, rows[i].want);
		assert_int_equal(c.len, strlen(rows[i].want));
	}
}

static void words_as_the_kernel_takes_them(void **state)
{
	static const struct {
		const char *text;
		bool has;
	} rows[] = {
		{"", false},
		{"pci=off", true},
		{"pci=nomsi,noaer quiet", true},
		{"quiet pci=", true},
		{"a\tpci=off", true},
		{"a\npci=off", true},
		{"\"pci=off\" a", true},
		{"a=\"b c\" pci=off", true},
		{"pci", false},
		{"pci off", false},
		{"pcie=off", false},
		{"xpci=off", false},
		{"x.pci=off", false},
		{"PCI=off", false},
		{"a=pci=off", false},
		{"a=\"b pci=off\"", false},
		{"a=\"b pci=off", false},
		{"-- pci=off", false},
		{"quiet -- pci=off", false},
		{"pci=off -- quiet", true},
	};
	struct cmdline c;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(cmdline_set(&c, rows[i].text), 0);
		if (cmdline_has(&c, "pci=") != rows[i].has)
			fail_msg("%s", rows[i].text);
	}
}

/* H1: command line at the limit. */
static void h1_limit_is_2048_with_nul(void **state)
{
	static char text[2050];
	struct cmdline c;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[2047] = '\0';
	assert_int_equal(cmdline_set(&c, text), 0);
	assert_int_equal(c.len, 2047);
	assert_int_equal(cmdline_append(&c, ""), -E2BIG);
	text[2047] = 'x';
	text[2048] = '\0';
	assert_int_equal(cmdline_set(&c, text), -E2BIG);
	assert_int_equal(c.len, 2047);

	text[2040] = '\0';
	assert_int_equal(cmdline_set(&c, text), 0);
	assert_int_equal(cmdline_append(&c, "1234567"), -E2BIG);
	assert_int_equal(c.len, 2040);
	assert_string_equal(c.text, text);
	assert_int_equal(cmdline_append(&c, "123456"), 0);
	assert_int_equal(strlen(c.text), 2047);
	assert_int_equal(c.len, 2047);
}

static void devices_in_order(void **state)
{
	struct boot_platform plat = {.nr_virtio = LAYOUT_VIRTIO_MAX};
	struct cmdline c;

	(void)state;
	for (unsigned int i = 0; i < LAYOUT_VIRTIO_MAX; i++)
		plat.virtio[i] = (struct boot_virtio){
			.base = layout_virtio_base(i),
			.acpi_base = layout_virtio_acpi_base(i),
			.len = LAYOUT_VIRTIO_STRIDE,
			.gsi = layout_virtio_gsi(i),
		};
	assert_int_equal(cmdline_set(&c, "a -- b"), 0);
	assert_int_equal(cmdline_append_devices(&c, &plat), 0);
	assert_memory_equal(c.text,
			    "a virtio_mmio.device=4K@0xd0000000:5 "
			    "virtio_mmio.device=4K@0xd0001000:6 ",
			    71);
	assert_non_null(
		strstr(c.text, " virtio_mmio.device=4K@0xd0012000:23 -- b"));
	assert_int_equal(c.len, strlen(c.text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append_keeps_init_part),
		cmocka_unit_test(words_as_the_kernel_takes_them),
		cmocka_unit_test(h1_limit_is_2048_with_nul),
		cmocka_unit_test(devices_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
