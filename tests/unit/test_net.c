// SPDX-License-Identifier: Apache-2.0
/*
 * test_net.c - names, addresses and marks of taps
 */
#include "unit.h"

#include "cli/net.h"

#include <errno.h>
#include <string.h>

static void parse_cidr(void **state)
{
	static const struct {
		const char *text;
		uint32_t addr; /* 0: refused */
		unsigned int prefix;
	} cases[] = {
		{"172.16.0.1/24", 0xac100001, 24},
		{"10.0.0.1/8", 0x0a000001, 8},
		{"192.0.2.5/30", 0xc0000205, 30},
		{"192.0.2.6/30", 0xc0000206, 30},
		{"192.0.2.4/30", 0, 0},
		{"192.0.2.7/30", 0, 0},
		{"10.0.0.1/31", 0, 0},
		{"10.0.0.1/7", 0, 0},
		{"10.0.0.1/0", 0, 0},
		{"10.0.0.1/99999999999999999999", 0, 0},
		{"10.0.0.1", 0, 0},
		{"10.0.0.1/", 0, 0},
		{"10.0.0.1/24x", 0, 0},
		{"10.0.0.1/ 24", 0, 0},
		{"10.0.0.1/-24", 0, 0},
		{"10.0.0/24", 0, 0},
		{"10.0.0.256/24", 0, 0},
		{"/24", 0, 0},
		{"", 0, 0},
		{"fd00::1/64", 0, 0},
		{"10.0.0.1.1.1.1.1.1.1.1.1.1.1.1.1/24", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_cidr cidr = {7, 7};
		struct err err = {0};
		int r = net_parse_cidr(cases[i].text, &cidr, &err);

		print_message("'%s'\n", cases[i].text);
		if (cases[i].addr) {
			assert_int_equal(r, 0);
			assert_int_equal(cidr.addr, cases[i].addr);
			assert_int_equal(cidr.prefix, cases[i].prefix);
		} else {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(cidr.addr, 7);
			assert_non_null(strstr(err.text, cases[i].text));
		}
	}
}

static void check_name(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} cases[] = {
		{"tap0", true},
		{"t", true},
		{"vm-1.net_x", true},
		{"fifteen_letters", true},
		{"sixteen__letters", false},
		{"", false},
		{"0tap", false},
		{"-tap", false},
		{".", false},
		{"tap 0", false},
		{"tap/0", false},
		{"tap*", false},
		{"tap%d", false},
		{"tap\"", false},
		{"t\xc3\xa4p", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err;

		print_message("'%s'\n", cases[i].name);
		assert_int_equal(net_check_name(cases[i].name, &err),
				 cases[i].good ? 0 : -EINVAL);
	}
}

static void overlap(void **state)
{
	const struct net_cidr a = {0x0a000001, 24}, b = {0x0a0000fe, 30},
			      c = {0x0a000101, 24}, d = {0x0a010203, 8};

	(void)state;
	assert_true(net_overlap(&a, &b));
	assert_true(net_overlap(&b, &a));
	assert_true(net_overlap(&a, &d));
	assert_true(net_overlap(&c, &d));
	assert_false(net_overlap(&a, &c));
	assert_false(net_overlap(&b, &c));
}

static void pick_cidr(void **state)
{
	struct net_cidr taken[256] = {0}, cidr;
	char text[NET_CIDR_TEXT_MAX];
	struct err err;

	(void)state;
	assert_int_equal(net_pick_cidr(taken, 0, &cidr, &err), 0);
	net_format_cidr(&cidr, text);
	assert_string_equal(text, "172.16.0.1/24");
	for (uint32_t i = 0; i < 256; i++)
		taken[i] = (struct net_cidr){0xac100000 + i * 256 + 77, 28};
	assert_int_equal(net_pick_cidr(taken, 255, &cidr, &err), 0);
	net_format_cidr(&cidr, text);
	assert_string_equal(text, "172.16.255.1/24");
	assert_int_equal(net_pick_cidr(taken, 256, &cidr, &err),
			 -EADDRNOTAVAIL);
	/* The docker bridge's usual network is the next one. */
	taken[0] = (struct net_cidr){0xac110001, 16};
	assert_int_equal(net_pick_cidr(taken, 1, &cidr, &err), 0);
	net_format_cidr(&cidr, text);
	assert_string_equal(text, "172.16.0.1/24");
}

static void marks(void **state)
{
	char text[RTNL_ALIAS_MAX];

	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct net_mark mark = {
			.ours = true,
			.nat = i & 1,
			.forwarding = i & 2,
		};
		struct net_mark back;

		net_format_mark(&mark, text, sizeof(text));
		back = net_parse_mark(text);
		assert_true(back.ours);
		assert_int_equal(back.nat, mark.nat);
		assert_int_equal(back.forwarding, mark.forwarding);
	}
	assert_false(net_parse_mark("").ours);
	assert_false(net_parse_mark("volt network nat").ours);
	assert_false(net_parse_mark("my volt net").ours);
	assert_false(net_parse_mark("nat").nat);
	assert_true(net_parse_mark("volt net natural").ours);
	assert_false(net_parse_mark("volt net natural").nat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_cidr), cmocka_unit_test(check_name),
		cmocka_unit_test(overlap),    cmocka_unit_test(pick_cidr),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
