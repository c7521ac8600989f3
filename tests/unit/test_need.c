// SPDX-License-Identifier: Apache-2.0
/*
 * test_need.c - what a request names for the gate, and what it does not
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gate/need.h"

#define FIXED "(the role's own)"

static char *request_of(const char *line, const char *body, size_t len)
{
	char *raw;
	int head = asprintf(&raw, "%s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
			    line, len);

	assert_true(head > 0);
	raw = realloc(raw, (size_t)head + len);
	assert_non_null(raw);
	memcpy(raw + head, body, len);
	return raw;
}

/* The path for @role, or NULL; caller frees. */
static char *find_at(enum need_time time, const char *line, const char *body,
		     enum path_role role)
{
	size_t len = strlen(body);
	char *raw = request_of(line, body, len);
	struct need_request request;
	struct buf path = {0};
	char *end = strstr(raw, "\r\n\r\n");
	int r;

	assert_int_equal(
		need_read(&request, raw, (size_t)(end + 4 - raw) + len), 0);
	r = need_path(&request, time, role, &path);
	if (r < 0) {
		assert_int_equal(r, -EACCES);
		buf_free(&path);
		free(raw);
		return NULL;
	}
	free(raw);
	if (!path.data)
		return strdup(FIXED);
	assert_int_equal(strlen(path.data), path.len);
	return path.data;
}

static char *find(const char *line, const char *body, enum path_role role)
{
	return find_at(NEED_RUNNING, line, body, role);
}

#define PATCH  "PATCH /drives/root"
#define CREATE "PUT /snapshot/create"

static void what_a_request_names_is_found(void **state)
{
	static const struct {
		const char *line, *body;
		enum path_role role;
		const char *path;
	} good[] = {
		{PATCH, "{\"drive_id\":\"root\",\"path_on_host\":\"/d\"}",
		 PATH_DISK, "/d"},
		{PATCH, "{\"path_on_host\":\"d i\\u0073k\"}", PATH_DISK_RO,
		 "d isk"},
		{PATCH, " { \"path\\u005fon_host\" : \"x\" } ", PATH_DISK, "x"},
		{PATCH,
		 "{\"rate_limiter\":{\"path_on_host\":\"no\"},"
		 "\"path_on_host\":\"yes\"}",
		 PATH_DISK, "yes"},
		{"PATCH //drives/root/", "{\"path_on_host\":\"x\"}", PATH_DISK,
		 "x"},
		{CREATE, "{\"snapshot_path\":\"/s\"}", PATH_FOLDER, "/s"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char *path = find(good[i].line, good[i].body, good[i].role);

		assert_non_null(path);
		assert_string_equal(path, good[i].path);
		free(path);
	}
}

static void nothing_else_is_found(void **state)
{
	static const struct {
		const char *line, *body;
		enum path_role role;
	} bad[] = {
		/* another request, another method, another role */
		{"PUT /drives/root", "{\"path_on_host\":\"/d\"}", PATH_DISK},
		{"PATCH /drive/root", "{\"path_on_host\":\"/d\"}", PATH_DISK},
		{"PATCH /", "{\"path_on_host\":\"/d\"}", PATH_DISK},
		{CREATE, "{\"path_on_host\":\"/d\"}", PATH_DISK},
		{"PUT /snapshot/load", "{\"snapshot_path\":\"/d\"}",
		 PATH_FOLDER},
		{PATCH, "{\"path_on_host\":\"/d\"}", PATH_KERNEL},
		{PATCH, "{\"path_on_host\":\"/d\"}", PATH_KVM},
		{PATCH, "{\"path_on_host\":\"/d\"}", PATH_FOLDER},
		/* not there, no string, no object, no JSON */
		{PATCH, "{\"path\":\"/d\"}", PATH_DISK},
		{PATCH, "{\"path_on_host\":null}", PATH_DISK},
		{PATCH, "{\"path_on_host\":7}", PATH_DISK},
		{PATCH, "{\"path_on_host\":[\"/d\"]}", PATH_DISK},
		{PATCH, "{\"path_on_host\":{\"path_on_host\":\"/d\"}}",
		 PATH_DISK},
		{PATCH, "[\"path_on_host\",\"/d\"]", PATH_DISK},
		{PATCH, "{\"path_on_host\":\"/d", PATH_DISK},
		{PATCH, "{\"a\":tru,\"path_on_host\":\"/d\"}", PATH_DISK},
		{PATCH, "{\"path_on_host\":\"/d\\u0000x\"}", PATH_DISK},
		{PATCH, "", PATH_DISK},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(find(bad[i].line, bad[i].body, bad[i].role));
}

#define LOAD "PUT /snapshot/load"

/* Before the guest runs: what configures, starts and loads. Once it runs not
 * one of them is found. */
static void what_configures_is_found_early(void **state)
{
	static const struct {
		const char *line, *body;
		enum path_role role;
		const char *path;
	} good[] = {
		{"PUT /logger", "{\"log_path\":\"l\"}", PATH_LOG, "l"},
		{"PUT /metrics", "{\"metrics_path\":\"m\"}", PATH_METRICS, "m"},
		{"PUT /serial", "{\"serial_out_path\":\"s\"}", PATH_SERIAL,
		 "s"},
		{"PUT /boot-source",
		 "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\"}",
		 PATH_KERNEL, "k"},
		{"PUT /boot-source",
		 "{\"kernel_image_path\":\"k\",\"initrd_path\":\"i\"}",
		 PATH_INITRD, "i"},
		{"PUT /drives/a", "{\"path_on_host\":\"d\"}", PATH_DISK, "d"},
		{"PUT /drives/a", "{\"path_on_host\":\"d\"}", PATH_DISK_RO,
		 "d"},
		{"PUT /network-interfaces/n", "{\"host_dev_name\":\"t\"}",
		 PATH_TAP, "t"},
		{"PUT /network-interfaces/n", "{}", PATH_VHOST_NET, FIXED},
		{"PUT /vsock", "{\"uds_path\":\"v\"}", PATH_VSOCK, "v"},
		{"PUT /actions", "{\"action_type\":\"InstanceStart\"}",
		 PATH_KVM, FIXED},
		{"PUT /actions", "{}", PATH_HUGE_POLICY, FIXED},
		{LOAD, "{\"snapshot_path\":\"d\"}", PATH_FOLDER, "d"},
		{LOAD, "{\"mem_backend\":{\"backend_path\":\"u\"}}",
		 PATH_UFFD_HANDLER, "u"},
		{LOAD, "{}", PATH_USERFAULTFD, FIXED},
		{LOAD, "{}", PATH_VHOST_NET, FIXED},
		{LOAD, "{}", PATH_KVM, FIXED},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char *path = find_at(NEED_EARLY, good[i].line, good[i].body,
				     good[i].role);

		assert_non_null(path);
		assert_string_equal(path, good[i].path);
		free(path);
		assert_null(find(good[i].line, good[i].body, good[i].role));
	}
	assert_null(find_at(NEED_EARLY, PATCH, "{\"path_on_host\":\"d\"}",
			    PATH_DISK));
	assert_null(find_at(NEED_EARLY, CREATE, "{\"snapshot_path\":\"s\"}",
			    PATH_FOLDER));
	assert_null(find_at(NEED_EARLY, "PUT /vm", "{}", PATH_KVM));
}

static void what_is_no_request_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"GET / HTTP/1.1\r\n",
		"PATCH /drives/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n{}",
		"nonsense\r\n\r\n",
	};
	struct need_request request;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(need_read(&request, bad[i], strlen(bad[i])),
				 -EPROTO);
}

static void inner_members_are_found(void **state)
{
	static const char body[] = "{\"a\":{\"b\":\"no\"},\"m\":{\"x\":1,"
				   "\"b\":\"yes\"}}";
	char *raw = request_of("PUT /x", body, strlen(body));
	struct need_request request;
	struct buf text = {0};

	(void)state;
	assert_int_equal(need_read(&request, raw,
				   (size_t)(strstr(raw, "\r\n\r\n") + 4 - raw) +
					   strlen(body)),
			 0);
	assert_int_equal(need_text(&request, "m", "b", &text), 0);
	assert_string_equal(text.data, "yes");
	assert_int_equal(need_text(&request, "m", "c", &text), -ENOENT);
	assert_int_equal(need_text(&request, "z", "b", &text), -ENOENT);
	assert_true(need_is(&request, API_PUT, "x", ""));
	assert_false(need_is(&request, API_PUT, "x", "y"));
	assert_false(need_is(&request, API_PUT, "xx", NULL));
	buf_free(&text);
	free(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_request_names_is_found),
		cmocka_unit_test(nothing_else_is_found),
		cmocka_unit_test(what_configures_is_found_early),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(inner_members_are_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
