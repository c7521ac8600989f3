// SPDX-License-Identifier: Apache-2.0
/*
 * test_alone.c - what a volt-vmm's command line tells of its API
 */
#include "cli/alone.h"
#include "unit.h"

struct line {
	const char *words; /* each ends with '|' */
	const char *id;
	const char *socket;
};

static void read_line(struct alone *vm, const char *words, size_t cut)
{
	char text[256];
	size_t len = strlen(words);

	assert_true(len < sizeof(text) && cut <= len);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(words[i] == '|' ? 0 : words[i]);
	alone_read(vm, text, len - cut, "/here");
}

static void test_lines(void **state)
{
	static const struct line lines[] = {
		{"volt-vmm|", "anonymous-instance", "/run/firecracker.socket"},
		{"volt-vmm|--api-sock|/a|--id|x|", "x", "/a"},
		{"volt-vmm|--api-sock=/a|--id=x|", "x", "/a"},
		{"volt-vmm|--a|b/c|", "anonymous-instance", "/here/b/c"},
		{"volt-vmm|--kernel|k|", "anonymous-instance", ""},
		{"volt-vmm|--ker=k|--id|x|", "x", ""},
		{"volt-vmm|--kernel|k|--api-sock|s|", "anonymous-instance",
		 "/here/s"},
		{"volt-vmm|--restore|d|", "anonymous-instance", ""},
		{"volt-vmm|--no-api|--config-file|f|", "anonymous-instance",
		 ""},
		{"volt-vmm|--id|x|--|--id|y|--api-sock|/z|", "x",
		 "/run/firecracker.socket"},
		{"volt-vmm|--api-socket|/a|", "anonymous-instance",
		 "/run/firecracker.socket"},
		{"volt-vmm|--id||", "", "/run/firecracker.socket"},
		{"volt-vmm|--api-sock|", "anonymous-instance",
		 "/run/firecracker.socket"},
		{"", "anonymous-instance", "/run/firecracker.socket"},
		{"|||", "anonymous-instance", "/run/firecracker.socket"},
	};
	struct alone vm;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		read_line(&vm, lines[i].words, 0);
		assert_string_equal(vm.id, lines[i].id);
		assert_string_equal(vm.socket, lines[i].socket);
	}
}

/* A word that is cut off is none. */
static void test_cut(void **state)
{
	struct alone vm;

	(void)state;
	read_line(&vm, "volt-vmm|--id|ab|", 1);
	assert_string_equal(vm.id, "anonymous-instance");
	for (size_t cut = 0; cut < 26; cut++)
		read_line(&vm, "volt-vmm|--api-sock|/a/b/c|", cut);
}

static void test_long(void **state)
{
	char text[512] = "volt-vmm";
	size_t at = strlen(text) + 1;
	struct alone vm;

	(void)state;
	memcpy(text + at, "--id=", 5);
	memset(text + at + 5, 'x', 200);
	at += 206;
	memcpy(text + at, "--api-sock=/", 12);
	memset(text + at + 12, 'y', 200);
	alone_read(&vm, text, at + 213, "/");
	assert_int_equal(strlen(vm.id), VMAPI_NAME_MAX);
	assert_string_equal(vm.socket, ""); /* no socket has such a path */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
