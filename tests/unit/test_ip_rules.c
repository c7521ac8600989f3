// SPDX-License-Identifier: Apache-2.0
/*
 * test_ip_rules.c - which addresses may be reached
 */
#include "unit.h"

#include "base/ip_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ip_rules *rules_of(const char *text)
{
	struct ip_rules *rules = NULL;
	struct err err = {0};

	assert_int_equal(ip_rules_new(text, &rules, &err), 0);
	return rules;
}

static bool passes(const char *text, const char *to, uint16_t port)
{
	struct ip_rules *rules = rules_of(text);
	uint8_t addr[16];
	struct ip_packet packet = {
		.to = addr,
		.port = port,
		.v6 = strchr(to, ':') != NULL,
	};
	bool r;

	assert_int_equal(inet_pton(packet.v6 ? AF_INET6 : AF_INET, to, addr),
			 1);
	r = ip_rules_pass(rules, &packet);
	ip_rules_free(rules);
	return r;
}

static void without_rules_all_pass(void **state)
{
	(void)state;
	assert_true(passes("", "127.0.0.1", 0));
	assert_true(passes("  ", "::1", 80));
}

static void a_network_ends_at_its_bits(void **state)
{
	static const struct {
		const char *rules;
		const char *to;
		bool pass;
	} rows[] = {
		{"-127.0.0.0/8", "127.255.255.255", false},
		{"-127.0.0.0/8", "126.255.255.255", true},
		{"-127.0.0.0/8", "128.0.0.0", true},
		{"-169.254.0.0/16", "169.254.169.254", false},
		{"-169.254.0.0/16", "169.253.255.255", true},
		{"-172.16.0.0/12", "172.31.255.255", false},
		{"-172.16.0.0/12", "172.32.0.0", true},
		{"-10.0.0.7", "10.0.0.7", false},
		{"-10.0.0.7", "10.0.0.6", true},
		{"-10.0.0.7/31", "10.0.0.6", false},
		{"-0.0.0.0/0", "1.2.3.4", false},
		{"-0.0.0.0/0", "::1", true},
		{"-::/0", "2001:db8::1", false},
		{"-::/0", "1.2.3.4", true},
		{"-fe80::/10", "febf::1", false},
		{"-fe80::/10", "fec0::1", true},
		{"-::1", "::1", false},
		{"-::1/128", "::2", true},
		{"-::ffff:0.0.0.0/96", "::ffff:127.0.0.1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(passes(rows[i].rules, rows[i].to, 0),
				 rows[i].pass);
}

static void the_first_that_fits_decides(void **state)
{
	const char *rules = "+10.0.2.3@53 -10.0.2.0/24  +10.0.0.0/8 -0.0.0.0/0";

	(void)state;
	assert_true(passes(rules, "10.0.2.3", 53));
	assert_false(passes(rules, "10.0.2.3", 54));
	assert_false(passes(rules, "10.0.2.3", 0));
	assert_false(passes(rules, "10.0.2.4", 53));
	assert_true(passes(rules, "10.1.2.3", 53));
	assert_false(passes(rules, "11.1.2.3", 53));
}

static void what_is_no_rule_is_refused(void **state)
{
	static const char *const texts[] = {
		"10.0.0.0/8",
		"+",
		"-",
		"-x",
		"-10.0.0.0/33",
		"-10.0.0.0/",
		"-10.0.0.0/-1",
		"-10.0.0.0/8x",
		"-10.0.0/8",
		"-::1/129",
		"-1::2::3",
		"+10.0.0.1@0",
		"+10.0.0.1@65536",
		"+10.0.0.1@",
		"+10.0.0.1@53@54",
		"-10.0.0.0/8,-11.0.0.0/8",
		"- 10.0.0.1",
		"-10.0.0.1 +",
		"-10.0.0.1\n",
		"-0000000000000000000000000000000000000000000000000000000000::1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct ip_rules *rules = NULL;
		struct err err = {0};

		assert_int_equal(ip_rules_new(texts[i], &rules, &err), -EINVAL);
		assert_null(rules);
		assert_non_null(strstr(err.text, "is no rule"));
	}
}

static void there_is_an_end_to_how_many(void **state)
{
	static const char word[] = "-10.0.0.1 ";
	const size_t len = sizeof(word) - 1;
	char *text = malloc((IP_RULES_MAX + 1) * len + 1);
	struct ip_rules *rules = NULL;
	struct err err = {0};

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i <= IP_RULES_MAX; i++)
		memcpy(text + i * len, word, sizeof(word));
	assert_int_equal(ip_rules_new(text, &rules, &err), -E2BIG);
	text[IP_RULES_MAX * len] = '\0';
	ip_rules_free(rules_of(text));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_all_pass),
		cmocka_unit_test(a_network_ends_at_its_bits),
		cmocka_unit_test(the_first_that_fits_decides),
		cmocka_unit_test(what_is_no_rule_is_refused),
		cmocka_unit_test(there_is_an_end_to_how_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
