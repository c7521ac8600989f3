// SPDX-License-Identifier: Apache-2.0
/*
 * test_passt.c - ports of --publish
 */
#include "unit.h"

#include "cli/passt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static void ports(void **state)
{
	static const struct {
		const char *text;
		const char *address;
		uint16_t host;
		uint16_t guest;
		bool udp;
	} rows[] = {
		{"8080:80", "127.0.0.1", 8080, 80, false},
		{"8080:80/tcp", "127.0.0.1", 8080, 80, false},
		{"1:65535/udp", "127.0.0.1", 1, 65535, true},
		{"0.0.0.0:8080:80", "0.0.0.0", 8080, 80, false},
		{"192.168.100.200:53:53/udp", "192.168.100.200", 53, 53, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct passt_port port;
		struct in_addr want;

		assert_int_equal(passt_parse_port(rows[i].text, &port, NULL),
				 0);
		assert_int_equal(inet_pton(AF_INET, rows[i].address, &want), 1);
		assert_int_equal(port.address.s_addr, want.s_addr);
		assert_int_equal(port.host, rows[i].host);
		assert_int_equal(port.guest, rows[i].guest);
		assert_int_equal(port.udp, rows[i].udp);
		assert_string_equal(port.text, rows[i].text);
	}
}

static void no_ports(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		"80",
		"80:",
		":80",
		"0:80",
		"80:0",
		"65536:80",
		"80:65536",
		"80:80/",
		"80:80/sctp",
		"80:80/udp/udp",
		"80:-1",
		"+80:80",
		" 80:80",
		"80:80 ",
		"a:b",
		"8080:80:90",
		"localhost:8080:80",
		":8080:80",
		"1.2.3:8080:80",
		"1.2.3.4:5:6:7",
		"[::1]:8080:80",
		"::1:8080:80",
		"1.2.3.4.5.6.7.8.9:8080:80",
		"000000000000080:80",
		"80-90:80-90",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct passt_port port;
		struct err err = {0};

		assert_int_equal(passt_parse_port(texts[i], &port, &err),
				 -EINVAL);
		assert_non_null(strstr(err.text, "--publish takes"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports),
		cmocka_unit_test(no_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
